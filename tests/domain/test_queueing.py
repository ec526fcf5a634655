"""Waiting for a slot: what it does to a run's deadlines, and what is told of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pupload.domain import deadlines, events, priority, queueing
from pupload.domain.decide import begin, decide
from pupload.domain.run import NodeStatus, Run, Status
from tests.builders import NOON, RUN_ID, a_flow, a_node, a_plan, an_artifact

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
FLOW = a_flow(a_node("a", inputs={}, outputs={}), a_node("b", inputs={}, outputs={}))


def a_run(**options: object) -> Run:
    """A run with two nodes that wait for room, for a day at most."""
    plan = a_plan(FLOW, **options)  # type: ignore[arg-type]
    return begin(RUN_ID, plan, now=NOON).run


def after(run: Run, report: events.Report, at: timedelta) -> Run:
    return decide(run, report, now=NOON + at).run


def test_a_node_does_not_wait_for_room_while_its_run_waits_for_a_slot() -> None:
    run = a_run()
    assert deadlines.due(run) == NOON + DAY
    run = after(run, events.RunQueued(), HOUR)
    assert deadlines.due(run) is None
    assert decide(run, events.TimePassed(), now=NOON + 30 * DAY).idle
    run = after(run, events.RunDequeued(), 30 * DAY)
    assert deadlines.due(run) == NOON + 31 * DAY
    assert after(run, events.TimePassed(), 31 * DAY).status is Status.ERROR


def test_an_attempt_that_has_room_ends_the_wait_for_a_slot() -> None:
    run = after(a_run(), events.RunQueued(), HOUR)
    decision = decide(run, events.NodeAdmitted(node="a", attempt=1), now=NOON + 2 * DAY)
    assert decision.events[0] == events.RunDequeued()
    run = decision.run
    assert (run.queued_at, run.slot_at) == (None, NOON + 2 * DAY)
    assert deadlines.of_node(run, run.nodes["b"]) == NOON + 3 * DAY


def test_what_is_told_twice_is_no_news() -> None:
    run = a_run()
    assert decide(run, events.RunDequeued(), now=NOON).idle
    run = after(run, events.RunQueued(), HOUR)
    assert decide(run, events.RunQueued(), now=NOON + DAY).idle


@pytest.mark.parametrize("mode", ["kill", "drain"])
def test_a_cancel_ends_who_waits_at_once(mode: str) -> None:
    run = after(a_run(), events.RunQueued(), HOUR)
    run = after(run, events.CancelRequested(mode=mode), DAY)
    assert (run.status, run.queued_at) == (Status.STOPPED, None)


def test_the_time_of_the_whole_flow_goes_on() -> None:
    run = after(a_run(), events.RunQueued(), HOUR)
    run = replace(run, plan=replace(run.plan, timeout_seconds=7200.0))
    assert deadlines.due(run) == NOON + 2 * HOUR


def test_handlers_have_all_their_time_though_they_wait_for_a_slot() -> None:
    handler = a_node("last", inputs={}, outputs={}, runs="Finally")
    flow = a_flow(a_node("a", inputs={"image": "up"}, outputs={}), handler)
    run = begin(RUN_ID, a_plan(flow), now=NOON).run
    run = after(run, events.UploadRefused(edge="up", reason="no"), HOUR)
    assert run.nodes["last"].status is NodeStatus.READY
    run = after(run, events.RunQueued(), HOUR)
    assert deadlines.due(run) is None
    assert decide(run, events.TimePassed(), now=NOON + 9 * DAY).idle
    run = after(run, events.NodeAdmitted(node="last", attempt=1), 9 * DAY)
    assert deadlines.of_handlers(run) == NOON + 9 * DAY + HOUR


def test_the_priority_is_that_of_the_plan_until_it_is_changed() -> None:
    run = a_run(priority=4)
    assert priority.of(run) == 4
    assert decide(run, events.PriorityChanged(priority=4), now=NOON).idle
    run = after(run, events.PriorityChanged(priority=-4), HOUR)
    assert priority.of(run) == -4
    assert priority.of(after(run, events.PriorityChanged(priority=4), HOUR)) == 4


def test_who_has_begun_is_told_by_what_is_saved() -> None:
    run = a_run()
    assert not queueing.has_begun(run)
    run = after(run, events.NodeAdmitted(node="a", attempt=1), HOUR)
    assert queueing.has_begun(run)
    run = after(run, events.NodeSucceeded(node="a", attempt=1, exit_code=0), 2 * HOUR)
    assert queueing.has_begun(run), "b was ready all the while"


def test_who_waited_for_an_upload_in_between_has_not() -> None:
    flow = a_flow(a_node("a", inputs={}, outputs={}), a_node("b", inputs={"image": "up"}, outputs={}))
    run = begin(RUN_ID, a_plan(flow), now=NOON).run
    run = after(run, events.NodeAdmitted(node="a", attempt=1), HOUR)
    run = after(run, events.NodeSucceeded(node="a", attempt=1, exit_code=0), 2 * HOUR)
    assert not queueing.has_begun(run)
    run = after(run, events.UploadSealed(edge="up", artifact=an_artifact("up")), 3 * HOUR)
    assert run.nodes["b"].status is NodeStatus.READY
    assert not queueing.has_begun(run)
