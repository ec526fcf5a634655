"""Values with other fields are what `dataclasses.replace` would make, and as frozen."""

import dataclasses
import pickle
from typing import Any

import pytest

from pupload import ports
from pupload.domain import artifact, events, flow, plan, run, tiers, values
from tests.builders import NOON

QUICK = (
    *(run.Attempt, run.NodeRun, run.Run, run.Decision, plan.PortPlan, plan.EdgePlan, plan.NodePlan, artifact.Artifact),
    *(events.AttemptFailed, events.NodeStarted, events.NodeSucceeded, ports.Entry),
    *(flow.Binding, flow.FlagValue, flow.Node),
)

BEFORE = run.NodeRun(id="resize", attempts=(run.Attempt(number=1, ready_at=NOON),), charged=2)


def test_every_field_that_is_given_is_taken_and_every_other_one_kept() -> None:
    for name in (each.name for each in dataclasses.fields(BEFORE)):
        one: Any = {name: "another"}
        found = BEFORE.__replace__(**one)  # type: ignore[attr-defined]
        assert found == dataclasses.replace(BEFORE, **one)
        assert getattr(found, name) == "another"


@pytest.mark.parametrize("kind", QUICK)
def test_a_changer_changes_its_fields_and_no_others(kind: type) -> None:
    before: Any = object.__new__(kind)
    names = [each.name for each in dataclasses.fields(kind)]
    for name in names:
        object.__setattr__(before, name, f"the {name} before")
    for some in ([], names[:1], names[::-2], names):
        found: Any = values.changer(kind, *some)(before, *(f"another {name}" for name in some))
        assert type(found) is kind
        assert found == values.replace(before, **{name: f"another {name}" for name in some})
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(found, names[0], 1)


def test_a_changer_is_of_fields_that_there_are() -> None:
    with pytest.raises(AssertionError, match="charge"):
        values.changer(run.NodeRun, "charge")


def test_what_was_there_before_stays_as_it_was() -> None:
    values.replace(BEFORE, progress=0.5)
    assert BEFORE.progress is None
    assert run.NodeRun(id="resize", attempts=BEFORE.attempts, charged=2) == BEFORE


def test_none_is_a_value_like_others() -> None:
    assert values.replace(values.replace(BEFORE, progress=0.5), progress=None) == BEFORE


def test_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="charge"):
        values.replace(BEFORE, charge=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", QUICK)
def test_what_comes_out_is_of_the_class_itself_and_frozen(kind: type) -> None:
    before: Any = object.__new__(kind)
    for each in dataclasses.fields(kind):
        object.__setattr__(before, each.name, None)
    found = values.replace(before)
    assert type(found) is kind
    for each in dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(found, each.name, 1)
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(found, each.name)
    assert not hasattr(found, "__dict__")


@pytest.mark.parametrize("kind", QUICK)
def test_what_is_made_is_what_a_dataclass_would_make(kind: type) -> None:
    given: Any = {each.name: each.name for each in dataclasses.fields(kind)}
    needed = {each.name: each.name for each in dataclasses.fields(kind) if is_needed(each)}
    for some in (given, needed):
        found = kind(**some)
        assert type(found) is kind
        for each in dataclasses.fields(kind):
            made = {} if each.default_factory is dict else each.default
            assert getattr(found, each.name) == some.get(each.name, made), each.name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(found, dataclasses.fields(kind)[0].name, 1)
    for name in needed:
        with pytest.raises(TypeError, match=name):
            kind(**{other: "" for other in needed if other != name})
    with pytest.raises(TypeError, match="nothing_of_it"):
        kind(**needed, nothing_of_it=1)


def is_needed(each: "dataclasses.Field[Any]") -> bool:
    return each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING


def test_a_default_that_is_made_is_made_for_each() -> None:
    one, other = (plan.NodePlan(id="", uses="", image="", tier=tiers.TABLE["c-small"]) for _ in range(2))
    assert one.flags == {}
    assert one.flags is not other.flags


def test_it_is_hashed_and_pickled_as_any_other() -> None:
    found = values.replace(BEFORE, id="crop")
    assert hash(found) == hash(dataclasses.replace(BEFORE, id="crop"))
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_class_that_looks_at_what_it_is_given_is_not_made_quick() -> None:
    with pytest.raises(AssertionError, match="looks at what it is given"):

        @values.quick
        @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
        class Careful:
            number: int

            def __post_init__(self) -> None:
                assert self.number > 0
