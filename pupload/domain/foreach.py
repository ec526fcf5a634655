"""
Nodes that run once for each item of a collection.

Such a node is expanded when its inputs are there: nodes for its items are begun, in their order, so many at a time.
They are nodes like any other. The node itself has no attempts; it counts how its items end. When all have ended, what
they made are collections, and it has succeeded or failed as a whole.

What has not had its turn has no node yet, so that a large collection costs no more than what moves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pupload.domain import collection, events, reaction, values
from pupload.domain.artifact import Artifact
from pupload.domain.plan import Each
from pupload.domain.run import Failure, Items, NodeRun, NodeStatus, Run
from pupload.domain.turn import Turn

AT_ONCE = 500
"""How many are under way at most, whatever the node says: more than run on any machine, and few to wait in a queue."""

Spared = Mapping[int, Sequence[Artifact]]
"""What items made, by their places, that need not run."""


def go_on(turn: Turn, spared: Mapping[str, Spared] | None = None) -> None:
    """
    What follows from nodes that were made ready and items that ended: a loop, for one may lead to the next.

    `spared` are the items, by node, that need not run.
    """
    while turn.to_expand or turn.items_ended:
        if turn.items_ended:
            ended, turn.items_ended = turn.items_ended, []
            _count(turn, ended)
        else:
            node = turn.to_expand.pop()
            _expand(turn, turn.node(node), (spared or {}).get(node, {}))


def _expand(turn: Turn, node: NodeRun, spared: Spared) -> None:
    each = turn.plan.nodes[node.id].each
    if node.status is not NodeStatus.IDLE or each is None:
        return
    lies = turn.artifact(each.edge)
    total = 0 if lies is None else 1 if lies.items is None else lies.items
    if total > each.max_items:
        reason = f"the collection on edge {each.edge} has {total} items, and it runs for {each.max_items} at most"
        reaction.fail(turn, node, Failure.ITEMS, reason)
        return
    turn.happened.append(events.NodeExpanded(node=node.id, items=total, reused=len(spared)))
    for place, made in spared.items():
        name = collection.item(node.id, place)
        turn.add(NodeRun(id=name, status=NodeStatus.COMPLETE, reused=True, progress=1.0))
        reaction.take_outputs(turn, name, made)
    items = Items(total=total, complete=len(spared), begun_at=turn.now)
    expanded = turn.change(node, status=NodeStatus.RUNNING, items=items)
    _advance(turn, expanded, each)


# ── The items' ends ──────────────────────────────────────────────────────────────────────────────────────────────


def _count(turn: Turn, ended: Iterable[str]) -> None:
    """Some nodes for items have ended."""
    by_node: dict[str, list[NodeRun]] = {}
    for name in ended:
        whole, _ = collection.part_of(name) or ("", 0)
        by_node.setdefault(whole, []).append(turn.node(name))
    for whole, items in by_node.items():
        each = turn.plan.nodes[whole].each
        assert each is not None
        given_up = turn.is_given_up(items[0].id)
        node = _counted(turn, turn.node(whole), items)
        if turn.is_given_up(items[0].id) and not given_up:
            _give_up(turn, node)
        _advance(turn, turn.node(whole), each)


def _counted(turn: Turn, node: NodeRun, ended: Sequence[NodeRun]) -> NodeRun:
    known = node.items
    assert known is not None
    statuses = [item.status for item in ended]
    bad = statuses.count(NodeStatus.ERROR)
    wound_up = turn.head.ending is not None or turn.is_given_up(ended[0].id)
    items = values.replace(
        known,
        complete=known.complete + statuses.count(NodeStatus.COMPLETE),
        skipped=known.skipped + statuses.count(NodeStatus.SKIPPED),
        failed=known.failed + (0 if wound_up else bad),
        cancelled=known.cancelled + (bad if wound_up else 0),
    )
    error = node.error
    if bad and not wound_up and not known.failure:
        first = next(item for item in ended if item.status is NodeStatus.ERROR)
        failure = first.last.failure if first.last is not None else ""
        items = values.replace(items, failure=failure or Failure.QUEUE)
        error = f"{_called(turn, first)}: {first.error}"
    return turn.change(node, items=items, error=error, progress=items.ended / items.total)


def _called(turn: Turn, node: NodeRun) -> str:
    """The item that it runs for, in a sentence, as in `item 17 (cat.jpg)`."""
    _, place = collection.part_of(node.id) or ("", 0)
    lies = turn.item_of(node.id)
    return f"item {place} ({lies.file_name})" if lies is not None and lies.file_name else f"item {place}"


def _give_up(turn: Turn, node: NodeRun) -> None:
    """An item failed that must not: nothing is begun any more, and what runs is stopped."""
    reason = f"not needed any more: node {node.id} failed"
    for name in sorted(turn.run.active):
        if (collection.part_of(name) or ("", 0))[0] == node.id and name not in turn.plan.nodes:
            reaction.halt(turn, turn.node(name), reason)


# ── Beginning and ending ─────────────────────────────────────────────────────────────────────────────────────────


def _advance(turn: Turn, node: NodeRun, each: Each) -> None:
    """As many more are begun as may be; where all have ended so has the node."""
    items = node.items
    if items is None or node.status is not NodeStatus.RUNNING:
        return
    if turn.head.ending is not None or (items.failure and not each.keep):
        items = values.replace(items, skipped=items.skipped + items.total - items.begun, begun=items.total)
    else:
        items = _begin(turn, node.id, items, each)
    if items.ended == items.total:
        items = values.replace(items, ended_at=turn.now)
    node = turn.change(node, items=items)
    if items.ended == items.total:
        _end(turn, node, items, each)


def _begin(turn: Turn, node: str, items: Items, each: Each) -> Items:
    most = min(each.concurrency or AT_ONCE, AT_ONCE)
    begun, empty = items.begun, items.empty
    room = most - items.under_way
    while room > 0 and begun < items.total:
        name = collection.item(node, begun)
        if turn.has_node(name):
            pass  # it is spared
        elif each.collection and not turn.has_artifact(collection.item(each.edge, begun)):
            empty += 1
        else:
            turn.add(NodeRun(id=name))
            reaction.queue(turn, turn.node(name))
            room -= 1
        begun += 1
    return values.replace(items, begun=begun, empty=empty)


def _end(turn: Turn, node: NodeRun, items: Items, each: Each) -> None:
    ending = turn.head.ending
    if ending is not None and (items.skipped or items.cancelled) and (each.keep or not items.failure):
        reaction.fail(turn, node, Failure.CANCELLED, ending.reason)
    elif items.failed and (not each.keep or not items.complete):
        reaction.fail(turn, node, Failure(items.failure), node.error)
    else:
        _gather(turn, node, items)


def _gather(turn: Turn, node: NodeRun, items: Items) -> None:
    made = tuple(
        collection.whole(
            [turn.artifact(collection.item(port.edge, place)) for place in range(items.total)],
            edge=port.edge,
            store=turn.plan.edges[port.edge].store,
            key=turn.plan.edges[port.edge].key,
            created_at=turn.now,
            node=node.id,
        )
        for port in turn.plan.nodes[node.id].outputs
    )
    warning = f"{items.failed} of {items.total} items failed; the first was {node.error}" if items.failed else ""
    turn.change(node, status=NodeStatus.COMPLETE, error="", warning=warning, progress=1.0)
    turn.happened.append(
        events.NodeGathered(
            node=node.id,
            items=items.total,
            complete=items.complete,
            failed=items.failed,
            empty=items.empty,
            artifacts=made,
        )
    )
    reaction.take_outputs(turn, node.id, made)


def standing(run: Run, name: str) -> NodeRun | None:
    """The node as it stands, one for an item also before its turn; None where there is none, and will be none."""
    if (node := run.nodes.get(name)) is not None:
        return node
    whole, place = collection.part_of(name) or ("", 0)
    node = run.nodes.get(whole)
    if node is None or node.items is None or node.status is not NodeStatus.RUNNING:
        return None
    return NodeRun(id=name) if node.items.begun <= place < node.items.total else None


def turns(run: Run, name: str) -> Iterator[str]:
    """The nodes for items of this one that have not had their turn, in the order of their turns."""
    node, each = run.nodes[name], run.plan.nodes[name].each
    if node.items is None or each is None or node.status is not NodeStatus.RUNNING:
        return
    for place in range(node.items.begun, node.items.total):
        if each.collection and collection.item(each.edge, place) not in run.artifacts:
            continue
        if (item := collection.item(name, place)) not in run.nodes:
            yield item


def is_last(run: Run, node: str, *, at_least: int) -> bool:
    """Whether it is perhaps the last of so many items or more, so that all of them are gathered when it ends."""
    if node in run.plan.nodes:
        return False
    whole, _ = collection.part_of(node) or ("", 0)
    items = run.nodes[whole].items if whole in run.nodes else None
    return items is not None and items.total >= at_least and items.total - items.ended <= AT_ONCE // 10
