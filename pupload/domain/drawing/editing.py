"""
Changing a drawing piece by piece: what it is afterwards, or why that cannot be.

A drawing that is being drawn need not make sense; what is held here is only that it can be read: names that are names,
one node of a name, edges between nodes that are there, and no more of it than anybody draws.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pupload import errors
from pupload.domain import saved
from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode

MOST_NODES = 1000
MOST_EDGES = 2000
MOST_NODE_ID = 64
MOST_NAME = 256
MOST_WORDS = 4096
MOST_TAGS = 64
MOST_CONFIG_BYTES = 256 * 1024
"""Of a node, written as JSON."""
MOST_BYTES = 4 * 1024 * 1024
"""Of what all nodes are set to."""
MOST_SECONDS = 30 * 86400

_TOO_MUCH = f"a node is set to {MOST_CONFIG_BYTES} bytes at most, written as JSON"

_NODE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_PERSON = "human_confirmation"


def slug_objection(slug: str) -> str:
    """Why a drawing cannot be called so; empty where it can."""
    if "/" in slug:
        return "a slug has no slash"
    return saved.objection("drawn", slug)


def checked(this: Drawing) -> Drawing:
    """The drawing. Raises `errors.Malformed` where its own words are none or too many."""
    if objection := slug_objection(this.slug):
        raise errors.Malformed(reason=f"the slug cannot be so: {objection}")
    if not this.name.strip() or len(this.name) > MOST_NAME:
        raise errors.Malformed(reason=f"a name has 1 to {MOST_NAME} letters")
    if len(this.description) > MOST_WORDS:
        raise errors.Malformed(reason=f"a description has {MOST_WORDS} letters at most")
    if len(this.tags) > MOST_TAGS or any(len(tag) > MOST_NAME for tag in this.tags):
        raise errors.Malformed(reason=f"there are {MOST_TAGS} tags at most, of {MOST_NAME} letters at most")
    if not 0 < this.max_seconds <= MOST_SECONDS:
        raise errors.Malformed(reason=f"a run may take 1 to {MOST_SECONDS} s")
    for schema in (this.input_schema, this.output_schema):
        if schema is not None and _size(schema) > MOST_CONFIG_BYTES:
            raise errors.Malformed(reason=f"a schema has {MOST_CONFIG_BYTES} bytes at most")
    return this


# ── Nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def with_node(this: Drawing, node: DrawnNode) -> Drawing:
    """
    The drawing with one node more.

    Raises `errors.DrawnNodeTaken`, `errors.Malformed` for a name that none can have or more than anybody draws.
    """
    if len(this.nodes) >= MOST_NODES:
        raise errors.Malformed(reason=f"a drawing has {MOST_NODES} nodes at most")
    if this.node(node.node_id) is not None:
        raise errors.DrawnNodeTaken(node=node.node_id)
    return _fitting(replace(this, nodes=(*this.nodes, _judged(node))), node)


def with_changed_node(this: Drawing, node_id: str, changes: Mapping[str, Any], *, at: datetime) -> Drawing:
    """
    The drawing with some fields of a node changed; what `config` says is said beside what the node is set to already,
    and None takes a key away. Where the node is called otherwise, its edges go with it.

    Raises `errors.UnknownDrawnNode`, and as `with_node` does.
    """
    before = known_node(this, node_id)
    config = before.config
    if "config" in changes:
        config = {name: value for name, value in {**config, **changes["config"]}.items() if value is not None}
    after = _judged(replace(before, **{**changes, "config": config, "updated_at": at}))
    if after.node_id != node_id and this.node(after.node_id) is not None:
        raise errors.DrawnNodeTaken(node=after.node_id)
    nodes = tuple(after if node is before else node for node in this.nodes)
    edges = tuple(_renamed(edge, node_id, after.node_id) for edge in this.edges)
    return _fitting(replace(this, nodes=nodes, edges=edges), after)


def without_node(this: Drawing, node_id: str) -> Drawing:
    """The drawing without the node and its edges. Raises `errors.UnknownDrawnNode`."""
    gone = known_node(this, node_id)
    return replace(
        this,
        nodes=tuple(node for node in this.nodes if node is not gone),
        edges=tuple(edge for edge in this.edges if node_id not in (edge.source, edge.target)),
    )


def redrawn(this: Drawing, nodes: Sequence[DrawnNode], edges: Sequence[DrawnEdge]) -> Drawing:
    """
    The drawing with these nodes and edges in place of its own; those that are as they were keep numbers and times.

    Whether the edges may be there is for `pupload.domain.drawing.joining`. Raises `errors.DrawnNodeTaken`,
    `errors.Malformed`.
    """
    if len(nodes) > MOST_NODES or len(edges) > MOST_EDGES:
        raise errors.Malformed(reason=f"a drawing has {MOST_NODES} nodes and {MOST_EDGES} edges at most")
    before = {node.node_id: node for node in this.nodes}
    found: dict[str, DrawnNode] = {}
    for node in map(_judged, nodes):
        if node.node_id in found:
            raise errors.DrawnNodeTaken(node=node.node_id)
        if _size(node.config) > MOST_CONFIG_BYTES:
            raise errors.Malformed(reason=_TOO_MUCH)
        found[node.node_id] = _numbered(before.get(node.node_id), node)
    numbers: dict[str, list[int]] = {}
    for edge in reversed(this.edges):
        numbers.setdefault(repr(replace(edge, id=0)), []).append(edge.id)
    kept = (numbers.get(repr(replace(edge, id=0))) for edge in edges)
    after = tuple(replace(edge, id=known.pop() if known else 0) for edge, known in zip(edges, kept, strict=True))
    return _fitting(replace(this, nodes=tuple(found.values()), edges=after))


def _numbered(before: DrawnNode | None, node: DrawnNode) -> DrawnNode:
    """The node as the one that it is, which is as old as before where nothing is otherwise."""
    if before is None:
        return replace(node, id=0)
    same = replace(node, id=before.id, updated_at=before.updated_at)
    return before if same == before else replace(node, id=before.id)


def known_node(this: Drawing, node_id: str) -> DrawnNode:
    """The node of this name. Raises `errors.UnknownDrawnNode`."""
    found = this.node(node_id)
    if found is None:
        raise errors.UnknownDrawnNode(drawing=this.slug, node=node_id[:MOST_NODE_ID])
    return found


def _judged(node: DrawnNode) -> DrawnNode:
    """The node as it can be kept. Raises `errors.Malformed`."""
    if not _NODE_ID.fullmatch(node.node_id) or len(node.node_id) > MOST_NODE_ID:
        raise errors.Malformed(
            reason="the name of a node has letters, digits, '_' and '-', the first of them a letter or digit, "
            f"{MOST_NODE_ID} at most"
        )
    if len(node.label) > MOST_NAME:
        raise errors.Malformed(reason=f"a label has {MOST_NAME} letters at most")
    # A person is asked before what they are asked about goes on: otherwise nobody would be.
    return replace(node, interrupt_before=True) if node.component == _PERSON else node


def _fitting(this: Drawing, node: DrawnNode | None = None) -> Drawing:
    """The drawing. Raises `errors.Malformed` where the node, or all of them, are set to more than is kept."""
    if node is not None and _size(node.config) > MOST_CONFIG_BYTES:
        raise errors.Malformed(reason=_TOO_MUCH)
    if sum(_size(each.config) for each in this.nodes if each.config) > MOST_BYTES:
        raise errors.Malformed(reason=f"the nodes of a drawing are set to {MOST_BYTES} bytes at most, written as JSON")
    return this


def _size(value: Mapping[str, Any]) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def _renamed(edge: DrawnEdge, old: str, new: str) -> DrawnEdge:
    if old == new or old not in (edge.source, edge.target):
        return edge
    return replace(
        edge,
        source=new if edge.source == old else edge.source,
        target=new if edge.target == old else edge.target,
    )


# ── Edges ────────────────────────────────────────────────────────────────────────────────────────────────────────


def with_edge(this: Drawing, edge: DrawnEdge) -> Drawing:
    """The drawing with one edge more. Raises `errors.Malformed` where that is one too many."""
    if len(this.edges) >= MOST_EDGES:
        raise errors.Malformed(reason=f"a drawing has {MOST_EDGES} edges at most")
    return replace(this, edges=(*this.edges, edge))


def with_changed_edge(this: Drawing, edge: DrawnEdge) -> Drawing:
    """The drawing with this edge in place of the one of its number."""
    return replace(this, edges=tuple(edge if each.id == edge.id else each for each in this.edges))


def without_edge(this: Drawing, edge_id: int) -> Drawing:
    """The drawing without the edge. Raises `errors.UnknownDrawnEdge`."""
    gone = known_edge(this, edge_id)
    return replace(this, edges=tuple(edge for edge in this.edges if edge is not gone))


def known_edge(this: Drawing, edge_id: int) -> DrawnEdge:
    """The edge of this number. Raises `errors.UnknownDrawnEdge`."""
    found = next((edge for edge in this.edges if edge.id == edge_id), None)
    if found is None:
        raise errors.UnknownDrawnEdge(drawing=this.slug, edge=edge_id)
    return found
