"""`ports.Episodes` in memory."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from pupload import ports


class Episodes:
    """Over the runs of a state."""

    def __init__(self, runs: Callable[[], Iterator[ports.RunSummary]]) -> None:
        """`runs` gives those that are not doomed."""
        self._runs = runs
        self._forgotten: set[str] = set()

    async def list(
        self, *, account: int | None = None, flow_id: str | None = None, limit: int = 100, offset: int = 0
    ) -> ports.RunPage:
        """See `ports.Episodes`."""
        await asyncio.sleep(0)
        found = [
            run
            for run in self._runs()
            if run.finished_at is not None
            and run.id not in self._forgotten
            and account in (None, run.account)
            and flow_id in (None, run.flow_id)
        ]
        found.sort(key=lambda run: (run.created_at, run.id), reverse=True)
        return ports.RunPage(runs=found[offset : offset + limit], total=len(found))

    async def forget(self, run_ids: Sequence[str], *, account: int | None = None) -> None:
        """See `ports.Episodes`."""
        await asyncio.sleep(0)
        there = {run.id for run in self._runs() if account in (None, run.account)}
        self._forgotten |= there & set(run_ids)
