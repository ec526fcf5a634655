"""
Reading a run's journal and logs as they grow.

A follower reads on from its own cursor and sleeps on a subscription between: a wake-up that is lost or doubled costs
nothing, and a slow reader holds nothing in memory but the group it is at. That a run is over is read from its journal
too: whoever owns the run, in this process or another, the last entry is written with the last commit. A run that is
purged meanwhile has nothing more to tell: its followers come to their end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from pupload import errors
from pupload.domain.events import RunCompleted, RunFailed, RunStopped
from pupload.domain.run import Run
from pupload.ports import Entry, Journal, LogRecord

Find = Callable[[str], Awaitable[Run]]

GROUP = 500
"""Entries or records in one group."""

MOMENT_SECONDS, MOMENTS = 0.001, 1000
"""How often the owner of a run is asked whether it has heard of the end, and how many times at most."""

_LAST = (RunCompleted, RunFailed, RunStopped)
"""What a journal ends with."""


class Follower:
    """Follows runs."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def logs(
        self, find: Find, run_id: str, *, node: str | None, attempt: int | None, since: int, follow: bool
    ) -> AsyncIterator[Sequence[LogRecord]]:
        """See `service.runs.Runs.logs`."""
        run = await find(run_id)
        seen = 0
        with self._journal.subscribe(run.id) as subscription:
            while True:
                # The end is looked for first: every line of a node is written before the end of its run.
                over, before = not follow, (seen, since)
                more = not over
                while more and (entries := await self._journal.read(run.id, after=seen, limit=GROUP)):
                    seen, over = entries[-1].seq, isinstance(entries[-1].event, _LAST)
                    more = _may_go_on(entries) and not over
                more = True
                while more and (
                    records := await self._journal.read_logs(
                        run.id, node=node, attempt=attempt, since=since, limit=GROUP
                    )
                ):
                    since, more = records[-1].cursor, _may_go_on(records)
                    yield records
                if over or ((seen, since) == before and not await _is_there(find, run.id)):
                    return
                await subscription.wait()

    async def events(self, find: Find, run_id: str, *, after: int, follow: bool) -> AsyncIterator[Sequence[Entry]]:
        """See `service.runs.Runs.events`."""
        run = await find(run_id)
        with self._journal.subscribe(run.id) as subscription:
            while True:
                # Asked before reading: what was over then has nothing to add afterwards.
                over, more = not follow or await _is_over(find, run.id), True
                while more and (entries := await self._journal.read(run.id, after=after, limit=GROUP)):
                    after, more = entries[-1].seq, _may_go_on(entries)
                    if isinstance(entries[-1].event, _LAST):
                        over = True
                        await _is_told(find, run.id)
                    yield entries
                if over:
                    return
                await subscription.wait()


def _may_go_on(group: Sequence[object]) -> bool:
    """Whether more may have been there when it was read; what came since wakes whoever waits."""
    return len(group) >= GROUP


async def _is_over(find: Find, run_id: str) -> bool:
    try:
        return (await find(run_id)).status.terminal
    except errors.UnknownRun:
        return True


async def _is_told(find: Find, run_id: str) -> None:
    """
    Returns when whoever asks about the run is told that it is over.

    The database has the last commit a moment before the run's owner hears that it has: nobody who has seen the end is
    to be told otherwise after it. The moment is bounded, for the answer to a commit may be lost.
    """
    for _ in range(MOMENTS):
        if await _is_over(find, run_id):
            return
        await asyncio.sleep(MOMENT_SECONDS)


async def _is_there(find: Find, run_id: str) -> bool:
    try:
        await find(run_id)
    except errors.UnknownRun:
        return False
    return True
