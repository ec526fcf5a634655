"""What happens next in a run, one claim at a time."""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pupload import errors
from pupload.domain import commands, deadlines, events
from pupload.domain.decide import begin, decide, decide_all, outstanding
from pupload.domain.nodedef import Retry
from pupload.domain.plan import Plan
from pupload.domain.run import Decision, Failure, NodeStatus, Run, Status
from pupload.domain.turn import Turn
from tests.builders import NOON, RUN_ID, a_chain, a_definition, a_flow, a_node, a_plan, a_port, an_artifact


def begun(plan: Plan | None = None) -> Run:
    return begin(RUN_ID, plan or a_plan(), now=NOON).run


def after(run: Run, *reports: events.Report, now: Any = NOON, chance: float = 0.5) -> Decision:
    """The last decision when the reports come in one after the other."""
    decision = decide(run, events.TimePassed(), now=now)
    for report in reports:
        decision = decide(run, report, now=now, chance=chance)
        run = decision.run
    return decision


def uploaded(edge: str = "resize-in") -> events.UploadSealed:
    return events.UploadSealed(edge=edge, artifact=an_artifact(edge))


def admitted(node: str = "resize", attempt: int = 1) -> events.NodeAdmitted:
    return events.NodeAdmitted(node=node, attempt=attempt)


def started(node: str = "resize", attempt: int = 1) -> events.NodeStarted:
    return events.NodeStarted(node=node, attempt=attempt, image="sha256:1")


def succeeded(node: str = "resize", attempt: int = 1, *edges: str) -> events.NodeSucceeded:
    made = tuple(an_artifact(edge, node=node, attempt=attempt) for edge in edges or (f"{node}-out",))
    return events.NodeSucceeded(node=node, attempt=attempt, exit_code=0, artifacts=made)


def failed(
    node: str = "resize", attempt: int = 1, failure: Failure = Failure.EXIT, exit_code: int | None = 1
) -> events.AttemptFailed:
    return events.AttemptFailed(node=node, attempt=attempt, failure=failure, reason="it broke", exit_code=exit_code)


# ── Beginning ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_whose_inputs_are_uploads_waits_for_them() -> None:
    decision = begin(RUN_ID, a_plan(), now=NOON)
    assert decision.run.status is Status.WAITING
    assert decision.commands == (commands.AwaitUpload(edge="resize-in"), commands.PrepareNode(node="resize"))
    assert decision.events[-1] == events.RunWaiting(edges=("resize-in",))


def test_a_node_that_needs_nothing_starts_at_once() -> None:
    decision = begin(RUN_ID, a_plan(a_flow(a_node(inputs={}))), now=NOON)
    assert decision.run.status is Status.RUNNING
    assert commands.StartNode(node="resize", attempt=1) in decision.commands


def test_an_upload_starts_the_nodes_that_waited_for_it_alone() -> None:
    both = a_node("both", inputs={"a": "left", "b": "right"})
    plan = a_plan(a_flow(a_node("one", inputs={"a": "left"}), both))
    decision = after(begun(plan), uploaded("left"))
    assert decision.commands == (commands.StartNode(node="one", attempt=1),)
    assert decision.run.status is Status.RUNNING
    assert decision.changed_edges == {"left"}


# ── Success ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_lies_downstream_starts_from_the_commit() -> None:
    run = begun(a_plan(a_flow(*a_chain(2))))
    decision = after(run, uploaded("e0"), admitted("n0"), started("n0"), succeeded("n0", 1, "e1"))
    assert decision.commands == (commands.StartNode(node="n1", attempt=1),)
    assert decision.run.artifacts.keys() == {"e0", "e1"}


def test_a_run_is_complete_when_its_last_node_succeeded() -> None:
    decision = after(begun(), uploaded(), admitted(), started(), succeeded())
    assert decision.run.status is Status.COMPLETE
    assert decision.run.finished_at == NOON
    assert decision.commands == (commands.CloseRun(),)
    assert decision.events[-1] == events.RunCompleted()


