"""Which runs may have attempts admitted, where only so many may have something under way."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pupload.domain import deadlines, events
from pupload.domain.run import AttemptRef, NodeStatus, Run, Status
from pupload.engine.admission import Admission
from pupload.engine.slots import Rank, Slots
from tests.bench import PNG, ROOM, Bench, a_bench, assemble, copies, ends
from tests.builders import a_flow, a_node
from tests.engine.test_admission import a_tier, settled

IMAGE = "pupload/resize:latest"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """Runs that come into the queue, get room and leave, as admission tells of them."""

    def __init__(self, most: int | None) -> None:
        self.holding: list[str] = []
        self.slots = Slots(most, holders=lambda: [f"{run}.n.1" for run in self.holding])
        self.told: list[tuple[str, bool]] = []
        self.slots.on_change = lambda run, waits: self.told.append((run, waits))

    def come(self, *runs: str, first: int = 0) -> None:
        for run in runs:
            self.slots.come(Rank(-first, NOW, run))
        self.settle()

    def give(self, run: str) -> None:
        """The run's attempt has room."""
        assert run in self.may_go()
        self.slots.leave(run)
        self.holding.append(run)
        self.slots.moved(run)
        self.settle()

    def leave(self, run: str) -> None:
        self.holding.remove(run)
        self.slots.moved(run)
        self.settle()

    def settle(self) -> None:
        self.slots.settle()
        self.slots.tell()

    def may_go(self) -> Sequence[str]:
        return list(self.slots.in_order())


def test_what_is_free_is_kept_for_those_who_come_next() -> None:
    world = World(2)
    world.come("a", "b", "c", "d")
    assert world.may_go() == ["a", "b"]
    assert world.slots.queued == ["c", "d"]
    assert [world.slots.position(run) for run in "abcd"] == [None, None, 1, 2]
    world.give("b")
    assert world.may_go() == ["a"], "the slot that is left stays for a, though b was faster"
    world.give("a")
    assert world.may_go() == []
    world.leave("b")
    assert world.may_go() == ["c"]


def test_who_comes_first_comes_before_those_who_have_not_begun() -> None:
    world = World(1)
    world.come("a")
    world.come("b", first=5)
    assert world.may_go() == ["b"]
    assert world.told == [("a", True)]
    world.give("b")
    world.come("c", first=9)
    assert world.may_go() == [], "who has begun is not interrupted"
    world.leave("b")
    assert world.may_go() == ["c"]


def test_nobody_gets_a_slot_while_more_have_one_than_there_are() -> None:
    world = World(1)
    world.holding += ["a", "b", "c"]
    for run in "abc":
        world.slots.moved(run)
    world.come("d")
    for run in "abc":
        assert world.may_go() == []
        world.leave(run)
    assert world.may_go() == ["d"]
    assert world.told == [("d", True), ("d", False)]


def test_without_a_number_everybody_may_go_and_nothing_is_told() -> None:
    world = World(None)
    world.come("a", "b", "c")
    world.come("d", first=1)
    assert world.may_go() == ["d", "a", "b", "c"]
    assert world.told == []
    assert world.slots.may_begin("e")


@settings(max_examples=300, deadline=None)
@given(
    most=st.integers(1, 4),
    steps=st.lists(st.tuples(st.integers(0, 11), st.integers(-2, 2)), max_size=60),
)
def test_there_are_never_more_runs_than_slots_and_nobody_is_passed_by_a_lower_one(
    most: int, steps: list[tuple[int, int]]
) -> None:
    world, waiting = World(most), dict[str, Rank]()
    for number, first in steps:
        run = f"r{number:02}"
        if run in world.holding:
            world.leave(run)
        elif run not in waiting:
            world.come(run, first=first)
            waiting[run] = Rank(-first, NOW, run)
        elif run in world.may_go():
            world.give(run)
            del waiting[run]
        assert len(world.holding) <= most
        order = sorted(waiting, key=waiting.__getitem__)
        free = most - len(world.holding)
        assert sorted(world.may_go()) == sorted(order[:free])
        assert world.slots.queued == order[free:]
        assert not world.holding or not set(world.holding) & set(world.slots.queued)


# ── With admission ───────────────────────────────────────────────────────────────────────────────────────────────


class Crowd:
    """Attempts of runs that come, hold room and leave."""

    def __init__(self, most: int | None, *, memory: int = 100) -> None:
        self.admission = Admission(replace(ROOM, memory_bytes=memory), most_runs=most)
        self.inside: list[AttemptRef] = []
        self.entered: list[AttemptRef] = []
        self._doors: dict[str, asyncio.Event] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, ref: AttemptRef, *, memory: int = 10, first: int = 0) -> None:
        self._doors[ref.id] = asyncio.Event()
        self.tasks.append(asyncio.create_task(self._stay(ref, memory, first)))

    async def leave(self, ref: AttemptRef) -> None:
        self.inside.remove(ref)
        self._doors[ref.id].set()
        await settled()

    async def _stay(self, ref: AttemptRef, memory: int, first: int) -> None:
        async with self.admission.place(ref, a_tier(memory), rank=Rank(-first, NOW, ref.run)):
            self.inside.append(ref)
            self.entered.append(ref)
            await self._doors[ref.id].wait()


