"""
Schedules: when runs of a saved flow are to be started, and which of those moments count.

A moment at which a run is to be started is a fire. When fires are due, it is decided once, in one commit, which of
them count (`take_up`): those are pending from then on, and the schedule's next fire lies ahead. Then each pending fire
is seen to, in order, and leaves the schedule with what came of it. A run is started with a key made of its fire, so
whatever happens between, no fire is lost and none is run twice.

Which moments a cron expression means is told by `Calendar`; here it is a function, `Following`.

Some schedules count what becomes of their runs (`pupload.domain.counting`): their next run waits until the last one was
counted.
"""

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from pupload.domain import counting, ids
from pupload.domain.counting import Count

PREFIX = "sched_"

ON_TIME_SECONDS = 60.0
"""A fire that is seen to so long after its moment is not late."""

CLAIM_SECONDS = 30.0
"""For so long others leave a schedule alone whose pending fires somebody sees to."""

MOST_PENDING = 1440
"""Fires that count at once, the latest: a day of minutes."""

LEAST_INTERVAL_SECONDS = 1
MOST_SECONDS = 366 * 86400
"""Of an interval, and of a catch-up window."""

DAY_SECONDS = 86400

Following = Callable[[datetime], datetime | None]
"""The first fire after a moment; None where there is none any more."""

_MICROSECOND = timedelta(microseconds=1)


class CatchUp(enum.StrEnum):
    """What becomes of fires that were missed, for there was no server."""

    NONE = "none"
    ONE = "one"
    """One run in place of all that were missed within the window: that of the latest fire."""
    ALL = "all"
    """A run for each that was missed within the window, in order."""


class Overlap(enum.StrEnum):
    """What becomes of a fire when the run before it is still under way."""

    SKIP = "skip"
    QUEUE = "queue"
    """It waits until that has ended."""
    ALLOW = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When runs of a saved flow are to be started."""

    id: str
    """`sched_` and a ULID."""
    flow_id: str
    cron: str = ""
    """Five fields; empty where there is an interval."""
    interval_seconds: int = 0
    """Counted from `base_at`; 0 where there is a cron expression."""
    timezone: str = "UTC"
    """In which the cron expression is meant; a name of the IANA data base."""
    enabled: bool = True
    paused_until: datetime | None = None
    """Fires before it do not count."""
    catch_up: CatchUp = CatchUp.ONE
    window_seconds: int = DAY_SECONDS
    """How late a fire may be caught up at most."""
    overlap: Overlap = Overlap.SKIP
    params: Mapping[str, str] = field(default_factory=dict)
    priority: int | None = None
    """Of its runs; None: their flow's."""
    given: str = field(default="", repr=False)
    """What each run is given where it waits for an upload, as JSON; empty: nothing."""
    account: int | None = None
    """The number of the account whose it is, and its runs are; None: nobody's."""
    created_at: datetime
    next_at: datetime | None = None
    """The next fire; None where there is none (any more)."""
    pending: tuple[datetime, ...] = ()
    """Fires that count and were not seen to, in order."""
    look_at: datetime | None = None
    """When somebody has to see to the schedule; None: never."""
    last_at: datetime | None = None
    """The last fire that counted and was seen to, whatever came of it."""
    last_run: str = ""
    """The run that was last started."""
    last_error: str = ""
    """Why the last fire started no run; empty where it did."""
    base_at: datetime | None = None
    """From when an interval is counted; None: from `created_at`."""
    count: Count | None = None
    """What it counts of its runs, where it does; those are of a drawing then."""
    version: int = 0
    """Grows with every save."""


def of_drawing(drawing: int) -> str:
    """What stands for the saved flow of schedules that run this drawing."""
    return f"drawing:{drawing}"


def schedule_id(run_id: str) -> str:
    """The schedule's id of the same bits."""
    return PREFIX + run_id.removeprefix(ids.PREFIX)


def canonical_id(text: str) -> str | None:
    """The text in canonical form; None where it can name no schedule. Takes a bare ULID, too."""
    bare = text.removeprefix(PREFIX)
    found = None if bare.startswith(ids.PREFIX) else ids.canonical_run_id(bare)
    return None if found is None else schedule_id(found)


def uuid_of(schedule_id: str) -> str:
    """The same bits as the text of a UUID."""
    return ids.uuid_of(ids.PREFIX + schedule_id.removeprefix(PREFIX))


def key_of(this: Schedule, fire: datetime) -> str:
    """The idempotency key of the fire's run."""
    return f"sched:{this.id}:{fire:%Y-%m-%dT%H:%M:%S.%fZ}"


