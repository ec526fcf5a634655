"""How long to wait before another attempt, or that there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import retry
from pupload.domain.nodedef import Retry
from pupload.domain.plan import NodePlan
from pupload.domain.run import Failure, NodeRun
from tests.builders import a_definition, a_plan


def a_node_plan(*, max_attempts: int = 3, **rules: object) -> NodePlan:
    definition = a_definition(max_attempts=max_attempts, retry=Retry(**rules))  # type: ignore[arg-type]
    return a_plan(definitions=[definition]).nodes["resize"]


def pause(
    plan: NodePlan, *, charged: int = 1, mishaps: int = 0, failure: Failure = Failure.EXIT, code: int | None = 1
) -> float | None:
    node = NodeRun(id="resize", charged=charged, mishaps=mishaps)
    return retry.pause_seconds(plan, node, failure, exit_code=code, mishaps=10, chance=0.5)


def test_pauses_double_up_to_their_limit() -> None:
    plan = a_node_plan(max_attempts=20, delay="2s", max="10s")
    assert [pause(plan, charged=charged) for charged in range(1, 6)] == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_there_is_no_attempt_after_the_last() -> None:
    assert pause(a_node_plan(max_attempts=3), charged=2) is not None
    assert pause(a_node_plan(max_attempts=3), charged=3) is None


def test_only_the_exit_codes_that_were_named_are_tried_again() -> None:
    plan = a_node_plan(on_exit_codes=(75,))
    assert pause(plan, code=75) is not None
    assert pause(plan, code=1) is None
    assert pause(a_node_plan(never_on_exit_codes=(2,)), code=2) is None


@pytest.mark.parametrize("failure", sorted(retry.FINAL))
def test_what_cannot_get_better_is_not_tried_again(failure: Failure) -> None:
    assert pause(a_node_plan(), failure=failure) is None


def test_running_out_of_memory_is_tried_again_only_with_more() -> None:
    assert pause(a_node_plan(), failure=Failure.OOM) is None
    assert pause(a_node_plan(more_memory=True), failure=Failure.OOM) is not None


@pytest.mark.parametrize("failure", sorted(retry.MISHAPS))
def test_mishaps_count_against_their_own_budget(failure: Failure) -> None:
    assert pause(a_node_plan(max_attempts=1), charged=9, mishaps=10, failure=failure) is not None
    assert pause(a_node_plan(max_attempts=1), charged=0, mishaps=11, failure=failure) is None


@given(failures=st.integers(1, 1000), chance=st.floats(0, 1))
def test_a_pause_is_never_negative_nor_above_its_limit(failures: int, chance: float) -> None:
    plan = a_node_plan(max_attempts=2000)
    node = NodeRun(id="resize", charged=failures)
    seconds = retry.pause_seconds(plan, node, Failure.EXIT, exit_code=1, mishaps=10, chance=chance)
    assert seconds is not None
    assert 0 < seconds <= plan.retry.max_seconds
