"""
Files as tables: what of a file is shown, what is told of its columns, and what is otherwise than in an earlier run.

Values are JSON's. What the file's own format knows and JSON does not is written as text: dates as ISO 8601, decimals
and whole numbers beyond 64 bits digit by digit, bytes as text where they are any and as Base64 where not, and infinity
as `Infinity`. What is not a number (NaN) is a value that is missing: null.
"""

import base64
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pupload.domain import mime

MOST_COLUMNS = 10_000
"""What a table has beyond is not read."""

NAME_CHARS = 256
CELL_CHARS = 4096
"""What is longer is shown cut, with an ellipsis at its end."""

_DEPTH = 32
"""Lists in lists beyond are shown as an ellipsis."""

_WHOLE = 2**63
"""JSON's readers agree on whole numbers up to there."""

CUT = "…"


class Kind(StrEnum):
    """How rows are read from a file."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"
    TEXT = "text"
    """No table: a row for each line, with one column, `line`."""

    @property
    def tabular(self) -> bool:
        """Whether the file was meant as a table."""
        return self is not Kind.TEXT


LINE = "line"
"""The column of plain text."""

TYPES = ("number", "boolean", "string", "null")

VALUE = "value"
"""The column of what stands among JSON objects and is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The first rows of a file."""

    kind: Kind
    columns: tuple[str, ...]
    """In the file's order, each name once."""
    rows: tuple[Mapping[str, Any], ...]
    """Values by column, every column in each."""
    truncated: bool
    """Whether the file holds more rows than these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What is told of a column."""

    name: str
    type: str
    """`number`, `boolean`, `string`; `null` where it holds nothing."""
    null_count: int
    null_pct: float
    """Of all rows, 0 to 100, with two decimals."""
    unique_count: int
    unique_pct: float
    """Of the values that are there."""
    min_val: str | None = None
    max_val: str | None = None
    """As texts: of numbers by their size, of all else by the alphabet. None where there is no value."""
    mean_val: float | None = None
    """Of numbers; None where they have none that could be told."""
    samples: tuple[str, ...] = ()
    """At most three different values, the first that come."""
    unique_estimated: bool = False
    """Whether there are so many different values that their number is an estimate."""

    @property
    def is_numeric(self) -> bool:
        """Whether it holds numbers."""
        return self.type == "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is told of a table."""

    kind: Kind
    row_count: int
    """Of the rows that were read, where `sampled`."""
    columns: tuple[Column, ...]
    sampled: bool = False
    """Whether only the beginning was read, for the file is too large."""
    profiling_ms: int = 0


def column_of(told: Mapping[str, Any]) -> Column:
    """The column that is written so, field by field. Raises KeyError, TypeError, ValueError."""
    mean = told["mean_val"]
    texts = {name: None if told[name] is None else clean(str(told[name])) for name in ("min_val", "max_val")}
    return Column(
        name=clean(str(told["name"])),
        type=TYPES[TYPES.index(told["type"])],
        null_count=int(told["null_count"]),
        null_pct=float(told["null_pct"]),
        unique_count=int(told["unique_count"]),
        unique_pct=float(told["unique_pct"]),
        mean_val=float(mean) if isinstance(mean, int | float) and math.isfinite(mean) else None,
        samples=tuple(clean(str(each)) for each in told["samples"]),
        unique_estimated=bool(told["unique_estimated"]),
        **texts,
    )


class Severity(StrEnum):
    """How much a difference matters."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Something about a column that was otherwise in an earlier run."""

    column: str
    type: str
    """`column_removed`, `column_added`, `type_changed`, `null_spike`."""
    previous: str
    current: str
    severity: Severity


NULL_SPIKE = 20.0
"""By more points than this the share of nulls must rise to be told."""


def drift(now: Profile, before: Profile) -> tuple[Drift, ...]:
    """What is otherwise `now`: columns that are gone first, then in the order of columns as they are."""
    had, has = ({column.name: column for column in profile.columns} for profile in (before, now))
    found = [
        _drift(one, "column_removed", one.type, "", Severity.CRITICAL) for one in had.values() if one.name not in has
    ]
    for one in has.values():
        old = had.get(one.name)
        if old is None:
            found.append(_drift(one, "column_added", "", one.type, Severity.WARNING))
            continue
        # A column without any value has no type that it could have changed.
        if one.type != old.type and "null" not in (one.type, old.type):
            found.append(_drift(one, "type_changed", old.type, one.type, Severity.CRITICAL))
        if round(one.null_pct - old.null_pct, 2) > NULL_SPIKE:
            was, is_now = f"{old.null_pct:.2f}% null", f"{one.null_pct:.2f}% null"
            found.append(_drift(one, "null_spike", was, is_now, Severity.WARNING))
    return tuple(found)


