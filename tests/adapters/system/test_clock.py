"""The machine's clock."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pupload.adapters.system.clock import SystemClock


def test_now_is_utc_and_durations_never_go_back() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()


async def test_sleeping_until_then_does_not_return_before() -> None:
    clock = SystemClock()
    when = clock.now() + timedelta(milliseconds=5)
    await clock.sleep_until(when)
    assert clock.now() >= when


async def test_what_has_passed_is_not_waited_for() -> None:
    clock = SystemClock()
    await asyncio.wait_for(clock.sleep_until(clock.now() - timedelta(days=1)), timeout=1)


async def test_a_clock_set_forward_meanwhile_ends_the_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [datetime(2026, 3, 3, 12, tzinfo=UTC), datetime(2026, 3, 4, 12, tzinfo=UTC)]
    naps: list[float] = []
    clock = SystemClock()
    monkeypatch.setattr(clock, "now", lambda: times.pop(0))

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", nap)
    await clock.sleep_until(datetime(2026, 3, 3, 23, tzinfo=UTC))
    assert naps == [60.0]
