"""The queue of runs, and priorities, over the wire."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.house import EXAMPLE, IMAGE, House, a_house
from tests.bench import ends

QUEUE = "/api/v1/flow/queue"
STATUS = "/api/v1/flow/status"
TEST = "/api/v1/flow/test"
NODE = {"ID": "slow", "Uses": "pupload/resize"}
SLOW: dict[str, Any] = {"Flow": {"Name": "slow", "Nodes": [NODE]}, "NodeDefs": EXAMPLE["NodeDefs"]}


async def started(house: House, **more: Any) -> str:
    """The id of a new run that has something to do at once."""
    status, answer = await house.call("POST", TEST, json={**SLOW, **more})
    assert status == 200, answer
    return str(answer["ID"])


def limited(house: House, most: int) -> None:
    """So many runs may have something under way, from before the first of them."""
    house.bench.image(IMAGE, ends(hangs=True))
    house.bench.engine.admission.slots.most = most


async def test_whoever_waits_is_told_its_place_and_may_be_let_go_first(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        limited(house, 1)
        slots = house.bench.engine.admission.slots
        first = await started(house)
        await house.bench.until(lambda: slots.running == {first} and bool(house.bench.engine.admission.holders))
        second, third, low = await started(house), await started(house), await started(house, Priority=-3)
        await house.bench.until(lambda: slots.queued == [second, third, low])
        await house.bench.until(lambda: all(house.bench.engine.driver.live[one].queued_at for one in (second, third)))
        view = (await house.call("GET", f"{STATUS}/{third}"))[1]
        assert view["Queued"]["Position"] == 2
        assert "Priority" not in view
        assert (await house.call("GET", f"{STATUS}/{low}"))[1]["Priority"] == -3
        assert "Queued" not in (await house.call("GET", f"{STATUS}/{first}"))[1]
        answer = (await house.call("POST", f"/api/v1/flow/priority/{third}", json={"Priority": 5}))[1]
        assert (answer["Priority"], answer["Queued"]["Position"]) == (5, 1)
        found = (await house.call("GET", f"{QUEUE}?limit=2"))[1]
        assert (found["Slots"], found["RunningTotal"], found["QueuedTotal"]) == (1, 1, 3)
        assert [each["ID"] for each in found["Running"]] == [first]
        assert [(each["ID"], each["Position"], each["Priority"]) for each in found["Queued"]] == [
            (third, 1, 5),
            (second, 2, 0),
        ]
        metrics = (await house.call("GET", "/metrics"))[1]
        assert "pupload_queued_runs 3.0" in metrics
        assert 'pupload_slots{state="used"} 1.0' in metrics
        await house.call("POST", f"/api/v1/flow/cancel/{first}")
        await house.bench.until(lambda: slots.running == {third})


async def test_without_slots_nobody_waits_for_one(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, ends(hangs=True))
        run = await started(house)
        found = (await house.call("GET", QUEUE))[1]
        assert (found["Slots"], [each["ID"] for each in found["Running"]], found["Queued"]) == (None, [run], [])
        assert "pupload_slots" not in (await house.call("GET", "/metrics"))[1]


@pytest.mark.parametrize("wrong", [101, -101, "high", 1.5, None])
async def test_a_priority_is_a_whole_number(tmp_path: Path, wrong: object) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, ends())
        run = await started(house)
        status, answer = await house.call("POST", f"/api/v1/flow/priority/{run}", json={"Priority": wrong})
        assert (status, "Priority" in answer["error"]) == (400, True)
        if wrong is not None:
            assert (await house.call("POST", TEST, json={**SLOW, "Priority": wrong}))[0] == 400
        await house.bench.until(lambda: run not in house.bench.engine.driver.live)
        assert (await house.call("POST", f"/api/v1/flow/priority/{run}", json={"Priority": 1}))[0] == 409


async def test_every_way_to_start_a_run_can_say_how_soon(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, ends())

        async def priority(run: str) -> int:
            return int((await house.call("GET", f"{STATUS}/{run}"))[1].get("Priority", 0))

        flow = {**SLOW, "Flow": {**SLOW["Flow"], "Priority": 20}}
        assert await priority(await started(house, **flow)) == 20
        assert await priority(await started(house, **flow, Priority=0)) == 0
        assert (await house.call("PUT", "/api/v1/flow/saved/slow", json=flow))[0] == 200
        assert (await house.call("GET", "/api/v1/flow/saved/slow"))[1]["Flow"]["Priority"] == 20
        run = (await house.call("POST", "/api/v1/flow/saved/slow/run", json={"Priority": 3}))[1]["ID"]
        assert await priority(run) == 3
        await house.bench.until(lambda: run not in house.bench.engine.driver.live)
        again = (await house.call("POST", f"/api/v1/flow/resume/{run}", json={"FromNode": "slow"}))[1]["ID"]
        assert await priority(again) == 3
        await house.bench.until(lambda: again not in house.bench.engine.driver.live)
        replayed = (await house.call("POST", f"/api/v1/flow/replay/{again}", json={"From": ["slow"]}))[1]["ID"]
        assert await priority(replayed) == 3
        dates = {"StartDate": "2026-01-30", "EndDate": "2026-01-30"}
        backfill = "/api/v1/flow/saved/slow/backfill"
        assert await priority((await house.call("POST", backfill, json=dates))[1]["Runs"][0]) == 10
        asked = {**dates, "Priority": 30}
        assert await priority((await house.call("POST", backfill, json=asked))[1]["Runs"][0]) == 30
        schedule = {"Flow": "slow", "Interval": "5s", "Priority": -7}
        made = (await house.call("POST", "/api/v1/flow/schedules", json=schedule))[1]
        assert made["Priority"] == -7
        while not (last := (await house.call("GET", f"/api/v1/flow/schedules/{made['ID']}"))[1]["LastRun"]):
            await house.bench.clock.run_for(0.1)
        assert await priority(last) == -7
