"""Rows of Parquet: what is read is what was written, of whatever type; what is broken breaks nothing."""

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.adapters.tables.given import Unreadable
from pupload.domain.tables import Kind
from tests.adapters.tables.asked import answer, cells

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

MOMENT = datetime(2026, 3, 3, 12, tzinfo=UTC)


def written(table: Any, **how: Any) -> bytes:
    made = io.BytesIO()
    pq.write_table(table, made, **how)
    return made.getvalue()


def of(name: str, values: list[Any], kind: Any = None) -> Any:
    return pa.table({name: pa.array(values, kind)})


@pytest.mark.parametrize(
    ("values", "kind", "shown"),
    [
        ([1, None], None, [1, None]),
        ([2**63], pa.uint64(), ["9223372036854775808"]),
        ([1.5, float("nan"), float("inf"), float("-inf")], None, [1.5, None, "Infinity", "-Infinity"]),
        ([True, None], None, [True, None]),
        (["Ä", ""], None, ["Ä", ""]),
        ([b"text", b"\xff\xfe"], None, ["text", "//4="]),
        ([Decimal("1.10"), None], None, ["1.10", None]),
        ([date(2026, 3, 3)], None, ["2026-03-03"]),
        ([MOMENT], pa.timestamp("ns", "Asia/Tokyo"), ["2026-03-03T12:00:00+00:00"]),
        ([MOMENT.replace(tzinfo=None)], pa.timestamp("s"), ["2026-03-03T12:00:00"]),
        ([1], pa.timestamp("ns"), ["1970-01-01T00:00:00"]),
        ([timedelta(seconds=90)], None, ["90 s"]),
        ([{"a": [1, None], "b": MOMENT}], None, [{"a": [1, None], "b": "2026-03-03T12:00:00+00:00"}]),
        ([[("k", 1)]], pa.map_(pa.string(), pa.int64()), [[["k", 1]]]),
        (["a", "b", "a"], pa.dictionary(pa.int8(), pa.string()), ["a", "b", "a"]),
        ([None, None], pa.null(), [None, None]),
    ],
    ids=str,
)
def test_values_of_every_type_are_json(values: list[Any], kind: Any, shown: list[Any]) -> None:
    assert cells(written(of("v", values, kind)), Kind.PARQUET) == (["v"], [[each] for each in shown])


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1) | st.none(), st.text(max_size=9) | st.none()), max_size=60))
def test_what_was_written_is_read_back(rows: list[tuple[int | None, str | None]]) -> None:
    table = pa.table(
        {"n": pa.array([n for n, _ in rows], pa.int64()), "t": pa.array([t for _, t in rows], pa.string())}
    )
    data = written(table, row_group_size=7)
    assert cells(data, Kind.PARQUET, rows=100) == (["n", "t"], [[n, t] for n, t in rows])
    assert answer(data, Kind.PARQUET, task="count")["rows"] == len(rows)
    told = answer(data, Kind.PARQUET, task="profile")
    assert [column["null_count"] for column in told["columns"]] == [
        sum(row[at] is None for row in rows) for at in (0, 1)
    ]


def test_a_table_of_which_only_the_beginning_and_the_end_are_at_hand() -> None:
    data = written(of("n", list(range(50_000))), row_group_size=10_000, compression="none", use_dictionary=False)
    tail = len(data) - 4096
    told = answer(data, Kind.PARQUET, head=len(data) // 2, tail=tail)
    assert [row["n"] for row in told["rows"]] == list(range(50))
    told = answer(data, Kind.PARQUET, task="profile", head=len(data) // 2, tail=tail)
    assert told["sampled"]
    assert 10_000 <= told["rows"] < 50_000
    assert answer(data, Kind.PARQUET, task="count", head=1, tail=tail)["rows"] == 50_000
    assert answer(data, Kind.PARQUET, head=1, tail=tail)["rows"] == []


def test_columns_of_one_name_and_without_have_names_of_their_own() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a", ""])
    assert cells(written(table), Kind.PARQUET) == (["a", "a_2", "column3"], [[1, 2, 3]])


def test_a_table_without_rows_has_columns() -> None:
    assert answer(written(of("a", [], pa.int64())), Kind.PARQUET)["columns"] == ["a"]


@given(st.data())
def test_damage_breaks_nothing(draw: st.DataObject) -> None:
    data = bytearray(DAMAGED)
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    end = draw.draw(st.sampled_from([len(data), len(data) - 9, len(data) // 2]))
    try:
        answer(bytes(data[:end]), Kind.PARQUET)
    except (Unreadable, MemoryError):
        return


DAMAGED = written(pa.table({"a": list(range(40)), "b": ["x" * number for number in range(40)]}), compression="snappy")


def test_a_server_that_lacks_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pupload.adapters.tables.parquet.pq", None)
    with pytest.raises(Unreadable, match=r"install pupload with its extra, pupload\[parquet\]"):
        answer(DAMAGED, Kind.PARQUET)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"a,b\n1,2\n", b"PAR1" + b"\xff" * 64 + b"PAR1"])
def test_what_is_no_parquet_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        answer(data, Kind.PARQUET)
