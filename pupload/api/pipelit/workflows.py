"""Workflows: kept, judged, run; what their nodes can be."""

from typing import Annotated, Any

import msgspec
from aiohttp import web
from pydantic import Field

from pupload import errors
from pupload.api import documents
from pupload.api import web as shared
from pupload.api.pipelit import bodies, drawn, models, problems, wire
from pupload.api.pipelit.bodies import Body
from pupload.api.web import SERVICES, Route
from pupload.domain import ids
from pupload.domain.access import Permission
from pupload.domain.drawing.component import HANDLES, Component
from pupload.domain.drawing.ports import ComponentPort

_FIELDS = {
    "is_active": "active",
    "is_public": "public",
    "is_default": "default",
    "error_handler_workflow_id": "error_handler",
    "max_execution_seconds": "max_seconds",
}
"""What is called otherwise in a drawing."""

RESERVED = frozenset({"node-types", "validate-dsl", "batch-delete"})
"""No slugs: paths of these names are others."""

Slug = Annotated[str, Field(min_length=1, max_length=128)]


class ChangedWorkflow(Body):
    """What is to be otherwise of a workflow."""

    name: str = ""
    slug: Slug = "-"
    description: str = ""
    is_active: bool = True
    is_public: bool = False
    is_default: bool = False
    tags: list[str] | None = None
    error_handler_workflow_id: drawn.Id | None = None
    input_schema: drawn.Object | None = None
    output_schema: drawn.Object | None = None
    max_execution_seconds: drawn.Count = 600


class NewWorkflow(ChangedWorkflow):
    """A workflow, without its nodes and edges."""

    name: str
    slug: Slug


class Slugs(Body):
    """Workflows by their slugs."""

    slugs: list[str]


class Dsl(Body):
    """A workflow as text."""

    yaml_str: str


class Execute(Body):
    """What a run of a workflow is given, and the trigger that it begins with."""

    text: str = ""
    trigger_node_id: str | None = None


class WorkflowList(models.Answer, frozen=True, kw_only=True):
    """A page of workflows, by id; `total` counts all that are seen."""

    items: list[drawn.WorkflowLine]
    total: int


class Validation(models.Answer, frozen=True, kw_only=True):
    """Whether a workflow can run, and why not."""

    valid: bool
    errors: list[str]


class DslValidation(Validation, frozen=True, kw_only=True):
    """Whether a text is a workflow, why not, and how large it is."""

    node_count: int
    edge_count: int


class Port(models.Answer, frozen=True, kw_only=True):
    """An input or output of a type of node."""

    name: str
    data_type: str
    description: str
    required: bool
    default: None = None


class NodeType(models.Answer, frozen=True, kw_only=True):
    """What a node can be; `executable` says whether it can run here."""

    component_type: str
    label: str
    display_name: str
    category: str
    description: str
    icon: str
    color: str
    inputs: list[Port]
    outputs: list[Port]
    sub_inputs: list[Port]
    requires_model: bool
    requires_tools: bool
    requires_memory: bool
    requires_output_parser: bool
    executable: bool
    config_schema: dict[str, Any]


class Started(models.Answer, frozen=True, kw_only=True):
    """An execution that was begun."""

    execution_id: str
    status: str


# ── Handlers ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_workflows(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    page = await request.app[SERVICES].drawings.list(limit=limit, offset=offset)
    lines = [drawn.workflow_line(each.drawing, nodes=each.nodes, edges=each.edges) for each in page.drawings]
    return wire.answer(WorkflowList(items=lines, total=page.total))


async def create_workflow(request: web.Request) -> web.Response:
    body = await bodies.read(request, NewWorkflow)
    with drawn.unfit():
        made = await request.app[SERVICES].drawings.create(_said(body))
    return wire.answer(drawn.workflow_line(made), status=201)


async def get_workflow(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].drawings.find(slug_of(request))
    return wire.answer(drawn.workflow(found, await drawn.jobs(request, found)))


async def change_workflow(request: web.Request) -> web.Response:
    body = await bodies.read(request, ChangedWorkflow)
    with drawn.unfit():
        changed = await request.app[SERVICES].drawn_runs.change(slug_of(request), _said(body))
    return wire.answer(drawn.workflow_line(changed))


async def remove_workflow(request: web.Request) -> web.Response:
    await _remove(request, slug_of(request))
    return wire.nothing()


async def remove_workflows(request: web.Request) -> web.Response:
    body = await bodies.read(request, Slugs)
    for slug in dict.fromkeys(body.slugs):
        try:
            await _remove(request, slug)
        except (errors.UnknownDrawing, errors.Forbidden):
            continue
    return wire.nothing()


async def _remove(request: web.Request, slug: str) -> None:
    gone = await request.app[SERVICES].drawn_runs.remove(slug)
    await request.app[SERVICES].counted.forget(gone)


async def validate_workflow(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].drawn_runs.validate(slug_of(request))
    return wire.answer(Validation(valid=not found, errors=list(found)))


