"""
What can be told of the columns of a table, as its rows pass by: some at a time, column by column, and none is kept.

A value is null (None), a text, a number or a truth. A column is of numbers when every value in it can be read as one,
whether it was written so or as text; likewise of truths. How many different values it holds is counted exactly up to
a bound, and estimated beyond, from the smallest of their hashes: so a column of a thousand million rows takes no more
memory than one of some thousand.
"""

import hashlib
import heapq
import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import cast

from pupload.domain import tables
from pupload.domain.tables import Column

SAMPLES = 3
SAMPLE_CHARS = 256
"""Of the samples, the smallest and the largest value."""

DIFFERENT = 1_000_000
"""Values that are told apart exactly, in all columns together."""

DIFFERENT_LEAST, DIFFERENT_MOST = 100, 200_000
"""In one column, however many there are."""

KNOWN = 2000
"""Texts of a column that are known without asking for their hash."""

KEPT = 1024
"""Hashes that an estimate is made from: it is some 3 % off."""

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)
_NO_NUMBER = re.compile(r"[^0-9eE+\-.\s]", re.ASCII)
"""In no number. Where there is none of these, what Python reads as a number is one by `_NUMBER`, and no other."""

_TRUTHS = frozenset({"true", "false"})

Value = str | bool | int | float | Decimal | None


class Scan:
    """Rows that pass by, and what was seen of them."""

    def __init__(self) -> None:
        self.rows = 0
        self._columns: dict[str, _Seen] = {}

    def add(self, columns: Sequence[tuple[str, Sequence[Value]]], rows: int) -> None:
        """So many more rows; a column that has none of them held nothing, and neither one that was not there before."""
        bound = max(DIFFERENT_LEAST, min(DIFFERENT_MOST, DIFFERENT // max(1, len(columns))))
        for name, values in columns:
            if (seen := self._columns.get(name)) is None:
                seen = self._columns[name] = _Seen()
            seen.add([value for value in values if value is not None], bound)
        self.rows += rows

    def columns(self) -> tuple[Column, ...]:
        """What is told of each, in the order in which they came."""
        return tuple(seen.told(name, self.rows) for name, seen in self._columns.items())


def is_number(text: str) -> bool:
    """Whether the text reads as a number."""
    return _NUMBER.fullmatch(text) is not None


class _Seen:
    """What was seen of a column."""

    def __init__(self) -> None:
        self._there = 0
        self._numbers = self._truths = True
        self._least: str | None = None
        self._most: str | None = None
        self._smallest: tuple[float, str] | None = None
        self._largest: tuple[float, str] | None = None
        self._total = 0.0
        self._samples: dict[str, None] = {}
        self._different = Different()

    def add(self, values: list[Value], bound: int) -> None:
        """These are there, nulls left out."""
        if not values:
            return
        self._there += len(values)
        written = set(map(type, values)) == {str}
        texts = cast("list[str]", values) if written else [_text(value) for value in values]
        if self._numbers:
            sizes = _sizes_of_texts(texts) if written else _sizes(values)
            self._numbers = sizes is not None
            self._add_numbers(sizes or [], texts)
        if self._truths:
            self._truths = all(value is True or value is False or _is_truth(value) for value in values)
        if len(self._samples) < SAMPLES:
            for text in texts:
                self._samples.setdefault(text[:SAMPLE_CHARS])
                if len(self._samples) == SAMPLES:
                    break
        least, most = min(texts), max(texts)
        self._least = least if self._least is None else min(self._least, least)
        self._most = most if self._most is None else max(self._most, most)
        self._different.add(texts, bound)

    def _add_numbers(self, sizes: list[float], texts: list[str]) -> None:
        if not sizes:
            return
        smallest, largest = ((found, texts[sizes.index(found)]) for found in (min(sizes), max(sizes)))
        self._smallest = smallest if self._smallest is None else min(self._smallest, smallest)
        self._largest = largest if self._largest is None else max(self._largest, largest)
        self._total += _sum(sizes)

    def told(self, name: str, rows: int) -> Column:
        """The column, of so many rows."""
        kind = self._type()
        nulls = max(0, rows - self._there)
        unique = min(self._there, self._different.count())
        numeric = kind == "number" and self._smallest is not None and self._largest is not None
        least = self._smallest[1] if numeric and self._smallest else self._least
        most = self._largest[1] if numeric and self._largest else self._most
        mean = self._total / self._there if numeric and math.isfinite(self._total) else None
        return Column(
            name=name,
            type=kind,
            null_count=nulls,
            null_pct=_share(nulls, rows),
            unique_count=unique,
            unique_pct=_share(unique, self._there),
            min_val=None if least is None else tables.cut(least.strip() if numeric else least, SAMPLE_CHARS),
            max_val=None if most is None else tables.cut(most.strip() if numeric else most, SAMPLE_CHARS),
            mean_val=mean,
            samples=tuple(self._samples),
            unique_estimated=self._different.estimated,
        )

    def _type(self) -> str:
        if not self._there:
            return "null"
        if self._truths:
            return "boolean"
        return "number" if self._numbers else "string"


class Different:
    """Counts different texts: exactly, until there are too many."""

    def __init__(self) -> None:
        self.estimated = False
        self._known = set[str]()
        """The first that came: they come again where there are few."""
        self._seen = set[bytes]()
        self._bound = b""
        """No hash above it is kept, once there are too many."""

    def add(self, texts: Iterable[str], most: int) -> None:
        """These as well; more than `most` are estimated from now on."""
        fresh = set(texts) - self._known
        if len(self._known) < KNOWN and fresh:
            self._known |= {text for text in fresh if len(text) <= SAMPLE_CHARS}
        new = {_hash(text) for text in fresh}
        self._seen |= {one for one in new if one <= self._bound} if self.estimated else new
        if len(self._seen) > (2 * min(most, KEPT) if self.estimated else most):
            self.estimated = True
            self._seen = set(heapq.nsmallest(min(most, KEPT), self._seen))
            self._bound = max(self._seen)

    def count(self) -> int:
        """How many there are, or seem to be."""
        if not self.estimated:
            return len(self._seen)
        kept = heapq.nsmallest(min(KEPT, len(self._seen)), self._seen)
        share = (int.from_bytes(kept[-1], "big") + 1) / 2**64
        return max(len(self._seen), round((len(kept) - 1) / share))


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _sizes_of_texts(texts: list[str]) -> list[float] | None:
    """As numbers; None where one is none. All are looked at in one go."""
    if _NO_NUMBER.search("".join(texts)):
        return None
    try:
        return list(map(float, texts))
    except ValueError:
        return None


def _sizes(values: list[Value]) -> list[float] | None:
    if not all(is_number(value) if isinstance(value, str) else not isinstance(value, bool) for value in values):
        return None
    return [_size(value) for value in values]


def _is_truth(value: Value) -> bool:
    return isinstance(value, str) and len(value) <= 5 and value.lower() in _TRUTHS


def _size(value: Value) -> float:
    try:
        return float(value or 0)
    except OverflowError:  # a whole number beyond what is counted
        return math.inf if isinstance(value, int) and value > 0 else -math.inf


def _sum(sizes: list[float]) -> float:
    try:
        return math.fsum(sizes)
    except (OverflowError, ValueError):
        return math.inf


def _share(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
