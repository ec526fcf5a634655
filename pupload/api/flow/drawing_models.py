"""The names that go over the wire about drawings; see `pupload.api.flow.models`."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from pydantic import Field

from pupload.api.flow.models import Answer, AnyText, Request


class DrawNode(Request):
    """
    A node: `Component` is one of the server's components, or `Publisher/Name` of a node definition.

    `Settings` has what it is set to, its `extra_config` what becomes its flags. `Drawing` is the number of the drawing
    that it runs. `X` and `Y` say where it is shown.
    """

    ID: str = ""
    Component: str = ""
    Label: str = ""
    EntryPoint: bool = False
    InterruptBefore: bool = False
    InterruptAfter: bool = False
    X: int = Field(default=0, ge=-(2**31), lt=2**31)
    Y: int = Field(default=0, ge=-(2**31), lt=2**31)
    Settings: dict[str, Any] = Field(default_factory=dict)
    Drawing: int | None = Field(default=None, ge=1, lt=2**63)


class DrawEdge(Request):
    """
    An edge between two nodes; `Mapping` may name the `output` and the `input`. A `conditional` one has a `Condition`.

    `Label` is empty where something passes; else what the target is lent (`llm`, `tool`, `memory`, `output_parser`,
    `skill`), or `loop_body`, `loop_return`.
    """

    Source: str = ""
    Target: str = ""
    Type: Literal["direct", "conditional"] = "direct"
    Label: Literal["", "llm", "tool", "memory", "output_parser", "skill", "loop_body", "loop_return"] = ""
    Mapping: dict[str, Any] | None = None
    Condition: str = Field(default="", max_length=256)
    Priority: int = Field(default=0, ge=-(2**31), lt=2**31)


class SaveDrawing(Request):
    """
    A drawing as a whole; what is left out is as new ones have it.

    `OnError` is the number of the drawing that runs when a run of this one fails, `MaxSeconds` how long a run may take.
    With `IfRevision` nothing is saved where it is at another revision; 0: where there is any.
    """

    Name: str = ""
    Description: str = ""
    Tags: list[str] = Field(default_factory=list)
    Active: bool = True
    Public: bool = False
    Default: bool = False
    OnError: int | None = Field(default=None, ge=1, lt=2**63)
    MaxSeconds: int = Field(default=600, ge=1)
    InputSchema: dict[str, Any] | None = None
    OutputSchema: dict[str, Any] | None = None
    Nodes: list[DrawNode] = Field(default_factory=list)
    Edges: list[DrawEdge] = Field(default_factory=list)
    IfRevision: int | None = Field(default=None, ge=0)


class RunDrawing(Request):
    """
    What a run is given, a text or JSON, and the trigger that it begins with, else whichever is begun by hand.

    `Labels` are for whoever looks for the run.
    """

    Trigger: str = ""
    Value: Any = None
    Labels: dict[str, AnyText] = Field(default_factory=dict)


class DrawingLine(Answer, frozen=True, kw_only=True):
    """A drawing as lists show it. `Account` is whose it is."""

    ID: int
    Slug: str
    Name: str
    Description: str
    Tags: list[str]
    Active: bool
    Public: bool
    Default: bool
    OnError: int | None
    MaxSeconds: int
    Account: int | None
    Revision: int
    NodeCount: int
    EdgeCount: int
    CreatedAt: datetime
    UpdatedAt: datetime


class DrawingList(Answer, frozen=True, kw_only=True):
    """A page of drawings, by number; `Total` counts all that are there for the caller."""

    Drawings: list[DrawingLine]
    Total: int
    Limit: int
    Offset: int


class DrawnNode(Answer, frozen=True, kw_only=True):
    """A node of a drawing; `Number` is told apart from all others there ever were."""

    Number: int
    ID: str
    Component: str
    Label: str
    EntryPoint: bool
    InterruptBefore: bool
    InterruptAfter: bool
    X: int
    Y: int
    Settings: dict[str, Any]
    Drawing: int | None
    UpdatedAt: datetime


class DrawnEdge(Answer, frozen=True, kw_only=True):
    """An edge of a drawing."""

    Number: int
    Source: str
    Target: str
    Type: str
    Label: str
    Mapping: dict[str, Any] | None
    Condition: str
    Priority: int


class Drawing(DrawingLine, frozen=True, kw_only=True):
    """A drawing with its nodes and edges, which can be saved as it is."""

    InputSchema: dict[str, Any] | None
    OutputSchema: dict[str, Any] | None
    Nodes: list[DrawnNode]
    Edges: list[DrawnEdge]


class DrawingVerdict(Answer, frozen=True, kw_only=True):
    """Whether a drawing can run, and everything that keeps it from that, sentence by sentence."""

    Valid: bool
    Problems: list[str] | msgspec.UnsetType = msgspec.UNSET
