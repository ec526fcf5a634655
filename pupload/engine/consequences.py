"""
What follows from what becomes of runs: another run that is started, a result that is handed on, somebody who is told.

A consequence is not told what happened but sees the run as it stands, and does what is missing. So it may look as often
as it likes, and however many servers do: after each artifact, when a run is taken up after a crash, and when the run is
over. That a run is followed is written in the commit that creates it, and taken back when it is over and all was done:
what a server left undone is found by any other. Nothing here holds up a run.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from pupload import errors
from pupload.domain.run import Decision, Run
from pupload.engine.driver import Driver
from pupload.engine.tasks import Tasks
from pupload.engine.timers import Timers, sleep
from pupload.ports import Clock, Following

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
"""How often it is looked for what another server left undone, and how long it is left alone that it may be at."""

AT_ONCE = 16
"""Runs that are seen to at the same time."""

PAGE = 100

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 300.0
"""Until what failed is tried again; doubled each time, from the one to the other."""


class Consequence(Protocol):
    """Something that follows from runs."""

    def concerns(self, run: Run) -> bool:
        """Whether it may follow from this run, as far as its plan tells."""

    async def see_to(self, run: Run) -> None:
        """
        Does what follows from the run as it stands, and was not done yet; nothing where that is nothing.

        May be asked again at any time, about the same state too, also by two servers at once. What it raises is logged,
        and it is asked again later.
        """


class Consequences:
    """Sees to what follows from runs."""

    def __init__(self, *, runs: Following, driver: Driver, clock: Clock) -> None:
        self._runs = runs
        self._driver = driver
        self._clock = clock
        self._every: Sequence[Consequence] = ()
        self._started = False
        self._wanted: dict[str, None] = {}
        """Runs that moved before there was anything to follow from them."""
        self._under_way: dict[str, bool] = {}
        """Runs that are seen to, and whether they moved meanwhile."""
        self._also: set[str] = set()
        """Runs that are followed though their plans do not say so, as far as this server knows."""
        self._failures: dict[str, int] = {}
        """How often in a row, by run."""
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks = Tasks()
        self._alarms = Timers(clock, self.look_at)

    def start(self, every: Sequence[Consequence]) -> None:
        """These follow from now on, from what was left undone first."""
        self._every, self._started = every, True
        wanted, self._wanted = self._wanted, {}
        for run_id in wanted:
            self.look_at(run_id)
        self._tasks.start(self._alarms.run(), name="alarms of consequences")
        self._tasks.start(self._for_ever(), name="look for what was left undone")

    async def close(self) -> None:
        """Stops; what is left undone is found by the next server."""
        self._started = False
        await self._tasks.close()

    def taken_up(self, run: Run) -> None:
        """The run is this server's by now."""
        if self._is_followed(run):
            self.look_at(run.id)

    def moved(self, run: Run, decision: Decision) -> None:
        """Something happened in the run that was saved."""
        if self._is_followed(run) and (decision.changed_edges or run.version == 1 or run.status.terminal):
            self.look_at(run.id)

    def _is_followed(self, run: Run) -> bool:
        return run.plan.followed or run.id in self._also

    def look_at(self, run_id: str) -> None:
        """Something may follow from the run as it is now."""
        if not self._started:
            self._wanted[run_id] = None
        elif run_id in self._under_way:
            self._under_way[run_id] = True
        else:
            self._under_way[run_id] = False
            self._tasks.start(self._see_to(run_id), name=f"what follows from {run_id}")

    async def follow(self, run_id: str) -> None:
        """Something follows from the run that nobody knew of when it began, be it over already."""
        self._also.add(run_id)
        await self._runs.follow(run_id)
        self.look_at(run_id)

    async def children(self, run_id: str) -> Mapping[str, str]:
        """See `ports.Following.children`."""
        return await self._runs.children(run_id)

    # ── One run ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _see_to(self, run_id: str) -> None:
        async with self._places:
            done = await self._try(run_id)
            while self._under_way[run_id]:
                self._under_way[run_id] = False
                done = await self._try(run_id)
        del self._under_way[run_id]
        if done:
            self._failures.pop(run_id, None)
            return
        failures = self._failures[run_id] = self._failures.get(run_id, 0) + 1
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1), LONGEST_PAUSE_SECONDS)
        self._alarms.set(run_id, self._clock.now() + timedelta(seconds=pause))

    async def _try(self, run_id: str) -> bool:
        """Whether all was done that follows from the run as it is."""
        try:
            run = await self._driver.look(run_id)
            done = all([await self._follows(each, run) for each in self._every if each.concerns(run)])
            if done and run.status.terminal:
                await self._runs.settle(run.id)
                self._also.discard(run.id)
        except errors.UnknownRun:
            self._also.discard(run_id)
            return True
        except errors.PuploadError as error:
            log.warning("what follows from run %s is put off: %s", run_id, error)
            return False
        return done

    async def _follows(self, this: Consequence, run: Run) -> bool:
        try:
            await this.see_to(run)
        except Exception as error:  # whatever it is, it keeps nothing else from following
            expected = isinstance(error, errors.PuploadError)
            what = type(this).__name__
            log.warning("%s of run %s: %s", what, run.id, error, exc_info=None if expected else error)
            return False
        return True

    # ── What others left undone ──────────────────────────────────────────────────────────────────────────────────

    async def _for_ever(self) -> None:
        while True:
            try:
                await self._look_around()
            except Exception as error:  # nobody else would ever look again
                expected = isinstance(error, errors.PuploadError)
                log.warning("what was left undone is not found yet: %s", error, exc_info=None if expected else error)
            await sleep(self._clock, LOOK_SECONDS)

    async def _look_around(self) -> None:
        after, found = "", [""] * PAGE
        while len(found) == PAGE:
            found = [*await self._runs.unsettled(after=after, limit=PAGE)]
            for run_id in found:
                if run_id not in self._failures and run_id not in self._under_way and await self._is_left(run_id):
                    self.look_at(run_id)
            after = found[-1] if found else after

    async def _is_left(self, run_id: str) -> bool:
        """Whether nobody else is likely to be at it."""
        try:
            run = await self._driver.look(run_id)
        except errors.Damaged as error:
            log.warning("nothing follows from run %s, which cannot be read: %s", run_id, error)
            await self._runs.settle(run_id)
            return False
        except errors.UnknownRun:
            return False
        ended = run.finished_at or run.created_at
        return self._driver.owns(run) or ended + timedelta(seconds=LOOK_SECONDS) <= self._clock.now()