async def test_two_runs_take_turns_and_a_third_waits_though_there_is_room() -> None:
    crowd = Crowd(2, memory=30)
    for number in range(3):
        for run in "abc":
            crowd.come(AttemptRef(run=run, node="n", number=number))
    await settled()
    assert [ref.run for ref in crowd.inside] == ["a", "b", "a"]
    while crowd.inside:
        assert len({ref.run for ref in crowd.inside}) <= 2
        await crowd.leave(crowd.inside[0])
    assert [ref.run for ref in crowd.entered] == ["a", "b", "a", "b", "a", "b", "c", "c", "c"]


async def test_a_large_run_is_not_passed_for_its_slot() -> None:
    crowd = Crowd(2, memory=30)
    crowd.come(AttemptRef(run="a", node="n", number=1), memory=20)
    await settled()
    crowd.come(AttemptRef(run="b", node="n", number=1), memory=30)
    crowd.come(AttemptRef(run="c", node="n", number=1), memory=10)
    await settled()
    assert [ref.run for ref in crowd.entered] == ["a"]
    await crowd.leave(crowd.inside[0])
    assert [ref.run for ref in crowd.entered] == ["a", "b"]
    await crowd.leave(crowd.inside[0])
    await crowd.leave(crowd.inside[0])
    assert not crowd.admission.queued


async def test_room_goes_to_the_higher_priority_though_others_came_first() -> None:
    crowd = Crowd(None, memory=10)
    for run, first in (("a", 0), ("b", -1), ("c", 0), ("d", 9)):
        crowd.come(AttemptRef(run=run, node="n", number=1), first=first)
        await settled()
    while crowd.inside:
        await crowd.leave(crowd.inside[0])
    assert [ref.run for ref in crowd.entered] == ["a", "d", "c", "b"]


@settings(max_examples=60, deadline=None)
@given(
    most=st.integers(1, 3),
    comes=st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([10, 40, 100])), min_size=1, max_size=25),
    firsts=st.lists(st.integers(-1, 1), min_size=6, max_size=6),
    leaves=st.lists(st.integers(0, 5), max_size=40),
)
async def test_everybody_gets_in_and_never_more_runs_than_slots(
    most: int, comes: list[tuple[str, int]], firsts: list[int], leaves: list[int]
) -> None:
    crowd = Crowd(most)
    steps = iter(leaves)
    for number, (run, memory) in enumerate(comes):
        crowd.come(AttemptRef(run=run, node="n", number=number), memory=memory, first=firsts["abcdef".index(run)])
        await settled()
        assert len({ref.run for ref in crowd.inside}) <= most
        if crowd.inside and (which := next(steps, 5)) < len(crowd.inside):
            await crowd.leave(crowd.inside[which])
    while crowd.inside:
        assert len({ref.run for ref in crowd.inside}) <= most
        await crowd.leave(crowd.inside[0])
    assert len(crowd.entered) == len(comes)
    assert not crowd.admission.queued
    assert not crowd.admission.crowded


# ── The whole ────────────────────────────────────────────────────────────────────────────────────────────────────

ALONE = a_flow(a_node("slow", inputs={}, outputs={}))
"""A run of it has something to do at once."""


async def many(bench: Bench, priorities: Sequence[int], *, seconds: float = 60.0) -> list[Run]:
    """Runs of one slow node each, with these priorities."""
    bench.image(IMAGE, ends(seconds=seconds))
    return [await bench.start(replace(ALONE, priority=first)) for first in priorities]


def under_way(bench: Bench, runs: Sequence[Run]) -> list[int]:
    """Which of the runs have a container."""
    alive = {ref.run for ref in bench.executor.alive}
    return [number for number, run in enumerate(runs) if run.id in alive]


async def limited(bench: Bench, most: int | None) -> Bench:
    """The bench with another setting, after a restart."""
    await bench.engine.close()
    again = assemble(bench.world, replace(bench.config, most_runs=most), bench)
    await again.engine.start()
    return again


