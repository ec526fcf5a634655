"""Everything at a glance, told by the real server, before and after it was killed."""

import asyncio
from collections.abc import Callable
from typing import Any

from pupload.client import Client
from tests.system.server import Server
from tests.system.test_saved import SAVED, said, says

FLOW = "/api/v1/flow"


async def told(client: Client) -> dict[str, Any]:
    """What is told of everything, but for what midnight changes."""
    found = {name: await client.ask("GET", f"{FLOW}/{name}") for name in ("dashboard", "calendar", "lineage")}
    found["calendar"] = {"Success": sum(day["Success"] for day in found["calendar"]["Days"])}
    for name in ("Trends", "RunsToday", "RunsYesterday"):
        del found["dashboard"][name]
    return found


async def test_what_happened_is_told_the_same_when_the_server_was_killed(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        order = says("hello")
        wells = [{"Edge": "said", "Key": "said/${param.who}/$DATE"}]
        flow = await client.ask("PUT", SAVED, {**order, "Flow": {**order["Flow"], "DataWells": wells}})
        run = await client.ask("POST", f"{SAVED}/run", {"Params": {"who": "you"}})
        assert await said(client, run) == "hello you\n"
        before = await told(client)
        dashboard = before["dashboard"]
        assert [(each["ID"], each["Nodes"], each["Edges"]) for each in dashboard["Flows"]] == [(flow["ID"], 1, 0)]
        assert [each["ID"] for each in dashboard["Recent"]] == [run["ID"]]
        assert before["calendar"] == {"Success": 1}
        assert dashboard["LastDay"] == {"Total": 1, "Success": 1, "Failed": 0}
        written = "store:default/said/${param.who}/${DATE}"
        assert written in {each["ID"] for each in before["lineage"]["Nodes"]}
        trace = await client.ask("GET", f"{FLOW}/lineage/{run['ID']}/said")
        assert (trace["FlowID"], trace["Upstream"][0]["Node"]) == (flow["ID"], "say")
        hits = await client.ask("GET", f"{FLOW}/search", query={"q": "WHO"})
        assert [each["ID"] for each in hits["Hits"]] == ["param.who"]
        assert await client.ask("POST", f"{FLOW}/purge", {"Days": 1}) == {"Purged": 0, "Days": 1}
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        assert await told(client) == before
        system = await client.ask("GET", f"{FLOW}/system")
        assert system["DatabaseBytes"] > 100_000
        assert (system["Flows"], system["ActiveRuns"], system["QueuedRuns"]) == (1, 0, 0)
