"""
What a new run takes over from one that has ended.

A node is kept when it succeeded and nothing before it has to run again; an upload is kept when it was sealed.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from pupload.domain.artifact import Artifact
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

    @property
    def artifacts(self) -> list[Artifact]:
        """All that is taken over."""
        return [*self.inputs.values(), *(artifact for made in self.nodes.values() for artifact in made)]


def kept(old: Run, *, from_nodes: Collection[str] = ()) -> Kept:
    """What of the old run is kept; the nodes named run again, and all behind them."""
    again = _again(old, from_nodes)
    nodes = {
        node: tuple(old.artifacts[port.edge] for port in plan.outputs if port.edge in old.artifacts)
        for node, plan in old.plan.nodes.items()
        if node not in again
    }
    inputs = {
        edge: old.artifacts[edge]
        for edge, plan in old.plan.edges.items()
        if plan.origin is not Origin.NODE and edge in old.artifacts
    }
    return Kept(nodes=nodes, inputs=inputs, left=tuple(node for node in old.plan.nodes if node in again))


def _again(old: Run, from_nodes: Collection[str]) -> set[str]:
    """Nodes that did not succeed, those named, and everything downstream of them."""
    todo = [node for node, state in old.nodes.items() if state.status is not NodeStatus.COMPLETE or node in from_nodes]
    again = set(todo)
    while todo:
        for port in old.plan.nodes[todo.pop()].outputs:
            for consumer in old.plan.edges[port.edge].consumers:
                if consumer not in again:
                    again.add(consumer)
                    todo.append(consumer)
    return again


def replanned(plan: Plan, *, old_run: str, new_run: str, tokens: Callable[[], str]) -> Plan:
    """The plan for the new run: the same, under keys of its own."""

    def moved(edge: EdgePlan) -> EdgePlan:
        upload_key = f"uploads/{new_run}/{edge.name}/{tokens()}" if edge.upload_key else ""
        return replace(edge, key=edge.key.replace(old_run, new_run), upload_key=upload_key)

    return replace(plan, edges={name: moved(edge) for name, edge in plan.edges.items()})
