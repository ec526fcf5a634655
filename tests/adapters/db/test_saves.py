"""What a save costs: in proportion to what changed, whatever the size of the run."""

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pupload import errors
from pupload.adapters.db.database import Database
from pupload.adapters.db.saves import Save, artifact_rows, event_rows, node_rows
from pupload.adapters.db.sqlite_home import SqliteHome
from pupload.domain import events
from pupload.domain.decide import begin, decide
from pupload.domain.run import Decision, Run
from tests.builders import NOON, a_chain, a_flow, a_node, a_plan

SMALL, LARGE = 20, 2000


def a_long_run(nodes: int) -> Decision:
    """A chain whose first node starts at once."""
    first, *rest = a_chain(nodes)
    flow = a_flow(a_node(first.id, inputs={}, outputs={"resized": "e1"}), *rest)
    return begin("run_a", a_plan(flow, run_id="run_a"), now=NOON)


def admitted(this: Run) -> Decision:
    return decide(this, events.NodeAdmitted(node="n0", attempt=1), now=NOON)


def written_bytes(decision: Decision) -> int:
    """Of all the blobs that saving it writes."""
    rows = [
        *node_rows(decision.run, decision.changed_nodes),
        *artifact_rows(decision.run, decision.changed_edges),
        *event_rows(decision, after=0),
    ]
    return sum(len(row["blob"]) for row in rows) + len(Save(decision).head["new_head"])


def test_the_bytes_of_a_decision_do_not_grow_with_its_run() -> None:
    small, large = (admitted(a_long_run(nodes).run) for nodes in (SMALL, LARGE))
    assert written_bytes(large) == written_bytes(small)


async def test_the_statements_of_a_save_do_not_grow_with_its_run(tmp_path: Path) -> None:
    said = [await _statements_of_a_save(tmp_path / str(nodes) / "pupload.db", nodes) for nodes in (SMALL, LARGE)]
    assert said[0] == said[1]
    kinds = [statement.split()[0] for statement in said[0]]
    assert kinds == ["BEGIN", "UPDATE", "INSERT", "INSERT", "INSERT", "COMMIT"]


async def _statements_of_a_save(path: Path, nodes: int) -> list[str]:
    """What SQLite is told while one decision is saved, without the values."""
    home = await SqliteHome.open(path, folder=None, busy_seconds=1.0)
    database = Database(home)
    try:
        saved = await database.runs.create(a_long_run(nodes))
        said: list[str] = []
        home.writer._session.connection.set_trace_callback(said.append)
        await database.runs.save(admitted(saved), if_version=1)
        home.writer._session.connection.set_trace_callback(None)
        return [statement.partition("VALUES")[0].partition("SET")[0] for statement in said]
    finally:
        await database.close()


# ── Many at once ─────────────────────────────────────────────────────────────────────────────────────────────────

KINDS = ("good", "again", "stale", "fenced", "unknown")
RUNS = 6


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, RUNS - 1), st.sampled_from(KINDS)), min_size=2, max_size=40))
def test_many_saves_at_once_are_what_they_are_one_by_one(orders: list[tuple[int, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        together = asyncio.run(_saved(Path(folder) / "one" / "pupload.db", orders, at_once=True))
        alone = asyncio.run(_saved(Path(folder) / "two" / "pupload.db", orders, at_once=False))
    assert together == alone


async def test_many_saves_at_once_take_few_statements(tmp_path: Path) -> None:
    home = await SqliteHome.open(tmp_path / "pupload.db", folder=None, busy_seconds=1.0)
    database = Database(home)
    try:
        saved = [await database.runs.create(_begun(f"run_{number}")) for number in range(32)]
        said: list[str] = []
        home.writer._session.connection.set_trace_callback(said.append)
        await asyncio.gather(*(database.runs.save(admitted(one), if_version=1) for one in saved))
        home.writer._session.connection.set_trace_callback(None)
    finally:
        await database.close()
    kinds = [statement.split()[0] for statement in said]
    assert kinds == ["BEGIN", "SELECT", "UPDATE", "INSERT", "INSERT", "INSERT", "COMMIT"]


def _begun(run_id: str) -> Decision:
    first, *rest = a_chain(2)
    flow = a_flow(a_node(first.id, inputs={}, outputs={"resized": "e1"}), *rest)
    return begin(run_id, a_plan(flow, run_id=run_id), now=NOON)


async def _saved(path: Path, orders: list[tuple[int, str]], *, at_once: bool) -> tuple[list[str], list[Any]]:
    """What came of each, and what is in the database afterwards."""
    database = await Database.open(path)
    try:
        runs = [await database.runs.create(_begun(f"run_{number}")) for number in range(RUNS)]
        calls = [_save(database, runs[number], kind) for number, kind in orders]
        told = await asyncio.gather(*calls) if at_once else [await call for call in calls]
    finally:
        await database.close()
    with closing(sqlite3.connect(path)) as connection:
        tables = ("runs", "node_runs", "artifacts", "journal", "feed")
        return told, [connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables]


async def _save(database: Database, this: Run, kind: str) -> str:
    decision = admitted(this)
    if kind == "fenced":
        decision = replace(decision, run=replace(decision.run, fence=9))
    elif kind == "unknown":
        decision = replace(decision, run=replace(decision.run, id="run_nobody"))
    try:
        found = await database.runs.save(decision, if_version={"again": 2, "stale": 7}.get(kind, 1))
    except errors.PuploadError as error:
        return repr(error)
    return f"{found.id} {found.version}"
