"""Rules about collections: where they may go, and nodes that run once for each of their items."""

from collections.abc import Iterator
from itertools import chain

from pupload.domain import collection
from pupload.domain.flow import PARTIAL_FAILURES, ForEach, Node
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import Subject, shown


def item_input(subject: Subject) -> Iterator[Finding]:
    """A node that runs for each item takes the items by an input that it binds."""
    for path, node, asked in _for_each(subject):
        if asked.input not in {binding.name for binding in node.inputs}:
            yield found("NODE_029", pointer(path, "ForEach"), node=shown(node.id), port=shown(asked.input) or '""')


def settings(subject: Subject) -> Iterator[Finding]:
    """What a node says about its items can be so."""
    most = subject.limits.max_items
    for path, node, asked in _for_each(subject):
        wrong: list[tuple[str, object, str]] = []
        if asked.concurrency < 0:
            wrong.append(("Concurrency", asked.concurrency, "it is 0, for as many as there is room for, or more"))
        if asked.max_items is not None and not 1 <= asked.max_items <= most:
            wrong.append(("MaxItems", asked.max_items, f"it is at least 1, and at most what the server takes, {most}"))
        if asked.partial_failure and asked.partial_failure not in PARTIAL_FAILURES:
            reason = f"it is {' or '.join(PARTIAL_FAILURES)}"
            wrong.append(("PartialFailure", shown(asked.partial_failure), reason))
        for field, value, reason in wrong:
            facts = {"node": shown(node.id), "field": field, "value": value, "reason": reason}
            yield found("NODE_030", pointer(path, field), **facts)


def no_collections_of_collections(subject: Subject) -> Iterator[Finding]:
    """What a node makes for each item is one file."""
    for path, node, _ in _for_each(subject):
        for index, binding in enumerate(node.outputs):
            if _is_many(subject, node, binding.name, output=True):
                yield found(
                    "NODE_031", pointer(path, "Outputs", index), node=shown(node.id), output=shown(binding.name)
                )


def taken(subject: Subject) -> Iterator[Finding]:
    """A collection goes where many files are taken, or one at a time."""
    collections = _collections(subject)
    for path, node, binding in subject.inputs if collections else ():
        if binding.edge not in collections or _is_many(subject, node, binding.name, output=False):
            continue
        if node.for_each is None or node.for_each.input != binding.name:
            facts = {"edge": shown(binding.edge), "node": shown(node.id), "port": shown(binding.name)}
            yield found("EDGE_007", pointer(path, "Edge"), **facts)


def names(subject: Subject) -> Iterator[Finding]:
    """Nothing is called as an item could be."""
    repeated = {node.id for _, node, _ in _for_each(subject)}
    for path, node in subject.nodes if repeated else ():
        if (part := collection.part_of(node.id)) is not None and part[0] in repeated:
            facts = {"kind": "Node", "name": shown(node.id), "whole": f"node {shown(part[0])}"}
            yield found("EDGE_008", pointer(path, "ID"), **facts)
    collections = _collections(subject)
    seen: set[str] = set()
    for path, _, binding in chain(subject.inputs, subject.outputs) if collections else ():
        part = collection.part_of(binding.edge)
        if part is not None and part[0] in collections and binding.edge not in seen:
            seen.add(binding.edge)
            facts = {"kind": "Edge", "name": shown(binding.edge), "whole": f"edge {shown(part[0])}"}
            yield found("EDGE_008", pointer(path, "Edge"), **facts)


RULES = (item_input, settings, no_collections_of_collections, taken, names)


def _for_each(subject: Subject) -> Iterator[tuple[str, Node, ForEach]]:
    for path, node in subject.nodes:
        if node.for_each is not None:
            yield path, node, node.for_each


def _collections(subject: Subject) -> frozenset[str]:
    """The edges on which a collection lies."""
    makers = {use for use, there in subject.uses.items() if any(port.many for port in there.outputs.values())}
    return frozenset(
        binding.edge
        for _, node, binding in subject.outputs
        if node.for_each is not None or (node.uses in makers and _is_many(subject, node, binding.name, output=True))
    )


def _is_many(subject: Subject, node: Node, name: str, *, output: bool) -> bool:
    use = subject.uses.get(node.uses)
    if use is None:
        return False
    port = (use.outputs if output else use.inputs).get(name)
    return port is not None and port.many
