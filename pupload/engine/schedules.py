"""
Runs of saved flows, started when their schedules say so.

One task sleeps until the earliest schedule has to be seen to; it is woken by changes made here, and looks now and then
for those that other controllers made. What is due is decided and saved first (`domain.schedule.take_up`), so that of
several controllers one sees to it; then each pending fire is started with a key of its own. A crash between leaves the
fire pending: whoever finds it next asks with the same key, and gets the run that was started, or starts it.

Schedules go by the wall clock, which somebody may set: a fire that is behind us then is not run again, those that were
jumped over are caught up.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from pupload import errors
from pupload.domain import schedule
from pupload.domain.schedule import Calendar, CatchUp, Overlap, Schedule, Schedules
from pupload.engine.counting import Counter
from pupload.engine.tasks import Tasks, each_of
from pupload.engine.timers import first_of, sleep
from pupload.ports import Clock

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
"""How late something may be that another controller changed."""

REST_SECONDS = 1.0
"""Before a schedule is looked at again that nobody could see to."""

WAIT_SECONDS = 2.0
"""How often it is looked whether the run has ended that a fire waits for."""

AGAIN_SECONDS = 30.0
"""When a run is asked for again that could not be started for now."""

AT_ONCE = 100
"""Schedules in one round."""

SIDE_BY_SIDE = 8
"""Schedules that are seen to at the same time."""

IN_A_ROW = 20
"""Fires of one schedule that are seen to before the others have their turn."""

PATIENCE = 10
"""How often what became of a fire is noted again, when somebody changes the schedule meanwhile."""


class Starter(Protocol):
    """Starts runs of saved flows."""

    async def __call__(
        self,
        flow_id: str,
        *,
        params: Mapping[str, str],
        labels: Mapping[str, str],
        priority: int | None,
        account: int | None,
        given: str,
        idempotency_key: str,
    ) -> str:
        """
        The id of a new run of this account, or of that which was started with this key before.

        Raises `errors.Refused` where there can be none, such as of a flow that is gone or disabled, or for an account
        that is closed, and `errors.TryLater` where there can be none for now.
        """


def following(this: Schedule, calendar: Calendar) -> schedule.Following:
    """Which moments the schedule's are. Raises `errors.Malformed`, also when it is called."""
    if this.interval_seconds:
        return schedule.of_interval(this)
    calendar.check(this.cron, this.timezone)
    return partial(calendar.following, this.cron, this.timezone)


