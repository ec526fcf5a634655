"""
Which edges a drawing may have.

The rules are asked in an order, and the first that is broken is told: what the edge says of itself, the ends that it
names, what they are, what passes between them, and last what the drawing has already.
"""

import re
from collections.abc import Iterator, Mapping

from pupload.domain.drawing.component import HANDLES, Component, Kind
from pupload.domain.drawing.findings import Finding, Wrong
from pupload.domain.drawing.model import BINDINGS, LABELS, Drawing, DrawnEdge, DrawnNode, EdgeType
from pupload.domain.drawing.ports import ComponentPort, fit

MOST_NAME = 100
"""Letters of a node's name: edges of flows are called after it."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{MOST_NAME - 1}}}")

Known = Mapping[str, Component]
"""Components by type (`pupload.domain.drawing.components.known`)."""


def objection(drawing: Drawing, edge: DrawnEdge, known: Known) -> Finding | None:
    """Why the drawing cannot have this edge, in place of the one of the same id; None where it can."""
    return next(_wrong(drawing, edge, known), None)


def name_objection(node_id: str) -> Finding | None:
    """Why no node can be called so; None where one can."""
    if _NAME.fullmatch(node_id):
        return None
    return Finding(
        sentence=f"node_id: a letter or digit, then letters, digits, '_' and '-', {MOST_NAME} in all", node=node_id
    )


def mismatch(source: DrawnNode, output: str, handle: str) -> Finding:
    """That what the source gives is nothing that the target takes there."""
    return Finding(
        sentence=f"Source type '{source.component}' output '{output}' is not compatible with target input '{handle}'"
    )


def not_a_loop(label: str) -> Finding:
    """That an edge of this label needs a loop on its one end."""
    which = "originate from" if label == "loop_body" else "return to"
    return Finding(sentence=f"Edges labelled '{label}' can only {which} 'loop' nodes")


def pair(
    outputs: tuple[ComponentPort, ...], inputs: tuple[ComponentPort, ...]
) -> tuple[ComponentPort, ComponentPort] | None:
    """The first output, and the first input that takes it; None where nothing takes anything."""
    return next(((output, target) for output in outputs for target in inputs if fit(output, target)), None)


def is_flow(edge: DrawnEdge) -> bool:
    """Whether something passes along the edge from node to node, and not back to a loop."""
    return edge.label == ""


# ── The rules ────────────────────────────────────────────────────────────────────────────────────────────────────


def _wrong(drawing: Drawing, edge: DrawnEdge, known: Known) -> Iterator[Finding]:
    yield from _words(edge)
    source, target = drawing.node(edge.source), drawing.node(edge.target)
    if source is None or target is None:
        yield Finding(sentence="Node not found.", kind=Wrong.ABSENT)
        return
    if edge.type is EdgeType.CONDITIONAL and _kind(source, known) is not Kind.SWITCH:
        yield Finding(sentence="Conditional edges can only originate from 'switch' nodes")
    if source == target:
        yield Finding(sentence=f"Node '{edge.source}' cannot be connected to itself")
    if _kind(target, known) is Kind.TRIGGER or target.component.startswith("trigger_"):
        yield Finding(sentence=f"Node type '{target.component}' is a trigger and accepts no connections")
    yield from _types(edge, source, target, known)
    others = [each for each in drawing.edges if not edge.id or each.id != edge.id]
    if any(_same(each, edge) for each in others):
        yield Finding(sentence=f"An edge from '{edge.source}' to '{edge.target}' exists already.", kind=Wrong.TAKEN)
    if is_flow(edge) and (around := _way(others, edge.target, edge.source)):
        path = " → ".join([edge.source, *around])
        yield Finding(sentence=f"The edge would close a cycle, which only a 'loop' node may: {path}")


def _words(edge: DrawnEdge) -> Iterator[Finding]:
    """What the edge says of itself."""
    if edge.label not in LABELS:
        yield Finding(sentence=f"edge_label: one of {', '.join(repr(each) for each in LABELS)}")
    if edge.type is EdgeType.CONDITIONAL:
        if not edge.condition:
            yield Finding(sentence="Conditional edges require a non-empty condition_value")
        if not edge.target:
            yield Finding(sentence="Conditional edges require a non-empty target_node_id")
        if edge.label:
            yield Finding(sentence="Conditional edges have no edge_label")
    for field, value in (("source_node_id", edge.source), ("target_node_id", edge.target)):
        if not value:
            yield Finding(sentence=f"{field}: must not be empty")


def _types(edge: DrawnEdge, source: DrawnNode, target: DrawnNode, known: Known) -> Iterator[Finding]:
    """What passes between them."""
    if edge.label in ("loop_body", "loop_return"):
        yield from _loop(edge, source, target, known)
        return
    giver, taker = known.get(source.component), known.get(target.component)
    if giver is None or taker is None:
        return  # a definition that is not there any more: said when the drawing is judged
    if edge.label in BINDINGS:
        yield from _binding(edge, source, target, giver, taker)
        return
    outputs, inputs = chosen(edge, giver, taker)
    if pair(outputs, inputs) is None:
        said = edge.mapping or {}
        output, handle = said.get("output", _first(giver.outputs)), said.get("input", _first(taker.inputs))
        yield mismatch(source, output, handle)


def _loop(edge: DrawnEdge, source: DrawnNode, target: DrawnNode, known: Known) -> Iterator[Finding]:
    if _kind(source if edge.label == "loop_body" else target, known) is not Kind.LOOP:
        yield not_a_loop(edge.label)


def _binding(
    edge: DrawnEdge, source: DrawnNode, target: DrawnNode, giver: Component, taker: Component
) -> Iterator[Finding]:
    handle = HANDLES[edge.label]
    port = next((each for each in taker.sub_inputs if each.name == handle), None)
    if port is None:
        yield Finding(sentence=f"Node type '{target.component}' does not accept '{handle}' connections")
    elif pair(giver.outputs, (port,)) is None:
        yield mismatch(source, _first(giver.outputs), handle)


def chosen(
    edge: DrawnEdge, giver: Component, taker: Component
) -> tuple[tuple[ComponentPort, ...], tuple[ComponentPort, ...]]:
    """The ports that the edge may join: all, or those that its mapping names as `output` and `input`."""
    return _chosen(edge, "output", giver.outputs), _chosen(edge, "input", taker.inputs)


def _chosen(edge: DrawnEdge, which: str, ports: tuple[ComponentPort, ...]) -> tuple[ComponentPort, ...]:
    name = (edge.mapping or {}).get(which)
    return ports if name is None else tuple(port for port in ports if port.name == name)


def _first(ports: tuple[ComponentPort, ...]) -> str:
    return ports[0].name if ports else ""


def _kind(node: DrawnNode, known: Known) -> Kind | None:
    found = known.get(node.component)
    return None if found is None else found.kind


def _same(one: DrawnEdge, other: DrawnEdge) -> bool:
    return one.source == other.source and one.target == other.target and _identity(one) == _identity(other)


def _identity(edge: DrawnEdge) -> tuple[object, ...]:
    return (edge.source, edge.target, edge.type, edge.label, edge.condition, dict(edge.mapping or {}) or None)


def _way(edges: list[DrawnEdge], begin: str, end: str) -> list[str]:
    """The nodes of a way along the edges, both ends included; empty where there is none."""
    onward: dict[str, list[str]] = {}
    for edge in edges:
        if is_flow(edge):
            onward.setdefault(edge.source, []).append(edge.target)
    came: dict[str, str] = {begin: ""}
    todo = [begin]
    while todo:
        here = todo.pop()
        if here == end:
            return _walked(came, end)
        for there in onward.get(here, ()):
            if there not in came:
                came[there] = here
                todo.append(there)
    return []


def _walked(came: Mapping[str, str], end: str) -> list[str]:
    path = [end]
    while came[path[-1]]:
        path.append(came[path[-1]])
    return path[::-1]
