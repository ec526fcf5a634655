"""
Dry runs: a plan made such that nothing is written where a real run would write it, and nothing is kept.

All that nodes make, and what is brought for them, lies under the run's own keys in the server's own store. Objects that
were there before are read where they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pupload.domain import values
from pupload.domain.flow import DEFAULT_STORE
from pupload.domain.keys import safe
from pupload.domain.plan import EdgePlan, NodePlan, Origin, Plan, RetryPlan

ROWS = 10
"""Of each table that a node is given, and items of each collection."""


def sources(plan: Plan) -> dict[str, EdgePlan]:
    """The edges that no node makes, by name."""
    return {name: edge for name, edge in plan.edges.items() if edge.producer is None}


def planned(plan: Plan, *, run_id: str, brought: Iterable[str], missing: Mapping[str, str]) -> Plan:
    """
    The plan of the dry run.

    What lies on the edges that are `brought` is put there for the run; on those that are `missing` nothing ever will
    be, and the nodes that need it are left out, with all that need theirs.
    """
    left_out = skipped(plan, missing)
    gone = {*missing, *(port.edge for node in left_out for port in plan.nodes[node].outputs)}
    nodes = {name: _node(node, gone) for name, node in plan.nodes.items() if name not in left_out}
    wanted = {port.edge for node in nodes.values() for port in (*node.inputs, *node.outputs)}
    given = frozenset(brought)
    edges = {
        name: _edge(edge, run_id, left_out, given=name in given) for name, edge in plan.edges.items() if name in wanted
    }
    read = {edge.store for edge in edges.values()}
    return replace(
        plan,
        flow=replace(plan.flow, nodes=tuple(node for node in plan.flow.nodes if node.id in nodes)),
        nodes=nodes,
        edges=edges,
        stores={name: store for name, store in plan.stores.items() if name in read},
        handlers=tuple(name for name in plan.handlers if name in nodes),
        ephemeral=True,
    )


def skipped(plan: Plan, missing: Mapping[str, str]) -> dict[str, str]:
    """Nodes that cannot run without what is missing, and why, by id."""
    absent, found = dict(missing), dict[str, str]()
    while True:
        before = len(found)
        for name, node in plan.nodes.items():
            reason = None if name in found else _lacks(node, absent)
            if reason is not None:
                found[name] = reason
                absent |= {port.edge: reason for port in node.outputs}
        if len(found) == before:
            return found


def _lacks(node: NodePlan, absent: Mapping[str, str]) -> str | None:
    """Why the node cannot run; one with a condition may ask for whatever is bound to it."""
    for port in node.inputs:
        if port.edge in absent and (port.required or node.when or (node.each and node.each.port == port.port)):
            return absent[port.edge]
    return None


def _node(node: NodePlan, gone: Iterable[str]) -> NodePlan:
    """Tried once; its work is neither taken from an earlier run nor remembered, for it was done on a part of it all."""
    inputs = tuple([port for port in node.inputs if port.edge not in gone])
    return values.replace(node, inputs=inputs, max_attempts=1, retry=RetryPlan(), memoize=False)


def _edge(edge: EdgePlan, run_id: str, left_out: Mapping[str, str], *, given: bool) -> EdgePlan:
    consumers = tuple([node for node in edge.consumers if node not in left_out])
    if edge.origin is Origin.STATIC and not given:
        return values.replace(edge, consumers=consumers)
    return values.replace(
        edge,
        origin=Origin.NODE if edge.producer is not None else Origin.UPLOAD,
        store=DEFAULT_STORE,
        key=f"{run_id}/{safe(edge.name)}",
        upload_key=edge.upload_key or ("" if edge.producer is not None else f"uploads/{run_id}/{safe(edge.name)}/none"),
        lifetime_seconds=None,
        consumers=consumers,
        secret="",
    )
