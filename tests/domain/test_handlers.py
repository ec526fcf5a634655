"""Handlers: when they run, what they get, and how the run then ends."""

from datetime import timedelta
from typing import Any

import pytest

from pupload.domain import commands, deadlines, events
from pupload.domain.decide import begin, decide, outstanding
from pupload.domain.flow import Node
from pupload.domain.nodedef import NodeDef
from pupload.domain.run import NodeStatus, Outcome, Run, Status
from tests.builders import NOON, RUN_ID, a_definition, a_flow, a_node, a_plan, a_port, an_artifact
from tests.domain.test_branches import done, given, statuses, told

ONCE = a_definition("pupload/resize", max_attempts=1)
WORK = a_node("work", inputs={"in": "file"}, outputs={"out": "result"})
SAD = a_node("sad", inputs={}, outputs={"out": "sorry"}, runs="OnFailure")
LAST = a_node("last", inputs={}, outputs={"out": "report"}, runs="Finally")


def begun(*nodes: Node, definitions: tuple[NodeDef, ...] = (ONCE,), **plan: Any) -> Run:
    return begin(RUN_ID, a_plan(a_flow(*nodes, **plan), definitions), now=NOON).run


def failed(run: Run, node: str, attempt: int = 1) -> Run:
    admitted = events.NodeAdmitted(node=node, attempt=attempt)
    return told(run, admitted, events.AttemptFailed(node=node, attempt=attempt, failure="exit", reason="broke"))


def cancelled(run: Run, mode: str = "kill") -> Run:
    return told(run, events.CancelRequested(mode=mode))


def test_handlers_wait_until_all_else_has_ended() -> None:
    run = begun(WORK, SAD, LAST)
    assert statuses(run) == {"work": "IDLE", "sad": "IDLE", "last": "IDLE"}
    assert run.status is Status.WAITING
    run = given(run, "file")
    assert statuses(run) == {"work": "READY", "sad": "IDLE", "last": "IDLE"}


def test_after_success_only_those_run_that_run_in_any_case() -> None:
    run = done(given(begun(WORK, SAD, LAST), "file"), "work")
    assert statuses(run) == {"work": "COMPLETE", "sad": "SKIPPED", "last": "READY"}
    assert run.nodes["sad"].error == "the run did not fail"
    assert run.status is Status.RUNNING
    assert run.outcome == Outcome(status=Status.COMPLETE, reason="", at=NOON)
    run = done(run, "last")
    assert run.status is Status.COMPLETE


def test_after_a_failure_one_kind_runs_behind_the_other_and_the_run_stays_failed() -> None:
    run = failed(given(begun(WORK, SAD, LAST), "file"), "work")
    assert statuses(run) == {"work": "ERROR", "sad": "READY", "last": "IDLE"}
    assert run.outcome == Outcome(status=Status.ERROR, reason="node work: broke", at=NOON)
    run = done(run, "sad")
    assert statuses(run)["last"] == "READY"
    run = done(run, "last")
    assert (run.status, run.error) == (Status.ERROR, "node work: broke")


def test_a_handler_that_fails_makes_no_end_better_and_a_good_end_bad() -> None:
    run = failed(done(given(begun(WORK, LAST), "file"), "work"), "last")
    assert (run.status, run.error) == (Status.ERROR, "node last: broke")
    run = failed(failed(given(begun(WORK, SAD, LAST), "file"), "work"), "sad")
    run = done(run, "last")
    assert (run.status, run.error) == (Status.ERROR, "node work: broke")


@pytest.mark.parametrize("mode", ["kill", "drain"])
def test_a_cancelled_run_has_its_last_handlers_run(mode: str) -> None:
    run = cancelled(begun(WORK, SAD, LAST), mode)
    assert statuses(run) == {"work": "SKIPPED", "sad": "SKIPPED", "last": "READY"}
    assert run.status is Status.RUNNING
    assert run.outcome is not None
    assert (run.outcome.status, run.outcome.reason) == (Status.STOPPED, "cancelled")
    assert done(run, "last").status is Status.STOPPED


def test_a_handler_is_tried_again_also_in_a_cancelled_run() -> None:
    run = failed(cancelled(begun(WORK, LAST, definitions=())), "last")
    assert run.nodes["last"].status is NodeStatus.RETRYING


def test_a_second_cancel_ends_handlers() -> None:
    second = a_node("second", inputs={"in": "report"}, outputs={}, runs="Finally")
    run = told(cancelled(begun(WORK, LAST, second)), events.NodeAdmitted(node="last", attempt=1))
    assert decide(run, events.CancelRequested(mode="drain"), now=NOON).idle
    run = cancelled(run)
    assert statuses(run) == {"work": "SKIPPED", "last": "RUNNING", "second": "SKIPPED"}
    assert commands.StopNode(node="last", attempt=1) in outstanding(run)
    run = told(run, events.AttemptFailed(node="last", attempt=1, failure="exit", reason="143"))
    assert run.status is Status.STOPPED


def test_a_cancel_among_the_handlers_of_a_good_run_stops_it() -> None:
    run = done(given(begun(WORK, LAST), "file"), "work")
    run = cancelled(run)
    assert statuses(run) == {"work": "COMPLETE", "last": "SKIPPED"}
    assert run.status is Status.STOPPED


