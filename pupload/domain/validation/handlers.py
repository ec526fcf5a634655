"""Rules about handlers: nodes that run when the others have ended."""

from collections.abc import Iterator

from pupload.domain.flow import FINALLY, HANDLERS
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import FLOW, Subject, shown

MOST = 100
"""Handlers in a flow: each end of a run looks at all of them."""


def moments(subject: Subject) -> Iterator[Finding]:
    """Runs says a moment that there is."""
    for path, node in subject.nodes:
        if node.runs and node.runs not in HANDLERS:
            yield found("RUNS_001", pointer(path, "Runs"), node=shown(node.id), runs=shown(node.runs))


def outputs(subject: Subject) -> Iterator[Finding]:
    """Nothing takes what a handler gives but handlers that run with it or later."""
    if not any(node.runs for _, node in subject.nodes):
        return
    makers = {binding.edge: node for _, node, binding in subject.outputs if node.runs}
    for path, node, binding in subject.inputs:
        maker = makers.get(binding.edge)
        if maker is None or node.runs == FINALLY or (node.runs and maker.runs != FINALLY):
            continue
        yield found(
            "RUNS_002",
            pointer(path, "Edge"),
            node=shown(node.id),
            edge=shown(binding.edge),
            handler=shown(maker.id),
            runs=shown(maker.runs),
        )


def flow_of_its_own(subject: Subject) -> Iterator[Finding]:
    """There is something to handle, and not too much that does."""
    handlers = [node for _, node in subject.nodes if node.runs]
    if handlers and len(handlers) == len(subject.nodes):
        yield found("RUNS_003", pointer(FLOW, "Nodes"))
    if len(handlers) > MOST:
        yield found("RUNS_005", pointer(FLOW, "Nodes"), count=len(handlers), limit=MOST)


def inputs(subject: Subject) -> Iterator[Finding]:
    """A handler awaits nothing from outside: what it takes of that, a node of the flow takes too."""
    if not any(node.runs for _, node in subject.nodes):
        return
    taken = {binding.edge for _, node, binding in subject.inputs if not node.runs}
    for path, node, binding in subject.inputs:
        if node.runs and binding.edge and binding.edge not in taken and binding.edge not in subject.producers:
            yield found("RUNS_004", pointer(path, "Edge"), node=shown(node.id), edge=shown(binding.edge))


def once(subject: Subject) -> Iterator[Finding]:
    """A handler runs once."""
    for path, node in subject.nodes:
        if node.runs and node.for_each is not None:
            yield found("RUNS_006", pointer(path, "ForEach"), node=shown(node.id))


RULES = (moments, outputs, flow_of_its_own, inputs, once)
