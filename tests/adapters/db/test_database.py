"""Opening, refusing and looking over a database."""

import asyncio
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import alembic.autogenerate
import alembic.migration
import pytest
import sqlalchemy

from pupload import errors
from pupload.adapters.db import database, tables
from pupload.adapters.db.database import Database
from pupload.domain import run
from tests.contracts.states import NOON, a_line, a_plan, a_run, arrived, created, ended, moved


def execute(path: Path, sql: str, *values: object) -> None:
    """As somebody with a shell would."""
    with sqlite3.connect(path) as connection:
        connection.execute(sql, values)
    connection.close()


async def test_the_migrations_make_the_tables_that_are_described(tmp_path: Path) -> None:
    made = await Database.open(tmp_path / "p.db")
    await made.close()
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'p.db'}")
    with engine.connect() as connection:
        context = alembic.migration.MigrationContext.configure(connection, opts={"compare_type": True})
        assert alembic.autogenerate.compare_metadata(context, tables.metadata) == []
    engine.dispose()
    described = {
        name: str(sqlalchemy.schema.CreateTable(table).compile(dialect=engine.dialect)).count("WITHOUT ROWID")
        for name, table in tables.metadata.tables.items()
    }
    with sqlite3.connect(tmp_path / "p.db") as plain:
        rows = plain.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    plain.close()
    theirs = ("alembic_version", "sqlite_sequence")
    found = {name: sql.count("WITHOUT ROWID") for name, sql in rows if name not in theirs}
    assert found == described


async def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "p.db").touch(mode=0o644)
    opened = await Database.open(tmp_path / "p.db")
    await opened.runs.create(created(a_run()))
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(tmp_path)}
    await opened.close()
    assert modes == {"p.db": 0o600, "p.db-wal": 0o600, "p.db-shm": 0o600, "pupload.lock": 0o600}


async def test_a_second_server_on_the_same_folder_is_refused_by_name(tmp_path: Path) -> None:
    first = await Database.open(tmp_path / "p.db")
    with pytest.raises(errors.Misconfigured, match=f"process {os.getpid()}"):
        await Database.open(tmp_path / "p.db")
    await first.close()
    second = await Database.open(tmp_path / "p.db")
    await second.close()


async def test_the_instance_keeps_its_name(tmp_path: Path) -> None:
    names = set()
    for folder in (tmp_path / "a", tmp_path / "a", tmp_path / "b"):
        opened = await Database.open(folder / "p.db")
        names.add(opened.instance)
        await opened.close()
    assert len(names) == 2
    assert all(len(name) == 16 and name.isalnum() for name in names)


async def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    path.write_bytes(b"my holiday pictures " * 500)
    for _ in range(2):  # the second time: the folder was given free again
        with pytest.raises(errors.Damaged, match=r"p\.db"):
            await Database.open(path)
    assert path.read_bytes() == b"my holiday pictures " * 500


async def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    opened = await Database.open(tmp_path / "p.db")
    for n in range(50):
        await opened.runs.create(created(a_run(f"run_{n}")))
    await opened.close()
    os.truncate(tmp_path / "p.db", (tmp_path / "p.db").stat().st_size // 2)
    with pytest.raises(errors.Damaged, match="backup"):
        await Database.open(tmp_path / "p.db")


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    opened = await Database.open(tmp_path / "p.db")
    await opened.close()
    execute(tmp_path / "p.db", "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(errors.Misconfigured, match="another version of pupload"):
        await Database.open(tmp_path / "p.db")


async def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    execute(tmp_path / "p.db", "CREATE TABLE projects (somebody_elses TEXT)")
    with pytest.raises(errors.DatabaseUnavailable, match="projects"):
        await Database.open(tmp_path / "p.db")
    with sqlite3.connect(tmp_path / "p.db") as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["projects"]
    connection.close()


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ("/srv/p.db", "/srv/p.db"),
        (Path("/srv/p.db"), "/srv/p.db"),
        ("sqlite:////srv/p.db", "/srv/p.db"),
        ("sqlite:///p.db", str(Path("p.db").absolute())),
    ],
)
def test_a_database_is_named_by_path_or_url(where: str | Path, path: str) -> None:
    assert str(database.path_of(where)) == path


