"""What is kept of ended runs in memory, with the manners of the database."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from pupload import errors
from pupload.adapters.memory.books import Book, Shelf
from pupload.domain import run


class Retention:
    """`ports.Retention` in memory."""

    _shelf: Shelf

    async def untidied(self, *, limit: int = 1000) -> Sequence[str]:
        """See `ports.Retention.untidied`."""
        await asyncio.sleep(0)
        found = [
            book.head.id
            for book in self._shelf.books.values()
            if book.head.status.terminal and not book.planned and book.doomed_at is None
        ]
        return found[:limit]

    async def plan_tidying(self, moments: Mapping[str, datetime | None], *, doomed: bool = False) -> None:
        """See `ports.Retention.plan_tidying`."""
        await asyncio.sleep(0)
        for run_id, moment in moments.items():
            book = self._shelf.books.get(run_id)
            if book is not None and (book.doomed_at is not None) is doomed:
                book.planned, book.tidy_at = True, moment

    async def next_tidying(self) -> datetime | None:
        """See `ports.Retention.next_tidying`."""
        await asyncio.sleep(0)
        return min((book.tidy_at for book in self._shelf.books.values() if book.tidy_at is not None), default=None)

    async def due_for_tidying(self, now: datetime, *, limit: int = 100) -> Sequence[str]:
        """See `ports.Retention.due_for_tidying`."""
        await asyncio.sleep(0)
        return self._due(now, limit, doomed=False)

    async def doomed(self, now: datetime, *, limit: int = 100) -> Sequence[str]:
        """See `ports.Retention.doomed`."""
        await asyncio.sleep(0)
        return self._due(now, limit, doomed=True)

    def _due(self, now: datetime, limit: int, *, doomed: bool) -> Sequence[str]:
        found = [
            book
            for book in self._shelf.books.values()
            if (book.doomed_at is not None) is doomed and book.tidy_at is not None and book.tidy_at <= now
        ]
        found.sort(key=lambda book: (book.tidy_at, book.head.id))
        return [book.head.id for book in found[:limit]]

    async def tidied(self, run_id: str, *, gone: Iterable[str] = (), at: datetime) -> None:
        """See `ports.Retention.tidied`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        for edge in gone:
            if book is not None and edge in book.artifacts:
                book.gone.setdefault(edge, at)

    async def kept_by_kin(self, run_id: str) -> frozenset[tuple[str, str]]:
        """See `ports.Retention.kept_by_kin`."""
        await asyncio.sleep(0)
        family = self._family(run_id)
        return frozenset(
            (artifact.store, artifact.key)
            for other, book in self._shelf.books.items()
            if other != run_id and book.doomed_at is None and self._family(other) == family
            for edge, artifact in book.artifacts.items()
            if edge not in book.gone
        )

    def _family(self, run_id: str) -> str:
        book = self._shelf.books.get(run_id)
        return run_id if book is None else book.family or run_id

    async def doom(self, run_id: str, at: datetime) -> None:
        """See `ports.Retention.doom`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        if book is None or book.doomed_at is not None:
            raise errors.UnknownRun(name=run_id)
        if not book.head.status.terminal:
            raise errors.NotOver(run=run_id, status=book.head.status)
        self._doom(book, at)

    async def doom_older(self, before: datetime, at: datetime, *, limit: int = 100) -> Sequence[str]:
        """See `ports.Retention.doom_older`."""
        await asyncio.sleep(0)
        old = [
            (book.started_at, book.head.id, book)
            for book in self._shelf.books.values()
            if book.started_at is not None
            and book.started_at < before
            and book.head.status.terminal
            and book.doomed_at is None
        ]
        chosen = sorted(old, key=lambda each: each[:2])[:limit]
        for _, _, book in chosen:
            self._doom(book, at)
        return [run_id for _, run_id, _ in chosen]

    def _doom(self, book: Book, at: datetime) -> None:
        book.doomed_at = book.tidy_at = at
        self._shelf.by_key = {key: owner for key, owner in self._shelf.by_key.items() if owner != book.head.id}
        self._shelf.wake(book.head.id)

    async def load_doomed(self, run_id: str) -> run.Run:
        """See `ports.Retention.load_doomed`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        if book is None or book.known:
            raise errors.UnknownRun(name=run_id)
        return book.whole()

    async def erase(self, run_id: str, *, rows: int = 1000) -> bool:
        """See `ports.Retention.erase`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        if book is not None and not book.known:
            for kept in (book.entries, book.logs):
                removed = min(rows, len(kept))
                del kept[:removed]
                rows -= removed
            if not rows:
                return False
            del self._shelf.books[run_id]
            self._shelf.wake(run_id)
        return run_id not in self._shelf.books

    async def agree_on_terms(self, terms: str) -> bool:
        """See `ports.Retention.agree_on_terms`."""
        await asyncio.sleep(0)
        if terms == self._shelf.terms:
            return True
        self._shelf.terms = terms
        for book in self._shelf.books.values():
            if book.doomed_at is None:
                book.planned, book.tidy_at = False, None
        return False

    def _adopt(self, new: run.Run) -> str:
        """The family of a new run. Raises `errors.Conflict` when what it takes over is not there any more."""
        if new.resumed_from is None:
            return ""
        old = self._shelf.books.get(new.resumed_from)
        if old is None or old.doomed_at is not None:
            raise errors.NotResumable(run=new.resumed_from, reason="it was purged")
        for edge in old.gone:
            if edge in new.artifacts and new.artifacts[edge].key == old.artifacts[edge].key:
                raise errors.NotResumable(run=new.resumed_from, reason=f"its artifact {edge} was deleted")
        return self._family(new.resumed_from)
