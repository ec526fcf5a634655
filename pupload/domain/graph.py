"""
How the nodes of a flow hang together.

Nodes meet on edges of the same name; nothing here asks whether that is right (`pupload.domain.validation` does), so
everything works on any flow, broken ones too. All of it takes time in proportion to the flow's size: an edge is a
stop between nodes, so that many producers and many consumers of one edge are not multiplied.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pupload.domain.flow import Binding, Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The nodes, each behind all that it needs."""

    nodes: tuple[str, ...]
    """Those that no cycle keeps from running; in the flow's order where there is a choice."""
    cycle: tuple[str, ...] = ()
    """The ids of one cycle, in its direction; empty when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Who makes and who takes what lies on the edges, by their places in the flow; made once for many questions."""

    made_by: Mapping[str, Sequence[int]]
    taken_by: Mapping[str, Sequence[int]]
    """What is given to a run of another flow is taken by those that take the run's result."""


def links(flow: Flow) -> Links:
    """Those of the flow."""
    taken_by = _positions(node.inputs for node in flow.nodes)
    return Links(
        made_by=_positions(node.outputs for node in flow.nodes),
        taken_by=_with_runs(taken_by, given(flow)),
    )


def given(flow: Flow) -> dict[str, str]:
    """What a run of another flow is given, by the edge of its result: where one waits for it."""
    return {well.edge: well.given for well in reversed(flow.wells) if well.source == "run" and well.given}


def behind(edge: str, runs: Mapping[str, str]) -> Iterator[str]:
    """The edges that the one is made of by runs of other flows, nearest first; `runs` are as `given` has them."""
    seen = {edge}
    while (edge := runs.get(edge, "")) and edge not in seen:
        seen.add(edge)
        yield edge


def producers(flow: Flow, known: Links | None = None) -> dict[str, tuple[str, ...]]:
    """By edge, the ids of the nodes that make it; a sound flow has one each. `known` are the flow's own links."""
    return _ids(flow, (known or links(flow)).made_by)


def consumers(flow: Flow, known: Links | None = None) -> dict[str, tuple[str, ...]]:
    """By edge, the ids of the nodes that take it, in the flow's order, each once. `known` are the flow's own links."""
    return _ids(flow, (known or links(flow)).taken_by)


def order(flow: Flow, known: Links | None = None) -> Order:
    """
    An order in which the nodes can run, and a cycle where there is one (Kahn's algorithm).

    `known` are the flow's own links.
    """
    known = known or links(flow)
    nodes, taken_by = flow.nodes, known.taken_by
    awaited_nodes = {edge: len(makers) for edge, makers in known.made_by.items()}
    awaited_edges = _edges_awaited(flow, known)
    ready = deque(position for position, count in enumerate(awaited_edges) if count == 0)
    done: list[int] = []
    while ready:
        position = ready.popleft()
        done.append(position)
        outputs = nodes[position].outputs
        for edge in {binding.edge: None for binding in outputs} if len(outputs) > 1 else [one.edge for one in outputs]:
            if not edge:
                continue
            awaited_nodes[edge] -= 1
            if awaited_nodes[edge]:
                continue
            for consumer in taken_by.get(edge, ()):
                awaited_edges[consumer] -= 1
                if awaited_edges[consumer] == 0:
                    ready.append(consumer)
    left = set(range(len(nodes))).difference(done) if len(done) < len(nodes) else set()
    return Order(
        nodes=tuple([nodes[position].id for position in done]),
        cycle=tuple([nodes[position].id for position in _cycle(flow, left, known.made_by)]) if left else (),
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


def _ids(flow: Flow, by_edge: Mapping[str, Sequence[int]]) -> dict[str, tuple[str, ...]]:
    nodes = flow.nodes
    return {
        edge: (nodes[positions[0]].id,)
        if len(positions) == 1
        else tuple(dict.fromkeys([nodes[position].id for position in positions]))
        for edge, positions in by_edge.items()
    }


def _positions(bindings: Iterable[Sequence[Binding]]) -> dict[str, list[int]]:
    """By edge, the places in the flow of the nodes that are bound to it, each once. Edges without a name are none."""
    found: dict[str, list[int]] = {}
    for position, those in enumerate(bindings):
        for binding in those:
            there = found.get(binding.edge)
            if there is None:
                found[binding.edge] = [position]
            elif there[-1] != position:
                there.append(position)
    found.pop("", None)
    return found


def _with_runs(taken_by: dict[str, list[int]], runs: Mapping[str, str]) -> dict[str, list[int]]:
    """With those that take what another flow's run makes of it."""
    if not runs:
        return taken_by
    found = {edge: [*positions] for edge, positions in taken_by.items()}
    for result in runs:
        for edge in behind(result, runs):
            found[edge] = sorted({*found.get(edge, ()), *taken_by.get(result, ())})
    return found


def _edges_awaited(flow: Flow, known: Links) -> list[int]:
    """How many edges that a node makes each node takes, by its place."""
    awaited = [0] * len(flow.nodes)
    for edge, positions in known.taken_by.items():
        if edge in known.made_by:
            for position in positions:
                awaited[position] += 1
    return awaited


def _cycle(flow: Flow, left: set[int], made_by: Mapping[str, Sequence[int]]) -> list[int]:
    """
    One cycle among the nodes that Kahn's algorithm leaves.

    Each of them waits for another of them, so whoever walks from need to need comes back to where they were.
    """
    path: dict[int, None] = {}
    position, runs = min(left), given(flow)
    while position not in path:
        path[position] = None
        position = next(
            producer
            for binding in flow.nodes[position].inputs
            for edge in (binding.edge, *behind(binding.edge, runs))
            for producer in made_by.get(edge, ())
            if producer in left
        )
    walked = list(path)
    around = walked[walked.index(position) :]
    around.reverse()
    first = around.index(min(around))
    return around[first:] + around[:first]
