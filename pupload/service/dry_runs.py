"""
Dry runs: a flow tried out on the first rows of what it takes; nothing of it is kept.

It is a run like any other, carried out by the same engine, that nobody but whoever asked ever sees. When its nodes have
ended they are told, and the run is erased with all that it made; so it is when its caller goes away, or a server dies.
"""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pupload import errors
from pupload.domain import collection, dry
from pupload.domain.decide import begin
from pupload.domain.events import UploadSealed
from pupload.domain.flow import Flow
from pupload.domain.plan import Plan, Provenance
from pupload.domain.run import Decision, Failure, NodeRun, NodeStatus, Run
from pupload.engine.engine import Engine
from pupload.service.dry_sources import Brought, Bytes, Earlier, Input, Sources
from pupload.service.flows import Flows
from pupload.service.runs import Runs
from pupload.service.tables import Tables
from pupload.service.views import Order

__all__ = ["ROWS", "Bytes", "DryNode", "DryRuns", "Earlier", "Input"]

log = logging.getLogger(__name__)

ROWS = dry.ROWS
"""Of each table that a node is given, and that is shown."""

_TABLE_BYTES = 64 * 1024 * 1024
"""Of a file that was not cut, read for its first rows."""

Status = Literal["success", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryNode:
    """What became of a node."""

    node: str
    name: str
    status: Status
    columns: Sequence[str] = ()
    rows: Sequence[Mapping[str, Any]] = ()
    """Of its first output that is a table: at most `ROWS`, values by column."""
    error: str = ""


class DryRuns:
    """Tries flows out."""

    def __init__(self, *, engine: Engine, runs: Runs, flows: Flows, scratch: Path, seconds: float = 300.0) -> None:
        """
        After `seconds` a dry run is stopped, and what there is is told. `scratch` is a folder on the store's file
        system.
        """
        self._engine = engine
        self._runs = runs
        self._flows = flows
        self._scratch = scratch
        self._seconds = seconds
        self._sources = Sources(engine=engine, runs=runs)
        self._tables = Tables(engine=engine, runs=runs, scratch=scratch, most_bytes=_TABLE_BYTES)

    async def run(
        self,
        flow: str,
        *,
        version: int | None = None,
        params: Mapping[str, str] | None = None,
        inputs: Mapping[str, Input] | None = None,
        seconds: float | None = None,
    ) -> Mapping[str, DryNode]:
        """
        What became of each node of the saved flow, by its id and in the flow's order, when all has ended.

        Whoever is cancelled stops it. Flows that are not enabled can be tried, too. Raises `errors.UnknownSavedFlow`,
        `errors.UnknownVersion`, and as `run_order`.
        """
        view = await self._flows.to_run(flow, version=version)
        order = Order(
            flow=view.content.flow,
            definitions=view.content.definitions,
            params=params or {},
            provenance=Provenance(flow=view.flow.id, version=view.version.number),
        )
        return await self.run_order(order, inputs=inputs, seconds=seconds)

    async def run_order(
        self, order: Order, *, inputs: Mapping[str, Input] | None = None, seconds: float | None = None
    ) -> Mapping[str, DryNode]:
        """
        The same of a flow that is not saved.

        Raises `errors.Invalid` with all findings, `errors.Malformed` for inputs of what there is not,
        `errors.TooLarge`, `errors.UnknownRun`, `errors.DiskFull`, and `errors.TryLater` where it could not begin.
        """
        self._engine.disks.check()
        world = self._engine.world
        run_id, now = world.ids.new_run_id(), world.clock.now()
        plan = await self._runs.plan(order, run_id, now)
        async with self._folder() as folder:
            brought, missing = await self._sources.bring(begin(run_id, plan, now=now).run, inputs or {}, folder)
            left_out = dry.skipped(plan, missing)
            told = {node: DryNode(node=node, name=node, status="skipped", error=why) for node, why in left_out.items()}
            dry_plan = dry.planned(plan, run_id=run_id, brought=brought, missing=missing)
            if dry_plan.nodes:
                limit = self._seconds if seconds is None else min(seconds, self._seconds)
                told |= await self._carry_out(begin(run_id, dry_plan, now=now), brought, limit)
        return {node: told[node] for node in _in_order(plan.flow, plan)}

    async def _carry_out(
        self, decision: Decision, brought: Mapping[str, Brought], seconds: float
    ) -> dict[str, DryNode]:
        """What became of its nodes; nothing of the run is left afterwards."""
        ephemeral, driver, run_id = self._engine.ephemeral, self._engine.driver, decision.run.id
        ephemeral.hold(run_id)
        beginning = asyncio.ensure_future(driver.begin(decision))
        try:
            run = await asyncio.shield(beginning)
            for edge in [name for name in brought if name in run.plan.edges]:
                artifact = await self._sources.put(run, edge, brought[edge])
                await driver.report(run_id, UploadSealed(edge=edge, artifact=artifact))
            stopped = "" if await ephemeral.over(run_id, seconds=seconds) else f"stopped after {seconds:g} seconds"
            if stopped:
                await ephemeral.stop(run_id)
            return await self._told(await driver.look(run_id), stopped)
        finally:
            erasing, task = ephemeral.erase(run_id, beginning), asyncio.current_task()
            if task is None or not task.cancelling():  # who goes away does not wait for it
                await asyncio.shield(erasing)

    # ── What is told ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _told(self, run: Run, stopped: str) -> dict[str, DryNode]:
        nodes = list(run.plan.nodes)
        told = await asyncio.gather(*(self._node(run, run.nodes[node], stopped) for node in nodes))
        return dict(zip(nodes, told, strict=True))

    async def _node(self, run: Run, node: NodeRun, stopped: str) -> DryNode:
        status, error = _became(node, stopped)
        columns, rows = await self._rows(run, node.id) if status == "success" else ((), ())
        return DryNode(node=node.id, name=node.id, status=status, columns=columns, rows=rows, error=error)

    async def _rows(self, run: Run, node: str) -> tuple[Sequence[str], Sequence[Mapping[str, Any]]]:
        """Of the node's first output that holds any; nothing where none does."""
        for port in run.plan.nodes[node].outputs:
            edge = port.edge
            artifact = run.artifacts.get(edge)
            if artifact is None:
                continue
            if artifact.items is not None:
                edge = next((item.edge for _, item in collection.placed(artifact, run.artifacts)), "")
            try:
                table = await self._tables.shown(run, edge=edge, rows=ROWS) if edge else None
            except (errors.NoPreview, errors.InspectorUnavailable):
                continue
            if table is not None:
                return table.columns, table.rows
        return (), ()

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        """One for files that are brought; gone afterwards, as at the next start."""
        folder = self._scratch / self._engine.world.ids.token()
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # not awaited: it must be gone also when this is cancelled


def _became(node: NodeRun, stopped: str) -> tuple[Status, str]:
    if node.status is NodeStatus.COMPLETE:
        return "success", ""
    if node.status is NodeStatus.SKIPPED:
        return "skipped", stopped or node.error or ("its condition was not met" if node.unmet else "")
    cancelled = node.last is None or node.last.failure in ("", Failure.CANCELLED)
    if stopped and cancelled:
        return ("failed", stopped) if node.last is not None and node.last.admitted_at else ("skipped", stopped)
    if node.status is NodeStatus.ERROR:
        return "failed", node.error
    return "skipped", node.error


def _in_order(flow: Flow, plan: Plan) -> list[str]:
    return [node.id for node in flow.nodes if node.id in plan.nodes]
