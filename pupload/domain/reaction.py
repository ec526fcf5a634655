"""
How a run reacts to each kind of report: one function each, and what follows from it.

`pupload.domain.decide` is the door; this module is what is behind it.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pupload.domain import (
    awaiting,
    branches,
    collection,
    commands,
    deadlines,
    duration,
    events,
    handlers,
    queueing,
    retry,
    values,
)
from pupload.domain.artifact import Artifact
from pupload.domain.plan import Origin
from pupload.domain.run import Attempt, Ending, Failure, NodeRun, NodeStatus, Status
from pupload.domain.turn import Turn

DRAIN, KILL = "drain", "kill"
"""The modes of a cancel."""


Chance = Callable[[], float]
"""Between 0 and 1, new with every call."""


def react(turn: Turn, report: events.Report, *, chance: Chance) -> None:
    """Works the report in; the most frequent ones are looked for first."""
    match report:
        case events.NodeAdmitted():
            _node_admitted(turn, report)
        case events.NodeStarted():
            _node_started(turn, report)
        case events.NodeSucceeded():
            _node_succeeded(turn, report)
        case events.NodeProgressed():
            _node_progressed(turn, report)
        case events.NodeReused():
            _node_reused(turn, report)
        case events.AttemptFailed():
            _attempt_failed(turn, report, chance)
        case events.UploadSealed():
            _upload_sealed(turn, report)
        case events.UploadRefused():
            _upload_refused(turn, report)
        case events.CancelRequested():
            _cancel_requested(turn, report)
        case events.TimePassed():
            _time_passed(turn)
        case events.RunQueued() | events.RunDequeued() | events.PriorityChanged():
            queueing.react(turn, report)


# ── Uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _upload_sealed(turn: Turn, report: events.UploadSealed) -> None:
    if not _is_open(turn, report.edge):
        return
    turn.put_artifact(report.artifact)
    turn.happened.append(report)
    for node in turn.plan.edges[report.edge].consumers:
        make_ready(turn, node)


def _upload_refused(turn: Turn, report: events.UploadRefused) -> None:
    if not _is_open(turn, report.edge):
        return
    turn.happened.append(report)
    _blame(turn, report.reason)
    turn.leave_empty(report.edge, report.reason)
    # Optional inputs are no exception: what was refused is not what nobody gave.
    for node in turn.plan.edges[report.edge].consumers:
        _skip(turn, node, report.reason)


def _is_open(turn: Turn, edge: str) -> bool:
    """Whether the edge still waits for something from outside."""
    known = turn.plan.edges.get(edge)
    return (
        known is not None
        and known.origin is not Origin.NODE
        and not turn.has_artifact(edge)
        and not turn.is_empty(edge)
        and turn.head.ending is None
        and turn.head.outcome is None
    )


def _stays_empty(turn: Turn, edge: str, reason: str) -> None:
    """An optional output was not written: who needs it is skipped, who can do without it goes on."""
    turn.leave_empty(edge, reason)
    for node in turn.plan.edges[edge].consumers:
        # What another flow would have made of it is as empty as it is.
        needed = any(port.required and turn.is_empty(port.edge) for port in turn.plan.nodes[node].inputs)
        if needed:
            _skip(turn, node, reason)
        else:
            make_ready(turn, node)


# ── Attempts ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _current(turn: Turn, node: str, number: int, *statuses: NodeStatus) -> tuple[NodeRun, Attempt] | None:
    """The node and the attempt, where that is its current one and the node is in one of these states."""
    if not turn.has_node(node):
        return None
    known = turn.node(node)
    if known.status not in statuses or not known.attempts or known.attempts[-1].number != number:
        return None
    return known, known.attempts[-1]


def _with_last(node: NodeRun, attempt: Attempt) -> tuple[Attempt, ...]:
    return (*node.attempts[:-1], attempt)


def _node_admitted(turn: Turn, report: events.NodeAdmitted) -> None:
    found = _current(turn, report.node, report.attempt, NodeStatus.READY)
    if found is None:
        return
    node, attempt = found
    admitted = values.replace(attempt, admitted_at=turn.now)
    turn.change(node, status=NodeStatus.RUNNING, attempts=_with_last(node, admitted))
    queueing.dequeued(turn)
    turn.happened.append(report)


def _node_started(turn: Turn, report: events.NodeStarted) -> None:
    found = _current(turn, report.node, report.attempt, NodeStatus.RUNNING)
    if found is None or found[1].executing_at is not None:
        return
    node, attempt = found
    started = values.replace(attempt, executing_at=turn.now, image=report.image, missed=report.missed)
    turn.change(node, attempts=_with_last(node, started))
    turn.happened.append(report)


def _node_progressed(turn: Turn, report: events.NodeProgressed) -> None:
    found = _current(turn, report.node, report.attempt, NodeStatus.RUNNING)
    if found is None or report.progress == found[0].progress:
        return
    turn.change(found[0], progress=report.progress)
    turn.happened.append(report)


def _node_succeeded(turn: Turn, report: events.NodeSucceeded) -> None:
    found = _current(turn, report.node, report.attempt, NodeStatus.RUNNING)
    if found is None:
        return
    node, attempt = found
    ended = values.replace(
        attempt, finished_at=turn.now, exit_code=report.exit_code, peak_memory_bytes=report.peak_memory_bytes
    )
    turn.change(
        node,
        status=NodeStatus.COMPLETE,
        attempts=_with_last(node, ended),
        progress=1.0,
        error="",
        warning=report.warning,
    )
    report = _named(turn, report)
    turn.happened.append(_without_items(report))
    take_outputs(turn, report.node, report.artifacts)


def _node_reused(turn: Turn, report: events.NodeReused) -> None:
    """It needs no room: what was found to be done may be so before there is any."""
    found = _current(turn, report.node, report.attempt, NodeStatus.READY, NodeStatus.RUNNING)
    if found is None:
        return
    attempts = _with_last(found[0], values.replace(found[1], finished_at=turn.now))
    done = {"status": NodeStatus.COMPLETE, "progress": 1.0, "error": ""}
    turn.change(found[0], attempts=attempts, reused=True, source=report.source, **done)
    report = _named(turn, report)
    turn.happened.append(_without_items(report))
    take_outputs(turn, report.node, report.artifacts)


Good = TypeVar("Good", events.NodeSucceeded, events.NodeReused)


def _without_items(report: Good) -> Good:
    """For the journal: thousands of items are no page of it."""
    if all(artifact.items is None for artifact in report.artifacts):
        return report
    return values.replace(report, artifacts=collection.without_items(report.artifacts))


def _named(turn: Turn, report: Good) -> Good:
    """What was made of an item is called after that."""
    source = turn.item_of(report.node)
    if source is None:
        return report
    return values.replace(report, artifacts=tuple([collection.called_after(one, source) for one in report.artifacts]))


def take_outputs(turn: Turn, node: str, made: Iterable[Artifact]) -> None:
    """The artifacts lie on their edges from now on, and what lies downstream of the node may start."""
    for artifact in made:
        turn.put_artifact(artifact)
    for port in turn.plan.nodes[node].outputs if node in turn.plan.nodes else ():
        if not turn.has_artifact(port.edge):
            _stays_empty(turn, port.edge, f"node {node} did not write its optional output {port.port}")
            continue
        for consumer in turn.plan.edges[port.edge].consumers:
            make_ready(turn, consumer)


def _attempt_failed(turn: Turn, report: events.AttemptFailed, chance: Chance) -> None:
    found = _current(turn, report.node, report.attempt, NodeStatus.RUNNING)
    if found is None:
        return
    node, attempt = found
    told = report
    if _was_stopped(attempt, report):
        told = values.replace(report, failure=attempt.stopping, reason=attempt.reason)
    failure = Failure(told.failure)
    ended = values.replace(
        attempt,
        finished_at=turn.now,
        exit_code=told.exit_code,
        failure=failure,
        reason=told.reason,
        peak_memory_bytes=told.peak_memory_bytes,
    )
    mishap = failure in retry.MISHAPS
    node = turn.change(
        node,
        attempts=_with_last(node, ended),
        charged=node.charged + (not mishap),
        mishaps=node.mishaps + mishap,
        error=told.reason,
        progress=None,
    )
    turn.happened.append(told)
    _retry_or_fail(turn, node, told, failure, chance)


def _was_stopped(attempt: Attempt, report: events.AttemptFailed) -> bool:
    """Whether its end is what it was stopped for: not where its time ran out while the engine, or it, was gone."""
    timed_out_in_vain = attempt.stopping == Failure.TIMEOUT and report.failure == Failure.RUNTIME
    return bool(attempt.stopping) and not timed_out_in_vain


def _retry_or_fail(turn: Turn, node: NodeRun, told: events.AttemptFailed, failure: Failure, chance: Chance) -> None:
    plan = turn.plan
    pause = retry.pause_seconds(
        plan.nodes[node.id], node, failure, exit_code=told.exit_code, mishaps=plan.mishaps, chance=chance()
    )
    if pause is None or turn.head.ending is not None or turn.is_given_up(node.id):
        fail(turn, node, failure, told.reason, exit_code=told.exit_code)
        return
    retry_at = turn.now + timedelta(seconds=pause)
    turn.change(
        node,
        status=NodeStatus.RETRYING,
        retry_at=retry_at,
        climbed=node.climbed + (failure is Failure.OOM),
    )
    turn.happened.append(
        events.NodeRetrying(
            node=node.id,
            attempt=told.attempt,
            failure=failure,
            reason=told.reason,
            exit_code=told.exit_code,
            retry_at=retry_at,
        )
    )


# ── The end of a node ────────────────────────────────────────────────────────────────────────────────────────────


def fail(turn: Turn, node: NodeRun, failure: Failure, reason: str, *, exit_code: int | None = None) -> None:
    """The node failed for good. What follows where it runs for an item is in `pupload.domain.foreach`."""
    turn.change(node, status=NodeStatus.ERROR, error=reason, retry_at=None)
    number = node.last.number if node.last else 0
    turn.happened.append(
        events.NodeFailed(node=node.id, attempt=number, failure=failure, reason=reason, exit_code=exit_code)
    )
    if node.id not in turn.plan.nodes:
        return
    if failure is not Failure.CANCELLED:
        _blame(turn, f"node {node.id}: {reason}")
    _skip_what_it_feeds(turn, node.id)


def _blame(turn: Turn, reason: str) -> None:
    """The first thing that went wrong is what the run tells."""
    if not turn.head.error:
        turn.change_run(error=reason)


def _skip(turn: Turn, node: str, reason: str) -> None:
    known = turn.node(node)
    if known.status is not NodeStatus.IDLE or (turn.plan.nodes[node].runs and turn.head.outcome is None):
        return  # what ends the others is no end to handlers
    turn.change(known, status=NodeStatus.SKIPPED, error=reason)
    turn.happened.append(events.NodeSkipped(node=node, reason=reason))
    _skip_what_it_feeds(turn, node)


def _skip_what_it_feeds(turn: Turn, node: str) -> None:
    """Everything downstream that cannot run without this node; a loop, for flows may be deep."""
    plan = turn.plan
    reason = f"needs the output of node {node}, which did not succeed"
    todo = [node]
    while todo:
        for port in plan.nodes[todo.pop()].outputs:
            for consumer in _needing(turn, port.edge):
                turn.change(consumer, status=NodeStatus.SKIPPED, error=reason)
                turn.happened.append(events.NodeSkipped(node=consumer.id, reason=reason))
                todo.append(consumer.id)


def _needing(turn: Turn, edge: str) -> Iterable[NodeRun]:
    """
    Idle nodes that take this edge.

    Optional inputs are no exception here: an upstream that failed is not an upstream that had nothing to give.
    """
    for consumer in turn.plan.edges[edge].consumers:
        known = turn.node(consumer)
        if known.status is NodeStatus.IDLE:
            yield known


# ── Starting and stopping ────────────────────────────────────────────────────────────────────────────────────────


_WAITS = Attempt(number=1, ready_at=datetime.max.replace(tzinfo=UTC))
"""What every attempt is at first, but for its number and its time."""


def make_ready(turn: Turn, node: str) -> None:
    """The node waits for room from now on, where all its inputs are there and it has not been started."""
    if turn.head.ending is not None:
        return
    known = turn.node(node)
    if known.status is not NodeStatus.IDLE or turn.plan.nodes[node].runs:
        return
    if turn.plan.conditional or _inputs_are_there(turn, node):
        _take_up(turn, known)


def _take_up(turn: Turn, node: NodeRun) -> None:
    """The node, whose inputs are there, begins; where there are conditions, as soon and as far as those let it."""
    if turn.plan.conditional:
        branches.ask(turn, node, queue=_begin, fail=fail)
    else:
        _begin(turn, node)


def _begin(turn: Turn, node: NodeRun) -> None:
    """The node waits for room, or runs once for each item."""
    if turn.plan.nodes[node.id].each is not None:
        turn.to_expand.append(node.id)
    else:
        queue(turn, node)


def _inputs_are_there(turn: Turn, node: str) -> bool:
    for port in turn.plan.nodes[node].inputs:
        if not turn.has_artifact(port.edge) and (port.required or not turn.is_empty(port.edge)):
            return False
    return True


def queue(turn: Turn, node: NodeRun) -> None:
    """The node's next attempt waits for room."""
    number = len(node.attempts) + 1
    waiting = values.replace(_WAITS, number=number, ready_at=turn.now)
    turn.change(node, status=NodeStatus.READY, attempts=(*node.attempts, waiting), retry_at=None)
    turn.happened.append(events.NodeReady(node=node.id, attempt=number))
    turn.orders.append(commands.StartNode(node=node.id, attempt=number))


