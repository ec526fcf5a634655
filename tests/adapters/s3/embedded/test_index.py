"""
The index: commits are grouped, and nobody pays for another's mistake. And what is read is not unlinked.
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from pupload.adapters.s3.embedded import rows
from pupload.adapters.s3.embedded.index import Change, Index
from pupload.adapters.s3.embedded.pins import Pins
from pupload.adapters.s3.embedded.refusals import Refusal


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    opened = Index(tmp_path / "index.sqlite", settle=lambda change: None)
    yield opened
    await opened.close()


def adding(number: int) -> Callable[[Change], None]:
    def add(change: Change) -> None:
        rows.add_bucket(change, f"b{number}", now_ms=0)

    return add


async def test_who_refuses_takes_no_other_with_it(index: Index) -> None:
    """All of them wait while the first is at work, so they are committed as one group."""
    gate = threading.Event()

    def first(change: Change) -> None:
        gate.wait()

    def refuse(change: Change) -> None:
        rows.add_bucket(change, "undone", now_ms=0)
        raise Refusal("AccessDenied")

    def fail(change: Change) -> None:
        rows.add_bucket(change, "undone", now_ms=0)
        change.db.execute("INSERT INTO buckets (name, created_ms) VALUES ('undone', 0)")

    tasks = [asyncio.create_task(index.write(work)) for work in (first, *map(adding, range(10)))]
    wrong = [asyncio.create_task(index.write(work)) for work in (refuse, fail)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    refused, failed = await asyncio.gather(*wrong, return_exceptions=True)
    assert isinstance(refused, Refusal)
    assert isinstance(failed, sqlite3.IntegrityError)
    assert len(await index.read(rows.all_buckets)) == 10


async def test_waiting_writes_share_commits(tmp_path: Path) -> None:
    gate = threading.Event()
    statements: list[str] = []
    index = Index(tmp_path / "index.sqlite", settle=lambda change: None)
    try:
        await index.write(lambda change: change.db.set_trace_callback(statements.append))
        blocked = asyncio.create_task(index.write(lambda change: gate.wait()))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(index.write(adding(number))) for number in range(64)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(blocked, *waiting)
        # That of the tracing itself, that of the blocked one, and one or two for all that waited.
        assert 2 <= statements.count("COMMIT") <= 4
    finally:
        await index.close()


async def test_a_closed_index_takes_nothing_more(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.sqlite", settle=lambda change: None)
    await index.close()
    with pytest.raises(Refusal, match="ServiceUnavailable"):
        await index.write(lambda change: None)


# ── Pins ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def stored(*blobs: str) -> rows.StoredObject:
    extents = [rows.Extent(blob, 1) for blob in blobs]
    return rows.StoredObject(
        bucket="b", key="k", size=1, etag="", modified_ms=0, sha256=None, headers={}, extents=extents
    )


async def test_what_is_read_is_unlinked_when_its_last_reader_is_done() -> None:
    removed: list[Sequence[str]] = []
    pins = Pins(removed.append)

    async def look() -> rows.StoredObject:
        return stored("a")

    async with pins.hold(look):
        async with pins.hold(look):
            pins.doom(["a", "b"])
            assert [*removed] == [["b"]]
        assert [*removed] == [["b"]]
    assert removed == [["b"], ["a"]]


async def test_what_is_looked_up_is_not_unlinked_before_it_is_held() -> None:
    removed: list[Sequence[str]] = []
    pins = Pins(removed.append)
    may_find = asyncio.Event()

    async def look() -> rows.StoredObject:
        # The row was read; then the object is replaced; then the reader goes on.
        await may_find.wait()
        return stored("a")

    async def read() -> list[Sequence[str]]:
        async with pins.hold(look):
            return [*removed]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    pins.doom(["a"])
    assert removed == []
    may_find.set()
    assert not any(await reading)
    assert ["a"] in removed


async def test_a_look_up_that_fails_holds_nothing_back() -> None:
    removed: list[Sequence[str]] = []
    pins = Pins(removed.append)

    async def look() -> rows.StoredObject:
        pins.doom(["a"])
        raise Refusal("NoSuchKey")

    with pytest.raises(Refusal):
        async with pins.hold(look):
            raise AssertionError
    assert removed == [["a"]]
