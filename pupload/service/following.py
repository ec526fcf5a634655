"""
Reading a run's journal and logs as they grow.

A follower reads on from its own cursor and sleeps on a subscription between: a wake-up that is lost or doubled costs
nothing, and a slow reader holds nothing in memory but the group it is at.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from pupload.domain.events import RunCompleted, RunFailed, RunStopped
from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.ports import Entry, LogRecord

Find = Callable[[str], Awaitable[Run]]

GROUP = 500
"""Entries or records in one group."""


class Follower:
    """Follows runs."""

    def __init__(self, engine: Engine) -> None:
        self._journal = engine.world.journal

    async def logs(
        self, find: Find, run_id: str, *, node: str | None, attempt: int | None, since: int, follow: bool
    ) -> AsyncIterator[Sequence[LogRecord]]:
        """See `service.runs.Runs.logs`."""
        run = await find(run_id)

        async def read() -> Sequence[LogRecord]:
            return await self._journal.read_logs(run.id, node=node, attempt=attempt, since=since, limit=GROUP)

        over, told = run.status.terminal, 0
        with self._journal.subscribe(run.id) as subscription:
            while True:
                while not over and follow and (entries := await self._journal.read(run.id, after=told, limit=GROUP)):
                    over, told = _ends(entries), entries[-1].seq
                while records := await read():
                    since = records[-1].cursor
                    yield records
                if over or not follow:
                    return
                await subscription.wait()

    async def events(self, find: Find, run_id: str, *, after: int, follow: bool) -> AsyncIterator[Sequence[Entry]]:
        """See `service.runs.Runs.events`."""
        run = await find(run_id)
        over = run.status.terminal or (after > 0 and _ends(await self._journal.read(run.id, after=after - 1, limit=1)))
        with self._journal.subscribe(run.id) as subscription:
            while True:
                while entries := await self._journal.read(run.id, after=after, limit=GROUP):
                    over, after = over or _ends(entries), entries[-1].seq
                    yield entries
                if over or not follow:
                    return
                await subscription.wait()


def _ends(entries: Sequence[Entry]) -> bool:
    """
    Whether the run is over after these.

    The journal is asked, not the driver: it is the journal that wakes us, a moment before the driver's memory follows.
    """
    return any(isinstance(entry.event, RunCompleted | RunFailed | RunStopped) for entry in entries)
