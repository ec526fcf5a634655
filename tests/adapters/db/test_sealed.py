"""At rest: nothing that is to be secret can be found in the bytes of a database, and a wrong key is noticed."""

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pupload import errors, ports
from pupload.adapters.db.database import Database
from pupload.adapters.sealing.sealer import FileSealer
from pupload.domain import credential, delivery, flow, run, schedule
from pupload.domain.drawing.model import Drawing, DrawnNode
from pupload.domain.namespace import Namespace, Sketch
from tests import postgres
from tests.contracts.states import NOON, a_plan, a_run

MARKER = "MARKER-d41d8cd98f00b204"

STORE = flow.Store(name="mine", type="s3", params={"Endpoint": "http://here", "AccessKey": "AK", "SecretKey": MARKER})
WELL = flow.DataWell(edge="photo", source="webhook", secret=f"{MARKER}2")
PROJECT = ports.Project(id="01563e3a-b5d3-d676-4c61-efb99302bd5b", flows=(flow.Flow(stores=(STORE,), wells=(WELL,)),))


CALLBACK = delivery.Delivery(
    id="msg_a",
    run="run_a",
    kind="run.completed",
    url=f"https://hooks.example/?key={MARKER}4",
    body=b"{}",
    created_at=NOON,
    due_at=NOON,
)

SCHEDULE = schedule.Schedule(
    id="sched_a",
    flow_id="flow_a",
    interval_seconds=60,
    params={"key": f"{MARKER}5"},
    given=f'"{MARKER}9"',
    created_at=NOON,
)


CREDENTIAL = credential.Credential(
    key="cred_a", name="a", type="tool", detail={"config": {"key": f"{MARKER}6"}}, created_at=NOON, updated_at=NOON
)


DRAWING = Drawing(
    slug="draft",
    name="Draft",
    nodes=(DrawnNode(node_id="a", component="code", config={"extra_config": {"key": f"{MARKER}7"}}, updated_at=NOON),),
    created_at=NOON,
    updated_at=NOON,
)


NAMESPACE = Namespace(
    name="shop", created_at=NOON, sketches={"main": Sketch(version=1, graph=f'{{"nodes": "{MARKER}8"}}')}
)


def a_secretive_run(run_id: str = "run_a") -> run.Run:
    plain = a_plan()
    edges = {name: replace(edge, secret=f"{MARKER}2") for name, edge in plain.edges.items()}
    asked = replace(plain.flow, stores=(STORE,), wells=(WELL,))
    return a_run(run_id, of=replace(plain, flow=asked, edges=edges, stores={"mine": STORE}))


async def fill(database: Database) -> None:
    await database.runs.create(run.Decision(run=a_secretive_run(), at=NOON))
    await database.flows.put_project(PROJECT)
    await database.secrets.put("KEY", f"{MARKER}3", at=NOON)
    await database.outbox.add([CALLBACK])
    assert await database.schedules.put(SCHEDULE)
    await database.drawings.create(DRAWING)
    await database.credentials.add(CREDENTIAL)
    assert await database.namespaces.put(NAMESPACE)


async def holds_all(database: Database) -> bool:
    found = await database.runs.load("run_a")
    return (
        found.plan == a_secretive_run().plan
        and await database.flows.projects(PROJECT.id) == [PROJECT]
        and await database.secrets.reveal("KEY") == f"{MARKER}3"
        and await database.outbox.of_run("run_a") == [CALLBACK]
        and await database.schedules.list() == [replace(SCHEDULE, version=1)]
        and (await database.drawings.find("draft")).nodes == (replace(DRAWING.nodes[0], id=1),)
        and await database.credentials.owned(None) == [replace(CREDENTIAL, id=1, revision=1)]
        and await database.namespaces.find("shop") == [replace(NAMESPACE, revision=1)]
    )


def files_of(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def the_marker_in(folder: Path) -> list[str]:
    return [path.name for path in files_of(folder) if MARKER.encode() in path.read_bytes()]


async def test_no_byte_of_the_file_or_its_log_holds_a_secret(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "pupload.db", sealer=FileSealer(tmp_path / "secret.key"))
    await fill(database)
    assert any(path.name.endswith("-wal") and path.stat().st_size for path in files_of(tmp_path))
    assert not the_marker_in(tmp_path)
    assert await holds_all(database)
    await database.close()
    assert not the_marker_in(tmp_path)


async def test_no_byte_of_a_server_or_of_its_dump_holds_a_secret(tmp_path: Path) -> None:
    server = postgres.shared()
    url = await server.emptied()
    database = await Database.open(url, sealer=FileSealer(tmp_path / "secret.key"))
    await fill(database)
    assert await holds_all(database)
    await database.close()
    await server.say("CHECKPOINT")
    command = [str(postgres.binaries() / "pg_dump"), "--inserts", url]
    dump = (await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)).stdout
    assert b"run_a" in dump
    # Bytes are in hex there.
    assert MARKER.encode() not in dump
    assert MARKER.encode().hex().encode() not in dump
    assert not the_marker_in(server.folder)


