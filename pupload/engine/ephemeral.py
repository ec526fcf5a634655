"""
Dry runs, from the moment that nobody wants them any more: ended, closed, and erased with all they owned.

While somebody still looks at one it is held: it may end, but what it made stays. One that nobody holds is what a server
left that died: it is ended as soon as it is taken up, and erased like one that was purged.
"""

import asyncio
import logging
from collections import defaultdict

from pupload import errors
from pupload.domain.events import CancelRequested
from pupload.domain.run import Run
from pupload.engine.driver import Driver
from pupload.engine.retention import Retention
from pupload.engine.tasks import Tasks
from pupload.engine.timers import first_of, sleep
from pupload.ports import Clock, Journal

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How often it is looked whether a run is over, should nobody tell."""

END_SECONDS = 120.0
"""How long is waited for the end of one that was told to stop. What takes longer is erased when it has ended."""


class Ephemeral:
    """Keeps dry runs for as long as they are held, and no longer."""

    def __init__(self, *, driver: Driver, journal: Journal, retention: Retention, clock: Clock) -> None:
        self._driver = driver
        self._journal = journal
        self._retention = retention
        self._clock = clock
        self._held: dict[str, asyncio.Event] = {}
        """By run; set when it is let go of."""
        self._closed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """By run that is held or being erased; set when it has given up all it held."""
        self._tasks = Tasks()
        self._closing = False

    async def close(self) -> None:
        """Erases nothing more; what is left the next start finds."""
        self._closing = True
        await self._tasks.close()

    def hold(self, run_id: str) -> None:
        """The run, which is about to begin, is looked at until it is erased."""
        self._held[run_id] = asyncio.Event()

    def taken_up(self, run: Run) -> None:
        """The run was saved by somebody else, or in a commit whose answer was lost."""
        if run.plan.ephemeral and not run.status.terminal and run.id not in self._held:
            self._driver.tell(run.id, CancelRequested(mode="kill"))

    async def free(self, run_id: str) -> None:
        """Returns when nobody holds the run."""
        if (let_go := self._held.get(run_id)) is not None:
            await let_go.wait()

    def closed(self, run_id: str) -> None:
        """The run has given up all it held: it is due to be erased."""
        if run_id in self._closed:
            self._closed[run_id].set()
        self._retention.look()

    async def over(self, run_id: str, *, seconds: float) -> bool:
        """Returns when the run is over, or so much time has passed: whether it is over."""
        until = self._clock.monotonic() + seconds
        with self._journal.subscribe(run_id) as written:
            while run_id in self._driver.live:
                left = until - self._clock.monotonic()
                if left <= 0:
                    return False
                await first_of(written.wait(), sleep(self._clock, min(left, LOOK_SECONDS)))
        return True

    async def stop(self, run_id: str) -> bool:
        """The run ends at once, with all that runs of it: whether it is over."""
        if run_id in self._driver.live:
            await self._driver.report(run_id, CancelRequested(mode="kill"))
        return await self.over(run_id, seconds=END_SECONDS)

    def erase(self, run_id: str, beginning: "asyncio.Future[Run]") -> "asyncio.Task[None]":
        """
        Ends the run, once it has begun, and has all of it gone; done when nothing is left.

        What cannot be done now is done later.
        """
        return self._tasks.start(self._erase(run_id, beginning), name=f"erase {run_id}")

    async def _erase(self, run_id: str, beginning: "asyncio.Future[Run]") -> None:
        closed = self._closed[run_id]
        try:
            if self._closing:
                return
            await asyncio.wait({beginning})
            begun = not beginning.cancelled() and beginning.exception() is None
            over = await self.stop(run_id) if begun else False
            self._held.pop(run_id).set()
            if not begun and run_id in self._driver.live:  # it was saved, and the answer to that was lost
                self._driver.tell(run_id, CancelRequested(mode="kill"))
            if over:
                await first_of(closed.wait(), sleep(self._clock, END_SECONDS))
                await self._retention.remove(run_id)
        except errors.PuploadError as error:
            log.warning("dry run %s is erased later: %s", run_id, error)
        finally:
            if (let_go := self._held.pop(run_id, None)) is not None:
                let_go.set()
            self._closed.pop(run_id, None)
