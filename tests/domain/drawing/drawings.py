"""
Drawings for tests, written in few words.

    drawing = a_drawing("ask:trigger_chat", "shout:code", "ask -> shout")
    a_drawing("s:switch", "yes:code", "s -(yes)-> yes", s={"extra_config": {…}})

A line is a node, `name:component`, or an edge: `a -> b`, on a condition `a -(value)-> b`, of a label `m -[llm]-> a`.
"""

import re
from typing import Any

from pupload.domain import nodedef
from pupload.domain.drawing.component import Component
from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode, EdgeType
from pupload.domain.drawing.table import TABLE
from tests.builders import NOON

_EDGE = re.compile(r"(\S*) -(?:\((?P<value>.*)\)|\[(?P<label>\w+)\])?-?> ?(\S*)")


def a_drawing(*lines: str, drawing: dict[str, Any] | None = None, **fields: dict[str, Any]) -> Drawing:
    """The drawing of these lines; `fields` are more of a node's by its name, `drawing` more of the whole."""
    nodes = [line for line in lines if "->" not in line]
    edges = [line for line in lines if "->" in line]
    return Drawing(
        slug="photos",
        name="Photos",
        nodes=tuple(_node(line, place, fields) for place, line in enumerate(nodes, start=1)),
        edges=tuple(an_edge(line, id=place) for place, line in enumerate(edges, start=1)),
        created_at=NOON,
        updated_at=NOON,
        **(drawing or {}),
    )


def _node(line: str, place: int, fields: dict[str, dict[str, Any]]) -> DrawnNode:
    name, _, component = line.partition(":")
    return DrawnNode(id=place, node_id=name, component=component, updated_at=NOON, **fields.get(name, {}))


def an_edge(line: str, **fields: Any) -> DrawnEdge:
    """The edge of a line."""
    found = _EDGE.fullmatch(line)
    assert found is not None, line
    if found["value"] is not None:
        fields |= {"type": EdgeType.CONDITIONAL, "condition": found["value"]}
    return DrawnEdge(source=found[1], target=found[4], label=found["label"] or "", **fields)


def a_type(uses: str, inputs: list[nodedef.Port], outputs: list[nodedef.Port], *flags: str) -> nodedef.NodeDef:
    publisher, _, name = uses.partition("/")
    return nodedef.NodeDef(
        publisher=publisher,
        name=name,
        image=f"{uses}:latest",
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        flags=tuple(nodedef.FlagDef(name=flag) for flag in flags),
    )


def _of(component: Component) -> nodedef.NodeDef:
    """A definition with the ports that the component is drawn with."""
    inputs, outputs = (
        [nodedef.Port(name=port.name, many=port.many) for port in ports]
        for ports in (component.inputs, component.given())
    )
    facts = [nodedef.Port(name="facts")] if component.remembers else []
    return a_type(component.uses, [*inputs, *facts], outputs, *component.config_schema.get("properties", {}))


SHIPPED = (
    *(_of(each) for each in TABLE if each.uses.startswith("pupload/")),
    a_type("pupload/loop", [nodedef.Port(name="input")], [nodedef.Port(name="items", many=True)]),
    a_type(
        "pupload/resize",
        [nodedef.Port(name="image", types=("image/*",), required=True)],
        [nodedef.Port(name="resized", types=("image/jpeg",), required=True)],
        "width",
    ),
    a_type("pupload/unpack", [nodedef.Port(name="archive")], [nodedef.Port(name="files", many=True)]),
)
"""Definitions like those that ship, for what a drawing asks of them."""
