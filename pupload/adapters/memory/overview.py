"""What all runs in memory look like together."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

from pupload.adapters.memory.books import Book, Shelf
from pupload.domain import run


class Overview:
    """`ports.Overview` in memory."""

    _shelf: Shelf

    async def days(self, since: datetime, *, account: int | None = None) -> Mapping[date, Mapping[run.Status, int]]:
        """See `ports.Overview.days`."""
        await asyncio.sleep(0)
        found: dict[date, Counter[run.Status]] = defaultdict(Counter)
        for at, book in self._started(since, account):
            found[at.astimezone(UTC).date()][book.head.status] += 1
        return found

    async def statuses(self, since: datetime, *, account: int | None = None) -> Mapping[run.Status, int]:
        """See `ports.Overview.statuses`."""
        await asyncio.sleep(0)
        return Counter(book.head.status for _, book in self._started(since, account))

    async def failing(
        self, since: datetime, *, account: int | None = None, limit: int = 100
    ) -> Sequence[tuple[str, int]]:
        """See `ports.Overview.failing`."""
        await asyncio.sleep(0)
        failed = (
            book.head.plan.provenance
            for _, book in self._started(since, account)
            if book.head.status is run.Status.ERROR
        )
        counts = Counter(provenance.flow for provenance in failed if provenance is not None)
        return sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:limit]

    async def under_way(self, *, account: int | None = None, limit: int = 1000) -> Sequence[str]:
        """See `ports.Overview.under_way`."""
        await asyncio.sleep(0)
        going = [
            book.head.id
            for book in reversed(self._shelf.in_order())
            if book.started_at is not None and not book.head.status.terminal and _counts(book, account)
        ]
        return going[:limit]

    async def active(self, *, account: int | None = None) -> int:
        """See `ports.Overview.active`."""
        await asyncio.sleep(0)
        return sum(
            book.head.status is run.Status.RUNNING and book.started_at is not None and _counts(book, account)
            for book in self._shelf.books.values()
        )

    async def size(self) -> int:
        """See `ports.Overview.size`."""
        return 0

    async def kin(self, run_id: str, *, account: int | None = None, limit: int = 100) -> Sequence[str]:
        """See `ports.Overview.kin`."""
        await asyncio.sleep(0)
        own = self._shelf.books.get(run_id)
        if own is None:
            return []
        first = own.family or run_id
        kin = [
            book.head.id
            for book in self._shelf.in_order()
            if _counts(book, account) and first in (book.family, book.head.id) and book.head.id != run_id
        ]
        return kin[:limit]

    def _started(self, since: datetime, account: int | None) -> Iterator[tuple[datetime, Book]]:
        for book in self._shelf.books.values():
            if book.started_at is not None and book.started_at >= since and _counts(book, account):
                yield book.started_at, book


def _counts(book: Book, account: int | None) -> bool:
    return book.doomed_at is None and account in (None, book.head.plan.account)
