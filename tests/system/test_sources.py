"""Sources on the real server: what git holds is saved and runs, and a server that is killed half-way saves it once."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pupload.client import Client
from tests.adapters.git.repositories import Repository
from tests.system.server import Server
from tests.system.test_saved import said, says

SOURCES = "/api/v1/flow/sources"
SAVED = "/api/v1/flow/saved"
MANY = 400


async def listed(client: Client) -> list[dict[str, Any]]:
    """The saved flows."""
    found: list[dict[str, Any]] = (await client.ask("GET", SAVED, query={"limit": "1000"}))["Flows"]
    return found


async def looked_at(client: Client, name: str) -> dict[str, Any]:
    """The source, once the server has looked at it."""
    async with asyncio.timeout(60):
        while not (found := await client.ask("GET", f"{SOURCES}/{name}"))["SyncedAt"]:
            assert not found["Error"], found
            await asyncio.sleep(0.05)
    return found


async def test_a_commit_is_saved_once_and_run(own_server: Callable[..., Server], tmp_path: Path) -> None:
    made = Repository(tmp_path / "made")
    for number in range(MANY):
        made.put(f"text/say{number}.json", json.dumps(says(f"hello {number}")))
    made.put("bad.yaml", "Nodes:\n  - ID: [\n")
    first = made.commit("the first")
    file = tmp_path / "sources.yaml"
    file.write_text(f"Sources:\n  - {{Name: team, Type: git, Path: {made.folder}, Ref: main, Namespace: git}}\n")
    server = own_server(PUPLOAD_SOURCES=str(file))
    async with server.client() as client:
        async with asyncio.timeout(60):
            there = 0
            while not there:
                there = len(await listed(client))
        await asyncio.to_thread(server.kill)
        assert there < MANY, "it was killed in the midst of it"
        await asyncio.to_thread(server.start)
        found = await looked_at(client, "team")
        assert (found["Commit"], found["Flows"]) == (first, MANY)
        assert [each["Path"] for each in found["Problems"]] == ["bad.yaml"]
        flows = await listed(client)
        assert len({each["Name"] for each in flows}) == len(flows) == MANY
        assert {each["Version"] for each in flows} == {1}
        made.put("text/say7.json", json.dumps(says("goodbye")))
        second = made.commit("the second")
        report = await client.ask("POST", f"{SOURCES}/team/sync")
        assert (report["Commit"], report["Changed"], report["Created"]) == (second, ["git/text/say7"], [])
        versions = (await client.ask("GET", f"{SAVED}/git%2Ftext%2Fsay7/versions"))["Versions"]
        assert [each["Origin"] for each in versions] == [f"text/say7.json@{commit}" for commit in (second, first)]
        run = await client.ask("POST", f"{SAVED}/git%2Ftext%2Fsay7/run", {"Params": {"who": "you"}})
        assert await said(client, run) == "goodbye you\n"
    assert not [*(server.data / "sources").iterdir()]
