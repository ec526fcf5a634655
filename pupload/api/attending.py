"""Work that is done for as long as whoever asked for it waits, and no longer."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from aiohttp import web

from pupload import errors
from pupload.api.web import SERVER

T = TypeVar("T")


async def while_asked(request: web.Request, work: Awaitable[T]) -> T:
    """
    What comes of the work; it is given up where its caller goes away, or the server goes down.

    Raises what it raises; `errors.TryLater` where it was given up.
    """
    server = request.app[SERVER]
    doing, closing = asyncio.ensure_future(work), asyncio.ensure_future(server.closing.wait())
    try:
        while not (doing.done() or closing.done() or request.transport is None or request.transport.is_closing()):
            await asyncio.wait({doing, closing}, timeout=server.heartbeat_seconds, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise errors.TryLater(reason="nobody waits for it any more, or the server goes down")
    finally:
        for task in (doing, closing):
            task.cancel()
        await asyncio.wait({doing, closing})
