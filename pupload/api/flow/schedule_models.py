"""The names that go over the wire about schedules and backfills; see `pupload.api.flow.models`."""

from datetime import datetime
from typing import Any

from pydantic import Field

from pupload.api.flow.models import Answer, AnyText, Duration, Request, ThePriority


class PutSchedule(Request):
    """
    When runs of a saved flow are to be started: `Flow` is its id or name, and there is either `Cron` or `Interval`.

    `Cron` has five fields, meant in `Timezone`. `CatchUp` (`none`, `one`, `all`) is what becomes of moments that were
    missed for there was no server, not longer ago than `CatchUpWindow`; `Overlap` (`skip`, `queue`, `allow`) what
    becomes of one while the run before is still under way. `Priority` is that of its runs, else they have the flow's.
    `Input`, a text or any JSON, is put where each run waits for an upload; of several an object with one for each edge.
    """

    Flow: str
    Cron: str = ""
    Interval: Duration = None
    Timezone: str = "UTC"
    Enabled: bool = True
    PausedUntil: str = ""
    CatchUp: str = "one"
    CatchUpWindow: Duration = None
    Overlap: str = "skip"
    Params: dict[str, AnyText] = Field(default_factory=dict)
    Priority: ThePriority | None = None
    Input: Any = None


class PauseSchedule(Request):
    """`Until` when no run is started, a time with its zone; else until the schedule is resumed."""

    Until: str = ""


class PreviewSchedule(Request):
    """A schedule that need not be there: either `Cron`, meant in `Timezone`, or `Interval`."""

    Cron: str = ""
    Interval: Duration = None
    Timezone: str = "UTC"
    Count: int = Field(default=10, ge=1, le=100)


class StartBackfill(Request):
    """
    The first and the last date, both included, as YYYY-MM-DD; each run has its own as `Params.date`.

    Without a `Priority` they have one that is 10 lower than the flow's. With `Memoize` false every node does its work,
    whoever did the same before.
    """

    StartDate: str
    EndDate: str
    Params: dict[str, AnyText] = Field(default_factory=dict)
    Priority: ThePriority | None = None
    Memoize: bool = True


class Schedule(Answer, frozen=True, kw_only=True):
    """
    A schedule. `NextAt` is when it starts a run next, `LastAt` the last moment that was seen to, whatever came of it.

    `LastRun` is the run that it last started; `LastError` why there was none at `LastAt`, empty where there was.
    """

    ID: str
    FlowID: str
    Cron: str
    Interval: str
    Timezone: str
    Enabled: bool
    PausedUntil: datetime | None
    CatchUp: str
    CatchUpWindow: str
    Overlap: str
    Params: dict[str, str]
    Priority: int | None
    Input: Any
    CreatedAt: datetime
    NextAt: datetime | None
    LastAt: datetime | None
    LastRun: str
    LastError: str


class ScheduleList(Answer, frozen=True, kw_only=True):
    """Schedules, the oldest first."""

    Schedules: list[Schedule]


class Fires(Answer, frozen=True, kw_only=True):
    """Moments at which runs are started next, in UTC."""

    Fires: list[datetime]


class Backfill(Answer, frozen=True, kw_only=True):
    """The runs that were started, one for each date, in the order of the dates; they have the label `backfill`."""

    ID: str
    FlowID: str
    Dates: list[str]
    Runs: list[str]
