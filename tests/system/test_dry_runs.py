"""Flows tried out by the real server: real nodes, real files, and nothing left."""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pupload import errors
from tests.system import flows
from tests.system.conftest import only_here
from tests.system.server import Server

TABLE = "id,name\n" + "".join(f'{n},"name\n{n}"\n' for n in range(60))
CSV = {"Inputs": [{"Name": "in", "Type": "text/csv"}], "Outputs": [{"Name": "out", "Type": "text/csv"}]}
KEEPS = 'cat "$INPUT_IN" > "$OUTPUT_OUT"; echo "dry:$DRY_RUN"'
GROWS = 'cat "$INPUT_IN" > "$OUTPUT_OUT"; for n in $(seq 60); do echo "x$n,more" >> "$OUTPUT_OUT"; done'
ORDER = flows.an_order(
    [
        flows.a_node("keep", inputs={"in": "there"}, outputs={"out": "kept"}),
        flows.a_node("grow", inputs={"in": "kept"}, outputs={"out": "grown"}),
        flows.a_node("fail", inputs={"in": "grown"}, outputs={"out": "never"}),
        flows.a_node("behind", "keep", inputs={"in": "never"}, outputs={"out": "nothing"}),
        flows.a_node("slow", inputs={"in": "grown"}, outputs={"out": "late"}),
    ],
    [
        flows.a_script("keep", KEEPS, **CSV),
        flows.a_script("grow", GROWS, **CSV),
        flows.a_script("fail", f'test "$DRY_RUN" = 1 && exit 7; {flows.COPY}', **CSV),
        flows.a_script("slow", "sleep 600", **CSV),
    ],
)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Server]:
    """A server that nobody else keeps anything in."""
    with only_here(tmp_path) as server:
        yield server


async def test_nothing_is_left_of_a_flow_that_was_tried(alone: Server) -> None:
    async with alone.client() as client:
        before = files(alone)
        body = {**ORDER, "Inputs": {"there": {"Text": TABLE}}, "Seconds": 20}
        told = {one["Node"]: one for one in (await client.ask("POST", "/api/v1/flow/dry-run", body))["Nodes"]}
        assert {node: one["Status"] for node, one in told.items()} == {
            "keep": "success",
            "grow": "success",
            "fail": "failed",
            "behind": "skipped",
            "slow": "failed",
        }
        assert told["keep"]["Rows"] == [{"id": str(n), "name": f"name\n{n}"} for n in range(10)]
        assert told["grow"]["Rows"] == told["keep"]["Rows"]
        assert "7" in told["fail"]["Error"]
        assert told["slow"]["Error"] == "stopped after 20 seconds"
        assert (await client.list())["Total"] == 0
        assert files(alone) == before
        assert alone.containers() == []
    alone.stop()
    assert rows(alone) == 0


async def test_what_a_server_was_at_that_was_killed_is_gone_when_it_is_back(alone: Server) -> None:
    async with alone.client() as client:
        body = {**ORDER, "Inputs": {"there": {"Text": TABLE}}}
        asked = asyncio.ensure_future(client.ask("POST", "/api/v1/flow/dry-run", body))
        await until(lambda: slow_runs(alone))
        assert files(alone), "it is looked for where things lie"
        alone.kill()
        with pytest.raises(errors.PuploadError):
            await asked
    assert rows(alone) > 0
    alone.start()
    await until(lambda: not files(alone) and not alone.containers())
    async with alone.client() as client:
        assert (await client.list())["Total"] == 0
    alone.stop()
    assert rows(alone) == 0


def slow_runs(server: Server) -> bool:
    """Whether its container is at work."""
    found = server.containers(node="slow")
    return any(each["State"]["Running"] for each in found)


async def until(condition: Callable[[], bool]) -> None:
    """Nobody tells: containers and files are looked at."""
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.1)


def rows(server: Server) -> int:
    """In all tables that know of runs."""
    tables = ("runs", "plans", "node_runs", "artifacts", "journal", "log_batches", "memos", "deliveries", "letters")
    with closing(sqlite3.connect(next(server.data.glob("*.db")))) as database:
        return sum(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)


def files(server: Server) -> set[str]:
    """Bytes of objects, and what lies beside them for a while."""
    blobs = {path.name for path in (server.data / "store").rglob("*") if re.fullmatch(r"[0-9a-f]{32}", path.name)}
    beside = (server.data / name for name in ("attempts", "tables", "incoming", "inspected"))
    return blobs | {str(path) for folder in beside for path in folder.rglob("*")}
