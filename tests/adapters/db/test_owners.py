"""A database from before there were accounts, opened: what is in it is nobody's, and reads as it did."""

from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import msgspec
import sqlalchemy

from pupload.adapters.db import codec, migrations, plans, sealed
from pupload.adapters.db.database import Database
from pupload.adapters.sealing.sealer import FileSealer
from pupload.domain import run, saved, schedule
from pupload.ports import Project
from tests.contracts.states import NOON, a_plan, a_run

BEFORE = "0011"
AT = codec.micros(NOON)
FLOW = saved.SavedFlow(id="flow_a", namespace="default", name="daily", created_at=NOON, updated_at=NOON)
SCHEDULE = schedule.Schedule(id="sched_a", flow_id="flow_a", cron="0 6 * * *", created_at=NOON)
PROJECT = Project(id="01563e3a-b5d3-d676-4c61-efb99302bd5b", name="pictures")


def as_it_was(blob: bytes, *since: str) -> bytes:
    """The blob without the fields that came since."""
    facts: dict[str, Any] = msgspec.msgpack.decode(blob[1:])
    for name in since:
        del facts[name]
    return blob[:1] + msgspec.msgpack.encode(facts)


def rows(seal: sealed.Seal) -> dict[str, dict[str, Any]]:
    """A row of each table, as an earlier version wrote it."""
    plan = as_it_was(plans.PLAN.encode(a_plan()), "account")
    value = as_it_was(codec.SCHEDULE.encode(SCHEDULE), "account")
    flow = as_it_was(codec.SAVED_FLOW.encode(FLOW), "account", "public")
    project = as_it_was(codec.PROJECT.encode(PROJECT), "account")
    head = codec.encode_head(a_run())
    usual = {"status": "ERROR", "version": 3, "created_at": AT, "started_at": AT, "finished_at": AT, "error": "why"}
    return {
        "runs": {"id": "run_a", "flow": "shrink", **usual, "last_seq": 0, "head": head},
        "plans": {"run_id": "run_a", "blob": seal.close(plan, sealed.plan("run_a"))},
        "saved_flows": {
            "id": FLOW.id,
            "namespace": FLOW.namespace,
            "name": FLOW.name,
            "source": FLOW.source,
            "enabled": 1,
            "revision": 1,
            "words": saved.words(FLOW),
            "blob": flow,
        },
        "schedules": {
            "id": SCHEDULE.id,
            "flow_id": SCHEDULE.flow_id,
            "enabled": 1,
            "version": 1,
            "blob": seal.close(value, sealed.schedule(SCHEDULE.id)),
        },
        "secrets": {"name": "KEY", "changed_at": AT, "blob": seal.close(b"value", sealed.secret("KEY"))},
        "projects": {"id": PROJECT.id, "name": "pictures", "blob": seal.close(project, sealed.project(PROJECT.id))},
    }


def written_before(path: Path, seal: sealed.Seal) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, BEFORE)
        for table, row in rows(seal).items():
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(sqlalchemy.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
    engine.dispose()


async def test_what_was_there_before_accounts_is_nobodys(tmp_path: Path) -> None:
    path, sealer = tmp_path / "pupload.db", FileSealer(tmp_path / "secret.key")
    written_before(path, sealed.Seal(sealer))
    database = await Database.open(path, sealer=sealer)
    try:
        (summary,) = (await database.runs.list()).runs
        assert (summary.id, summary.account) == ("run_a", None)
        assert (await database.runs.load("run_a")).plan.account is None
        assert (await database.runs.list(account=1)).total == 0
        assert await database.runs.statuses(NOON) == {run.Status.ERROR: 1}
        assert await database.saved.called("default", "daily") == [FLOW]
        assert (await database.saved.list(account=1)).total == 0
        assert [this.account for this in await database.schedules.list()] == [None]
        assert await database.schedules.list(account=1) == []
        assert (await database.secrets.reveal("KEY"), await database.secrets.reveal("KEY", account=1)) == (
            "value",
            None,
        )
        assert await database.flows.projects(PROJECT.id) == [PROJECT]
    finally:
        await database.close()
