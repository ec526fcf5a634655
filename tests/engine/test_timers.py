"""Alarms."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from pupload.adapters.memory.clock import START, VirtualClock
from pupload.engine import timers


class Alarms:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.rung: list[tuple[float, str]] = []
        self.timers = timers.Timers(self.clock, self._ring)

    def _ring(self, name: str) -> None:
        self.rung.append(((self.clock.now() - START).total_seconds(), name))

    def set(self, name: str, seconds: float | None) -> None:
        self.timers.set(name, None if seconds is None else at(seconds))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
async def alarms() -> AsyncIterator[Alarms]:
    made = Alarms()
    task = asyncio.create_task(made.timers.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_alarms_ring_at_their_time_in_their_order(alarms: Alarms) -> None:
    for name, seconds in (("c", 30), ("a", 10), ("b", 20)):
        alarms.set(name, seconds)
    await alarms.clock.run_for(60)
    assert alarms.rung == [(10, "a"), (20, "b"), (30, "c")]
    assert not len(alarms.timers)


async def test_an_alarm_set_sooner_while_others_sleep_rings_sooner(alarms: Alarms) -> None:
    alarms.set("late", 100)
    await alarms.clock.run_for(1)
    alarms.set("soon", 2)
    await alarms.clock.run_for(5)
    assert alarms.rung == [(2, "soon")]


async def test_a_new_setting_replaces_the_old(alarms: Alarms) -> None:
    alarms.set("a", 10)
    alarms.set("a", 20)
    alarms.set("b", 20)
    alarms.set("b", 5)
    await alarms.clock.run_for(60)
    assert alarms.rung == [(5, "b"), (20, "a")]


async def test_what_was_taken_back_does_not_ring(alarms: Alarms) -> None:
    alarms.set("a", 10)
    await alarms.clock.run_for(1)
    alarms.set("a", None)
    alarms.set("never", None)
    await alarms.clock.run_for(60)
    assert not alarms.rung


async def test_an_alarm_set_again_for_the_same_moment_rings_once(alarms: Alarms) -> None:
    alarms.set("a", 10)
    alarms.set("a", 10)
    alarms.set("a", None)
    alarms.set("a", 10)
    await alarms.clock.run_for(60)
    assert alarms.rung == [(10, "a")]


async def test_a_moment_that_has_passed_rings_at_once(alarms: Alarms) -> None:
    alarms.set("a", -5)
    await alarms.clock.run_for(0)
    assert alarms.rung == [(0, "a")]


async def test_an_alarm_may_be_set_anew_by_its_own_ringing() -> None:
    clock, rung = VirtualClock(), []

    def ring(name: str) -> None:
        rung.append(name)
        if len(rung) < 3:
            made.set(name, clock.now() + timedelta(seconds=1))

    made = timers.Timers(clock, ring)
    made.set("a", at(1))
    task = asyncio.create_task(made.run())
    await clock.run_for(10)
    assert rung == ["a"] * 3
    task.cancel()


async def test_a_step_of_the_wall_clock_rings_what_is_due_then(alarms: Alarms) -> None:
    alarms.set("a", 3600)
    await alarms.clock.run_for(1)
    alarms.clock.step(3600)
    await alarms.clock.run_for(0)
    assert [name for _, name in alarms.rung] == ["a"]


async def test_runs_that_are_over_are_not_remembered_until_their_deadlines(alarms: Alarms) -> None:
    for number in range(20_000):
        alarms.set(f"run{number}", 86400 + number)
        alarms.set(f"run{number}", None)
    assert len(alarms.timers._heap) <= 2 * timers.SLACK
    alarms.set("last", 1)
    await alarms.clock.run_for(2)
    assert alarms.rung == [(1, "last")]