async def execute_workflow(request: web.Request) -> web.Response:
    body = await bodies.read(request, Execute, optional=True)
    view = await request.app[SERVICES].drawn_runs.execute(
        slug_of(request), trigger=body.trigger_node_id, value=body.text
    )
    return wire.answer(Started(execution_id=ids.uuid_of(view.run.id), status="pending"))


async def list_node_types(request: web.Request) -> web.Response:
    known = await request.app[SERVICES].drawings.components()
    return shared.json_bytes(msgspec.json.encode({name: _node_type(each) for name, each in known.items()}))


async def validate_dsl(request: web.Request) -> web.Response:
    body = await bodies.read(request, Dsl)
    try:
        document = documents.parse_yaml(body.yaml_str, name="yaml_str")
    except errors.Malformed as error:
        return wire.answer(DslValidation(valid=False, errors=[error.message], node_count=0, edge_count=0))
    found = await request.app[SERVICES].drawings.read_steps(document.value)
    nodes, edges = found.counts
    return wire.answer(
        DslValidation(valid=not found.errors, errors=list(found.errors), node_count=nodes, edge_count=edges)
    )


# ── Reading and writing ──────────────────────────────────────────────────────────────────────────────────────────


def slug_of(request: web.Request) -> str:
    """The workflow that the path names."""
    return request.match_info["slug"]


def _said(body: ChangedWorkflow) -> dict[str, Any]:
    said = {_FIELDS.get(name, name): value for name, value in body.said.items()}
    if "tags" in said:
        said["tags"] = tuple(said["tags"] or ())
    if said.get("slug") in RESERVED:
        raise problems.unfit(f"body.slug: {said['slug']} is a path of its own")
    return said


def _node_type(this: Component) -> NodeType:
    return NodeType(
        component_type=this.type,
        label=this.label,
        display_name=this.label,
        category=this.category,
        description=this.description,
        icon=this.icon,
        color=this.color,
        inputs=[_port(each) for each in this.inputs],
        outputs=[_port(each) for each in this.outputs],
        sub_inputs=[_port(each) for each in this.sub_inputs],
        requires_model=this.requires(HANDLES["llm"]),
        requires_tools=this.requires(HANDLES["tool"]),
        requires_memory=this.requires(HANDLES["memory"]),
        requires_output_parser=this.requires(HANDLES["output_parser"]),
        executable=this.executable,
        config_schema=dict(this.config_schema),
    )


def _port(this: ComponentPort) -> Port:
    return Port(name=this.name, data_type=this.data_type.value, description=this.description, required=this.required)


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_WORKFLOWS = f"{wire.PREFIX}/workflows"

ROUTES = (
    Route(
        method="GET",
        path=_WORKFLOWS,
        handler=list_workflows,
        needs=Permission.FLOWS_VIEW,
        summary="Workflows: one's own, and public ones",
        answers=WorkflowList,
        parameters=bodies.PAGE,
    ),
    Route(
        method="POST",
        path=_WORKFLOWS,
        handler=create_workflow,
        needs=Permission.FLOWS_EDIT,
        summary="Begin a workflow, without nodes",
        reads=NewWorkflow,
        answers=drawn.WorkflowLine,
        status=201,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{_WORKFLOWS}/node-types",
        handler=list_node_types,
        needs=Permission.FLOWS_VIEW,
        summary="What a node can be, by type: the components, and every node definition of this server",
        answers=dict,
    ),
    Route(
        method="POST",
        path=f"{_WORKFLOWS}/validate-dsl",
        handler=validate_dsl,
        needs=Permission.FLOWS_VIEW,
        summary="Judge a workflow that is written as YAML; nothing is kept",
        reads=Dsl,
        answers=DslValidation,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_WORKFLOWS}/batch-delete",
        handler=remove_workflows,
        needs=Permission.FLOWS_EDIT,
        summary="Remove several workflows; those that are not there, or somebody else's, are passed over",
        reads=Slugs,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{_WORKFLOWS}/{{slug}}",
        handler=get_workflow,
        needs=Permission.FLOWS_VIEW,
        summary="A workflow with its nodes and edges",
        answers=drawn.Workflow,
    ),
    Route(
        method="PATCH",
        path=f"{_WORKFLOWS}/{{slug}}",
        handler=change_workflow,
        needs=Permission.FLOWS_EDIT,
        summary="Change what is said of a workflow",
        reads=ChangedWorkflow,
        answers=drawn.WorkflowLine,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{_WORKFLOWS}/{{slug}}",
        handler=remove_workflow,
        needs=Permission.FLOWS_EDIT,
        summary="Remove a workflow; its executions stay",
    ),
    Route(
        method="POST",
        path=f"{_WORKFLOWS}/{{slug}}/validate",
        handler=validate_workflow,
        needs=Permission.FLOWS_VIEW,
        summary="Say whether a workflow can run, and everything that keeps it from it",
        answers=Validation,
    ),
    Route(
        method="POST",
        path=f"{_WORKFLOWS}/{{slug}}/execute",
        handler=execute_workflow,
        needs=Permission.FLOWS_RUN,
        summary="Run a workflow as it is drawn now, beginning with one of its triggers",
        reads=Execute,
        answers=Started,
    ),
)
