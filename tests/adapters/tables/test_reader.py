"""Files read as tables in a process of their own, which can do nothing else."""

import asyncio
import os
from pathlib import Path

import pytest

from pupload import errors
from pupload.adapters.tables.reader import TableReader
from pupload.domain.tables import Kind
from tests.adapters.tables.asked import a_file
from tests.adapters.tables.test_parquet import of, pa, written

CSV = b"id,name\n1,a\n2,b\n3,\n"


async def test_a_table_is_shown_profiled_and_counted(tmp_path: Path) -> None:
    reader, file = TableReader(), a_file(tmp_path, CSV, Kind.CSV)
    table = await reader.preview(file, rows=2)
    assert (table.kind, table.columns, table.truncated) == (Kind.CSV, ("id", "name"), True)
    assert table.rows == ({"id": "1", "name": "a"}, {"id": "2", "name": "b"})
    profile = await reader.profile(file)
    assert (profile.row_count, profile.sampled) == (3, False)
    assert [(one.name, one.type, one.null_pct, one.is_numeric) for one in profile.columns] == [
        ("id", "number", 0.0, True),
        ("name", "string", 33.33, False),
    ]
    assert await reader.count(file) == 3


async def test_parquet_is_read_without_opening_anything(tmp_path: Path) -> None:
    values = [f"word {number % 7}" for number in range(5000)]
    for compression in ("snappy", "gzip", "zstd", "brotli", "lz4", "none"):
        file = a_file(tmp_path, written(of("a", values), compression=compression), Kind.PARQUET)
        profile = await TableReader().profile(file)
        assert (profile.row_count, profile.columns[0].unique_count) == (5000, 7)


async def test_plain_text_is_shown_and_has_no_rows_to_count(tmp_path: Path) -> None:
    file = a_file(tmp_path, b"one\ntwo\n", Kind.TEXT)
    assert [row["line"] for row in (await TableReader().preview(file, rows=5)).rows] == ["one", "two"]
    assert await TableReader().count(file) is None


async def test_bytes_have_no_preview(tmp_path: Path) -> None:
    with pytest.raises(errors.NoPreview, match="it is no text"):
        await TableReader().preview(a_file(tmp_path, bytes(99), Kind.CSV), rows=5)


@pytest.mark.parametrize("how", ["crash", "swell", "open", "connect", "write", "fork"])
async def test_what_a_file_may_make_of_the_program_hurts_nobody(tmp_path: Path, how: str) -> None:
    before = _left()
    with pytest.raises(errors.NoPreview, match=r"breaks down|more than it may have"):
        await TableReader(misbehave=how).preview(a_file(tmp_path, CSV, Kind.CSV), rows=5)
    assert _left() <= before


def _left() -> set[str]:
    return {path.name for path in Path("/tmp").glob("pupload-*")}


async def test_a_bomb_takes_no_more_than_it_may(tmp_path: Path) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 500_000, pa.int32()), pa.array(["x" * (1 << 20)]))
    data = written(pa.table({"a": words}), compression="zstd")
    assert len(data) < 100_000
    file = a_file(tmp_path, data, Kind.PARQUET)
    with pytest.raises(errors.NoPreview, match="takes more than it may have"):
        await TableReader().profile(file)
    assert await TableReader().count(file) == 500_000


async def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(errors.NoPreview, match=r"takes longer than 0\.1 seconds"):
        await TableReader(misbehave="hang", seconds=0.1).preview(a_file(tmp_path, CSV, Kind.CSV), rows=5)


async def test_who_waits_no_more_leaves_no_program_behind(tmp_path: Path) -> None:
    reader, before = TableReader(misbehave="hang", seconds=60), _children()
    asked = asyncio.create_task(reader.preview(a_file(tmp_path, CSV, Kind.CSV), rows=5))
    begun = await asyncio.to_thread(_new_child, before)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert not begun & _children()


def _new_child(before: set[str]) -> set[str]:
    while not (found := _children() - before):
        pass
    return found


def _children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    file = a_file(tmp_path, CSV, Kind.CSV)
    file.path.unlink()
    file.path.symlink_to("/etc/passwd")
    with pytest.raises(errors.InspectorUnavailable):
        await TableReader().preview(file, rows=5)
