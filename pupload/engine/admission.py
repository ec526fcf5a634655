"""
Who may hold resources: a place in the queue, and room when there is some.

Capacity in use is the sum over the attempts that hold a place, computed when it is asked for, never counted up and
down. The queue is fair among runs: they take turns, each with its oldest attempt. An attempt that does not fit yet is
passed by smaller ones, but only so often: then the others wait for it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pupload.domain.run import AttemptRef
from pupload.domain.tiers import Tier

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
    passed: int = 0


class Admission:
    """Gives out room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._holders: dict[str, Tier] = {}
        self._queues: OrderedDict[str, deque[_Place]] = OrderedDict()

    @property
    def queued(self) -> int:
        """How many attempts wait."""
        return sum(len(queue) for queue in self._queues.values())

    @property
    def holders(self) -> Mapping[str, Tier]:
        """What each attempt that holds room may use, by the attempt's id."""
        return self._holders

    @property
    def room(self) -> Room:
        """What there is in all."""
        return self._room

    @asynccontextmanager
    async def place(self, ref: AttemptRef, tier: Tier, *, held: bool = False) -> AsyncIterator[None]:
        """
        Waits for room and holds it; cancelled while waiting, it leaves the queue.

        `held`: the attempt holds its room already (its container was found after a restart); nothing is waited for.
        """
        if held:
            self._holders[ref.id] = tier
        else:
            await self._wait(ref, tier)
        try:
            yield
        finally:
            del self._holders[ref.id]
            self._give_out()

    async def _wait(self, ref: AttemptRef, tier: Tier) -> None:
        place = _Place(ref, tier, asyncio.get_running_loop().create_future())
        self._queues.setdefault(ref.run, deque()).append(place)
        self._give_out()
        try:
            await place.given
        except asyncio.CancelledError:
            if place.given.done() and not place.given.cancelled():
                self._holders.pop(ref.id, None)
            else:
                self._leave(place)
            self._give_out()
            raise

    def _leave(self, place: _Place) -> None:
        queue = self._queues.get(place.ref.run)
        if queue is not None and place in queue:
            queue.remove(place)
            if not queue:
                del self._queues[place.ref.run]

    def _give_out(self) -> None:
        """Gives room to whoever's turn it is, until nobody who may go fits."""
        while (place := self._next()) is not None:
            self._leave(place)
            if place.ref.run in self._queues:
                self._queues.move_to_end(place.ref.run)  # the others' turn
            self._holders[place.ref.id] = place.tier
            place.given.set_result(None)

    def _next(self) -> _Place | None:
        passed: list[_Place] = []
        for queue in self._queues.values():
            place = queue[0]
            if place.given.done():
                continue
            if self._fits(place.tier):
                for other in passed:
                    other.passed += 1
                return place
            if place.passed >= PASSES:
                return None
            passed.append(place)
        return None

    def _fits(self, tier: Tier) -> bool:
        held = list(self._holders.values())
        return (
            len(held) < self._room.attempts
            and sum(one.cpus for one in held) + tier.cpus <= self._room.cpus
            and sum(one.memory_bytes for one in held) + tier.memory_bytes <= self._room.memory_bytes
            and self._gpus_fit(tier, held)
        )

    def _gpus_fit(self, tier: Tier, held: list[Tier]) -> bool:
        if not tier.gpus:
            return True
        used = sum(one.gpus for one in held)
        there = sum(self._room.gpus.values()) if tier.gpu_vendor == "any" else self._room.gpus.get(tier.gpu_vendor, 0)
        return used + tier.gpus <= there
