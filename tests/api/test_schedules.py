"""Schedules and backfills over the wire."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api.house import EXAMPLE, House, a_house

SCHEDULES = "/api/v1/flow/schedules"
SAVED = "/api/v1/flow/saved/shrink"


async def saved(house: House) -> str:
    """The id of a saved flow."""
    status, answer = await house.call("PUT", SAVED, json=EXAMPLE)
    assert status == 200
    return str(answer["ID"])


async def test_a_schedule_is_made_looked_at_changed_paused_and_removed(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        flow_id = await saved(house)
        asked = {"Flow": "shrink", "Cron": "0 6 * * MON", "Timezone": "Europe/Berlin", "Params": {"a": 1}}
        status, made = await house.call("POST", SCHEDULES, json=asked)
        assert status == 200
        assert made == {
            "ID": made["ID"],
            "FlowID": flow_id,
            "Cron": "0 6 * * MON",
            "Interval": "",
            "Timezone": "Europe/Berlin",
            "Enabled": True,
            "PausedUntil": None,
            "CatchUp": "one",
            "CatchUpWindow": "24h",
            "Overlap": "skip",
            "Params": {"a": "1"},
            "Priority": None,
            "Input": None,
            "CreatedAt": made["CreatedAt"],
            "NextAt": "2026-03-09T05:00:00Z",
            "LastAt": None,
            "LastRun": "",
            "LastError": "",
        }
        one = f"{SCHEDULES}/{made['ID']}"
        assert await house.call("GET", one) == (200, made)
        assert await house.call("GET", SCHEDULES) == (200, {"Schedules": [made]})
        assert await house.call("GET", f"{SCHEDULES}?flow=shrink&enabled=true") == (200, {"Schedules": [made]})
        assert await house.call("GET", f"{SCHEDULES}?enabled=false") == (200, {"Schedules": []})
        fires = (await house.call("GET", f"{one}/fires?count=2"))[1]
        assert fires == {"Fires": ["2026-03-09T05:00:00Z", "2026-03-16T05:00:00Z"]}
        changed = {"Flow": flow_id, "Interval": "90m", "CatchUp": "none", "CatchUpWindow": "0", "Overlap": "queue"}
        status, found = await house.call("PUT", one, json=changed)
        assert (status, found["Cron"], found["Interval"], found["CatchUpWindow"]) == (200, "", "1h30m", "0s")
        paused = (await house.call("POST", f"{one}/pause"))[1]
        assert (paused["Enabled"], paused["NextAt"]) == (False, None)
        until = {"Until": "2027-01-01T00:00:00+01:00"}
        paused = (await house.call("POST", f"{one}/pause", json=until))[1]
        assert (paused["Enabled"], paused["PausedUntil"]) == (True, "2026-12-31T23:00:00Z")
        assert paused["NextAt"] > "2026-12-31T23"
        resumed = (await house.call("POST", f"{one}/resume"))[1]
        assert (resumed["PausedUntil"], resumed["NextAt"] < "2026-03-04") == (None, True)
        assert (await house.call("DELETE", one))[0] == 204
        assert await house.call("DELETE", one) == (404, {"error": f"schedule {made['ID']} does not exist"})


async def test_what_is_scheduled_is_run_and_told_of(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        flow_id = await saved(house)
        made = (await house.call("POST", SCHEDULES, json={"Flow": flow_id, "Interval": "5s"}))[1]
        await house.bench.until(lambda: bool(house.bench.engine.driver.live))
        runs = (await house.call("GET", "/api/v1/flow/list"))[1]["Runs"]
        assert len(runs) == 1
        end = house.bench.clock.now() + timedelta(seconds=1)
        await house.bench.until(lambda: house.bench.clock.now() >= end)
        found = (await house.call("GET", f"{SCHEDULES}/{made['ID']}"))[1]
        assert found["LastRun"] == runs[0]["ID"]
        assert datetime.fromisoformat(found["LastAt"]) == datetime.fromisoformat(made["NextAt"])


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({}, 400, "Flow"),
        ({"Flow": "shrink"}, 400, "either a cron expression or an interval"),
        ({"Flow": "shrink", "Cron": "* * *"}, 400, "five fields"),
        ({"Flow": "shrink", "Cron": 5}, 400, "/Cron"),
        ({"Flow": "shrink", "Interval": "soon"}, 400, "not a valid duration"),
        ({"Flow": "shrink", "Interval": "1.5s"}, 400, "whole seconds"),
        ({"Flow": "shrink", "Interval": "0s"}, 400, "whole seconds"),
        ({"Flow": "shrink", "Interval": "-5s"}, 400, "whole seconds"),
        ({"Flow": "shrink", "Cron": "* * * * *", "CatchUp": "some"}, 400, '"none", "one", "all"'),
        ({"Flow": "shrink", "Cron": "* * * * *", "Overlap": ""}, 400, "Overlap is one of"),
        ({"Flow": "shrink", "Cron": "* * * * *", "Timezone": "../x"}, 400, "no time zone"),
        ({"Flow": "shrink", "Cron": "* * * * *", "PausedUntil": "2026-01-01T00:00:00"}, 400, "no time with its zone"),
        ({"Flow": "grow", "Cron": "* * * * *"}, 404, "is not saved here"),
    ],
)
async def test_what_cannot_be_is_refused(tmp_path: Path, asked: dict[str, Any], status: int, said: str) -> None:
    async with a_house(tmp_path) as house:
        await saved(house)
        answer = await house.call("POST", SCHEDULES, json=asked)
        assert answer[0] == status
        assert said in answer[1]["error"]
        assert await house.call("GET", SCHEDULES) == (200, {"Schedules": []})


async def test_moments_are_told_before_there_is_a_schedule(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        asked = {"Cron": "30 2 29 3 *", "Timezone": "Europe/Berlin", "Count": 1}
        assert await house.call("POST", f"{SCHEDULES}/preview", json=asked) == (
            200,
            {"Fires": ["2026-03-29T01:00:00Z"]},
        )
        status, answer = await house.call("POST", f"{SCHEDULES}/preview", json={"Cron": "x", "Count": 1})
        assert (status, "five fields" in answer["error"]) == (400, True)
        assert (await house.call("POST", f"{SCHEDULES}/preview", json={"Interval": "5s", "Count": 101}))[0] == 400


async def test_a_backfill_is_a_run_for_each_date(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        flow_id = await saved(house)
        asked = {"StartDate": "2026-01-30", "EndDate": "2026-02-02"}
        once = {"headers": {"Idempotency-Key": "january"}}
        status, answer = await house.call("POST", f"{SAVED}/backfill", json=asked, **once)
        assert status == 200
        assert answer["Dates"] == ["2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"]
        assert answer["Runs"] == sorted(answer["Runs"])
        assert answer["FlowID"] == flow_id
        assert (await house.call("POST", f"{SAVED}/backfill", json=asked, **once))[1] == answer
        listed = (await house.call("GET", f"/api/v1/flow/list?saved={flow_id}"))[1]
        assert listed["Total"] == 4
        for wrong, said in (
            ({"StartDate": "2026-01-30"}, "EndDate"),
            ({**asked, "EndDate": "2026-01-01"}, "is before the first"),
            ({**asked, "EndDate": "2028-01-01"}, "366 are the most"),
            ({**asked, "EndDate": "tomorrow"}, "is no date"),
        ):
            status, answer = await house.call("POST", f"{SAVED}/backfill", json=wrong)
            assert (status, said in answer["error"]) == (400, True)
        assert (await house.call("POST", "/api/v1/flow/saved/grow/backfill", json=asked))[0] == 404