class Scheduler:
    """Starts what is due."""

    def __init__(
        self,
        *,
        schedules: Schedules,
        calendar: Calendar,
        clock: Clock,
        start: Starter,
        is_over: Callable[[str], Awaitable[bool]],
    ) -> None:
        """`is_over` tells whether a run has ended, or is not there any more."""
        self._schedules = schedules
        self._calendar = calendar
        self._clock = clock
        self._start = start
        self._is_over = is_over
        self._counter: Counter | None = None
        self._sooner = asyncio.Event()
        self._tasks = Tasks()
        self.started = 0
        """Runs, since the start."""

    def start(self) -> None:
        """Starts runs from now on, those first that were missed."""
        self._tasks.start(self._for_ever(), name="start what is scheduled")

    async def close(self) -> None:
        """Stops; what is due stays due."""
        await self._tasks.close()

    def count_with(self, counter: Counter) -> None:
        """The one that knows of schedules that count."""
        self._counter = counter

    def moved(self) -> None:
        """A schedule is not as it was."""
        self._sooner.set()

    def now(self) -> datetime:
        """The time that schedules go by."""
        return self._clock.now() + self._clock.skew()

    async def round(self) -> bool:
        """Sees to what is due now, at most so much. Returns whether there may be more."""
        due = await self._schedules.due(self.now(), limit=AT_ONCE)
        await each_of(due, self._try_to_see_to, at_once=SIDE_BY_SIDE)
        return len(due) == AT_ONCE

    # ── The loop ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _for_ever(self) -> None:
        while True:
            try:
                await self._round_and_rest()
            except Exception as error:  # nobody else would ever start anything again
                expected = isinstance(error, errors.PuploadError)
                log.warning("starting what is scheduled is put off: %s", error, exc_info=None if expected else error)
                await sleep(self._clock, REST_SECONDS * 10)

    async def _round_and_rest(self) -> None:
        self._sooner.clear()
        if await self.round():
            return
        look_at, now = await self._schedules.next_look(), self.now()
        seconds = LOOK_SECONDS if look_at is None else min((look_at - now).total_seconds(), LOOK_SECONDS)
        if seconds <= 0:
            await sleep(self._clock, REST_SECONDS)  # it became due this moment, or cannot be read
        else:
            await first_of(self._clock.sleep(seconds), self._sooner.wait())

    # ── One schedule ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _try_to_see_to(self, this: Schedule) -> None:
        try:
            await self._see_to(this)
        except errors.DatabaseUnavailable:
            raise  # it is so for all of them
        except Exception as error:  # what is wrong with one keeps no other waiting; it is claimed, so not at once again
            log.warning("schedule %s is put off: %s", this.id, error, exc_info=error)

    async def _see_to(self, this: Schedule) -> None:
        now = self.now()
        try:
            taken = schedule.take_up(this, now, following(this, self._calendar))
        except errors.Malformed as error:  # a time zone that the system does not know any more
            log.warning("schedule %s starts no runs: %s", this.id, error)
            taken = replace(this, look_at=None, last_error=str(error))
        mine = await self._schedules.put(taken)
        if mine is None or not mine.pending or mine.look_at is None:
            return  # another was faster, or there is nothing to do
        seen, again_at = mine, now
        for fire in mine.pending[:IN_A_ROW]:
            seen, wait_seconds = await self._fire(seen, fire)
            if wait_seconds:
                again_at = self.now() + timedelta(seconds=wait_seconds)
                break
        await self._note(mine, seen, again_at)

    async def _fire(self, this: Schedule, fire: datetime) -> tuple[Schedule, float]:
        """The schedule with what came of the fire; or, where it stays pending, in how many seconds to try again."""
        now = self.now()
        if this.count is not None:
            assert self._counter is not None, "somebody made it"
            return await self._counter.fire(this, fire, now)
        if schedule.is_too_late(this, fire, now):
            log.warning("schedule %s: the run of %s could not be started in time", this.id, fire.isoformat())
            reason = this.last_error or "the run before it was still under way"
            return schedule.seen_to(this, fire, error=f"it could not be started in time: {reason}"), 0
        if this.overlap is not Overlap.ALLOW and this.last_run and not await self._is_over(this.last_run):
            late = now - fire > timedelta(seconds=schedule.ON_TIME_SECONDS)
            if this.overlap is Overlap.QUEUE or (this.catch_up is CatchUp.ALL and late):
                return this, WAIT_SECONDS
            log.info("schedule %s: run %s is still under way", this.id, this.last_run)
            return schedule.seen_to(this, fire, error=f"run {this.last_run} was still under way"), 0
        return await self._begin(this, fire)

    async def _begin(self, this: Schedule, fire: datetime) -> tuple[Schedule, float]:
        try:
            run = await self._start(
                this.flow_id,
                params=this.params,
                labels={"schedule": this.id, "scheduled_at": f"{fire:%Y-%m-%dT%H:%M:%SZ}"},
                priority=this.priority,
                account=this.account,
                given=this.given,
                idempotency_key=schedule.key_of(this, fire),
            )
        except errors.Refused as error:
            log.warning("schedule %s starts no run: %s", this.id, error)
            return schedule.seen_to(this, fire, error=str(error)), 0
        except Exception as error:  # it stays pending, and others are not kept waiting
            expected = isinstance(error, errors.TryLater)
            log.warning("schedule %s starts no run yet: %s", this.id, error, exc_info=None if expected else error)
            return replace(this, last_error=str(error)), AGAIN_SECONDS
        self.started += 1
        log.info("schedule %s started run %s", this.id, run)
        return schedule.seen_to(this, fire, run=run), 0

    async def _note(self, mine: Schedule, seen: Schedule, again_at: datetime) -> None:
        """Saves what came of the fires, be it into a schedule that somebody has changed meanwhile."""
        done = frozenset(mine.pending) - frozenset(seen.pending)
        for _ in range(PATIENCE):
            if await self._schedules.put(schedule.rested(seen, again_at=again_at)) is not None:
                return
            try:
                fresh = await self._schedules.get(mine.id)
            except errors.UnknownSchedule:
                return
            pending = tuple(fire for fire in fresh.pending if fire not in done)
            last = {name: getattr(seen, name) for name in ("last_at", "last_run", "last_error")}
            if fresh.count is not None and seen.count is not None:
                fresh = replace(fresh, count=replace(fresh.count, ran_at=seen.count.ran_at))
            seen = replace(fresh, pending=pending, **last)
