"""Why a node ran, or did not: what was found when it was asked whether its work was done before."""

from dataclasses import dataclass
from enum import StrEnum

from pupload import errors
from pupload.domain import memo
from pupload.domain.run import NodeRun, Run


class Outcome(StrEnum):
    """What came of asking."""

    REUSED = "reused"
    """The same work was done before: the node did not run."""
    DIFFERENT = "different"
    """It ran, for something was otherwise than in all that was done before."""
    GONE = "gone"
    """It ran, for what the same work had made was not there any more."""
    FIRST = "first"
    """It ran, for no node of its type was done before, as far as is remembered."""
    NEVER = "never"
    """Work of such a node is never used again."""
    OFF = "off"
    """Nobody asked: nothing is remembered here, or it could not be told."""
    ITEMS = "items"
    """It runs once for each item: each of those has an answer of its own."""
    OPEN = "open"
    """It has not come to that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The answer."""

    run: str
    node: str
    outcome: Outcome
    sentence: str
    source: memo.Source | None = None
    """Whose work it is, or what came nearest."""
    differences: tuple[memo.Difference, ...] = ()
    more: int = 0
    """Differences that are left out."""


def why(run: Run, node: str, *, on: bool) -> Why:
    """
    Why the node ran, or did not. `on`: whether anything is remembered here.

    Raises `errors.Malformed` when the run has no such node.
    """
    if (state := run.nodes.get(node)) is None:
        raise errors.Malformed(reason=f"run {run.id} has no node {node[:64]}")
    outcome, sentence = Outcome.OPEN, "it has not started yet, or will not"
    missed = next((each.missed for each in reversed(state.attempts) if each.missed is not None), None)
    planned, source = run.plan.nodes[node], state.source
    if state.reused:
        outcome, sentence = Outcome.REUSED, _reused(run, state)
    elif planned.each is not None:
        outcome, sentence = Outcome.ITEMS, f"it runs once for each item: ask about {node}.0, {node}.1 and so on"
    elif missed is not None:
        source, (outcome, sentence) = missed.nearest, _missed(missed)
    elif reason := memo.objection(planned):
        outcome, sentence = Outcome.NEVER, f"it is never spared: {reason}"
    elif any(each.executing_at for each in state.attempts):
        outcome = Outcome.OFF
        sentence = "what was done before could not be told when it started" if on else "the setting memoize is off"
    differences, more = (missed.differences, missed.more) if missed and not state.reused else ((), 0)
    return Why(
        run=run.id,
        node=node,
        outcome=outcome,
        sentence=sentence,
        source=source,
        differences=differences,
        more=more,
    )


def _reused(run: Run, state: NodeRun) -> str:
    if state.source is None:
        return f"its artifacts are those of run {run.resumed_from}, which this run resumes"
    there = state.source
    at = f"{there.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"node {there.node} of run {there.run} did the same work at {at}; its log is there"


def _missed(missed: memo.Missed) -> tuple[Outcome, str]:
    there = missed.nearest
    if there is None:
        return Outcome.FIRST, "it ran: no node of its type was done before, as far as is remembered"
    where = f"node {there.node} of run {there.run}"
    if not missed.differences:
        return Outcome.GONE, f"it ran: what {where} had made is not there any more"
    first, others = missed.differences[0], len(missed.differences) + missed.more - 1
    rest = f", and {others} more" if others else ""
    return Outcome.DIFFERENT, f"it ran: nearest came {where}, but {first}{rest}"
