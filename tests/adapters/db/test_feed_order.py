"""What is committed late on a PostgreSQL server, read in its place."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from pupload import errors, ports
from pupload.adapters.db.database import Database
from pupload.domain.places import Place
from tests import postgres
from tests.contracts.states import a_run, created


@pytest.fixture
async def opened() -> AsyncIterator[tuple[Database, Any]]:
    """A database, and somebody else at it."""
    url = await postgres.shared().emptied()
    database = await Database.open(url)
    other = await asyncpg.connect(url)
    yield database, other
    await other.close()
    await database.close()


def runs(page: ports.NewsPage) -> list[str]:
    return [news.what.run for news in page.news]


async def test_what_was_begun_before_and_is_committed_later_is_not_passed_over(
    opened: tuple[Database, Any],
) -> None:
    database, other = opened
    await database.runs.create(created(a_run("run_first")))
    begun = other.transaction()
    await begun.start()
    # Another controller's run, with an earlier number and a later commit.
    await other.execute(
        "INSERT INTO runs (id, flow, status, version, created_at, error, last_seq, head) "
        "VALUES ('run_late', 'shrink', 'WAITING', 1, 0, '', 1, '')"
    )
    await other.execute("INSERT INTO journal SELECT 'run_late', seq, at, kind, blob FROM journal WHERE seq = 1")
    await other.execute(
        "INSERT INTO feed (txid, run_id, kind, upto, count) "
        "VALUES (pg_current_xact_id()::text::bigint, 'run_late', 0, 1, 1)"
    )
    with database.feed.subscribe() as subscription:
        await database.runs.create(created(a_run("run_second")))
        await subscription.wait()
        page = await database.feed.read(Place(), logs=True)
        assert set(runs(page)) == {"run_first"}
        held = await database.feed.read(page.place, logs=True)
        assert (held.news, held.place, held.held) == ((), page.place, True)
        assert await database.feed.end() == page.place
        await begun.commit()
        rest = await database.feed.read(page.place, logs=True)
    assert runs(rest) == ["run_late", "run_second", "run_second"]
    assert not rest.held


async def test_places_of_another_server_are_not_waited_for(opened: tuple[Database, Any]) -> None:
    database, other = opened
    await database.runs.create(created(a_run("run_a")))
    before = await database.feed.end()
    await other.execute("UPDATE feed SET txid = txid + 1000000000")
    again = await Database.open(postgres.shared().url("emptied"))
    try:
        with pytest.raises(errors.CursorExpired):
            await again.feed.read(before, logs=True)
        await again.runs.create(created(a_run("run_b")))
        assert set(runs(await again.feed.read(Place(), logs=True))) == {"run_b"}
    finally:
        await again.close()


async def test_another_server_s_commit_wakes_who_waits(opened: tuple[Database, Any]) -> None:
    database, _ = opened
    other = await Database.open(postgres.shared().url("emptied"))
    try:
        with database.feed.subscribe() as subscription:
            waiting = asyncio.create_task(subscription.wait())
            await other.runs.create(created(a_run("run_there")))
            async with asyncio.timeout(10):
                await waiting
        assert set(runs(await database.feed.read(Place(), logs=True))) == {"run_there"}
    finally:
        await other.close()
