"""
What is changed in drawings on this server, told to whoever looks at one, as it happens.

It is told once and kept nowhere: who was not there looks at the drawing. Changes that another server on the same
database makes are not told here.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from pupload import errors
from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode

MOST_WAITING = 256
"""News that one follower may leave lying; one who leaves more is told so, and gets no more."""


class Kind(StrEnum):
    """What happened."""

    CHANGED = "workflow_updated"
    NODE_ADDED = "node_created"
    NODE_CHANGED = "node_updated"
    NODE_REMOVED = "node_deleted"
    EDGE_ADDED = "edge_created"
    EDGE_CHANGED = "edge_updated"
    EDGE_REMOVED = "edge_deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One change."""

    kind: Kind
    slug: str
    """What the drawing was called before."""
    drawing: Drawing
    """As it is now; its account and whether it is public say who may know."""
    node: DrawnNode | None = None
    edge: DrawnEdge | None = None
    """The part that it is about, as it is now or was."""


class Follower:
    """Gets what is told from when it began to listen."""

    def __init__(self) -> None:
        self._waiting: deque[News] = deque()
        self._told = asyncio.Event()
        self._behind = False

    def tell(self, news: News) -> None:
        """Never waits."""
        if len(self._waiting) >= MOST_WAITING:
            self._behind = True
            self._waiting.clear()
        if not self._behind:
            self._waiting.append(news)
        self._told.set()

    async def next(self) -> News:
        """What comes next, when it comes. Raises `errors.FellBehind` where it was left lying for too long."""
        while not self._waiting:
            if self._behind:
                raise errors.FellBehind(place="now")
            self._told.clear()
            await self._told.wait()
        return self._waiting.popleft()


class DrawingNews:
    """Tells everybody who follows."""

    def __init__(self) -> None:
        self._followers: set[Follower] = set()

    def tell(self, news: News) -> None:
        """To all who follow now."""
        for follower in self._followers:
            follower.tell(news)

    @contextmanager
    def follow(self) -> Iterator[Follower]:
        """Inside, everything is told; who may know of what is for whoever passes it on."""
        follower = Follower()
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)
