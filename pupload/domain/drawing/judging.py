"""Whether a drawing can run, and everything that keeps it from that."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pupload.domain.drawing import compiling, components, joining, reach
from pupload.domain.drawing.component import Kind
from pupload.domain.drawing.findings import Finding
from pupload.domain.drawing.model import Drawing
from pupload.domain.nodedef import NodeDef
from pupload.domain.validation.limits import Limits


def judge(
    drawing: Drawing,
    definitions: Sequence[NodeDef],
    *,
    flows: Mapping[int | str, str] | None = None,
    limits: Limits | None = None,
) -> tuple[Finding, ...]:
    """
    All that is wrong: with the edges, with nodes that nothing leads to, and with the flow of each trigger by itself.

    The arguments are those of `compiling.compile_drawing`. Each sentence comes once.
    """
    known = components.known(definitions)
    found = [*_edges(drawing, known), *_stranded(drawing, known)]
    for trigger in reach.triggers(drawing, known) or (None,):
        compiled = compiling.compile_drawing(drawing, definitions, trigger=trigger, flows=flows, limits=limits)
        found.extend(compiled.findings)
    return tuple({each.sentence: each for each in reversed(found)}.values())[::-1]


def _edges(drawing: Drawing, known: joining.Known) -> Iterator[Finding]:
    """Each edge as if it were drawn now, beside those before it."""
    for place, edge in enumerate(drawing.edges):
        before = replace(drawing, edges=drawing.edges[:place])
        objection = joining.objection(before, edge, known)
        if objection is not None:
            yield replace(objection, sentence=f"Edge {edge.source} → {edge.target}: {objection.sentence}")


def _stranded(drawing: Drawing, known: joining.Known) -> Iterator[Finding]:
    """Nodes that take no part in any run, and lend nothing to one that does."""
    part = reach.taking_part(drawing, known, reach.begins(drawing, known))
    lending = {edge.source for edge in drawing.edges if not reach.carries(edge)}
    for node in drawing.nodes:
        found = known.get(node.component)
        aside = found is not None and found.kind in (Kind.LENDER, Kind.ERROR_HANDLER, Kind.FOREIGN)
        if node.node_id not in part | lending and not aside:
            yield Finding(sentence=f"Node '{node.node_id}' is not reached from any trigger", node=node.node_id)
