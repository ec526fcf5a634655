"""
What goes first: a whole number for each run. Higher ones are served before lower ones; equal ones take turns.

A run has the priority that it was ordered with, or that of its flow, until somebody changes it (`Run.priority`).
"""

from pupload import errors
from pupload.domain.run import Run

LEAST, MOST = -100, 100

BACKFILL = 10
"""By how much the runs of a backfill come after others of their flow: dates of the past can wait."""


def of(run: Run) -> int:
    """The run's, as it is now."""
    return run.plan.priority if run.priority is None else run.priority


def below(value: int, by: int) -> int:
    """So much lower, as far as there are numbers."""
    return max(value - by, LEAST)


def check(value: int) -> int:
    """The value. Raises `errors.Malformed` where it is no priority."""
    if not LEAST <= value <= MOST:
        raise errors.Malformed(reason=f"a priority is a whole number from {LEAST} to {MOST}, not {value}")
    return value
