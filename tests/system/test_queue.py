"""Only so many runs have something under way, those of higher priorities first; also where the server is killed."""

from collections.abc import Callable
from typing import Any

from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

SLOTS = 2
PRIORITIES = (0, -5, 7, 0, 3, -5, 7, 0, 0, 3)
"""Of the runs that come when all slots are taken."""


async def test_no_more_runs_than_slots_and_the_highest_priority_first(own_server: Callable[..., Server]) -> None:
    server = own_server(PUPLOAD_MAX_CONCURRENT_RUNS=str(SLOTS))
    async with server.client() as client:
        first = [await client.start(flows.one(flows.HOLD + "true")) for _ in range(SLOTS)]
        for run in first:
            await flows.until_line(client, run, "held")
        orders = [{**flows.one("echo here; sleep 0.2"), "Priority": priority} for priority in PRIORITIES]
        runs = [await client.start(order) for order in orders]
        for run in runs:
            await flows.until_event(client, run, "run.queued")
        found = await client.ask("GET", "/api/v1/flow/queue")
        assert {each["ID"] for each in found["Running"]} == {run["ID"] for run in first}
        queued = [each["ID"] for each in found["Queued"]]
        ranked = sorted(range(len(runs)), key=lambda number: (-PRIORITIES[number], number))
        assert queued == [runs[number]["ID"] for number in ranked]

        server.kill()
        await flows.let_go(server, first[0])  # ends while nobody looks
        server.start()
        await flows.until_event(client, runs[ranked[0]], "node.admitted")
        await flows.let_go(server, first[1])

        times = dict[str, tuple[str, str]]()
        for run in (*first, *runs):
            done = await client.wait(run["ID"])
            assert done["Status"] == "COMPLETE", done["Error"]
            at = {event.kind: event.data["At"] async for event in client.events(run["ID"])}
            times[run["ID"]] = at["node.admitted"], at["run.completed"]
        for moment, _ in times.values():
            under_way = [run for run, (start, end) in times.items() if start <= moment < end]
            assert len(under_way) <= SLOTS, times
        begun = sorted(queued, key=lambda run: times[run][0])
        # Two slots may come free at the same time: then those two are begun in any order.
        assert all(abs(begun.index(run) - place) < SLOTS for place, run in enumerate(queued)), times
        assert (await client.ask("GET", "/api/v1/flow/queue"))["Running"] == []
