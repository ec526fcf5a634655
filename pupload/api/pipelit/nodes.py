"""Nodes of a workflow, and when those begin a run by themselves that do so on a schedule."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from pupload.api.pipelit import bodies, drawn, models, wire
from pupload.api.pipelit.bodies import Body
from pupload.api.pipelit.workflows import slug_of
from pupload.api.web import SERVICES, Route
from pupload.domain.access import Permission
from pupload.domain.drawing import editing
from pupload.domain.drawing.model import DrawnNode

_FIELDS = {
    "component_type": "component",
    "position_x": "x",
    "position_y": "y",
    "subworkflow_id": "subdrawing",
    "code_block_id": "code_block",
}
"""What is called otherwise in a drawing."""

Name = Annotated[str, Field(min_length=1, max_length=64)]


class ChangedNode(Body):
    """What is to be otherwise of a node; `config` key by key, its `extra_config` as a whole."""

    node_id: Name = "-"
    component_type: str = ""
    label: str = ""
    is_entry_point: bool = False
    interrupt_before: bool = False
    interrupt_after: bool = False
    position_x: drawn.Place = 0
    position_y: drawn.Place = 0
    config: drawn.Config = Field(default_factory=drawn.Config)
    subworkflow_id: drawn.Id | None = None
    code_block_id: drawn.Id | None = None


class NewNode(ChangedNode):
    """A node. Without a `node_id` it is given one."""

    node_id: Name | None = None  # type: ignore[assignment]
    component_type: str


class NodeList(models.Answer, frozen=True, kw_only=True):
    """A page of a workflow's nodes, in the order in which they were made."""

    items: list[drawn.Node]
    total: int


async def list_nodes(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    found = await request.app[SERVICES].drawings.find(slug_of(request))
    jobs = await drawn.jobs(request, found)
    items = [drawn.node(each, jobs.get(each.node_id)) for each in found.nodes[offset : offset + limit]]
    return wire.answer(NodeList(items=items, total=len(found.nodes)))


async def create_node(request: web.Request) -> web.Response:
    body = await bodies.read(request, NewNode)
    said = _said(body, body.component_type)
    if "config" in said:
        said["config"] = {name: value for name, value in said["config"].items() if value is not None}
    with drawn.unfit():
        made = await request.app[SERVICES].drawings.add_node(slug_of(request), said)
    return wire.answer(drawn.node(made), status=201)


async def change_node(request: web.Request) -> web.Response:
    body = await bodies.read(request, ChangedNode)
    drawings, slug, node_id = request.app[SERVICES].drawings, slug_of(request), node_of(request)
    before = await drawings.own_node(slug, node_id)
    said = _said(body, body.component_type if "component_type" in body.said else before.component)
    with drawn.unfit():
        changed = await drawings.change_node(slug, node_id, said)
    if changed.node_id != node_id:
        await request.app[SERVICES].counted.rename(await drawings.own(slug), node_id, changed.node_id)
    return await _node(request, slug, changed)


async def remove_node(request: web.Request) -> web.Response:
    services, slug, node_id = request.app[SERVICES], slug_of(request), node_of(request)
    await services.drawings.remove_node(slug, node_id)
    await services.counted.forget(await services.drawings.own(slug), node_id)
    return wire.nothing()


async def start_schedule(request: web.Request) -> web.Response:
    await request.app[SERVICES].counted.start_node(slug_of(request), node_of(request))
    return await _node(request, slug_of(request))


async def pause_schedule(request: web.Request) -> web.Response:
    await request.app[SERVICES].counted.pause_node(slug_of(request), node_of(request))
    return await _node(request, slug_of(request))


async def stop_schedule(request: web.Request) -> web.Response:
    await request.app[SERVICES].counted.stop_node(slug_of(request), node_of(request))
    return await _node(request, slug_of(request))


async def _node(request: web.Request, slug: str, this: DrawnNode | None = None) -> web.Response:
    """The node, or the one that the path names, with its scheduled job."""
    found = await request.app[SERVICES].drawings.find(slug)
    this = this or editing.known_node(found, node_of(request))
    jobs = await drawn.jobs(request, found)
    return wire.answer(drawn.node(this, jobs.get(this.node_id)))


def node_of(request: web.Request) -> str:
    """The node that the path names."""
    return request.match_info["node_id"]


def _said(body: ChangedNode, component: str) -> dict[str, Any]:
    """What of a node is said, by the names it has in a drawing; `component` is the type it will be of."""
    said = {_FIELDS.get(name, name): value for name, value in body.said.items()}
    if "config" in said:
        said["config"] = drawn.kept(component, said["config"].said)
    return said


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_NODES = f"{wire.PREFIX}/workflows/{{slug}}/nodes"

ROUTES = (
    Route(
        method="GET",
        path=_NODES,
        handler=list_nodes,
        needs=Permission.FLOWS_VIEW,
        summary="The nodes of a workflow",
        answers=NodeList,
        parameters=bodies.PAGE,
    ),
    Route(
        method="POST",
        path=_NODES,
        handler=create_node,
        needs=Permission.FLOWS_EDIT,
        summary="Draw a node",
        reads=NewNode,
        answers=drawn.Node,
        status=201,
        optional_body=False,
    ),
    Route(
        method="PATCH",
        path=f"{_NODES}/{{node_id}}",
        handler=change_node,
        needs=Permission.FLOWS_EDIT,
        summary="Change a node; where its `node_id` is another one, its edges go with it",
        reads=ChangedNode,
        answers=drawn.Node,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{_NODES}/{{node_id}}",
        handler=remove_node,
        needs=Permission.FLOWS_EDIT,
        summary="Remove a node with its edges and its schedule",
    ),
    Route(
        method="POST",
        path=f"{_NODES}/{{node_id}}/schedule/start",
        handler=start_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Have a `trigger_schedule` begin runs, as its `extra_config` says; one that is paused goes on",
        answers=drawn.Node,
    ),
    Route(
        method="POST",
        path=f"{_NODES}/{{node_id}}/schedule/pause",
        handler=pause_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Have a `trigger_schedule` begin no runs until it is started again",
        answers=drawn.Node,
    ),
    Route(
        method="POST",
        path=f"{_NODES}/{{node_id}}/schedule/stop",
        handler=stop_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Remove the scheduled job of a `trigger_schedule`",
        answers=drawn.Node,
    ),
)
