"""Work that was done, in memory."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from pupload.domain import memo


class Memos:
    """`ports.Memo` in memory, for the runs that `has_run` knows."""

    def __init__(self, has_run: Callable[[str], bool]) -> None:
        self._has_run = has_run
        self._kept: dict[tuple[str, str], memo.Entry] = {}

    async def find(self, scope: str, key: str) -> memo.Entry | None:
        """See `ports.Memo.find`."""
        await asyncio.sleep(0)
        return self._there().get((scope, key))

    async def kin(self, scope: str, uses: str, *, limit: int = 8) -> Sequence[memo.Entry]:
        """See `ports.Memo.kin`."""
        await asyncio.sleep(0)
        found = [one for (where, _), one in self._there().items() if where == scope and one.uses == uses]
        return sorted(found, key=lambda one: one.at, reverse=True)[:limit]

    async def keep(self, scope: str, entries: Sequence[memo.Entry]) -> None:
        """See `ports.Memo.keep`."""
        await asyncio.sleep(0)
        for entry in entries:
            if self._has_run(entry.run):
                self._kept[scope, entry.key] = entry

    async def forget(self, scope: str, entry: memo.Entry) -> None:
        """See `ports.Memo.forget`."""
        await asyncio.sleep(0)
        kept = self._kept.get((scope, entry.key))
        if kept is not None and kept.run == entry.run:
            del self._kept[scope, entry.key]

    async def tidy(self, before: datetime, *, most: int) -> None:
        """See `ports.Memo.tidy`."""
        await asyncio.sleep(0)
        young = [(where, one) for where, one in self._there().items() if one.at >= before]
        young.sort(key=lambda each: each[1].at, reverse=True)
        self._kept = dict(young[:most])

    def _there(self) -> dict[tuple[str, str], memo.Entry]:
        """All but those whose run has gone."""
        return {where: one for where, one in self._kept.items() if self._has_run(one.run)}