@pytest.mark.parametrize("where", ["mysql://me:secret@there/p", "sqlite://", "://", "sqlite+nonsense:///p.db"])
def test_what_is_no_sqlite_database_is_refused_without_its_password(where: str) -> None:
    with pytest.raises(errors.Misconfigured) as refused:
        database.path_of(where)
    assert "secret" not in str(refused.value)


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.Misconfigured, match="data folder"):
        await Database.open(tmp_path / "file" / "p.db")
    (tmp_path / "p.db").mkdir()
    with pytest.raises(errors.Misconfigured, match=r"p\.db"):
        await Database.open(tmp_path / "p.db")


# ── One bad row ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("UPDATE runs SET head = x'ff00' WHERE id = 'run_a'", "run run_a"),
        ("UPDATE plans SET blob = x'01' WHERE run_id = 'run_a'", "the plan of run run_a"),
        ("DELETE FROM plans WHERE run_id = 'run_a'", "the plan of run run_a"),
        ("UPDATE node_runs SET blob = zeroblob(1000000) WHERE run_id = 'run_a'", "node resize of run run_a"),
    ],
)
async def test_one_damaged_row_spoils_one_run(tmp_path: Path, sql: str, named: str) -> None:
    opened = await Database.open(tmp_path / "p.db")
    for name in ("run_a", "run_b"):
        first = await opened.runs.create(created(a_run(name)))
        await opened.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    execute(tmp_path / "p.db", sql)
    with pytest.raises(errors.Damaged, match=named):
        await opened.runs.load("run_a")
    assert (await opened.runs.load("run_b")).version == 2
    assert (await opened.runs.list()).total == 2
    assert await opened.runs.unfinished() == ["run_a", "run_b"]
    await opened.runs.condemn("run_a", "internal: unreadable", NOON)
    found = await opened.runs.load("run_a")
    assert (found.status, found.error, found.finished_at) == (run.Status.ERROR, "internal: unreadable", NOON)
    assert (found.created_at, found.version, found.plan.flow.name) == (NOON, 3, "shrink")
    assert await opened.runs.unfinished() == ["run_b"]
    await opened.close()


async def test_what_can_be_read_of_a_run_that_failed_is_told(tmp_path: Path) -> None:
    opened = await Database.open(tmp_path / "p.db")
    of = a_plan()
    of = replace(of, edges={**of.edges, "small": replace(of.edges["photo"], name="small", producer="label")})
    first = await opened.runs.create(created(replace(a_run(of=of), resumed_from=None)))
    second = await opened.runs.save(moved(first, "resize", run.NodeStatus.COMPLETE), if_version=1)
    third = await opened.runs.save(moved(second, "label", run.NodeStatus.COMPLETE), if_version=2)
    for version, edge in ((3, "photo"), (4, "small")):
        third = await opened.runs.save(arrived(third, edge), if_version=version)
    failed = replace(ended(third, run.Status.ERROR), run=replace(third, status=run.Status.ERROR, error="the first"))
    whole = await opened.runs.save(failed, if_version=5)
    execute(tmp_path / "p.db", "UPDATE node_runs SET blob = x'' WHERE node_id = 'resize'")
    execute(tmp_path / "p.db", "UPDATE artifacts SET blob = x'01ff' WHERE edge = 'small'")
    found = await opened.runs.load("run_a")
    assert (found.error, found.plan, set(found.artifacts)) == ("the first", whole.plan, {"photo"})
    for node, named in (("resize", "node resize of run run_a"), ("label", "artifact small of run run_a")):
        assert found.nodes[node].status is run.NodeStatus.ERROR
        assert named in found.nodes[node].error
    execute(tmp_path / "p.db", "UPDATE runs SET head = x'01'")
    assert await opened.runs.load("run_a") == found
    execute(tmp_path / "p.db", "UPDATE runs SET status = 'COMPLETE'")
    with pytest.raises(errors.Damaged):  # nobody said that something was wrong with it
        await opened.runs.load("run_a")
    await opened.close()


