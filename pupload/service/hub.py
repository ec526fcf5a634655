"""
What is changed on this server, told to whoever follows, as it happens.

It is told once and kept nowhere: who was not there looks at what there is. What another server on the same database
changes is not told here.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from pupload import errors

N = TypeVar("N")

MOST_WAITING = 256
"""News that one follower may leave lying; one who leaves more is told so, and gets no more."""


class Follower(Generic[N]):
    """Gets what is told from when it began to listen."""

    def __init__(self) -> None:
        self._waiting: deque[N] = deque()
        self._told = asyncio.Event()
        self._behind = False

    def tell(self, news: N) -> None:
        """Never waits."""
        if len(self._waiting) >= MOST_WAITING:
            self._behind = True
            self._waiting.clear()
        if not self._behind:
            self._waiting.append(news)
        self._told.set()

    async def next(self) -> N:
        """What comes next, when it comes. Raises `errors.FellBehind` where it was left lying for too long."""
        while not self._waiting:
            if self._behind:
                raise errors.FellBehind(place="now")
            self._told.clear()
            await self._told.wait()
        return self._waiting.popleft()


class Hub(Generic[N]):
    """Tells everybody who follows."""

    def __init__(self) -> None:
        self._followers: set[Follower[N]] = set()

    def tell(self, news: N) -> None:
        """To all who follow now."""
        for follower in self._followers:
            follower.tell(news)

    @contextmanager
    def follow(self) -> Iterator[Follower[N]]:
        """Inside, everything is told; who may know of what is for whoever passes it on."""
        follower: Follower[N] = Follower()
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)
