"""
What happens next in a run.

`begin` makes a run of a plan; `decide` takes in one report, `decide_all` several, and says how the run is now, what
happened, and what must be done about it; `pupload.domain.deadlines.due` says when it wants to be woken; `outstanding`
gives the orders that a saved run implies, which is all that recovery needs.
Nothing is done here: `pupload.engine.driver` carries commands out.

Every function is total: a report that comes late, twice or for something unknown changes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial

from pupload.domain import artifact, collection, commands, deadlines, events, foreach, memo, reaction, values
from pupload.domain.plan import Plan
from pupload.domain.run import Decision, NodeRun, NodeStatus, Run, Status
from pupload.domain.turn import Turn


def begin(
    run_id: str,
    plan: Plan,
    *,
    now: datetime,
    reused: Mapping[str, tuple[artifact.Artifact, ...]] | None = None,
    inputs: Mapping[str, artifact.Artifact] | None = None,
    sources: Mapping[str, memo.Source] | None = None,
    items: Mapping[str, foreach.Spared] | None = None,
    resumed_from: str | None = None,
) -> Decision:
    """
    A new run.

    `reused` names nodes that need not run, with the artifacts they made in the run `resumed_from`; `inputs` are
    artifacts of edges that no node produces, taken over likewise. `sources` say where the nodes' work was done.
    `items` are those that need not run of nodes that do, likewise.
    """
    done = reused or {}
    nodes = {node: _first_state(node, reused=node in done, source=(sources or {}).get(node)) for node in plan.nodes}
    run = Run(
        id=run_id,
        plan=plan,
        status=Status.WAITING,
        created_at=now,
        nodes=nodes,
        unfinished=len(nodes) - len(done),
        resumed_from=resumed_from,
    )
    turn = Turn(run, now)
    turn.happened.append(events.RunCreated(flow=plan.flow.name, nodes=len(nodes), resumed_from=resumed_from))
    for edge, found in (inputs or {}).items():
        turn.put_artifact(found)
        turn.happened.append(events.UploadSealed(edge=edge, artifact=found))
    for node, made in done.items():
        told = collection.without_items(made)
        turn.happened.append(events.NodeReused(node=node, artifacts=told, source=turn.node(node).source))
        reaction.take_outputs(turn, node, made)
    for edge in deadlines.awaited(turn.run):
        turn.orders.append(commands.AwaitUpload(edge=edge))
    images: set[str] = set()
    for node, planned in plan.nodes.items():
        if not turn.node(node).status.terminal:
            if planned.image not in images:
                images.add(planned.image)  # of others with the same image there is nothing to prepare
                turn.orders.append(commands.PrepareNode(node=node))
            reaction.make_ready(turn, node)
    reaction.settle(turn, partial(foreach.go_on, spared=items), first=True)
    return turn.decision()


def decide(run: Run, report: events.Report, *, now: datetime, chance: float = 0.5) -> Decision:
    """
    How the run is after `report`.

    `chance` is between 0 and 1 and spreads pauses. A report that means nothing to the run (it is over, the attempt is
    not the current one) comes back as an idle decision.
    """
    decision, _ = decide_all(run, [report], now=now, chance=lambda: chance)
    return decision


Room = Callable[[NodeRun, Collection[str]], bool]
"""
Whether there is room for the node's attempt, which holds it from then on.

The names are of nodes that come to their end by the same decision.
"""


def decide_all(
    run: Run,
    reports: Iterable[events.Report],
    *,
    now: datetime,
    chance: Callable[[], float],
    room: Room | None = None,
) -> tuple[Decision, list[bool]]:
    """
    How the run is after all the reports, in their order; and for each whether it meant anything.

    The same as deciding on each in its turn, and saving all in one. Whoever gives `room` is asked for it for each
    attempt that is to start; where there is some the attempt is admitted in the same decision, which saves a commit.
    It is told which nodes the decision completes: theirs is free as soon as this is saved.
    """
    turn = Turn(run, now)
    meant = []
    for report in reports:
        before = turn.said
        if not turn.head.status.terminal:
            reaction.react(turn, report, chance=chance)
            reaction.settle(turn, foreach.go_on)
        meant.append(turn.said > before)
    if room is not None and turn.head.ending is None and not turn.head.status.terminal:
        _admit(turn, room)
    return turn.decision(), meant


def _admit(turn: Turn, room: Room) -> None:
    """Admits the attempts that the decision starts and that there is room for."""
    starts = [order for order in turn.orders if isinstance(order, commands.StartNode)]
    if not starts:
        return
    over = [name for name in turn.touched if turn.node(name).status is NodeStatus.COMPLETE]
    for order in starts:
        node = turn.node(order.node)
        if node.status is NodeStatus.READY and not node.attempts[-1].stopping and room(node, over):
            reaction.react(turn, events.NodeAdmitted(node=order.node, attempt=order.attempt), chance=_no_chance)


def _no_chance() -> float:
    raise AssertionError("nothing is left to chance here")


def outstanding(run: Run) -> tuple[commands.Command, ...]:
    """The orders that the run, as saved, implies: to be given again after a crash."""
    if run.status.terminal:
        return (commands.CloseRun(),)
    orders: list[commands.Command] = [commands.AwaitUpload(edge=edge) for edge in deadlines.awaited(run)]
    for node in sorted(run.active):
        attempt = run.nodes[node].last
        if attempt is None or attempt.finished_at is not None:
            continue
        orders.append(commands.StartNode(node=node, attempt=attempt.number))
        if attempt.stopping:
            orders.append(commands.StopNode(node=node, attempt=attempt.number))
    return tuple(orders)


_IDLE = NodeRun(id="")
"""What every node is at first, but for its id."""

_idle = values.changer(NodeRun, "id")


def _first_state(node: str, *, reused: bool, source: memo.Source | None) -> NodeRun:
    if reused:
        return NodeRun(id=node, status=NodeStatus.COMPLETE, reused=True, source=source, progress=1.0)
    return _idle(_IDLE, node)
