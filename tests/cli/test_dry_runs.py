"""`pup dry-run`: flows tried out."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.api.house import a_house
from tests.bench import copies, ends
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]

FLOW = """\
Name: monthly
Nodes:
  - {ID: clean, Uses: own/copy, Inputs: [{Name: image, Edge: orders}], Outputs: [{Name: resized, Edge: cleaned}]}
"""
DEFINITION = """\
Publisher: own
Name: copy
Image: own/copy:latest
Tier: c-small
Inputs: [{Name: image, Type: text/csv}]
Outputs: [{Name: resized, Type: text/csv}]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    for folder in ("flows", "node_defs"):
        (root / folder).mkdir(parents=True)
    (root / "pup.yaml").write_text("ProjectName: pictures\n")
    (root / "flows" / "monthly.yaml").write_text(FLOW)
    (root / "node_defs" / "copy.yaml").write_text(DEFINITION)
    (root / "orders.csv").write_text("id,name\n" + "".join(f"{n},name {n}\n" for n in range(60)))
    monkeypatch.chdir(root)
    monkeypatch.delenv("PUPLOAD_URL", raising=False)
    return root


async def test_a_flow_of_the_project_and_a_saved_one_are_tried(pup: Pup, project: Path, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        own = ThreadPoolExecutor(1)  # the house has one thread for itself

        async def say(*words: str) -> int:
            return await asyncio.get_running_loop().run_in_executor(own, partial(pup, *words, "--url", house.url))

        house.bench.image("own/copy:latest", copies("image", "resized.csv"))
        assert await say("dry-run", "monthly", "-i", "orders=orders.csv") == 0, pup.complaint
        assert "clean: success" in pup.said
        assert "name 9" in pup.said
        assert "name 10" not in pup.said
        assert await say("dry-run", "flows/monthly.yaml", "--json") == 0
        (node,) = pup.json["Nodes"]
        assert (node["Status"], node["Error"]) == ("skipped", "waits for an upload of edge orders")
        assert await say("flow", "save", "monthly") == 0
        assert await say("dry-run", "monthly", "--saved", "-i", "orders=orders.csv", "--json") == 0
        assert len(pup.json["Nodes"][0]["Rows"]) == 10
        house.bench.image("own/copy:latest", ends(code=3))
        assert await say("dry-run", "monthly", "--version", "1", "-i", "orders=orders.csv") == 1
        assert "clean: failed: " in pup.said
        assert not house.bench.kept.shelf.books


@pytest.mark.parametrize(
    "words", [["-i", "orders"], ["-i", "orders=none.csv"], ["--from", "orders=run_1"], ["-i", "orders=large"]]
)
def test_what_cannot_be_given_is_refused(pup: Pup, project: Path, words: list[str]) -> None:
    (project / "large").write_bytes(bytes((1 << 20) + 1))
    assert pup("dry-run", "monthly", *words) == 2
