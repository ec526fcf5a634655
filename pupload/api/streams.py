"""
Answers that go on while a run does: server-sent events, and long lists in pieces.

A stream asks for the next batch only when the last was taken by the client, so a slow reader costs one batch of
memory; one that takes nothing for a minute is let go. Where it was is in the `id` of every event, and in the caller's
`Last-Event-ID` when it comes back.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import access
from pupload.api import web as shared

T = TypeVar("T")

HELLO = b": hello\n\n"
"""What comes first, unless something else is to be said."""

STALLED_SECONDS = 60.0
"""A client that takes nothing for so long is gone."""

_PIECE_BYTES = 64 * 1024

_log = logging.getLogger(__name__)

_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def frame(kind: str, data: bytes, *, cursor: int | None = None) -> bytes:
    """One server-sent event. The data is JSON, so it has no line ends."""
    where = b"" if cursor is None else b"id: %d\n" % cursor
    return b"%sevent: %s\ndata: %s\n\n" % (where, kind.encode(), data)


async def _nothing() -> bytes:
    return b""


async def events(
    request: web.Request,
    batches: AsyncIterator[Sequence[T]],
    *,
    write: Callable[[T], bytes],
    ending: Callable[[], Awaitable[bytes]] = _nothing,
    hello: bytes = HELLO,
    alive: Callable[[], bytes] = lambda: b": still here\n\n",
) -> web.StreamResponse:
    """
    Sends every item of the batches as `write` frames it, then what `ending` gives.

    `hello` comes first, and what `alive` gives whenever there was nothing for a while. Ends early when the client is
    gone or the server goes down.
    """
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    if request.method == "HEAD":
        await _close(batches)
        return response
    try:
        await _write(response, hello)
        async for batch in _with_heartbeats(request, response, batches, alive):
            for piece in _pieces(batch, write):
                await _write(response, piece)
        if not request.app[shared.SERVER].closing.is_set():
            await _write(response, await ending())
    except (ConnectionError, TimeoutError):
        _log.debug("a stream's client is gone")
        _hang_up(request)
    except errors.PuploadError as error:
        _log.warning("a stream ended early: %s", error.message)
        await _last_words(response, error.message)
    except Exception:  # noqa: BLE001 - the answer has begun: nobody above could tell the client any more
        _log.exception("a stream broke")
        await _last_words(response, "something went wrong here; the server's log tells more")
    return response


async def events_or_nothing(
    request: web.Request,
    batches: AsyncIterator[Sequence[T]],
    *,
    write: Callable[[T], bytes],
    ending: Callable[[], Awaitable[bytes]] = _nothing,
    hello: bytes = HELLO,
) -> web.StreamResponse:
    """As `events`; 204 where there is nothing to send, which tells an EventSource to come back no more."""
    first = await anext(batches, None)
    if first is None:
        return web.Response(status=204)

    async def again() -> AsyncIterator[Sequence[T]]:
        yield first
        async for batch in batches:
            yield batch

    return await events(request, again(), write=write, ending=ending, hello=hello)


async def listing(
    request: web.Request,
    batches: AsyncIterator[Sequence[T]],
    *,
    opening: bytes,
    write: Callable[[T], bytes],
    closing: Callable[[T | None], bytes],
) -> web.StreamResponse:
    """
    Sends a JSON list in pieces, between the two ends of the text around it; `closing` is given the last item.

    The first batch is taken before anything is sent, so what goes wrong at once is still answered properly.
    """
    batch = await anext(batches, None)
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    if request.method == "HEAD":
        await _close(batches)
        return response
    last: T | None = None
    try:
        await _write(response, opening)
        while batch:
            joint = b"" if last is None else b","
            await _write(response, joint + b",".join(write(item) for item in batch))
            last = batch[-1]
            batch = await anext(batches, None)
        await _write(response, closing(last))
        await response.write_eof()
    except (ConnectionError, TimeoutError):
        _log.debug("a list's client is gone")
        _hang_up(request)
    except Exception:  # noqa: BLE001 - the answer has begun: an end cut short is the only honest sign left
        _log.exception("a list broke")
        _hang_up(request)
    finally:
        await _close(batches)
    return response


async def pieces(
    request: web.Request,
    batches: AsyncIterator[Sequence[T]],
    *,
    write: Callable[[T], bytes],
    headers: Mapping[str, str],
    status: int = 200,
) -> web.StreamResponse:
    """Sends every item as `write` has it. The first batch is taken before anything is sent, as for `listing`."""
    batch = await anext(batches, None)
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    try:
        while batch and request.method != "HEAD":
            for piece in _pieces(batch, write):
                await _write(response, piece)
            batch = await anext(batches, None)
        await response.write_eof()
    except (ConnectionError, TimeoutError):
        _log.debug("a download's client is gone")
        _hang_up(request)
    except Exception:  # noqa: BLE001 - as for a list
        _log.exception("a download broke")
        _hang_up(request)
    finally:
        await _close(batches)
    return response


def _hang_up(request: web.Request) -> None:
    """Ends the connection at once: an orderly end would wait for the client to take what it does not take."""
    if request.transport is not None:
        request.transport.abort()


async def _with_heartbeats(
    request: web.Request,
    response: web.StreamResponse,
    batches: AsyncIterator[Sequence[T]],
    alive: Callable[[], bytes],
) -> AsyncIterator[Sequence[T]]:
    server = request.app[shared.SERVER]
    closing = asyncio.ensure_future(server.closing.wait())
    void = asyncio.ensure_future(access.until_void(request))
    following: asyncio.Future[Sequence[T] | None] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(_next(batches))
            awaited: set[asyncio.Future[Any]] = {following, closing, void}
            done, _ = await asyncio.wait(awaited, timeout=server.heartbeat_seconds, return_when=asyncio.FIRST_COMPLETED)
            if closing in done:
                return
            if void in done:
                raise errors.Unauthenticated
            if following not in done:
                await _write(response, alive())
                continue
            batch, following = following.result(), None
            if batch is None:
                return
            yield batch
    finally:
        closing.cancel()
        void.cancel()
        if following is not None:
            following.cancel()
            await asyncio.wait({following})
        await _close(batches)


async def _next(batches: AsyncIterator[Sequence[T]]) -> Sequence[T] | None:
    return await anext(batches, None)


async def _close(batches: AsyncIterator[Sequence[T]]) -> None:
    """Ends a generator now, so that what it holds is given up now."""
    close = getattr(batches, "aclose", None)
    if close is not None:
        await close()


def _pieces(batch: Sequence[T], write: Callable[[T], bytes]) -> Iterator[bytes]:
    """The frames of a batch, in pieces of bounded size."""
    piece: list[bytes] = []
    size = 0
    for item in batch:
        piece.append(write(item))
        size += len(piece[-1])
        if size >= _PIECE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
    if piece:
        yield b"".join(piece)


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(STALLED_SECONDS):
        await response.write(data)


async def _last_words(response: web.StreamResponse, sentence: str) -> None:
    try:
        await _write(response, frame("error", msgspec.json.encode({"error": sentence})))
    except (ConnectionError, TimeoutError):
        _log.debug("a stream's client is gone")
