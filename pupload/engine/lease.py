"""
Whether this controller surely holds its lease at this moment.

The lease itself is timed by the database. Here it is reckoned from the moment at which a renewal was begun, by a clock
that nobody sets: so it ends here before it ends there. Whoever was frozen and goes on finds it over, and does nothing
to the world that a successor may be working on, until the lease was renewed and what it still owns was looked through.
"""

import asyncio

from pupload.ports import Clock


class Lease:
    """Renewed by `pupload.engine.leases`, asked by whoever is about to change the world."""

    def __init__(self, clock: Clock, *, seconds: float) -> None:
        self.seconds = seconds
        self._clock = clock
        self._until = float("-inf")
        self._renewed = asyncio.Event()

    @property
    def valid(self) -> bool:
        """Whether nobody can have taken over what is ours."""
        return self._clock.monotonic() < self._until

    def renew(self, began: float) -> None:
        """It was renewed, by a call that began then (a time of `Clock.monotonic`), and nothing of ours was lost."""
        self._until = began + self.seconds
        if self.valid:
            self._renewed.set()

    def give_up(self) -> None:
        """It is over from now on."""
        self._until = float("-inf")

    async def sure(self) -> None:
        """Returns while the lease is valid: at once, or when it is again."""
        while not self.valid:
            self._renewed.clear()
            await self._renewed.wait()


def for_ever(clock: Clock) -> Lease:
    """A lease that never ends, for one who is alone with what it works on."""
    lease = Lease(clock, seconds=float("inf"))
    lease.renew(clock.monotonic())
    return lease
