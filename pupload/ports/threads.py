"""Where what was said is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pupload.domain.thread import Message, Thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A part of a thread."""

    messages: Sequence[Message]
    """In the order in which they were said."""
    more: bool
    """Whether something was said before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadPage:
    """Some of the threads, the one in which something was said last first."""

    threads: Sequence[Thread]
    total: int


class Threads(Protocol):
    """What was said, durably. Times are kept to the microsecond."""

    async def say(self, message: Message) -> None:
        """Keeps the message, unless there is one of its run in its role."""

    async def said_in(self, run_id: str) -> Sequence[Message]:
        """What was said in the run, the account's part first."""

    async def read(self, account: int | None, flow: str, *, before: datetime | None = None, limit: int = 100) -> Said:
        """The last of the thread, or the last that were said before."""

    async def clear(self, account: int | None, flow: str) -> None:
        """Nothing was said in this thread."""

    async def forget(self, message_ids: Sequence[int], *, account: int | None = None) -> None:
        """
        These were not said; those that are not there are passed over, and where an `account` is said, those that are
        not of its threads.
        """

    async def list(self, *, account: int | None = None, limit: int = 100, offset: int = 0) -> ThreadPage:
        """The threads of the account, of everybody where that is None."""
