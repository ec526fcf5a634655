"""
What a flow takes, as JSON Schema says it: an object with a property for each parameter.

A flow that declares no parameters takes whatever is given, and needs those that its flags and keys name.
"""

from collections.abc import Iterator
from typing import Any

from pupload.domain import params, template
from pupload.domain.flow import Flow
from pupload.domain.nodedef import FlagDef
from pupload.domain.validation import flags


def schema(flow: Flow) -> dict[str, Any]:
    """The schema of what a run of the flow is given: `type`, `properties`, `required`, `additionalProperties`."""
    if not flow.params:
        named = list(dict.fromkeys(_named(flow)))
        properties: dict[str, Any] = {name: {"type": "string"} for name in named}
        return {"type": "object", "properties": properties, "required": named, "additionalProperties": True}
    return {
        "type": "object",
        "properties": {param.name: _property(param) for param in flow.params},
        "required": [param.name for param in flow.params if param.required and param.default is None],
        "additionalProperties": False,
    }


def _named(flow: Flow) -> Iterator[str]:
    """The parameters that flags and keys name."""
    for node in flow.nodes:
        for flag in node.flags:
            yield from params.named(flag.value)
    for well in (*flow.wells, *filter(None, [flow.default_well])):
        for variable in template.variables(well.key or "") if well.source != "static" else ():
            if variable.startswith(template.PARAM):
                yield variable.removeprefix(template.PARAM)


def _property(param: FlagDef) -> dict[str, Any]:
    kind = flags.kind_of(param)
    found: dict[str, Any] = {"type": kind}
    if param.description:
        found["description"] = param.description
    if param.default is not None:
        found["default"] = value(param.default, kind)
    if param.choices:
        found["enum"] = [value(choice, kind) for choice in param.choices]
    if param.minimum is not None:
        found["minimum"] = value(str(param.minimum), "number")
    if param.maximum is not None:
        found["maximum"] = value(str(param.maximum), "number")
    return found


def value(text: str, kind: str) -> str | int | float | bool:
    """The text as a value of the type; as it is where it is none."""
    try:
        if kind == "boolean":
            return {"true": True, "false": False}[text.lower()]
        if kind == "integer":
            return int(text)
        if kind == "number":
            number = float(text)
            return int(number) if number.is_integer() else number
    except (KeyError, ValueError, OverflowError):
        pass
    return text
