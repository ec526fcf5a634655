import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload import errors
from pupload.adapters.docker import names
from pupload.domain import run

ENGINE_TAKES = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")

attempts = st.builds(
    run.AttemptRef,
    run=st.from_regex(r"run_[0-9A-Z]{26}", fullmatch=True),
    node=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True),
    number=st.integers(1, 10**6),
)


@given(attempts)
def test_every_attempt_has_a_name_that_the_engine_takes(attempt: run.AttemptRef) -> None:
    assert ENGINE_TAKES.fullmatch(names.Names("a-long-instance-name.of-mine").container(attempt))


@given(attempts, attempts)
def test_different_attempts_have_different_names(one: run.AttemptRef, other: run.AttemptRef) -> None:
    ours = names.Names("here")
    assert (ours.container(one) == ours.container(other)) == (one == other)


def test_long_names_that_begin_alike_differ() -> None:
    ours = names.Names("here")
    one, other = (run.AttemptRef(run="run_a", node="n" * 127 + end, number=1) for end in "xy")
    assert ours.container(one) != ours.container(other)


@given(attempts)
def test_labels_lead_back_to_the_attempt(attempt: run.AttemptRef) -> None:
    ours = names.Names("here")
    assert ours.attempt(ours.labels(attempt)) == attempt
    assert names.Names("there").attempt(ours.labels(attempt)) is None


@pytest.mark.parametrize("labels", [{}, {names.INSTANCE: "here"}])
def test_labels_that_are_not_ours_lead_nowhere(labels: dict[str, str]) -> None:
    assert names.Names("here").attempt(labels) is None


def test_a_number_that_is_none_leads_nowhere() -> None:
    ours = names.Names("here")
    labels = {**ours.labels(run.AttemptRef(run="r", node="n", number=1)), names.ATTEMPT: "first"}
    assert ours.attempt(labels) is None


@pytest.mark.parametrize("instance", ["", "two words", "-x", "x" * 64, "../x"])
def test_an_instance_name_is_a_word(instance: str) -> None:
    with pytest.raises(errors.Misconfigured):
        names.Names(instance)
