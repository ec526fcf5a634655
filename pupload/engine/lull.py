"""
The quiet behind a burst of new runs.

Whoever orders a run waits for the answer, and who orders many waits for each in turn. Making containers ahead takes all
processors that there are. So it begins when no further run has come for a moment, or when one has waited for that long
enough; nobody uploads sooner.
"""

import asyncio
from collections.abc import Callable

from pupload.engine.tasks import Tasks
from pupload.engine.timers import sleep
from pupload.ports import Clock

QUIET_SECONDS = 0.1
"""Without a new run: then the burst is over."""

MOST_SECONDS = 1.0
"""A run that has waited for so long waits no more, however many come."""


class Lull:
    """Whether it is quiet."""

    def __init__(self, clock: Clock, tasks: Tasks, over: Callable[[], None]) -> None:
        """`over` is called when it has become quiet, and now and then while it does not."""
        self._clock = clock
        self._tasks = tasks
        self._over = over
        self._until = float("-inf")
        self._waiting: asyncio.Task[None] | None = None

    def disturb(self) -> None:
        """A new run has come."""
        self._until = self._clock.monotonic() + QUIET_SECONDS
        if self._waiting is None or self._waiting.done():
            self._waiting = self._tasks.start(self._wait(), name="wait until no new runs come")

    def is_over_for(self, since: float) -> bool:
        """Whether a run that came at that time, by the monotonic clock, need not wait."""
        now = self._clock.monotonic()
        return now >= min(self._until, since + MOST_SECONDS)

    async def _wait(self) -> None:
        while (left := self._until - self._clock.monotonic()) > 0:
            await sleep(self._clock, left)
            self._over()
