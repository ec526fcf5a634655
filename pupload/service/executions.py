"""
Runs as whoever draws sees them: which drawing each is of, and how far it is as its nodes tell.

A run of a drawing is a run of a saved flow, one for each trigger; a run of none is shown, too. What goes on is told by
what its nodes do: a run is interrupted while nothing of it is under way and somebody has to do something.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pupload import errors
from pupload.domain import awaiting, saved
from pupload.domain.run import NodeStatus, Run, Status
from pupload.ports import RunSummary
from pupload.service.drawn_runs import NAMESPACE
from pupload.service.flows import Flows
from pupload.service.runs import MAX_PAGE, Runs


class State(StrEnum):
    """How far a run is."""

    PENDING = "pending"
    """Nothing of it has begun."""
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """Somebody has to do something: say yes, or bring a file."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_ENDS: Mapping[Status, State] = {
    Status.COMPLETE: State.COMPLETED,
    Status.ERROR: State.FAILED,
    Status.STOPPED: State.CANCELLED,
}
_STATUSES: Mapping[State, Status] = {state: status for status, state in _ENDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A run in short."""

    run: str
    state: State
    drawing: str
    """The slug; empty where it is of none, or of one that is not there any more."""
    error: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Executions:
    """What can be asked about them."""

    def __init__(self, *, runs: Runs, flows: Flows) -> None:
        self._runs = runs
        self._flows = flows

    async def list(
        self, *, state: State | None = None, drawing: str | None = None, limit: int = 50, offset: int = 0
    ) -> tuple[Sequence[Execution], int]:
        """Those that match, newest first, and how many match in all; `limit` is at most 1 000."""
        limit, offset = min(max(limit, 0), MAX_PAGE), max(offset, 0)
        flows: Sequence[str | None] = [None] if drawing is None else await self._flows_of(drawing)
        if state is None or state in _STATUSES:
            status = None if state is None else _STATUSES[state]
            wanted: list[dict[str, Any]] = [{"flow_id": flow, "status": status} for flow in flows]
            if len(wanted) == 1:
                page = await self._runs.list(**wanted[0], limit=limit, offset=offset)
                return await self._executions(page.runs), page.total
            found, total = await self._first(wanted, limit + offset)
            return await self._executions(found[offset : offset + limit]), total
        going: list[dict[str, Any]] = [{"flow_id": flow, "started": each} for flow in flows for each in (True, False)]
        found, _ = await self._first(going, None)
        matching = [one for one in await self._executions(found) if one.state is state]
        return matching[offset : offset + limit], len(matching)

    async def get(self, run_id: str) -> tuple[Run, Execution]:
        """The run, and the same in short. Raises `errors.UnknownRun`."""
        run = await self._runs.find(run_id)
        return run, await self.told(run)

    async def told(self, run: Run) -> Execution:
        """The run in short."""
        return Execution(
            run=run.id,
            state=state_of(run),
            drawing=(await self.drawings([run.plan.flow_id])).get(run.plan.flow_id, ""),
            error=error_of(run),
            created_at=run.created_at,
            started_at=started_at(run),
            finished_at=run.finished_at,
        )

    async def drawings(self, flow_ids: Sequence[str]) -> Mapping[str, str]:
        """The slugs of the drawings that these flows are of, by the flows' ids; those of none are left out."""
        names = await self._flows.names(flow_id for flow_id in flow_ids if flow_id)
        slugs = {flow_id: slug_of(name) for flow_id, name in names.items()}
        return {flow_id: slug for flow_id, slug in slugs.items() if slug}

    async def _flows_of(self, drawing: str) -> Sequence[str]:
        page = await self._flows.list(namespace=f"{NAMESPACE}/{drawing}", source=saved.DRAWN, limit=MAX_PAGE)
        return [flow.id for flow in page.flows]

    async def _first(self, wanted: Sequence[dict[str, Any]], most: int | None) -> tuple[Sequence[RunSummary], int]:
        """The first of all that are wanted, newest first, and how many there are in all; None: every one."""
        found, total = list[RunSummary](), 0
        for each in wanted:
            offset, count = 0, 1
            while offset < count and (most is None or offset < most):
                page = await self._runs.list(**each, limit=MAX_PAGE, offset=offset)
                found += page.runs
                offset, count = offset + MAX_PAGE, page.total
            total += count if offset else 0
        found.sort(key=lambda one: (one.created_at, one.id), reverse=True)
        return found, total

    async def _executions(self, summaries: Sequence[RunSummary]) -> Sequence[Execution]:
        slugs = await self.drawings([one.flow_id for one in summaries])
        return [await self._execution(one, slugs.get(one.flow_id, "")) for one in summaries]

    async def _execution(self, this: RunSummary, slug: str) -> Execution:
        state = _ENDS.get(this.status) or (State.PENDING if this.started_at is None else State.RUNNING)
        if this.status not in _ENDS:
            with suppress(errors.UnknownRun, errors.Damaged):  # purged meanwhile, or not to be read
                state = state_of(await self._runs.find(this.id))
        return Execution(
            run=this.id,
            state=state,
            drawing=slug,
            error=this.error,
            created_at=this.created_at,
            started_at=this.started_at,
            finished_at=this.finished_at,
        )


def slug_of(flow: str) -> str:
    """The slug of the drawing that a saved flow of this full name is of; empty where it is of none."""
    namespace, _, _ = flow.rpartition("/")
    first, _, slug = namespace.partition("/")
    return slug if first == NAMESPACE else ""


def state_of(run: Run) -> State:
    """How far the run is."""
    if run.status in _ENDS:
        return _ENDS[run.status]
    begun = started_at(run) is not None
    if run.active:
        return State.RUNNING if begun else State.PENDING
    if awaiting.approvals(run):
        return State.INTERRUPTED
    if awaiting.runs(run):
        return State.RUNNING  # another run goes on for it
    return State.INTERRUPTED if begun else State.PENDING


def awaited_nodes(run: Run) -> Sequence[str]:
    """The nodes that wait for somebody to do something, of a run that is interrupted."""
    asked = awaiting.approvals(run)
    edges = asked or [edge for edge in run.plan.edges if edge not in run.artifacts]
    waiting = (node for edge in edges for node in run.plan.edges[edge].consumers)
    return list(dict.fromkeys(node for node in waiting if run.nodes[node].status is NodeStatus.IDLE))


def started_at(run: Run) -> datetime | None:
    """When something of the run first had room."""
    admitted = (each.admitted_at for node in run.nodes.values() for each in node.attempts if each.admitted_at)
    return min(admitted, default=None)


def error_of(run: Run) -> str:
    """Why the run failed, as a run tells it."""
    return run.error if run.status is Status.ERROR else ""
