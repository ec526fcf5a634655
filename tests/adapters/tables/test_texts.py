"""Rows of text: what is read is what was written, and what is broken breaks nothing."""

import codecs
import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.adapters.tables.given import Unreadable
from pupload.domain.tables import Kind
from tests.adapters.tables.asked import answer, cells

TABLE = [["id", "name"], ["1", "Ä"], ["2", "ß"]]


def written(rows: list[list[str]], *, delimiter: str = ",", quoting: Any = csv.QUOTE_MINIMAL) -> str:
    made = io.StringIO(newline="")
    csv.writer(made, delimiter=delimiter, quoting=quoting).writerows(rows)
    return made.getvalue()


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_is_read_in_any_usual_writing(encoding: str, delimiter: str) -> None:
    data = written(TABLE, delimiter=delimiter).encode(encoding)
    assert cells(data, Kind.CSV) == (TABLE[0], TABLE[1:])


def test_the_header_is_told_from_the_data() -> None:
    assert cells(b"1,a\n2,b\n", Kind.CSV) == (["column1", "column2"], [["1", "a"], ["2", "b"]])
    assert cells(b"id,\n2,b\n", Kind.CSV) == (["id", "column2"], [["2", "b"]])
    assert cells(b",\n2,b\n", Kind.CSV) == (["column1", "column2"], [["", ""], ["2", "b"]])


def test_every_column_has_a_name_of_its_own() -> None:
    columns, rows = cells(b"a,a,,a_2,a\n1,2,3,4,5\n", Kind.CSV)
    assert columns == ["a", "a_2", "column3", "a_2_2", "a_3"]
    assert rows == [["1", "2", "3", "4", "5"]]


def test_rows_of_other_widths_are_kept_whole() -> None:
    columns, rows = cells(b"a,b\n1\n1,2,3,4\n\n1,2\n", Kind.CSV)
    assert columns == ["a", "b", "column3", "column4"]
    assert rows == [["1", None, None, None], ["1", "2", "3", "4"], ["1", "2", None, None]]


def test_quotation_marks_hold_lines_and_delimiters() -> None:
    assert cells(b'a,b\n"x\ny, ""z""",2\n', Kind.CSV) == (["a", "b"], [['x\ny, "z"', "2"]])


def test_a_quotation_mark_that_is_never_closed_is_a_letter() -> None:
    data = b'a,b\n"x,2\n' + b"1,2\n" * 100_000
    _, rows = cells(data, Kind.CSV)
    assert rows[:2] == [['"x', "2"], ["1", "2"]]
    assert answer(data, Kind.CSV, task="count")["rows"] == 100_001


def test_a_field_without_an_end_is_no_table() -> None:
    for task in ("preview", "profile", "count"):
        with pytest.raises(Unreadable, match="it is no CSV: field larger than"):
            answer(b"x" * (1 << 20), Kind.CSV, task=task)


@pytest.mark.parametrize("cut", range(8, 24))
def test_a_row_that_is_cut_is_not_shown(cut: int) -> None:
    data = b'a,b\n1,2\n"x\ny",4\n5,66\n'
    told = answer(data, Kind.CSV, head=cut)
    whole = [{"a": "1", "b": "2"}, {"a": "x\ny", "b": "4"}, {"a": "5", "b": "66"}]
    assert told["rows"] == whole[: len(told["rows"])]
    assert told["truncated"] == (cut < len(data))
    assert len(told["rows"]) == (3 if cut >= len(data) else 2 if cut > 16 else 1 if cut > 8 else 0)


def test_ten_thousand_columns_and_more() -> None:
    data = ",".join(["name"] * 10_500).encode() + b"\n" + b"\n".join([b",".join([b"1"] * 10_500)] * 60)
    told = answer(data, Kind.CSV)
    assert len(told["columns"]) == len(set(told["columns"])) == 10_000
    assert told["rows"]
    assert told["truncated"]
    assert len(answer(data, Kind.CSV, task="profile")["columns"]) == 10_000


def test_long_cells_are_cut_and_many_of_them_are_fewer_rows() -> None:
    told = answer(written([["a"], *[["x" * 100_000]] * 3]).encode(), Kind.CSV)
    assert [len(row["a"]) for row in told["rows"]] == [4097] * 3
    wide = written([[f"c{number}" for number in range(1000)], *[["y" * 5000] * 1000] * 5]).encode()
    assert 0 < len(answer(wide, Kind.CSV)["rows"]) < 5


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,b\n", b"a\n"])
def test_a_table_without_rows_is_one(data: bytes) -> None:
    told = answer(data, Kind.CSV)
    assert (told["rows"], told["truncated"]) == ([], False)
    assert answer(data, Kind.CSV, task="profile")["rows"] == 0


@pytest.mark.parametrize("kind", [Kind.CSV, Kind.TSV, Kind.JSON, Kind.JSONL, Kind.TEXT])
@pytest.mark.parametrize("data", [b"a,b\0\n1,2\n", b"\x89PNG\r\n\x1a\n\0\0", bytes(range(256)), b"PK\x03\x04" * 9])
def test_bytes_are_no_text(kind: Kind, data: bytes) -> None:
    with pytest.raises(Unreadable):
        answer(data, kind)


PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters=";\t|"), max_size=20)


@given(
    st.integers(2, 5).flatmap(
        lambda width: st.lists(st.lists(PLAIN | st.just('a "b"\r\nc,d'), min_size=width, max_size=width), min_size=1)
    )
)
def test_what_was_written_is_read_back(rows: list[list[str]]) -> None:
    names = [f"name {place}" for place in range(len(rows[0]))]
    data = written([names, *rows]).encode()
    columns, read = cells(data, Kind.CSV, rows=1000)
    assert columns == names
    assert read == rows
    assert answer(data, Kind.CSV, task="count")["rows"] == len(rows)


@given(
    st.binary(max_size=300), st.sampled_from([kind for kind in Kind if kind is not Kind.PARQUET]), st.integers(0, 300)
)
def test_no_bytes_break_it(data: bytes, kind: Kind, head: int) -> None:
    for task in ("preview", "profile", "count"):
        try:
            json.dumps(answer(data, kind, task=task, head=min(head, len(data)))).encode()
        except Unreadable:
            continue


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=5,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, min_size=1), min_size=1, max_size=9)


@given(ROWS, st.sampled_from([Kind.JSON, Kind.JSONL]), st.sampled_from([None, 2]))
def test_objects_are_read_back(rows: list[dict[str, Any]], kind: Kind, indent: int | None) -> None:
    text = json.dumps(rows, indent=indent) if kind is Kind.JSON else "".join(json.dumps(row) + "\n" for row in rows)
    told = answer(text.encode(), kind)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    assert told["columns"] == columns
    assert told["rows"] == [{name: _told(row.get(name)) for name in columns} for row in rows]


def _told(value: Any) -> Any:
    """As it is shown: whole numbers beyond 64 bits are texts."""
    if isinstance(value, dict):
        return {name: _told(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_told(each) for each in value]
    large = isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63
    return str(value) if large else value


@pytest.mark.parametrize("cut", range(1, 40))
def test_an_object_that_is_cut_is_not_shown(cut: int) -> None:
    rows = [{"a": 1}, {"a": "}{"}, {"a": [2, 3]}]
    for kind, text in ((Kind.JSON, json.dumps(rows)), (Kind.JSONL, "\n".join(map(json.dumps, rows)))):
        told = answer(text.encode(), kind, head=min(cut, len(text)))
        if told["kind"] == kind:
            assert told["rows"] == rows[: len(told["rows"])]
        else:
            assert not told["rows"]


def test_what_json_does_not_know_is_text_or_nothing() -> None:
    data = b'[{"a": NaN, "b": Infinity, "c": 1e999, "d": "\\ud800", "e": ' + b"9" * 5000 + b"}]"
    (row,) = answer(data, Kind.JSON)["rows"]
    assert row == {"a": None, "b": "Infinity", "c": "Infinity", "d": "?", "e": "9" * 4096 + "…"}


def test_what_stands_among_objects_and_is_none_has_a_column() -> None:
    told = answer(b'{"a": 1}\n\n[2]\nrubbish\n', Kind.JSONL)
    assert [row["value"] for row in told["rows"]] == [None, [2], "rubbish"]


@pytest.mark.parametrize("data", [b'{"a": 1,\n "b": 2}', b"[1, 2]", b"rubbish", b"[" * 100_000, b'[["a"]]'])
def test_json_that_is_no_table_is_plain_text(data: bytes) -> None:
    told = answer(data, Kind.JSON)
    assert (told["kind"], told["columns"]) == (Kind.TEXT, ["line"])


def test_an_empty_array_is_a_table_without_rows() -> None:
    assert answer(b" [ ]\n", Kind.JSON) == {"kind": Kind.JSON, "columns": [], "rows": [], "truncated": False}


def test_deep_values_are_cut() -> None:
    data = b'[{"a": ' + b"[" * 500 + b"]" * 500 + b"}]"
    (row,) = answer(data, Kind.JSON)["rows"]
    assert "…" in json.dumps(row, ensure_ascii=False)


def test_a_large_array_is_read_piece_by_piece() -> None:
    data = json.dumps([{"n": number, "t": "x" * 50} for number in range(60_000)]).encode()
    assert len(data) > 4 << 20
    assert answer(data, Kind.JSON, task="count") == {"kind": Kind.JSON, "rows": 60_000, "sampled": False}
    assert answer(data, Kind.JSON, task="count", head=len(data) - 1)["sampled"]


# ── Lines ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_plain_text_is_lines() -> None:
    told = answer(codecs.BOM_UTF8 + b"one\r\ntwo\n\nlast", Kind.TEXT)
    assert [row["line"] for row in told["rows"]] == ["one", "two", "", "last"]
    told = answer(b"one\ntwo\nlast", Kind.TEXT, head=10)
    assert [row["line"] for row in told["rows"]] == ["one", "two"]
    assert told["truncated"]
    assert answer(b"one\ntwo\nlast", Kind.TEXT, rows=2)["truncated"]
