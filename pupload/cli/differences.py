"""
What is different between two texts, and between two values of JSON; told within bounds, whatever is compared.

Neither reads files nor prints: `pupload.cli.comparing` does.
"""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

MOST_LINES = 2000
"""So many lines, without those that both begin and end with, are laid side by side; it takes time with their square."""

MOST_TOLD = 40
"""Lines of a text's difference, or places of a JSON value, that are told; of the others how many."""

MOST_COUNTED = 10_000
"""Places at which two JSON values differ."""

LONGEST = 200
"""Characters of a line or a value."""

CONTEXT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDifference:
    """Between two texts."""

    removed: int
    """Lines that only the old one has."""
    added: int
    """Lines that only the new one has."""
    lines: Sequence[str] = ()
    """As `diff -u` writes them, the first of them; none where there is too much to lay side by side."""
    more: int = 0
    """How many lines of that are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A place at which two values of JSON differ."""

    path: str
    """A JSON pointer; empty: the whole."""
    old: str | None
    """As JSON; None: there is nothing."""
    new: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonDifference:
    """Between two values of JSON."""

    changes: Sequence[Change]
    """The first of them."""
    more: int = 0
    """How many are left out."""
    uncounted: bool = False
    """Whether there are even more than that."""


# ── Text ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_texts(old: str, new: str) -> TextDifference:
    """What has to be done to the old one to get the new one. Line ends count for nothing."""
    before, after = old.splitlines(), new.splitlines()
    first = _common(before, after)
    last = _common(before[first:][::-1], after[first:][::-1])
    left, right = before[first : len(before) - last], after[first : len(after) - last]
    if max(len(left), len(right)) > MOST_LINES:
        return TextDifference(removed=len(left), added=len(right))
    # What both begin and end with is shown a little of, and not looked at.
    start, end = max(first - CONTEXT, 0), min(last, CONTEXT)
    left, right = before[start : len(before) - last + end], after[start : len(after) - last + end]
    lines = list(_placed(difflib.unified_diff(left, right, "old", "new", n=CONTEXT, lineterm=""), start))
    told = [_short(line) for line in lines[:MOST_TOLD]]
    return TextDifference(
        removed=sum(line.startswith("-") for line in lines[2:]),
        added=sum(line.startswith("+") for line in lines[2:]),
        lines=told,
        more=len(lines) - len(told),
    )


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines both begin with."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _placed(lines: Iterator[str], start: int) -> Iterator[str]:
    """With the numbers of lines in the headings as they are in the whole."""
    for line in lines:
        yield _heading(line, start) if start and line.startswith("@@ -") else line


def _heading(line: str, start: int) -> str:
    _, old, new, _ = line.split(" ")
    return f"@@ {_moved(old, start)} {_moved(new, start)} @@"


def _moved(part: str, start: int) -> str:
    number, comma, count = part[1:].partition(",")
    return f"{part[0]}{int(number) + start}{comma}{count}"


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_json(old: Any, new: Any) -> JsonDifference:
    """The places at which two values, as `json.loads` gives them, differ; of lists by their position."""
    found = list(islice(_changes(old, new), MOST_COUNTED + 1))
    told = found[:MOST_TOLD]
    return JsonDifference(
        changes=told, more=min(len(found), MOST_COUNTED) - len(told), uncounted=len(found) > MOST_COUNTED
    )


_NOTHING = object()


def _changes(old: Any, new: Any) -> Iterator[Change]:
    """Without recursion: what was nested deeply enough for the reader must not be too deep here."""
    left: list[tuple[str, Any, Any]] = [("", old, new)]
    while left:
        path, one, other = left.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            names = [*one, *(name for name in other if name not in one)]
            left += [
                (f"{path}/{_escaped(name)}", one.get(name, _NOTHING), other.get(name, _NOTHING))
                for name in reversed(names)
            ]
        elif isinstance(one, list) and isinstance(other, list):
            left += [
                (f"{path}/{at}", one[at] if at < len(one) else _NOTHING, other[at] if at < len(other) else _NOTHING)
                for at in reversed(range(max(len(one), len(other))))
            ]
        elif not _same(one, other):
            yield Change(path=_short(path), old=_written(one), new=_written(other))


def _same(one: Any, other: Any) -> bool:
    """As JSON means it: true is no number, and every NaN is one."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other) or (one != one and other != other)  # only NaN is not itself


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _written(value: Any) -> str | None:
    if value is _NOTHING:
        return None
    if isinstance(value, dict | list):
        # It stands for all of it, and may be large or deep: only how much it is.
        what = "an object of" if isinstance(value, dict) else "a list of"
        return f"{what} {len(value)}"
    return _short(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
