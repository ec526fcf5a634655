"""
Runs on behalf of others: started where a well waits for another flow's result, or where a run failed.

The one that waits is the parent. Each step is found missing by how the two stand, and taken again as often as need be:
the parent's edge has what the child is to be given and there is no child: it is started; it waits for input: it is
given that; it is over: its result goes to the edge, or the reason why there is none; the parent is over: the child is
cancelled. A parent that is resumed has another id, and so another child.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from pupload import errors
from pupload.domain import awaiting, deadlines, saved
from pupload.domain.events import CancelRequested
from pupload.domain.plan import EdgePlan, Origin, Parent
from pupload.domain.run import NodeStatus, Run, Status
from pupload.engine.engine import Engine
from pupload.service import asking, behalf, inputs, results
from pupload.service.flows import Flows
from pupload.service.handing import Hands

log = logging.getLogger(__name__)

MOST_DEPTH = 8
"""Runs on behalf of runs on behalf of runs."""


class Children:
    """Starts runs on behalf of others, gives them what they are to have, and hands on what they come to."""

    def __init__(self, *, engine: Engine, flows: Flows, hands: Hands) -> None:
        self._engine = engine
        self._flows = flows
        self._hands = hands

    def concerns(self, run: Run) -> bool:
        """See `engine.consequences.Consequence`."""
        waits = any(edge.origin is Origin.RUN for edge in run.plan.edges.values())
        return run.plan.parent is not None or bool(run.plan.flow.on_error) or waits

    async def see_to(self, run: Run) -> None:
        """See `engine.consequences.Consequence`."""
        if run.plan.parent is not None:
            await self._see_to_child(run, run.plan.parent)
        wanted = awaiting.runs(run)
        started = await self._engine.consequences.children(run.id) if wanted or run.status.terminal else {}
        for edge in wanted:
            if edge.name not in started:
                await self._start(run, edge)
        if run.status.terminal:
            for child in started.values():
                await self._engine.driver.report(child, CancelRequested(mode="kill"))
        if run.status is Status.ERROR and run.plan.flow.on_error and not _handles_a_failure(run):
            await self._call_handler(run)

    # ── As the parent ────────────────────────────────────────────────────────────────────────────────────────────

    async def _start(self, run: Run, edge: EdgePlan) -> None:
        try:
            await self._begin(run, edge.flow, edge.name)
        except errors.Refused as error:
            reason = f"flow {edge.flow} cannot be run for edge {edge.name}: {error}"
            await self._engine.uploads.refuse(run.id, edge.name, reason)

    async def _call_handler(self, run: Run) -> None:
        try:
            await self._begin(run, run.plan.flow.on_error, "")
        except errors.Refused as error:  # there is nobody else to be told
            log.warning("run %s failed, and flow %s is not run for that: %s", run.id, run.plan.flow.on_error, error)

    async def _begin(self, run: Run, flow: str, edge: str) -> None:
        depth = 1 + (run.plan.parent.depth if run.plan.parent is not None else 0)
        if depth > MOST_DEPTH:
            raise errors.Conflict(reason=f"it would be run number {depth} on behalf of another; {MOST_DEPTH} may be")
        with asking.asked_by(await behalf.of(run.plan.account, self._engine.world.accounts)):
            await self._flows.start(
                flow,
                labels={"parent": run.id, "parent_edge": edge} if edge else {"failed": run.id},
                parent=Parent(run=run.id, edge=edge, depth=depth),
                idempotency_key=f"{run.id} {edge}",
                key_of="on behalf of",
            )

    # ── As the child ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _see_to_child(self, run: Run, about: Parent) -> None:
        try:
            parent = await self._engine.driver.look(about.run)
        except errors.UnknownRun:
            parent = None
        if about.edge and (parent is None or about.edge not in deadlines.awaited(parent)):
            await self._engine.driver.report(run.id, CancelRequested(mode="kill"))  # nobody waits for it
        elif parent is not None and run.status.terminal:
            if about.edge:
                await self._hand_on(run, parent, about.edge)
        elif parent is not None and inputs.awaited(run):
            try:
                await self._give(run, parent, about.edge)
            except (errors.Malformed, errors.TooLarge) as error:
                for edge in inputs.awaited(run):
                    await self._engine.uploads.refuse(run.id, edge, f"it cannot be given to edge {edge}: {error}")

    async def _give(self, run: Run, parent: Run, awaited: str) -> None:
        """What it is started with goes to the edges that wait. Raises `errors.Malformed`, `errors.TooLarge`."""
        every = [name for name, edge in run.plan.edges.items() if edge.origin is Origin.UPLOAD]
        given = parent.artifacts.get(parent.plan.edges[awaited].given) if awaited else None
        if awaited and given is None:
            raise errors.Malformed(reason=f"run {parent.id} gives nothing")
        if given is not None and given.items is not None:
            raise errors.Malformed(reason=f"edge {given.edge} of run {parent.id} has many files")
        if given is not None and len(every) == 1:
            await self._hands.copy(parent, given, run, every[0])
            return
        value = failure(parent) if given is None else await self._value(parent, given.edge)
        written = inputs.check(value, every)
        for edge in inputs.awaited(run):
            data, media = written[edge]
            await self._hands.put(run, edge, data, content_type=media)

    async def _value(self, parent: Run, edge: str) -> Any:
        """The JSON that lies on the parent's edge. Raises `errors.Malformed`, `errors.TooLarge`."""
        found = parent.artifacts[edge]
        if found.size > inputs.MOST_BYTES:
            raise errors.TooLarge(what=f"edge {edge}, which is shared out among inputs", limit=inputs.MOST_BYTES)
        await self._engine.staging.prepare(parent)
        store = self._engine.staging.store(parent, found.store)
        try:
            return json.loads(await store.read(found.key, length=found.size) if found.size else b"")
        except (ValueError, RecursionError):
            return None

    async def _hand_on(self, run: Run, parent: Run, edge: str) -> None:
        found = results.chosen(run) if run.status is Status.COMPLETE else None
        reason = f"run {run.id} of flow {_called(parent.plan.edges[edge].flow, run)} {_ended(run)}"
        if found is None or found.items is not None:
            await self._engine.uploads.refuse(parent.id, edge, reason)
            return
        try:
            await self._hands.copy(run, found, parent, edge)
        except (errors.ObjectAbsent, errors.TooLarge) as error:
            reason = f"the result of run {run.id} cannot be handed on to edge {edge}: {error}"
            await self._engine.uploads.refuse(parent.id, edge, reason)


def _called(flow: str, run: Run) -> str:
    """What people call the flow that the run is of, which was asked for so."""
    return flow if saved.canonical_id(flow) is None else run.plan.flow.name or flow


def _ended(run: Run) -> str:
    match run.status:
        case Status.COMPLETE:
            return 'has no result that is one file: name an edge "result"'
        case Status.STOPPED:
            return "was cancelled"
    return f"failed: {run.error}"


def _handles_a_failure(run: Run) -> bool:
    return run.plan.parent is not None and not run.plan.parent.edge


def failure(run: Run) -> Mapping[str, str]:
    """What the flow is told that is run after an error."""
    failed = [node for node in run.plan.nodes if run.nodes[node].status is NodeStatus.ERROR]
    node = next((node for node in failed if run.error.startswith(f"node {node}: ")), failed[0] if failed else "")
    return {"run": run.id, "flow": run.plan.flow.name, "error": run.error, "node": node}
