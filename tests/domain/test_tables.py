"""Files as tables: what is told of columns, what drifts, how values are shown."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import profiling, tables
from pupload.domain.profiling import Different, Scan
from pupload.domain.tables import Column, Kind, Profile, Severity


def told(values: list[Any], *, chunk: int = 3) -> Column:
    """What is told of a column of these values, which come a few at a time."""
    scan = Scan()
    for first in range(0, max(1, len(values)), chunk):
        some = values[first : first + chunk]
        scan.add([("a", some)], len(some))
    (column,) = scan.columns()
    return column


# ── Columns ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("values", "kind", "least", "most", "mean"),
    [
        (["10", "9", " -1.5e0 ", None], "number", "-1.5e0", "10", 17.5 / 3),
        ([1, 2.5, Decimal("3.50"), "4"], "number", "1", "4", 2.75),
        (["1e999", "1"], "number", "1", "1e999", None),
        ([10**400, 1], "number", "1", str(10**400)[:256] + "…", None),
        (["1", "x"], "string", "1", "x", None),
        (["1_000"], "string", "1_000", "1_000", None),
        (["nan", "inf"], "string", "inf", "nan", None),
        (["٣"], "string", "٣", "٣", None),
        ([""], "string", "", "", None),
        (["true", "False", True], "boolean", "False", "true", None),
        ([True, 1], "string", "1", "true", None),
        ([None, None], "null", None, None, None),
        ([], "null", None, None, None),
    ],
)
def test_the_type_of_a_column_is_that_of_all_its_values(
    values: list[Any], kind: str, least: str | None, most: str | None, mean: float | None
) -> None:
    column = told(values)
    assert (column.type, column.min_val, column.max_val) == (kind, least, most)
    assert column.mean_val == (None if mean is None else pytest.approx(mean))
    assert column.is_numeric == (kind == "number")


def test_shares_are_of_all_rows_and_of_the_values_that_are_there() -> None:
    column = told(["a", None, "b", "a", None, "c", "a"])
    assert (column.null_count, column.null_pct) == (2, 28.57)
    assert (column.unique_count, column.unique_pct) == (3, 60.0)
    assert column.samples == ("a", "b", "c")


def test_a_column_that_comes_late_or_goes_early_held_nothing_in_the_other_rows() -> None:
    scan = Scan()
    scan.add([("a", [1, 2])], 2)
    scan.add([("b", [3, None])], 2)
    assert [(one.name, one.null_count, one.null_pct) for one in scan.columns()] == [("a", 2, 50.0), ("b", 3, 75.0)]


@given(
    st.lists(st.none() | st.integers(-50, 50) | st.floats(allow_nan=False, width=32), max_size=40), st.integers(1, 9)
)
def test_numbers_are_told_as_they_are(values: list[int | float | None], chunk: int) -> None:
    column, there = told(values, chunk=chunk), [value for value in values if value is not None]
    assert column.null_count == values.count(None)
    assert column.unique_count == len({str(value) for value in there})
    if there and all(map(math.isfinite, there)):
        assert column.type == "number"
        assert float(column.min_val or "") == min(there)
        assert float(column.max_val or "") == max(there)
        assert column.mean_val == pytest.approx(
            math.fsum(there) / len(there), abs=1e-12 * (1 + math.fsum(map(abs, there)))
        )


@given(st.lists(st.none() | st.text(max_size=5), max_size=40), st.integers(1, 9))
def test_texts_are_told_as_they_are(values: list[str | None], chunk: int) -> None:
    column, there = told(values, chunk=chunk), [value for value in values if value is not None]
    assert column.unique_count == len(set(there))
    if column.type == "string":
        assert (column.min_val, column.max_val) == (min(there), max(there))
    assert column.samples == tuple(dict.fromkeys(there))[:3]


@pytest.mark.parametrize("count", [3000, 40_000])
def test_too_many_different_values_are_estimated(count: int) -> None:
    different = Different()
    for first in range(0, count, 500):
        different.add([f"value {number}" for number in range(first, first + 500)] * 2, 2000)
    assert different.estimated
    assert different.count() == pytest.approx(count, rel=0.1)


def test_a_column_says_whether_its_values_were_counted() -> None:
    scan = Scan()
    scan.add([("a", [str(number) for number in range(profiling.DIFFERENT_MOST + 1)])], profiling.DIFFERENT_MOST + 1)
    (column,) = scan.columns()
    assert column.unique_estimated
    assert 90 < column.unique_pct <= 100


def test_a_long_row_of_digits_costs_little() -> None:
    assert not profiling.is_number("9" * 1_000_000 + "x")
    assert not profiling.is_number(" " * 100_000 + "x")


# ── Drift ────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_column(name: str, kind: str = "string", null_pct: float = 0.0) -> Column:
    return Column(name=name, type=kind, null_count=0, null_pct=null_pct, unique_count=1, unique_pct=100.0)


def a_profile(*columns: Column) -> Profile:
    return Profile(kind=Kind.CSV, row_count=1, columns=columns)


def test_drift_tells_what_is_otherwise() -> None:
    before = a_profile(
        a_column("gone", "number"), a_column("same"), a_column("type", "number"), a_column("empty", "string", 0.0)
    )
    now = a_profile(
        a_column("new", "boolean"), a_column("same", null_pct=20.0), a_column("type"), a_column("empty", "null", 100.0)
    )
    found = tables.drift(now, before)
    assert [(one.column, one.type, one.previous, one.current, one.severity) for one in found] == [
        ("gone", "column_removed", "number", "", Severity.CRITICAL),
        ("new", "column_added", "", "boolean", Severity.WARNING),
        ("type", "type_changed", "number", "string", Severity.CRITICAL),
        ("empty", "null_spike", "0.00% null", "100.00% null", Severity.WARNING),
    ]
    assert not tables.drift(now, now)


def test_only_a_rise_by_more_than_twenty_points_is_a_spike() -> None:
    for share, expected in ((20.01, 1), (20.0, 0)):
        found = tables.drift(a_profile(a_column("a", null_pct=share + 5)), a_profile(a_column("a", null_pct=5.0)))
        assert len(found) == expected
    assert not tables.drift(a_profile(a_column("a", null_pct=0.0)), a_profile(a_column("a", null_pct=99.0)))


# ── Kinds ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content_type", "names", "promised", "kind"),
    [
        ("text/csv", (), (), Kind.CSV),
        ("text/csv", ("a.tsv",), (), Kind.TSV),
        ("text/csv", ("a.json",), (), Kind.CSV),
        ("text/csv", ("a.parquet",), (), Kind.CSV),
        ("application/json", ("a.txt",), ("text/csv",), Kind.CSV),
        ("text/plain", ("a.csv",), (), Kind.CSV),
        ("text/plain", ("a.txt",), ("text/csv",), Kind.CSV),
        ("text/plain", ("", "runs/a"), (), Kind.TEXT),
        ("text/plain", ("a.parquet",), (), Kind.TEXT),
        ("text/html", (), (), Kind.TEXT),
        ("application/json", (), (), Kind.JSON),
        ("application/geo+json", (), (), Kind.JSON),
        ("application/json", ("a.jsonl",), (), Kind.JSONL),
        ("application/x-ndjson", (), (), Kind.JSONL),
        ("application/vnd.apache.parquet", ("a.csv",), (), Kind.PARQUET),
        ("application/octet-stream", ("a.parquet",), (), Kind.PARQUET),
        ("application/octet-stream", ("a.csv",), (), Kind.CSV),
        ("application/octet-stream", (), (), None),
        ("image/png", ("a.csv",), ("text/csv",), None),
        ("application/x-empty", ("a.csv",), (), Kind.CSV),
        ("application/x-empty", (), (), Kind.TEXT),
        ("no type", (), (), None),
    ],
)
def test_how_a_file_is_read(
    content_type: str, names: tuple[str, ...], promised: tuple[str, ...], kind: Kind | None
) -> None:
    assert tables.kind_of(content_type, names=names, promised=promised) is kind


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(ANYTHING)
def test_whatever_a_value_is_it_is_shown_as_json(value: Any) -> None:
    shown = tables.shown(value, most=100)
    written = json.dumps(shown, allow_nan=False, ensure_ascii=False).encode()
    assert json.loads(written) == shown
    assert len(shown) <= 101 if isinstance(shown, str) else True


@given(st.lists(st.text(max_size=3)))
def test_every_column_gets_a_name_of_its_own(given_names: list[str]) -> None:
    names = tables.Names()
    found = [names.new(name) for name in given_names]
    assert len(set(found)) == len(found)
    assert all(found)


def test_ten_thousand_columns_of_one_name_take_no_time() -> None:
    names = tables.Names()
    assert len({names.new("a") for _ in range(10_000)}) == 10_000


def test_a_written_column_is_read_back() -> None:
    column = told(["a", None, "b"])
    assert tables.column_of({name: getattr(column, name) for name in Column.__slots__}) == column
    with pytest.raises((KeyError, ValueError)):
        tables.column_of(dict.fromkeys(Column.__slots__, "x"))
