"""All runs and flows at once, over the wire."""

from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from pupload import ports
from pupload.api import web as shared
from pupload.api.flow import answering, reading, wire
from pupload.api.flow import overview_models as models
from pupload.api.flow.models import WorkSource
from pupload.api.web import SERVER, SERVICES, Parameter, Route
from pupload.domain import lineage as graphs
from pupload.domain import tracing
from pupload.domain.access import Permission
from pupload.engine import aside
from pupload.service import lineage, overview

_MANY = 1000
"""Assets that take some milliseconds to write."""

_LONG_SECONDS = 600.0
"""How much longer than other answers a purge of very many runs may take."""


async def calendar(request: web.Request) -> web.Response:
    days = shared.whole_number(request, "days", default=90, least=1, most=overview.MOST_DAYS)
    found = await request.app[SERVICES].overview.calendar(days=days)
    return answering.answer(models.Calendar(Days=[_day(each) for each in found]))


async def dashboard(request: web.Request) -> web.Response:
    return answering.answer(_dashboard(await request.app[SERVICES].overview.dashboard()))


async def search(request: web.Request) -> web.Response:
    limit = shared.whole_number(request, "limit", default=30, least=1, most=overview.MOST_HITS)
    found = await request.app[SERVICES].overview.search(request.query.get("q", ""), limit=limit)
    return answering.answer(models.Hits(Hits=[_hit(each) for each in found]))


async def system(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].overview.system()
    return answering.answer(
        models.System(
            Version=request.app[SERVER].version,
            DatabaseBytes=found.database_bytes,
            Flows=found.flows,
            ActiveRuns=found.active_runs,
            QueuedRuns=found.queued_runs,
            MaxConcurrentRuns=found.max_concurrent_runs,
        )
    )


async def purge_older(request: web.Request) -> web.Response:
    asked = await shared.read_document(request, _read_purge)
    shared.allow(request, _LONG_SECONDS)
    count = await request.app[SERVICES].overview.purge(days=asked.Days)
    return answering.answer(models.Purged(Purged=count, Days=asked.Days))


async def flow_lineage(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].lineage.graph(flow=request.query.get("flow") or None)
    return await _written(found)


async def artifact_lineage(request: web.Request) -> web.Response:
    run_id, edge = request.match_info["flowRunID"], request.match_info["edge"]
    return answering.answer(_trace(await request.app[SERVICES].lineage.of_artifact(run_id, edge)))


def _read_purge(document: Any) -> models.PurgeOlder:
    return reading.read(models.PurgeOlder, document, warnings=[])


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _day(this: overview.Day) -> models.Day:
    return models.Day(
        Date=this.date.isoformat(),
        Success=this.success,
        Failed=this.failed,
        Cancelled=this.cancelled,
        Running=this.running,
        Total=this.total,
    )


def _dashboard(this: overview.Dashboard) -> models.Dashboard:
    recent = ports.RunPage(runs=this.recent, total=len(this.recent))
    return models.Dashboard(
        Flows=[_flow(each) for each in this.flows],
        FlowsTotal=this.flows_total,
        Recent=wire.write_page(recent, limit=len(this.recent), offset=0).Runs,
        Trends=[_day(each) for each in this.trends],
        Failing=[models.FailingFlow(FlowID=each.flow_id, Name=each.name, Failed=each.count) for each in this.failing],
        Running=list(this.running),
        RunsToday=this.runs_today,
        RunsYesterday=this.runs_yesterday,
        LastDay=models.LastDay(Total=this.day_total, Success=this.day_success, Failed=this.day_failed),
    )


def _flow(this: overview.FlowLine) -> models.FlowSize:
    return models.FlowSize(
        ID=this.flow.id,
        Namespace=this.flow.namespace,
        Name=this.flow.name,
        Description=this.flow.description,
        Enabled=this.flow.enabled,
        Version=this.flow.version,
        Label=this.flow.label,
        Nodes=this.nodes,
        Edges=this.edges,
        UpdatedAt=this.flow.updated_at,
    )


def _hit(this: overview.Hit) -> models.Hit:
    return models.Hit(Kind=this.kind, ID=this.id, Name=this.name, Description=this.description, Flows=list(this.flows))


async def _written(this: graphs.Graph) -> web.Response:
    large = len(this.nodes) > _MANY
    return shared.json_bytes(await aside.aside(partial(_graph_bytes, this), large=large))


