"""Executions as they go over the wire: a run, what its nodes did attempt by attempt, and what came of it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pupload.api.pipelit import models, wire
from pupload.api.web import Services
from pupload.domain import ids
from pupload.domain.plan import Origin
from pupload.domain.run import Attempt, NodeRun, NodeStatus, Run, Status
from pupload.service import threads
from pupload.service.executions import Execution, State
from pupload.service.results import Kind, Reference, Result
from pupload.service.views import WaitingUpload

SUCCESS, FAILED, SKIPPED, RUNNING = "success", "failed", "skipped", "running"
"""What a node, or an attempt of one, is."""

INLINE_BYTES = 16 * 1024
"""Text and JSON up to here stand in a log themselves."""

MOST_READ = 200
"""Objects that are read for one answer."""


class ExecutionLine(models.Answer, frozen=True, kw_only=True):
    """An execution as lists show it. Nothing here speaks to models: tokens, costs and calls are 0."""

    execution_id: str
    workflow_slug: str
    status: str
    error_message: str
    started_at: models.Moment | None
    completed_at: models.Moment | None
    total_tokens: int = 0
    total_cost_usd: float = 0.0
    llm_calls: int = 0


class Log(models.Answer, frozen=True, kw_only=True):
    """An attempt of a node; one that was skipped has one row, too."""

    id: int
    node_id: str
    status: str
    input: Any
    output: Any
    error: str
    error_code: str | None
    metadata: dict[str, Any] | None
    duration_ms: int
    timestamp: models.Moment


class WaitingURL(models.Answer, frozen=True, kw_only=True):
    """Where a file is to be brought that the execution waits for."""

    edge: str
    url: str
    method: str
    expires_at: models.Moment


class ExecutionDetail(ExecutionLine, frozen=True, kw_only=True):
    """An execution with what came in, what came out and what its nodes did."""

    final_output: Any
    trigger_payload: dict[str, Any] | None
    logs: list[Log]
    waiting_urls: list[WaitingURL]


class ExecutionPage(models.Answer, frozen=True, kw_only=True):
    """Executions, newest first."""

    items: list[ExecutionLine]
    total: int


class ExecutionStatus(models.Answer, frozen=True, kw_only=True):
    """How far an execution is, and what came of it."""

    execution_id: str
    workflow: str
    status: str
    started_at: models.Moment | None
    completed_at: models.Moment | None
    final_output: Any
    error_message: str


def line(this: Execution) -> ExecutionLine:
    """The execution in short."""
    return ExecutionLine(**_facts(this))


def status(this: Execution, output: Any) -> ExecutionStatus:
    """How far it is."""
    facts = _facts(this)
    return ExecutionStatus(workflow=facts.pop("workflow_slug"), final_output=output, **facts)


async def detail(services: Services, this: Execution, run: Run) -> ExecutionDetail:
    """All of it; what is small is read."""
    outputs = [port.edge for node in run.plan.nodes.values() for port in node.outputs]
    lying = await services.results.lying(run, outputs[:MOST_READ], inline_bytes=INLINE_BYTES)
    waiting = () if run.status.terminal else (await services.runs.status(run.id)).waiting
    return ExecutionDetail(
        **_facts(this),
        final_output=await final_output(services, run),
        trigger_payload=await payload(services, run),
        logs=logs(run, lying),
        waiting_urls=[_waiting(each) for each in waiting],
    )


def _facts(this: Execution) -> dict[str, Any]:
    return {
        "execution_id": ids.uuid_of(this.run),
        "workflow_slug": this.drawing,
        "status": this.state.value,
        "error_message": sentence(this.error) if this.state is State.FAILED else "",
        "started_at": wire.maybe_moment(this.started_at),
        "completed_at": wire.maybe_moment(this.finished_at),
    }


def sentence(error: str) -> str:
    """Why it failed, as the contract begins it: with the node."""
    return f"Node {error.removeprefix('node ')}" if error.startswith("node ") else error


def _waiting(this: WaitingUpload) -> WaitingURL:
    return WaitingURL(edge=this.edge, url=this.url, method=this.method, expires_at=wire.moment(this.expires_at))


# ── What came in, and what came out ──────────────────────────────────────────────────────────────────────────────


async def final_output(services: Services, run: Run) -> Any:
    """
    What came of it: the `message` that is the reply in a chat, else `output` of its result, else `node_outputs` of all
    that no node takes; None before that.
    """
    if run.status is not Status.COMPLETE:
        return None
    if threads.LABEL in run.plan.labels:
        return {"message": await services.results.reply(run.id)}
    result = await services.results.of(run.id)
    if result.kind is not Kind.NONE:
        return {"output": shown(result)}
    last = await services.results.terminals(run.id)
    outputs: dict[str, dict[str, Any]] = {}
    for edge, found in last.items():
        producer = run.plan.edges[edge].producer
        if producer is not None:
            outputs.setdefault(producer, {})[_port(run, producer, edge)] = shown(found)
    return {"node_outputs": outputs} if outputs else None


async def payload(services: Services, run: Run) -> dict[str, Any] | None:
    """What the trigger was given; None where it was given nothing that can be shown."""
    given = [edge for edge, plan in run.plan.edges.items() if plan.origin is Origin.UPLOAD and edge in run.artifacts]
    found = await services.results.lying(run, given[:MOST_READ], inline_bytes=INLINE_BYTES)
    ports = {edge.rpartition(".")[2]: shown(each) for edge, each in found.items() if each.kind is not Kind.NONE}
    said = ports.get("payload")
    return said if isinstance(said, dict) else ports or None


def shown(this: Result) -> Any:
    """Text and JSON themselves, of anything else where it is to be had."""
    if not isinstance(this.value, Reference):
        return this.value
    about = this.value
    return {
        "edge": this.edge,
        "store": about.store,
        "object": about.key,
        "size_bytes": about.size,
        "mime_type": about.content_type,
        "url": about.url,
    }


def _port(run: Run, node: str, edge: str) -> str:
    return next((port.port for port in run.plan.nodes[node].outputs if port.edge == edge), edge)


# ── What its nodes did ───────────────────────────────────────────────────────────────────────────────────────────


def logs(run: Run, lying: Mapping[str, Result]) -> list[Log]:
    """A row for each attempt of each node, and for each that was skipped, in the order in which they began."""
    rows = sorted(_rows(run, lying), key=lambda row: row[0])
    return [Log(id=number, **facts) for number, (_, facts) in enumerate(rows, start=1)]


def _rows(run: Run, lying: Mapping[str, Result]) -> Iterator[tuple[datetime, dict[str, Any]]]:
    over = run.finished_at or run.created_at
    for node in run.nodes.values():
        for attempt in node.attempts:
            if attempt.admitted_at is not None:
                yield attempt.admitted_at, _attempt(run, node, attempt, lying)
        if node.status is NodeStatus.SKIPPED:
            yield over, _row(node.id, SKIPPED, over, error=node.error)
        elif node.reused and not node.attempts:
            yield run.created_at, _row(node.id, SUCCESS, run.created_at, output=_outputs(run, node, lying))


def _attempt(run: Run, node: NodeRun, attempt: Attempt, lying: Mapping[str, Result]) -> dict[str, Any]:
    last = attempt is node.attempts[-1]
    what = RUNNING if attempt.finished_at is None else FAILED if attempt.failure else SUCCESS
    metadata = {"attempt": attempt.number, "exit_code": attempt.exit_code, "image": attempt.image}
    return _row(
        node.id,
        what,
        attempt.finished_at or attempt.executing_at or attempt.admitted_at or attempt.ready_at,
        output=_outputs(run, node, lying) if what == SUCCESS and last else None,
        error=attempt.reason,
        error_code=attempt.failure or None,
        metadata={name: value for name, value in metadata.items() if value not in (None, "")},
        duration_ms=duration_ms(attempt),
    )


def _row(
    node: str,
    what: str,
    at: datetime,
    *,
    output: Any = None,
    error: str = "",
    error_code: str | None = None,
    metadata: dict[str, Any] | None = None,
    duration_ms: int = 0,
) -> dict[str, Any]:
    return {
        "node_id": node,
        "status": what,
        "input": None,
        "output": output,
        "error": error,
        "error_code": error_code,
        "metadata": metadata,
        "duration_ms": duration_ms,
        "timestamp": wire.moment(at),
    }


def _outputs(run: Run, node: NodeRun, lying: Mapping[str, Result]) -> dict[str, Any] | None:
    """What the node made, by port."""
    if node.id not in run.plan.nodes:
        return None  # for an item: what was made is on the whole node's edge
    ports = run.plan.nodes[node.id].outputs
    return {port.port: shown(lying[port.edge]) for port in ports if port.edge in lying} or None


def duration_ms(attempt: Attempt) -> int:
    """How long it took, as far as it is over."""
    since, until = attempt.executing_at or attempt.admitted_at, attempt.finished_at
    return round((until - since).total_seconds() * 1000) if since is not None and until is not None else 0
