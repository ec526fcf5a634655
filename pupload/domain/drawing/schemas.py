"""
Whether a value is what a JSON Schema says, as far as schemas are read here.

What is read: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`, the least and the most
of numbers, texts, lists and objects, `allOf`, `anyOf` (and `oneOf` as that) and `not`. Anything else, such as a
reference or a pattern, says nothing: a schema is somebody's word, and no word of it may take long, or lead elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

MOST = 20
"""Sentences about one value."""

_MOST_STEPS = 20_000
"""Comparisons of parts with parts of the schema; what is left then is not looked at."""


def objections(schema: Any, value: Any) -> Sequence[str]:
    """Where the value is not what the schema says, and what it should be there; empty where it is."""
    found: list[str] = []
    for sentence in _Reading().objections(schema, value, "$"):
        found.append(sentence)
        if len(found) == MOST:
            break
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and value == int(value),
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}

_BOUNDS: Sequence[tuple[str, type | tuple[type, ...], Callable[[Any, Any], bool], str]] = (
    ("minimum", (int, float), lambda value, bound: value >= bound, "is less than {}"),
    ("maximum", (int, float), lambda value, bound: value <= bound, "is more than {}"),
    ("exclusiveMinimum", (int, float), lambda value, bound: value > bound, "is not more than {}"),
    ("exclusiveMaximum", (int, float), lambda value, bound: value < bound, "is not less than {}"),
    ("minLength", str, lambda value, bound: len(value) >= bound, "has less than {} letters"),
    ("maxLength", str, lambda value, bound: len(value) <= bound, "has more than {} letters"),
    ("minItems", list, lambda value, bound: len(value) >= bound, "has less than {} items"),
    ("maxItems", list, lambda value, bound: len(value) <= bound, "has more than {} items"),
    ("minProperties", dict, lambda value, bound: len(value) >= bound, "has less than {} keys"),
    ("maxProperties", dict, lambda value, bound: len(value) <= bound, "has more than {} keys"),
)


class _Reading:
    """One value held against one schema."""

    def __init__(self) -> None:
        self._steps = 0

    def objections(self, schema: Any, value: Any, place: str) -> Iterator[str]:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            return
        if schema is False:
            yield f"{place} may not be there"
        if not isinstance(schema, Mapping):
            return
        wanted = schema.get("type")
        types = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
        known = [_TYPES[each] for each in types if isinstance(each, str) and each in _TYPES]
        if known and not any(fits(value) for fits in known):
            yield f"{place} is not of type {' or '.join(map(str, types))}"
            return
        yield from _named(schema, value, place)
        yield from _bounded(schema, value, place)
        yield from self._combined(schema, value, place)
        if isinstance(value, dict):
            yield from self._object(schema, value, place)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.objections(schema.get("items"), item, f"{place}[{index}]")

    def _object(self, schema: Mapping[str, Any], value: dict[str, Any], place: str) -> Iterator[str]:
        required, properties = schema.get("required"), schema.get("properties")
        for name in required if isinstance(required, list) else ():
            if isinstance(name, str) and name not in value:
                yield f"{place}.{_short(name)} is required"
        known = properties if isinstance(properties, Mapping) else {}
        for name, each in value.items():
            rule = known[name] if name in known else schema.get("additionalProperties")
            yield from self.objections(rule, each, f"{place}.{_short(name)}")

    def _combined(self, schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
        for each in _list(schema, "allOf"):
            yield from self.objections(each, value, place)
        choices = _list(schema, "anyOf") or _list(schema, "oneOf")
        if choices and not any(self._fits(each, value, place) for each in choices):
            yield f"{place} is none of what it may be"
        if "not" in schema and self._fits(schema["not"], value, place):
            yield f"{place} is what it may not be"

    def _fits(self, schema: Any, value: Any, place: str) -> bool:
        return next(self.objections(schema, value, place), None) is None


def _named(schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
    choices = _list(schema, "enum")
    if choices and not any(_same(value, each) for each in choices):
        yield f"{place} is none of {', '.join(_short(repr(each)) for each in choices[:MOST])}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{place} is not {_short(repr(schema['const']))}"


def _bounded(schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
    for name, kind, keeps, words in _BOUNDS:
        bound = schema.get(name)
        if _is_number(bound) and isinstance(value, kind) and not isinstance(value, bool) and not keeps(value, bound):
            yield f"{place} {words.format(bound)}"


def _list(schema: Mapping[str, Any], name: str) -> list[Any]:
    found = schema.get(name)
    return found if isinstance(found, list) else []


def _same(one: Any, other: Any) -> bool:
    """Whether the two are the same JSON: true is no 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
