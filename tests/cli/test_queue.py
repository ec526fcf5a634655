"""`pup queue` and `pup priority`."""

import asyncio
from pathlib import Path

from tests.api.house import a_house
from tests.api.test_queue import limited, started
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]


async def test_the_queue_is_shown_and_a_run_let_go_after_others(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        limited(house, 1)
        slots = house.bench.engine.admission.slots
        first = await started(house)
        await house.bench.until(lambda: bool(house.bench.engine.admission.holders))
        second, third = await started(house), await started(house)
        await house.bench.until(lambda: slots.queued == [second, third])
        await house.bench.until(lambda: bool(house.bench.engine.driver.live[second].queued_at))
        at = ("--url", house.url)
        assert await asyncio.to_thread(pup, "priority", second, "-5", *at) == 0
        assert "has priority -5; it waits for a slot, number 2 of those that do" in pup.said
        assert await asyncio.to_thread(pup, "status", second, *at) == 0
        assert "waits for a slot since 2026-" in pup.said
        assert await asyncio.to_thread(pup, "queue", *at) == 0
        assert pup.said.index(first) < pup.said.index(third) < pup.said.index(second)
        assert await asyncio.to_thread(pup, "queue", "--limit", "1", "--json", *at) == 0
        assert [each["ID"] for each in pup.json["Queued"]] == [third]
        assert await asyncio.to_thread(pup, "priority", second, "200", *at) == 2
        assert await asyncio.to_thread(pup, "priority", second, "3", "--json", *at) == 0
        assert pup.json["Priority"] == 3
