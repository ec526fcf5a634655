"""All runs and flows at once, over the wire."""

from pathlib import Path
from typing import Any

from tests.api.house import EXAMPLE, House, a_house

FLOW = "/api/v1/flow"


async def an_ended_run(house: House, name: str) -> dict[str, Any]:
    assert (await house.call("PUT", f"{FLOW}/saved/{name}", json={**EXAMPLE, "Description": "Grüße"}))[0] == 200
    run = (await house.call("POST", f"{FLOW}/saved/{name}/run"))[1]
    for waiting in run["WaitingURLs"]:
        async with house.http.put(waiting["PutURL"], data=b"\x89PNG\r\n\x1a\n") as response:
            assert response.status == 200
    async with house.client() as client:
        return await client.wait(run["ID"])


async def test_what_happened_is_told_at_a_glance(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await an_ended_run(house, "shrink")
        assert run["Status"] == "COMPLETE"
        days = (await house.call("GET", f"{FLOW}/calendar?days=3"))[1]["Days"]
        today = {"Date": "2026-03-03", "Success": 1, "Failed": 0, "Cancelled": 0, "Running": 0, "Total": 1}
        assert [each["Total"] for each in days] == [0, 0, 1]
        assert days[-1] == today
        assert len((await house.call("GET", f"{FLOW}/calendar"))[1]["Days"]) == 90
        found = (await house.call("GET", f"{FLOW}/dashboard"))[1]
        assert [(each["Name"], each["Nodes"], each["Edges"]) for each in found["Flows"]] == [("shrink", 1, 0)]
        assert ([each["ID"] for each in found["Recent"]], found["Trends"][-1]) == ([run["ID"]], today)
        assert found["LastDay"] == {"Total": 1, "Success": 1, "Failed": 0}
        assert (found["Running"], found["Failing"], found["RunsToday"], found["RunsYesterday"]) == ([], [], 1, 0)
        system = (await house.call("GET", f"{FLOW}/system"))[1]
        assert (system["Version"], system["Flows"], system["ActiveRuns"]) == ("1.2.3", 1, 0)
        hits = (await house.call("GET", f"{FLOW}/search", params={"q": "GRÜSSE"}))[1]["Hits"]
        assert [(each["Kind"], each["Name"]) for each in hits] == [("flow", "default/shrink")]


async def test_where_data_comes_from_is_told(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await an_ended_run(house, "shrink")
        graph = (await house.call("GET", f"{FLOW}/lineage"))[1]
        assert (await house.call("GET", f"{FLOW}/lineage?flow=shrink"))[1]["Nodes"]
        assert {"processing"} <= {each["Kind"] for each in graph["Nodes"]}
        edge = next(iter(run["Artifacts"]))
        trace = (await house.call("GET", f"{FLOW}/lineage/{run['ID']}/{edge}"))[1]
        assert (trace["Run"], trace["Edge"], trace["Upstream"][0]["Edge"]) == (run["ID"], edge, edge)
        assert "Signature" not in str(trace)


async def test_old_runs_are_purged_on_request(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await an_ended_run(house, "shrink")
        assert await house.call("POST", f"{FLOW}/purge", json={"Days": 1}) == (200, {"Purged": 0, "Days": 1})
        house.bench.clock.advance(2 * 86400)
        assert await house.call("POST", f"{FLOW}/purge", json={"days": 1}) == (200, {"Purged": 1, "Days": 1})
        assert (await house.call("GET", f"{FLOW}/status/{run['ID']}"))[1] == "Flow run does not exist."
        assert (await house.call("GET", f"{FLOW}/list"))[1]["Total"] == 0


async def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        for path in (
            *("calendar?days=0", "calendar?days=366", "calendar?days=x", "search", "search?q=", "search?q=%20"),
            *("search?q=x&limit=0", "search?q=x&limit=101"),
        ):
            assert (await house.call("GET", f"{FLOW}/{path}"))[0] == 400, path
        wrong: tuple[Any, ...] = ({}, {"Days": 0}, {"Days": -1}, {"Days": "30"}, {"Days": 10**9}, [])
        for body in wrong:
            assert (await house.call("POST", f"{FLOW}/purge", json=body))[0] == 400, body
        assert (await house.call("POST", f"{FLOW}/purge"))[0] == 400
        assert (await house.call("GET", f"{FLOW}/lineage?flow=nobody"))[0] == 404
        unknown = "run_01JD0000000000000000000001"
        told = await house.call("GET", f"{FLOW}/lineage/{unknown}/e1")
        assert told == await house.call("GET", f"{FLOW}/status/{unknown}")
