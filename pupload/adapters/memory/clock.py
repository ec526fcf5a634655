"""A clock that is turned by hand: whole days pass in a test without anybody waiting."""

import asyncio
import heapq
import math
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
_TURNS = 25
"""How often `run_for` lets everybody else run before it takes the next sleeper for asleep."""
_ROUNDING = 1e-9
"""Seconds by which sums of many turns may be off."""


class VirtualClock:
    """`ports.Clock` that stands still until it is turned. Sleepers wake in the order of their times."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._resting: list[tuple[float, int, asyncio.Future[None]]] = []
        """Those who wait for time to pass, whatever the wall clock says."""
        self._count = 0

    def now(self) -> datetime:
        """The time it was turned to."""
        return self._now

    def skew(self) -> timedelta:
        """None: `step` sets both."""
        return timedelta(0)

    def monotonic(self) -> float:
        """Seconds it was turned in all; `step` does not count."""
        return self._elapsed

    async def sleep_until(self, when: datetime) -> None:
        """Returns at `when`, at once if that has passed."""
        if when <= self._now:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1  # of two sleepers for the same moment the earlier comes first
        heapq.heappush(self._sleepers, (when, self._count, woken))
        await woken

    async def sleep(self, seconds: float) -> None:
        """Returns once it was turned by so much; at once for nothing."""
        if seconds <= 0:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._resting, (self._elapsed + seconds, self._count, woken))
        await woken

    @property
    def next_due(self) -> datetime | None:
        """When the next sleeper wakes, None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():  # given up by whoever slept
            heapq.heappop(self._sleepers)
        while self._resting and self._resting[0][2].done():
            heapq.heappop(self._resting)
        # Rounded up: a microsecond too early would find them asleep, and the clock standing still.
        rest = [math.ceil(max(self._resting[0][0] - self._elapsed, 0.0) * 1e6)] if self._resting else []
        due = [sleeper[0] for sleeper in self._sleepers[:1]]
        return min([*due, *(self._now + timedelta(microseconds=micros) for micros in rest)], default=None)

    def advance(self, seconds: float) -> None:
        """Turns the clock; everybody whose time came is woken, in order, and finds it at its new place."""
        if seconds < 0:
            raise ValueError("this clock goes forward; `step` sets the wall clock back")
        self._turn_to(self._now + timedelta(seconds=seconds), seconds)

    async def run_for(self, seconds: float) -> None:
        """Turns the clock from sleeper to sleeper, so that each finds it at its own moment and may sleep again."""
        end = self._now + timedelta(seconds=seconds)
        await self._let_run()
        while (due := self.next_due) is not None and due <= end:
            self._turn_to(due, (due - self._now).total_seconds())
            await self._let_run()
        end = max(end, self._now)  # somebody else may have turned it further meanwhile
        self._turn_to(end, (end - self._now).total_seconds())
        await self._let_run()

    def step(self, seconds: float) -> None:
        """The wall clock jumps, forward or back, as when somebody sets it: no time passes."""
        self._turn_to(self._now + timedelta(seconds=seconds), 0)

    def _turn_to(self, when: datetime, elapsed: float) -> None:
        self._now = when
        self._elapsed += elapsed
        while self._sleepers and self._sleepers[0][0] <= when:
            _wake(heapq.heappop(self._sleepers)[2])
        while self._resting and self._resting[0][0] <= self._elapsed + _ROUNDING:
            _wake(heapq.heappop(self._resting)[2])

    async def _let_run(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():  # not given up
        sleeper.set_result(None)
