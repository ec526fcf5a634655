"""What happens in all runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pupload.domain import places
from pupload.ports.runs import Entry, LogRecord, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something that happened in some run."""

    place: places.Place
    """Where whoever was told this goes on."""
    flow: str
    """The name of the run's flow."""
    flow_id: str
    """The saved flow's; empty where it is none."""
    what: Entry | LogRecord
    account: int | None = None
    """Whose run it is; None: nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsPage:
    """A part of the feed."""

    news: Sequence[News]
    place: places.Place
    """Where to go on; it moves on where there was nothing to tell, too."""
    held: bool = False
    """More was written that is not to be told before somebody else's commit."""


class Feed(Protocol):
    """
    What happens in all runs, in one order, which is the order of commits as far as anybody can tell.

    What one run's journal and logs hold comes in their own order. Nothing comes of a run that is doomed.
    """

    async def read(self, after: places.Place, *, logs: bool, limit: int = 1000) -> NewsPage:
        """
        What comes behind `after`, with log lines or without; some more than `limit`, or less, but not endlessly more.

        With no news, and `after` itself, there is nothing more as yet. Nothing is ever written before a place that was
        given out. Raises `errors.CursorExpired` where it cannot be known any more what came behind it.
        """

    async def end(self) -> places.Place:
        """Behind all that can be told now."""

    async def trim(self, *, keep: int) -> None:
        """Of the oldest commits nobody can be told any more: so many are kept, or more."""

    def subscribe(self) -> "Subscription":
        """Wakes whoever waits when there may be more, as `Journal.subscribe` does for one run."""
