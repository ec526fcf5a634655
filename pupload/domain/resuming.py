"""
What a new run takes over from one that has ended.

A node is kept when it succeeded and nothing before it has to run again; an upload is kept when it was sealed.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pupload.domain import collection, handlers, values
from pupload.domain.artifact import Artifact
from pupload.domain.memo import Source
from pupload.domain.plan import EdgePlan, Origin, Plan
from pupload.domain.run import NodeStatus, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What need not be done again."""

    nodes: Mapping[str, tuple[Artifact, ...]]
    """The artifacts of each node that is kept."""
    inputs: Mapping[str, Artifact]
    """By edge."""
    left: tuple[str, ...]
    """The nodes that run again."""
    items: Mapping[str, Mapping[int, tuple[Artifact, ...]]] = field(default_factory=dict)
    """Of nodes that run again, but not for all of their items: the artifacts of those that are kept, by their place."""

    @property
    def artifacts(self) -> list[Artifact]:
        """All that is taken over."""
        of_items = (made for items in self.items.values() for made in items.values())
        made_before = (artifact for made in (*self.nodes.values(), *of_items) for artifact in made)
        return [*self.inputs.values(), *made_before]


def kept(old: Run, *, from_nodes: Collection[str] = (), by_item: bool = False) -> Kept:
    """What of the old run is kept, `by_item` of failed nodes too; those named run again, and all behind them."""
    again = _again(old, from_nodes)
    nodes = {
        node: tuple(_lying(old, (port.edge for port in plan.outputs)))
        for node, plan in old.plan.nodes.items()
        if node not in again
    }
    inputs = {
        edge: old.artifacts[edge]
        for edge, plan in old.plan.edges.items()
        if plan.origin is not Origin.NODE and edge in old.artifacts and not _is_made_again(old, edge, again)
    }
    left = tuple(node for node in old.plan.nodes if node in again)
    repeated = [node for node in left if by_item and node not in from_nodes and _may_keep_items(old, node, again)]
    items = {node: _items(old, node) for node in repeated}
    return Kept(nodes=nodes, inputs=inputs, left=left, items=items)


def _is_made_again(old: Run, edge: str, again: set[str]) -> bool:
    """Whether it is what another flow made of something that is made again."""
    while edge := old.plan.edges[edge].given:
        if old.plan.edges[edge].producer in again:
            return True
    return False


def _may_keep_items(old: Run, node: str, again: set[str]) -> bool:
    """Whether it runs for each item, and all that it takes is as it was."""
    plan = old.plan.nodes[node]
    producers = (old.plan.edges[port.edge].producer for port in plan.inputs)
    return plan.each is not None and again.isdisjoint(producers)


def _items(old: Run, node: str) -> dict[int, tuple[Artifact, ...]]:
    """What was made of the items that succeeded, by their place."""
    known, found = old.nodes[node].items, {}
    for place in range(known.total if known is not None else 0):
        name = collection.item(node, place)
        if (there := old.nodes.get(name)) is not None and there.status is NodeStatus.COMPLETE:
            found[place] = tuple(_lying(old, (port.edge for port in old.plan.nodes[name].outputs)))
    return found


def _lying(old: Run, edges: Iterable[str]) -> Iterator[Artifact]:
    """What lies on these edges; a collection is followed by its items."""
    for edge in edges:
        if (found := old.artifacts.get(edge)) is not None:
            yield found
            if found.items is not None:
                yield from collection.items(found, old.artifacts)


def _again(old: Run, from_nodes: Collection[str]) -> set[str]:
    """Nodes that did not succeed, those named, and everything downstream of them; where there are any, handlers too."""
    # Of the flow's own nodes: what failed of an item is its node's to tell, and that may well have gone on without.
    todo = [node for node in old.plan.nodes if not handlers.is_well(old.nodes[node]) or node in from_nodes]
    again = set(todo)
    while todo:
        for port in old.plan.nodes[todo.pop()].outputs:
            for consumer in old.plan.edges[port.edge].consumers:
                if consumer not in again:
                    again.add(consumer)
                    todo.append(consumer)
    if again:
        # What a condition left out is asked again; what went without it goes on doing so, unless it is among them.
        again.update(node for node, state in old.nodes.items() if state.unmet)
        again.update(old.plan.handlers)
    return again


def sources(old: Run, nodes: Iterable[str]) -> dict[str, Source]:
    """Where the work of these nodes was done: by the old run, or where that had it from."""
    found = {}
    for node in nodes:
        state = old.nodes[node]
        ended = (state.last and state.last.finished_at) or old.created_at
        found[node] = state.source or Source(run=old.id, node=node, at=ended)
    return found


def unspared(plan: Plan, node: str) -> Plan:
    """The plan in which the node runs: whoever names it wants more than what it made before."""
    return replace(plan, nodes={**plan.nodes, node: values.replace(plan.nodes[node], memoize=False)})


def replanned(plan: Plan, *, old_run: str, new_run: str, tokens: Callable[[], str]) -> Plan:
    """The plan for the new run: the same, under keys of its own."""

    def moved(edge: EdgePlan) -> EdgePlan:
        upload_key = f"uploads/{new_run}/{edge.name}/{tokens()}" if edge.upload_key else ""
        return replace(edge, key=edge.key.replace(old_run, new_run), upload_key=upload_key)

    edges = {name: moved(edge) for name, edge in plan.edges.items()}
    # Whoever waited for the old run has been told how it ended.
    return replace(plan, edges=edges, replays=False, parent=None)
