"""`pup flow sources` and `pup flow sync`."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from pupload.domain.sources import Kind, Source
from tests.api.house import a_house
from tests.cli.test_pup import Pup, pup
from tests.cli.test_saved import DEFINITION, FLOW

__all__ = ["pup"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "flows"
    (root / "node_defs").mkdir(parents=True)
    (root / "node_defs" / "resize.yaml").write_text(DEFINITION)
    (root / "shrink.yaml").write_text(FLOW)
    monkeypatch.delenv("PUPLOAD_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return root


async def test_sources_are_listed_and_looked_at(pup: Pup, folder: Path, tmp_path: Path) -> None:
    local = Source(name="local", type=Kind.FS, path=str(folder), namespace="pictures")
    lost = Source(name="lost", type=Kind.FS, path=str(tmp_path / "none"))
    with ThreadPoolExecutor(1) as hand:  # the server reads folders in the one thread that there is else
        await _see(pup, folder, tmp_path, sources=[local, lost], hand=hand)


async def _see(pup: Pup, folder: Path, tmp_path: Path, *, sources: list[Source], hand: ThreadPoolExecutor) -> None:
    async with a_house(tmp_path, sources=sources) as house:

        async def say(*words: str) -> int:
            asked = partial(pup, "flow", *words, "--url", house.url)
            return await asyncio.get_running_loop().run_in_executor(hand, asked)

        assert await say("sync", "local") == 0
        assert pup.said == "local: 1 flows, 1 new\n  new      pictures/shrink\n"
        (folder / "shrink.yaml").write_text(FLOW.replace("Name: shrink", "Name: shrink\nTimeout: 1h"))
        (folder / "bad.yaml").write_text("Nodes:\n  - ID: [\n")
        assert await say("sync", "local") == 1
        assert "  changed  pictures/shrink\n" in pup.said
        assert "local: bad.yaml:3: " in pup.complaint
        assert await say("sync", "--json") == 3
        assert [report["Flows"] for report in pup.json["Reports"]] == [1]
        assert "Source lost cannot be read" in pup.complaint
        assert await say("sync", "lost") == 3
        assert await say("sync", "other") == 1
        assert await say("sources") == 0
        assert "local   fs" in pup.said
        assert "local: bad.yaml:3: " in pup.complaint
        assert "Source lost cannot be read" in pup.complaint
        assert await say("sources", "--json") == 0
        assert [each["Name"] for each in pup.json["Sources"]] == ["api", "local", "lost"]
        (folder / "shrink.yaml").unlink()
        await say("sync", "local")
        assert await say("list") == 0
        assert "(gone from local)" in pup.said


async def test_a_server_without_sources_says_so(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        assert await asyncio.to_thread(pup, "flow", "sync", "--url", house.url) == 0
        assert "has no sources" in pup.complaint