def test_an_optional_output_that_was_not_written_skips_who_needs_it_and_lets_others_go_on() -> None:
    maker = a_definition("p/make", outputs=[a_port("a"), a_port("b", required=False)])
    user = a_definition("p/use", inputs=[a_port("x", required=False)])
    flow = a_flow(
        a_node("make", uses="p/make", inputs={}, outputs={"a": "a", "b": "b"}),
        a_node("needs", uses="p/need", inputs={"x": "b"}, outputs={}),
        a_node("may", uses="p/use", inputs={"x": "b"}, outputs={}),
    )
    run = begun(a_plan(flow, [maker, user]))
    decision = after(run, admitted("make"), succeeded("make", 1, "a"))
    assert decision.run.nodes["needs"].status is NodeStatus.SKIPPED
    assert "did not write" in decision.run.nodes["needs"].error
    assert decision.run.nodes["may"].status is NodeStatus.READY


# ── Failure ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_node_waits_before_it_is_tried_again() -> None:
    decision = after(begun(), uploaded(), admitted(), failed())
    node = decision.run.nodes["resize"]
    assert node.status is NodeStatus.RETRYING
    assert node.retry_at == NOON + timedelta(seconds=1)
    assert deadlines.due(decision.run) == node.retry_at
    again = decide(decision.run, events.TimePassed(), now=NOON + timedelta(seconds=1))
    assert again.commands == (commands.StartNode(node="resize", attempt=2),)


def test_a_node_fails_for_good_after_its_last_attempt() -> None:
    run = begun(a_plan(definitions=[a_definition(max_attempts=2)]))
    later = NOON + timedelta(minutes=1)
    run = after(run, uploaded(), admitted(), failed()).run
    decision = after(run, events.TimePassed(), admitted(attempt=2), failed(attempt=2), now=later)
    assert decision.run.nodes["resize"].status is NodeStatus.ERROR
    assert decision.run.status is Status.ERROR
    assert decision.run.error == "node resize: it broke"


def test_a_final_failure_stops_what_it_feeds_and_nothing_else() -> None:
    fork = a_node("fork", inputs={"image": "e0"}, outputs={"resized": "other"})
    plan = a_plan(a_flow(*a_chain(3), fork))
    run = after(begun(plan), uploaded("e0"), admitted("n0"), admitted("fork")).run
    decision = after(run, failed("n0", failure=Failure.NOT_STARTABLE))
    states = {node: state.status for node, state in decision.run.nodes.items()}
    assert states == {
        "n0": NodeStatus.ERROR,
        "n1": NodeStatus.SKIPPED,
        "n2": NodeStatus.SKIPPED,
        "fork": NodeStatus.RUNNING,
    }
    assert decision.run.status is Status.RUNNING
    end = after(decision.run, succeeded("fork", 1, "other"))
    assert end.run.status is Status.ERROR
    assert "other" in end.run.artifacts


def test_what_the_node_did_not_cause_uses_up_none_of_its_attempts() -> None:
    run = after(begun(a_plan(definitions=[a_definition(max_attempts=1)])), uploaded()).run
    now = NOON
    for attempt in range(1, 6):
        run = after(run, admitted(attempt=attempt), failed(attempt=attempt, failure=Failure.RUNTIME), now=now).run
        assert run.nodes["resize"].status is NodeStatus.RETRYING
        now = run.nodes["resize"].retry_at or now
        run = decide(run, events.TimePassed(), now=now).run
    node = after(run, admitted(attempt=6), succeeded(attempt=6), now=now).run.nodes["resize"]
    assert (node.status, node.charged, node.mishaps) == (NodeStatus.COMPLETE, 0, 5)


def test_mishaps_have_a_budget_of_their_own() -> None:
    plan = replace(a_plan(), mishaps=1)
    run = after(begun(plan), uploaded(), admitted(), failed(failure=Failure.STORE)).run
    run = decide(run, events.TimePassed(), now=NOON + timedelta(minutes=10)).run
    decision = after(run, admitted(attempt=2), failed(attempt=2, failure=Failure.STORE))
    assert decision.run.status is Status.ERROR