def test_a_flow_that_timed_out_has_its_handlers_run_with_time_of_their_own() -> None:
    run = begun(WORK, SAD, timeout="10m")
    late = NOON + timedelta(minutes=10)
    run = decide(run, events.TimePassed(), now=late).run
    assert statuses(run) == {"work": "SKIPPED", "sad": "READY"}
    assert run.error == "the flow timed out after 10m"
    assert deadlines.due(run) == late + timedelta(hours=1)
    assert decide(run, events.TimePassed(), now=late + timedelta(minutes=59)).idle


def test_handlers_end_in_time() -> None:
    run = done(given(begun(WORK, LAST), "file"), "work")
    late = NOON + timedelta(hours=1)
    assert deadlines.due(run) == late
    assert deadlines.sooner(run, NOON + timedelta(days=1), ()) == late
    run = decide(run, events.TimePassed(), now=late).run
    assert (run.status, run.error) == (Status.ERROR, "the handlers did not end within 1h")


def test_a_handler_gets_what_there_is() -> None:
    definitions = (
        ONCE,
        a_definition("x/needs", inputs=[a_port("a"), a_port("b")]),
        a_definition("x/takes", inputs=[a_port("a", required=False), a_port("b", required=False)]),
        a_definition("x/text", inputs=[a_port("a", "text/plain", required=False)]),
    )
    more = a_node("more", inputs={"in": "file"}, outputs={"out": "other"})
    needs = a_node("needs", uses="x/needs", inputs={"a": "result", "b": "other"}, outputs={}, runs="Finally")
    takes = a_node("takes", uses="x/takes", inputs={"a": "result", "b": "other"}, outputs={}, runs="Finally")
    text = a_node("text", uses="x/text", inputs={"a": "other"}, outputs={}, runs="Finally")
    run = begun(WORK, more, needs, takes, text, definitions=definitions)
    run = failed(done(given(run, "file"), "more"), "work")
    assert statuses(run) == {
        "work": "ERROR",
        "more": "COMPLETE",
        "needs": "SKIPPED",
        "takes": "READY",
        "text": "SKIPPED",
    }
    assert run.nodes["needs"].error == "needs input a, and there is nothing on edge result"
    assert run.nodes["text"].error == "input a takes text/plain, and there is image/png"


def test_handlers_wait_for_each_other() -> None:
    first = a_node("first", inputs={}, outputs={"out": "x"}, runs="Finally")
    second = a_node("second", inputs={"in": "x"}, outputs={"out": "y"}, runs="Finally")
    third = a_node("third", inputs={"in": "y"}, outputs={}, runs="Finally")
    run = done(given(begun(third, second, first, WORK), "file"), "work")
    assert statuses(run) == {"third": "IDLE", "second": "IDLE", "first": "READY", "work": "COMPLETE"}
    assert statuses(done(run, "first"))["second"] == "READY"
    assert statuses(failed(run, "first")) == {
        "third": "SKIPPED",
        "second": "SKIPPED",
        "first": "ERROR",
        "work": "COMPLETE",
    }


def test_a_handler_has_conditions_too() -> None:
    last = a_node("last", inputs={}, outputs={}, runs="Finally", when="node.work.status == 'ERROR'")
    run = given(begun(WORK, last), "file")
    assert done(run, "work").status is Status.COMPLETE
    assert statuses(failed(run, "work"))["last"] == "READY"


def test_a_refused_upload_leaves_handlers_alone() -> None:
    last = a_node("last", inputs={"in": "file"}, outputs={}, runs="Finally")
    run = told(begun(WORK, last, SAD), events.UploadRefused(edge="file", reason="too large"))
    assert statuses(run) == {"work": "SKIPPED", "sad": "READY", "last": "IDLE"}
    run = done(run, "sad")
    assert statuses(run)["last"] == "SKIPPED"
    assert run.status is Status.ERROR


def test_nothing_that_only_a_handler_takes_goes_when_the_run_has_ended() -> None:
    takes = a_node("takes", inputs={"in": "result"}, outputs={}, runs="Finally")
    edge = begun(WORK, takes).plan.edges["result"]
    assert edge.consumers == ()
    assert not edge.intermediate


def test_a_saved_run_implies_its_handlers() -> None:
    run = done(given(begun(WORK, LAST), "file"), "work")
    assert outstanding(run) == (commands.StartNode(node="last", attempt=1),)
    run = told(run, events.NodeAdmitted(node="last", attempt=1), events.NodeStarted(node="last", attempt=1, image="i"))
    assert outstanding(run) == (commands.StartNode(node="last", attempt=1),)


def test_a_run_of_nothing_but_skipped_nodes_still_has_handlers() -> None:
    work = a_node("work", inputs={"in": "file"}, outputs={"out": "result"}, when="input.in.size > 5")
    run = given(begun(work, LAST), "file")
    assert statuses(run) == {"work": "SKIPPED", "last": "READY"}
    assert an_artifact("report").edge in run.plan.edges
    assert done(run, "last").status is Status.COMPLETE


def test_what_comes_when_the_flow_has_ended_is_not_taken() -> None:
    run = cancelled(begun(WORK, LAST))
    late = events.UploadSealed(edge="file", artifact=an_artifact("file"))
    assert decide(run, late, now=NOON).idle
