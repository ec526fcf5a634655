"""
Blobs that somebody is reading are not unlinked under their hands.

A reader first looks up the row and then holds its blobs. Between the two, the object may be replaced and its blobs
doomed; so what is doomed waits for all lookups that began before it (they are counted by epochs), and then for the
readers that hold it. A crash loses none of this: the sweep finds what was left.
"""

from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from pupload.adapters.s3.embedded.rows import StoredObject


class Pins:
    """Used in the event loop only. `remove` unlinks, some time soon."""

    def __init__(self, remove: Callable[[Sequence[str]], None]) -> None:
        self._remove = remove
        self._epoch = 0
        self._looking: Counter[int] = Counter()
        self._pinned: Counter[str] = Counter()
        self._doomed: deque[tuple[int, Sequence[str]]] = deque()
        self._waiting: set[str] = set()

    @asynccontextmanager
    async def hold(self, look: Callable[[], Awaitable[StoredObject]]) -> AsyncIterator[StoredObject]:
        """What `look` returned, with its blobs in place while the block lasts."""
        epoch = self._epoch
        self._looking[epoch] += 1
        try:
            found = await look()
            names = [extent.blob for extent in found.extents]
            self._pinned.update(names)
        finally:
            self._looking[epoch] -= 1
            if not self._looking[epoch]:
                del self._looking[epoch]
            self._reap()
        try:
            yield found
        finally:
            self._let_go(names)

    def doom(self, names: Sequence[str]) -> None:
        """No row names them any more: they go when nobody reads them."""
        self._doomed.append((self._epoch, names))
        self._epoch += 1
        self._reap()

    def _reap(self) -> None:
        oldest = min(self._looking, default=self._epoch)
        while self._doomed and self._doomed[0][0] < oldest:
            _, names = self._doomed.popleft()
            self._waiting.update(name for name in names if name in self._pinned)
            if unread := [name for name in names if name not in self._pinned]:
                self._remove(unread)

    def _let_go(self, names: Sequence[str]) -> None:
        self._pinned.subtract(names)
        free = [name for name in names if not self._pinned[name]]
        for name in free:
            del self._pinned[name]
        if unread := [name for name in free if name in self._waiting]:
            self._waiting.difference_update(unread)
            self._remove(unread)
