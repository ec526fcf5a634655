"""What is asked of a file: its first rows, what is told of its columns, how many rows it has."""

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pupload.adapters.tables import cutting, texts
from pupload.adapters.tables.given import Budget, Given, Rows
from pupload.domain import profiling, tables
from pupload.domain.tables import Kind

if TYPE_CHECKING:
    from pupload.adapters.tables.parquet import Parquet

ANSWER_CHARS = 8 * 1024 * 1024
"""Of the rows shown, names included; fewer are shown where they are longer. The first is, whatever it takes."""

LEAST_CELL_CHARS = 64
"""Of a cell, however many columns there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked."""

    task: str
    """`preview`, `profile`, `count`, `cut`."""
    kind: Kind
    size: int
    """Of the whole file."""
    limit: int
    """So many bytes of its beginning are at hand."""
    tail: int
    """From here on they are as well."""
    rows: int
    seconds: float


def answer(descriptor: int, order: Order) -> dict[str, Any]:
    """What is asked of the file. Raises `Unreadable`, MemoryError."""
    file = Given(descriptor, size=order.size, limit=order.limit, tail=order.tail)
    budget = Budget(bytes=order.limit, until=time.monotonic() + order.seconds)
    read = _Source(file, order.kind)
    if order.task == "cut":
        cut = read.parquet.cut(order.rows) if read.parquet else cutting.cut(file, read.kind, order.rows)
        return {"data": None if cut is None else base64.b64encode(cut).decode()}
    if order.task == "preview":
        return _preview(read, order.rows)
    if order.task == "count":
        return _count(read, budget)
    return _profile(read, budget)


class _Source:
    """A file of some kind."""

    def __init__(self, file: Given, kind: Kind) -> None:
        self.file = file
        self.parquet: Parquet | None = None
        if kind is Kind.PARQUET:
            from pupload.adapters.tables import parquet  # noqa: PLC0415 - a large library, for these alone

            self.parquet = parquet.Parquet(file)
        self.kind = kind if self.parquet else texts.kind_found(file, kind)

    @property
    def whole(self) -> bool:
        """Whether all rows are at hand."""
        return self.parquet.whole if self.parquet else self.file.whole

    def chunks(self, rows: int | None = None) -> Iterator[Rows]:
        """The rows, so many in a chunk."""
        return self.parquet.chunks(rows=rows) if self.parquet else texts.chunks(self.file, self.kind, rows=rows)


def _preview(source: _Source, rows: int) -> dict[str, Any]:
    # One more than is shown, to see whether there are more.
    found = next(source.chunks(rows + 1), Rows(columns=[], count=0))
    columns = [name for name, _ in found.columns] or ([tables.LINE] if source.kind is Kind.TEXT else [])
    most = max(LEAST_CELL_CHARS, min(tables.CELL_CHARS, ANSWER_CHARS // 2 // max(1, len(columns))))
    shown, chars = list[dict[str, Any]](), 0
    names = sum(len(name) + 4 for name in columns)
    for place in range(min(rows, found.count)):
        row = {name: tables.shown(values[place], most=most) for name, values in found.columns}
        chars += names + sum(len(tables.compact(value)) for value in row.values())
        if chars > ANSWER_CHARS and shown:
            break
        shown.append(row)
    truncated = len(shown) < found.count or not source.whole
    return {"kind": source.kind, "columns": columns, "rows": shown, "truncated": truncated}


def _profile(source: _Source, budget: Budget) -> dict[str, Any]:
    scan, started, sampled = profiling.Scan(), time.monotonic(), not source.whole
    read = 0
    for chunk in source.chunks():
        scan.add([(name, _told(values, source.kind)) for name, values in chunk.columns], chunk.count)
        read += chunk.count
        if time.monotonic() > budget.until:
            sampled = sampled or source.parquet is None or read < source.parquet.rows
            break
    columns = [{name: getattr(column, name) for name in tables.Column.__slots__} for column in scan.columns()]
    took = round((time.monotonic() - started) * 1000)
    return {"kind": source.kind, "rows": scan.rows, "columns": columns, "sampled": sampled, "ms": took}


def _told(values: list[Any], kind: Kind) -> list[profiling.Value]:
    """As they count: nothing at all is null in text that has no word for it."""
    if kind in (Kind.CSV, Kind.TSV):
        return [value or None for value in values]
    if kind is Kind.TEXT:
        return values
    return [_plain(value) for value in values]


def _plain(value: Any) -> profiling.Value:
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return value
    found = tables.plain(value)
    return tables.compact(found) if isinstance(found, dict | list) else found


def _count(source: _Source, budget: Budget) -> dict[str, Any]:
    if source.parquet:
        return {"kind": source.kind, "rows": source.parquet.rows, "sampled": False}
    rows = 0
    for count in texts.counts(source.file, source.kind):
        rows += count
        if time.monotonic() > budget.until:
            return {"kind": source.kind, "rows": rows, "sampled": True}
    return {"kind": source.kind, "rows": rows, "sampled": not source.whole}
