"""One thread that writes for everybody, in groups."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pupload import errors
from pupload.adapters.db import sqlite
from pupload.adapters.db.writer import GROUP, Writer


@dataclass
class Table:
    """A file with one table, and a writer on it."""

    path: Path
    writer: Writer
    woken: list[str]
    gate: threading.Event = field(default_factory=threading.Event)

    async def hold(self) -> "asyncio.Task[None]":
        """Keeps the writer busy until the gate opens, so that what is asked for meanwhile becomes one group."""
        reached = asyncio.Event()
        loop = asyncio.get_running_loop()

        def job(session: sqlite.Session) -> None:
            loop.call_soon_threadsafe(reached.set)
            self.gate.wait(30)

        held = asyncio.create_task(self.writer.do(job))
        await reached.wait()
        return held

    def rows(self) -> list[int]:
        """What another process would find."""
        with sqlite3.connect(self.path) as connection:
            found = [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n")]
        connection.close()
        return found


@asynccontextmanager
async def opened(folder: Path, *, busy_seconds: float = 5.0) -> AsyncIterator[Table]:
    path = folder / "t.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, filler BLOB)")
    connection.close()
    woken: list[str] = []
    found = Table(path, Writer(path, wake=woken.append, busy_seconds=busy_seconds), woken)
    try:
        yield found
    finally:
        found.gate.set()
        await found.writer.close()


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    async with opened(tmp_path) as found:
        yield found


def put(n: int, size: int = 0) -> Callable[[sqlite.Session], int]:
    def job(session: sqlite.Session) -> int:
        session.connection.execute("INSERT INTO t VALUES (?, ?)", (n, bytes(size)))
        return n

    return job


def spoil(n: int) -> Callable[[sqlite.Session], int]:
    """Writes, and then fails."""

    def job(session: sqlite.Session) -> int:
        put(n)(session)
        raise errors.Stale(run="r", version=n)

    return job


async def test_what_waits_shares_one_commit(table: Table) -> None:
    said: list[str] = []
    await table.writer.do(lambda session: session.connection.set_trace_callback(said.append))
    held = await table.hold()
    said.clear()
    writes = [asyncio.create_task(table.writer.do(put(n), run_id=f"run_{n}")) for n in range(GROUP)]
    await asyncio.sleep(0)
    assert table.rows() == []
    table.gate.set()
    assert await asyncio.gather(held, *writes) == [None, *range(GROUP)]
    assert said.count("COMMIT") == 2  # the held one's, and one for all the others
    assert table.rows() == list(range(GROUP))
    assert table.woken == [f"run_{n}" for n in range(GROUP)]


async def test_a_write_that_fails_fails_alone(table: Table) -> None:
    held = await table.hold()
    jobs = [put(1), spoil(2), put(3), put(3), put(4)]
    writes = [asyncio.create_task(table.writer.do(job, run_id=f"run_{n}")) for n, job in enumerate(jobs)]
    await asyncio.sleep(0)
    table.gate.set()
    await held
    found = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(one) for one in found] == [int, errors.Stale, int, errors.Broken, int]
    assert table.rows() == [1, 3, 4]
    assert table.woken == ["run_0", "run_2", "run_4"]


async def test_one_that_is_refused_before_it_wrote_costs_the_others_nothing(table: Table) -> None:
    said: list[str] = []
    await table.writer.do(lambda session: session.connection.set_trace_callback(said.append))

    def refused(session: sqlite.Session) -> int:
        raise errors.Fenced(run="r")

    said.clear()
    found = await asyncio.gather(*map(table.writer.do, (put(1), refused, put(2))), return_exceptions=True)
    assert [type(one) for one in found] == [int, errors.Fenced, int]
    assert [word.split()[0] for word in said] == ["BEGIN", "INSERT", "INSERT", "COMMIT"]
    assert table.rows() == [1, 2]


async def test_what_is_asked_for_in_one_turn_of_the_loop_goes_together(table: Table) -> None:
    said: list[str] = []
    await table.writer.do(lambda session: session.connection.set_trace_callback(said.append))
    said.clear()
    await asyncio.gather(*(table.writer.do(put(n)) for n in range(10)))
    assert said.count("COMMIT") == 1


async def test_a_full_disk_fails_who_filled_it_and_passes(table: Table) -> None:
    await table.writer.do(lambda session: session.connection.execute("PRAGMA max_page_count=20").fetchall())
    held = await table.hold()
    writes = [asyncio.create_task(table.writer.do(job)) for job in (put(1), put(2, size=1 << 20), put(3))]
    await asyncio.sleep(0)
    table.gate.set()
    await held
    found = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(one) for one in found] == [int, errors.DatabaseFull, int]
    assert table.rows() == [1, 3]
    await table.writer.do(lambda session: session.connection.execute("PRAGMA max_page_count=100000").fetchall())
    await table.writer.do(put(2, size=1 << 20))
    assert table.rows() == [1, 2, 3]


async def test_a_locked_file_is_told_and_passes(tmp_path: Path) -> None:
    async with opened(tmp_path, busy_seconds=0.01) as table:
        other = sqlite3.connect(table.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.DatabaseUnavailable, match="locked"):
            await table.writer.do(put(1))
        other.execute("ROLLBACK")
        other.close()
        await table.writer.do(put(2))
        assert table.rows() == [2]


async def test_who_gives_up_waiting_hurts_nobody(table: Table) -> None:
    held = await table.hold()
    impatient = asyncio.create_task(table.writer.do(put(1)))
    patient = asyncio.create_task(table.writer.do(put(2)))
    await asyncio.sleep(0)
    impatient.cancel()
    table.gate.set()
    await held
    assert await patient == 2
    assert impatient.cancelled()


async def test_a_bug_reaches_whoever_asked(table: Table) -> None:
    def job(session: sqlite.Session) -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        await table.writer.do(job)
    assert await table.writer.do(put(1)) == 1


async def test_a_job_that_ends_the_transaction_is_not_called_durable(table: Table) -> None:
    def job(session: sqlite.Session) -> None:
        put(1)(session)
        session.connection.execute("ROLLBACK")

    held = await table.hold()
    writes = [asyncio.create_task(table.writer.do(one)) for one in (put(2), job, put(3))]
    await asyncio.sleep(0)
    table.gate.set()
    await held
    found = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(one) for one in found] == [int, errors.Broken, int]
    assert table.rows() == [2, 3]


async def test_closing_writes_what_waits_and_refuses_the_rest(table: Table) -> None:
    held = await table.hold()
    writes = [asyncio.create_task(table.writer.do(put(n))) for n in range(GROUP + 5)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(table.writer.close())
    await asyncio.sleep(0)
    with pytest.raises(errors.DatabaseUnavailable, match="closed"):
        await table.writer.do(put(1000))
    table.gate.set()
    await asyncio.gather(held, closing, *writes)
    assert table.rows() == list(range(GROUP + 5))
    await table.writer.close()
