"""Drawings over the wire: saved and read as a whole, judged, run. `{drawing}` in a path is a slug."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from pupload.api import documents
from pupload.api import web as shared
from pupload.api.flow import answering, drawing_models, models, reading, waiting
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain.access import Permission
from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode, EdgeType

MOST = 1000
"""On one page."""


async def list_drawings(request: web.Request) -> web.Response:
    limit = shared.whole_number(request, "limit", default=50, least=1, most=MOST)
    offset = shared.whole_number(request, "offset", default=0)
    page = await request.app[SERVICES].drawings.list(limit=limit, offset=offset)
    lines = [
        drawing_models.DrawingLine(**_facts(each.drawing, nodes=each.nodes, edges=each.edges)) for each in page.drawings
    ]
    return answering.answer(drawing_models.DrawingList(Drawings=lines, Total=page.total, Limit=limit, Offset=offset))


async def get_drawing(request: web.Request) -> web.Response:
    return answering.answer(_view(await request.app[SERVICES].drawings.find(_slug(request))))


async def save_drawing(request: web.Request) -> web.Response:
    asked = await shared.read_document(request, _read_drawing)
    saved = await request.app[SERVICES].drawn_runs.put(
        _slug(request),
        _said(asked),
        [_node(each) for each in asked.Nodes],
        [_edge(each) for each in asked.Edges],
        if_revision=asked.IfRevision,
    )
    return answering.answer(_view(saved))


async def remove_drawing(request: web.Request) -> web.Response:
    gone = await request.app[SERVICES].drawn_runs.remove(_slug(request))
    await request.app[SERVICES].counted.forget(gone)
    return web.Response(status=204)


async def validate_drawing(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].drawn_runs.validate(_slug(request))
    return answering.answer(drawing_models.DrawingVerdict(Valid=not found, Problems=list(found) or msgspec.UNSET))


async def run_drawing(request: web.Request) -> web.Response:
    key = answering.idempotency_key(request)
    asked = await shared.read_document(request, _read_run, optional=True)
    at_most = waiting.seconds(request)
    view = await request.app[SERVICES].drawn_runs.execute(
        _slug(request),
        trigger=asked.Trigger or None,
        value=documents.plain(asked.Value),
        labels=dict(asked.Labels),
        idempotency_key=key,
    )
    return await answering.run(request, view, wait_seconds=at_most)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _slug(request: web.Request) -> str:
    return request.match_info["drawing"]


def _read_drawing(document: Any) -> drawing_models.SaveDrawing:
    return reading.read(drawing_models.SaveDrawing, document, warnings=[])


def _read_run(document: Any) -> drawing_models.RunDrawing:
    return reading.read(drawing_models.RunDrawing, document, warnings=[])


def _said(asked: drawing_models.SaveDrawing) -> dict[str, Any]:
    return {
        "name": asked.Name,
        "description": asked.Description,
        "tags": tuple(asked.Tags),
        "active": asked.Active,
        "public": asked.Public,
        "default": asked.Default,
        "error_handler": asked.OnError,
        "max_seconds": asked.MaxSeconds,
        "input_schema": documents.plain(asked.InputSchema),
        "output_schema": documents.plain(asked.OutputSchema),
    }


def _node(asked: drawing_models.DrawNode) -> dict[str, Any]:
    return {
        "node_id": asked.ID,
        "component": asked.Component,
        "label": asked.Label,
        "is_entry_point": asked.EntryPoint,
        "interrupt_before": asked.InterruptBefore,
        "interrupt_after": asked.InterruptAfter,
        "x": asked.X,
        "y": asked.Y,
        "config": {name: value for name, value in documents.plain(asked.Settings).items() if value is not None},
        "subdrawing": asked.Drawing,
    }


def _edge(asked: drawing_models.DrawEdge) -> dict[str, Any]:
    return {
        "source": asked.Source,
        "target": asked.Target,
        "type": EdgeType(asked.Type),
        "label": asked.Label,
        "mapping": documents.plain(asked.Mapping),
        "condition": asked.Condition,
        "priority": asked.Priority,
    }


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _facts(this: Drawing, *, nodes: int, edges: int) -> dict[str, Any]:
    return {
        "ID": this.id,
        "Slug": this.slug,
        "Name": this.name,
        "Description": this.description,
        "Tags": list(this.tags),
        "Active": this.active,
        "Public": this.public,
        "Default": this.default,
        "OnError": this.error_handler,
        "MaxSeconds": this.max_seconds,
        "Account": this.account,
        "Revision": this.revision,
        "NodeCount": nodes,
        "EdgeCount": edges,
        "CreatedAt": this.created_at,
        "UpdatedAt": this.updated_at,
    }


def _view(this: Drawing) -> drawing_models.Drawing:
    return drawing_models.Drawing(
        **_facts(this, nodes=len(this.nodes), edges=len(this.edges)),
        InputSchema=_dict(this.input_schema),
        OutputSchema=_dict(this.output_schema),
        Nodes=[_drawn_node(each) for each in this.nodes],
        Edges=[_drawn_edge(each) for each in this.edges],
    )


def _drawn_node(this: DrawnNode) -> drawing_models.DrawnNode:
    return drawing_models.DrawnNode(
        Number=this.id,
        ID=this.node_id,
        Component=this.component,
        Label=this.label,
        EntryPoint=this.is_entry_point,
        InterruptBefore=this.interrupt_before,
        InterruptAfter=this.interrupt_after,
        X=this.x,
        Y=this.y,
        Settings=dict(this.config),
        Drawing=this.subdrawing,
        UpdatedAt=this.updated_at,
    )


def _drawn_edge(this: DrawnEdge) -> drawing_models.DrawnEdge:
    return drawing_models.DrawnEdge(
        Number=this.id,
        Source=this.source,
        Target=this.target,
        Type=this.type.value,
        Label=this.label,
        Mapping=_dict(this.mapping),
        Condition=this.condition,
        Priority=this.priority,
    )


def _dict(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if value is None else dict(value)


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_DRAWINGS = "/api/v1/flow/drawings"
_ONE = f"{_DRAWINGS}/{{drawing}}"

ROUTES = (
    Route(
        method="GET",
        path=_DRAWINGS,
        handler=list_drawings,
        needs=Permission.FLOWS_VIEW,
        summary="Drawings: the caller's, and public ones",
        answers=drawing_models.DrawingList,
        parameters=(
            Parameter(name="limit", type="integer", about=f"So many at most: 1 to {MOST}, 50 when not given."),
            Parameter(name="offset", type="integer", about="How many to pass over."),
        ),
    ),
    Route(
        method="GET",
        path=_ONE,
        handler=get_drawing,
        needs=Permission.FLOWS_VIEW,
        summary="A drawing with its nodes and edges",
        answers=drawing_models.Drawing,
    ),
    Route(
        method="PUT",
        path=_ONE,
        handler=save_drawing,
        needs=Permission.FLOWS_EDIT,
        summary="Save a drawing as a whole, new or in place of what it was",
        reads=drawing_models.SaveDrawing,
        answers=drawing_models.Drawing,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=_ONE,
        handler=remove_drawing,
        needs=Permission.FLOWS_EDIT,
        summary="Remove a drawing; its runs go on",
        status=204,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/validate",
        handler=validate_drawing,
        needs=Permission.FLOWS_VIEW,
        summary="Say whether a drawing can run, and everything that keeps it from that",
        answers=drawing_models.DrawingVerdict,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/run",
        handler=run_drawing,
        needs=Permission.FLOWS_RUN,
        summary="Run a drawing as it is now, and answer at once",
        reads=drawing_models.RunDrawing,
        answers=models.FlowRun,
        parameters=(answering.KEY, *waiting.PARAMETERS),
    ),
)
