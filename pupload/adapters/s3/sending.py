"""
A body on its way out, watched: a store that takes no more of it, and yet keeps the connection, is as good as gone.

aiohttp begins to count a silence when all was sent; until then a store could hold up a request for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

PIECE_BYTES = 256 << 10
"""What must be taken within one silence: 10 KB/s, shared by four, are enough for that."""

AT_ONCE_BYTES = 64 << 10
"""Up to this much aiohttp takes in one go, and waits for nobody."""


def pieces_of(body: bytes) -> Callable[[], AsyncIterator[bytes]]:
    """What gives the body, anew for every attempt."""

    async def source() -> AsyncIterator[bytes]:
        yield body

    return source


class Watched:
    """The pieces of a body, small; `limit` ends the request where one is not taken within `silence_seconds`."""

    def __init__(self, pieces: AsyncIterator[bytes], limit: asyncio.Timeout, *, silence_seconds: float) -> None:
        # No generator around a generator: what is left when a request breaks off is closed as soon as without it.
        self._pieces = pieces
        self._limit = limit
        self._silence = silence_seconds
        self._piece = b""
        self._at = 0

    async def stop(self) -> None:
        """Gives up what the body is read from, after a request that failed."""
        close = getattr(self._pieces, "aclose", None)
        with suppress(RuntimeError):  # it is just being read; whoever does so is being cancelled, and closes it
            if close is not None:
                await close()

    def __aiter__(self) -> "Watched":
        return self

    async def __anext__(self) -> bytes:
        now = asyncio.get_running_loop().time()
        if self._at >= len(self._piece):
            # The last of it may still be on its way when there is no more, and then comes the wait for the answer.
            self._limit.reschedule(now + 2 * self._silence)
            self._piece, self._at = await anext(self._pieces), 0
        self._limit.reschedule(now + self._silence)
        start, self._at = self._at, self._at + PIECE_BYTES
        return self._piece[start : self._at]
