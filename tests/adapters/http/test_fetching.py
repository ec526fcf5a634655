"""What somebody who is asked can do to us: little."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pupload.adapters.http.poster import HttpPoster
from pupload.adapters.system.outbound import Guard
from pupload.domain.reach import Policy
from pupload.ports import Fetched

KEY = "Bearer sk-0123456789abcdef"


@asynccontextmanager
async def answering(*said: bytes, for_ever: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server of sockets that says this to everybody; its port, and what it heard."""
    heard: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        for piece in said:
            writer.write(piece)
        if for_ever:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        over.set()
        server.close()


async def fetch(url: str, *, private: bool = True, timeout_seconds: float = 10.0, most_bytes: int = 100) -> Fetched:
    fetcher = HttpPoster(guard=Guard(Policy(private=private)), trusted=Guard(Policy(private=True)))
    try:
        return await fetcher.fetch(
            url, headers={"Authorization": KEY}, timeout_seconds=timeout_seconds, most_bytes=most_bytes
        )
    finally:
        await fetcher.close()


async def test_the_answer_is_read_and_the_headers_are_sent() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwords") as (port, heard):
        assert await fetch(f"http://127.0.0.1:{port}/v1/models") == Fetched(status=200, body=b"words")
    (head,) = heard
    assert head.startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert f"Authorization: {KEY}".encode() in head


async def test_a_redirect_is_told_and_not_followed() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (other, elsewhere):
        said = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n"
        async with answering(said.encode()) as (port, _):
            assert (await fetch(f"http://127.0.0.1:{port}/")).status == 302
        assert not elsewhere


@pytest.mark.parametrize("length", ["Content-Length: 101\r\n", ""])
async def test_a_long_answer_is_none(length: str) -> None:
    head = f"HTTP/1.1 200 OK\r\n{length}\r\n".encode()
    async with answering(head, b"x" * 101) as (port, _):
        assert await fetch(f"http://127.0.0.1:{port}/") == Fetched(error="its answer is longer than 100 bytes")


async def test_who_never_ends_is_not_waited_for() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n\r\nx", for_ever=True) as (port, _):
        found = await fetch(f"http://127.0.0.1:{port}/", timeout_seconds=0.05)
    assert found.error == "there was no whole answer within 0.05 s"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f000001"])
async def test_nobody_inside_is_asked_where_callbacks_may_not_go(host: str) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, heard):
        found = await fetch(f"http://{host}:{port}/", private=False)
    assert found.status == 0
    assert found.error
    assert not heard


async def test_no_error_tells_the_address_or_the_key() -> None:
    for url in ("http://127.0.0.1:9/secret-path", "no url", "http://"):
        error = (await fetch(url)).error
        assert error
        assert "secret-path" not in error
        assert KEY not in error
