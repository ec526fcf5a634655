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

    async def list(self, *, flow_id: str | None = None, limit: int = 100, offset: int = 0) -> ports.RunPage:
        """The caller's, or of those the ones of this saved flow, the last created first; `limit` is at most 1 000."""
        limit, offset = min(max(limit, 0), MOST_PAGE), max(offset, 0)
        return await self._kept.list(account=owned.shown(), flow_id=flow_id, limit=limit, offset=offset)

    async def forget(self, run_ids: Sequence[str]) -> None:
        """They are no episodes any more, and stay runs; those that are not the caller's are passed over."""
        canonical = [found for each in run_ids if (found := ids.canonical_run_id(each)) is not None]
        await self._kept.forget(canonical, account=owned.shown())
