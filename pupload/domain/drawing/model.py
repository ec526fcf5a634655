"""
A drawing as it is kept: nodes of some component, edges between them, and what is said of the whole.

It need not make sense at any time: somebody is drawing. Whether it can run is found out when it is compiled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class EdgeType(StrEnum):
    """Of an edge."""

    DIRECT = "direct"
    CONDITIONAL = "conditional"


BINDINGS = ("llm", "tool", "memory", "output_parser", "skill")
"""Labels of edges that carry nothing: they lend the target what its source is set to."""
LOOPS = ("loop_body", "loop_return")
LABELS = ("", *BINDINGS, *LOOPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnNode:
    """A node of a drawing."""

    id: int = 0
    """Given by the database, from 1."""
    node_id: str
    """Its name, of which there is one in a drawing."""
    component: str
    """One of `pupload.domain.drawing.components`, or `Publisher/Name` of a node definition."""
    label: str = ""
    is_entry_point: bool = False
    interrupt_before: bool = False
    interrupt_after: bool = False
    x: int = 0
    y: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    """What was said, defaults left out; its `extra_config` becomes flags."""
    subdrawing: int | None = None
    """The drawing that it runs."""
    code_block: int | None = None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnEdge:
    """An edge of a drawing, between nodes by their names."""

    id: int = 0
    source: str
    target: str
    type: EdgeType = EdgeType.DIRECT
    label: str = ""
    """One of `LABELS`."""
    mapping: Mapping[str, Any] | None = None
    condition: str = ""
    """What the switch must have found, of a conditional edge."""
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A graph, whoever's it is."""

    id: int = 0
    slug: str
    name: str
    description: str = ""
    account: int | None = None
    """Whose it is; None: nobody's."""
    active: bool = True
    public: bool = False
    """Whether others see and run it."""
    default: bool = False
    """Whether it runs where a trigger means none; of an account's drawings one at most does."""
    tags: tuple[str, ...] = ()
    error_handler: int | None = None
    """The drawing that runs when a run of this one fails."""
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    max_seconds: int = 600
    """How long a run may take."""
    nodes: tuple[DrawnNode, ...] = ()
    edges: tuple[DrawnEdge, ...] = ()
    revision: int = 1
    """Grows with every change, of its parts too."""
    created_at: datetime
    updated_at: datetime

    def node(self, node_id: str) -> DrawnNode | None:
        """The node of this name."""
        return next((node for node in self.nodes if node.node_id == node_id), None)