def _graph_bytes(this: graphs.Graph) -> bytes:
    unset = msgspec.UNSET
    nodes = [
        models.Asset(
            ID=each.id,
            Kind=each.kind,
            Name=each.name,
            Flow=each.flow or unset,
            Store=each.store or unset,
            Uses=each.uses or unset,
        )
        for each in this.nodes
    ]
    edges = [
        models.Link(Source=each.source, Target=each.target, Kind=each.kind, Flow=each.flow, Edge=each.edge or unset)
        for each in this.edges
    ]
    return wire.encode(models.Lineage(Nodes=nodes, Edges=edges))


def _trace(this: lineage.Trace) -> models.Trace:
    return models.Trace(
        Run=this.run,
        FlowID=this.flow_id or msgspec.UNSET,
        ResumedFrom=this.resumed_from or msgspec.UNSET,
        Edge=this.edge,
        Upstream=[_step(each) for each in this.upstream],
        Downstream=[_use(each) for each in this.downstream],
        Shared=[
            models.Taker(
                Run=each.run,
                FlowID=each.flow_id or msgspec.UNSET,
                ResumedFrom=each.resumed_from or msgspec.UNSET,
                Replays=each.replays,
            )
            for each in this.shared
        ],
    )


def _step(this: tracing.Step) -> models.Step:
    facts: dict[str, Any] = {}
    if (artifact := this.artifact) is not None:
        created: datetime = artifact.created_at
        facts |= {"Store": artifact.store, "Key": artifact.key, "Size": artifact.size, "CreatedAt": created}
        facts |= {"ContentType": artifact.content_type, "SHA256": artifact.sha256}
    if this.node:
        facts |= {"Node": this.node, "Uses": this.uses, "Status": this.status and this.status.value}
    if (source := this.source) is not None:
        facts["Source"] = WorkSource(Run=source.run, Node=source.node, At=source.at)
    return models.Step(Edge=this.edge, Origin=this.origin.value, Deleted=this.gone, Inputs=list(this.inputs), **facts)


def _use(this: tracing.Use) -> models.Use:
    return models.Use(
        Node=this.node,
        Uses=this.uses,
        Status=this.status.value,
        Inputs=list(this.inputs),
        Outputs=list(this.outputs),
    )


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_FLOW = "/api/v1/flow"

ROUTES = (
    Route(
        method="GET",
        path=f"{_FLOW}/calendar",
        handler=calendar,
        needs=Permission.RUNS_VIEW,
        summary="How many runs started on each day, in UTC, and what they came to",
        answers=models.Calendar,
        parameters=(
            Parameter(
                name="days",
                type="integer",
                about=f"So many days, today at the end: 1 to {overview.MOST_DAYS}, 90 when not given.",
            ),
        ),
    ),
    Route(
        method="GET",
        path=f"{_FLOW}/dashboard",
        handler=dashboard,
        needs=Permission.RUNS_VIEW,
        summary="Everything at a glance: flows, the newest runs, seven days, what fails, what runs",
        answers=models.Dashboard,
    ),
    Route(
        method="GET",
        path=f"{_FLOW}/search",
        handler=search,
        needs=Permission.FLOWS_VIEW,
        summary="Saved flows, stores, parameters and names of secrets that have a text in them, in whatever case",
        answers=models.Hits,
        parameters=(
            Parameter(name="q", about="The text; every character of it stands for itself."),
            Parameter(
                name="limit",
                type="integer",
                about=f"So many at most: 1 to {overview.MOST_HITS}, 30 when not given.",
            ),
        ),
    ),
    Route(
        method="GET",
        path=f"{_FLOW}/system",
        handler=system,
        needs=Permission.SETTINGS_VIEW,
        summary="The server's version, the size of its database, and how many flows and runs there are",
        answers=models.System,
    ),
    Route(
        method="POST",
        path=f"{_FLOW}/purge",
        handler=purge_older,
        needs=Permission.RUNS_PURGE,
        summary="Delete the runs that have ended and started more than so many days ago, with all they own",
        reads=models.PurgeOlder,
        answers=models.Purged,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{_FLOW}/lineage",
        handler=flow_lineage,
        needs=Permission.FLOWS_VIEW,
        summary="What saved flows read, write and depend on, and where they meet",
        answers=models.Lineage,
        parameters=(
            Parameter(name="flow", about="Only this saved flow, and who else touches its objects: its id or name."),
        ),
    ),
    Route(
        method="GET",
        path=f"{_FLOW}/lineage/{{flowRunID}}/{{edge}}",
        handler=artifact_lineage,
        needs=Permission.RUNS_VIEW,
        summary="Where what lies on an edge of a run came from, and what used it",
        answers=models.Trace,
    ),
)
