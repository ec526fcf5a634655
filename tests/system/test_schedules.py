"""What is scheduled is run by the real server, and made up for after it was killed."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import Any

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

SCHEDULES = "/api/v1/flow/schedules"
SAVED = "/api/v1/flow/saved"


async def runs_of(client: Client, flow_id: str) -> list[Json]:
    """The newest first."""
    found = await client.ask("GET", "/api/v1/flow/list", query={"saved": flow_id})
    runs: list[Json] = found["Runs"]
    return runs


async def until(client: Client, flow_id: str, count: int) -> list[Json]:
    """The runs, when there are so many."""
    for _ in range(600):
        if len(found := await runs_of(client, flow_id)) >= count:
            return found
        await asyncio.sleep(0.1)  # nobody knows the runs yet whose events could be followed
    raise AssertionError(f"{len(found)} runs were started")


async def test_a_schedule_goes_on_after_its_server_was_killed(own_server: Callable[..., Server]) -> None:
    server = own_server()
    order = flows.one("echo tick")
    async with server.client() as client:
        saved = await client.ask("PUT", f"{SAVED}/tick", order)
        asked = {"Flow": saved["ID"], "Interval": "2s", "Overlap": "queue", "CatchUp": "all"}
        made = await client.ask("POST", SCHEDULES, asked)
        (first, *_) = reversed(await until(client, saved["ID"], 1))
        assert (await client.wait(first["ID"]))["Status"] == "COMPLETE"
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await until(client, saved["ID"], 5)
        await client.ask("POST", f"{SCHEDULES}/{made['ID']}/pause")
        found = await runs_of(client, saved["ID"])
        labels = [(await client.status(run["ID"]))["Labels"] for run in reversed(found)]
        assert {each["schedule"] for each in labels} == {made["ID"]}
        moments = [datetime.fromisoformat(each["scheduled_at"]) for each in labels]
        assert {(after - before).total_seconds() for before, after in pairwise(moments)} == {2.0}
        for run in found:
            assert (await client.wait(run["ID"]))["Status"] == "COMPLETE"


async def test_a_backfill_runs_each_date(client: Client) -> None:
    node = flows.a_node("step", outputs={"out": "said"}, flags={"date": "${param.date}"})
    script = flows.a_script("step", 'echo "$FLAG_DATE" > $OUTPUT_OUT', Flags=[{"Name": "date", "Type": "string"}])
    await client.ask("PUT", f"{SAVED}/dated", flows.an_order([node], [script]))
    asked = {"StartDate": "2026-02-27", "EndDate": "2026-03-01"}
    batch = await client.ask("POST", f"{SAVED}/dated/backfill", asked)
    done = [await client.wait(run) for run in batch["Runs"]]
    assert [await flows.get(run, "said") for run in done] == [b"2026-02-27\n", b"2026-02-28\n", b"2026-03-01\n"]