async def test_damaged_journals_and_logs_are_named(tmp_path: Path) -> None:
    opened = await Database.open(tmp_path / "p.db")
    await opened.runs.create(created(a_run()))
    await opened.journal.write_logs("run_a", "resize", 1, [a_line("a"), a_line("b")])
    execute(tmp_path / "p.db", "UPDATE journal SET kind = 'run.danced' WHERE seq = 2")
    execute(tmp_path / "p.db", "UPDATE log_batches SET count = 3")
    with pytest.raises(errors.Damaged, match=r"event 2 of run run_a.*run\.danced"):
        await opened.journal.read("run_a")
    with pytest.raises(errors.Damaged, match="log lines up to 2 of run run_a"):
        await opened.journal.read_logs("run_a")
    await opened.journal.write_logs("run_a", "resize", 1, [a_line("c")])
    execute(tmp_path / "p.db", "UPDATE log_batches SET count = 9 WHERE last_cursor = 2")
    (record,) = (await opened.journal.log_tails("run_a", lines=10))["resize"]
    assert (record.number, record.line.message) == (3, "c")
    await opened.close()


async def test_a_deleted_run_leaves_no_row(tmp_path: Path) -> None:
    opened = await Database.open(tmp_path / "p.db")
    first = await opened.runs.create(created(a_run(of=a_plan())))
    await opened.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    await opened.journal.write_logs("run_a", "resize", 1, [a_line("a")])
    await opened.runs.delete("run_a")
    await opened.close()
    with sqlite3.connect(tmp_path / "p.db") as connection:
        left = {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables.metadata.tables
        }
    connection.close()
    # Which rows there were is told to nobody any more, and forgotten with others of its time.
    assert left == dict.fromkeys(left, 0) | {"meta": 1, "feed": 3}


async def test_a_closed_database_is_one_file(tmp_path: Path) -> None:
    opened = await Database.open(tmp_path / "p.db")
    await opened.runs.create(created(a_run()))
    await opened.runs.load("run_a")
    await opened.close()
    assert sorted(entry.name for entry in os.scandir(tmp_path)) == ["p.db", "pupload.lock"]


async def test_a_closed_database_refuses(tmp_path: Path) -> None:
    opened = await Database.open(tmp_path / "p.db")
    await opened.close()
    with pytest.raises(errors.DatabaseUnavailable):
        await opened.runs.load("run_a")
    with pytest.raises(errors.DatabaseUnavailable):
        await opened.runs.create(created(a_run()))


# ── doctor ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_sound_database_has_good_lines(tmp_path: Path) -> None:
    opened = await Database.open(tmp_path / "p.db")
    lines, beside = await asyncio.gather(opened.check(), database.check(tmp_path / "p.db"))
    await opened.close()
    assert [line.what for line in lines] == [*(line.what for line in beside), "database writer"]
    assert {line.what: line.ok for line in lines} == dict.fromkeys(
        ("database integrity", "database journal", "database file mode", "database disk", "database writer"), True
    )
    assert not (await opened.check())[-1].ok  # closed by now
    assert all(line.ok for line in await database.check(tmp_path / "p.db"))


async def test_what_is_wrong_is_said_with_how_to_mend_it(tmp_path: Path) -> None:
    assert [line.ok for line in await database.check(tmp_path / "none.db")] == [True]
    path = tmp_path / "p.db"
    path.write_bytes(b"my holiday pictures " * 500)
    path.chmod(0o644)
    lines = {line.what: line for line in await database.check(path)}
    assert not lines["database"].ok
    assert not lines["database file mode"].ok
    assert f"chmod 600 {path}" in lines["database file mode"].detail
