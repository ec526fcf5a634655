"""What is changed in drawings, as it is told to whoever looks at one (`pupload.service.hub`)."""

from dataclasses import dataclass
from enum import StrEnum

from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode


class Kind(StrEnum):
    """What happened."""

    CHANGED = "workflow_updated"
    NODE_ADDED = "node_created"
    NODE_CHANGED = "node_updated"
    NODE_REMOVED = "node_deleted"
    EDGE_ADDED = "edge_created"
    EDGE_CHANGED = "edge_updated"
    EDGE_REMOVED = "edge_deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One change."""

    kind: Kind
    slug: str
    """What the drawing was called before."""
    drawing: Drawing
    """As it is now; its account and whether it is public say who may know."""
    node: DrawnNode | None = None
    edge: DrawnEdge | None = None
    """The part that it is about, as it is now or was."""
