"""Whether the server can do its work, how much there is, and which node types it knows."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from pupload import errors
from pupload.domain.nodedef import NodeDef
from pupload.engine.admission import Room
from pupload.service import health
from pupload.service.health import Health
from pupload.service.nodes import Nodes
from tests.bench import a_bench, ends
from tests.builders import a_definition, a_flow, a_node
from tests.engine.worlds import Faulty, OneStore, changed, raises

IMAGE = "pupload/resize:latest"


async def test_all_is_well(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        lines = await Health(bench.engine).check()
        assert [(line.name, line.ok, line.detail) for line in lines] == [
            ("database", True, ""),
            ("store", True, ""),
            ("engine", True, ""),
            ("disk", True, ""),
        ]


async def test_what_is_away_is_told_in_its_own_words(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as first:
        store, runs = Faulty(first.store), Faulty(first.world.runs)
        async with changed(first, stores=OneStore(store), runs=runs) as bench:
            store.before["stat"] = raises(errors.StoreUnavailable(store="default", endpoint="e", reason="no route"))
            runs.before["list"] = raises(errors.DatabaseUnavailable(reason="it is locked"))
            bench.executor.down = True
            lines = {line.name: line for line in await Health(bench.engine).check()}
            assert [name for name, line in lines.items() if line.ok] == ["disk"]
            assert lines["store"].detail == "The store default at e cannot be reached: no route"
            assert lines["database"].detail == "The database cannot be used: it is locked"
            assert "container engine" in lines["engine"].detail
            bench.executor.down = False


async def test_what_does_not_answer_in_time_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.01)

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    async with a_bench(tmp_path) as first:
        executor = Faulty(first.executor)
        async with changed(first, executor=executor) as bench:
            executor.before["capacity"] = hang
            lines = {line.name: line for line in await Health(bench.engine).check()}
            assert lines["engine"].detail == "did not answer within 0.01 s"
            assert lines["store"].ok


async def test_numbers_are_of_what_goes_on(tmp_path: Path) -> None:
    room = Room(cpus=100, memory_bytes=64 << 30, gpus={}, attempts=2)
    async with a_bench(tmp_path, room=room) as bench:
        bench.image(IMAGE, ends(hangs=True))
        for _ in range(3):
            await bench.start(a_flow(a_node(inputs={})))
        await bench.start(a_flow())
        health = Health(bench.engine)
        await bench.until(lambda: health.counts().totals.get("node.started") == 2)
        await bench.until(lambda: health.counts().runs == {"RUNNING": 3, "WAITING": 1})
        counts = health.counts()
        assert (counts.containers, counts.queued) == (2, 1)
        assert counts.capacity == {"cpus": 100, "memory_bytes": 64 << 30, "attempts": 2}
        assert counts.used["attempts"] == 2
        assert 0 < counts.used["memory_bytes"] <= counts.capacity["memory_bytes"]
        assert counts.totals["run.created"] == 4
        assert counts.totals["node.started"] == 2


async def test_the_catalogue_is_passed_on() -> None:
    class Catalogue:
        async def find(self, uses: str) -> NodeDef | None:
            return None

        async def all(self) -> Sequence[NodeDef]:
            return [a_definition("a/a"), a_definition("b/b")]

    assert [one.uses for one in await Nodes(Catalogue()).all()] == ["a/a", "b/b"]
