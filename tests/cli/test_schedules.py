"""`pup schedule` and `pup backfill`."""

import asyncio
from pathlib import Path

from tests.api.house import EXAMPLE, a_house
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]


async def test_a_schedule_is_added_listed_changed_paused_and_removed(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        at = ("--url", house.url)

        async def say(*words: str) -> int:
            return await asyncio.to_thread(pup, "schedule", *words, *at)

        assert (await house.call("PUT", "/api/v1/flow/saved/small%2Fshrink", json=EXAMPLE))[0] == 200
        assert (
            await say("add", "small/shrink", "--cron", "0 6 * * *", "-z", "Europe/Berlin", "-p", "a=1", "--json") == 0
        )
        made = pup.json
        assert (made["Cron"], made["Timezone"], made["Params"]) == ("0 6 * * *", "Europe/Berlin", {"a": "1"})
        assert await say("set", made["ID"], "--every", "2h", "--overlap", "queue", "--json") == 0
        changed = {"Cron": "", "Interval": "2h", "Overlap": "queue", "NextAt": pup.json["NextAt"]}
        assert pup.json == {**made, **changed}
        assert await say("set", made["ID"], "-p", "b=2") == 0
        assert "every 2h" in pup.said
        assert "overlap: queue; b=2" in pup.said
        assert await say("list") == 0
        assert made["ID"] in pup.said
        assert await say("list", "small/shrink", "--json") == 0
        assert [each["ID"] for each in pup.json["Schedules"]] == [made["ID"]]
        assert await say("show", made["ID"], "--count", "2", "--json") == 0
        assert len(pup.json["Fires"]) == 2
        assert await say("pause", made["ID"]) == 0
        assert "next: paused" in pup.said
        assert await say("resume", made["ID"]) == 0
        assert await say("show", made["ID"]) == 0
        assert "next: 2026-03-03 1" in pup.said
        assert await say("pause", made["ID"], "--until", "2027-01-01T00:00:00Z") == 0
        assert "next: 2027-01-0" in pup.said
        assert await say("set", made["ID"], "--every", "4h", "--json") == 0
        assert pup.json["PausedUntil"] == "2027-01-01T00:00:00Z"
        assert await say("remove", made["ID"]) == 0
        assert await say("remove", made["ID"]) == 1
        assert "does not exist" in pup.complaint


async def test_what_happened_last_is_shown(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        at = ("--url", house.url)
        await house.call("PUT", "/api/v1/flow/saved/shrink", json=EXAMPLE)
        assert await asyncio.to_thread(pup, "schedule", "add", "shrink", "--every", "5s", "--json", *at) == 0
        made = pup.json["ID"]
        await house.bench.until(lambda: bool(house.bench.engine.driver.live))
        (run,) = (await house.call("GET", "/api/v1/flow/list"))[1]["Runs"]
        while not (await house.call("GET", f"/api/v1/flow/schedules/{made}"))[1]["LastRun"]:
            await house.bench.clock.run_for(0.1)
        assert await asyncio.to_thread(pup, "schedule", "show", made, *at) == 0
        assert "last: 2026-03-03" in pup.said
        assert run["ID"] in pup.said


async def test_moments_are_told_and_mistakes_too(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        at = ("--url", house.url)
        words = ("schedule", "preview", "--cron", "0 6 1 1 *")
        assert await asyncio.to_thread(pup, *words, "--count", "2", *at) == 0
        assert pup.said == "2027-01-01 06:00:00 UTC\n2028-01-01 06:00:00 UTC\n"
        assert await asyncio.to_thread(pup, *words, "--json", *at) == 0
        assert len(pup.json["Fires"]) == 10
        assert await asyncio.to_thread(pup, "schedule", "preview", "--cron", "0 6", *at) == 1
        assert "five fields" in pup.complaint


async def test_a_backfill_tells_its_runs(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        at = ("--url", house.url)
        await house.call("PUT", "/api/v1/flow/saved/small%2Fshrink", json=EXAMPLE)
        words = ("backfill", "small/shrink", "2026-01-31", "2026-02-01", "--key", "k")
        assert await asyncio.to_thread(pup, *words, "--json", *at) == 0
        assert pup.json["Dates"] == ["2026-01-31", "2026-02-01"]
        runs = pup.json["Runs"]
        assert await asyncio.to_thread(pup, *words, *at) == 0
        assert all(run in pup.said for run in runs)
        assert await asyncio.to_thread(pup, "backfill", "small/shrink", "2026-02-01", "2026-01-31", *at) == 1
        assert "before the first" in pup.complaint
