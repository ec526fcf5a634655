"""The torture's own parts: a seed is a schedule, and what must come of a flow is known beforehand."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from pupload.domain.artifact import Artifact
from pupload.domain.decide import begin
from pupload.domain.run import Run, Status
from tests import builders
from tests.torture import faults, flows, users, verdict

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_a_seed_orders_the_same_flows_and_faults_again() -> None:
    assert [flows.draw(7, number) for number in range(50)] == [flows.draw(7, number) for number in range(50)]
    assert flows.draw(7, 3) != flows.draw(8, 3)
    for lane in ("server", "world"):
        drawn = [faults.draw(7, lane, number) for number in range(50)]
        assert drawn == [faults.draw(7, lane, number) for number in range(50)]


def test_a_short_soak_meets_most_kinds() -> None:
    cases = [flows.draw(1, number) for number in range(200)]
    assert len({case.name for case in cases}) == 8
    assert {step.does for case in cases for step in case.steps} >= {"work", "spam", "stubborn", *flows.FATAL}
    kinds = Counter(faults.draw(1, lane, number).kind for lane in ("server", "world") for number in range(100))
    assert kinds.keys() == {*faults.SERVER, *faults.WORLD}


def test_what_lies_on_an_edge_is_known_beforehand() -> None:
    step = flows.Step(id="n0", inputs=("up0",), outputs=("e0",))
    (known,) = flows.made(1, (step,), {"up0": b"bytes"}).contents
    # echo "n0 e0" and the input, hashed as sha256sum writes it; the artifact's hash is that of this line.
    assert known["e0"] == "06ccc2100da89197b608340079824f274a0bd12307dce5a91c74edaf96fab793"


def told_of(run: Run, case: flows.Case, seen: str) -> users.Told:
    """What one user was told."""
    return users.Told(cases={run.id: case}, ended={run.id: seen})


def test_a_wrong_byte_a_lost_node_and_a_changed_mind_are_noticed() -> None:
    case = flows.made(1, (flows.Step(id="n0", inputs=(), outputs=("e0",)),), {})
    run = begin("run_1", builders.a_plan(), now=NOW).run
    wrong = Artifact(
        edge="e0",
        store="default",
        key="k",
        size=1,
        content_type="text/plain",
        sha256="0" * 64,
        etag="e",
        created_at=NOW,
    )
    over = replace(run, status=Status.ERROR, artifacts={"e0": wrong})
    said = [(one.invariant, one.sentence) for one in verdict._held(over, told_of(over, case, "COMPLETE"))]
    assert [invariant for invariant, _ in said] == ["I6", "I12", "I12", "I12"]
    assert any("e0" in sentence for _, sentence in said)


def test_tracebacks_are_told_once_for_each_kind() -> None:
    lines = [
        "2026-11-22 05:00:00,000 ERROR pupload.engine: run run_1 could not",
        "Traceback (most recent call last):",
        '  File "x.py", line 1',
        "ValueError: run_1 is 7",
        "2026-11-22 05:00:01,000 INFO pupload.engine: fine",
    ]
    (found,) = verdict.tracebacks([*lines, *lines])
    assert found.sentence == "2 times: ValueError: … is …"
