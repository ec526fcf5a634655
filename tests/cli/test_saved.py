"""`pup flow`: saved flows, their versions, and running them."""

import asyncio
from pathlib import Path

import pytest

from tests.api.house import a_house
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]

FLOW = """\
Name: shrink
Params:
  - {Name: width, Type: integer, Required: true, Description: in pixels}
Nodes:
  - ID: resize
    Uses: pupload/resize
    Inputs: [{Name: image, Edge: photo}]
    Outputs: [{Name: resized, Edge: small}]
    Flags: [{Name: width, Value: "${param.width}"}]
"""
DEFINITION = """\
Publisher: pupload
Name: resize
Image: pupload/resize:latest
Tier: c-small
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    for folder in ("flows", "node_defs"):
        (root / folder).mkdir(parents=True)
    (root / "pup.yaml").write_text("ProjectName: pictures\n")
    (root / "flows" / "shrink.yaml").write_text(FLOW)
    (root / "node_defs" / "resize.yaml").write_text(DEFINITION)
    monkeypatch.chdir(root)
    monkeypatch.delenv("PUPLOAD_URL", raising=False)
    return root


async def test_a_flow_of_the_project_is_saved_compared_brought_back_run_and_removed(
    pup: Pup, project: Path, tmp_path: Path
) -> None:
    async with a_house(tmp_path) as house:

        async def say(*words: str) -> int:
            return await asyncio.to_thread(pup, "flow", *words, "--url", house.url)

        assert await say("save", "shrink", "--name", "pictures/shrink", "--description", "Smaller", "--tag", "a") == 0
        assert "pictures/shrink is at version 1 (1.0.0), flow_" in pup.said
        flow = project / "flows" / "shrink.yaml"
        flow.write_text(FLOW.replace("Name: shrink", "Name: shrink\nTimeout: 1h"))
        assert await say("save", "shrink", "--name", "pictures/shrink", "-m", "an end", "--json") == 0
        assert (pup.json["Version"], pup.json["Label"], pup.json["Description"]) == (2, "1.0.1", "Smaller")
        assert await say("save", "shrink", "--name", "pictures/shrink", "--if-version", "1") == 1
        assert "version 2, not 1" in pup.complaint
        assert await say("list", "SMALL", "-n", "pictures") == 0
        assert "pictures/shrink" in pup.said
        assert await say("list", "elsewhere") == 0
        assert "pictures/shrink" not in pup.said
        assert await say("show", "pictures/shrink") == 0
        assert all(words in pup.said for words in ("version 2 (1.0.1) of 2", "(required)", "in pixels", "resize"))
        assert await say("versions", "pictures/shrink") == 0
        assert "an end" in pup.said
        assert await say("diff", "pictures/shrink") == 0
        assert "timeout" in pup.said
        assert "1h" in pup.said
        assert await say("diff", "pictures/shrink", "2", "2") == 0
        assert "are the same" in pup.said
        assert await say("rollback", "pictures/shrink", "1") == 0
        assert "at version 3" in pup.said

        assert await say("run", "pictures/shrink") == 1
        assert "PARAM_004" in pup.said
        again = ("run", "pictures/shrink", "-p", "width=5", "--label", "tenant=one", "--key", "k", "--json")
        assert await say(*again) == 0
        run = pup.json
        assert (run["Params"], run["Labels"], run["FlowVersion"]) == ({"width": "5"}, {"tenant": "one"}, 3)
        assert await say(*again) == 0
        assert pup.json["ID"] == run["ID"]
        assert await asyncio.to_thread(pup, "list", "--saved", "pictures/shrink", "--json", "--url", house.url) == 0
        assert [each["ID"] for each in pup.json["Runs"]] == [run["ID"]]
        assert await say("run", "pictures/shrink", "--label", "tenant") == 2
        assert "--label tenant should read name=value" in pup.complaint
        assert await say("disable", "pictures/shrink") == 0
        assert await say("run", "pictures/shrink", "-p", "width=5") == 1
        assert "not enabled" in pup.complaint
        assert await say("enable", "pictures/shrink") == 0
        assert await say("rm", "pictures/shrink") == 0
        assert await say("show", "pictures/shrink") == 1
        assert "not saved here" in pup.complaint


async def test_a_flow_that_cannot_run_is_not_saved(pup: Pup, project: Path, tmp_path: Path) -> None:
    (project / "flows" / "shrink.yaml").write_text(FLOW.replace("pupload/resize", "no/body"))
    async with a_house(tmp_path) as house:
        assert await asyncio.to_thread(pup, "flow", "save", "shrink", "--url", house.url) == 1
        assert "flows/shrink.yaml:6: ERROR" in pup.said
        assert await asyncio.to_thread(pup, "flow", "list", "--json", "--url", house.url) == 0
        assert pup.json["Flows"] == []


async def test_stores_that_the_project_shares_go_along(pup: Pup, project: Path, tmp_path: Path) -> None:
    (project / "pup.yaml").write_text(
        "GlobalStores:\n  - {Name: mine, Type: s3, Params: {Endpoint: s3.example.org, BucketName: media}}\n"
        "  - {Name: other, Type: s3, Params: {Endpoint: s3.example.org, BucketName: other}}\n"
    )
    (project / "flows" / "shrink.yaml").write_text(FLOW + "DataWells: [{Edge: small, Store: mine}]\n")
    async with a_house(tmp_path) as house:
        assert await asyncio.to_thread(pup, "flow", "save", "shrink", "--json", "--url", house.url) == 0
        assert [store["Name"] for store in pup.json["Flow"]["Stores"]] == ["mine"]


async def test_a_flow_is_let_be_seen_by_others_and_taken_back(pup: Pup, project: Path, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        for words, public in (((), False), (("--public",), True), ((), True), (("--private",), False)):
            said = ("flow", "save", "shrink", *words, "--json", "--url", house.url)
            assert await asyncio.to_thread(pup, *said) == 0
            assert pup.json["Public"] is public
