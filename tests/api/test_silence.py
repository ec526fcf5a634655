"""Clients that neither speak nor listen are let go, and what they held with them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from pupload.api import streams
from pupload.api import web as shared
from pupload.api.app import make_runner

SOON = 0.1


@asynccontextmanager
async def listening(app: web.Application, *, idle_seconds: float = 60.0) -> AsyncIterator[tuple[Any, int]]:
    """The application as the server runs it; gives what runs it, and its port."""
    runner = make_runner(app, shutdown_seconds=0, idle_seconds=idle_seconds)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner, runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Never: "], ids=["none", "half a head"])
@pytest.mark.parametrize("drop", [b"", b"x"], ids=["silent", "byte by byte"])
async def test_a_head_that_never_ends_is_not_waited_for(beginning: bytes, drop: bytes) -> None:
    async with listening(web.Application(), idle_seconds=SOON) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning)
        dripping = asyncio.ensure_future(_drip(writer, drop if beginning else b""))
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        dripping.cancel()
        writer.close()


async def _drip(writer: asyncio.StreamWriter, drop: bytes) -> None:
    while drop:
        writer.write(drop)
        await asyncio.sleep(SOON / 10)


@pytest.mark.parametrize("kind", ["events", "listing"])
async def test_a_reader_that_stalls_is_let_go(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STALLED_SECONDS", SOON)
    closed, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[Sequence[bytes]]:
        try:
            while True:
                yield [b"1" * 65536] * 4
                await asyncio.sleep(0)
        finally:
            closed.set()

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            if kind == "events":
                return await streams.events(request, endless(), write=bytes)
            return await streams.listing(request, endless(), opening=b"[", write=bytes, closing=lambda _: b"]")
        finally:
            ended.set()

    app = web.Application()
    app[shared.SERVER] = shared.Server(version="1", body_seconds=1, heartbeat_seconds=1)
    app.router.add_get("/", answer)
    async with listening(app) as (runner, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await closed.wait()  # what it read from was given up
        await ended.wait()
        # Nor is the connection kept, though nobody reads its end.
        while runner.server.connections:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0)
        writer.close()
