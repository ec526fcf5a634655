"""What `schedule.Schedules` promises."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from pupload import errors
from pupload.domain import counting, schedule
from tests.contracts.states import NOON, Bench, state

__all__ = ["state"]


def a_schedule(name: str = "sched_a", *, look_at: datetime | None = NOON, **more: object) -> schedule.Schedule:
    return schedule.Schedule(
        id=name,
        **{"flow_id": "flow_a", "cron": "0 6 * * *", "created_at": NOON, "look_at": look_at, **more},  # type: ignore[arg-type]
    )


async def put(state: Bench, this: schedule.Schedule) -> schedule.Schedule:
    saved = await state.schedules.put(this)
    assert saved is not None
    return saved


async def test_a_schedule_reads_back_whole_after_a_restart(state: Bench) -> None:
    this = a_schedule(
        timezone="Europe/Berlin",
        paused_until=NOON,
        catch_up=schedule.CatchUp.ALL,
        window_seconds=60,
        overlap=schedule.Overlap.QUEUE,
        params={"date": "päst"},
        next_at=NOON,
        pending=(NOON, NOON + timedelta(microseconds=1)),
        last_at=NOON,
        last_run="run_a",
        last_error="why",
    )
    saved = await put(state, this)
    assert saved == replace(this, version=1)
    await state.again()
    assert await state.schedules.get("sched_a") == saved


async def test_what_one_counts_reads_back_too(state: Bench) -> None:
    count = counting.Count(
        name="nightly",
        description="of all that came",
        drawing=7,
        trigger="clock",
        payload={"a": [1, 2.5, None, {"b": True}]},
        most_runs=5,
        most_retries=0,
        timeout_seconds=9,
        runs=3,
        failures=2,
        repeat=1,
        retry=1,
        over=counting.Over.DEAD,
        counted="run_a",
        error="päst",
        ran_at=NOON,
        updated_at=NOON,
    )
    of_drawing = schedule.of_drawing(7)
    saved = await put(state, a_schedule(flow_id=of_drawing, cron="", interval_seconds=60, base_at=NOON, count=count))
    await state.again()
    assert await state.schedules.list(flow_id=of_drawing) == [saved]
    assert saved.count == count


async def test_of_two_that_save_at_once_one_succeeds(state: Bench) -> None:
    saved = await put(state, a_schedule())
    found = await asyncio.gather(*(state.schedules.put(replace(saved, last_run=name)) for name in ("run_a", "run_b")))
    (winner,) = (one for one in found if one is not None)
    assert winner.version == 2
    assert await state.schedules.get("sched_a") == winner
    assert await state.schedules.put(saved) is None


async def test_a_new_one_is_not_put_in_place_of_another_nor_a_removed_one_back(state: Bench) -> None:
    saved = await put(state, a_schedule())
    assert await state.schedules.put(a_schedule(cron="1 1 1 1 1")) is None
    await state.schedules.remove("sched_a")
    assert await state.schedules.put(saved) is None
    with pytest.raises(errors.UnknownSchedule):
        await state.schedules.get("sched_a")
    with pytest.raises(errors.UnknownSchedule):
        await state.schedules.remove("sched_a")


async def test_the_list_is_in_order_and_of_what_is_asked_for(state: Bench) -> None:
    for name, flow_id, enabled in (
        ("sched_c", "flow_a", True),
        ("sched_a", "flow_b", False),
        ("sched_b", "flow_a", False),
    ):
        await put(state, a_schedule(name, flow_id=flow_id, enabled=enabled))

    async def names(**asked: object) -> list[str]:
        return [one.id for one in await state.schedules.list(**asked)]  # type: ignore[arg-type]

    assert await names() == ["sched_a", "sched_b", "sched_c"]
    assert await names(flow_id="flow_a") == ["sched_b", "sched_c"]
    assert await names(enabled=True) == ["sched_c"]
    assert await names(flow_id="flow_a", enabled=False) == ["sched_b"]


async def test_due_are_those_whose_moment_has_come_the_longest_overdue_first(state: Bench) -> None:
    assert await state.schedules.next_look() is None
    for name, minutes in (("sched_a", 2), ("sched_b", 1), ("sched_c", 3), ("sched_d", None)):
        await put(state, a_schedule(name, look_at=None if minutes is None else NOON + timedelta(minutes=minutes)))

    async def due(minutes: int, limit: int = 100) -> list[str]:
        return [one.id for one in await state.schedules.due(NOON + timedelta(minutes=minutes), limit=limit)]

    assert await state.schedules.next_look() == NOON + timedelta(minutes=1)
    assert await due(0) == []
    assert await due(2) == ["sched_b", "sched_a"]
    assert await due(9, limit=2) == ["sched_b", "sched_a"]
    first = (await state.schedules.due(NOON + timedelta(minutes=1)))[0]
    await put(state, replace(first, look_at=None))
    assert await due(9) == ["sched_a", "sched_c"]
    assert await state.schedules.next_look() == NOON + timedelta(minutes=2)


async def test_a_new_key_changes_nothing_that_can_be_read(state: Bench) -> None:
    saved = await put(state, a_schedule(params={"token": "abcdef"}))
    await state.secrets.reseal(new_key=True)
    await state.again()
    assert await state.schedules.get("sched_a") == saved