async def test_so_many_runs_have_something_under_way_and_higher_priorities_come_first(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench = await limited(bench, 2)
        try:
            runs = await many(bench, [0, 0, 0, -5, 7, 0])
            order = list[int]()
            for _ in range(len(runs) // 2):
                await bench.until(lambda: len(under_way(bench, runs)) == 2)
                now = under_way(bench, runs)
                order += now
                await bench.until(lambda now=now: not set(now) & set(under_way(bench, runs)), step=1.0)  # type: ignore[misc]
            assert order == [0, 1, 2, 4, 3, 5] or sorted(order[2:4]) == [2, 4], order
            for run in runs:
                assert (await bench.ended(run, step=1.0)).status is Status.COMPLETE
            assert bench.engine.admission.slots.running == frozenset()
        finally:
            await bench.engine.close()


async def test_a_run_that_waits_for_a_slot_does_not_wait_for_room_however_long(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench = await limited(bench, 1)
        try:
            first, second = await many(bench, [0, 0], seconds=3000.0)
            await bench.until(lambda: bench.engine.driver.live[second.id].queued_at is not None)
            plan = bench.engine.driver.live[second.id].plan
            assert bench.engine.driver.live[first.id].queued_at is None
            object.__setattr__(plan, "queue_seconds", 1000.0)
            await bench.until(lambda: first.id not in bench.engine.driver.live, step=100.0)
            done = await bench.ended(second, step=100.0)
            assert done.status is Status.COMPLETE
            assert done.slot_at is not None
            assert done.queued_at is None
        finally:
            await bench.engine.close()


@pytest.mark.parametrize("mode", ["kill", "drain"])
async def test_a_cancel_ends_a_queued_run_at_once(tmp_path: Path, mode: str) -> None:
    async with a_bench(tmp_path) as bench:
        bench = await limited(bench, 1)
        try:
            first, second, third = await many(bench, [0, 0, 0])
            await bench.until(lambda: bench.engine.admission.slots.queued == [second.id, third.id])
            await bench.runs.cancel(second.id, mode=mode)
            assert second.id not in bench.engine.driver.live
            await bench.until(lambda: bench.engine.admission.slots.queued == [third.id])
            await bench.until(lambda: under_way(bench, [first, second, third]) == [0])
        finally:
            await bench.engine.close()


async def test_whoever_waits_for_an_upload_needs_no_slot(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench = await limited(bench, 1)
        try:
            bench.image(IMAGE, copies("image", "resized", seconds=5))
            before = a_node("n0", inputs={"image": "soon"}, outputs={"resized": "n0-out"})
            node = a_node("second", inputs={"image": "n0-out", "other": "late"})
            waits = await bench.start(a_flow(before, node))
            await bench.upload(waits, "soon", PNG)
            await bench.until(lambda: bench.engine.driver.live[waits.id].nodes["n0"].status is NodeStatus.COMPLETE)
            other = (await many(bench, [0]))[0]
            await bench.until(lambda: under_way(bench, [other]) == [0])
            bench.image(IMAGE, copies("image", "resized"))
            await bench.upload(waits, "late", PNG)
            await bench.until(lambda: bench.engine.driver.live[waits.id].queued_at is not None)
            await bench.ended(other, step=1.0)
            assert (await bench.ended(waits)).status is Status.COMPLETE
        finally:
            await bench.engine.close()


async def test_after_a_restart_those_that_had_slots_have_them_even_where_there_are_fewer(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench = await limited(bench, 3)
        try:
            runs = await many(bench, [0, 0, 0, 0])
            await bench.until(lambda: len(under_way(bench, runs)) == 3)
            bench = await limited(bench, 1)
            await bench.until(lambda: bench.engine.admission.slots.queued == [runs[3].id])
            assert len(bench.engine.admission.slots.running) == 3
            for run in runs:
                assert (await bench.ended(run, step=1.0)).status is Status.COMPLETE
        finally:
            await bench.engine.close()


async def test_without_a_limit_any_more_who_waited_waits_for_room(tmp_path: Path) -> None:
    async with a_bench(tmp_path, room=replace(ROOM, attempts=1)) as bench:
        bench = await limited(bench, 1)
        try:
            runs = await many(bench, [0, 0])
            await bench.until(lambda: bench.engine.driver.live[runs[1].id].queued_at is not None)
            bench = await limited(bench, None)
            await bench.until(lambda: bench.engine.driver.live[runs[1].id].queued_at is None)
            assert len(bench.engine.admission.holders) == 1, "there is no room for it yet"
            assert deadlines.due(bench.engine.driver.live[runs[1].id]) is not None
        finally:
            await bench.engine.close()


async def test_a_priority_can_be_changed_while_the_run_waits(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench = await limited(bench, 1)
        try:
            runs = await many(bench, [0, 0, 0])
            slots = bench.engine.admission.slots
            await bench.until(lambda: slots.queued == [runs[1].id, runs[2].id])
            assert await bench.engine.driver.report(runs[2].id, events.PriorityChanged(priority=3))
            assert slots.queued == [runs[2].id, runs[1].id]
            assert not await bench.engine.driver.report(runs[2].id, events.PriorityChanged(priority=3))
            bench = await limited(bench, 1)
            await bench.until(lambda: bench.engine.admission.slots.queued == [runs[2].id, runs[1].id])
        finally:
            await bench.engine.close()
