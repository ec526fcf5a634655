"""
From a drawing to a flow.

Nodes that run a node type become nodes of the flow; the others are what a flow has instead: triggers are wells that
wait for what somebody gives, switches are conditions, confirmations and interrupts wells that wait for a person, other
drawings wells that wait for runs of theirs, a loop is a node that runs for each item. What a node hands on lies on the
edge `<node>.<output>`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pupload.domain import validation
from pupload.domain.drawing import components, reach
from pupload.domain.drawing.findings import Finding
from pupload.domain.drawing.model import Drawing
from pupload.domain.drawing.weaving import Weaver
from pupload.domain.flow import Flow
from pupload.domain.nodedef import NodeDef
from pupload.domain.saved import Content
from pupload.domain.validation.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What became of a drawing."""

    content: Content
    entries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By trigger, by its output: the edge that waits for that. Outputs that nothing takes are not among them."""
    terminals: tuple[str, ...] = ()
    """The edges that no node takes, in the flow's order."""
    findings: tuple[Finding, ...] = ()
    """Why it cannot run; with any, the content is what could be made of the rest."""
    remarks: tuple[Finding, ...] = ()
    """What is worth knowing, and keeps nothing from running."""


def compile_drawing(
    drawing: Drawing,
    definitions: Sequence[NodeDef],
    *,
    trigger: str | None = None,
    flows: Mapping[int | str, str] | None = None,
    limits: Limits | None = None,
) -> Compiled:
    """
    The flow that the drawing is when this trigger begins it; without one, begun by everything that can.

    `definitions` are all that there are. `flows` are the saved flows that other drawings are, their ids or full names
    by the drawings' ids and slugs. The content brings no definitions along: they are looked up when a run starts. Where
    there are no findings, `validation.validate` finds no error under the same `limits` either.
    """
    known = components.known(definitions)
    begin = reach.begins(drawing, known) if trigger is None else (trigger,)
    if trigger is not None and trigger not in reach.begins(drawing, known):
        return _nothing(drawing, Finding(sentence=f"Node '{trigger[:100]}' is no trigger", node=trigger))
    part = reach.taking_part(drawing, known, begin)
    order = reach.order(drawing, part)
    if len(order) < len(part):
        around = ", ".join(f"'{each}'" for each in sorted(part - set(order)))
        return _nothing(drawing, Finding(sentence=f"The nodes {around} wait for each other: only a 'loop' node may"))
    weaver = Weaver(drawing, known, {each.uses: each for each in reversed(definitions)}, flows or {}, part)
    for node_id in order:
        weaver.add(node_id)
    flow = weaver.finished()
    findings = (*weaver.findings, *_judged(flow, definitions, limits, weaver))
    bound = {binding.edge for node in flow.nodes for binding in node.inputs} | {well.given for well in flow.wells}
    return Compiled(
        content=Content(flow=flow),
        entries={
            node_id: {port: edge for port, edge in edges.items() if edge in bound}
            for node_id, edges in weaver.entries.items()
        },
        terminals=_terminals(flow),
        findings=findings,
        remarks=tuple(weaver.remarks),
    )


def _nothing(drawing: Drawing, finding: Finding) -> Compiled:
    return Compiled(content=Content(flow=Flow(name=drawing.name)), findings=(finding,))


def _judged(flow: Flow, definitions: Sequence[NodeDef], limits: Limits | None, weaver: Weaver) -> tuple[Finding, ...]:
    """What is wrong with the flow; nothing where more is known already, for much follows from that."""
    if weaver.findings:
        return ()
    found = (each for each in validation.validate(flow, definitions, limits=limits) if each.is_error)
    return tuple(Finding(sentence=each.description, node=_node(flow, each.path)) for each in found)


def _node(flow: Flow, path: str) -> str:
    """The node of the drawing that a place in the flow is of."""
    parts = path.split("/")
    if parts[:3] != ["", "Flow", "Nodes"] or len(parts) < 4 or not parts[3].isdecimal():
        return ""
    return flow.nodes[int(parts[3])].id.partition(".")[0]


def _terminals(flow: Flow) -> tuple[str, ...]:
    taken = {binding.edge for node in flow.nodes for binding in node.inputs} | {well.given for well in flow.wells}
    made = (binding.edge for node in flow.nodes for binding in node.outputs)
    return tuple(edge for edge in made if edge not in taken)
