"""A small S3 that does wrong what it is told to do wrong, and remembers what it was asked."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from pupload.adapters.s3 import client, places, signing
from pupload.adapters.system import clock

KEYS = signing.Credentials("AKIDTEST", "a-secret-that-must-not-show")

_MODIFIED = "Wed, 04 Mar 2026 05:06:07 GMT"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Faulty:
    """Answers requests with `answers`, one after the other; the last one for all that follow."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = deque(answers)
        self.asked: list[Asked] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        body = b"" if answer in _UNREAD else await request.read()
        asked = Asked(request.method, request.path, request.query_string, dict(request.headers), body)
        self.asked.append(asked)
        return await answer(request)

    @property
    def methods(self) -> list[str]:
        return [asked.method for asked in self.asked]


class QuickClock(clock.SystemClock):
    """The machine's time, but nobody waits: pauses are written down."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.later = timedelta(0)

    def monotonic(self) -> float:
        return super().monotonic() + self.later.total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Scene:
    server: Faulty
    store: client.S3Store
    clock: QuickClock


@asynccontextmanager
async def scene(*answers: Answer, patience_seconds: float = 5, part_bytes: int = 5 << 20) -> AsyncIterator[Scene]:
    """A store on a server that gives these answers."""
    server = Faulty(*answers)
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", server.handle)
    quick = QuickClock()
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        store = client.S3Store(
            name="faulty",
            endpoint=places.Endpoint("http", f"127.0.0.1:{runner.addresses[0][1]}"),
            bucket="bucket",
            credentials=KEYS,
            clock=quick,
            patience_seconds=patience_seconds,
            single_put_limit=8 << 20,
            part_bytes=part_bytes,
            copy_part_bytes=5 << 20,
        )
        try:
            yield Scene(server, store, quick)
        finally:
            await store.close()
    finally:
        await runner.cleanup()


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def says(status: int, body: bytes | str = b"", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            status=status,
            body=body.encode() if isinstance(body, str) else body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return answer


def error(status: int, code: str, message: str = "because") -> Answer:
    document = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return says(status, document, Content_Type="application/xml")


def head(size: int, etag: str = '"e"', **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"ETag": etag, "Last-Modified": _MODIFIED, **headers})
        response.content_length = size
        await response.prepare(request)
        return response

    return answer


def breaks_off(body: bytes, after: int, etag: str = '"e"', status: int = 200) -> Answer:
    """Promises the whole body and hangs up in the middle of it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"ETag": etag, "Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[:after])
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Closes the connection without a word."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def is_silent(_: web.Request) -> web.StreamResponse:
    """Never answers; ends when the caller has gone."""
    await asyncio.Event().wait()
    raise AssertionError


def in_turn(choose: Callable[[web.Request], Answer]) -> Answer:
    """An answer that depends on what is asked."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await choose(request)(request)

    return answer


_UNREAD: frozenset[Answer] = frozenset({hangs_up})
