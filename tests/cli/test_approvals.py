"""`pup approve`."""

import asyncio
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
        assert await asyncio.to_thread(pup, "approve", first, "go", "--comment", "fine", *at) == 0
        assert f"run {first} was told yes on edge go" in pup.said
        assert await asyncio.to_thread(pup, "approve", second, "go", "--no", "--json", *at) == 0
        assert pup.json["Error"] == "somebody said no to edge go"
        assert await asyncio.to_thread(pup, "approve", second, "go", *at) == 1
