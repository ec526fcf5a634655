"""The machine's wall clock: for signatures, which others check. Runs are timed by `steady`."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

_NAP_SECONDS = 60.0
"""The longest sleep in one piece: somebody may set the wall clock meanwhile."""


class SystemClock:
    """`ports.Clock` of this machine."""

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - here is where time comes from

    def skew(self) -> timedelta:
        """None: it is the wall clock."""
        return timedelta(0)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep_until(self, when: datetime) -> None:
        """Returns when the wall clock says `when`, at the latest a minute after it was set past that."""
        while (left := (when - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - nothing tells that time went by
            await asyncio.sleep(min(left, _NAP_SECONDS))

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`."""
        await asyncio.sleep(seconds)
