"""
A database file that is locked, torn or damaged: F09, F11, F13.

That of PostgreSQL restarts, freezes and fills up in `tests/adapters/db/test_postgres_faults.py`.
"""

import asyncio
import random
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pupload import errors
from pupload.adapters.db import sqlite_home
from pupload.adapters.db.database import Database
from pupload.domain import events, run
from tests.bench import PNG, Bench, a_bench, copies
from tests.builders import a_flow
from tests.contracts.states import a_line, a_run, created, moved
from tests.engine.worlds import changed

IMAGE = "pupload/resize:latest"
PIECE = 4096
"""What SQLite writes at once."""

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def execute(path: Path, sql: str) -> None:
    """As somebody with a shell would."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql)
    connection.close()


@asynccontextmanager
async def kept_in(database: Database, bench: Bench) -> AsyncIterator[Bench]:
    """The bench with its state in the database."""
    parts = {name: getattr(database, name) for name in ("runs", "journal", "flows", "outbox", "ownership")}
    async with changed(bench, **parts) as found:
        yield found


# ── F09: a row ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE runs SET head = x'ff00' WHERE id = '{}'",
        "UPDATE plans SET blob = x'02' || substr(blob, 2) WHERE run_id = '{}'",
        "UPDATE plans SET blob = zeroblob(64000000) WHERE run_id = '{}'",
        "DELETE FROM plans WHERE run_id = '{}'",
        "INSERT OR REPLACE INTO node_runs VALUES ('{}', 'resize', x'01c1')",
        "INSERT OR REPLACE INTO artifacts (run_id, edge, blob) VALUES ('{}', 'resize-in', x'')",
    ],
    ids=["noise", "a version of tomorrow", "too large", "missing", "a node", "an artifact"],
)
async def test_f09_a_run_that_cannot_be_read_fails_and_the_others_go_on(tmp_path: Path, damage: str) -> None:
    """F09: found at the start, while two runs are under way."""
    database = await Database.open(tmp_path / "p.db")
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        async with kept_in(database, bench) as before:
            bad, good = await before.start(a_flow()), await before.start(a_flow())
        execute(tmp_path / "p.db", damage.format(bad.id))
        async with kept_in(database, bench) as after:
            found = await after.view(bad)
            assert found.run.status is run.Status.ERROR
            assert found.run.error.startswith("internal: ")
            assert bad.id in found.run.error
            entries = [entry async for group in after.runs.events(bad.id) for entry in group]
            assert entries[-1].event == events.RunFailed(error=found.run.error)
            await after.upload(good, "resize-in", PNG)
            assert (await after.ended(good)).status is run.Status.COMPLETE
        async with kept_in(database, bench) as again:  # it is not tried for ever
            assert await database.ownership.owned() == []
            assert (await again.view(bad)).run == found.run
    await database.close()


# ── F11: a lock ──────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Another process is writing, and takes its time."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", LOCKER, str(path), stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), timeout=60) == b"locked\n"
        yield
    finally:
        await process.communicate(b"\n")


async def test_f11_while_the_file_is_locked_saves_say_so_and_reads_go_on(tmp_path: Path) -> None:
    """F11: for longer than a save waits; 503 and Retry-After is how the API says `TryLater`."""
    database = await Database.open(tmp_path / "p.db", busy_seconds=0.1)
    first = await database.runs.create(created(a_run()))
    async with locked(tmp_path / "p.db"):
        ends = await asyncio.gather(
            database.runs.create(created(a_run("run_b"))),
            database.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1),
            database.journal.write_logs("run_a", "resize", 1, [a_line("x")]),
            return_exceptions=True,
        )
        assert [type(end) for end in ends] == [errors.DatabaseUnavailable] * 3
        assert await database.runs.load("run_a") == first
    assert (await database.runs.list()).total == 1
    second = await database.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    assert await database.runs.load("run_a") == second
    await database.close()


async def test_f11_a_lock_that_is_given_up_in_time_is_waited_for(tmp_path: Path) -> None:
    """F11: for less long than a save waits."""
    database = await Database.open(tmp_path / "p.db", busy_seconds=60)
    async with locked(tmp_path / "p.db"):
        creating = asyncio.create_task(database.runs.create(created(a_run())))
        assert (await database.runs.list()).total == 0
        assert not creating.done()
    assert (await creating).version == 1
    await database.close()


async def test_f11_a_node_that_runs_meanwhile_is_not_touched_and_what_it_came_to_is_saved(tmp_path: Path) -> None:
    """F11: the file is locked when a container ends."""
    database = await Database.open(tmp_path / "p.db", busy_seconds=0.05)
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized", seconds=5))
        async with kept_in(database, bench) as there:
            begun = await there.start(a_flow())
            await there.upload(begun, "resize-in", PNG)
            await there.until(lambda: len(there.executor.alive) == 1)
            async with locked(tmp_path / "p.db"):
                with pytest.raises(errors.DatabaseUnavailable):
                    await there.start(a_flow())
                await there.until(lambda: not there.executor.alive)
                assert (await database.runs.load(begun.id)).status is run.Status.RUNNING
            assert (await there.ended(begun, step=0.5)).status is run.Status.COMPLETE
            saved = await database.runs.load(begun.id)
            assert [len(node.attempts) for node in saved.nodes.values()] == [1]
    await database.close()


# ── F13: a torn file ─────────────────────────────────────────────────────────────────────────────────────────────


async def written(folder: Path, *, many: int) -> list[run.Run]:
    """Runs, one commit each, of which nothing is folded into the file yet; the folder is as a power cut leaves it."""
    home = folder / "live"
    database = await Database.open(home / "p.db")
    made = [await database.runs.create(created(a_run(f"run_{number:02}"))) for number in range(many)]
    for name in ("p.db", "p.db-wal"):
        shutil.copy(home / name, folder / name)
    await database.close()
    return made


@pytest.mark.parametrize("seed", range(12))
async def test_f13_a_torn_log_of_writes_is_recovered_to_a_commit(tmp_path: Path, seed: int) -> None:
    """F13: what was written last is cut off or noise, as when a disk lied about a flush."""
    made = await written(tmp_path, many=20)
    chance, wal = random.Random(seed), tmp_path / "p.db-wal"
    data = bytearray(wal.read_bytes())
    place = chance.randrange(len(data))
    if seed % 2:
        del data[place:]
    else:
        data[place : place + PIECE] = chance.randbytes(len(data[place : place + PIECE]))
    wal.write_bytes(data)
    database = await Database.open(tmp_path / "p.db")
    found = await database.runs.unfinished()
    assert found == [one.id for one in made[: len(found)]]  # the first so many, whole
    for one in made[: len(found)]:
        assert await database.runs.load(one.id) == one
        assert [entry.seq for entry in await database.journal.read(one.id)] == [1, 2]
    assert all(line.ok for line in await database.check() if line.what != "database disk")
    await database.close()


@pytest.mark.parametrize("seed", range(12))
async def test_f13_a_damaged_page_is_refused_or_named_and_never_guessed(tmp_path: Path, seed: int) -> None:
    """F13: a page of the file itself is noise."""
    await written(tmp_path, many=20)
    database = await Database.open(tmp_path / "p.db")
    before = {name: await database.runs.load(name) for name in await database.runs.unfinished()}
    await database.close()
    chance, path = random.Random(seed), tmp_path / "p.db"
    pages = path.stat().st_size // PIECE
    with path.open("r+b") as file:
        file.seek(chance.randrange(pages) * PIECE)
        file.write(chance.randbytes(PIECE))
    try:
        database = await Database.open(path)
    except errors.Damaged as error:
        assert "restore it from a backup" in str(error)  # noqa: PT017 - it may open, too
        return
    for name, one in before.items():
        try:
            assert await database.runs.load(name) == one
        except errors.Damaged as error:
            assert name in str(error) or path.name in str(error)  # noqa: PT017 - either is right
    await database.close()


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95])
async def test_f13_a_file_that_was_cut_short_is_refused(tmp_path: Path, part: float) -> None:
    """F13: a copy that was not finished."""
    await written(tmp_path, many=20)
    database = await Database.open(tmp_path / "p.db")
    await database.close()
    data = (tmp_path / "p.db").read_bytes()
    (tmp_path / "p.db").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(errors.Damaged, match="restore it from a backup"):
        await Database.open(tmp_path / "p.db")
    (line, *_) = await sqlite_home.check(tmp_path / "p.db")
    assert not line.ok
