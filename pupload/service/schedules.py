"""Schedules: put, looked at, paused and removed; and the one that starts what they say, kept going."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pupload import errors
from pupload.domain import schedule
from pupload.domain.access import Permission
from pupload.domain.schedule import CatchUp, Overlap, Schedule
from pupload.engine.engine import Engine
from pupload.engine.schedules import Scheduler, following
from pupload.service import asking, behalf, inputs, owned
from pupload.service.flows import Flows
from pupload.service.launching import Launches

MOST_FIRES = 100
"""Told beforehand."""

MOST_CRON = 256
"""Letters of a cron expression."""

PATIENCE = 10
"""How often a change is made again that somebody else's came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a schedule is to be."""

    flow: str
    """Its id or name."""
    cron: str = ""
    interval_seconds: int = 0
    timezone: str = "UTC"
    enabled: bool = True
    paused_until: datetime | None = None
    catch_up: CatchUp = CatchUp.ONE
    window_seconds: int = schedule.DAY_SECONDS
    overlap: Overlap = Overlap.SKIP
    params: Mapping[str, str] = field(default_factory=dict)
    priority: int | None = None
    given: str = ""
    """What each run is given where it waits for an upload, as JSON; empty: nothing."""


class Schedules:
    """
    What can be asked about schedules.

    Whatever names one raises `errors.UnknownSchedule` where there is none.
    """

    def __init__(self, *, engine: Engine, flows: Flows, launches: Launches | None = None) -> None:
        """Without `launches` runs are given nothing."""
        self._engine = engine
        self._flows = flows
        self._launches = launches
        self._schedules = owned.Schedules(engine)
        self._calendar = engine.world.calendar
        self.scheduler = Scheduler(
            schedules=self._schedules.everybodys,
            calendar=self._calendar,
            clock=engine.world.clock,
            start=self._start,
            is_over=self._is_over,
        )

    def start(self) -> None:
        """Starts runs from now on."""
        self.scheduler.start()

    async def close(self) -> None:
        """Starts no more."""
        await self.scheduler.close()

    async def list(self, *, flow: str | None = None, enabled: bool | None = None) -> Sequence[Schedule]:
        """
        Those of saved flows, or of one (`errors.UnknownSavedFlow`), or those that are enabled or not; the oldest first.

        Those of drawings are listed by `pupload.service.counted`.
        """
        flow_id = None if flow is None else (await self._flows.find(flow)).id
        found = await self._schedules.list(flow_id=flow_id, enabled=enabled)
        return [this for this in found if this.count is None]

    async def get(self, schedule_id: str) -> Schedule:
        """The schedule of this id."""
        return await self._schedules.get(_canonical(schedule_id))

    async def create(self, draft: Draft) -> Schedule:
        """A new one. Raises `errors.UnknownSavedFlow`, `errors.Malformed`."""
        this = Schedule(
            id=schedule.schedule_id(self._engine.world.ids.new_run_id()),
            flow_id=(await self._flows.find(draft.flow)).id,
            account=owned.mine(),
            created_at=self.scheduler.now(),
        )
        return await self.put_new(_with(this, draft))

    async def put_new(self, this: Schedule) -> Schedule:
        """The schedule, saved and going. Raises `errors.Malformed`."""
        saved = await self._schedules.put(self._set_going(this))
        assert saved is not None, "an id of its own"
        self.scheduler.moved()
        return saved

    async def replace(self, schedule_id: str, draft: Draft) -> Schedule:
        """The schedule with what the draft says in place of what it said. Raises as `create` does."""
        found = await self.get(schedule_id)
        if found.count is not None:
            raise errors.Conflict(reason=f"schedule {found.id} counts runs of a drawing: change it where it was made")
        flow_id = (await self._flows.find(draft.flow)).id
        return await self.change(found, lambda this: _with(replace(this, flow_id=flow_id), draft))

    async def pause(self, schedule_id: str, *, until: datetime | None = None) -> Schedule:
        """Until then, or until it is resumed, no run is started; nor are those caught up."""
        found = await self.get(schedule_id)
        if until is None:
            return await self.change(found, lambda this: replace(this, enabled=False, paused_until=None))
        _check_goes_on(found)
        return await self.change(found, lambda this: replace(this, enabled=True, paused_until=until))

    async def resume(self, schedule_id: str) -> Schedule:
        """Runs are started from the next fire on."""
        found = await self.get(schedule_id)
        _check_goes_on(found)
        return await self.change(found, lambda this: replace(this, enabled=True, paused_until=None))

    async def remove(self, schedule_id: str) -> None:
        """It starts no more runs; those that it started stay as they are."""
        await self._schedules.remove(_canonical(schedule_id))

    async def fires(self, schedule_id: str, *, count: int = 10) -> Sequence[datetime]:
        """The next moments at which it starts a run; none where it is not enabled."""
        this = await self.get(schedule_id)
        return self._upcoming(this, count) if this.enabled else ()

    def preview(
        self, *, cron: str = "", interval_seconds: int = 0, timezone: str = "UTC", count: int = 10
    ) -> Sequence[datetime]:
        """The next moments of such a schedule. Raises `errors.Malformed`."""
        this = Schedule(
            id="",
            flow_id="",
            cron=cron,
            interval_seconds=interval_seconds,
            timezone=timezone,
            created_at=self.scheduler.now(),
        )
        _check(this)
        return self._upcoming(this, count)

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _upcoming(self, this: Schedule, count: int) -> Sequence[datetime]:
        moments = following(this, self._calendar)
        return schedule.upcoming(this, self.scheduler.now(), moments, count=min(max(count, 0), MOST_FIRES))

    def _set_going(self, this: Schedule) -> Schedule:
        _check(this)
        return schedule.set_going(this, self.scheduler.now(), following(this, self._calendar))

    async def change(self, this: Schedule, change: Callable[[Schedule], Schedule]) -> Schedule:
        """The schedule, changed and saved, whoever else saves it meanwhile."""
        for _ in range(PATIENCE):
            saved = await self._schedules.put(self._set_going(change(this)))
            if saved is not None:
                self.scheduler.moved()
                return saved
            this = await self._schedules.get(this.id)
        raise errors.Conflict(reason=f"schedule {this.id} is changed by others all the time")

    async def _start(
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
        owner = await behalf.of(account, self._engine.world.accounts)
        if not owner.may(Permission.FLOWS_RUN):
            raise errors.Forbidden(reason="the account that it would be done for may not run flows")
        with asking.asked_by(owner):
            if given and self._launches is not None:
                await self._launches.check(flow_id, json.loads(given))
            view = await self._flows.start(
                flow_id, params=params, labels=labels, priority=priority, idempotency_key=idempotency_key
            )
            if given and self._launches is not None:
                await self._launches.give(view.run, json.loads(given))
        return view.run.id

    async def _is_over(self, run_id: str) -> bool:
        try:
            return (await self._engine.driver.look(run_id)).status.terminal
        except errors.UnknownRun:
            return True


def _canonical(schedule_id: str) -> str:
    found = schedule.canonical_id(schedule_id)
    if found is None:
        raise errors.UnknownSchedule(name=schedule_id[:64])
    return found


def _check_goes_on(this: Schedule) -> None:
    """Raises `errors.Conflict` where it has counted all that there was to be."""
    if this.count is not None and this.count.over is not None:
        raise errors.Conflict(reason=f"schedule {this.id} is {this.count.over}")


def _with(this: Schedule, draft: Draft) -> Schedule:
    return replace(
        this,
        cron=" ".join(draft.cron.split()),
        interval_seconds=draft.interval_seconds,
        timezone=draft.timezone,
        enabled=draft.enabled,
        paused_until=draft.paused_until,
        catch_up=draft.catch_up,
        window_seconds=draft.window_seconds,
        overlap=draft.overlap,
        params=draft.params,
        priority=draft.priority,
        given=draft.given,
        last_error="",
    )


def _check(this: Schedule) -> None:
    """Raises `errors.Malformed` for what no schedule can be; the expression is the calendar's to judge."""
    if bool(this.cron) == bool(this.interval_seconds):
        raise errors.Malformed(reason="a schedule has either a cron expression or an interval")
    if len(this.cron) > MOST_CRON:
        raise errors.Malformed(reason=f"a cron expression has {MOST_CRON} letters at most")
    longest = timedelta(seconds=schedule.MOST_SECONDS)
    least = schedule.LEAST_INTERVAL_SECONDS
    if this.interval_seconds and not least <= this.interval_seconds <= schedule.MOST_SECONDS:
        raise errors.Malformed(reason=f"an interval is {least} second to {longest.days} days")
    if len(this.given.encode()) > inputs.MOST_BYTES:
        raise errors.TooLarge(what="what each run is given", limit=inputs.MOST_BYTES)
    if not 0 <= this.window_seconds <= schedule.MOST_SECONDS:
        raise errors.Malformed(reason=f"a catch-up window is at most {longest.days} days")