def _stop(turn: Turn, node: NodeRun, attempt: Attempt, failure: Failure, reason: str) -> None:
    stopping = values.replace(attempt, stopping=failure, reason=reason, stopping_at=turn.now)
    turn.change(node, attempts=_with_last(node, stopping))
    turn.orders.append(commands.StopNode(node=node.id, attempt=attempt.number))


def _cancel_requested(turn: Turn, report: events.CancelRequested) -> None:
    ending, drain = turn.head.ending, report.mode == DRAIN
    if (ending is not None and (drain or not ending.drain)) or (drain and turn.head.outcome is not None):
        return
    reason = "cancelled"
    turn.change_run(ending=Ending(status=Status.STOPPED, reason=reason, drain=drain))
    turn.happened.append(report)
    _wind_down(turn, reason, drain=drain)


def _wind_down(turn: Turn, reason: str, *, drain: bool) -> None:
    """Nothing starts any more; what runs is ended too, unless it may finish."""
    for node in sorted(turn.run.active):
        halt(turn, turn.node(node), reason, drain=drain)
    for node in turn.plan.nodes:
        _skip(turn, node, reason)


def halt(turn: Turn, node: NodeRun, reason: str, *, drain: bool = False) -> None:
    """The node is not begun any more, nor tried again; what runs is stopped, unless it may finish."""
    if node.status is NodeStatus.READY:
        turn.change(node, status=NodeStatus.SKIPPED, error=reason)
        turn.happened.append(events.NodeSkipped(node=node.id, reason=reason))
        turn.orders.append(commands.StopNode(node=node.id, attempt=len(node.attempts)))
    elif node.status is NodeStatus.RETRYING:
        fail(turn, node, Failure.CANCELLED, f"{node.error} (not tried again: {reason})")
    elif node.last is not None and not drain and not node.last.stopping:
        _stop(turn, node, node.last, Failure.CANCELLED, reason)


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _time_passed(turn: Turn) -> None:
    limit = turn.plan.timeout_seconds
    reason = handlers.overdue(turn)
    if turn.head.outcome is None and limit is not None and turn.now >= deadlines.of_run(turn.head):
        reason = f"the flow timed out after {duration.text(limit)}"
    if reason and turn.head.ending is None:
        _blame(turn, reason)
        turn.change_run(ending=Ending(status=Status.ERROR, reason=reason))
        _wind_down(turn, reason, drain=False)
    if turn.now >= deadlines.of_uploads(turn.head):
        for edge in deadlines.awaited(turn.run):
            reason = awaiting.overdue(turn.plan.edges[edge], turn.plan.upload_seconds)
            _upload_refused(turn, events.UploadRefused(edge=edge, reason=reason))
    for node in sorted(turn.run.active):
        moment = deadlines.of_node(turn.head, turn.node(node))
        if moment is not None and turn.now >= moment:
            _node_due(turn, turn.node(node))