def test_after_running_out_of_memory_the_next_attempt_climbs_where_that_is_wanted() -> None:
    definition = a_definition(tier="c-nano", retry=Retry(more_memory=True))
    run = after(begun(a_plan(definitions=[definition])), uploaded(), admitted(), failed(failure=Failure.OOM)).run
    assert run.nodes["resize"].climbed == 1
    assert run.plan.nodes["resize"].retry.more_memory[0].name == "c-micro"


def test_an_upload_of_the_wrong_type_ends_the_run_before_anything_starts() -> None:
    decision = after(begun(), events.UploadRefused(edge="resize-in", reason="it is text/plain"))
    assert decision.run.status is Status.ERROR
    assert decision.run.error == "it is text/plain"
    assert decision.run.nodes["resize"].status is NodeStatus.SKIPPED
    assert not any(isinstance(command, commands.StartNode) for command in decision.commands)


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_upload_that_does_not_come_ends_the_run_with_its_reason() -> None:
    plan = a_plan(upload_seconds=5400.0)
    late = NOON + timedelta(seconds=5400)
    assert deadlines.due(begun(plan)) == late
    decision = after(begun(plan), events.TimePassed(), now=late)
    assert decision.run.status is Status.ERROR
    assert decision.run.error == "upload of edge resize-in did not arrive within 1h30m"


def test_an_attempt_that_runs_too_long_is_stopped_and_told_as_timed_out() -> None:
    run = after(begun(a_plan(definitions=[a_definition(timeout="90s")])), uploaded(), admitted(), started()).run
    late = NOON + timedelta(seconds=90)
    assert deadlines.due(run) == late
    decision = after(run, events.TimePassed(), now=late)
    assert decision.commands == (commands.StopNode(node="resize", attempt=1),)
    ended = after(decision.run, failed(exit_code=143), now=late)
    last = ended.run.nodes["resize"].last
    assert last is not None
    assert (last.failure, last.reason) == (Failure.TIMEOUT, "timed out: ran longer than its limit of 1m30s")


def test_a_stop_that_is_not_answered_is_ordered_again() -> None:
    run = after(begun(a_plan(definitions=[a_definition(timeout="90s")])), uploaded(), admitted(), started()).run
    run = after(run, events.TimePassed(), now=NOON + timedelta(seconds=90)).run
    due = deadlines.due(run)
    assert due == NOON + timedelta(seconds=90 + deadlines.STOPPING_SECONDS)
    assert after(run, events.TimePassed(), now=due).commands == (commands.StopNode(node="resize", attempt=1),)


def test_a_flow_that_takes_too_long_while_its_node_is_being_stopped_is_to_end_all_the_same() -> None:
    """There is nothing to order and nothing to tell, but it is to be saved, and the next alarm is a later one."""
    plan = a_plan(a_flow(timeout="2m"), definitions=[a_definition(timeout="90s")])
    run = after(begun(plan), uploaded(), admitted(), started()).run
    run = after(run, events.TimePassed(), now=NOON + timedelta(seconds=90)).run
    late = NOON + timedelta(minutes=2)
    assert deadlines.due(run) == late
    decision = after(run, events.TimePassed(), now=late)
    assert (decision.events, decision.commands) == ((), ())
    assert not decision.idle
    again = deadlines.due(decision.run)
    assert again is not None
    assert again > late
    assert after(decision.run, events.TimePassed(), now=late).idle


def test_a_flow_that_takes_too_long_ends_with_its_reason() -> None:
    run = after(begun(a_plan(a_flow(timeout="5m"))), uploaded(), admitted(), started()).run
    decision = after(run, events.TimePassed(), now=NOON + timedelta(minutes=5))
    assert decision.commands == (commands.StopNode(node="resize", attempt=1),)
    assert decision.run.status is Status.RUNNING, "it has not ended while its container lives"
    ended = after(decision.run, failed(exit_code=143))
    assert (ended.run.status, ended.run.error) == (Status.ERROR, "the flow timed out after 5m")