def _drift(column: Column, kind: str, previous: str, current: str, severity: Severity) -> Drift:
    return Drift(column=column.name, type=kind, previous=previous, current=current, severity=severity)


# ── What kind of table a file is ─────────────────────────────────────────────────────────────────────────────────

_BY_TYPE = {
    "text/csv": Kind.CSV,
    "text/tab-separated-values": Kind.TSV,
    "application/x-ndjson": Kind.JSONL,
    "application/json": Kind.JSON,
    "application/vnd.apache.parquet": Kind.PARQUET,
}
_KIN = ({Kind.CSV, Kind.TSV}, {Kind.JSON, Kind.JSONL})
_BY_ENDING = {
    "csv": Kind.CSV,
    "tsv": Kind.TSV,
    "tab": Kind.TSV,
    "jsonl": Kind.JSONL,
    "ndjson": Kind.JSONL,
    "json": Kind.JSON,
    "parquet": Kind.PARQUET,
}


def kind_of(content_type: str, *, names: Iterable[str] = (), promised: Iterable[str] = ()) -> Kind | None:
    """
    How a file is read whose bytes look so, that has these names and was promised to be one of these types.

    Bytes tell little of text: there the promise counts, and then the name. What they do tell no name gainsays, but that
    of a near kin. None where it holds no rows.
    """
    told = mime.normalised(content_type) or mime.UNKNOWN
    promise = next(filter(None, map(_by_type, promised)), None)
    hint = promise or next(filter(None, (_BY_ENDING.get(_ending(name)) for name in names)), None)
    if told in (mime.UNKNOWN, mime.EMPTY):
        # Text in UTF-16 looks like anything; whether it is a table is seen when it is read.
        return hint or (Kind.TEXT if told == mime.EMPTY else None)
    if (found := _by_type(told)) is not None:
        if hint is None or Kind.PARQUET in (hint, found):
            return found
        return hint if hint is promise or {hint, found} in _KIN else found
    if not mime.readable(told):
        return None
    return hint if hint is not None and hint is not Kind.PARQUET else Kind.TEXT


def _by_type(content_type: str) -> Kind | None:
    told = mime.normalised(content_type)
    if told is None:
        return None
    return _BY_TYPE.get(told) or (Kind.JSON if told.endswith("+json") else None)


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower()


# ── Names of columns ─────────────────────────────────────────────────────────────────────────────────────────────


class Names:
    """A name of its own for each column: one without is told by its place, one that was there already is numbered."""

    def __init__(self) -> None:
        self._taken = set[str]()
        self._numbers = dict[str, int]()

    def new(self, given: str) -> str:
        """For the next column."""
        plain = clean(given).strip()[:NAME_CHARS] or f"column{len(self._taken) + 1}"
        name = plain
        while name in self._taken:
            number = self._numbers.get(plain, 1) + 1
            self._numbers[plain] = number
            name = f"{plain}_{number}"
        self._taken.add(name)
        return name


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────


def clean(text: str) -> str:
    """The text as it can be written in UTF-8: halves of characters are question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def plain(value: Any, *, depth: int = 0) -> Any:
    """The value as JSON's, nothing of it cut."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int):
        return value if -_WHOLE <= value < _WHOLE else _digits(value)
    if isinstance(value, float):
        return _of_float(value)
    if isinstance(value, Mapping):
        if depth >= _DEPTH:
            return CUT
        return {clean(str(key)): plain(each, depth=depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return CUT if depth >= _DEPTH else [plain(each, depth=depth + 1) for each in value]
    return _text(value)


def _of_float(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # longer than Python writes
        return hex(value)


def _text(value: Any) -> str | None:
    """What JSON has no type for."""
    if isinstance(value, Decimal):
        return None if value.is_nan() else f"{value:f}" if value.is_finite() else f"{value}"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    return clean(str(value))


def shown(value: Any, *, most: int = CELL_CHARS) -> Any:
    """The value as JSON's, cut where it is long: lists and objects become text then."""
    found = plain(value)
    if isinstance(found, dict | list):
        text = compact(found)
        return found if len(text) <= most else cut(text, most)
    return cut(found, most) if isinstance(found, str) else found


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def cut(text: str, most: int) -> str:
    """The text, with an ellipsis for what is beyond."""
    return text if len(text) <= most else text[:most] + CUT
