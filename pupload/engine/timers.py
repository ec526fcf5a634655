"""One alarm per name, thousands of names, one task: a heap of moments that the clock is asked to sleep until."""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from pupload.ports import Clock

SLACK = 1000
"""How many alarms that were taken back may stay in the heap beside as many as are set."""


class Timers:
    """Calls back when a moment has come."""

    def __init__(self, clock: Clock, ring: Callable[[str], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._heap: list[tuple[datetime, str]] = []
        self._set: dict[str, datetime] = {}
        self._sooner = asyncio.Event()

    def __len__(self) -> int:
        return len(self._set)

    def get(self, name: str) -> datetime | None:
        """When the name's alarm rings; None: not at all."""
        return self._set.get(name)

    def set(self, name: str, when: datetime | None) -> None:
        """The name's alarm rings at `when`, in place of an earlier setting; None: not at all."""
        if when is None:
            self._set.pop(name, None)
            return
        if self._set.get(name) == when:
            return
        self._set[name] = when
        heapq.heappush(self._heap, (when, name))
        if len(self._heap) > 2 * len(self._set) + SLACK:
            # Alarms that were taken back would else stay until their time came, which may be days.
            self._heap = [(moment, one) for one, moment in self._set.items()]
            heapq.heapify(self._heap)
        if self._heap[0][1] == name:
            self._sooner.set()

    async def run(self) -> None:
        """Rings alarms until cancelled."""
        while True:
            self._sooner.clear()
            self._ring_due()
            if not self._heap:
                await self._sooner.wait()
            else:
                await sleep_until(self._clock, self._heap[0][0], or_sooner=self._sooner)

    def _ring_due(self) -> None:
        now = self._clock.now()
        while self._heap:
            when, name = self._heap[0]
            if self._set.get(name) != when:
                heapq.heappop(self._heap)  # it was set anew since, or taken back
            elif when <= now:
                heapq.heappop(self._heap)
                del self._set[name]
                self._ring(name)
            else:
                return


async def sleep_until(clock: Clock, when: datetime, *, or_sooner: asyncio.Event) -> None:
    """Returns at `when`, or as soon as the event is set."""
    await first_of(clock.sleep_until(when), or_sooner.wait())


async def sleep(clock: Clock, seconds: float) -> None:
    """Returns after so long, whatever the wall clock does meanwhile."""
    await clock.sleep(seconds)


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Returns when the first of them does; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
