"""
Schedules that count: how many of their runs succeed, and how many fail in a row.

What counts is what a run comes to, not that it was started. After a failure the next run comes sooner or later than the
interval says (`pause_seconds`); after so many failures in a row, or successes in all, there is none any more.
"""

import enum
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

MOST_INTERVALS = 10
"""After failures the next run is at most so many intervals away."""

_MOST_DOUBLINGS = 10
"""More come to more than `MOST_INTERVALS` anyway."""


class Over(enum.StrEnum):
    """Why a schedule starts no run any more."""

    DONE = "done"
    """As many runs have succeeded as there were to be."""
    DEAD = "dead"
    """Too many have failed in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What a schedule counts, and what it is for: runs of a drawing."""

    name: str
    description: str = ""
    drawing: int
    """The number of the drawing that is run."""
    trigger: str = ""
    """The node that begins it; empty: whichever is to begin on a schedule, or by hand."""
    payload: Any = None
    """What that node is given, beside what is told of the schedule."""
    most_runs: int = 0
    """So many are to succeed; 0: there is no end to it."""
    most_retries: int = 3
    """So many may fail in a row; one more, and the schedule is dead."""
    timeout_seconds: int = 600
    """How long a run may take."""
    runs: int = 0
    """That have succeeded, ever."""
    failures: int = 0
    """Likewise, that have failed, or could not be started."""
    repeat: int = 0
    """Runs that have succeeded since it was last set going from the beginning."""
    retry: int = 0
    """Failures in a row."""
    over: Over | None = None
    counted: str = ""
    """The last run that was counted; those that were started before it are, too."""
    error: str = ""
    """Of the last run that was counted."""
    ran_at: datetime | None = None
    """When a run was last started."""
    updated_at: datetime


def after_run(count: Count, *, error: str, run: str = "") -> Count:
    """The count with one run more, which failed where there is an error; `run` is empty where there was none."""
    counted = max(count.counted, run)
    if not error:
        repeat = count.repeat + 1
        over = Over.DONE if 0 < count.most_runs <= repeat else None
        return replace(count, runs=count.runs + 1, repeat=repeat, retry=0, error="", over=over, counted=counted)
    retry = count.retry + 1
    over = Over.DEAD if retry > count.most_retries else None
    return replace(count, failures=count.failures + 1, retry=retry, error=error, over=over, counted=counted)


def is_counted(count: Count, run: str) -> bool:
    """Whether the run was counted; ids of runs grow with time."""
    return run <= count.counted


def from_beginning(count: Count) -> Count:
    """The count that is set going anew; how often it ran ever is kept."""
    return replace(count, repeat=0, retry=0, over=None, error="")


def pause_seconds(count: Count, interval_seconds: int) -> int:
    """From a run's failure to the next run: the interval, doubled with every failure in a row but the first."""
    doublings = min(max(count.retry - 1, 0), _MOST_DOUBLINGS)
    return interval_seconds * min(1 << doublings, MOST_INTERVALS)
