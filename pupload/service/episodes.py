"""Runs that are over, as whoever asks remembers them."""

from collections.abc import Sequence

from pupload import ports
from pupload.domain import ids
from pupload.engine.engine import Engine
from pupload.service import owned

MOST_PAGE = 1000


class Episodes:
    """What can be asked about them."""

    def __init__(self, *, engine: Engine) -> None:
        assert engine.world.episodes is not None, "there is a place for them"
        self._kept = engine.world.episodes

    async def list(self, *, flow_ids: Sequence[str] | None = None, limit: int = 100, offset: int = 0) -> ports.RunPage:
        """The caller's, or of those the ones of these saved flows, the last created first; `limit` is at most 1 000."""
        limit, offset = min(max(limit, 0), MOST_PAGE), max(offset, 0)
        if flow_ids is None:
            return await self._kept.list(account=owned.shown(), limit=limit, offset=offset)
        pages = [
            await self._kept.list(account=owned.shown(), flow_id=flow_id, limit=offset + limit) for flow_id in flow_ids
        ]
        found = sorted((run for page in pages for run in page.runs), key=lambda run: (run.created_at, run.id))
        last_first = list(reversed(found))[offset : offset + limit]
        return ports.RunPage(runs=last_first, total=sum(page.total for page in pages))

    async def forget(self, run_ids: Sequence[str]) -> None:
        """They are no episodes any more, and stay runs; those that are not the caller's are passed over."""
        canonical = [found for each in run_ids if (found := ids.canonical_run_id(each)) is not None]
        await self._kept.forget(canonical, account=owned.shown())
