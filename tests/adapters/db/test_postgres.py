"""Opening, refusing and looking over a database on a PostgreSQL server; what its texts and errors become."""

import asyncio
import os
import subprocess
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import alembic.autogenerate
import alembic.migration
import asyncpg
import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from pupload import errors
from pupload.adapters.db import database, postgres, tables
from pupload.adapters.db.database import Database
from pupload.domain import run
from tests import postgres as servers
from tests.contracts.states import a_line, a_run, created, moved


@pytest.fixture
async def url() -> str:
    """Of an empty database."""
    return await servers.shared().new()


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Database]:
    found = await Database.open(url)
    yield found
    await found.close()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own for the server, with 24 MB."""
    home = servers.shared().folder
    disk = home / "disk"
    disk.mkdir()
    owner = f"uid={home.stat().st_uid},gid={home.stat().st_gid}"
    mount = ["mount", "-t", "tmpfs", "-o", f"size=24m,mode=0700,{owner}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        disk.rmdir()
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def grow(disk: Path) -> None:
    """Space returns."""
    subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)


async def execute(url: str, sql: str, *values: object) -> None:
    """As somebody with a shell would."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql, *values)
    finally:
        await connection.close()


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_migrations_make_the_tables_that_are_described(opened: Database, url: str) -> None:
    engine = postgres.make_engine(url, connections=1)

    def differences(over: sqlalchemy.Connection) -> list[object]:
        context = alembic.migration.MigrationContext.configure(over, opts={"compare_type": True})
        return list(alembic.autogenerate.compare_metadata(context, tables.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        found = await connection.exec_driver_sql(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns "
            "WHERE data_type = 'text' AND table_schema = 'public'"
        )
        assert {row.collation_name for row in found} == {"C"}
    await engine.dispose()


async def test_opening_again_changes_nothing_and_the_name_stays(opened: Database, url: str) -> None:
    await opened.runs.create(created(a_run()))
    await opened.close()
    again = await Database.open(url)
    assert again.instance == opened.instance
    assert len(again.instance) == 16
    assert (await again.runs.load("run_a")).version == 1
    await again.close()


async def test_two_that_open_an_empty_database_make_it_once(url: str) -> None:
    one, other = await asyncio.gather(Database.open(url), Database.open(url))
    assert one.instance == other.instance
    await asyncio.gather(one.close(), other.close())


async def test_the_data_folder_belongs_to_one_server_too(url: str, tmp_path: Path) -> None:
    first = await Database.open(url, folder=tmp_path)
    with pytest.raises(errors.Misconfigured, match="data folder"):
        await Database.open(await servers.shared().new(), folder=tmp_path)
    await first.close()
    second = await Database.open(tmp_path / "elsewhere" / "p.db", folder=tmp_path)
    with pytest.raises(errors.Misconfigured, match="data folder"):
        await Database.open(url, folder=tmp_path)
    await second.close()
    await (await Database.open(url, folder=tmp_path)).close()


async def test_a_database_of_a_newer_version_is_refused(opened: Database, url: str) -> None:
    await opened.close()
    await execute(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(errors.Misconfigured, match="another version of pupload"):
        await Database.open(url)


async def test_a_migration_that_fails_leaves_nothing(url: str) -> None:
    await execute(url, "CREATE TABLE projects (somebody_elses TEXT)")
    with pytest.raises(errors.Broken, match="projects"):
        await Database.open(url)
    left = await servers.shared().say(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=url.split("/")[3].split("?")[0]
    )
    assert [row[0] for row in left] == ["projects"]


async def test_another_encoding_is_refused() -> None:
    server = servers.shared()
    await server.say("CREATE DATABASE ascii TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C' LOCALE_PROVIDER libc")
    with pytest.raises(errors.Misconfigured, match="ENCODING 'UTF8'"):
        await Database.open(server.url("ascii"))
    assert [line.what for line in await database.check(server.url("ascii")) if not line.ok] == ["database encoding"]


@pytest.mark.parametrize(
    ("written", "read", "kind", "words"),
    [
        (":swordfish@", ":wrong_secret@", errors.Misconfigured, "password authentication failed"),
        ("/postgres", "/nowhere", errors.Misconfigured, "does not exist"),
        ("@127.0.0.1:", "@127.0.0.1:1", errors.DatabaseUnavailable, "127.0.0.1"),
        ("/postgres", "/postgres?sslmode=nonsense", errors.Misconfigured, "cannot be read"),
    ],
)
async def test_what_cannot_be_opened_is_told_without_its_password(
    written: str, read: str, kind: type[Exception], words: str
) -> None:
    where = servers.shared().url(tcp=True)
    where = where.replace(written, read) if ":1" not in read else where.replace(where.split("@")[1], "127.0.0.1:1/p")
    with pytest.raises(kind, match=words) as refused:
        await Database.open(where)
    said = "".join(traceback.format_exception(refused.value))
    assert "swordfish" not in said
    assert "wrong_secret" not in said
    (line,) = await database.check(where)
    assert not line.ok
    assert "swordfish" not in line.detail


async def test_it_is_reached_over_tcp_as_over_a_socket(url: str) -> None:
    server = servers.shared()
    there = await Database.open(server.url(url.split("/")[3].split("?")[0], tcp=True))
    await there.runs.create(created(a_run()))
    await there.close()


async def test_a_closed_database_refuses(opened: Database) -> None:
    await opened.close()
    with pytest.raises(errors.DatabaseUnavailable):
        await opened.runs.load("run_a")
    with pytest.raises(errors.DatabaseUnavailable):
        await opened.runs.create(created(a_run()))


async def test_closing_leaves_no_connection(opened: Database, url: str) -> None:
    await opened.runs.create(created(a_run()))
    await opened.runs.load("run_a")
    await opened.close()
    name = url.split("/")[3].split("?")[0]

    async def nobody() -> bool:
        return not await servers.shared().say("SELECT FROM pg_stat_activity WHERE datname = $1", name)

    await servers.wait_until(nobody)


# ── One bad row ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        (r"UPDATE runs SET head = '\xff00' WHERE id = 'run_a'", "run run_a"),
        (r"UPDATE plans SET blob = '\x01' WHERE run_id = 'run_a'", "the plan of run run_a"),
        ("DELETE FROM plans WHERE run_id = 'run_a'", "the plan of run run_a"),
        (
            "UPDATE node_runs SET blob = decode(repeat('00', 1000000), 'hex') WHERE run_id = 'run_a'",
            "node resize of run run_a",
        ),
    ],
)
async def test_one_damaged_row_spoils_one_run(opened: Database, url: str, sql: str, named: str) -> None:
    for name in ("run_a", "run_b"):
        first = await opened.runs.create(created(a_run(name)))
        await opened.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    await execute(url, sql)
    with pytest.raises(errors.Damaged, match=named):
        await opened.runs.load("run_a")
    assert (await opened.runs.load("run_b")).version == 2
    assert (await opened.runs.list()).total == 2
    assert await opened.runs.unfinished() == ["run_a", "run_b"]


async def test_a_deleted_run_leaves_no_row(opened: Database, url: str) -> None:
    first = await opened.runs.create(created(a_run()))
    await opened.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    await opened.journal.write_logs("run_a", "resize", 1, [a_line("a")])
    await opened.runs.delete("run_a")
    connection = await asyncpg.connect(url)
    left = {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in tables.metadata.tables}
    await connection.close()
    assert left == dict.fromkeys(left, 0) | {"meta": 2, "feed": 3}


# ── Texts and errors ─────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.sampled_from(["\0", "\x1a", "0", "a"])).map("".join), st.text())
def test_escaped_texts_have_no_nul_and_come_back(dense: str, any_text: str) -> None:
    for text in (dense, any_text):
        assert "\0" not in postgres.escaped(text)
        assert postgres.unescaped(postgres.escaped(text)) == text


@given(*[st.lists(st.sampled_from(["\0", "\x1a", "0"]), max_size=4).map("".join)] * 2)
def test_two_texts_are_never_written_alike(one: str, other: str) -> None:
    assert (postgres.escaped(one) == postgres.escaped(other)) == (one == other)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.DiskFullError("no space left"), errors.DatabaseFull),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE"), errors.DatabaseUnavailable),
        (asyncpg.TooManyConnectionsError("sorry, too many clients"), errors.DatabaseUnavailable),
        (asyncpg.AdminShutdownError("terminating connection"), errors.DatabaseUnavailable),
        (asyncpg.CannotConnectNowError("the database system is starting up"), errors.DatabaseUnavailable),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"), errors.DatabaseUnavailable),
        (asyncpg.InterfaceError("connection is closed"), errors.DatabaseUnavailable),
        (asyncpg.InternalClientError("another operation is in progress"), errors.DatabaseUnavailable),
        (asyncpg.SerializationError("could not serialize"), errors.DatabaseUnavailable),
        (asyncpg.DeadlockDetectedError("deadlock"), errors.DatabaseUnavailable),
        (asyncpg.OutOfMemoryError("out of memory"), errors.DatabaseUnavailable),
        (asyncpg.DataCorruptedError("invalid page"), errors.Damaged),
        (asyncpg.InsufficientPrivilegeError("permission denied"), errors.Misconfigured),
        (asyncpg.UndefinedTableError("no such table"), errors.Broken),
        (asyncpg.DataError("invalid input"), errors.Broken),
        (ConnectionRefusedError("refused"), errors.DatabaseUnavailable),
        (TimeoutError(), errors.DatabaseUnavailable),
        (sqlalchemy.exc.TimeoutError("the pool is empty"), errors.DatabaseUnavailable),
        (KeyError("bug"), KeyError),
        (errors.Stale(run="r", version=1), errors.Stale),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_turned_into_what_it_means(error: Exception, kind: type[Exception]) -> None:
    meaning = postgres.turn(error, "there/p")
    assert type(meaning) is kind


