"""
What the node types share that pass values on: a file is JSON or text, told from its bytes, and both have an end.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import node

MOST_BYTES = 64 << 20
"""Of a file that is read as a value."""

_NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?")


class Wrong(Exception):
    """A value is not as it has to be; the text says how."""


def bound(*ports: str) -> list[str]:
    """Those of the inputs that the node binds, and for which there is a file."""
    return [port for port in ports if Path(os.environ.get(_variable(port), "/nothing")).exists()]


def eight() -> list[str]:
    """The bound inputs of a node that has eight of them."""
    return bound("input", *(f"input_{place}" for place in range(2, 9)))


def source(port: str) -> Path:
    """The file of an input."""
    return node.source(_variable(port))


def value(port: str) -> Any:
    """What an input says."""
    return value_of(source(port), port)


def value_of(path: Path, name: str) -> Any:
    """What a file says: its JSON, else its text without a line break at its end."""
    text = text_of(path, name)
    try:
        return parsed(text)
    except Wrong:
        return text.removesuffix("\n").removesuffix("\r")


def text_of(path: Path, name: str) -> str:
    """The text of a file; ends the node where there is none."""
    if path.stat().st_size > MOST_BYTES:
        node.die(node.WRONG_INPUT, f"{name} is larger than {MOST_BYTES} bytes")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        node.die(node.WRONG_INPUT, f"{name} is neither text nor JSON")


def parsed(text: str) -> Any:
    """The value of a text of JSON. Raises `Wrong`."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Wrong(f"it is no JSON: {error}") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def is_text(path: Path) -> bool:
    """Whether a file is small enough to be read as a value, and text."""
    if path.stat().st_size > MOST_BYTES:
        return False
    try:
        path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True


def write(port: str, value: Any) -> int:
    """Writes a value to an output, a text as it is and all else as JSON; returns how many bytes that are."""
    return write_to(node.place("OUTPUT_" + _upper(port)), value)


def write_to(path: Path, value: Any) -> int:
    """Writes a value to a file; returns how many bytes that are."""
    data = as_text(value).encode(errors="replace")
    path.write_bytes(data)
    return len(data)


def as_text(value: Any) -> str:
    """The value as it is written; ends the node where it is none that JSON has."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        node.die(node.WRONG_INPUT, f"what came of it cannot be written as JSON: {error}")


def hand_on(port: str, output: str) -> None:
    """Has the file of an input be the output, whatever is in it."""
    shutil.copyfile(source(port), node.place("OUTPUT_" + _upper(output)))


def at(value: Any, path: str) -> Any:
    """What a dotted path such as `order.items.0` leads to; None where there is no such place."""
    for step in filter(None, re.split(r"[.\[\]]", path)):
        if isinstance(value, list):
            value = value[int(step)] if re.fullmatch(r"[0-9]{1,9}", step) and int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


# ── Rules ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _ordered(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compared(one: Any, other: Any) -> bool:
        left, right = _number(one), _number(other)
        if left is not None and right is not None:
            return holds(left, right)
        return isinstance(one, str) and isinstance(other, str) and holds(one, other)

    return compared


def _equals(one: Any, other: Any) -> bool:
    if any(each is None or isinstance(each, bool) for each in (one, other)):
        return as_text(one) == as_text(other)
    left, right = _number(one), _number(other)
    return left == right if left is not None and right is not None else bool(one == other)


def _contains(one: Any, other: Any) -> bool:
    if isinstance(one, list | dict):
        return any(_equals(each, other) for each in one)
    return isinstance(one, str) and as_text(other) in one


_PLAIN: dict[str, Callable[[Any, Any], bool]] = {
    "equals": _equals,
    "contains": _contains,
    "starts_with": lambda one, other: isinstance(one, str) and one.startswith(as_text(other)),
    "ends_with": lambda one, other: isinstance(one, str) and one.endswith(as_text(other)),
    "gt": _ordered(lambda one, other: one > other),
    "gte": _ordered(lambda one, other: one >= other),
    "lt": _ordered(lambda one, other: one < other),
    "lte": _ordered(lambda one, other: one <= other),
    "exists": lambda one, _: one is not None,
    "is_empty": lambda one, _: one in (None, "", [], {}),
    "is_true": lambda one, _: one is True or one == "true",
    "is_false": lambda one, _: one is False or one == "false",
}

OPERATORS = (
    *_PLAIN,
    *("not_equals", "not_contains", "not_starts_with", "not_ends_with", "not_exists", "is_not_empty"),
)
"""By which a rule compares."""


def holds(operator: str, value: Any, wanted: Any) -> bool:
    """Whether the rule holds of the value. Numbers are compared as numbers, also where one is written as a text."""
    if operator == "is_not_empty":
        return not _PLAIN["is_empty"](value, wanted)
    if operator.startswith("not_"):
        return not _PLAIN[operator.removeprefix("not_")](value, wanted)
    return _PLAIN[operator](value, wanted)


def _variable(port: str) -> str:
    return "INPUT_" + _upper(port)


def _upper(port: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", port.upper())
