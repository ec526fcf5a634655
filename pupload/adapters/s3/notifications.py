"""
Arrivals from stores that speak MinIO's bucket notifications, connection by connection.

Each new connection is told to the reader as an empty key: what arrived before it was missed, look at everything.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pupload import ports
from pupload.adapters.s3 import keys, places, reach

if TYPE_CHECKING:
    from pupload.adapters.s3.ear import Ear

_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


class Listener:
    """Opens the stream of keys put into a bucket; each call is a stream of its own."""

    def __init__(
        self,
        *,
        bucket: places.Bucket,
        region: str,
        credentials: keys.Keys,
        clock: ports.Clock,
        guard: reach.Guard | None = None,
    ) -> None:
        self._bucket = bucket
        self._region = region
        self._keys = credentials
        self._clock = clock
        self._guard = guard

    async def __call__(self) -> AsyncGenerator[str, None]:
        pause = _SHORTEST_PAUSE
        while True:
            await self._keys.ready()
            arrived: asyncio.Queue[str | None] = asyncio.Queue()
            ear = await asyncio.to_thread(self._make_ear, _thread_safe(arrived))
            ear.start()
            try:
                while (key := await arrived.get()) is not None:
                    pause = _SHORTEST_PAUSE
                    yield key
            finally:
                ear.stop()
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _make_ear(self, tell: Callable[[str | None], None]) -> "Ear":
        from pupload.adapters.s3 import ear  # noqa: PLC0415 - in the thread: the SDK takes its time to be imported

        return ear.Ear(self._bucket, self._region, self._keys, tell, self._guard)


def _thread_safe(arrived: "asyncio.Queue[str | None]") -> Callable[[str | None], None]:
    loop = asyncio.get_running_loop()

    def put(key: str | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(arrived.put_nowait, key)

    return put
