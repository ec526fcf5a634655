"""
Every name that goes over this surface's wire, letter for letter as its contract has it.

Times are RFC 3339 in UTC. What cannot be told yet is null.
"""

from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]

# ── What requests hold ───────────────────────────────────────────────────────────────────────────────────────────


class Asked(BaseModel):
    """What every request with a body holds. What nobody knows is passed over."""

    model_config = ConfigDict(strict=True, extra="ignore")


class RunInput(Asked):
    """What a run is given: a text, or any JSON."""

    input: Any = None


class NewProject(Asked):
    """A project to be made."""

    name: str
    description: str = Field("", max_length=4096)


class ProjectChange(Asked):
    """What is to be otherwise about a project; what is null stays."""

    new_name: str | None = None
    description: str | None = Field(None, max_length=4096)


class Position(Asked):
    """Where a node is drawn."""

    model_config = ConfigDict(strict=False, extra="ignore")

    x: float = 0.0
    y: float = 0.0


class GraphNode(Asked):
    """A node of a graph. What `data` means depends on the `type`."""

    id: str = Field(min_length=1, max_length=128)
    type: str = Field("", max_length=256)
    label: str = Field("", max_length=4096)
    position: Position | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class GraphEdge(Asked):
    """What a node gives another."""

    id: str | None = None
    source: str
    target: str
    source_handle: str | None = None
    target_handle: str | None = None
    label: str | None = None


class Graph(Asked):
    """Nodes, and edges between them; `metadata` has the `name`."""

    nodes: list[GraphNode] = Field(default_factory=list, max_length=2000)
    edges: list[GraphEdge] = Field(default_factory=list, max_length=10_000)
    metadata: dict[str, Any] = Field(default_factory=dict)


class SavedGraph(Asked):
    """A graph to be saved as a pipeline."""

    graph: Graph


class SocketRequest(Asked):
    """What a client says over the socket: `run` this graph, with these inputs."""

    action: str
    graph: Graph | None = None
    inputs: Any = None


class Question(Asked):
    """A GraphQL request."""

    query: str = Field(min_length=1)
    variables: dict[str, Any] | None = None
    operation_name: str | None = Field(None, alias="operationName")


# ── What answers hold ────────────────────────────────────────────────────────────────────────────────────────────


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer is."""


class Wrong(Answer, frozen=True, kw_only=True):
    """What is wrong with a part of a request, and where."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class Problem(Answer, frozen=True, kw_only=True):
    """Why not: a sentence, or all that is wrong with the request."""

    detail: str | list[Wrong]


class Project(Answer, frozen=True, kw_only=True):
    """A project. `path` is the namespace of its flows, or the only flow that it is."""

    name: str
    description: str
    created_at: Moment
    path: str


class Done(Answer, frozen=True, kw_only=True):
    """What became of it: `saved`, `deleted`, `running`, `stopped`."""

    status: str


class Finished(Answer, frozen=True, kw_only=True):
    """A run that is over. `result` is a text, any JSON, or null; of other files, and large ones, where they are."""

    result: Any
    execution_id: str
    duration_ms: float


class Started(Answer, frozen=True, kw_only=True):
    """A run that was just started."""

    execution_id: str
    status: str


class Execution(Answer, frozen=True, kw_only=True):
    """A run as it stands: `running`, `completed`, or `failed` with the error for its `result`."""

    execution_id: str
    status: str
    result: Any
    duration_ms: float | None


class ExecutionLine(Answer, frozen=True, kw_only=True):
    """A run of the history."""

    execution_id: str
    status: str
    duration_ms: float | None


class History(Answer, frozen=True, kw_only=True):
    """Runs of a project, the oldest first."""

    executions: list[ExecutionLine]


class Schema(Answer, frozen=True, kw_only=True):
    """What a project takes and gives, as JSON Schema; null where it takes, or gives, nothing."""

    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    trigger_type: str | None


class RuntimeStatus(Answer, frozen=True, kw_only=True):
    """What a project does by itself: `running` or `stopped`."""

    project: str
    status: str
    trigger_type: str | None
    consumers: int
    scheduler_active: bool


class Health(Answer, frozen=True, kw_only=True):
    """Whether all that the server needs answers: `ok` or `unwell`."""

    status: str
    version: str


# ── What the socket tells ────────────────────────────────────────────────────────────────────────────────────────


class Frame(Answer, frozen=True, kw_only=True):
    """A message of the socket. Which fields there are depends on the `type`."""

    type: str
    node_id: str | msgspec.UnsetType = msgspec.UNSET
    pipeline_name: str | msgspec.UnsetType = msgspec.UNSET
    latency_ms: float | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET
    success: bool | msgspec.UnsetType = msgspec.UNSET
    output: str | msgspec.UnsetType | None = msgspec.UNSET
    duration_ms: float | msgspec.UnsetType = msgspec.UNSET
