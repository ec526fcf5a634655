"""What all runs together look like: numbers that a database adds up, so that nobody has to load runs for them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from pupload.domain import run


class Overview(Protocol):
    """
    Numbers over all runs that are not doomed; where an `account` is given, over its runs alone.

    A run counts from when it started (`RunSummary.started_at`): one that never did is in none of them.
    """

    async def days(self, since: datetime, *, account: int | None = None) -> Mapping[date, Mapping[run.Status, int]]:
        """How many runs started then or later, by the day (in UTC) and by the status that they have now."""

    async def statuses(self, since: datetime, *, account: int | None = None) -> Mapping[run.Status, int]:
        """How many runs started then or later, by the status that they have now."""

    async def failing(
        self, since: datetime, *, account: int | None = None, limit: int = 100
    ) -> Sequence[tuple[str, int]]:
        """
        Of how many runs that started then or later each saved flow (its id, there or not) ended in ERROR.

        Those with most first, among equals by their ids; flows of which none did are left out.
        """

    async def under_way(self, *, account: int | None = None, limit: int = 1000) -> Sequence[str]:
        """The ids of runs that started and are not over, newest first."""

    async def active(self, *, account: int | None = None) -> int:
        """How many runs that started are RUNNING: they have nodes under way."""

    async def size(self) -> int:
        """Bytes that the database takes, with what it has written ahead; 0 where it is kept nowhere."""

    async def kin(self, run_id: str, *, account: int | None = None, limit: int = 100) -> Sequence[str]:
        """
        The ids of the other runs of its family (a run, all that resume or replay it, and so on), oldest first.

        Empty for a run that is not there.
        """
