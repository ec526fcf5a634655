"""Runs from which something follows, in memory."""

import asyncio
from collections.abc import Mapping, Sequence

from pupload.adapters.memory.books import Shelf


class Following:
    """`ports.Following` in memory."""

    _shelf: Shelf

    async def follow(self, run_id: str) -> None:
        """See `ports.Following.follow`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        if book is not None and book.doomed_at is None:
            book.followed = True

    async def unsettled(self, *, after: str = "", limit: int = 100) -> Sequence[str]:
        """See `ports.Following.unsettled`."""
        await asyncio.sleep(0)
        books = self._shelf.books.items()
        there = (run for run, book in books if book.followed and book.head.status.terminal and book.doomed_at is None)
        return sorted(run for run in there if run > after)[:limit]

    async def settle(self, run_id: str) -> None:
        """See `ports.Following.settle`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        if book is not None and book.head.status.terminal:
            book.followed = False

    async def children(self, run_id: str) -> Mapping[str, str]:
        """See `ports.Following.children`."""
        await asyncio.sleep(0)
        books = [self._shelf.books[run] for run in sorted(self._shelf.books)]
        parents = ((book.head.id, book.head.plan.parent) for book in books if book.doomed_at is None)
        return {parent.edge: run for run, parent in parents if parent and parent.edge and parent.run == run_id}
