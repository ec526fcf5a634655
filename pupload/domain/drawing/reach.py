"""Which nodes of a drawing take part in a run, and in what order they can be looked at."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from pupload.domain.drawing.component import Component, Kind
from pupload.domain.drawing.model import Drawing, DrawnEdge

Known = Mapping[str, Component]


def triggers(drawing: Drawing, known: Known) -> tuple[str, ...]:
    """The nodes that begin runs, in the drawing's order."""
    kinds = ((node.node_id, known.get(node.component)) for node in drawing.nodes)
    return tuple(node_id for node_id, found in kinds if found is not None and found.kind is Kind.TRIGGER)


def begins(drawing: Drawing, known: Known) -> tuple[str, ...]:
    """Where runs may begin: triggers and entry points; without either, nodes that nothing leads to."""
    found = (*triggers(drawing, known), *(node.node_id for node in drawing.nodes if node.is_entry_point))
    if found:
        return tuple(dict.fromkeys(found))
    led_to = {edge.target for edge in drawing.edges if carries(edge)}
    lending = {edge.source for edge in drawing.edges if not carries(edge) and edge.label != "loop_return"}
    free = tuple(each.node_id for each in drawing.nodes if each.node_id not in led_to | lending)
    return free or tuple(each.node_id for each in drawing.nodes)


def carries(edge: DrawnEdge) -> bool:
    """Whether the edge leads on: from node to node, or into the body of a loop."""
    return edge.label in ("", "loop_body")


def taking_part(drawing: Drawing, known: Known, begin: Iterable[str]) -> frozenset[str]:
    """These nodes, those that they lead to, and those that feed such a node while no trigger feeds them."""
    there = {node.node_id for node in drawing.nodes}
    edges = [edge for edge in drawing.edges if carries(edge) and {edge.source, edge.target} <= there]
    onward = _neighbours((edge.source, edge.target) for edge in edges)
    found = _all_from(begin, onward)
    free = there - _all_from(triggers(drawing, known), onward)
    back = _neighbours((edge.target, edge.source) for edge in edges if edge.source in free)
    return found | _all_from(found, back)


def order(drawing: Drawing, nodes: Collection[str]) -> Sequence[str]:
    """
    Those nodes, each behind all that lead to it, and behind a loop's body what the loop leads to.

    Fewer than were asked for where some wait for each other.
    """
    body = {edge.source: edge.target for edge in drawing.edges if edge.label == "loop_body"}
    ways = set(_ways(drawing, body, frozenset(nodes)))
    waits = dict.fromkeys((node.node_id for node in drawing.nodes if node.node_id in nodes), 0)
    for _, target in ways:
        waits[target] += 1
    onward = _neighbours(ways)
    ready, done = deque(node for node, count in waits.items() if not count), list[str]()
    places = {node: place for place, node in enumerate(waits)}
    while ready:
        done.append(here := ready.popleft())
        for there in sorted(onward.get(here, ()), key=places.__getitem__):
            waits[there] -= 1
            if not waits[there]:
                ready.append(there)
    return done


def _ways(drawing: Drawing, body: Mapping[str, str], nodes: frozenset[str]) -> Iterator[tuple[str, str]]:
    for edge in drawing.edges:
        if not carries(edge) or edge.source not in nodes or edge.target not in nodes:
            continue
        yield edge.source, edge.target
        inner = body.get(edge.source, "")
        if edge.label == "" and inner in nodes and inner != edge.target:
            yield inner, edge.target


def _neighbours(ways: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for here, there in ways:
        found.setdefault(here, []).append(there)
    return found


def _all_from(begin: Iterable[str], onward: Mapping[str, Sequence[str]]) -> frozenset[str]:
    found = dict.fromkeys(begin)
    todo = list(found)
    while todo:
        for there in onward.get(todo.pop(), ()):
            if there not in found:
                found[there] = None
                todo.append(there)
    return frozenset(found)
