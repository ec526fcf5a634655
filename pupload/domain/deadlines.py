"""
What a run waits for, and how long it may.

Every state that is not terminal has a deadline, so that a run always ends or says what it waits for: all but waiting
for a slot, which those have to give back that go before. That is no waiting for room, and no handler's time.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from pupload.domain import queueing
from pupload.domain.plan import Origin, Plan
from pupload.domain.run import Attempt, NodeRun, NodeStatus, Run

STAGING_SECONDS = 3600.0
"""Longest time between admission and the container's start: pulling an image and fetching inputs."""

STOPPING_SECONDS = 120.0
"""An attempt that was told to stop and did not report its end in this time is told again."""

HANDLING_SECONDS = 3600.0
"""What all handlers of a run have together, unless one of them may take longer by itself."""


def awaited(run: Run) -> list[str]:
    """Edges whose object is still to come from outside, and is still wanted, in the plan's order."""
    if run.ending is not None or run.status.terminal:
        return []
    return [
        name
        for name, edge in run.plan.edges.items()
        if edge.origin is not Origin.NODE
        and name not in run.artifacts
        and name not in run.absent
        and any(not run.nodes[consumer].status.terminal for consumer in edge.consumers)
    ]


def due(run: Run) -> datetime | None:
    """When `events.TimePassed` is to be reported; None only when the run is over, or waits for a slot."""
    if run.status.terminal:
        return None
    moments = [of_node(run, run.nodes[node]) for node in run.active]
    if run.ending is None:
        if awaited(run):
            moments.append(of_uploads(run))
        if run.outcome is not None:
            moments.append(None if run.queued_at is not None else of_handlers(run))
        elif run.plan.timeout_seconds is not None:
            moments.append(of_run(run))
    return min((moment for moment in moments if moment is not None), default=None)


def sooner(run: Run, moment: datetime, nodes: Iterable[str]) -> datetime:
    """
    `moment`, or the earliest at which something must be done about one of these nodes.

    Never later than `due`, where `moment` was not before these nodes changed, but perhaps sooner: what was awaited then
    may have happened. What it takes does not depend on the size of the run.
    """
    moments = [of_node(run, run.nodes[node]) for node in nodes]
    if run.outcome is not None and run.ending is None and run.queued_at is None:
        moments.append(of_handlers(run))
    return min((moment, *(found for found in moments if found is not None)))


def of_uploads(run: Run) -> datetime:
    """When the run gives up waiting for uploads."""
    return run.created_at + timedelta(seconds=run.plan.upload_seconds)


def of_run(run: Run) -> datetime:
    """When the whole run has timed out; far away when it has no such limit."""
    seconds = run.plan.timeout_seconds
    return (
        datetime.max.replace(tzinfo=run.created_at.tzinfo)
        if seconds is None
        else run.created_at + timedelta(seconds=seconds)
    )


def of_handlers(run: Run) -> datetime:
    """When handlers are ended that have not ended by themselves; far away while none runs, or may run."""
    since = None if run.outcome is None else queueing.waits_since(run, run.outcome.at)
    if since is None:
        return datetime.max.replace(tzinfo=run.created_at.tzinfo)
    return since + timedelta(seconds=handling_seconds(run.plan))


def handling_seconds(plan: Plan) -> float:
    """How long all handlers together may take."""
    return max(HANDLING_SECONDS, *(plan.nodes[node].timeout_seconds for node in plan.handlers))


def of_node(run: Run, node: NodeRun) -> datetime | None:
    """When something must be done about the node, whatever it reports; None where nothing of it is under way."""
    if node.status is NodeStatus.RETRYING:
        return node.retry_at
    if node.status in (NodeStatus.READY, NodeStatus.RUNNING) and node.last is not None:
        return _of_attempt(run, node, node.last)
    return None


def _of_attempt(run: Run, node: NodeRun, attempt: Attempt) -> datetime | None:
    if attempt.stopping_at is not None:
        return attempt.stopping_at + timedelta(seconds=STOPPING_SECONDS)
    if attempt.executing_at is not None:
        return attempt.executing_at + timedelta(seconds=run.plan.nodes[node.id].timeout_seconds)
    if attempt.admitted_at is not None:
        return attempt.admitted_at + timedelta(seconds=STAGING_SECONDS)
    since = queueing.waits_since(run, attempt.ready_at)
    return None if since is None else since + timedelta(seconds=run.plan.queue_seconds)
