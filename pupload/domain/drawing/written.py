"""
Flows written down by themselves, where steps could be written as well: enough of one to be judged.

What is read is what decides whether a flow can run; the native API reads all of it. Names are read without regard to
case, as it does.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pupload.domain import validation
from pupload.domain.flow import DEFAULT_STORE, Binding, DataWell, FlagValue, Flow, ForEach, Node
from pupload.domain.nodedef import NodeDef


def is_flow(document: Mapping[str, Any]) -> bool:
    """Whether the document is a flow, and no list of steps."""
    said = _fields(document)
    return "flow" in said or any("uses" in _fields(each) for each in _mappings(said.get("nodes")))


def read(document: Mapping[str, Any], definitions: Sequence[NodeDef]) -> tuple[Flow, tuple[str, ...]]:
    """The flow, and what is wrong with it, in sentences; definitions that it brings along stand before the others."""
    outer = _fields(document)
    said = _fields(outer.get("flow", document))
    own = [_definition(_fields(each)) for each in _mappings(outer.get("nodedefs"))]
    flow = Flow(
        name=_text(said.get("name")),
        nodes=tuple(_node(_fields(each)) for each in _mappings(said.get("nodes"))),
        wells=tuple(_well(_fields(each)) for each in _mappings(said.get("datawells"))),
        timeout=_text(said.get("timeout")) or None,
    )
    found = validation.validate(flow, [*own, *definitions])
    return flow, tuple(each.description for each in found if each.is_error)


def edges(flow: Flow) -> int:
    """How many edges its nodes meet on."""
    return len({binding.edge for node in flow.nodes for binding in (*node.inputs, *node.outputs)})


def _node(said: Mapping[str, Any]) -> Node:
    return Node(
        id=_text(said.get("id")),
        uses=_text(said.get("uses")),
        inputs=_bindings(said.get("inputs")),
        outputs=_bindings(said.get("outputs")),
        flags=tuple(
            FlagValue(name=_text(each.get("name")), value=_text(each.get("value")))
            for each in map(_fields, _mappings(said.get("flags")))
        ),
        timeout=_text(said.get("timeout")) or None,
        for_each=ForEach(input=_text(said["foreach"])) if said.get("foreach") else None,
        when=_text(said.get("when")) or None,
        runs=_text(said.get("runs")),
    )


def _bindings(said: Any) -> tuple[Binding, ...]:
    found = map(_fields, _mappings(said))
    return tuple(Binding(name=_text(each.get("name")), edge=_text(each.get("edge"))) for each in found)


def _well(said: Mapping[str, Any]) -> DataWell:
    return DataWell(
        edge=_text(said.get("edge")),
        store=_text(said.get("store")) or DEFAULT_STORE,
        source=_text(said.get("source")) or None,
        key=_text(said.get("key")) or None,
        flow=_text(said.get("flow")),
        given=_text(said.get("given")),
    )


def _definition(said: Mapping[str, Any]) -> NodeDef:
    """By name and image alone: what it takes and gives is looked at when a run is asked for."""
    return NodeDef(publisher=_text(said.get("publisher")), name=_text(said.get("name")), image=_text(said.get("image")))


def _fields(said: Any) -> dict[str, Any]:
    return {str(name).lower(): value for name, value in said.items()} if isinstance(said, Mapping) else {}


def _mappings(said: Any) -> Sequence[Mapping[str, Any]]:
    return [each for each in said if isinstance(each, Mapping)] if isinstance(said, list | tuple) else []


def _text(said: Any) -> str:
    if said is None:
        return ""
    return said if isinstance(said, str) else json.dumps(said, default=str)
