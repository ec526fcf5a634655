"""Answers that come when a run is over."""

import asyncio

from aiohttp import web

from pupload.api.web import SERVER, SERVICES


async def until_over(request: web.Request, run_id: str, at_most: float | None) -> None:
    """
    Returns when the run is over, or the time (None: there is no end of it), or nobody waits for the answer any more.

    Whoever has a time limit for the answer allows for it.
    """
    server = request.app[SERVER]
    over = asyncio.ensure_future(request.app[SERVICES].feed.wait(run_id, at_most))
    closing = asyncio.ensure_future(server.closing.wait())
    try:
        while not (over.done() or closing.done() or request.transport is None or request.transport.is_closing()):
            await asyncio.wait({over, closing}, timeout=server.heartbeat_seconds, return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            over.result()
    finally:
        for task in (over, closing):
            task.cancel()
        await asyncio.wait({over, closing})
