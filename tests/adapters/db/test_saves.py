"""What a save costs: in proportion to what changed, whatever the size of the run."""

from pathlib import Path

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
