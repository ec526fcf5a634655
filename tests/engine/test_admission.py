"""Who gets room, and when."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pupload.domain.run import AttemptRef
from pupload.domain.tiers import Tier
from pupload.engine.admission import PASSES, Admission, Room


def a_room(**fields: object) -> Room:
    usual = {"cpus": math.inf, "memory_bytes": 100, "gpus": {}, "attempts": 100}
    return Room(**{**usual, **fields})  # type: ignore[arg-type]


def a_tier(memory: int = 10, *, cpus: float = 1.0, gpus: int = 0, vendor: str = "") -> Tier:
    return Tier(name="t", cpus=cpus, memory_bytes=memory, storage_bytes=1, gpus=gpus, gpu_vendor=vendor)


def a_ref(run: str, number: int = 1) -> AttemptRef:
    return AttemptRef(run=run, node="n", number=number)


async def settled() -> None:
    """Everybody who can go on has."""
    for _ in range(10):
        await asyncio.sleep(0)


class Crowd:
    """Attempts that come, hold their room and leave when they are told."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.inside: list[str] = []
        """Who was let in, in order; whoever left is still in the list."""
        self._leaving: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def come(self, ref: AttemptRef, tier: Tier, *, held: bool = False) -> None:
        self._leaving[ref.id] = asyncio.Event()
        self._tasks[ref.id] = asyncio.create_task(self._stay(ref, tier, held))

    async def leave(self, ref: AttemptRef) -> None:
        self._leaving[ref.id].set()
        await settled()

    def cancel(self, ref: AttemptRef) -> None:
        self._tasks[ref.id].cancel()

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _stay(self, ref: AttemptRef, tier: Tier, held: bool) -> None:
        async with self.admission.place(ref, tier, held=held):
            self.inside.append(ref.id)
            await self._leaving[ref.id].wait()


@asynccontextmanager
async def a_crowd(**room: object) -> AsyncIterator[Crowd]:
    crowd = Crowd(Admission(a_room(**room)))
    try:
        yield crowd
    finally:
        await crowd.close()
        assert not crowd.admission.holders
        assert not crowd.admission.queued


async def test_there_is_room_until_memory_is_given_out() -> None:
    async with a_crowd(memory_bytes=25) as crowd:
        for name in "abc":
            crowd.come(a_ref(name), a_tier(10))
        await settled()
        assert crowd.inside == ["a.n.1", "b.n.1"]
        assert crowd.admission.queued == 1
        await crowd.leave(a_ref("a"))
        assert crowd.inside[-1] == "c.n.1"


@pytest.mark.parametrize(
    ("room", "tier"),
    [
        ({"cpus": 1.5}, a_tier(cpus=1)),
        ({"attempts": 1}, a_tier()),
        ({"gpus": {"amd": 1}}, a_tier(gpus=1, vendor="amd")),
    ],
)
async def test_everything_that_is_given_out_may_run_short(room: dict[str, object], tier: Tier) -> None:
    async with a_crowd(**room) as crowd:
        crowd.come(a_ref("a"), tier)
        crowd.come(a_ref("b"), tier)
        await settled()
        assert crowd.inside == ["a.n.1"]
        await crowd.leave(a_ref("a"))
        assert crowd.inside == ["a.n.1", "b.n.1"]


async def test_gpus_of_one_vendor_are_no_others() -> None:
    async with a_crowd(gpus={"nvidia": 1, "amd": 1}) as crowd:
        for name, vendor in (("a", "amd"), ("b", "amd"), ("c", "nvidia"), ("d", "any"), ("e", "intel")):
            crowd.come(a_ref(name), a_tier(1, gpus=1, vendor=vendor))
        await settled()
        assert crowd.inside == ["a.n.1", "c.n.1"]
        await crowd.leave(a_ref("c"))
        assert crowd.inside[2:] == ["d.n.1"]
        assert crowd.admission.holders["d.n.1"].gpu_vendor == "nvidia"
        await crowd.leave(a_ref("a"))
        assert crowd.inside[3:] == ["b.n.1"]


async def test_where_there_are_no_gpus_nobody_gets_one() -> None:
    async with a_crowd() as crowd:
        crowd.come(a_ref("a"), a_tier(gpus=1, vendor="any"))
        crowd.come(a_ref("b"), a_tier())
        await settled()
        assert crowd.inside == ["b.n.1"]


