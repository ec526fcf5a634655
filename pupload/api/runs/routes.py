"""The table of routes: pipelines and their runs. A route reads, asks the service, writes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, cast

from aiohttp import web

from pupload import errors
from pupload.api import attending, exporting, idempotency, streams
from pupload.api import web as shared
from pupload.api.runs import bodies, glances, lines, models, problems, rows, stream, wire
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import ids, queueing, run, saved
from pupload.domain.access import Permission
from pupload.engine import aside
from pupload.ports import LogRecord, RunPage, RunSummary

PREFIX = "/api"

USUAL_RUNS, MOST_RUNS = 50, 1000
"""On one page."""

PREVIEW_ROWS = 50

_MANY_NODES = 500
_MANY_CELLS = 5000

# ── Pipelines ────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_pipelines(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    found = await services.overview.flows()
    schedules = await glances.schedules_by_flow(services)
    return shared.json_bytes(wire.encode([glances.write_pipeline(each, schedules) for each in found]))


async def get_pipeline(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    flow = await services.flows.find(_pipeline(request))
    found = await services.overview.flow(flow.id)
    return shared.json_bytes(wire.encode(glances.write_pipeline(found, await glances.schedules_by_flow(services))))


async def trigger(request: web.Request) -> web.Response:
    key = idempotency.key_of(request)
    params = bodies.params(await bodies.read_patiently(request))
    view = await request.app[SERVICES].flows.start(
        _pipeline(request), params=params, memoize=False, idempotency_key=key
    )
    # What was only just saved waits for a slot, whatever has become of it since; one of an earlier request is told.
    status = wire.PENDING if not view.run.status.terminal else wire.status(view.run)
    answer = models.Triggered(id=view.run.id, pipeline_id=wire.pipeline(view.run), status=status)
    return shared.json_bytes(wire.encode(answer), status=202)


async def list_runs(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    page = shared.whole_number(request, "page", default=1, least=1, most=1_000_000_000)
    per_page = shared.whole_number(request, "per_page", default=USUAL_RUNS, least=1, most=MOST_RUNS)
    found = await _runs_of(request, limit=per_page, offset=(page - 1) * per_page)
    listed = [wire.write_line(each, ending=await glances.is_ending(services, each)) for each in found.runs]
    headers = {"X-Total-Count": str(found.total), "X-Page": str(page), "X-Per-Page": str(per_page)}
    return shared.json_bytes(wire.encode(listed), headers=headers)


async def _runs_of(request: web.Request, *, limit: int, offset: int) -> RunPage:
    """Of the pipeline; a pipeline that is not there has none, and one that was removed has those that it had."""
    services, asked = request.app[SERVICES], _pipeline(request)
    flow_id = saved.canonical_id(asked)
    if flow_id is None:
        try:
            flow_id = (await services.flows.find(asked)).id
        except errors.UnknownSavedFlow:
            return RunPage(runs=(), total=0)
    found = await services.runs.list(flow_id=flow_id, limit=limit, offset=offset)
    return found if found.total else await _only_run(request, flow_id, offset=offset)


async def _only_run(request: web.Request, flow_id: str, *, offset: int) -> RunPage:
    """The run of no saved flow whose own id this is."""
    found = await request.app[SERVICES].runs.of_no_flow(flow_id)
    if found is None:
        return RunPage(runs=(), total=0)
    return RunPage(runs=() if offset else (_summary(found),), total=1)


def _summary(this: run.Run) -> RunSummary:
    return RunSummary(
        id=this.id,
        flow=this.plan.flow.name,
        status=this.status,
        created_at=this.created_at,
        started_at=queueing.started_at(this),
        finished_at=this.finished_at,
        error=this.error,
    )


async def dry_run(request: web.Request) -> web.Response:
    params = bodies.params(await bodies.read_patiently(request))
    found = await attending.while_asked(request, request.app[SERVICES].dry_runs.run(_pipeline(request), params=params))
    return shared.json_bytes(await aside.aside(lambda: wire.encode(wire.write_dry(found.values())), large=True))


async def backfill(request: web.Request) -> web.Response:
    key = idempotency.key_of(request)
    body = await bodies.read(request)
    first, last = bodies.dates(body)
    batch = await request.app[SERVICES].backfill.start(
        _pipeline(request), first, last, params=bodies.params(body), memoize=False, idempotency_key=key
    )
    return shared.json_bytes(wire.encode(list(batch.runs)), status=202)


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def get_run(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].runs.find(_run(request))
    return await _run_answer(request, found)


async def _run_answer(request: web.Request, found: run.Run, *, status: int = 200) -> web.Response:
    counted = await rows.of_run(request.app[SERVICES], found)
    large = len(found.nodes) > _MANY_NODES
    body = await aside.aside(lambda: wire.encode(wire.write_run(found, counted)), large=large)
    return shared.json_bytes(body, status=status)


async def cancel(request: web.Request) -> web.Response:
    runs = request.app[SERVICES].runs
    before = await runs.find(_run(request))
    view = before if before.status.terminal else (await runs.cancel(before.id, mode="drain")).run
    if before.status.terminal or wire.status(view) != wire.CANCELLED:
        return problems.answer(404, f"run has already finished ({wire.status(view)})")
    return shared.json_bytes(wire.encode(models.Cancelled(status=wire.CANCELLED)))


async def resume(request: web.Request) -> web.Response:
    key, runs = idempotency.key_of(request), request.app[SERVICES].runs
    from_node = bodies.text(await bodies.read(request), "from_node")
    old = await runs.find(_run(request))
    if (status := wire.status(old)) != wire.FAILED:
        raise errors.Malformed(reason=f"can only resume failed runs (current: {status})")
    view = await runs.resume(old.id, from_node=from_node or None, idempotency_key=key)
    return await _run_answer(request, view.run, status=202)


# ── Lines ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def logs(request: web.Request) -> web.StreamResponse:
    found, level = await request.app[SERVICES].runs.find(_run(request)), _level(request)
    async with aclosing(cast(AsyncGenerator[Any, None], await _lines(request, found))) as batches:
        return await streams.listing(
            request,
            _of_level(batches, level),
            opening=b"[",
            write=_line,
            closing=lambda _: b"]",
        )


async def export_logs(request: web.Request) -> web.StreamResponse:
    found, level = await request.app[SERVICES].runs.find(_run(request)), _level(request)
    name = f"run-{found.id.removeprefix(ids.PREFIX)[:8]}-logs.txt"
    async with aclosing(cast(AsyncGenerator[Any, None], await _lines(request, found))) as batches:
        return await exporting.download(request, batches, name=name, level=level)


async def _lines(request: web.Request, found: run.Run) -> Any:
    services, node = request.app[SERVICES], request.query.get("node_id", "")
    counted = await rows.of_run(services, found)
    return lines.in_order(found, services.runs.logs(found.id, node=node or None), counted, node=node)


async def _of_level(batches: AsyncGenerator[Any, None], level: str) -> Any:
    async for batch in batches:
        kept = [each for each in batch if not level or exporting.level_of(each.line) == level]
        if kept:
            yield kept


def _level(request: web.Request) -> str:
    """The level that is asked for; one that there is not asks for nothing."""
    try:
        return exporting.read_level(request.query.get("level", ""))
    except errors.Malformed:
        return ""


def _line(record: LogRecord) -> bytes:
    return wire.encode(
        models.LogLine(
            run_id=record.run,
            node_id=record.node,
            level=exporting.level_of(record.line),
            message=record.line.message,
            timestamp=wire.moment(record.line.at),
            attempt=max(record.attempt - 1, 0),
        )
    )


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def preview(request: web.Request) -> web.Response:
    found = await _with_node(request)
    if found is None:
        return problems.answer(404, "no preview available", reason="the run has no such node")
    edge = request.query.get("edge", "")
    table = await request.app[SERVICES].tables.preview(
        found.id, node=request.match_info["node_id"], edge=edge, rows=PREVIEW_ROWS
    )
    large = len(table.columns) * len(table.rows) > _MANY_CELLS
    return shared.json_bytes(await aside.aside(lambda: wire.encode(wire.write_preview(table)), large=large))


async def profile(request: web.Request) -> web.Response:
    found = await _with_node(request)
    if found is None:
        return problems.answer(404, "profile not found", reason="the run has no such node")
    node, edge = request.match_info["node_id"], request.query.get("edge", "")
    try:
        told = await request.app[SERVICES].tables.profile(found.id, node=node, edge=edge)
    except errors.NoPreview as error:
        return problems.answer(404, "profile not found", reason=error.reason)
    return shared.json_bytes(await aside.aside(partial(_profiled, told), large=len(told.profile.columns) > _MANY_NODES))


def _profiled(told: Any) -> bytes:
    return wire.encode(wire.write_profile(told))


async def _with_node(request: web.Request) -> run.Run | None:
    """The run; None where it has no such node."""
    found = await request.app[SERVICES].runs.find(_run(request))
    try:
        found.plan.nodes[request.match_info["node_id"]]  # those of items are found so, too
    except KeyError:
        return None
    return found


def _run(request: web.Request) -> str:
    return request.match_info["run_id"]


def _pipeline(request: web.Request) -> str:
    return request.match_info["pipeline_id"]


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_PIPELINE = f"{PREFIX}/pipelines/{{pipeline_id}}"
_RUN = f"{PREFIX}/runs/{{run_id}}"
_NODE = f"{_RUN}/nodes/{{node_id}}"
_FILTERS = (
    Parameter(name="node_id", about="Only lines of this node."),
    Parameter(
        name="level", about=f"Only lines of this level: {', '.join(exporting.LEVELS)}. Any other is passed over."
    ),
)
_EDGE = Parameter(name="edge", about="What the node made on this edge; else the first of its outputs that there is.")

ROUTES = (
    Route(
        method="GET",
        path=f"{PREFIX}/pipelines",
        handler=list_pipelines,
        needs=Permission.FLOWS_VIEW,
        summary="Pipelines, by their names: 1000 at most",
        answers=list[models.Pipeline],
    ),
    Route(
        method="GET",
        path=_PIPELINE,
        handler=get_pipeline,
        needs=Permission.FLOWS_VIEW,
        summary="A pipeline in short",
        answers=models.Pipeline,
    ),
    Route(
        method="POST",
        path=f"{_PIPELINE}/run",
        handler=trigger,
        needs=Permission.FLOWS_RUN,
        summary="Run a pipeline; answers at once",
        reads=models.TriggerRun,
        answers=models.Triggered,
        status=202,
        parameters=(idempotency.KEY,),
    ),
    Route(
        method="GET",
        path=f"{_PIPELINE}/runs",
        handler=list_runs,
        needs=Permission.RUNS_VIEW,
        summary="Runs of a pipeline, newest first; `X-Total-Count`, `X-Page` and `X-Per-Page` tell of how many",
        answers=list[models.RunLine],
        parameters=(
            Parameter(name="page", type="integer", about="From 1."),
            Parameter(
                name="per_page",
                type="integer",
                about=f"So many at most: 1 to {MOST_RUNS}, {USUAL_RUNS} when not given.",
            ),
        ),
    ),
    Route(
        method="POST",
        path=f"{_PIPELINE}/dry-run",
        handler=dry_run,
        needs=Permission.FLOWS_RUN,
        summary="Try a pipeline out on the first ten rows of everything; what is left of it is this answer, by node",
        reads=models.TriggerRun,
        answers=dict,
        lasting=True,
    ),
    Route(
        method="POST",
        path=f"{_PIPELINE}/backfill",
        handler=backfill,
        needs=Permission.RUNS_BACKFILL,
        summary="Run a pipeline once for each date; answers with the ids of the runs, in the order of the dates",
        reads=models.StartBackfill,
        answers=list[str],
        status=202,
        parameters=(idempotency.KEY,),
        lasting=True,
        optional_body=False,
    ),
    *glances.ROUTES,
    Route(
        method="GET",
        path=_RUN,
        handler=get_run,
        needs=Permission.RUNS_VIEW,
        summary="A run as it stands, with every attempt of its nodes",
        answers=models.Run,
    ),
    Route(
        method="POST",
        path=f"{_RUN}/cancel",
        handler=cancel,
        needs=Permission.RUNS_CANCEL,
        summary="Start nothing more of a run; what runs may finish. 404 where it is over",
        answers=models.Cancelled,
    ),
    Route(
        method="POST",
        path=f"{_RUN}/resume",
        handler=resume,
        needs=Permission.RUNS_RESUME,
        summary="A new run that does what a failed one left undone",
        reads=models.ResumeRun,
        answers=models.Run,
        status=202,
        parameters=(idempotency.KEY,),
    ),
    Route(
        method="GET",
        path=f"{_RUN}/logs",
        handler=logs,
        needs=Permission.RUNS_VIEW,
        summary="What the nodes of a run wrote, in the order of time",
        answers=list[models.LogLine],
        parameters=_FILTERS,
        lasting=True,
    ),
    Route(
        method="GET",
        path=f"{_RUN}/logs/export",
        handler=export_logs,
        needs=Permission.RUNS_VIEW,
        summary="The same as a file, a line for each",
        media="text/plain",
        parameters=_FILTERS,
        lasting=True,
    ),
    Route(
        method="GET",
        path=f"{_NODE}/preview",
        handler=preview,
        needs=Permission.RUNS_VIEW,
        summary=f"The first {PREVIEW_ROWS} rows of what a node made",
        answers=models.Preview,
        parameters=(_EDGE,),
        lasting=True,
    ),
    Route(
        method="GET",
        path=f"{_NODE}/profile",
        handler=profile,
        needs=Permission.RUNS_VIEW,
        summary="What is told of the columns of what a node made, and what is otherwise than in the run before",
        answers=models.Profiled,
        parameters=(_EDGE,),
        lasting=True,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/ws",
        handler=stream.socket,
        needs=Permission.RUNS_VIEW,
        token_in_query=True,
        summary="A WebSocket that tells what happens in all runs, one JSON object in each message",
        answers=models.Event,
        lasting=True,
    ),
)

SURFACE = shared.Surface(
    name="runs",
    about="Pipelines are triggered, and their runs monitored and managed.",
    prefixes=(PREFIX,),
    routes=ROUTES,
    problem=problems.write,
    problem_model=models.Problem,
    also=(models.DryNode,),
)
