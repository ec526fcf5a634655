"""The artifacts of all runs in memory."""

import asyncio
from collections.abc import Sequence

from pupload import ports
from pupload.adapters.memory.books import Shelf


class Artifacts:
    """`ports.ArtifactIndex` in memory."""

    _shelf: Shelf

    async def artifacts(
        self, *, after: tuple[str, str] | None = None, account: int | None = None, limit: int = 100
    ) -> Sequence[ports.Kept]:
        """See `ports.ArtifactIndex.artifacts`."""
        await asyncio.sleep(0)
        found: list[ports.Kept] = []
        for run in sorted(self._shelf.books, reverse=True):
            book = self._shelf.books[run]
            if book.doomed_at is not None or (after is not None and run > after[0]):
                continue
            if account not in (None, book.head.plan.account):
                continue
            found += [
                ports.Kept(run=run, edge=edge, artifact=book.artifacts[edge], gone_at=book.gone.get(edge))
                for edge in sorted(book.artifacts)
                if after is None or run < after[0] or edge > after[1]
            ]
            if len(found) >= limit:
                break
        return found[:limit]

    async def edges(self, first: str, last: str) -> Sequence[tuple[str, str]]:
        """See `ports.ArtifactIndex.edges`."""
        await asyncio.sleep(0)
        return [
            (run, edge)
            for run, book in self._shelf.books.items()
            if first <= run <= last and book.doomed_at is None
            for edge in book.artifacts
        ]