def test_a_node_that_finds_no_room_fails_in_the_end() -> None:
    run = after(begun(a_plan(queue_seconds=60.0)), uploaded()).run
    decision = after(run, events.TimePassed(), now=NOON + timedelta(seconds=60))
    assert decision.run.error == "node resize: there was no room for it within 1m"
    assert commands.StopNode(node="resize", attempt=1) in decision.commands


# ── Cancelling ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_cancelling_a_run_that_waits_stops_it_at_once() -> None:
    decision = after(begun(), events.CancelRequested(mode="kill"))
    assert decision.run.status is Status.STOPPED
    assert decision.run.nodes["resize"].status is NodeStatus.SKIPPED


def test_a_killed_run_is_stopped_when_its_last_container_is_gone() -> None:
    run = after(begun(), uploaded(), admitted(), started()).run
    decision = after(run, events.CancelRequested(mode="kill"))
    assert decision.run.status is Status.RUNNING
    assert decision.commands == (commands.StopNode(node="resize", attempt=1),)
    ended = after(decision.run, failed(exit_code=137))
    assert ended.run.status is Status.STOPPED
    assert ended.run.nodes["resize"].error == "cancelled"


def test_draining_lets_what_runs_finish_and_starts_nothing() -> None:
    run = after(begun(a_plan(a_flow(*a_chain(2)))), uploaded("e0"), admitted("n0"), started("n0")).run
    run = after(run, events.CancelRequested(mode="drain")).run
    decision = after(run, succeeded("n0", 1, "e1"))
    assert decision.run.status is Status.STOPPED
    assert decision.run.nodes["n1"].status is NodeStatus.SKIPPED
    assert "e1" in decision.run.artifacts


def test_the_same_cancel_stops_nodes_in_the_same_order_in_every_process() -> None:
    # A set of names has another order in each process; a decision must not.
    names = [f"n{number:02}" for number in range(12)]
    run = begun(a_plan(a_flow(*(a_node(name, inputs={}) for name in names))))
    decision = after(run, events.CancelRequested(mode="kill"))
    assert decision.commands[:-1] == tuple(commands.StopNode(node=name, attempt=1) for name in names)


def test_a_kill_may_follow_a_drain() -> None:
    run = after(begun(), uploaded(), admitted(), started(), events.CancelRequested(mode="drain")).run
    decision = after(run, events.CancelRequested(mode="kill"))
    assert decision.commands == (commands.StopNode(node="resize", attempt=1),)
    assert after(decision.run, events.CancelRequested(mode="drain")).idle


def test_a_drain_that_finds_everything_done_leaves_the_run_complete() -> None:
    run = after(begun(), uploaded(), admitted(), started(), events.CancelRequested(mode="drain")).run
    assert after(run, succeeded()).run.status is Status.COMPLETE


# ── Late, doubled, unknown ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "report",
    [
        uploaded("resize-out"),
        uploaded("nowhere"),
        admitted(attempt=2),
        started(),
        succeeded(),
        failed(),
        succeeded("nobody"),
        events.NodeProgressed(node="resize", attempt=1, progress=0.5),
        events.TimePassed(),
    ],
)
def test_a_report_that_means_nothing_changes_nothing(report: events.Report) -> None:
    run = begun()
    decision = decide(run, report, now=NOON)
    assert decision.idle
    assert decision.run == run


def test_a_second_object_for_an_edge_changes_nothing() -> None:
    run = after(begun(), uploaded()).run
    second = events.UploadSealed(edge="resize-in", artifact=an_artifact("resize-in", sha256="cd"))
    assert decide(run, second, now=NOON).idle


