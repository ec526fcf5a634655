"""
Schedules that count what becomes of their runs: each next run waits until the last one was counted.

A run is counted when it is over, by whoever notices first: it follows from the run (`pupload.engine.consequences`), and
where nobody came to that, it is seen at the next fire. Which runs were counted is saved with the count, so that none is
twice.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from pupload import errors
from pupload.domain import counting, schedule
from pupload.domain.schedule import Schedule, Schedules

log = logging.getLogger(__name__)

AGAIN_SECONDS = 30.0
"""When a run is asked for again that could not be started for now."""

PATIENCE = 10
"""How often a run is counted anew when somebody else saves the schedule meanwhile."""


class Runner(Protocol):
    """Starts what counting schedules say, and knows what it came to."""

    async def begin(self, this: Schedule, fire: datetime, *, labels: Mapping[str, str], idempotency_key: str) -> str:
        """
        The id of a new run, or of that which was started with this key before.

        Raises `errors.Refused` where there can be none, and `errors.TryLater` where there can be none for now.
        """

    async def ended(self, run_id: str) -> str | None:
        """Why the run failed, nothing where it succeeded; None while it is under way."""


class Counter:
    """Starts and counts runs."""

    def __init__(self, *, schedules: Schedules, runner: Runner) -> None:
        self._schedules = schedules
        self._runner = runner

    async def fire(self, this: Schedule, fire: datetime, now: datetime) -> tuple[Schedule, float]:
        """The schedule with what came of the fire; or, where it stays pending, in how many seconds to try again."""
        if fire != this.pending[-1]:
            return schedule.passed_over(this, fire), 0  # nothing is caught up
        if schedule.is_open(this):
            error = await self._runner.ended(this.last_run)
            if error is None:
                return schedule.passed_over(this, fire), 0
            this = self._counted(this, error, now, run=this.last_run)
            if error or not this.enabled:
                return schedule.passed_over(this, fire), 0  # the next one has its moment, or there is none
        if schedule.is_too_late(this, fire, now):
            return self._failed(this, fire, now, f"it could not be started in time: {this.last_error}"), 0
        return await self._begin(this, fire, now)

    async def count(self, schedule_id: str, run_id: str, *, account: int | None, error: str, now: datetime) -> None:
        """
        The run of this account, which is over, is counted.

        Nothing happens where it was, where the schedule is another account's, or where nothing is counted any more.
        """
        for _ in range(PATIENCE):
            try:
                this = await self._schedules.get(schedule_id)
            except errors.UnknownSchedule:
                return
            if this.count is None or this.count.over is not None or this.account != account:
                return
            if counting.is_counted(this.count, run_id):
                return
            if await self._schedules.put(self._counted(this, error, now, run=run_id)) is not None:
                return
        raise errors.Conflict(reason=f"schedule {schedule_id} is changed by others all the time")

    async def _begin(self, this: Schedule, fire: datetime, now: datetime) -> tuple[Schedule, float]:
        labels = {"schedule": this.id, "scheduled_at": f"{fire:%Y-%m-%dT%H:%M:%SZ}"}
        try:
            run = await self._runner.begin(this, fire, labels=labels, idempotency_key=schedule.key_of(this, fire))
        except errors.Refused as error:
            log.warning("schedule %s starts no run: %s", this.id, error)
            return self._failed(this, fire, now, str(error)), 0
        except Exception as error:  # it stays pending, and others are not kept waiting
            expected = isinstance(error, errors.TryLater)
            log.warning("schedule %s starts no run yet: %s", this.id, error, exc_info=None if expected else error)
            return replace(this, last_error=str(error)), AGAIN_SECONDS
        log.info("schedule %s started run %s", this.id, run)
        assert this.count is not None
        return replace(schedule.seen_to(this, fire, run=run), count=replace(this.count, ran_at=now)), 0

    def _failed(self, this: Schedule, fire: datetime, now: datetime, reason: str) -> Schedule:
        return self._counted(schedule.seen_to(this, fire, error=reason), reason, now)

    @staticmethod
    def _counted(this: Schedule, error: str, now: datetime, *, run: str = "") -> Schedule:
        assert this.count is not None
        return schedule.counted(this, counting.after_run(this.count, error=error, run=run), now)