async def test_runs_take_turns() -> None:
    async with a_crowd(attempts=1) as crowd:
        crowd.come(a_ref("first"), a_tier())
        for count in range(1, 4):
            crowd.come(a_ref("big", count), a_tier())
        crowd.come(a_ref("small"), a_tier())
        await settled()
        for name in ("first.n.1", "big.n.1", "small.n.1", "big.n.2"):
            assert crowd.inside[-1] == name
            run, _, number = name.split(".")
            await crowd.leave(a_ref(run, int(number)))
        assert crowd.inside[-1] == "big.n.3"


async def test_a_small_one_passes_a_large_one_but_not_for_ever() -> None:
    async with a_crowd(memory_bytes=100) as crowd:
        crowd.come(a_ref("resident"), a_tier(50))
        crowd.come(a_ref("large"), a_tier(60))
        for number in range(2 * PASSES):
            crowd.come(a_ref(f"small{number}"), a_tier(10))
        await settled()
        while "large.n.1" not in crowd.inside:
            assert crowd.inside[1:] == [f"small{number}.n.1" for number in range(len(crowd.inside) - 1)]
            assert len(crowd.inside) - 1 <= PASSES
            if len(crowd.inside) - 1 == PASSES:
                await crowd.leave(a_ref("resident"))
            for inside in crowd.inside[1:]:
                await crowd.leave(a_ref(inside.split(".")[0]))
        assert crowd.inside.index("large.n.1") == PASSES + 1


async def test_who_can_never_fit_holds_up_nobody() -> None:
    async with a_crowd(memory_bytes=100) as crowd:
        crowd.come(a_ref("huge"), a_tier(101))
        await settled()
        for number in range(3 * PASSES):
            crowd.come(a_ref(f"small{number}"), a_tier(10))
            await settled()
            await crowd.leave(a_ref(f"small{number}"))
        assert len(crowd.inside) == 3 * PASSES


async def test_who_is_cancelled_while_waiting_leaves_the_queue() -> None:
    async with a_crowd(attempts=1) as crowd:
        for name in "abc":
            crowd.come(a_ref(name), a_tier())
        await settled()
        crowd.cancel(a_ref("b"))
        await settled()
        assert crowd.admission.queued == 1
        await crowd.leave(a_ref("a"))
        assert crowd.inside == ["a.n.1", "c.n.1"]


async def test_who_is_cancelled_at_the_instant_of_being_given_gives_back() -> None:
    async with a_crowd(attempts=1) as crowd:
        for name in "abc":
            crowd.come(a_ref(name), a_tier())
        await settled()
        crowd.cancel(a_ref("a"))
        for _ in range(20):
            if "b.n.1" in crowd.admission.holders:
                break
            await asyncio.sleep(0)
        assert "b.n.1" not in crowd.inside
        crowd.cancel(a_ref("b"))  # it was given its place, and has not gone on yet
        await settled()
        assert crowd.inside == ["a.n.1", "c.n.1"]
        assert set(crowd.admission.holders) == {"c.n.1"}


async def test_a_cancelled_one_in_front_does_not_keep_those_behind_it() -> None:
    async with a_crowd(attempts=1) as crowd:
        crowd.come(a_ref("a"), a_tier())
        crowd.come(a_ref("b", 1), a_tier())
        crowd.come(a_ref("b", 2), a_tier())
        await settled()
        crowd.cancel(a_ref("b", 1))
        crowd.cancel(a_ref("a"))
        await settled()
        assert crowd.inside == ["a.n.1", "b.n.2"]


async def test_a_held_place_is_had_at_once_and_counts() -> None:
    async with a_crowd(memory_bytes=10) as crowd:
        crowd.come(a_ref("a"), a_tier(8), held=True)
        crowd.come(a_ref("b"), a_tier(8), held=True)
        crowd.come(a_ref("c"), a_tier(1))
        await settled()
        assert crowd.inside == ["a.n.1", "b.n.1"], "more is held than there is, so nobody else gets any"
        await crowd.leave(a_ref("a"))
        assert crowd.inside[-1] == "c.n.1"


async def test_who_comes_to_its_end_hands_its_room_on() -> None:
    admission, one, other = Admission(a_room(attempts=1)), object(), object()
    assert admission.take(a_ref("a"), a_tier(4), keeper=one)
    assert not admission.take(a_ref("b"), a_tier(4), keeper=other)
    assert not admission.take(a_ref("b"), a_tier(3), keeper=other, instead=[a_ref("a")]), "the rest would be others'"
    assert list(admission.holders) == ["a.n.1"]
    assert admission.take(a_ref("b"), a_tier(4), keeper=other, instead=[a_ref("nobody"), a_ref("a")])
    assert list(admission.holders) == ["b.n.1"]
    admission.release(a_ref("a"), keeper=one)
    assert list(admission.holders) == ["b.n.1"], "it was handed on"


