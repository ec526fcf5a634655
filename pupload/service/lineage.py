"""Where data comes from and who uses it: of all saved flows, and of one artifact of a run."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pupload import errors
from pupload.domain import lineage, tracing
from pupload.domain.lineage import Graph
from pupload.domain.run import Run
from pupload.engine import aside
from pupload.engine.engine import Engine
from pupload.service import owned
from pupload.service.flows import Flows
from pupload.service.outlines import Outlines
from pupload.service.runs import Runs

MOST_KIN = 20
"""Runs of the family that are looked into."""

_FEW = 50
"""More flows' graphs take some milliseconds to join."""

_MANY = 2000
"""Links that take some milliseconds to go through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """A run that has the very same object: one that this run resumes, or that resumed or replayed it."""

    run: str
    flow_id: str
    replays: bool
    resumed_from: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The way of an artifact through its run."""

    run: str
    flow_id: str
    """The saved flow that the run is of; empty where it is of none."""
    resumed_from: str | None
    edge: str
    upstream: Sequence[tracing.Step]
    """How it came to be: its own edge, then those that it goes back to, nearest first."""
    downstream: Sequence[tracing.Use]
    """The nodes of the run that took it or what was made of it, nearest first."""
    shared: Sequence[Taker]
    """Other runs that have it, oldest first; at most so many of a family are looked into (`MOST_KIN`)."""


class Lineage:
    """What can be asked about where data comes from."""

    def __init__(self, *, engine: Engine, runs: Runs, flows: Flows, outlines: Outlines) -> None:
        self._kin = owned.Runs(engine)
        self._runs = runs
        self._flows = flows
        self._outlines = outlines
        self._joined = (-1, lineage.EMPTY)
        self._lock = asyncio.Lock()

    async def graph(self, *, flow: str | None = None) -> Graph:
        """
        Of all saved flows; or of one, and whoever else reads or writes the objects that it does.

        Raises `errors.UnknownSavedFlow`.
        """
        if flow is None:
            return await self._whole()
        found, whole = await self._flows.find(flow), await self._whole()
        return await aside.aside(partial(lineage.around, found.id, whole), large=len(whole.edges) > _MANY)

    async def _whole(self) -> Graph:
        """What all flows together make that are there for the caller; that of everybody's is kept."""
        if owned.shown() is not None:
            graphs = [each.ways for each in (await self._outlines.all()).values()]
            return await aside.aside(partial(lineage.joined, graphs), large=len(graphs) > _FEW)
        async with self._lock:
            outlines = await self._outlines.everybodys()
            generation = self._outlines.generation
            if self._joined[0] != generation:
                graphs = [each.ways for each in outlines.values()]
                joined = await aside.aside(partial(lineage.joined, graphs), large=len(graphs) > _FEW)
                self._joined = (generation, joined)
            return self._joined[1]

    async def of_artifact(self, run_id: str, edge: str) -> Trace:
        """
        Where what lies on the run's edge came from, and what used it.

        Raises `errors.UnknownRun`, `errors.Malformed` where the run has no such edge.
        """
        run = await self._runs.find(run_id)
        try:
            steps, uses = tuple(tracing.origins(run, edge)), tuple(tracing.uses(run, edge))
        except KeyError:
            raise errors.Malformed(reason=f"run {run.id} has no edge {edge[:64]}") from None
        return Trace(
            run=run.id,
            flow_id=run.plan.flow_id,
            resumed_from=run.resumed_from,
            edge=edge,
            upstream=steps,
            downstream=uses,
            shared=await self._shared(run, edge),
        )

    async def _shared(self, run: Run, edge: str) -> Sequence[Taker]:
        artifact = run.artifacts.get(edge)
        found = []
        for other in await self._kin.kin(run.id, limit=MOST_KIN) if artifact is not None else ():
            with suppress(errors.UnknownRun, errors.Damaged):
                kin = await self._runs.find(other)
                if artifact is not None and tracing.took(kin, artifact):
                    found.append(_taker(kin))
        return found


def _taker(run: Run) -> Taker:
    return Taker(run=run.id, flow_id=run.plan.flow_id, replays=run.plan.replays, resumed_from=run.resumed_from)
