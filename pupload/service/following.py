"""
Reading a run's journal and logs as they grow.

A follower reads on from its own cursor and sleeps on a subscription between: a wake-up that is lost or doubled costs
nothing, and a slow reader holds nothing in memory but the group it is at.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.ports import Entry, LogRecord

Find = Callable[[str], Awaitable[Run]]

GROUP = 500
"""Entries or records in one group."""


class Follower:
    """Follows runs."""

    def __init__(self, engine: Engine) -> None:
        self._driver = engine.driver
        self._journal = engine.world.journal

    async def logs(
        self, find: Find, run_id: str, *, node: str | None, attempt: int | None, since: int, follow: bool
    ) -> AsyncIterator[Sequence[LogRecord]]:
        """See `service.runs.Runs.logs`."""
        run = await find(run_id)

        async def read() -> Sequence[LogRecord]:
            return await self._journal.read_logs(run.id, node=node, attempt=attempt, since=since, limit=GROUP)

        with self._journal.subscribe(run.id) as subscription:
            while True:
                over = (await self._driver.look(run.id)).status.terminal
                while records := await read():
                    since = records[-1].cursor
                    yield records
                if over or not follow:
                    return
                await subscription.wait()

    async def events(self, find: Find, run_id: str, *, after: int, follow: bool) -> AsyncIterator[Sequence[Entry]]:
        """See `service.runs.Runs.events`."""
        run = await find(run_id)
        with self._journal.subscribe(run.id) as subscription:
            while True:
                over = (await self._driver.look(run.id)).status.terminal
                while entries := await self._journal.read(run.id, after=after, limit=GROUP):
                    after = entries[-1].seq
                    yield entries
                if over or not follow:
                    return
                await subscription.wait()
