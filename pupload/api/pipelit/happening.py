"""What an event of a run is on this surface: messages, by type, and what they carry."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pupload import errors, ports
from pupload.api.pipelit import executed
from pupload.api.web import Services
from pupload.domain import events
from pupload.domain.run import Run
from pupload.service import executions
from pupload.service.executions import State

MOST_LETTERS = 2048
"""Of an output that stands in a message."""

MOMENT_SECONDS, MOMENTS = 0.001, 200
"""How often a run is asked whether it has heard of its event, and how many times at most: its news may be quicker."""

Message = tuple[str, Mapping[str, Any]]


async def told(services: Services, entry: ports.Entry) -> Sequence[Message]:
    """The messages that tell of it, none for what is none of this surface's."""
    match entry.event:
        case events.NodeReady(node=node):
            return (("node_enqueued", {"node_id": node}),)
        case events.NodeAdmitted():
            return await _started(services, entry)
        case events.NodeStarted(node=node):
            return (("node_status", {"node_id": node, "status": executed.RUNNING}),)
        case events.NodeSucceeded(node=node) | events.NodeGathered(node=node) | events.NodeReused(node=node):
            return (("node_status", await _done(services, entry.run, node)),)
        case events.NodeRetrying(node=node, reason=reason, failure=failure):
            return (("node_status", _failed(node, reason, failure)),)
        case events.NodeFailed(node=node, reason=reason, failure=failure):
            return (("node_status", _failed(node, reason, failure)),)
        case events.NodeSkipped(node=node):
            return (("node_status", {"node_id": node, "status": executed.SKIPPED}),)
        case events.RunWaiting():
            return await _interrupted(services, entry.run)
        case events.RunCompleted():
            return (("execution_completed", {"output": await _output(services, entry.run)}),)
        case events.RunFailed(error=error):
            return (("execution_failed", {"error": executed.sentence(error)}),)
        case events.RunStopped():
            return (("execution_cancelled", {}),)
    return ()


def _failed(node: str, reason: str, failure: str) -> Mapping[str, Any]:
    return {"node_id": node, "status": executed.FAILED, "error": reason, "error_code": failure}


async def _started(services: Services, entry: ports.Entry) -> Sequence[Message]:
    """That the execution has started, where nothing of it had before."""
    run = await _find(services, entry.run)
    assert isinstance(entry.event, events.NodeAdmitted)
    if run is None or entry.event.node not in run.nodes:
        return ()
    admitted = [
        (attempt.admitted_at, node.id)
        for node in run.nodes.values()
        for attempt in node.attempts
        if attempt.admitted_at is not None
    ]
    first = min(admitted, default=(entry.at, entry.event.node))
    if first != (entry.at, entry.event.node):
        return ()
    return (("execution_started", {"workflow_id": await _drawing(services, run)}),)


async def _drawing(services: Services, run: Run) -> int | None:
    try:
        return (await services.flows.find(run.plan.flow_id)).drawing if run.plan.flow_id else None
    except errors.UnknownSavedFlow:
        return None


async def _done(services: Services, run_id: str, node: str) -> Mapping[str, Any]:
    """That a node has done well, with what it made where that is small, and how long that took."""
    data = {"node_id": node, "status": executed.SUCCESS}
    run = await _find(services, run_id, heard=lambda run: node not in run.nodes or run.nodes[node].status.terminal)
    if run is None or node not in run.nodes:
        return data
    last = run.nodes[node].last
    duration = {} if last is None else {"duration_ms": executed.duration_ms(last)}
    if node not in run.plan.nodes:
        return {**data, **duration}
    ports_ = run.plan.nodes[node].outputs
    try:
        lying = await services.results.lying(run, [port.edge for port in ports_], inline_bytes=4 * MOST_LETTERS)
    except errors.PuploadError:
        return {**data, **duration}
    output = {port.port: short(executed.shown(lying[port.edge])) for port in ports_ if port.edge in lying}
    return {**data, **({"output": output} if output else {}), **duration}


async def _interrupted(services: Services, run_id: str) -> Sequence[Message]:
    """That somebody has to do something, and for which node, where it is so."""
    run = await _find(services, run_id)
    if run is None or executions.state_of(run) is not State.INTERRUPTED:
        return ()
    return [("execution_interrupted", {"node_id": node}) for node in executions.awaited_nodes(run)[:1]]


async def _output(services: Services, run_id: str) -> Any:
    run = await _find(services, run_id, heard=lambda run: run.status.terminal)
    try:
        return None if run is None else short(await executed.final_output(services, run))
    except errors.PuploadError:
        return None


def short(value: Any) -> Any:
    """The value; of one with too many letters its beginning, as text."""
    if isinstance(value, str):
        return value if len(value) <= MOST_LETTERS else f"{value[:MOST_LETTERS]}..."
    if isinstance(value, dict):
        value = {name: short(each) for name, each in value.items()}
    written = json.dumps(value, ensure_ascii=False)
    return value if len(written) <= 2 * MOST_LETTERS else f"{written[:MOST_LETTERS]}..."


async def _find(services: Services, run_id: str, *, heard: Callable[[Run], bool] = bool) -> Run | None:
    """The run, once it has heard of what is told; None where it is gone, or cannot be read."""
    try:
        for _ in range(MOMENTS):
            run = await services.runs.find(run_id)
            if heard(run):
                return run
            await asyncio.sleep(MOMENT_SECONDS)
        return run
    except errors.PuploadError:
        return None
