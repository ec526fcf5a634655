"""
Handlers: nodes that run when all others of their run have ended.

First those for failures, where the run is about to end in ERROR; then, whatever it came to, the last ones. What the
run came to is written down before the first of them begins (`run.Outcome`), and an ending that was ordered is thereby
carried out: from then on handlers are nodes like any other, tried again and held to their deadlines, and another order
to end ends them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pupload.domain import branches, deadlines, duration
from pupload.domain.flow import FINALLY, ON_FAILURE, Flow
from pupload.domain.plan import EdgePlan, NodePlan
from pupload.domain.run import NodeRun, NodeStatus, Outcome, Run, Status
from pupload.domain.turn import Turn


@dataclass(frozen=True, slots=True)
class End:
    """How a run ends."""

    status: Status
    reason: str = ""
    """Of what did not succeed."""


def of(flow: Flow) -> tuple[str, ...]:
    """The ids of the flow's handlers."""
    return tuple([node.id for node in flow.nodes if node.runs])


def left_out(consumers: dict[str, tuple[str, ...]], handlers: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Who takes what lies on each edge, but for handlers: nothing in the flow waits for them."""
    those = frozenset(handlers)
    if not those:
        return consumers
    return {edge: tuple([node for node in nodes if node not in those]) for edge, nodes in consumers.items()}


def came_to(run: Run) -> End:
    """How the run ends, of which all but handlers has ended."""
    nodes, plans = run.nodes, run.plan.nodes
    done = all(is_well(nodes[node]) for node, planned in plans.items() if not planned.runs)
    if done and not run.error:
        # A cancel that came too late to stop anything did not stop anything.
        return End(Status.COMPLETE)
    if run.ending is not None and run.ending.status is Status.STOPPED:
        return End(Status.STOPPED, run.ending.reason)
    return End(Status.ERROR, run.error)


def is_well(node: NodeRun) -> bool:
    """Whether the node did what it should: also one that a condition left out."""
    return node.status is NodeStatus.COMPLETE or node.unmet


def end(run: Run) -> End:
    """How the run ends of which all has ended: as it came to, unless a handler makes good ends bad."""
    outcome = run.outcome
    if outcome is None:
        return came_to(run)
    if outcome.status is not Status.COMPLETE:
        return End(outcome.status, outcome.reason)
    if run.error:
        return End(Status.ERROR, run.error)
    if run.ending is not None and not all(is_well(run.nodes[node]) for node in run.plan.handlers):
        return End(Status.STOPPED, run.ending.reason)
    return End(Status.COMPLETE)


def proceed(turn: Turn, begin: Callable[[Turn, NodeRun], None]) -> None:
    """Has those handlers begin whose time has come, and leaves those out that are not for this end."""
    plan = turn.plan
    if turn.unfinished > len(plan.handlers):
        return
    left = [node for node in plan.handlers if not turn.node(node).status.terminal]
    if turn.unfinished > len(left) or not left:
        return
    if turn.head.outcome is None:
        came = came_to(turn.run)
        # An ending that was ordered has come by that: what is ordered from now on is for the handlers.
        turn.change_run(outcome=Outcome(status=came.status, reason=came.reason, at=turn.now), ending=None)
    if turn.head.ending is not None:
        return
    for moment in (ON_FAILURE, FINALLY):
        those = [node for node in left if plan.nodes[node].runs == moment]
        _begin(turn, those, begin)
        if any(not turn.node(node).status.terminal for node in those):
            return


def overdue(turn: Turn) -> str:
    """Why the handlers are ended now; empty where they may go on."""
    if turn.head.outcome is None or turn.head.ending is not None or turn.now < deadlines.of_handlers(turn.head):
        return ""
    return f"the handlers did not end within {duration.text(deadlines.handling_seconds(turn.plan))}"


def _begin(turn: Turn, handlers: list[str], begin: Callable[[Turn, NodeRun], None]) -> None:
    """Each whose inputs are there, or will never be; in rounds, for what one does not make another goes without."""
    moved = True
    while moved:
        moved = False
        for node in [turn.node(one) for one in handlers if turn.node(one).status is NodeStatus.IDLE]:
            reason = _objection(turn, turn.plan.nodes[node.id])
            if reason is None:
                continue
            if reason:
                branches.leave_out(turn, node, reason)
            else:
                begin(turn, node)
            moved |= turn.node(node.id).status is not NodeStatus.IDLE


def _objection(turn: Turn, node: NodePlan) -> str | None:
    """Why the handler does not run; empty where it does, None where something that it takes may still come."""
    outcome = turn.head.outcome
    if node.runs == ON_FAILURE and outcome is not None and outcome.status is not Status.ERROR:
        return "the run did not fail"
    for port in node.inputs:
        found, edge = turn.artifact(port.edge), turn.plan.edges[port.edge]
        if found is None and not _has_ended(turn, edge):
            return None
        if found is None and port.required:
            return f"needs input {port.port}, and there is nothing on edge {port.edge}"
        if found is not None and (refused := branches.objection(port, found)):
            return refused
    return ""


def _has_ended(turn: Turn, edge: EdgePlan) -> bool:
    """Whether nobody will put anything onto the edge any more."""
    return edge.producer is None or turn.node(edge.producer).status.terminal
