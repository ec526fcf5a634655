"""Sources of saved flows over the wire."""

from collections.abc import Iterable

from aiohttp import web

from pupload import errors
from pupload.api.flow import answering, source_models
from pupload.api.web import SERVICES, Route
from pupload.domain.access import Permission
from pupload.domain.sources import Problem
from pupload.service.sources import SourceView, SyncReport


async def list_sources(request: web.Request) -> web.Response:
    found = [_view(view) for view in request.app[SERVICES].sources.list()]
    return answering.answer(source_models.FlowSourceList(Sources=found))


async def get_source(request: web.Request) -> web.Response:
    return answering.answer(_view(request.app[SERVICES].sources.get(request.match_info["source"])))


async def sync_source(request: web.Request) -> web.Response:
    (report,) = await request.app[SERVICES].sources.sync(request.match_info["source"])
    if report.error:
        raise errors.TryLater(reason=report.error)
    return answering.answer(_report(report))


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _view(view: SourceView) -> source_models.FlowSource:
    return source_models.FlowSource(
        Name=view.name,
        Type=view.type,
        Path=view.path,
        Ref=view.ref,
        Folder=view.folder,
        Namespace=view.namespace,
        Interval=view.interval_seconds,
        Commit=view.commit,
        SyncedAt=view.synced_at,
        Flows=view.flows,
        Problems=_problems(view.problems),
        Error=view.error,
    )


def _report(report: SyncReport) -> source_models.SourceSync:
    return source_models.SourceSync(
        Source=report.source,
        Commit=report.commit,
        At=report.at,
        Flows=report.flows,
        Created=list(report.created),
        Changed=list(report.changed),
        Gone=list(report.gone),
        Problems=_problems(report.problems),
        Warnings=_problems(report.warnings),
    )


def _problems(problems: Iterable[Problem]) -> list[source_models.SourceProblem]:
    return [source_models.SourceProblem(Path=each.path, Line=each.line, Problem=each.text) for each in problems]


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_SOURCES = "/api/v1/flow/sources"

ROUTES = (
    Route(
        method="GET",
        path=_SOURCES,
        handler=list_sources,
        needs=Permission.FLOWS_VIEW,
        summary="The sources of saved flows, and what was found in them",
        answers=source_models.FlowSourceList,
    ),
    Route(
        method="GET",
        path=f"{_SOURCES}/{{source}}",
        handler=get_source,
        needs=Permission.FLOWS_VIEW,
        summary="A source of saved flows, and what was found in it",
        answers=source_models.FlowSource,
    ),
    Route(
        method="POST",
        path=f"{_SOURCES}/{{source}}/sync",
        handler=sync_source,
        needs=Permission.FLOWS_EDIT,
        summary="Look at a source now, and save what is new in it",
        answers=source_models.SourceSync,
        lasting=True,
    ),
)
