"""
Workflows, nodes and edges as they go over the wire: how drawings are read and written, whichever section has them.

A node's `config` is always written in full, with what is not said as its default. What only models, or only triggers,
are set to is kept for those alone.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from pupload import errors
from pupload.api.pipelit import models, problems, wire
from pupload.api.pipelit.bodies import Body
from pupload.api.web import SERVICES
from pupload.domain import schedule
from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode, EdgeType
from pupload.domain.schedule import Schedule
from pupload.service import counted

# ── What requests hold ───────────────────────────────────────────────────────────────────────────────────────────

Object = dict[str, Any]
Place = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Id = Annotated[int, Field(ge=1, lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**31)]


class Config(Body):
    """What a node is set to."""

    system_prompt: str = ""
    extra_config: Object = Field(default_factory=dict)
    llm_credential_id: Id | None = None
    model_name: str = ""
    temperature: float | None = None
    max_tokens: Count | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_p: float | None = None
    timeout: Count | None = None
    max_retries: Count | None = None
    response_format: Object | None = None
    llm_model_config_id: Id | None = None
    credential_id: Id | None = None
    is_active: bool = True
    priority: Place = 0
    trigger_config: Object = Field(default_factory=dict)


_OF_MODELS = frozenset(
    {
        *("llm_credential_id", "model_name", "temperature", "max_tokens", "frequency_penalty", "presence_penalty"),
        *("top_p", "response_format", "llm_model_config_id"),
    }
)
_OF_TRIGGERS = frozenset({"credential_id", "is_active", "priority", "trigger_config"})


def kept(component: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Of what a node is set to, what a node of this type can be; None where it is said to be the default."""
    usual = Config().model_dump()
    foreign = (frozenset() if component == "ai_model" else _OF_MODELS) | (
        frozenset() if component.startswith("trigger_") else _OF_TRIGGERS
    )
    return {name: None if value == usual[name] or name in foreign else value for name, value in said.items()}


@contextmanager
def unfit() -> Iterator[None]:
    """What a drawing cannot be is said as what does not fit."""
    try:
        yield
    except (errors.UnfitEdge, errors.UnfitDrawing):
        raise
    except errors.Malformed as error:
        if problems.UNFIT in error.facts:
            raise
        raise problems.unfit(error.message) from None


# ── What answers hold ────────────────────────────────────────────────────────────────────────────────────────────


class WorkflowLine(models.Answer, frozen=True, kw_only=True):
    """A workflow as lists show it."""

    id: int
    name: str
    slug: str
    description: str
    is_active: bool
    is_public: bool
    is_default: bool
    tags: list[str] | None
    error_handler_workflow_id: int | None
    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    max_execution_seconds: int
    node_count: int
    edge_count: int
    created_at: models.Moment
    updated_at: models.Moment


class NodeConfig(models.Answer, frozen=True, kw_only=True):
    """What a node is set to, with what is not said as its default."""

    system_prompt: str
    extra_config: dict[str, Any]
    llm_credential_id: int | None
    model_name: str
    temperature: float | None
    max_tokens: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    top_p: float | None
    timeout: int | None
    max_retries: int | None
    response_format: dict[str, Any] | None
    llm_model_config_id: int | None
    credential_id: int | None
    is_active: bool
    priority: int
    trigger_config: dict[str, Any]


class ScheduleJob(models.Answer, frozen=True, kw_only=True):
    """The scheduled job of a `trigger_schedule`."""

    id: str
    status: str
    run_count: int
    error_count: int
    current_repeat: int
    current_retry: int
    total_repeats: int
    max_retries: int
    timeout_seconds: int
    interval_seconds: int
    last_run_at: models.Moment | None
    next_run_at: models.Moment | None
    last_error: str
    created_at: models.Moment | None


class Node(models.Answer, frozen=True, kw_only=True):
    """A node of a workflow. `schedule_job` is there on a `trigger_schedule` that has one."""

    id: int
    node_id: str
    component_type: str
    label: str
    is_entry_point: bool
    interrupt_before: bool
    interrupt_after: bool
    position_x: int
    position_y: int
    config: NodeConfig
    subworkflow_id: int | None
    code_block_id: int | None
    updated_at: models.Moment
    schedule_job: ScheduleJob | None


