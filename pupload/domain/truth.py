"""
Whether a condition is met.

`mistakes` tells what is wrong with its types, whatever the values, and `holds` works it out with those that there are.
What nobody knows is null. Null equals null alone, is neither smaller nor larger than anything, and counts as false.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from pupload.domain.condition import (
    ANY,
    BOOLEAN,
    CONSTANTS,
    DIGITS,
    FACTS,
    NULL,
    NUMBER,
    OUTCOMES,
    TEXT,
    Among,
    Compared,
    Every,
    Json,
    Literal,
    Mistaken,
    Name,
    Not,
    Some,
    Term,
    Text,
    Value,
    Word,
    quoted,
)

JSON_BYTES = 64 * 1024
"""What `json(…)` and `text(…)` read at most."""

_TEXT = "'"
"""Stands before a text that is no JSON, of which none begins so."""


class Impossible(ValueError):
    """The condition cannot be worked out with these values; its text says why."""


# ── Judging ──────────────────────────────────────────────────────────────────────────────────────────────────────


def mistakes(term: Term, type_of: Callable[[Name], str]) -> Iterator[Mistaken]:
    """What can never be worked out, whatever the values; `type_of` says what a flag or parameter is."""
    yield from _unusable(term, type_of)
    yield from _wrong(term, type_of)


def _wrong(term: Term, type_of: Callable[[Name], str]) -> Iterator[Mistaken]:
    """Of what is inside the term."""
    match term:
        case Not(inner=inner):
            yield from mistakes(inner, type_of)
        case Every(parts=parts) | Some(parts=parts):
            for part in parts:
                yield from mistakes(part, type_of)
        case Compared(op=op, left=left, right=right):
            yield from _wrong(left, type_of)
            yield from _wrong(right, type_of)
            yield from _incomparable(term, op, _type(left, type_of), _type(right, type_of))
        case Among(left=left, values=values):
            yield from _wrong(left, type_of)
            for value in values:
                yield from _wrong(value, type_of)
                yield from _incomparable(value, "==", _type(left, type_of), _type(value, type_of))


def _unusable(term: Term, type_of: Callable[[Name], str]) -> Iterator[Mistaken]:
    """Where it should be true or false and cannot be."""
    found = _type(term, type_of)
    if found not in (BOOLEAN, ANY):
        yield Mistaken(term.at, f"{quoted(term.text)} is {found}, where something true or false is expected")


def _incomparable(term: Term, op: str, left: str, right: str) -> Iterator[Mistaken]:
    if op in ("startswith", "endswith", "contains"):
        for side in (left, right):
            if side not in (TEXT, ANY):
                yield Mistaken(term.at, f"{op} is between texts, and one side is {side}")
                return
    elif NULL in (left, right):
        if op not in ("==", "!="):
            yield Mistaken(term.at, f"nothing is {op} null; ask whether it is == null")
    elif ANY not in (left, right) and left != right:
        yield Mistaken(term.at, f"one side of {op} is {left} and the other is {right}")
    elif op not in ("==", "!=") and BOOLEAN in (left, right):
        yield Mistaken(term.at, f"{op} is between numbers or texts, and one side is {BOOLEAN}")


def _type(term: Term, type_of: Callable[[Name], str]) -> str:
    match term:
        case Literal(value=value):
            return _type_of_value(value)
        case Name(kind="input", asked=asked):
            return FACTS.get(asked, ANY)
        case Name(kind="node", asked=asked):
            return OUTCOMES.get(asked, ANY)
        case Name():
            return type_of(term)
        case Json() | Text():
            return ANY
    return BOOLEAN


def _type_of_value(value: Value) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int | float):
        return NUMBER
    return TEXT if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"


# ── Working out ──────────────────────────────────────────────────────────────────────────────────────────────────

Look = Callable[[Name | Json | Text], Value]
"""The value of a name; may raise `Impossible`."""


def holds(term: Term, look: Look) -> bool:
    """Whether the condition is met. Raises `Impossible`, and whatever `look` raises."""
    match term:
        case Not(inner=inner):
            return not holds(inner, look)
        case Every(parts=parts):
            return all(holds(part, look) for part in parts)
        case Some(parts=parts):
            return any(holds(part, look) for part in parts)
        case Compared(op=op, left=left, right=right):
            return _is(term, op, _value(left, look), _value(right, look))
        case Among(left=left, values=values):
            wanted = _value(left, look)
            return any(_is(term, "==", wanted, _value(value, look)) for value in values)
    value = _value(term, look)
    if isinstance(value, Word):
        value = CONSTANTS.get(value, value)
    if value is not None and not isinstance(value, bool):
        raise Impossible(f"{term.text} is {told(value)}, where something true or false is expected")
    return bool(value)


def _value(term: Term, look: Look) -> Value:
    if isinstance(term, Literal):
        return term.value
    return look(term) if isinstance(term, Name | Json | Text) else holds(term, look)


def _is(term: Term, op: str, left: Value, right: Value) -> bool:
    left, right = _like(left, right), _like(right, left)
    alike = _type_of_value(left) == _type_of_value(right)
    if op in ("==", "!="):
        return (alike and bool(left == right)) is (op == "==")
    if left is None or right is None:
        return False
    if op == "contains" and isinstance(left, list):
        return right in left
    if not alike or not isinstance(left, int | float | str) or isinstance(left, bool):
        raise Impossible(f"{term.text} cannot be told: {told(left)} and {told(right)} cannot be compared so")
    if isinstance(left, str):
        match op:
            case "startswith":
                return left.startswith(right)
            case "endswith":
                return left.endswith(right)
            case "contains":
                return right in left
    elif op not in ("<", "<=", ">", ">="):
        raise Impossible(f"{term.text} cannot be told: {told(left)} is no text")
    return bool(_ORDERED[op](left, right))


_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _like(value: Value, other: Value) -> Value:
    """A word as what it is compared with, where it can be that."""
    if not isinstance(value, Word):
        return value
    if isinstance(other, bool):
        return CONSTANTS.get(value, str(value))
    if isinstance(other, int | float | Word) and DIGITS.fullmatch(value):
        return float(value) if not isinstance(other, Word) or DIGITS.fullmatch(other) else str(value)
    return str(value)


def told(value: Value) -> str:
    """The value in a sentence, cut where it is long."""
    said = json.dumps(value, ensure_ascii=False)
    cut = said if len(said) <= 100 else said[:100] + "…"
    return cut if cut.isprintable() else ascii(cut)[1:-1]


# ── What `json(…)` and `text(…)` read ────────────────────────────────────────────────────────────────────────────


def legible(data: bytes) -> str | None:
    """What the file says, for `is_json`, `at_path` and `as_text`: `canonical` JSON, else its text; None for neither."""
    found = canonical(data)
    if found is not None or len(data) > JSON_BYTES:
        return found
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else _TEXT + text.strip()


def is_json(text: str) -> bool:
    """Whether what is `legible` is JSON."""
    return bool(text) and not text.startswith(_TEXT)


def as_text(text: str) -> Word:
    """What is `legible` as people read it: a text of JSON without its quotes, all other JSON as it is written."""
    if not is_json(text):
        return Word(text.removeprefix(_TEXT))
    value = json.loads(text)
    return Word(value.strip() if isinstance(value, str) else text)


def canonical(data: bytes) -> str | None:
    """The value that the file holds as JSON, written in one way only; None where it holds none that we take."""
    if len(data) > JSON_BYTES:
        return None
    try:
        value = json.loads(data)
        text = json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    return text if len(text) <= 2 * JSON_BYTES else None


def at_path(text: str, path: tuple[str | int, ...]) -> Value:
    """What `canonical` text holds at the end of the path; None where there is no such place."""
    value = json.loads(text)
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value
