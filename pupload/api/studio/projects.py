"""Projects: listed, made, renamed and deleted; their pipelines saved as graphs; what they take and do by themselves."""

import json
from typing import Any

from aiohttp import web

from pupload import errors
from pupload.api import documents
from pupload.api import web as shared
from pupload.api.studio import bodies, graphs, models, problems, running, wire
from pupload.api.web import SERVER, SERVICES, Route, Services
from pupload.domain import entries, saved
from pupload.domain.access import Permission
from pupload.domain.saved import SavedFlow
from pupload.service import schedules
from pupload.service.namespaces import MAIN, NamespaceView

PREFIX = "/api/projects"

CONSUMERS = 0
"""Of queues: pupload reads none."""


# ── Projects ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_projects(request: web.Request) -> web.Response:
    return wire.answer([wire.project(each) for each in await request.app[SERVICES].namespaces.list()])


async def create_project(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.NewProject)
    return wire.answer(wire.project(await request.app[SERVICES].namespaces.create(asked.name, asked.description)))


async def change_project(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.ProjectChange)
    if asked.new_name is None and asked.description is None:
        return problems.answer(400, "Nothing to update")
    changed = await request.app[SERVICES].namespaces.change(
        request.match_info["name"], new_name=asked.new_name, description=asked.description
    )
    return wire.answer(wire.project(changed))


async def delete_project(request: web.Request) -> web.Response:
    await request.app[SERVICES].namespaces.remove(request.match_info["name"])
    return wire.answer(models.Done(status="deleted"))


# ── Pipelines ────────────────────────────────────────────────────────────────────────────────────────────────────


async def save_pipeline(request: web.Request) -> web.Response:
    services, (project, name) = request.app[SERVICES], _names(request)
    sent: list[Any] = []

    def read(value: Any) -> models.SavedGraph:
        sent.append(value)
        return bodies.understood(value, models.SavedGraph)

    graph = (await bodies.read_as(request, read)).graph
    found = await services.namespaces.find(project)
    before = await _drawn_before(services, found, name)
    compiled = graphs.compiled(graph, await known(services, graph))
    flow = await services.namespaces.save(project, name, compiled.content, json.dumps(sent[0]["graph"]))
    await _keep_schedule(services, project, flow, before, compiled)
    return wire.answer(models.Done(status="saved"))


async def get_pipeline(request: web.Request) -> web.Response:
    project, name = _names(request)
    graph = await request.app[SERVICES].namespaces.sketch(project, name)
    if graph is None:
        raise errors.UnknownSavedFlow(flow=name, namespace=project)
    return shared.json_bytes(graph.encode())


async def known(services: Services, graph: models.Graph) -> list[Any]:
    """The definitions that the graph names. Raises `errors.Malformed` for one that there is not."""
    found = {definition.uses: definition for definition in await services.nodes.all()}
    for name in graphs.uses(graph):
        if name not in found:
            raise errors.Malformed(reason=f"no node type is called {name[:128]!r}")
    return [found[name] for name in graphs.uses(graph)]


async def _keep_schedule(
    services: Services, project: str, flow: SavedFlow, before: graphs.Boundaries | None, now: graphs.Compiled
) -> None:
    """The flow has the schedule that its graph says, in place of that which it said before; others stay."""
    said = now.boundaries
    there = await services.schedules.list(flow=flow.id)
    old = [
        each for each in there if before is not None and (each.cron, each.timezone) == (before.cron, before.timezone)
    ]
    if not said.cron:
        for each in old:
            await services.schedules.remove(each.id)
        return
    running = (await services.namespaces.runtime(project)).running
    given = said.payload if entries.entries(now.content.flow, ()) else ""
    draft = schedules.Draft(flow=flow.id, cron=said.cron, timezone=said.timezone, enabled=running, given=given)
    if old:
        await services.schedules.replace(old[0].id, draft)
    else:
        await services.schedules.create(draft)


# ── What it takes, and does ──────────────────────────────────────────────────────────────────────────────────────


