"""Edges of a workflow: which node's output goes into which node, and what a node is lent."""

from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from pupload.api.pipelit import bodies, drawn, models, problems, wire
from pupload.api.pipelit.bodies import Body
from pupload.api.pipelit.workflows import slug_of
from pupload.api.web import SERVICES, Route
from pupload.domain.access import Permission
from pupload.domain.drawing.model import EdgeType

_FIELDS = {
    "source_node_id": "source",
    "target_node_id": "target",
    "edge_type": "type",
    "edge_label": "label",
    "condition_mapping": "mapping",
    "condition_value": "condition",
}
"""What is called otherwise in a drawing."""

Label = Literal["", "llm", "tool", "memory", "output_parser", "skill", "loop_body", "loop_return"]


class ChangedEdge(Body):
    """What is to be otherwise of an edge."""

    source_node_id: str = ""
    target_node_id: str = ""
    edge_type: EdgeType = EdgeType.DIRECT
    edge_label: Label = ""
    condition_mapping: drawn.Object | None = None
    condition_value: str = Field(default="", max_length=256)
    priority: drawn.Place = 0


class NewEdge(ChangedEdge):
    """An edge."""

    source_node_id: str


class EdgeList(models.Answer, frozen=True, kw_only=True):
    """A page of a workflow's edges, in the order in which they were made."""

    items: list[drawn.Edge]
    total: int


async def list_edges(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    found = await request.app[SERVICES].drawings.find(slug_of(request))
    items = [drawn.edge(each) for each in found.edges[offset : offset + limit]]
    return wire.answer(EdgeList(items=items, total=len(found.edges)))


async def create_edge(request: web.Request) -> web.Response:
    body = await bodies.read(request, NewEdge)
    with drawn.unfit():
        made = await request.app[SERVICES].drawings.add_edge(slug_of(request), {"target": "", **_said(body)})
    return wire.answer(drawn.edge(made), status=201)


async def change_edge(request: web.Request) -> web.Response:
    body = await bodies.read(request, ChangedEdge)
    with drawn.unfit():
        changed = await request.app[SERVICES].drawings.change_edge(slug_of(request), _edge_of(request), _said(body))
    return wire.answer(drawn.edge(changed))


async def remove_edge(request: web.Request) -> web.Response:
    await request.app[SERVICES].drawings.remove_edge(slug_of(request), _edge_of(request))
    return wire.nothing()


def _edge_of(request: web.Request) -> int:
    """The edge that the path names. Raises what is answered with 422 for what is no number."""
    text = request.match_info["edge_id"]
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise problems.unfit("path.edge_id: an edge's id is a whole number")
    return int(text)


def _said(body: ChangedEdge) -> dict[str, Any]:
    return {_FIELDS.get(name, name): value for name, value in body.said.items()}


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_EDGES = f"{wire.PREFIX}/workflows/{{slug}}/edges"
ROUTES = (
    Route(
        method="GET",
        path=_EDGES,
        handler=list_edges,
        needs=Permission.FLOWS_VIEW,
        summary="The edges of a workflow",
        answers=EdgeList,
        parameters=bodies.PAGE,
    ),
    Route(
        method="POST",
        path=_EDGES,
        handler=create_edge,
        needs=Permission.FLOWS_EDIT,
        summary="Join two nodes, where what the one gives is what the other takes",
        reads=NewEdge,
        answers=drawn.Edge,
        status=201,
        optional_body=False,
    ),
    Route(
        method="PATCH",
        path=f"{_EDGES}/{{edge_id}}",
        handler=change_edge,
        needs=Permission.FLOWS_EDIT,
        summary="Change an edge, which is judged as a new one would be",
        reads=ChangedEdge,
        answers=drawn.Edge,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{_EDGES}/{{edge_id}}",
        handler=remove_edge,
        needs=Permission.FLOWS_EDIT,
        summary="Remove an edge",
    ),
)
