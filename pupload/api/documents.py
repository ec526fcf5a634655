"""
Text of JSON or YAML, read strictly into plain values.

Both give dicts, lists, texts, numbers, booleans and None, and refuse what would be read one way by one reader and
another way by the next: keys given twice, numbers that no double holds, nesting without end, text that is no Unicode.
YAML is held to JSON's scalars, so that `yes`, `12:30` and `0755` stay the text they look like; aliases are followed
within bounds. What the values mean is for each surface's `wire.py`.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn, Self

import yaml

from pupload import errors

MAX_DEPTH = 64
"""Levels of nesting."""

MAX_JSON_VALUES = 1_000_000
"""Values in a JSON document; counted by its brackets and commas before anything is made of them."""

MAX_VALUES = 100_000
"""Values in a YAML document with its aliases written out: a bomb is more."""

MAX_YAML_CHARACTERS = 4 * 1024 * 1024

_MAX_DIGITS = 19
_HALF = re.compile("[\ud800-\udfff]")


class Real(float):
    """A number that remembers how it was written: a flag's value is text, and `1.50` must stay that."""

    __slots__ = ("spelling",)

    spelling: str

    def __new__(cls, spelling: str) -> Self:
        number = super().__new__(cls, spelling)
        if not math.isfinite(number):
            raise errors.Malformed(reason=f"the number {_shorten(spelling)} is too large")
        number.spelling = spelling
        return number


def spelling(value: object) -> str | None:
    """A number or boolean as JSON writes it; None for everything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Real):
        return value.spelling
    return str(value) if isinstance(value, int | float) else None


_LEAST = -(2**63)


def plain(value: Any) -> Any:
    """
    The value without numbers that remember how they were written, for what is kept.

    Raises `errors.Malformed` for a number that is too small to be.
    """
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, int) and value < _LEAST:
        raise errors.Malformed(reason="a number is too large")
    return float(value) if isinstance(value, Real) else value


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. Raises `errors.Malformed` with a sentence that says where it stops being one."""
    if sum(body.count(sign) for sign in (b"{", b"[", b",")) > MAX_JSON_VALUES:
        raise errors.Malformed(reason=f"the body holds more than {MAX_JSON_VALUES} values")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.Malformed(reason=f"the body is not UTF-8 (byte {error.start + 1})") from error
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise errors.Malformed(reason=f"the body is not JSON: {error.msg} ({where})") from error
    except RecursionError as error:
        raise errors.Malformed(reason="the body is nested too deeply") from error
    if _is_deep(body):
        _check_depth(value)
    if "\\u" in text:
        _check_texts(value, "")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise errors.Malformed(reason=f"the key {_shorten(twice)!r} is given twice in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS:
        raise errors.Malformed(reason=f"the number {_shorten(digits)} is too large")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise errors.Malformed(reason=f"the body is not JSON: {name} is no number there")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=Real, parse_constant=_constant, strict=True
)


def _is_deep(body: bytes) -> bool:
    """
    Whether a JSON text may be nested too deeply, told by its brackets alone: most texts need not be walked through.

    No bracket within one of its texts counts. What is outside of those is every other piece between quotation marks;
    two of them with nothing in between change nothing about what is where.
    """
    marks = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_CURLY, _NO_MARKS).replace(b'""', b"")
    brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(_USUAL_DEPTH):
        brackets = brackets.replace(b"{}", b"")
    return bool(brackets)


_USUAL_DEPTH = 8
_CURLY = bytes.maketrans(b"[]", b"{}")
_NO_MARKS = bytes({*range(256)}.difference(b'[]{}"'))


def _check_depth(value: Any) -> None:
    """Refuses nesting that is too deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return
    raise errors.Malformed(reason=f"the body is nested too deeply ({MAX_DEPTH} levels at most)")


def _check_texts(value: Any, pointer: str) -> None:
    """Refuses text that is no Unicode, which escapes can make."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, pointer)
            _check_texts(item, f"{pointer}/{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_texts(item, f"{pointer}/{index}")
    elif isinstance(value, str):
        _check_text(value, pointer)


def _check_text(text: str, pointer: str) -> None:
    if "\0" in text:
        raise errors.Malformed(reason=f"{_shorten(pointer) or '/'} has a NUL character in its text")
    if _HALF.search(text):
        raise errors.Malformed(reason=f"{_shorten(pointer) or '/'} has half a character in its text (a lone surrogate)")


def _shorten(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


# ── YAML ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a YAML file says, and where it says it."""

    name: str
    """Of the file, for messages."""
    value: Any
    lines: Mapping[str, int] = field(repr=False)
    """The line (from 1) of every value, by its JSON pointer in small letters."""

    def line(self, pointer: str) -> int:
        """The line of the value, or of the nearest one around it; names are looked up in any case."""
        place = pointer.lower()
        while place and place not in self.lines:
            place = place.rpartition("/")[0]
        return self.lines.get(place, 1)


def parse_yaml(text: str, *, name: str) -> Document:
    """
    The document in the text.

    Raises `errors.Malformed` whose sentence begins with `name:line:`.
    """
    if len(text) > MAX_YAML_CHARACTERS:
        raise errors.Malformed(reason=f"{name}:1: the file is larger than {MAX_YAML_CHARACTERS} characters")
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise errors.Malformed(reason=f"{name}:{line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise errors.Malformed(reason=f"{name}:1: {said}") from error
    builder = _Builder(name)
    value = None if node is None else builder.build(node, "", 0)
    return Document(name=name, value=value, lines=builder.lines)


class _Loader(yaml.SafeLoader):
    """Tells scalars apart as JSON does; everything else is text."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}  # type: ignore[misc]


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$"),
    list("-0123456789"),
)


class _Builder:
    """Makes plain values of YAML's nodes, and notes their lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[str, int] = {}
        self._values = 0

    def build(self, node: yaml.Node, pointer: str, depth: int) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            self._refuse(node, f"more than {MAX_VALUES} values once its aliases are written out")
        if depth > MAX_DEPTH:
            self._refuse(node, f"nested too deeply ({MAX_DEPTH} levels at most)")
        self.lines.setdefault(pointer.lower(), node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return self._mapping(node, pointer, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            return [self.build(item, f"{pointer}/{index}", depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        return self._refuse(node, f"the tag {node.tag} is not read here")

    def _mapping(self, node: yaml.MappingNode, pointer: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, "a key must be a text")
            if key.value in found:
                self._refuse(key, f"the key {_shorten(key.value)!r} is given twice")
            if key.value == "<<" and key.style is None:
                self._refuse(key, "merge keys (<<) are not read here")
            place = f"{pointer}/{_escape(key.value)}"
            found[key.value] = self.build(item, place, depth + 1)
            self.lines[place.lower()] = key.start_mark.line + 1
        return found

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        match node.tag.rpartition(":")[2]:
            case "str":
                return text
            case "null":
                return None
            case "bool" if text in ("true", "false"):
                return text == "true"
            case "int" if re.fullmatch(r"-?[0-9]+", text):
                if len(text.lstrip("-")) > _MAX_DIGITS:
                    self._refuse(node, f"the number {_shorten(text)} is too large")
                return int(text)
            case "float" if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", text):
                if not math.isfinite(float(text)):
                    self._refuse(node, f"the number {_shorten(text)} is too large")
                return Real(text)
        return self._refuse(node, f"the tag {node.tag} is not read here")

    def _refuse(self, node: yaml.Node, why: str) -> NoReturn:
        raise errors.Malformed(reason=f"{self.name}:{node.start_mark.line + 1}: {why}")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def write_yaml(value: Any) -> str:
    """The YAML of plain values, in their order."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text
