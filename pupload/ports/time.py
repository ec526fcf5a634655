"""Time, chance, and the process itself."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """The time, and waiting for it. Tests give one that they turn by hand."""

    def now(self) -> datetime:
        """
        The time in UTC, time zone attached: what runs are told.

        It runs evenly. When somebody sets the wall clock it follows slowly, and never goes back.
        """

    def skew(self) -> timedelta:
        """
        How far the wall clock is ahead of `now`.

        Others' times (a store's, a sender's) are taken back by it before they are compared with ours, and ours put
        forward by it before others are to judge them.
        """

    def monotonic(self) -> float:
        """Seconds that never go back: for durations."""

    async def sleep_until(self, when: datetime) -> None:
        """Returns at `when`, at once if that has passed."""

    async def sleep(self, seconds: float) -> None:
        """Returns after so long, whatever somebody does to the wall clock meanwhile."""


class Ids(Protocol):
    """New ids and other chance, so that tests and simulations can repeat themselves."""

    def new_run_id(self) -> str:
        """`run_` and a new ULID."""

    def token(self) -> str:
        """At least 128 unguessable bits in letters and digits."""

    def fraction(self) -> float:
        """Evenly between 0 and 1: for jitter."""


class Pulse(Protocol):
    """Whether this process takes its turns, or stood still."""

    standstills: int
    """How often since the start it did nothing for seconds."""
    seconds: float
    """How long in all."""

    def complaint(self) -> str:
        """A sentence about a standstill of a moment ago; empty where there was none."""


class Hands(Protocol):
    """Who does what may block, beside the event loop."""

    async def do(self, work: Callable[..., T], /, *given: Any) -> T:
        """
        What `work` returns or raises. It must be short, a few calls on small files: others may wait behind it.

        Whoever is cancelled while waiting here does not know whether it was done.
        """
