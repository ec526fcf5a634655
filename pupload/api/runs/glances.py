"""All runs and pipelines at a glance: calendar, dashboard, lineage, schedules, search, how much there is."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import web as shared
from pupload.api.runs import bodies, models, wire
from pupload.api.web import SERVER, SERVICES, Parameter, Route, Services
from pupload.domain import duration, saved
from pupload.domain.access import Permission
from pupload.domain.lineage import Asset, Graph, Link
from pupload.domain.schedule import Schedule
from pupload.engine import aside
from pupload.ports import RunSummary
from pupload.service import overview

PREFIX = "/api"

_MANY_ASSETS = 1000
_MEBIBYTE = 1024 * 1024
_TYPES = {"flow": "pipeline", "store": "connection", "variable": "variable"}


async def calendar(request: web.Request) -> web.Response:
    days = shared.whole_number(request, "days", default=90, least=1, most=overview.MOST_DAYS)
    found = await request.app[SERVICES].overview.calendar(days=days)
    return shared.json_bytes(wire.encode([write_day(each) for each in found]))


async def dashboard(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    found = await services.overview.dashboard()
    schedules = await schedules_by_flow(services)
    names = {each.flow.id: each.flow.full_name for each in found.flows}
    names |= await services.flows.names({each.flow_id for each in found.recent if each.flow_id} - names.keys())
    recent = [await _recent(services, each, names) for each in found.recent]
    answer = models.Dashboard(
        pipelines=[write_pipeline(each, schedules) for each in found.flows],
        recent_runs=recent,
        trends=[write_day(each) for each in found.trends],
        top_failing=[
            models.Failing(pipeline_id=each.flow_id, name=each.name, fail_count=each.count) for each in found.failing
        ],
        runs_today=found.runs_today,
        runs_yesterday=found.runs_yesterday,
        runs_running=len(found.running),
        running_run_ids=list(found.running),
        runs_24h_total=found.day_total,
        runs_24h_success=found.day_success,
        runs_24h_failed=found.day_failed,
        success_rate_24h=round(100 * found.day_success / found.day_total) if found.day_total else 100,
    )
    return shared.json_bytes(wire.encode(answer))


async def lineage(request: web.Request) -> web.Response:
    graph = await request.app[SERVICES].lineage.graph()
    large = len(graph.nodes) + len(graph.edges) > _MANY_ASSETS
    return shared.json_bytes(await aside.aside(lambda: wire.encode(write_lineage(graph)), large=large))


async def scheduler_status(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    found = await services.schedules.list()
    names = await services.flows.names(each.flow_id for each in found)
    entries = [write_schedule(each, names.get(each.flow_id, each.flow_id)) for each in found]
    return shared.json_bytes(wire.encode(entries))


async def search(request: web.Request) -> web.Response:
    text = request.query.get("q", "")
    if not text.strip():
        raise errors.Malformed(reason="q is required: what to search for")
    limit = shared.whole_number(request, "limit", default=30, least=1, most=overview.MOST_HITS)
    found = await request.app[SERVICES].overview.search(text, limit=limit)
    return shared.json_bytes(wire.encode([write_hit(each) for each in found]))


async def system_info(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].overview.system()
    answer = models.SystemInfo(
        version=request.app[SERVER].version,
        db_size=found.database_bytes,
        db_size_mb=f"{found.database_bytes / _MEBIBYTE:.2f} MB",
        pipelines=found.flows,
        active_runs=found.active_runs,
        max_concurrent_runs=found.max_concurrent_runs,
    )
    return shared.json_bytes(wire.encode(answer))


async def purge(request: web.Request) -> web.Response:
    days = bodies.days(await bodies.read_patiently(request))
    deleted = await request.app[SERVICES].overview.purge(days=min(days, overview.MOST_PURGE_DAYS))
    return shared.json_bytes(wire.encode(models.Purged(deleted=deleted, days=days)))


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def write_day(this: overview.Day) -> models.Day:
    """A day of the calendar."""
    return models.Day(
        date=this.date.isoformat(),
        success=this.success,
        failed=this.failed,
        cancelled=this.cancelled,
        running=this.running,
        total=this.total,
    )


async def is_ending(services: Services, this: RunSummary) -> bool:
    """Whether a run that is not over was asked to end."""
    if this.status.terminal:
        return False
    try:
        return wire.status(await services.runs.find(this.id)) == wire.CANCELLED
    except errors.UnknownRun:
        return False


async def _recent(services: Services, this: RunSummary, names: Any) -> models.RecentRun:
    word = wire.word_of(this, ending=await is_ending(services, this))
    return models.RecentRun(
        run_id=this.id,
        pipeline_id=wire.pipeline_of(this.id, this.flow_id),
        pipeline_name=names.get(this.flow_id, this.flow),
        status=word,
        error=wire.error_of(word, this.error),
        started_at=wire.maybe(this.started_at) or msgspec.UNSET,
        finished_at=wire.maybe(this.finished_at) or msgspec.UNSET,
    )


async def schedules_by_flow(services: Services) -> dict[str, str]:
    """What the first schedule of each flow says; one that is enabled comes first."""
    found: dict[str, str] = {}
    for each in sorted(await services.schedules.list(), key=lambda each: not each.enabled):
        found.setdefault(each.flow_id, said(each))
    return found


def said(this: Schedule) -> str:
    """The cron expression, or the interval."""
    return this.cron or f"@every {duration.text(this.interval_seconds)}"


def write_pipeline(this: overview.FlowLine, schedules: dict[str, str]) -> models.Pipeline:
    """A saved flow, and how large it is."""
    flow: saved.SavedFlow = this.flow
    return models.Pipeline(
        id=flow.id,
        name=flow.full_name,
        pipeline_id=flow.full_name,
        description=flow.description,
        schedule=schedules.get(flow.id, ""),
        enabled=flow.enabled,
        tags=list(flow.tags),
        node_count=this.nodes,
        edge_count=this.edges,
        source=flow.source,
        created_at=wire.moment(flow.created_at),
        updated_at=wire.moment(flow.updated_at),
    )


def write_schedule(this: Schedule, name: str) -> models.ScheduleEntry:
    """When runs of a pipeline are started."""
    return models.ScheduleEntry(
        id=this.id,
        pipeline_id=this.flow_id,
        pipeline_name=name,
        schedule=said(this),
        cron=this.cron,
        timezone=this.timezone,
        enabled=this.enabled,
        next_run=wire.maybe(this.next_at) if this.enabled else None,
        last_run=wire.maybe(this.last_at),
    )


def write_lineage(graph: Graph) -> models.Lineage:
    """All assets and links."""
    return models.Lineage(nodes=_assets(graph.nodes), edges=_links(graph.edges))


def _assets(found: Sequence[Asset]) -> list[models.LineageNode]:
    return [
        models.LineageNode(
            id=each.id,
            type=each.kind,
            name=each.name,
            pipeline_id=each.flow or msgspec.UNSET,
            uses=each.uses or msgspec.UNSET,
        )
        for each in found
    ]


def _links(found: Sequence[Link]) -> list[models.LineageEdge]:
    return [
        models.LineageEdge(
            source=each.source,
            target=each.target,
            type=each.kind,
            pipeline_id=each.flow,
            edge=each.edge or msgspec.UNSET,
        )
        for each in found
    ]


def write_hit(this: overview.Hit) -> models.Hit:
    """What a search found."""
    return models.Hit(
        type=_TYPES[this.kind],
        id=this.id,
        name=this.name,
        description=this.description or msgspec.UNSET,
        meta={"pipelines": list(this.flows)} if this.flows and this.kind != "flow" else msgspec.UNSET,
    )


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

ROUTES = (
    Route(
        method="GET",
        path=f"{PREFIX}/runs/calendar",
        handler=calendar,
        needs=Permission.RUNS_VIEW,
        summary="How many runs started on each day, in UTC, and what became of them; the last day is today",
        answers=list[models.Day],
        parameters=(
            Parameter(
                name="days", type="integer", about=f"So many days: 1 to {overview.MOST_DAYS}, 90 when not given."
            ),
        ),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/lineage",
        handler=lineage,
        needs=Permission.FLOWS_VIEW,
        summary="Where data comes from and who uses it, across all pipelines",
        answers=models.Lineage,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/scheduler/status",
        handler=scheduler_status,
        needs=Permission.SCHEDULES_VIEW,
        summary="All schedules: when each starts a run next, and when it last did",
        answers=list[models.ScheduleEntry],
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/dashboard",
        handler=dashboard,
        needs=Permission.RUNS_VIEW,
        summary="Everything at a glance",
        answers=models.Dashboard,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/search",
        handler=search,
        needs=Permission.FLOWS_VIEW,
        summary="Pipelines, connections and variables with a text in their name or description, in whatever case",
        answers=list[models.Hit],
        parameters=(
            Parameter(name="q", about="What to search for; must be given."),
            Parameter(
                name="limit", type="integer", about=f"So many at most: 1 to {overview.MOST_HITS}, 30 when not given."
            ),
        ),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/system/info",
        handler=system_info,
        needs=Permission.SETTINGS_VIEW,
        summary="How much there is, and how many runs go on",
        answers=models.SystemInfo,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/system/purge",
        handler=purge,
        needs=Permission.SETTINGS_EDIT,
        summary="Delete runs that are over and started more than so many days ago, and all that is theirs",
        reads=models.PurgeRuns,
        answers=models.Purged,
        lasting=True,
    ),
)
