"""What sources make of `ports.SavedFlows`: of two servers on one database, each content is saved once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pupload.adapters.folder.tree import FolderSource
from pupload.api.flow.sourced import Interpreter
from pupload.domain.sources import Kind, Source
from pupload.service.flows import Flows
from pupload.service.sources import Sources, SyncReport
from tests.bench import a_bench
from tests.contracts.states import Bench, state
from tests.service.test_sources import DEFINITION, a_text

__all__ = ["state"]

FLOWS = 6


class Two:
    """Two servers that look at one folder."""

    def __init__(self, folder: Path, flows: Flows, clock: Any) -> None:
        self.folder = folder
        self.flows = flows
        source = Source(name="local", type=Kind.FS, path=str(folder))
        self.servers = [
            Sources(known=[source], readers={Kind.FS: FolderSource()}, meaning=Interpreter, flows=flows, clock=clock)
            for _ in range(2)
        ]
        (folder / "node_defs").mkdir(parents=True)
        (folder / "node_defs" / "resize.yaml").write_text(DEFINITION)

    def write(self, width: int) -> None:
        """Other contents for all flows."""
        for number in range(FLOWS):
            (self.folder / f"f{number}.yaml").write_text(a_text(width + number))

    async def look(self) -> list[SyncReport]:
        """What each came to, both at the same moment."""
        reports = await asyncio.gather(*(server.sync() for server in self.servers))
        assert not any(report.error or report.problems for (report,) in reports)
        return [report for (report,) in reports]


@pytest.fixture
async def two(state: Bench, tmp_path: Path) -> AsyncIterator[Two]:
    async with a_bench(tmp_path / "bench") as bench:
        engine = SimpleNamespace(world=replace(bench.world, saved=state.saved))
        yield Two(tmp_path / "flows", Flows(engine=cast(Any, engine), runs=bench.runs), bench.clock)


async def test_two_servers_save_each_content_once(two: Two, state: Bench) -> None:
    for turn in range(1, 4):
        two.write(turn * 10)
        reports = await two.look()
        told = [name for report in reports for name in (*report.created, *report.changed)]
        assert sorted(told) == [f"default/f{number}" for number in range(FLOWS)]
        found = (await state.saved.list(source="local")).flows
        assert [this.version for this in found] == [turn] * FLOWS
        for this in found:
            assert [each.number for each in await state.saved.versions(this.id)] == [*range(turn, 0, -1)]


async def test_what_is_gone_reads_back_and_comes_back(two: Two, state: Bench) -> None:
    two.write(1)
    await two.look()
    before = (await state.saved.called("default", "f0"))[0]
    (two.folder / "f0.yaml").unlink()
    reports = await two.look()
    assert [name for report in reports for name in report.gone] == ["default/f0"]
    await state.again()
    gone = await state.saved.get(before.id)
    assert (gone.gone, gone.enabled, gone.version) == (True, False, 1)
    assert gone not in (await state.saved.list(enabled=True)).flows
