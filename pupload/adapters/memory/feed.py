"""What happens in all runs, in one order, in memory."""

import asyncio
from collections.abc import Iterator, Sequence

from pupload import errors, ports
from pupload.adapters.memory.books import Fed, Shelf, Subscription
from pupload.domain.places import Place

_GROUP = 0
"""There are no transactions here."""


class Feed:
    """`ports.Feed` in memory."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def read(self, after: Place, *, logs: bool, limit: int = 1000) -> ports.NewsPage:
        """See `ports.Feed.read`."""
        await asyncio.sleep(0)
        first, rows = self._shelf.forgotten + 1, self._shelf.fed
        if after.row and not first <= after.row < first + len(rows):
            raise errors.CursorExpired(place=after)
        news: list[ports.News] = []
        place = after
        for number, row in enumerate(rows[max(after.row - first, 0) :], start=max(after.row, first)):
            if limit <= 0:
                break
            if number == after.row and row.count <= after.told:
                continue
            news += (each for each in self._news(number, row, logs=logs) if each.place > after)
            place = Place(_GROUP, number, row.count)
            limit -= row.count
        return ports.NewsPage(news=news, place=place)

    async def end(self) -> Place:
        """See `ports.Feed.end`."""
        await asyncio.sleep(0)
        rows = self._shelf.fed
        return Place(_GROUP, self._shelf.forgotten + len(rows), rows[-1].count) if rows else Place()

    async def trim(self, *, keep: int) -> None:
        """See `ports.Feed.trim`."""
        await asyncio.sleep(0)
        gone = max(len(self._shelf.fed) - max(keep, 1), 0)
        del self._shelf.fed[:gone]
        self._shelf.forgotten += gone

    def subscribe(self) -> ports.Subscription:
        """See `ports.Feed.subscribe`."""
        return Subscription(self._shelf.listeners_to_all, "")

    def _news(self, number: int, row: Fed, *, logs: bool) -> Iterator[ports.News]:
        book = self._shelf.books.get(row.run)
        if book is None or book.doomed_at is not None or (row.lines and not logs):
            return
        written: Sequence[ports.Entry | ports.LogRecord] = book.logs if row.lines else book.entries
        for told, what in enumerate(written[row.upto - row.count : row.upto], start=1):
            plan = book.head.plan
            place = Place(_GROUP, number, told)
            yield ports.News(place=place, flow=plan.flow.name, flow_id=plan.flow_id, what=what, account=plan.account)
