"""A PostgreSQL server that goes away in the middle: what waits, what is told, and that nothing is lost or doubled."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from pupload import errors
from pupload.adapters.db import postgres, postgres_saves
from pupload.adapters.db.database import Database
from pupload.adapters.db.postgres_home import PostgresHome
from pupload.adapters.db.postgres_writer import PostgresWriter
from pupload.domain import run
from tests import postgres as servers
from tests.contracts.states import a_line, a_run, created, moved


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    """One that may be stopped, frozen and killed."""
    found = servers.Server()
    yield found
    found.remove()


@asynccontextmanager
async def opened(
    url: str, *, patience_seconds: float = 30.0, poll_seconds: float = 5.0
) -> AsyncIterator[tuple[Database, PostgresWriter]]:
    """A database, and the part of it that is hurt here."""
    home = await PostgresHome.open(url, folder=None, patience_seconds=patience_seconds, poll_seconds=poll_seconds)
    database = Database(home)
    try:
        yield database, home.writer
    finally:
        await database.close()


async def step(database: Database, last: run.Run) -> run.Run:
    """One more save of a run, of always the same size."""
    fresh = {node: run.NodeRun(id=node) for node in last.nodes}
    decision = moved(replace(last, nodes=fresh), "resize", run.NodeStatus.READY)
    return await database.runs.save(decision, if_version=last.version)


async def is_sound(database: Database, name: str, version: int) -> None:
    """The run is at this version, and its journal has each event once."""
    assert (await database.runs.load(name)).version == version
    entries = await database.journal.read(name, limit=100_000)
    assert [entry.seq for entry in entries] == list(range(1, version + 2))


# ── The server ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restarted", "crashed"])
async def test_saves_wait_for_a_server_that_restarts_and_none_is_lost_or_doubled(
    server: servers.Server, how: signal.Signals
) -> None:
    """F11: the database server restarts, twice, under twenty savers."""
    async with opened(await server.new()) as (database, _):
        stop = asyncio.Event()
        busy = asyncio.Barrier(21)

        async def live(name: str) -> tuple[str, int]:
            last = await database.runs.create(created(a_run(name)))
            await busy.wait()
            while not stop.is_set():
                last = await step(database, last)
            return name, (await step(database, last)).version

        lives = [asyncio.create_task(live(f"run_{n}")) for n in range(20)]
        await busy.wait()
        for _ in range(2):
            await database.runs.load("run_0")  # a moment, in the middle of saves
            await asyncio.to_thread(server.stop, how)
            reading = asyncio.create_task(database.runs.load("run_1"))
            await asyncio.to_thread(server.start)
            assert (await reading).id == "run_1"
        stop.set()
        for name, version in await asyncio.gather(*lives):
            await is_sound(database, name, version)


async def test_who_has_waited_long_enough_is_told_and_later_it_works_again(server: servers.Server) -> None:
    """F11: the database server is away for longer than a save waits."""
    async with opened(await server.new(), patience_seconds=0.3) as (database, _):
        first = await database.runs.create(created(a_run()))
        await asyncio.to_thread(server.stop)
        try:
            saves = [step(database, first), database.runs.create(created(a_run("run_b"))), database.runs.load("run_a")]
            told = await asyncio.gather(*saves, return_exceptions=True)
            assert [type(one) for one in told] == [errors.DatabaseUnavailable] * 3
            assert not (await database.check())[-1].ok
        finally:
            await asyncio.to_thread(server.start)

        async def back() -> bool:
            try:
                return (await database.runs.load("run_a")).version == 1
            except errors.DatabaseUnavailable:
                return False

        await servers.wait_until(back)
        await is_sound(database, "run_a", 1)
        async with asyncio.timeout(30):
            while True:
                try:
                    await step(database, first)
                    break
                except errors.DatabaseUnavailable:
                    pass
        await is_sound(database, "run_a", 2)


async def test_a_server_that_is_down_is_closed_in_time(server: servers.Server) -> None:
    async with opened(await server.new(), patience_seconds=0.3) as (database, _):
        first = await database.runs.create(created(a_run()))
        await asyncio.to_thread(server.stop)
        try:
            saving = asyncio.create_task(step(database, first))
            await asyncio.sleep(0)
            async with asyncio.timeout(10):
                await database.close()
            with pytest.raises(errors.DatabaseUnavailable):
                await saving
        finally:
            await asyncio.to_thread(server.start)


# ── The connection ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_cut_in_the_middle_of_a_group_costs_nothing(server: servers.Server) -> None:
    url = await server.new()
    async with opened(url) as (database, writer):
        firsts = [await database.runs.create(created(a_run(f"run_{n:02}"))) for n in range(30)]
        other = await asyncpg.connect(url)
        await other.execute("BEGIN")
        await other.execute("SELECT FROM runs WHERE id = 'run_20' FOR UPDATE")
        saves = [asyncio.create_task(step(database, first)) for first in firsts]

        async def stuck() -> bool:
            return bool(await server.say("SELECT FROM pg_locks WHERE NOT granted AND pid = $1", writer.pids[-1]))

        await servers.wait_until(stuck)
        assert not any(save.done() for save in saves)
        await server.say("SELECT pg_terminate_backend($1)", writer.pids[-1])
        await other.execute("ROLLBACK")
        await other.close()
        assert [saved.version for saved in await asyncio.gather(*saves)] == [2] * 30
        for first in firsts:
            await is_sound(database, first.id, 2)


async def test_a_commit_that_was_not_answered_is_asked_after_and_found_done(server: servers.Server) -> None:
    """A standby that never answers keeps commits from returning, after they are on the disk."""
    async with opened(await server.new()) as (database, writer):
        first = await database.runs.create(created(a_run()))
        await server.say("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await server.say("SELECT pg_reload_conf()")
        try:
            saving = asyncio.create_task(step(database, first))

            async def waits() -> bool:
                sql = "SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'"
                return bool(await server.say(sql, writer.pids[-1]))

            await servers.wait_until(waits)
            assert not saving.done()
            await server.say("SELECT pg_terminate_backend($1)", writer.pids[-1])
            assert (await saving).version == 2
        finally:
            await server.say("ALTER SYSTEM RESET synchronous_standby_names")
            await server.say("SELECT pg_reload_conf()")
        await is_sound(database, "run_a", 2)
        assert (await step(database, await database.runs.load("run_a"))).version == 3


async def test_a_commit_that_never_arrived_is_done_again(
    server: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(await server.new()) as (database, writer):
        await database.runs.create(created(a_run()))
        fill: Callable[..., str] = writer._fill
        frozen = asyncio.Event()

        def fill_and_freeze(*arguments: Any, **named: Any) -> str:
            number = fill(*arguments, **named)
            monkeypatch.undo()
            server.freeze(writer.pids[-1])  # the COMMIT that comes next is not read any more
            frozen.set()
            return number

        monkeypatch.setattr(writer, "_fill", fill_and_freeze)
        writing = asyncio.create_task(database.journal.write_logs("run_a", "resize", 1, [a_line("once")]))
        await frozen.wait()
        os.kill(writer.pids[-1], signal.SIGKILL)  # which restarts the whole server
        await writing
        assert [record.number for record in await database.journal.read_logs("run_a")] == [1]


async def test_a_save_that_never_arrived_is_done_again(server: servers.Server) -> None:
    async with opened(await server.new()) as (database, writer):
        first = await database.runs.create(created(a_run()))
        server.freeze(writer.pids[-1])  # what comes next is not read any more
        saving = asyncio.create_task(step(database, first))
        await servers.wait_until(lambda: asyncio.sleep(0, writer._doubt is not None))
        os.kill(writer.pids[-1], signal.SIGKILL)
        assert (await saving).version == 2
        await is_sound(database, "run_a", 2)


async def test_of_saves_in_doubt_of_which_some_were_refused_all_are_asked_again(server: servers.Server) -> None:
    """Which of them were done only the runs can tell: whoever waits is told to look."""
    async with opened(await server.new()) as (database, writer):
        first, other = [await database.runs.create(created(a_run(name))) for name in ("run_a", "run_b")]
        await step(database, other)
        await server.say("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await server.say("SELECT pg_reload_conf()")
        try:
            saving = asyncio.gather(step(database, first), step(database, other), return_exceptions=True)

            async def waits() -> bool:
                sql = "SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'"
                return bool(await server.say(sql, writer.pids[-1]))

            await servers.wait_until(waits)
            await server.say("SELECT pg_terminate_backend($1)", writer.pids[-1])
            assert [type(one) for one in await saving] == [errors.DatabaseUnavailable] * 2
        finally:
            await server.say("ALTER SYSTEM RESET synchronous_standby_names")
            await server.say("SELECT pg_reload_conf()")
        await is_sound(database, "run_a", 2)
        await is_sound(database, "run_b", 2)


# ── Many at once ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_many_saves_are_one_statement_and_one_commit(server: servers.Server) -> None:
    async with opened(await server.new()) as (database, writer):
        firsts = [await database.runs.create(created(a_run(f"run_{n:02}"))) for n in range(20)]
        await step(database, await database.runs.create(created(a_run("run_first"))))  # it is prepared then
        assert writer._link is not None
        said: list[str] = []
        with writer._link.driver.query_logger(lambda one: said.append(one.query)):
            saved = await asyncio.gather(*(step(database, first) for first in firsts))
        assert [one.version for one in saved] == [2] * 20
        assert said == [postgres_saves.STATEMENT]
        for first in firsts:
            await is_sound(database, first.id, 2)


async def test_a_save_that_is_refused_fails_alone(server: servers.Server) -> None:
    async with opened(await server.new()) as (database, _):
        good, stale, fenced = [await database.runs.create(created(a_run(name))) for name in ("run_a", "run_b", "run_c")]
        told = await asyncio.gather(
            step(database, good),
            step(database, replace(stale, version=7)),
            step(database, replace(fenced, fence=7)),
            step(database, replace(good, id="run_none")),
            step(database, good),  # of the same version, at the same time
            return_exceptions=True,
        )
        assert [type(one) for one in told] == [run.Run, errors.Stale, errors.Fenced, errors.UnknownRun, errors.Stale]
        await is_sound(database, "run_a", 2)
        await is_sound(database, "run_b", 1)
        await is_sound(database, "run_c", 1)


async def test_a_save_that_cannot_be_written_fails_alone(server: servers.Server) -> None:
    async with opened(await server.new()) as (database, _):
        good, bad = [await database.runs.create(created(a_run(name))) for name in ("run_a", "run_b")]
        told = await asyncio.gather(
            step(database, good),
            step(database, replace(bad, error="half of a pair: \ud800")),
            return_exceptions=True,
        )
        assert isinstance(told[0], run.Run)
        assert isinstance(told[1], Exception)
        await is_sound(database, "run_a", 2)
        await is_sound(database, "run_b", 1)


async def test_a_connection_that_says_nothing_is_given_up(
    server: servers.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "COMMAND_SECONDS", 0.5)
    async with opened(await server.new()) as (database, writer):
        first = await database.runs.create(created(a_run()))
        stuck = writer.pids[-1]
        server.freeze(stuck)
        try:
            second = await step(database, first)  # over another one
            assert writer.pids[-1] != stuck
        finally:
            os.kill(stuck, signal.SIGCONT)

        async def gone() -> bool:
            return not await server.say("SELECT FROM pg_stat_activity WHERE pid = $1", stuck)

        await servers.wait_until(gone)
        await is_sound(database, "run_a", 2)
        assert (await step(database, second)).version == 3


# ── Transactions in each other's way ─────────────────────────────────────────────────────────────────────────────


async def test_the_loser_of_a_deadlock_saves_all_the_same(server: servers.Server) -> None:
    url = await server.new()
    async with opened(url) as (database, writer):
        one, two = [await database.runs.create(created(a_run(name))) for name in ("run_a", "run_b")]
        other = await asyncpg.connect(url)
        await other.execute("SET deadlock_timeout = '1h'")  # so that not this one is the loser
        await other.execute("BEGIN")
        await other.execute("SELECT FROM runs WHERE id = 'run_b' FOR UPDATE")
        saves = asyncio.gather(step(database, one), step(database, two))

        async def waits() -> bool:
            return bool(await server.say("SELECT FROM pg_locks WHERE NOT granted AND pid = $1", writer.pids[-1]))

        await servers.wait_until(waits)
        await other.execute("SELECT FROM runs WHERE id = 'run_a' FOR UPDATE")  # comes when ours was taken back
        assert "deadlock detected" in (server.folder / "log").read_text()
        await other.execute("ROLLBACK")
        await other.close()
        assert [saved.version for saved in await saves] == [2, 2]
        await is_sound(database, "run_a", 2)


async def test_a_write_that_fails_fails_alone(server: servers.Server) -> None:
    async with opened(await server.new()) as (database, writer):
        first = await database.runs.create(created(a_run("run_0")))

        def spoil(session: postgres.Session) -> None:
            session.ask("DELETE FROM runs RETURNING id")
            session.touched = True
            raise errors.Broken(reason="no")

        def offend(session: postgres.Session) -> None:
            session.ask("SELECT 1 / 0")

        def stumble(session: postgres.Session) -> None:
            raise KeyError("bug")

        found = await asyncio.gather(
            database.runs.create(created(a_run("run_1"))),
            writer.do(spoil),
            writer.do(offend),
            writer.do(stumble),
            step(database, first),
            database.runs.create(created(a_run("run_2")), idempotency_key="k"),
            database.runs.create(created(a_run("run_3")), idempotency_key="k"),
            return_exceptions=True,
        )
        kinds = [run.Run, errors.Broken, errors.Broken, KeyError, run.Run, run.Run, run.Run]
        assert [type(one) for one in found] == kinds
        assert found[5] == found[6]
        assert {one.id for one in (await database.runs.list()).runs} == {"run_0", "run_1", "run_2"}
        await is_sound(database, "run_0", 2)


async def test_rows_of_writers_that_are_long_gone_are_swept_and_a_missing_one_is_made_again(
    server: servers.Server,
) -> None:
    url = await server.new()
    async with opened(url) as (database, writer):
        first = await database.runs.create(created(a_run()))
        name = url.partition("?")[0].rpartition("/")[2]
        for key, value in (("writer gone", "7 1000"), ("writer new", f"7 {1 << 40}"), ("writers", "")):
            await server.say("INSERT INTO meta VALUES ($1, $2)", key, value, database=name)
        async with opened(url) as (_, other):
            left = {row[0] for row in await server.say("SELECT key FROM meta", database=name)}
        assert left == {"instance", "writer new", "writers", writer.row, other.row}
        await server.say("DELETE FROM meta WHERE key = $1", writer.row, database=name)
        second = await step(database, first)
        await is_sound(database, "run_a", second.version)
        assert await server.say("SELECT FROM meta WHERE key = $1", writer.row, database=name)


# ── Two processes on one database ────────────────────────────────────────────────────────────────────────────────


async def test_two_on_one_database_share_keys_versions_and_numbers(server: servers.Server) -> None:
    url = await server.new()
    async with opened(url) as (one, _), opened(url) as (other, _):
        both = (one, other)
        made = await asyncio.gather(
            *(both[n % 2].runs.create(created(a_run(f"run_{n:02}")), idempotency_key=f"k{n // 4}") for n in range(40))
        )
        assert len({each.id for each in made}) == 10
        assert (await one.runs.list()).total == 10
        firsts = {each.id: each for each in made}.values()

        async def race(database: Database, first: run.Run) -> int:
            wins, last = 0, first
            for _ in range(5):
                try:
                    last = await step(database, last)
                    wins += 1
                except errors.Stale:
                    last = await database.runs.load(first.id)
                await database.journal.write_logs(first.id, "resize", 1, [a_line("x")])
            return wins

        wins = await asyncio.gather(*(race(database, first) for first in firsts for database in both))
        assert sum(wins) >= 50
        for first, theirs in zip(firsts, zip(wins[::2], wins[1::2], strict=True), strict=True):
            await is_sound(one, first.id, 1 + sum(theirs))
            records = await other.journal.read_logs(first.id)
            assert [record.number for record in records] == list(range(1, 11))


async def test_what_one_writes_wakes_those_who_wait_in_another(server: servers.Server) -> None:
    url = await server.new()
    async with (
        opened(url, poll_seconds=600) as (one, _),
        opened(url, poll_seconds=600) as (other, _),
    ):
        first = await one.runs.create(created(a_run()))
        await one.runs.create(created(a_run("run_b")))
        with other.journal.subscribe("run_a") as news:
            last = await step(one, first)

            async def all_heard() -> bool:  # of what was announced before this version, too
                await news.wait()
                return (await other.runs.load("run_a")).version == last.version

            await servers.wait_until(all_heard)
        # They come in order: after one about run_c, nothing about run_a or run_b is under way.
        with other.journal.subscribe("run_c") as mark:
            await one.runs.create(created(a_run("run_c")))
            await asyncio.wait_for(mark.wait(), timeout=10)
        with other.journal.subscribe("run_a") as news, other.journal.subscribe("run_b") as none:
            quiet = asyncio.create_task(none.wait())
            await one.journal.write_logs("run_a", "resize", 1, [a_line("x")])
            await asyncio.wait_for(news.wait(), timeout=10)
            assert not quiet.done()
            quiet.cancel()


async def test_who_listened_to_nothing_for_a_while_looks_again(server: servers.Server) -> None:
    url = await server.new()
    async with (
        opened(url, poll_seconds=600) as (one, _),
        opened(url, poll_seconds=600) as (other, _),
    ):
        first = await one.runs.create(created(a_run()))
        with other.journal.subscribe("run_a") as news:
            await server.say("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
            await asyncio.wait_for(news.wait(), timeout=10)
            await step(one, first)
            await asyncio.wait_for(news.wait(), timeout=10)


async def test_what_nobody_announced_is_found_by_looking(server: servers.Server) -> None:
    url = await server.new()
    async with opened(url, poll_seconds=0.05) as (database, _):
        first = await database.runs.create(created(a_run()))
        with database.journal.subscribe("run_a") as news:
            await asyncio.wait_for(news.wait(), timeout=10)  # the first look knows nothing of before
            by_hand = await asyncpg.connect(url)
            await by_hand.execute("UPDATE runs SET version = version + 1")
            await asyncio.wait_for(news.wait(), timeout=10)
            await by_hand.execute("INSERT INTO log_batches VALUES ('run_a', 1, 1, 'resize', 1, 1, 3, $1)", b"\x01\x90")
            await asyncio.wait_for(news.wait(), timeout=10)
            await by_hand.close()
        assert first.version == 1