def _node_due(turn: Turn, node: NodeRun) -> None:
    plan, attempt = turn.plan, node.last
    if attempt is None:
        return
    if node.status is NodeStatus.RETRYING:
        queue(turn, node)
    elif attempt.stopping_at is not None:
        _stop(turn, node, attempt, Failure(attempt.stopping), attempt.reason)
    elif node.status is NodeStatus.READY:
        fail(turn, node, Failure.QUEUE, f"there was no room for it within {duration.text(plan.queue_seconds)}")
        turn.orders.append(commands.StopNode(node=node.id, attempt=attempt.number))
    elif attempt.executing_at is None:
        reason = f"was not started within {duration.text(deadlines.STAGING_SECONDS)}"
        _stop(turn, node, attempt, Failure.RUNTIME, reason)
    else:
        limit = duration.text(plan.nodes[node.id].timeout_seconds)
        _stop(turn, node, attempt, Failure.TIMEOUT, f"timed out: ran longer than its limit of {limit}")


# ── The run as a whole ───────────────────────────────────────────────────────────────────────────────────────────


def settle(turn: Turn, go_on: Callable[[Turn], None], *, first: bool = False) -> None:
    """
    The run's own status follows from those of its nodes; said in any case when it is the first.

    `go_on` sees to what follows for nodes that run once for each item (`pupload.domain.foreach`).
    """
    if turn.to_expand or turn.items_ended:
        go_on(turn)
    if turn.plan.handlers:
        _handle(turn, go_on)
    queueing.settle(turn)
    if turn.unfinished == 0:
        _end(turn)
        return
    status = Status.RUNNING if turn.active else Status.WAITING
    if status is turn.head.status and not first:
        return
    turn.change_run(status=status)
    if status is Status.RUNNING:
        turn.happened.append(events.RunRunning())
    else:
        turn.happened.append(events.RunWaiting(edges=tuple(deadlines.awaited(turn.run))))


def _handle(turn: Turn, go_on: Callable[[Turn], None]) -> None:
    """Handlers whose time has come begin; again where some came to their end by that."""
    before = turn.unfinished + 1
    while turn.unfinished < before:
        before = turn.unfinished
        handlers.proceed(turn, _take_up)
        go_on(turn)


def _end(turn: Turn) -> None:
    end = handlers.end(turn.run)
    event: events.Event = events.RunFailed(error=turn.head.error)
    if end.status is Status.COMPLETE:
        event = events.RunCompleted()
    elif end.status is Status.STOPPED:
        event = events.RunStopped(reason=end.reason)
    turn.change_run(status=end.status, finished_at=turn.now)
    turn.happened.append(event)
    turn.orders.append(commands.CloseRun())
