"""
How the nodes of a flow hang together.

Nodes meet on edges of the same name; nothing here asks whether that is right (`pupload.domain.validation` does), so
everything works on any flow, broken ones too. All of it takes time in proportion to the flow's size: an edge is a
stop between nodes, so that many producers and many consumers of one edge are not multiplied.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from pupload.domain.flow import Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The nodes, each behind all that it needs."""

    nodes: tuple[str, ...]
    """Those that no cycle keeps from running; in the flow's order where there is a choice."""
    cycle: tuple[str, ...] = ()
    """The ids of one cycle, in its direction; empty when there is none."""


def producers(flow: Flow) -> dict[str, tuple[str, ...]]:
    """By edge, the ids of the nodes that make it; a sound flow has one each."""
    return _by_edge(flow, outputs=True)


def consumers(flow: Flow) -> dict[str, tuple[str, ...]]:
    """By edge, the ids of the nodes that take it, in the flow's order, each once."""
    return _by_edge(flow, outputs=False)


def order(flow: Flow) -> Order:
    """An order in which the nodes can run, and a cycle where there is one (Kahn's algorithm)."""
    made_by = _positions(flow, outputs=True)
    taken_by = _positions(flow, outputs=False)
    awaited_edges = [len({binding.edge for binding in node.inputs if binding.edge in made_by}) for node in flow.nodes]
    awaited_nodes = {edge: len(nodes) for edge, nodes in made_by.items()}
    ready = deque(position for position, count in enumerate(awaited_edges) if count == 0)
    done: list[int] = []
    while ready:
        position = ready.popleft()
        done.append(position)
        for edge in dict.fromkeys(binding.edge for binding in flow.nodes[position].outputs if binding.edge):
            awaited_nodes[edge] -= 1
            if awaited_nodes[edge]:
                continue
            for consumer in taken_by.get(edge, ()):
                awaited_edges[consumer] -= 1
                if awaited_edges[consumer] == 0:
                    ready.append(consumer)
    left = set(range(len(flow.nodes))).difference(done)
    return Order(
        nodes=tuple(flow.nodes[position].id for position in done),
        cycle=tuple(flow.nodes[position].id for position in _cycle(flow, left, made_by)),
    )


def downstream(flow: Flow, node: str) -> frozenset[str]:
    """The ids of all nodes that need something of this one, directly or not; itself only in a cycle."""
    taken_by = consumers(flow)
    outputs: dict[str, list[str]] = {}
    for step in flow.nodes:
        outputs.setdefault(step.id, []).extend(binding.edge for binding in step.outputs if binding.edge)
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(outputs.get(node, ()))
    while waiting:
        edge = waiting.pop()
        if edge in seen:
            continue
        seen.add(edge)
        for consumer in taken_by.get(edge, ()):
            if consumer not in found:
                found.add(consumer)
                waiting.extend(outputs[consumer])
    return frozenset(found)


def _by_edge(flow: Flow, *, outputs: bool) -> dict[str, tuple[str, ...]]:
    return {
        edge: tuple(dict.fromkeys(flow.nodes[position].id for position in positions))
        for edge, positions in _positions(flow, outputs=outputs).items()
    }


def _positions(flow: Flow, *, outputs: bool) -> dict[str, tuple[int, ...]]:
    """By edge, the places in the flow of the nodes that are bound to it, each once. Edges without a name are none."""
    found: dict[str, dict[int, None]] = {}
    for position, node in enumerate(flow.nodes):
        for binding in node.outputs if outputs else node.inputs:
            if binding.edge:
                found.setdefault(binding.edge, {})[position] = None
    return {edge: tuple(positions) for edge, positions in found.items()}


def _cycle(flow: Flow, left: set[int], made_by: Mapping[str, tuple[int, ...]]) -> list[int]:
    """
    One cycle among the nodes that Kahn's algorithm leaves.

    Each of them waits for another of them, so whoever walks from need to need comes back to where they were.
    """
    if not left:
        return []
    path: dict[int, None] = {}
    position = min(left)
    while position not in path:
        path[position] = None
        position = next(
            producer
            for binding in flow.nodes[position].inputs
            for producer in made_by.get(binding.edge, ())
            if producer in left
        )
    walked = list(path)
    around = walked[walked.index(position) :]
    around.reverse()
    first = around.index(min(around))
    return around[first:] + around[:first]
