"""
What the nodes of a drawing can be here: the components that come along, and every node definition.

A component runs here when the engine does it itself, or its node type is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pupload.domain import nodedef
from pupload.domain.drawing.component import Component, Kind
from pupload.domain.drawing.ports import ComponentPort, data_type_of
from pupload.domain.drawing.table import TABLE


def known(definitions: Sequence[nodedef.NodeDef]) -> dict[str, Component]:
    """All components by type, with these definitions: those that come along first."""
    by_uses = _first(definitions)
    own = {each.type: _with_definition(each, by_uses.get(each.uses)) for each in TABLE}
    return own | {uses: _of_definition(each) for uses, each in by_uses.items() if uses not in own}


def _first(definitions: Sequence[nodedef.NodeDef]) -> dict[str, nodedef.NodeDef]:
    return {each.uses: each for each in reversed(definitions)}


def _with_definition(this: Component, definition: nodedef.NodeDef | None) -> Component:
    """The component as it can run here: the definition's ports are what it has."""
    if this.kind not in (Kind.CONTAINER, Kind.FOREIGN):
        return this
    if definition is None:
        return replace(this, executable=False)
    lent = tuple(port for port in this.outputs if port.is_lent)
    return replace(
        this,
        kind=Kind.CONTAINER,
        executable=True,
        inputs=_merged(this.inputs, definition.inputs),
        outputs=(*_merged(this.given(), definition.outputs), *lent),
    )


def _merged(own: tuple[ComponentPort, ...], ports: tuple[nodedef.Port, ...]) -> tuple[ComponentPort, ...]:
    """The definition's ports, of the data types that people know them by; the component's where it declares none."""
    said = {port.name: port.data_type for port in own}
    found = (_port(port) for port in ports)
    # Between components data types decide; what a file must really be, the flow that comes of it is judged by.
    return (
        tuple(replace(port, data_type=said[port.name], types=None) if port.name in said else port for port in found)
        or own
    )


def _of_definition(definition: nodedef.NodeDef) -> Component:
    return Component(
        type=definition.uses,
        label=definition.name.replace("-", " ").replace("_", " ").capitalize(),
        category="containers",
        description=definition.description,
        inputs=tuple(map(_port, definition.inputs)) or _BARE_INPUTS,
        outputs=tuple(map(_port, definition.outputs)) or _BARE_OUTPUTS,
        config_schema=schema_of(definition),
        kind=Kind.CONTAINER,
        uses=definition.uses,
    )


_BARE_INPUTS = tuple(ComponentPort(name=name, types=()) for name in ("input", *(f"input_{n}" for n in range(2, 9))))
_BARE_OUTPUTS = (ComponentPort(name="output", types=()),)
"""What a definition has that declares none: it takes and gives what it is bound to."""


def _port(port: nodedef.Port) -> ComponentPort:
    return ComponentPort(
        name=port.name,
        data_type=data_type_of(port.types),
        description=port.description,
        required=bool(port.required),
        types=port.types,
        many=port.many,
    )


_KINDS = {"integer": "integer", "int": "integer", "number": "number", "float": "number", "boolean": "boolean"}


def schema_of(definition: nodedef.NodeDef) -> Mapping[str, Any]:
    """A JSON Schema of the definition's flags."""
    needed = [flag.name for flag in definition.flags if flag.required and flag.default is None]
    return {
        "type": "object",
        "properties": {flag.name: _flag(flag) for flag in definition.flags},
        **({"required": needed} if needed else {}),
    }


def _flag(flag: nodedef.FlagDef) -> dict[str, Any]:
    said: dict[str, Any] = {"type": _KINDS.get(flag.type.strip().lower(), "string")}
    if flag.description:
        said["description"] = flag.description
    if flag.default is not None:
        said["default"] = flag.default
    if flag.choices:
        said["enum"] = list(flag.choices)
    bounds = (("minimum", flag.minimum), ("maximum", flag.maximum))
    return said | {word: bound for word, bound in bounds if bound is not None}
