"""
What a flow is given when it runs, and what it gives: the edges on which nobody, or nobody else, does anything.

An entry is an edge that no node makes and that is brought from outside; a terminal is one that no node takes. Handlers
are left aside: nothing is brought for them alone, and what they make is not what the flow is for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pupload.domain import mime
from pupload.domain.flow import Flow, Node
from pupload.domain.nodedef import NodeDef

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """An edge at one end of a flow."""

    edge: str
    types: tuple[str, ...] = ()
    """The media types that whoever is on it declares; empty: any."""
    uploaded: bool = False
    """Whether a well says that an upload comes here, and not merely nothing else."""

    @property
    def takes_json(self) -> bool:
        """Whether JSON is among what is declared, or nothing is and no well says that it is a file."""
        return _has_json(self.types) if self.types else not self.uploaded


def entries(flow: Flow, definitions: Iterable[NodeDef]) -> Sequence[End]:
    """The edges that somebody has to bring something on, in the order in which the nodes name them."""
    known = {definition.uses: definition for definition in definitions}
    wells = {well.edge: well for well in flow.wells}
    made = {binding.edge for node in flow.nodes for binding in node.outputs}
    found: dict[str, dict[str, None]] = {}
    for node in _plain(flow):
        for binding in node.inputs:
            if binding.edge and binding.edge not in made:
                found.setdefault(binding.edge, {}).update(_types(node, binding.name, known, outputs=False))
    return [
        End(edge=edge, types=tuple(types), uploaded=edge in wells and wells[edge].source is not None)
        for edge, types in found.items()
        if edge not in wells or wells[edge].source in (None, "upload")
    ]


def terminals(flow: Flow, definitions: Iterable[NodeDef]) -> Sequence[End]:
    """The edges that nobody takes anything from, in the order in which the nodes name them."""
    known = {definition.uses: definition for definition in definitions}
    taken = {binding.edge for node in _plain(flow) for binding in node.inputs}
    return [
        End(edge=binding.edge, types=tuple(_types(node, binding.name, known, outputs=True)))
        for node in _plain(flow)
        for binding in node.outputs
        if binding.edge and binding.edge not in taken
    ]


def schema(ends: Sequence[End]) -> dict[str, Any] | None:
    """What lies there, as JSON Schema: of one edge its own, of several an object by their names; None of none."""
    if not ends:
        return None
    if len(ends) == 1:
        return _schema(ends[0])
    return {
        "type": "object",
        "properties": {end.edge: _schema(end) for end in ends},
        "required": [e.edge for e in ends],
    }


def _schema(end: End) -> dict[str, Any]:
    """Any value where nothing is declared; a text where only text is; else what type of file it is."""
    told: dict[str, Any] = {"title": end.edge}
    if not end.types or _has_json(end.types):
        return told
    if all(one.startswith("text/") for one in end.types):
        told["type"] = "string"
    if len(end.types) == 1:
        return {**told, "contentMediaType": end.types[0]}
    return {**told, "anyOf": [{"contentMediaType": one} for one in end.types]}


def _has_json(types: Iterable[str]) -> bool:
    """Whether it is declared itself: what takes any text would have JSON as one."""
    return any(mime.matches(JSON, one) for one in types)


def _plain(flow: Flow) -> Iterable[Node]:
    return (node for node in flow.nodes if not node.runs)


def _types(node: Node, port: str, known: Mapping[str, NodeDef], *, outputs: bool) -> dict[str, None]:
    definition = known.get(node.uses)
    if definition is None:
        return {}
    ports = definition.outputs if outputs else definition.inputs
    return {one: None for each in ports if each.name == port for one in each.types}
