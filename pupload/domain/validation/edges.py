"""
Rules about edges: what lies between nodes.

An edge that nobody produces is an upload, and one that nobody consumes is a result: neither is a fault.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from pupload.domain import mime
from pupload.domain.flow import Binding, Node
from pupload.domain.nodedef import Port
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import FLOW, Subject, shown, utf8_length

_LONGEST_NAME = 128
_PLAIN = re.compile(rf"[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{_LONGEST_NAME - 1}}}")
"""What nearly all edges are called like, so that only the others need be looked at closely."""

_COMPARED = 16
"""How many different sets of types of one upload are compared with each other."""


def names(subject: Subject) -> Iterator[Finding]:
    """An edge's name can be part of URLs and keys."""
    seen: set[str] = set()
    for path, _, binding in chain(subject.inputs, subject.outputs):
        if binding.edge not in seen and (reason := bad_name(binding.edge)):
            yield found("EDGE_005", pointer(path, "Edge"), edge=shown(binding.edge), reason=reason)
        if binding.edge:
            seen.add(binding.edge)


def producer(subject: Subject) -> Iterator[Finding]:
    """What a well without a source keeps, a node produces."""
    seen: set[str] = set()
    for path, _, binding in subject.inputs:
        well = subject.wells.get(binding.edge)
        if well is None or well.source is not None or binding.edge in subject.producers or binding.edge in seen:
            continue
        seen.add(binding.edge)
        yield found("EDGE_001", pointer(path, "Edge"), edge=shown(binding.edge))


def one_producer(subject: Subject) -> Iterator[Finding]:
    """At most one output or source lies on an edge."""
    first: dict[str, tuple[Node, Binding]] = {}
    for path, node, binding in subject.outputs:
        if binding.edge in first:
            yield found(
                "EDGE_006",
                pointer(path, "Edge"),
                edge=shown(binding.edge),
                first=_output(*first[binding.edge]),
                second=_output(node, binding),
            )
        elif binding.edge:
            first[binding.edge] = (node, binding)
    for position, well in enumerate(subject.flow.wells):
        if well.source is not None and well.edge in first:
            yield found(
                "EDGE_006",
                pointer(FLOW, "DataWells", position, "Source"),
                edge=shown(well.edge),
                first=_output(*first[well.edge]),
                second=f"a datawell with source {shown(well.source)}",
            )


def kept(subject: Subject) -> Iterator[Finding]:
    """Every edge has a place to be kept at."""
    if subject.limits.default_store:
        return
    seen: set[str] = set()
    for path, _, binding in chain(subject.inputs, subject.outputs):
        edge = binding.edge
        produced_by_default = edge in subject.producers and subject.flow.default_well is not None
        if edge and edge not in subject.wells and edge not in seen and not produced_by_default:
            yield found("EDGE_004", pointer(path, "Edge"), edge=shown(edge))
        seen.add(edge)


@dataclass(frozen=True, slots=True)
class _Side:
    """One end of an edge that says what it gives or takes."""

    node: str
    port: str
    types: tuple[str, ...]

    def __str__(self) -> str:
        return f"{shown(self.port)} of node {shown(self.node)} ({', '.join(map(shown, self.types))})"


def types(subject: Subject) -> Iterator[Finding]:
    """
    What is produced, every consumer can take; and an upload, all of its consumers together, as far as pairs tell.

    Ports without (valid) types say nothing and are not compared.
    """
    givers: dict[str, _Side] = {}
    for _, node, binding in subject.outputs:
        use = subject.uses.get(node.uses)
        side = _side(use.outputs.get(binding.name) if use else None, node.id)
        if side is not None:
            givers.setdefault(binding.edge, side)
    others: dict[str, dict[tuple[str, ...], _Side]] = {}
    for path, node, binding in subject.inputs:
        use = subject.uses.get(node.uses)
        side = _side(use.inputs.get(binding.name) if use else None, node.id)
        well = subject.wells.get(binding.edge)
        if side is None or (well is not None and well.source is None and binding.edge not in subject.producers):
            continue
        if binding.edge in subject.producers:
            against = [givers[binding.edge]] if binding.edge in givers else []
        elif node.when:
            continue  # it may be what decides which of them takes it
        else:
            earlier = others.setdefault(binding.edge, {})
            against = [] if side.types in earlier else list(islice(earlier.values(), _COMPARED))
            earlier.setdefault(side.types, side)
        for other in against:
            if not mime.compatible(other.types, side.types):
                yield found("EDGE_003", pointer(path, "Edge"), edge=shown(binding.edge), left=other, right=side)
                break


RULES = (names, producer, one_producer, kept, types)


def bad_name(name: str) -> str:
    """Why an edge cannot be called so; empty when it can."""
    if _PLAIN.fullmatch(name):
        return ""
    if not name:
        return "it is empty"
    if utf8_length(name) > _LONGEST_NAME:
        return f"it is longer than {_LONGEST_NAME} bytes"
    if "/" in name or name in (".", ".."):
        return "it reads as a path"
    if not name.isprintable() or name != name.strip():
        return "it holds characters that cannot be seen"
    return ""


def _output(node: Node, binding: Binding) -> str:
    """What a sentence calls an output."""
    return f"output {shown(binding.name)} of node {shown(node.id)}"


def _side(port: Port | None, node: str) -> _Side | None:
    valid = tuple(text for text in port.types if mime.valid(text)) if port is not None else ()
    return _Side(node, port.name, valid) if port is not None and valid else None