def test_a_result_of_an_earlier_attempt_changes_nothing() -> None:
    run = after(begun(), uploaded(), admitted(), failed()).run
    run = decide(run, events.TimePassed(), now=NOON + timedelta(minutes=1)).run
    assert decide(run, succeeded(attempt=1), now=NOON).idle


def test_a_move_that_is_not_in_the_table_is_a_bug_and_said_so() -> None:
    turn = Turn(begun(), NOON)
    with pytest.raises(errors.Broken, match="cannot go from IDLE to COMPLETE"):
        turn.change(turn.node("resize"), status=NodeStatus.COMPLETE)


# ── Recovery and resuming ────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_crash_interrupted_is_ordered_again() -> None:
    run = after(begun(), uploaded(), admitted(), started(), events.CancelRequested(mode="kill")).run
    assert outstanding(run) == (
        commands.StartNode(node="resize", attempt=1),
        commands.StopNode(node="resize", attempt=1),
    )
    assert outstanding(begun()) == (commands.AwaitUpload(edge="resize-in"),)


def test_a_resumed_run_starts_where_the_old_one_stopped() -> None:
    plan = a_plan(a_flow(*a_chain(2)))
    decision = begin(
        RUN_ID,
        plan,
        now=NOON,
        reused={"n0": (an_artifact("e1"),)},
        inputs={"e0": an_artifact("e0")},
        resumed_from="run_old",
    )
    assert decision.run.nodes["n0"].reused
    assert set(decision.commands) == {
        commands.PrepareNode(node="n1"),
        commands.StartNode(node="n1", attempt=1),
    }


# ── Room at once ─────────────────────────────────────────────────────────────────────────────────────────────────


def sealed(run: Run, *, room: Any) -> Decision:
    decision, _ = decide_all(
        run, [events.UploadSealed(edge="e0", artifact=an_artifact("e0"))], now=NOON, chance=lambda: 0.5, room=room
    )
    return decision


def test_where_there_is_room_an_attempt_is_admitted_in_the_decision_that_makes_it_ready() -> None:
    asked = []

    def room(node: Any, over: Collection[str]) -> bool:
        asked.append((node.id, len(node.attempts), *over))
        return True

    run = begun(a_plan(a_flow(*a_chain(2))))
    at_once, later = sealed(run, room=room), sealed(run, room=None)
    assert asked == [("n0", 1)]
    assert at_once.commands == later.commands == (commands.StartNode(node="n0", attempt=1),)
    assert at_once.run == decide(later.run, events.NodeAdmitted(node="n0", attempt=1), now=NOON).run
    assert [event for event in at_once.events if event not in later.events] == [
        events.NodeAdmitted(node="n0", attempt=1)
    ]


def test_it_is_told_whose_room_is_free_once_this_is_saved() -> None:
    asked = []

    def room(node: Any, over: Collection[str]) -> bool:
        asked.append((node.id, sorted(over)))
        return False

    run = sealed(begun(a_plan(a_flow(*a_chain(2)))), room=lambda *_: True).run
    end = events.NodeSucceeded(node="n0", attempt=1, exit_code=0, artifacts=(an_artifact("e1"),))
    decide_all(run, [end], now=NOON, chance=lambda: 0.5, room=room)
    assert asked == [("n1", ["n0"])]


def test_where_there_is_none_it_waits() -> None:
    run = begun(a_plan(a_flow(*a_chain(2))))
    assert sealed(run, room=lambda *_: False) == sealed(run, room=None)


def test_nothing_is_admitted_to_a_run_that_is_to_end() -> None:
    run = begun(a_plan(a_flow(*a_chain(2))))
    reports: list[events.Report] = [
        events.UploadSealed(edge="e0", artifact=an_artifact("e0")),
        events.CancelRequested(mode="kill"),
    ]
    decision, _ = decide_all(run, reports, now=NOON, chance=lambda: 0.5, room=lambda *_: pytest.fail("asked"))
    assert not [event for event in decision.events if isinstance(event, events.NodeAdmitted)]