async def schema(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    found = await services.namespaces.find(request.match_info["name"])
    try:
        flow = found.flow()
    except errors.UnknownSavedFlow:
        return wire.answer(models.Schema(input_schema=None, output_schema=None, trigger_type=None))
    drawn = await _drawn(services, found, flow)
    if drawn is not None:
        taken, given = drawn.input_schema, drawn.output_schema
    else:
        view = await services.flows.get(flow.id)
        ends = await services.launches.ends(view.content.flow, view.content.definitions)
        taken, given = entries.schema(ends.entries), entries.schema(ends.terminals)
    trigger = await _trigger(services, found, flow)
    return wire.answer(models.Schema(input_schema=taken, output_schema=given, trigger_type=trigger))


async def start_runtime(request: web.Request) -> web.Response:
    await request.app[SERVICES].namespaces.start(request.match_info["name"])
    return wire.answer(models.Done(status=wire.RUNNING))


async def stop_runtime(request: web.Request) -> web.Response:
    await request.app[SERVICES].namespaces.stop(request.match_info["name"])
    return wire.answer(models.Done(status=wire.STOPPED))


async def get_runtime(request: web.Request) -> web.Response:
    return wire.answer(await runtime(request.app[SERVICES], request.match_info["name"]))


async def runtime(services: Services, name: str) -> models.RuntimeStatus:
    """What the project does by itself. Raises `errors.UnknownNamespace`."""
    found = await services.namespaces.find(name)
    told = await services.namespaces.runtime(name)
    trigger = None
    if told.running:
        try:
            trigger = await _trigger(services, found, found.flow())
        except errors.UnknownSavedFlow:
            trigger = None
    return models.RuntimeStatus(
        project=name,
        status=wire.RUNNING if told.running else wire.STOPPED,
        trigger_type=trigger,
        consumers=CONSUMERS,
        scheduler_active=any(each.next_at is not None for each in told.schedules),
    )


async def health(request: web.Request) -> web.Response:
    well = all(line.ok for line in await request.app[SERVICES].health.check())
    answer = models.Health(status="ok" if well else "unwell", version=request.app[SERVER].version)
    return wire.answer(answer, status=200 if well else 503)


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _drawn(services: Services, found: NamespaceView, flow: SavedFlow) -> graphs.Boundaries | None:
    """What the graph says that the flow was made of; None where it was made of none."""
    graph = await services.namespaces.sketch(found.name, flow.name)
    if graph is None:
        return None
    return graphs.boundaries(bodies.understood(documents.parse_json(graph.encode()), models.Graph))


async def _drawn_before(services: Services, found: NamespaceView, name: str) -> graphs.Boundaries | None:
    """What the graph says that the pipeline was made of until now; None where there is none."""
    kept = next((flow for flow in found.flows if flow.name == name), None)
    return None if kept is None else await _drawn(services, found, kept)


async def _trigger(services: Services, found: NamespaceView, flow: SavedFlow) -> str | None:
    """What has the project run."""
    drawn = await _drawn(services, found, flow)
    if drawn is not None:
        return drawn.trigger_type
    if await services.schedules.list(flow=flow.id, enabled=True):
        return "schedule"
    view = await services.flows.get(flow.id)
    taken = (await services.launches.ends(view.content.flow, view.content.definitions)).entries
    if not taken:
        return None
    return "file_upload" if any(end.uploaded for end in taken) else "http"


def _names(request: web.Request) -> tuple[str, str]:
    """The project and the pipeline. Raises `errors.Malformed` for a name that none can have."""
    name = request.match_info["pipeline"]
    if objection := saved.objection(MAIN, name):
        raise errors.Malformed(reason=objection)
    return request.match_info["name"], name


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_ONE = f"{PREFIX}/{{name}}"

ROUTES = (
    Route(
        method="GET",
        path=PREFIX,
        handler=list_projects,
        summary="All projects, by their names: every namespace of saved flows, and every flow that is in none",
        needs=Permission.FLOWS_VIEW,
        answers=list[models.Project],
    ),
    Route(
        method="POST",
        path=PREFIX,
        handler=create_project,
        summary="A new project, without a pipeline",
        needs=Permission.FLOWS_EDIT,
        reads=models.NewProject,
        answers=models.Project,
        optional_body=False,
    ),
    Route(
        method="PATCH",
        path=_ONE,
        handler=change_project,
        summary="A project with another name, for all of its pipelines, or another description",
        needs=Permission.FLOWS_EDIT,
        reads=models.ProjectChange,
        answers=models.Project,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=_ONE,
        handler=delete_project,
        summary="Delete a project with its pipelines; their runs go on, and can be looked at elsewhere",
        needs=Permission.FLOWS_EDIT,
        answers=models.Done,
    ),
    *running.ROUTES,
    Route(
        method="GET",
        path=f"{_ONE}/schema",
        handler=schema,
        summary="What a project takes and gives",
        needs=Permission.FLOWS_VIEW,
        answers=models.Schema,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/runtime/start",
        handler=start_runtime,
        summary="The schedules of a project start runs from now on",
        needs=Permission.SCHEDULES_EDIT,
        answers=models.Done,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/runtime/stop",
        handler=stop_runtime,
        summary="The schedules of a project start no more runs; those that are under way go on",
        needs=Permission.SCHEDULES_EDIT,
        answers=models.Done,
    ),
    Route(
        method="GET",
        path=f"{_ONE}/runtime/status",
        handler=get_runtime,
        summary="What a project does by itself",
        needs=Permission.SCHEDULES_VIEW,
        answers=models.RuntimeStatus,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/pipelines/{{pipeline}}",
        handler=save_pipeline,
        summary="Save a graph as a pipeline of a project, in place of the one of that name",
        needs=Permission.FLOWS_EDIT,
        reads=models.SavedGraph,
        answers=models.Done,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{_ONE}/pipelines/{{pipeline}}",
        handler=get_pipeline,
        summary="The graph that a pipeline was made of, as it was sent",
        needs=Permission.FLOWS_VIEW,
        answers=dict,
    ),
    Route(
        method="GET",
        path="/api/health",
        handler=health,
        summary="Whether all that the server needs answers; 503 where something does not",
        needs=None,
        answers=models.Health,
        uncounted=True,
    ),
)
