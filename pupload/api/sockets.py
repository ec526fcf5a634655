"""
WebSockets that tell what happens, whatever the surface makes of it.

Nobody has a queue of their own: a client that falls too far behind is closed, and told why. What a client says is
passed over, unless the surface listens.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from pupload import errors
from pupload.api import access, streams
from pupload.api.web import SERVER
from pupload.service.feed import Group, Told

PING_SECONDS = 30.0
"""How often a WebSocket is asked whether it lives; half of that it has for an answer."""

MOST_BYTES = 4096
"""Of a message from a client that is passed over."""

MOST_WAITING = 16
"""Messages of a client that is answered one after the other."""

log = logging.getLogger(__name__)


def upgrade(request: web.Request, *, most_bytes: int = MOST_BYTES) -> web.WebSocketResponse:
    """The answer to be, not sent yet. Raises `errors.Malformed` for a request that speaks no WebSocket."""
    answer = web.WebSocketResponse(heartbeat=PING_SECONDS, compress=False, max_msg_size=most_bytes)
    if not answer.can_prepare(request):
        raise errors.Malformed(reason="this path speaks WebSocket: ask for an upgrade of the connection")
    return answer


async def tell(
    request: web.Request,
    answer: web.WebSocketResponse,
    groups: AsyncIterator[Group],
    messages: Callable[[Told], Iterable[bytes]],
    *,
    hear: Callable[[WSMessage], Awaitable[None]] | None = None,
) -> web.WebSocketResponse:
    """
    Sends the messages that are made of everything told, as text, until the client, the feed or the server ends.

    The feed's first group is taken before the connection is one, so what goes wrong at once is still answered
    properly: as the errors of `Feed.follow`. `hear` is given what the client says.
    """
    first = await anext(groups)
    await answer.prepare(request)
    return await held(request, answer, _tell(answer, first, groups, messages), hear)


async def converse(
    request: web.Request, answer: web.WebSocketResponse, reply: Callable[[WSMessage], Awaitable[None]]
) -> web.WebSocketResponse:
    """
    Replies to what the client says, to one message after the other, until either side ends.

    `MOST_WAITING` messages may wait for their turn; a client that says more is closed.
    """
    await answer.prepare(request)
    waiting: asyncio.Queue[WSMessage] = asyncio.Queue(MOST_WAITING)

    async def hear(said: WSMessage) -> None:
        try:
            waiting.put_nowait(said)
        except asyncio.QueueFull:
            raise errors.TryLater(reason=f"{MOST_WAITING} requests wait already for their turn") from None

    async def replying() -> None:
        while True:
            await reply(await waiting.get())

    return await held(request, answer, replying(), hear)


async def held(
    request: web.Request,
    answer: web.WebSocketResponse,
    talk: Coroutine[Any, Any, None],
    hear: Callable[[WSMessage], Awaitable[None]] | None,
) -> web.WebSocketResponse:
    """The socket, prepared, open for as long as both sides want, and may; closed with the reason then."""
    telling = asyncio.ensure_future(talk)
    listening = asyncio.ensure_future(_listen(answer, hear))
    closing = asyncio.ensure_future(request.app[SERVER].closing.wait())
    void = asyncio.ensure_future(access.until_void(request))
    tasks: set[asyncio.Future[Any]] = {telling, listening, closing, void}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        code, reason = (WSCloseCode.POLICY_VIOLATION, access.VOID) if void.done() else _why(telling, listening, closing)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    await _say_good_bye(request, answer, code, reason)
    return answer


async def together(*talks: Coroutine[Any, Any, None]) -> None:
    """All of them at once, until the first ends, as that does."""
    tasks = [asyncio.ensure_future(talk) for talk in talks]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def send(answer: web.WebSocketResponse, message: bytes) -> None:
    """Sends JSON as text. Raises `TimeoutError` for a client that takes nothing for a minute."""
    async with asyncio.timeout(streams.STALLED_SECONDS):
        await answer.send_frame(message, WSMsgType.TEXT)


async def _tell(
    answer: web.WebSocketResponse,
    first: Group,
    groups: AsyncIterator[Group],
    messages: Callable[[Told], Iterable[bytes]],
) -> None:
    """Sends whatever happens. Ends only by an error."""
    group = first
    while True:
        for told in group.told:
            for message in messages(told):
                await send(answer, message)
        group = await anext(groups)


async def _listen(answer: web.WebSocketResponse, hear: Callable[[WSMessage], Awaitable[None]] | None) -> None:
    """Takes what the client says, until it says no more."""
    async for said in answer:
        if hear is not None:
            await hear(said)


def _why(
    telling: "asyncio.Future[None]", listening: "asyncio.Future[None]", closing: "asyncio.Future[Any]"
) -> tuple[int, str]:
    """With what code a socket is closed, and why; 0 for a client that is gone."""
    if closing.done():
        return WSCloseCode.GOING_AWAY, "the server goes down"
    broken = next((each for each in (telling, listening) if each.done() and each.exception() is not None), None)
    if broken is None:
        return WSCloseCode.OK, ""
    error = broken.exception()
    if isinstance(error, errors.TryLater | errors.CursorExpired):
        return WSCloseCode.TRY_AGAIN_LATER, error.message
    if isinstance(error, ConnectionError | TimeoutError):
        return 0, ""
    log.error("a WebSocket broke", exc_info=error)
    return WSCloseCode.INTERNAL_ERROR, "something went wrong here; the server's log tells more"


async def _say_good_bye(request: web.Request, answer: web.WebSocketResponse, code: int, reason: str) -> None:
    if code:
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(1.0):
                await answer.close(code=code, message=reason.encode()[:120], drain=False)
                return
    if request.transport is not None:
        request.transport.abort()
