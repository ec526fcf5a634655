"""
A body on its way out, watched: a store that takes no more of it, and yet keeps the connection, is as good as gone.

aiohttp begins to count a silence when all was sent; until then a store could hold up a request for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

PIECE_BYTES = 256 << 10
"""What must be taken within one silence: 10 KB/s, shared by four, are enough for that."""

AT_ONCE_BYTES = 64 << 10
"""Up to this much aiohttp takes in one go, and waits for nobody."""


def pieces_of(body: bytes) -> Callable[[], AsyncIterator[bytes]]:
    """What gives the body, anew for every attempt."""

    async def source() -> AsyncIterator[bytes]:
        yield body

    return source


async def watched(
    source: Callable[[], AsyncIterator[bytes]], limit: asyncio.Timeout, *, silence_seconds: float
) -> AsyncIterator[bytes]:
    """The pieces of `source`, small; `limit` ends the request where one is not taken within `silence_seconds`."""
    loop = asyncio.get_running_loop()
    async with aclosing(source()) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            for start in range(0, len(piece), PIECE_BYTES):
                limit.reschedule(loop.time() + silence_seconds)
                yield piece[start : start + PIECE_BYTES]
    # The last of it may still be on its way, and then comes the wait for the answer.
    limit.reschedule(loop.time() + 2 * silence_seconds)
