"""`pup approve`."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tests.api.house import IMAGE, House, a_house
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]

ASKS: dict[str, Any] = {
    "Flow": {
        "Name": "asks",
        "Nodes": [
            {
                "ID": "publish",
                "Uses": "pupload/resize",
                "Inputs": [{"Name": "image", "Edge": "go"}],
                "Outputs": [{"Name": "resized", "Edge": "result"}],
            }
        ],
        "DataWells": [{"Edge": "go", "Source": "approval"}],
    },
    "NodeDefs": [{"Publisher": "pupload", "Name": "resize", "Image": IMAGE, "Tier": "c-nano"}],
}


async def asked(house: House) -> str:
    async with house.client() as client:
        return str((await client.start(ASKS))["ID"])


async def test_a_run_is_told_yes_or_no(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        first, second = await asked(house), await asked(house)
        at = ("--url", house.url)
        assert await asyncio.to_thread(pup, "status", first, *at) == 0
        assert f"asks for a yes or no on go: pup approve {first} go" in pup.said
        assert await asyncio.to_thread(pup, "approve", first, "--comment", "fine", *at) == 0
        assert f"run {first} was told yes on edge go" in pup.said
        assert await asyncio.to_thread(pup, "approve", second, "go", "--no", "--json", *at) == 0
        assert pup.json["Error"] == "somebody said no to edge go"
        assert await asyncio.to_thread(pup, "approve", second, "go", *at) == 1
        assert await asyncio.to_thread(pup, "approve", second, *at) == 2
        assert f"run {second} asks nobody anything" in pup.complaint


async def test_a_flow_is_asked(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        node = {"ID": "copy", "Uses": "pupload/resize", "Inputs": [{"Name": "image", "Edge": "said"}]}
        node["Outputs"] = [{"Name": "resized", "Edge": "result"}]
        flow = {"Flow": {"Name": "copy", "Nodes": [node]}, "NodeDefs": ASKS["NodeDefs"]}
        assert (await house.call("PUT", "/api/v1/flow/saved/copy", json=flow))[0] == 200
        at = ("--url", house.url)
        own = ThreadPoolExecutor(1)  # the house has one thread for itself

        async def ask(*words: str) -> int:
            return await asyncio.get_running_loop().run_in_executor(own, partial(pup, "ask", *words, *at))

        assert await ask("copy", "hello", "--thread") == 0
        assert pup.said.strip() == "hello"
        assert await ask("copy", '{"n": 1.5}', "--value") == 0
        assert pup.said.strip() == '{"n": 1.5}'
        assert await ask("copy", "[1]", "--value", "--json") == 0
        assert pup.json["Result"] == {"Kind": "json", "Edge": "result", "Value": [1]}
        assert await ask("copy", "{", "--value") != 0
        assert await ask("gone", "hello") == 1