def test_an_error_that_sqlalchemy_wrapped_means_the_same() -> None:
    wrapped = sqlalchemy.exc.DBAPIError("SELECT", {}, asyncpg.DiskFullError("no space left"))
    assert type(postgres.turn(wrapped, "there/p")) is errors.DatabaseFull


async def test_no_room_for_connections_is_told(url: str) -> None:
    name = url.split("/")[3].split("?")[0]
    server = servers.shared()
    await server.say("CREATE ROLE few LOGIN PASSWORD 'swordfish' CONNECTION LIMIT 0")
    await server.say(f"ALTER DATABASE {name} OWNER TO few")
    try:
        with pytest.raises(errors.DatabaseUnavailable, match="too many connections"):
            await Database.open(url.replace("pupload:", "few:"))
        await server.say("ALTER ROLE few CONNECTION LIMIT 10")
        ordinary = await Database.open(url.replace("pupload:", "few:"))  # needs no rights but to its database
        await ordinary.runs.create(created(a_run()))
        assert all(line.ok for line in await ordinary.check())
        await ordinary.close()
    finally:
        await server.say(f"ALTER DATABASE {name} OWNER TO pupload")
        await server.say("DROP OWNED BY few", database=name)
        await server.say("DROP ROLE few")


async def test_who_stops_reading_leaves_a_good_connection(opened: Database) -> None:
    await opened.runs.create(created(a_run()))
    for _ in range(20):
        reading = asyncio.create_task(opened.runs.load("run_a"))
        for _ in range(3):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert (await opened.runs.load("run_a")).version == 1


