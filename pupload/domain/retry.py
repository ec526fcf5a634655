"""
How long to wait before another attempt, or that there is none.

Failures fall into three kinds. What the node caused is charged to its attempts. What it did not cause (the engine
restarted, a store was away) has a budget of its own, so that a bad night of the infrastructure uses up nobody's
attempts. What cannot get better is not tried again.
"""

from pupload.domain.plan import NodePlan
from pupload.domain.run import Failure, NodeRun

MISHAPS = frozenset({Failure.RUNTIME, Failure.STORE, Failure.DISK_FULL, Failure.IMAGE_RATE_LIMITED})
"""What the node did not cause."""

FINAL = frozenset(
    {
        Failure.IMAGE_MISSING,
        Failure.WRONG_TYPE,
        Failure.OUTPUT_MISSING,
        Failure.NOT_STARTABLE,
        Failure.STORAGE,
        Failure.CANCELLED,
        Failure.QUEUE,
        Failure.CONDITION,
        Failure.ITEMS,
    }
)
"""What another attempt with the same bytes, image and arguments cannot mend."""

MISHAP_LONGEST_SECONDS = 300.0
"""The infrastructure is given longer pauses than a node: it is everybody's that wait."""


def pause_seconds(
    plan: NodePlan, node: NodeRun, failure: Failure, *, exit_code: int | None, mishaps: int, chance: float
) -> float | None:
    """
    Seconds until the next attempt, or None when there is none.

    `node` is as it stands after the failure was charged. `mishaps` is the budget for what the node did not cause.
    `chance` (0 to 1) spreads the pauses by up to a quarter either way, so that runs that failed together do not all
    come back together.
    """
    if failure in MISHAPS:
        return _pause(node.mishaps, 1.0, MISHAP_LONGEST_SECONDS, chance) if node.mishaps <= mishaps else None
    if failure in FINAL or node.charged >= plan.max_attempts or _barred(plan, node, failure, exit_code):
        return None
    return _pause(node.charged, plan.retry.delay_seconds, plan.retry.max_seconds, chance)


def _barred(plan: NodePlan, node: NodeRun, failure: Failure, exit_code: int | None) -> bool:
    """Whether the definition's own rules say that this failure is final."""
    if failure is Failure.OOM:
        # The same work under the same limit runs out of memory again: only a larger tier helps.
        return node.climbed >= len(plan.retry.more_memory)
    if failure is not Failure.EXIT or exit_code is None:
        return False
    if plan.retry.on_exit_codes and exit_code not in plan.retry.on_exit_codes:
        return True
    return exit_code in plan.retry.never_on_exit_codes


def _pause(failures: int, first: float, longest: float, chance: float) -> float:
    doubled: float = first * 2.0 ** min(failures - 1, 32)
    return min(doubled * (0.75 + chance / 2), longest)
