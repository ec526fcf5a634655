"""Rules about a flow as a whole."""

from collections.abc import Iterator

from pupload.domain import duration, graph, saved
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import FLOW, Subject, shown, utf8_length

_LONGEST_NAME = 256
_NAMED = 20


def name(subject: Subject) -> Iterator[Finding]:
    """A flow's name can be printed; it may be empty."""
    if utf8_length(subject.flow.name) > _LONGEST_NAME:
        yield found("FLOW_005", pointer(FLOW, "Name"), reason=f"it is longer than {_LONGEST_NAME} bytes")
    elif not subject.flow.name.isprintable():
        yield found("FLOW_005", pointer(FLOW, "Name"), reason="it holds characters that cannot be printed")


def timeout(subject: Subject) -> Iterator[Finding]:
    """A flow's timeout is a duration above zero."""
    text = subject.flow.timeout
    if text is None:
        return
    try:
        good = duration.seconds(text) > 0
    except ValueError as error:
        sentence = f'Flow timeout "{shown(text)}" is not a valid duration: {error}'
        yield found("FLOW_003", pointer(FLOW, "Timeout"), sentence=sentence)
        return
    if not good:
        yield found("FLOW_003", pointer(FLOW, "Timeout"), sentence="Flow timeout must be a positive duration")


def empty(subject: Subject) -> Iterator[Finding]:
    """A flow has nodes."""
    if not subject.flow.nodes:
        yield found("FLOW_002", pointer(FLOW, "Nodes"))


def size(subject: Subject) -> Iterator[Finding]:
    """A flow is not larger than the operator allows."""
    count, limit = len(subject.flow.nodes), subject.limits.max_nodes
    if count > limit:
        yield found("FLOW_004", pointer(FLOW, "Nodes"), count=count, limit=limit)


def cycle(subject: Subject) -> Iterator[Finding]:
    """No node waits for itself, by whatever way."""
    around = graph.order(subject.flow, subject.links).cycle
    if around:
        names = [shown(node) for node in (*around[:_NAMED], *(["…"] if len(around) > _NAMED else []), around[0])]
        yield found("FLOW_001", pointer(FLOW, "Nodes"), cycle=" → ".join(names))


def on_error(subject: Subject) -> Iterator[Finding]:
    """What is run after an error is called as a saved flow can be."""
    named = subject.flow.on_error
    if named and saved.canonical_id(named) is None and (objection := saved.objection(*saved.split(named))):
        yield found("FLOW_006", pointer(FLOW, "OnError"), reason=objection)


RULES = (name, timeout, empty, size, cycle, on_error)