def of_interval(this: Schedule) -> Following:
    """The fires of a schedule with an interval."""
    step, start = timedelta(seconds=this.interval_seconds), this.base_at or this.created_at

    def following(after: datetime) -> datetime | None:
        try:
            return start + max((after - start) // step + 1, 1) * step
        except OverflowError:
            return None

    return following


# ── What is asked of the world ───────────────────────────────────────────────────────────────────────────────────


class Calendar(Protocol):
    """Which moments a cron expression means, in a time zone. Local arithmetic."""

    def check(self, cron: str, timezone: str) -> None:
        """Raises `errors.Malformed` for what is no expression of five fields, or no time zone."""

    def following(self, cron: str, timezone: str, after: datetime) -> datetime | None:
        """The first of them after the moment, in UTC; None where there is none any more. Raises as `check` does."""


class Schedules(Protocol):
    """
    When runs of saved flows are to be started, durably.

    Several controllers may see to the same schedules. Whoever does saves first that it does (`take_up`): of
    those who do so at once, one succeeds.
    """

    async def put(self, this: Schedule) -> Schedule | None:
        """
        Saves it in place of the one with the same version, or as a new one where that is 0. Returns it with its new
        version.

        None, and nothing is saved, when somebody else saved it since, or it is not there any more.
        """

    async def get(self, schedule_id: str) -> Schedule:
        """Raises `errors.UnknownSchedule`."""

    async def list(
        self, *, flow_id: str | None = None, enabled: bool | None = None, account: int | None = None
    ) -> Sequence[Schedule]:
        """All of them, or those of a flow, of an account, or that are enabled or not, in the order of their ids."""

    async def remove(self, schedule_id: str) -> None:
        """Raises `errors.UnknownSchedule`."""

    async def due(self, now: datetime, *, limit: int = 100) -> Sequence[Schedule]:
        """Those that somebody has to see to by `now`, the longest overdue first."""

    async def next_look(self) -> datetime | None:
        """The earliest moment at which somebody has to see to one; None where there is none."""


# ── What is decided ──────────────────────────────────────────────────────────────────────────────────────────────


def set_going(this: Schedule, now: datetime, following: Following) -> Schedule:
    """The schedule from now on: nothing is pending, and the next fire lies ahead; none where it is not enabled."""
    next_at = _next(this, now, following) if this.enabled else None
    return replace(this, next_at=next_at, pending=(), look_at=next_at)


def take_up(this: Schedule, now: datetime, following: Following) -> Schedule:
    """
    The schedule with the fires pending that are due by `now` and count, and the next one ahead.

    Where any are pending, others are to leave it alone for a while (`look_at`): whoever saves this sees to them.
    """
    counting = _counting(this, now, following)
    pending = (*this.pending, *counting)[-MOST_PENDING:]
    next_at = this.next_at
    if next_at is not None and next_at <= now:
        next_at = _next(this, now, following)
    look_at = now + timedelta(seconds=CLAIM_SECONDS) if pending else next_at
    return replace(this, next_at=next_at, pending=pending, look_at=look_at)


def seen_to(this: Schedule, fire: datetime, *, run: str = "", error: str = "") -> Schedule:
    """The schedule without this pending fire, which came to a run, or to none for this reason."""
    pending = tuple(each for each in this.pending if each != fire)
    return replace(this, pending=pending, last_at=fire, last_run=run or this.last_run, last_error=error)


def passed_over(this: Schedule, fire: datetime) -> Schedule:
    """The schedule without this pending fire, of which nothing is told."""
    return replace(this, pending=tuple(each for each in this.pending if each != fire))


def is_open(this: Schedule) -> bool:
    """Whether the last run that it started is still to be counted."""
    return this.count is not None and bool(this.last_run) and not counting.is_counted(this.count, this.last_run)


def counted(this: Schedule, count: Count, now: datetime) -> Schedule:
    """
    The schedule after a run was counted: shut where that is over, else with its next fire ahead.

    After a failure that is not where the interval has it, and from there on the interval is counted.
    """
    if count.over is not None:
        return replace(this, count=count, enabled=False, next_at=None, pending=(), look_at=None)
    if not count.retry or not this.enabled:
        return replace(this, count=count)
    pause = timedelta(seconds=counting.pause_seconds(count, this.interval_seconds))
    based = replace(this, count=count, base_at=now + pause - timedelta(seconds=this.interval_seconds))
    return set_going(based, now, of_interval(based))


def rested(this: Schedule, *, again_at: datetime) -> Schedule:
    """The schedule that nobody sees to for now: looked at for its next fire, or `again_at` where any are pending."""
    moments = [moment for moment in (this.next_at, again_at if this.pending else None) if moment is not None]
    return replace(this, look_at=min(moments, default=None))


def is_too_late(this: Schedule, fire: datetime, now: datetime) -> bool:
    """Whether the fire is beyond what may be caught up."""
    return now - fire > timedelta(seconds=max(float(this.window_seconds), ON_TIME_SECONDS))


def upcoming(this: Schedule, now: datetime, following: Following, *, count: int) -> tuple[datetime, ...]:
    """The next fires of the schedule, were it enabled."""
    found: list[datetime] = []
    at = _next(this, now, following)
    while at is not None and len(found) < count:
        found.append(at)
        at = following(at)
    return tuple(found)


def _counting(this: Schedule, now: datetime, following: Following) -> tuple[datetime, ...]:
    """The fires that are due by `now` and count, in order."""
    if this.next_at is None or this.next_at > now:
        return ()
    on_time = now - timedelta(seconds=ON_TIME_SECONDS)
    window = now - timedelta(seconds=this.window_seconds)
    start = max(this.next_at, on_time if this.catch_up is CatchUp.NONE else min(window, on_time))
    if this.paused_until is not None:
        start = max(start, this.paused_until)
    due = _latest(start, now, following)
    if this.catch_up is CatchUp.ONE and due and due[0] < on_time:
        return due[-1:]
    return due


def _latest(start: datetime, now: datetime, following: Following) -> tuple[datetime, ...]:
    """The fires from `start` to `now`; where they are very many, the latest."""
    while True:
        found = tuple(_walk(start, now, following))
        if len(found) <= MOST_PENDING:
            return found
        start += (now - start) / 2


def _walk(start: datetime, now: datetime, following: Following) -> Iterator[datetime]:
    """Those from `start` to `now`, at most one more than may count at once."""
    at = following(start - _MICROSECOND)
    for _ in range(MOST_PENDING + 1):
        if at is None or at > now:
            return
        yield at
        at = following(at)


def _next(this: Schedule, now: datetime, following: Following) -> datetime | None:
    """The first fire after `now` that is not paused."""
    if this.paused_until is not None and this.paused_until > now:
        return following(this.paused_until - _MICROSECOND)
    return following(now)
