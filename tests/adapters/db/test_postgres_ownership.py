"""Several servers on one PostgreSQL database: real processes that freeze, and transactions that stand still."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from pupload import errors, ports
from pupload.adapters.db.database import Database
from pupload.domain import run
from tests import postgres as servers
from tests.adapters.db import holder
from tests.contracts.states import a_run, created, moved

ROOT = Path(__file__).parents[3]
LEASE_SECONDS = 600.0
WHOLE = ports.Share(memory_bytes=1000, cpus=8.0, attempts=10)
HALF = ports.Share(memory_bytes=500, cpus=4.0, attempts=5)
NONE = ports.Share()


@pytest.fixture
async def url() -> str:
    """Of an empty database."""
    return await servers.shared().new()


@asynccontextmanager
async def signed_in(url: str, name: str) -> AsyncIterator[Database]:
    database = await Database.open(url, patience_seconds=30.0)
    try:
        who = replace(holder.ME, id=name, name=name)
        await database.ownership.sign_in(who, lease_seconds=LEASE_SECONDS)
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def standing_still(url: str, sql: str) -> AsyncIterator[Any]:
    """A transaction of somebody else that has run this and does not go on."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("BEGIN")
        assert await connection.fetch(sql)
        yield connection
    finally:
        await connection.close()


# ── Processes ────────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def holding(url: str, *, lease_seconds: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that owns run_a."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", holder.__name__, url, str(lease_seconds)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), timeout=60) == b"ready\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def save(process: asyncio.subprocess.Process) -> str:
    """What the process says when it is told to save."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    return (await asyncio.wait_for(process.stdout.readline(), timeout=60)).decode().strip()


async def inherited(heir: Database) -> list[str]:
    """The runs taken over, once there are any: a lease runs out by the server's clock, which tells nobody."""
    found: list[str] = []

    async def some() -> bool:
        found.extend(await heir.ownership.take_over())
        return bool(found)

    await servers.wait_until(some)
    return found


async def test_f04_a_server_that_was_frozen_is_fenced_at_its_first_save(url: str) -> None:
    """F04: SIGSTOP until its lease is over and another has its run, SIGCONT."""
    async with holding(url, lease_seconds=1.0) as frozen, signed_in(url, "heir") as heir:
        assert await save(frozen) == "saved"
        frozen.send_signal(signal.SIGSTOP)
        assert await inherited(heir) == ["run_a"]
        taken = await heir.runs.load("run_a")
        assert (taken.owner, taken.fence) == ("heir", 2)
        frozen.send_signal(signal.SIGCONT)
        for _ in range(3):
            assert await save(frozen) == "Fenced"
        last = await heir.runs.save(moved(taken, "label", run.NodeStatus.READY), if_version=taken.version)
        assert await heir.runs.load("run_a") == last

        async def back() -> bool:  # it renews its lease, but the run is another's
            return [other.id for other in await heir.ownership.renew()] == ["holder"]

        await servers.wait_until(back)
        assert await save(frozen) == "Fenced"
        assert await heir.ownership.owned() == ["run_a"]


async def test_f03_runs_of_a_killed_server_go_to_the_one_that_takes_its_place(url: str) -> None:
    """F03: another server is on the database already, and waits for the lease to run out."""
    async with holding(url, lease_seconds=1.0) as killed, signed_in(url, "heir") as heir:
        killed.kill()
        await killed.wait()
        assert await inherited(heir) == ["run_a"]


async def test_who_comes_back_after_a_kill_does_not_wait_for_its_lease(url: str) -> None:
    async with holding(url, lease_seconds=LEASE_SECONDS) as killed:
        killed.kill()
        await killed.wait()
    async with signed_in(url, "holder") as again:
        assert await again.ownership.take_over() == ["run_a"]
        assert (await again.runs.load("run_a")).fence == 2


# ── Transactions that stand still ────────────────────────────────────────────────────────────────────────────────


