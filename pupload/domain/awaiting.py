"""
What a run waits for that is no file of somebody's: that a person says yes, or what comes of another flow's run.

Both are edges that no node produces, awaited as uploads are (`pupload.domain.deadlines`). Their turn comes when what
they are about is there.
"""

from collections.abc import Sequence

from pupload.domain import deadlines, duration
from pupload.domain.plan import EdgePlan, Origin
from pupload.domain.run import NodeStatus, Run
from pupload.domain.turn import Turn


def approvals(run: Run) -> Sequence[str]:
    """
    The edges on which somebody is asked to say yes or no, in the plan's order.

    Nobody is asked before all else is there that one of the nodes takes which wait for it.
    """
    edges = run.plan.edges
    return [
        edge
        for edge in _awaited(run, Origin.APPROVAL)
        if any(_has_all_but_approvals(run, node) for node in edges[edge].consumers)
    ]


def runs(run: Run) -> Sequence[EdgePlan]:
    """The edges that wait for a run of another flow which has all that it is given, in the plan's order."""
    edges = (run.plan.edges[edge] for edge in _awaited(run, Origin.RUN))
    return [edge for edge in edges if not edge.given or edge.given in run.artifacts]


def overdue(edge: EdgePlan, seconds: float) -> str:
    """Why the run goes without what did not come to the edge in this time."""
    within = f"within {duration.text(seconds)}"
    match edge.origin:
        case Origin.APPROVAL:
            return f"nobody said yes or no to edge {edge.name} {within}"
        case Origin.RUN:
            return f"edge {edge.name} had no result of flow {edge.flow} {within}"
    return f"upload of edge {edge.name} did not arrive {within}"


def _awaited(run: Run, origin: Origin) -> list[str]:
    return [edge for edge in deadlines.awaited(run) if run.plan.edges[edge].origin is origin]


def _has_all_but_approvals(run: Run, node: str) -> bool:
    """Whether the node waits for nothing but that somebody says yes."""
    if run.nodes[node].status is not NodeStatus.IDLE:
        return False
    turn = Turn(run, run.created_at)
    ports = run.plan.nodes[node].inputs
    others = [port for port in ports if run.plan.edges[port.edge].origin is not Origin.APPROVAL]
    return all(turn.has_artifact(port.edge) or turn.is_empty(port.edge) for port in others)
