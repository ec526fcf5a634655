"""Whether an attempt that is still to come may have its container before it comes."""

from pupload.domain import collection, foreach
from pupload.domain.plan import NodePlan
from pupload.domain.run import AttemptRef, NodeStatus, Run


def may_need(run: Run, ref: AttemptRef) -> bool:
    """Whether the attempt may still come, or has come and not ended."""
    node = foreach.standing(run, ref.node)
    if node is None or node.status is NodeStatus.IDLE:
        return node is not None
    last = node.last
    return (
        node.status in (NodeStatus.READY, NodeStatus.RUNNING)
        and last is not None
        and last.number == ref.number
        and last.finished_at is None
    )


def is_idle(run: Run, node: str) -> bool:
    """Whether the node was not begun, and may be."""
    found = foreach.standing(run, node)
    return found is not None and found.status is NodeStatus.IDLE


def can_wait(node: NodePlan) -> bool:
    """Whether the node's container can be made before its attempt: what is made for the attempt is not in it."""
    return not node.secrets and node.transfer != "urls" and not node.tier.gpus and not node.devices


def depends_on(run: Run, node: str) -> frozenset[str]:
    """Whose changes may tell that the node is not needed: itself, and for an item the node that runs for all."""
    if node in run.plan.nodes:
        return frozenset((node,))
    whole, _ = collection.part_of(node) or ("", 0)
    return frozenset((node, whole))