async def test_whoever_stands_still_at_claiming_keeps_nobody_waiting(url: str) -> None:
    async with signed_in(url, "one") as one, signed_in(url, "two") as two:
        assert await one.ownership.claim(HALF, held=NONE, hungry=False, of=WHOLE) == HALF
        async with standing_still(url, "SELECT FROM meta WHERE key = 'room engine' FOR UPDATE"):
            assert await two.ownership.claim(HALF, held=NONE, hungry=True, of=WHOLE) == NONE  # not more than it had
            assert await one.ownership.claim(NONE, held=NONE, hungry=False, of=WHOLE) == NONE  # but less
            assert len(await one.ownership.renew()) == 1
        assert await two.ownership.claim(HALF, held=NONE, hungry=True, of=WHOLE) == HALF


async def test_one_that_comes_back_at_this_moment_is_not_taken_for_dead(url: str) -> None:
    async with signed_in(url, "one") as one, signed_in(url, "two") as two:
        await one.ownership.claim(HALF, held=NONE, hungry=False, of=WHOLE)
        expire = "UPDATE controllers SET expires_at = 1 WHERE id = 'one'"
        renewing = "SELECT FROM controllers WHERE id = 'one' FOR UPDATE"
        operator = await asyncpg.connect(url)
        await operator.execute(expire)
        async with standing_still(url, renewing) as mid_way:
            assert await two.ownership.claim(WHOLE, held=NONE, hungry=False, of=WHOLE) == HALF
            await mid_way.execute(f"UPDATE controllers SET expires_at = {1 << 60} WHERE id = 'one'")
            await mid_way.execute("COMMIT")
        await operator.execute(expire)
        assert await two.ownership.claim(WHOLE, held=HALF, hungry=False, of=WHOLE) == WHOLE
        await operator.close()


async def test_a_run_that_is_being_written_is_left_to_its_owner(url: str) -> None:
    async with signed_in(url, "one") as one, signed_in(url, "two") as two:
        for name in ("run_a", "run_b"):
            await one.runs.create(created(a_run(name)))
        await one.ownership.sign_out()
        async with standing_still(url, "SELECT FROM runs WHERE id = 'run_a' FOR NO KEY UPDATE"):
            assert await two.ownership.take_over() == ["run_b"]
        assert await inherited(two) == ["run_a"]


async def test_a_letter_is_left_while_the_owner_writes(url: str) -> None:
    async with signed_in(url, "one") as one, signed_in(url, "two") as two:
        await one.runs.create(created(a_run()))
        async with standing_still(url, "SELECT FROM runs WHERE id = 'run_a' FOR NO KEY UPDATE"):
            number = await two.ownership.post("run_a", ports.Nudge(edge="photo"))
        assert [letter.id for letter in await one.ownership.letters()] == [number]


async def test_a_letter_that_cannot_be_read_is_thrown_away(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with signed_in(url, "one") as one:
        await one.runs.create(created(a_run()))
        bad = await one.ownership.post("run_a", ports.Nudge(edge="photo"))
        good = await one.ownership.post("run_a", ports.Nudge(edge="photo"))
        operator = await asyncpg.connect(url)
        await operator.execute("UPDATE letters SET blob = $1 WHERE id = $2", b"\x63", bad)
        await operator.close()
        assert [letter.id for letter in await one.ownership.letters()] == [good]
        assert f"letter {bad} to run run_a" in caplog.text
        assert await one.ownership.is_taken(bad)


async def test_two_that_come_at_once_with_two_stores_are_not_both_let_in(url: str) -> None:
    databases = [await Database.open(url) for _ in range(4)]
    who = [replace(holder.ME, id=f"ctl_{n}", store=f"store {n}") for n in range(4)]
    ends = await asyncio.gather(
        *(each.ownership.sign_in(one, lease_seconds=60) for each, one in zip(databases, who, strict=True)),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["AnotherStore"] * 3 + ["NoneType"]
    assert sum(isinstance(end, errors.Misconfigured) for end in ends) == 3
    for database in databases:
        await database.close()


async def test_controllers_that_are_long_gone_are_forgotten(url: str) -> None:
    async with signed_in(url, "one"), signed_in(url, "two"):
        operator = await asyncpg.connect(url)
        await operator.execute("UPDATE controllers SET expires_at = 1 WHERE id = 'one'")
        async with signed_in(url, "three"):
            rows = await operator.fetch("SELECT id FROM controllers ORDER BY id")
        await operator.close()
        assert [row[0] for row in rows] == ["three", "two"]