async def test_nobody_hands_on_what_is_not_enough() -> None:
    admission = Admission(a_room(memory_bytes=10))
    for name in ("a", "b"):
        assert admission.take(a_ref(name), a_tier(5), keeper=None)
    assert not admission.take(a_ref("c"), a_tier(6), keeper=None, instead=[a_ref("a"), a_ref("b")])
    assert list(admission.holders) == ["a.n.1", "b.n.1"]


async def test_where_somebody_waits_nothing_is_handed_on() -> None:
    async with a_crowd(attempts=1) as crowd:
        crowd.come(a_ref("a"), a_tier())
        crowd.come(a_ref("b"), a_tier())
        await settled()
        assert not crowd.admission.take(a_ref("c"), a_tier(), keeper=None, instead=[a_ref("a")])
        await crowd.leave(a_ref("a"))
        assert crowd.inside[-1] == "b.n.1"


async def test_thousands_at_a_full_house_cost_little() -> None:
    looked_at = 0

    class Counting(Admission):
        def _next(self) -> object:  # type: ignore[override]
            nonlocal looked_at
            looked_at += 1
            return super()._next()

    crowd = Crowd(Counting(a_room(attempts=1)))
    for number in range(5000):
        crowd.come(a_ref(f"r{number}"), a_tier())
    await settled()
    assert crowd.admission.queued == 4999
    assert looked_at < 10
    await crowd.close()


COMING = st.tuples(
    st.integers(0, 4),
    st.integers(1, 100),
    st.sampled_from([0.5, 1.0, 4.0]),
    st.sampled_from(["", "nvidia", "amd", "any"]),
)
STEPS = st.lists(
    st.one_of(
        COMING.map(lambda one: ("come", one)),
        st.integers(0, 100).map(lambda which: ("leave", which)),
        st.integers(0, 100).map(lambda which: ("cancel", which)),
        st.just(("turn", 0)),
    ),
    max_size=80,
)
ROOM = a_room(memory_bytes=100, cpus=6.0, gpus={"nvidia": 2, "amd": 1}, attempts=5)


def check(admission: Admission) -> None:
    """No more is given out than there is."""
    held = list(admission.holders.values())
    assert len(held) <= ROOM.attempts
    assert sum(tier.memory_bytes for tier in held) <= ROOM.memory_bytes
    assert sum(tier.cpus for tier in held) <= ROOM.cpus
    for vendor, there in ROOM.gpus.items():
        assert sum(tier.gpus for tier in held if tier.gpu_vendor == vendor) <= there
    assert {tier.gpu_vendor for tier in held} <= {"", *ROOM.gpus}


async def take_step(crowd: Crowd, coming: list[AttemptRef], cancelled: set[str], step: tuple[str, Any]) -> None:
    kind, what = step
    if kind == "come":
        run, memory, cpus, vendor = what
        ref = a_ref(f"r{run}", len(coming))
        coming.append(ref)
        crowd.come(ref, a_tier(memory, cpus=cpus, gpus=int(bool(vendor)), vendor=vendor))
    elif kind == "turn" or not coming:
        await asyncio.sleep(0)
    elif kind == "leave":
        await crowd.leave(coming[what % len(coming)])
    else:
        crowd.cancel(coming[what % len(coming)])
        cancelled.add(coming[what % len(coming)].id)


@settings(max_examples=150)
@given(steps=STEPS)
def test_whatever_comes_and_goes_the_room_is_never_exceeded_and_everybody_is_served(
    steps: list[tuple[str, Any]],
) -> None:
    async def play() -> None:
        crowd, coming, cancelled = Crowd(Admission(ROOM)), list[AttemptRef](), set[str]()
        for step in steps:
            await take_step(crowd, coming, cancelled, step)
            check(crowd.admission)
        await settled()
        while held := [ref for ref in coming if ref.id in crowd.admission.holders]:
            await crowd.leave(held[0])
            check(crowd.admission)
        assert not crowd.admission.queued, "nobody who fits waits in an empty house"
        assert {ref.id for ref in coming} - cancelled <= set(crowd.inside)
        await crowd.close()

    asyncio.run(play())