async def test_without_a_key_it_is_not_opened_and_the_missing_key_is_named(tmp_path: Path) -> None:
    path, key = tmp_path / "db" / "pupload.db", tmp_path / "secret.key"
    database = await Database.open(path, sealer=FileSealer(key))
    await database.close()
    with pytest.raises(errors.Misconfigured, match="the database is encrypted, and no key was given"):
        await Database.open(path)
    with pytest.raises(errors.Misconfigured, match=r"the database is encrypted with key [0-9a-f]{16}, which is not in"):
        await Database.open(path, sealer=FileSealer(tmp_path / "another.key"))
    assert not (tmp_path / "another.key").exists()
    database = await Database.open(path, sealer=FileSealer(key))  # whoever was refused has let go of it
    await database.close()


async def test_what_was_written_before_there_was_a_key_is_read_and_sealed_at_the_next_rotation(tmp_path: Path) -> None:
    path, key = tmp_path / "pupload.db", tmp_path / "secret.key"
    plain = await Database.open(path)
    await plain.runs.create(run.Decision(run=a_secretive_run(), at=NOON))
    await plain.flows.put_project(PROJECT)
    await plain.outbox.add([CALLBACK])
    assert await plain.schedules.put(SCHEDULE)
    await plain.drawings.create(DRAWING)
    assert await plain.namespaces.put(NAMESPACE)
    with pytest.raises(errors.Misconfigured, match="no key"):
        await plain.secrets.put("KEY", f"{MARKER}3", at=NOON)
    with pytest.raises(errors.Misconfigured, match="no key"):
        await plain.credentials.add(CREDENTIAL)
    await plain.close()
    assert the_marker_in(tmp_path)
    database = await Database.open(path, sealer=FileSealer(key))
    await database.secrets.put("KEY", f"{MARKER}3", at=NOON)
    await database.credentials.add(CREDENTIAL)
    assert await holds_all(database)
    await database.secrets.reseal(new_key=False)
    assert await holds_all(database)
    await database.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM")  # what was deleted lies about in a file until its room is used again
    assert not the_marker_in(tmp_path)


async def test_after_a_rotation_the_old_key_is_not_needed(tmp_path: Path) -> None:
    path, key = tmp_path / "pupload.db", tmp_path / "secret.key"
    database = await Database.open(path, sealer=FileSealer(key))
    await fill(database)
    newest = await database.secrets.reseal(new_key=True)
    await database.close()
    remark, new, old = key.read_text().splitlines()
    key.write_text(f"{remark}\n{new}\n")
    database = await Database.open(path, sealer=FileSealer(key))
    assert await holds_all(database)
    await database.close()
    key.write_text(f"{old}\n")
    with pytest.raises(errors.Misconfigured, match=newest):
        await Database.open(path, sealer=FileSealer(key))


async def test_a_sealed_row_in_the_place_of_another_is_damaged(tmp_path: Path) -> None:
    path, key = tmp_path / "pupload.db", tmp_path / "secret.key"
    database = await Database.open(path, sealer=FileSealer(key))
    await database.secrets.put("MINE", "my value", at=NOON)
    await database.secrets.put("YOURS", "your value", at=NOON)
    await database.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE secrets SET blob = (SELECT blob FROM secrets WHERE id = 'YOURS') WHERE id = 'MINE'")
    database = await Database.open(path, sealer=FileSealer(key))
    with pytest.raises(errors.Damaged, match="secret MINE"):
        await database.secrets.reveal("MINE")
    await database.close()


async def test_a_callback_that_cannot_be_read_keeps_no_other_from_being_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = await Database.open(tmp_path / "pupload.db", sealer=FileSealer(tmp_path / "secret.key"))
    await fill(database)
    await database.outbox.add([replace(CALLBACK, id="msg_b")])
    with closing(sqlite3.connect(tmp_path / "pupload.db")) as db, db:
        # A row in another's place is as little to be believed as one that is garbage.
        db.execute("UPDATE deliveries SET blob = (SELECT blob FROM deliveries WHERE id = 'msg_b') WHERE id = 'msg_a'")
    for _ in range(2):
        assert [one.id for one in await database.outbox.due(NOON, per_host=9, limit=9)] == ["msg_b"]
    assert caplog.text.count("callback msg_a") == 1
    await database.close()