class Edge(models.Answer, frozen=True, kw_only=True):
    """An edge of a workflow, between two nodes."""

    id: int
    source_node_id: str
    target_node_id: str
    edge_type: Literal["direct", "conditional"]
    edge_label: str
    condition_mapping: dict[str, Any] | None
    condition_value: str
    priority: int


class Workflow(WorkflowLine, frozen=True, kw_only=True):
    """A workflow with its nodes and edges."""

    nodes: list[Node]
    edges: list[Edge]


def workflow_line(this: Drawing, *, nodes: int | None = None, edges: int | None = None) -> WorkflowLine:
    """The workflow as lists show it; with how many nodes and edges, where those are not with it."""
    return WorkflowLine(**_facts(this, nodes, edges))


def workflow(this: Drawing, jobs: Mapping[str, ScheduleJob]) -> Workflow:
    """The workflow with its parts; `jobs` are the scheduled ones, by node."""
    return Workflow(
        **_facts(this, None, None),
        nodes=[node(each, jobs.get(each.node_id)) for each in this.nodes],
        edges=[edge(each) for each in this.edges],
    )


def _facts(this: Drawing, nodes: int | None, edges: int | None) -> dict[str, Any]:
    return {
        "id": this.id,
        "name": this.name,
        "slug": this.slug,
        "description": this.description,
        "is_active": this.active,
        "is_public": this.public,
        "is_default": this.default,
        "tags": list(this.tags) or None,
        "error_handler_workflow_id": this.error_handler,
        "input_schema": _dict(this.input_schema),
        "output_schema": _dict(this.output_schema),
        "max_execution_seconds": this.max_seconds,
        "node_count": len(this.nodes) if nodes is None else nodes,
        "edge_count": len(this.edges) if edges is None else edges,
        "created_at": wire.moment(this.created_at),
        "updated_at": wire.moment(this.updated_at),
    }


def _dict(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if value is None else dict(value)


def node(this: DrawnNode, job: ScheduleJob | None = None) -> Node:
    """The node."""
    config = Config().model_dump() | {name: value for name, value in this.config.items() if name in Config.model_fields}
    return Node(
        id=this.id,
        node_id=this.node_id,
        component_type=this.component,
        label=this.label,
        is_entry_point=this.is_entry_point,
        interrupt_before=this.interrupt_before,
        interrupt_after=this.interrupt_after,
        position_x=this.x,
        position_y=this.y,
        config=NodeConfig(**config),
        subworkflow_id=this.subdrawing,
        code_block_id=this.code_block,
        updated_at=wire.moment(this.updated_at),
        schedule_job=job,
    )


def edge(this: DrawnEdge) -> Edge:
    """The edge."""
    return Edge(
        id=this.id,
        source_node_id=this.source,
        target_node_id=this.target,
        edge_type="conditional" if this.type is EdgeType.CONDITIONAL else "direct",
        edge_label=this.label,
        condition_mapping=_dict(this.mapping),
        condition_value=this.condition,
        priority=this.priority,
    )


async def jobs(request: web.Request, this: Drawing) -> Mapping[str, ScheduleJob]:
    """The scheduled jobs of the workflow, by node."""
    if not any(each.component == counted.TRIGGER for each in this.nodes):
        return {}
    found = await request.app[SERVICES].counted.of_nodes(this)
    return {node_id: job(each) for node_id, each in found.items()}


def job(this: Schedule) -> ScheduleJob:
    """The scheduled job; it is one that counts."""
    count = this.count
    assert count is not None
    return ScheduleJob(
        id=schedule.uuid_of(this.id),
        status=counted.status(this),
        run_count=count.runs,
        error_count=count.failures,
        current_repeat=count.repeat,
        current_retry=count.retry,
        total_repeats=count.most_runs,
        max_retries=count.most_retries,
        timeout_seconds=count.timeout_seconds,
        interval_seconds=this.interval_seconds,
        last_run_at=wire.maybe_moment(count.ran_at),
        next_run_at=wire.maybe_moment(this.next_at),
        last_error=count.error,
        created_at=wire.moment(this.created_at),
    )