async def test_a_full_disk_is_told_and_passes(small_disk: Path) -> None:
    server, disk = servers.shared(), small_disk
    try:
        await server.say(f"CREATE TABLESPACE small LOCATION '{disk}'")
        await server.say("CREATE DATABASE small TEMPLATE template0 TABLESPACE small")
        found = await Database.open(server.url("small"))
        kept = await found.runs.create(created(a_run("run_kept")))
        await execute(server.url("small"), "CREATE TABLE filler (bytes bytea)")
        await execute(server.url("small"), "ALTER TABLE filler ALTER bytes SET STORAGE EXTERNAL")

        async def fill() -> None:
            for _ in range(30):
                await execute(server.url("small"), "INSERT INTO filler VALUES (repeat('x', 1 << 20)::bytea)")

        async def write() -> None:
            for n in range(5000):
                await found.journal.write_logs(
                    "run_kept", "resize", n, [a_line(os.urandom(3500).hex())]
                )  # nothing to compress

        with pytest.raises(asyncpg.DiskFullError):
            await fill()
        with pytest.raises(errors.DiskFull):
            await write()
        await asyncio.to_thread(grow, disk)
        assert await found.runs.load("run_kept") == kept
        await found.journal.write_logs("run_kept", "label", 1, [a_line("y" * 7000)])
        await found.close()
    finally:
        await asyncio.to_thread(grow, disk)
        await server.say("DROP DATABASE small WITH (FORCE)")
        await server.say("DROP TABLESPACE small")


# ── doctor ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_sound_database_has_good_lines(opened: Database, url: str) -> None:
    lines, beside = await asyncio.gather(opened.check(), database.check(url))
    assert [line.what for line in lines] == [*(line.what for line in beside), "database writer"]
    assert {line.what: line.ok for line in lines} == dict.fromkeys(
        ("database server", "database encoding", "database durability", "database writer"), True
    )
