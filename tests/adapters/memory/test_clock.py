"""The clock that is turned by hand."""

import asyncio
from datetime import timedelta

import pytest

from pupload.adapters.memory.clock import START, VirtualClock


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock = VirtualClock()
    woken: list[str] = []

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep_until(START + timedelta(seconds=seconds))
        woken.append(name)

    async with asyncio.TaskGroup() as group:
        for name, seconds in [("late", 30), ("early", 10), ("also early", 10), ("middle", 20)]:
            group.create_task(sleep(name, seconds))
        await asyncio.sleep(0)
        clock.advance(30)
    assert woken == ["early", "also early", "middle", "late"]


async def test_nobody_wakes_before_the_time() -> None:
    clock = VirtualClock()
    sleeper = asyncio.ensure_future(clock.sleep_until(START + timedelta(seconds=10)))
    await clock.run_for(9.999)
    assert not sleeper.done()
    await clock.run_for(0.001)
    assert sleeper.done()
    assert clock.now() == START + timedelta(seconds=10)
    assert clock.monotonic() == pytest.approx(10)


async def test_running_on_lets_everybody_sleep_again() -> None:
    clock = VirtualClock()
    seen: list[float] = []

    async def tick() -> None:
        for _ in range(3):
            await clock.sleep_until(clock.now() + timedelta(seconds=10))
            seen.append(clock.monotonic())

    ticking = asyncio.ensure_future(tick())
    await clock.run_for(100)
    await ticking
    assert seen == [10, 20, 30]


async def test_what_has_passed_is_not_waited_for() -> None:
    clock = VirtualClock()
    await asyncio.wait_for(clock.sleep_until(START), timeout=1)


async def test_a_sleeper_that_gave_up_is_forgotten() -> None:
    clock = VirtualClock()
    sleeper = asyncio.ensure_future(clock.sleep_until(START + timedelta(seconds=10)))
    await asyncio.sleep(0)
    assert clock.next_due == START + timedelta(seconds=10)
    sleeper.cancel()
    await asyncio.wait([sleeper])
    clock.advance(20)
    assert sleeper.cancelled()


async def test_setting_the_wall_clock_takes_no_time() -> None:
    clock = VirtualClock()
    sleeper = asyncio.ensure_future(clock.sleep_until(START + timedelta(minutes=30)))
    await asyncio.sleep(0)
    clock.step(3600)
    await sleeper
    clock.step(-7200)
    assert (clock.now(), clock.monotonic()) == (START - timedelta(hours=1), 0)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


async def test_rest_is_measured_whatever_the_wall_clock_says() -> None:
    clock = VirtualClock()
    resting = asyncio.ensure_future(clock.sleep(10))
    await clock.run_for(4)
    clock.step(-3600)
    await clock.run_for(5.9)
    clock.step(7200)
    await asyncio.sleep(0)
    assert not resting.done()
    await clock.run_for(0.1)
    assert resting.done()
