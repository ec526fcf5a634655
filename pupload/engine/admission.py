"""
Who may hold resources: a place in the queue, and room when there is some.

Capacity in use is the sum over the attempts that hold a place, never counted up and down: it is computed when it is
asked for, and somebody came or went since. The queue is fair among runs: higher priorities come first, and equal ones
take turns, each run with its oldest attempt. An attempt that does not fit yet is passed by smaller ones, but only so
often: then those of its own and lower priorities wait for it. Which runs may go at all, `pupload.engine.slots` says.

What there is to give out may change (`pupload.engine.sharing`): other controllers may use the same container engine.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pupload.domain import tiers
from pupload.domain.run import AttemptRef, Run
from pupload.domain.tiers import Tier
from pupload.engine.slots import Rank, Slots

_NO_TIME = datetime.min.replace(tzinfo=UTC)

PASSES = 16
"""How many attempts may go before one that does not fit yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What there is to give out."""

    cpus: float
    """Infinite where CPU may be over-committed without limit."""
    memory_bytes: int
    gpus: Mapping[str, int]
    """By vendor."""
    attempts: int
    """How many attempts at once, whatever their size."""


@dataclass(slots=True)
class _Place:
    ref: AttemptRef
    tier: Tier
    given: "asyncio.Future[None]"
    keeper: object = None
    passed: int = 0


class Admission:
    """Gives out room."""

    def __init__(self, room: Room, *, is_open: Callable[[], bool] = lambda: True, most_runs: int | None = None) -> None:
        """
        `is_open` says whether room may be given out now; who changes that calls `limit_to` afterwards. Of `most_runs`
        attempts may be under way at the same time; None: of any number.
        """
        self._whole = self._room = room
        self._is_open = is_open
        self._holders: dict[str, Tier] = {}
        self._keepers: dict[str, object] = {}
        """On whose behalf each of them holds it."""
        self._known: Room | None = None
        """What is free; None where that is to be computed anew."""
        self.moved = asyncio.Event()
        """Set when somebody has to wait, or room came free; cleared by whoever cares."""
        self._queues: dict[str, deque[_Place]] = {}
        """By run; whose turn it is, `slots` says."""
        self._wanted: Counter[Tier] = Counter()
        """What those who wait want."""
        self.slots = Slots(most_runs, holders=lambda: self._holders)

    @property
    def queued(self) -> int:
        """How many attempts wait."""
        return sum(len(queue) for queue in self._queues.values())

    @property
    def crowded(self) -> bool:
        """Whether anybody waits for room; who waits for a slot does not yet."""
        return self.slots.any_may_go

    @property
    def holders(self) -> Mapping[str, Tier]:
        """What each attempt that holds room may use, by the attempt's id."""
        return self._holders

    @property
    def room(self) -> Room:
        """What there is in all."""
        return self._whole

    @property
    def share(self) -> Room:
        """What of it may be given out here."""
        return self._room

    @property
    def waiting(self) -> list[Tier]:
        """What those want who wait for room, in no order."""
        return [place.tier for run in self.slots.in_order() for place in self._queues[run]]

    def limit_to(self, share: Room) -> None:
        """So much may be given out from now on. Who holds more keeps it."""
        self._room, self._known = share, None
        self._give_out()

    @asynccontextmanager
    async def place(
        self, ref: AttemptRef, tier: Tier, *, held: bool = False, keeper: object = None, rank: Rank | None = None
    ) -> AsyncIterator[None]:
        """
        Waits for room and holds it; cancelled while waiting, it leaves the queue.

        `held`: the attempt holds its room already (its container was found after a restart); nothing is waited for.
        `rank` is its run's; without one it is as that of any other.
        """
        if held:
            self.hold(ref, tier, keeper=keeper)
        else:
            await self._wait(ref, tier, keeper, rank or Rank(0, _NO_TIME, ref.run))
        try:
            yield
        finally:
            self.release(ref, keeper=keeper)

    def hold(self, ref: AttemptRef, tier: Tier, *, keeper: object = None) -> None:
        """
        The attempt holds its room from now on, whether or not there is as much: it did before a restart.

        Said of every such attempt before anybody else may go, or what they hold is given out a second time. The
        latest `keeper` counts: an attempt that was let go of and taken up again is another's to release.
        """
        if ref.id not in self._holders:
            self._hold(ref, tier)
        self._keepers[ref.id] = keeper

    def take(self, ref: AttemptRef, tier: Tier, *, keeper: object, instead: Iterable[AttemptRef] = ()) -> bool:
        """
        Holds room for the attempt, where there is some and nobody waits; returns whether.

        Where there is none, it may have that of one of the attempts `instead`, which holds nothing any more then.
        """
        if self.crowded or not self._is_open() or not self.slots.may_begin(ref.run):
            return False
        if not _fits(tier, self._free()) and not self._free_for(tier, instead):
            return False
        self._hold(ref, tier)
        self._keepers[ref.id] = keeper
        return True

    def _free_for(self, tier: Tier, instead: Iterable[AttemptRef]) -> bool:
        """Whether there is room for it once one of them holds nothing any more, as is so afterwards."""
        for one in instead:
            held, keeper = self._holders.get(one.id), self._keepers.get(one.id)
            # Not a larger one: others would get the rest before it is saved that it has ended.
            if held is None or held.memory_bytes > tier.memory_bytes or held.cpus > tier.cpus or held.gpus:
                continue
            del self._holders[one.id], self._keepers[one.id]
            self._moved(one)
            if _fits(tier, self._free()):
                return True
            self._holders[one.id], self._keepers[one.id] = held, keeper
            self._moved(one)
        return False

    def release(self, ref: AttemptRef, *, keeper: object = None) -> None:
        """The attempt holds nothing any more, where this is its keeper; others may go."""
        if ref.id in self._holders and self._keepers[ref.id] is keeper:
            del self._holders[ref.id], self._keepers[ref.id]
            self._moved(ref)
            self.moved.set()
            self._give_out()

    def see(self, run: Run) -> None:
        """The run was saved, and is so now."""
        if self.slots.see(run):
            self._give_out()
        elif self.slots.most is not None:
            self._settle()

    def take_up(self, run: Run) -> None:
        """The run was begun by an earlier process, perhaps; said before any attempt of it is queued here."""
        self.slots.take_up(run)

    def let_go(self, run_id: str) -> None:
        """The run is another's by now."""
        self.slots.gone(run_id)
        self._give_out()

    async def _wait(self, ref: AttemptRef, tier: Tier, keeper: object, rank: Rank) -> None:
        place = _Place(ref, tier, asyncio.get_running_loop().create_future(), keeper)
        self._queues.setdefault(ref.run, deque()).append(place)
        self._wanted[tier] += 1
        self.slots.come(rank)
        if _fits(tier, self._free()):
            # Nobody else can have become able to go: thousands may arrive at a full house and cost nothing.
            self._give_out()
        elif self.slots.most is not None:
            self._settle()
        if not place.given.done():
            self.moved.set()
        try:
            await place.given
        except asyncio.CancelledError:
            if place.given.done() and not place.given.cancelled():
                self.release(ref, keeper=keeper)
            else:
                self._leave(place)
                self._give_out()
            raise

    def _leave(self, place: _Place) -> None:
        queue = self._queues.get(place.ref.run)
        if queue is not None and place in queue:
            queue.remove(place)
            self._wanted[place.tier] -= 1
            if not self._wanted[place.tier]:
                del self._wanted[place.tier]
            if not queue:
                del self._queues[place.ref.run]
                self.slots.leave(place.ref.run)

    def _give_out(self) -> None:
        """Gives room to whoever's turn it is, until nobody who may go fits."""
        while self._queues and self._is_open() and (place := self._next()) is not None:
            self._leave(place)
            if place.ref.run in self._queues:
                self.slots.had_its_turn(place.ref.run)
            self._hold(place.ref, place.tier)
            self._keepers[place.ref.id] = place.keeper
            place.given.set_result(None)
        self._settle()

    def _settle(self) -> None:
        """Keeps free slots for who comes next, and says who waits; not while nothing is given out to anybody."""
        self.slots.settle()
        if self._room.attempts > 0 and self._is_open():
            self.slots.tell()

    def _next(self) -> _Place | None:
        free = self._free()
        if free.attempts <= 0 or not any(_fits(tier, free) for tier in self._wanted):
            return None  # of all who wait, without asking each: few kinds of them are many
        self.slots.settle()
        passed: list[_Place] = []
        for run in self.slots.in_order():
            place = self._queues[run][0]
            if place.given.done():
                continue
            if _fits(place.tier, free):
                for other in passed:
                    other.passed += 1
                return place
            if place.passed >= PASSES and _fits(place.tier, self._room):
                return None  # whoever can never fit (the machine was larger once) holds up nobody
            passed.append(place)
        return None

    def _hold(self, ref: AttemptRef, tier: Tier) -> None:
        self._holders[ref.id] = replace(tier, gpu_vendor=_vendor(tier, self._free().gpus)) if tier.gpus else tier
        self._moved(ref)

    def _moved(self, ref: AttemptRef) -> None:
        """The attempt holds room since, or does not any more."""
        self._known = None
        self.slots.moved(ref.run)

    def _free(self) -> Room:
        """What nobody holds."""
        if self._known is None:
            self._known = self._left()
        return self._known

    def _left(self) -> Room:
        room, cpus, memory_bytes = self._room, 0.0, 0
        gpus = dict(room.gpus)
        for tier in self._holders.values():
            cpus += tier.cpus
            memory_bytes += tier.memory_bytes
            if tier.gpus:
                gpus[tier.gpu_vendor] = gpus.get(tier.gpu_vendor, 0) - tier.gpus
        return Room(
            cpus=room.cpus - cpus,
            memory_bytes=room.memory_bytes - memory_bytes,
            gpus=gpus,
            attempts=room.attempts - len(self._holders),
        )


def _fits(tier: Tier, free: Room) -> bool:
    return (
        free.attempts > 0
        and tier.cpus <= free.cpus
        and tier.memory_bytes <= free.memory_bytes
        and (not tier.gpus or free.gpus.get(_vendor(tier, free.gpus), 0) >= tier.gpus)
    )


def _vendor(tier: Tier, free: Mapping[str, int]) -> str:
    """Whose GPUs the tier takes: of any vendor, the one with the most that are free."""
    if tier.gpu_vendor != tiers.ANY_VENDOR or not free:
        return tier.gpu_vendor
    return max(free, key=lambda vendor: (free[vendor], vendor))
