"""`pup dashboard` and its kin: everything at a glance."""

import asyncio
from pathlib import Path
from typing import Any

from tests.api.house import EXAMPLE, a_house
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]

SAVED = "/api/v1/flow/saved"


def example(**well: str) -> dict[str, Any]:
    """The contract's example, with one well."""
    return {**EXAMPLE, "Flow": {**EXAMPLE["Flow"], "DataWells": [well]}}


async def test_everything_is_shown_at_a_glance(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:

        async def say(*words: str) -> int:
            return await asyncio.to_thread(pup, *words, "--url", house.url)

        (node,) = EXAMPLE["Flow"]["Nodes"]
        taken, made = node["Inputs"][0]["Edge"], node["Outputs"][0]["Edge"]
        await house.call("PUT", f"{SAVED}/met%2Fdaily", json=example(Edge=made, Key="daily/$DATE.png"))
        reads = example(Edge=taken, Source="static", Key="daily/2026-03-03.png")
        await house.call("PUT", f"{SAVED}/met%2Freport", json={**reads, "Description": "Äpfel"})
        run = (await house.call("POST", f"{SAVED}/met%2Fdaily/run"))[1]
        async with house.http.put(run["WaitingURLs"][0]["PutURL"], data=b"\x89PNG\r\n\x1a\n"), house.client() as client:
            await client.wait(run["ID"])

        assert await say("dashboard") == 0
        assert "24 hours: 1 run, 1 succeeded, 0 failed; 0 running now; 2 saved flows" in pup.said
        assert run["ID"] in pup.said
        assert await say("calendar", "--days", "2") == 0
        yesterday, today = pup.said.splitlines()[-2:]
        assert yesterday.split() == ["2026-03-02", "Mon", *"-----"]
        assert today.split() == ["2026-03-03", "Tue", "1", "1", *"---", "=" * 40]
        assert await say("search", "ÄPFEL") == 0
        assert "met/report" in pup.said
        assert await say("search", "nothing like it") == 0
        assert "nothing has 'nothing like it'" in pup.complaint
        assert await say("system") == 0
        assert "flows      2" in pup.said
        assert await say("lineage", "--flow", "met/report") == 0
        assert pup.said.splitlines()[-6:] == [
            "default  daily/${DATE}.png",
            f"  <- met/daily: {node['ID']}",
            "  -> such as daily/2026-03-03.png",
            "default  daily/2026-03-03.png",
            "  <- one of daily/${DATE}.png",
            f"  -> met/report: {node['ID']}",
        ]
        assert await say("lineage", run["ID"], made) == 0
        assert f"{made}: made by {node['ID']}" in pup.said
        assert f"{taken}: was uploaded" in pup.said
        for words in (["lineage"], ["dashboard"], ["calendar"], ["search", "x"], ["system"]):
            assert await say(*words, "--json") == 0
            assert pup.json

        assert await say("purge", "--days", "1") == 0
        assert "purged 0 runs that started more than 1 day ago" in pup.said
        house.bench.clock.advance(2 * 86400)
        assert await say("purge", "--days", "1", "--json") == 0
        assert pup.json == {"Purged": 1, "Days": 1}
        for wrong in (
            ["purge", "--days", "1", run["ID"]],
            ["purge", "--days", "1", "--status", "ERROR"],
            ["purge", "--days", "0"],
            ["lineage", run["ID"]],
            ["lineage", run["ID"], made, "--flow", "met/daily"],
        ):
            assert await say(*wrong) == 2, wrong
