"""
A run that waits for a slot: its nodes may not have room yet, whatever there is.

Who has to wait is the engine's to tell (`pupload.engine.slots`). It is saved because of what follows from it: for so
long no node of the run waits for room (`pupload.domain.deadlines`).
"""

from datetime import datetime

from pupload.domain import events
from pupload.domain.run import Decision, NodeStatus, Run
from pupload.domain.turn import Turn


def react(turn: Turn, report: events.RunQueued | events.RunDequeued | events.PriorityChanged) -> None:
    """Works the report in."""
    match report:
        case events.RunQueued():
            _queued(turn, report)
        case events.RunDequeued():
            dequeued(turn)
        case events.PriorityChanged():
            _prioritized(turn, report)


def _queued(turn: Turn, report: events.RunQueued) -> None:
    """The run waits for a slot, where it has anything under way."""
    if turn.head.queued_at is None and turn.active and turn.head.ending is None:
        turn.change_run(queued_at=turn.now)
        turn.happened.append(report)


def dequeued(turn: Turn) -> None:
    """The run does not wait for a slot any more: there is one, or it has one."""
    if turn.head.queued_at is not None:
        turn.change_run(queued_at=None, slot_at=turn.now)
        turn.happened.append(events.RunDequeued())


def settle(turn: Turn) -> None:
    """Who has nothing under way waits for no slot."""
    if turn.head.queued_at is not None and not turn.active:
        turn.change_run(queued_at=None)


def _prioritized(turn: Turn, report: events.PriorityChanged) -> None:
    """The run has another priority from now on."""
    own = turn.head.priority
    if report.priority != (turn.plan.priority if own is None else own):
        turn.change_run(priority=report.priority)
        turn.happened.append(report)


def has_begun(run: Run) -> bool:
    """
    Whether an attempt was admitted since the run has had something under way without a break.

    Told by what is saved of its nodes: it need not be remembered who had a slot.
    """
    under_way = [run.nodes[name] for name in run.active]
    moments = [node.attempts[0].ready_at for node in under_way if node.attempts]
    moments += [node.items.begun_at for node in under_way if node.items is not None and node.items.begun_at is not None]
    if not moments:
        return False
    since = min(moments)
    return any(
        attempt.admitted_at is not None and (attempt.finished_at is None or attempt.finished_at >= since)
        for node in run.nodes.values()
        for attempt in node.attempts
    )


def starts(decision: Decision) -> bool:
    """
    Whether something of the run has room by this decision, or need not run: what waits for a slot has not started.

    A run starts with the first such decision.
    """
    nodes = decision.run.nodes
    return any(
        (node := nodes[name]).status is NodeStatus.RUNNING or (node.reused and node.attempts)
        for name in decision.changed_nodes
    )


def started_at(run: Run) -> datetime | None:
    """When that was; None for a run of which nothing ever had room."""
    moments = [
        moment
        for node in run.nodes.values()
        for attempt in node.attempts
        if (moment := attempt.admitted_at or (attempt.finished_at if node.reused else None)) is not None
    ]
    return min(moments, default=None)


def waits_since(run: Run, ready_at: datetime) -> datetime | None:
    """Since when a node that became ready then waits for room; None while the run waits for a slot."""
    if run.queued_at is not None:
        return None
    return ready_at if run.slot_at is None else max(ready_at, run.slot_at)
