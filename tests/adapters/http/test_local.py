"""Questions over a local socket: to a real server, and to ones that answer in every odd way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from pupload.adapters.http import local

SOON = 20

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(path: Path, serve: Serve) -> AsyncIterator[local.Connections]:
    """Connections to a socket at which every connection is served so."""

    async def one(down: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            await serve(down, back)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # it was hung up on
        finally:
            back.close()

    server = await asyncio.start_unix_server(one, path)
    connections = local.Connections(path)
    try:
        async with asyncio.timeout(SOON):
            yield connections
    finally:
        connections.close()
        server.close()
        await server.wait_closed()


def saying(*pieces: bytes, then: str = "hang up") -> Serve:
    async def serve(down: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        await down.readuntil(b"\r\n\r\n")
        for piece in pieces:
            back.write(piece)
            await back.drain()
            await asyncio.sleep(0)
        if then == "wait":
            await down.read()

    return serve


async def asked(folder: Path, *pieces: bytes, then: str = "hang up") -> local.Answer:
    async with served(folder / "s", saying(*pieces, then=then)) as connections:
        return await connections.ask("GET", "/")


# ── A real server ────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def a_server(path: Path, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[None]:
    application = web.Application(client_max_size=1 << 24)
    application.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def test_questions_come_as_they_were_asked_and_on_one_connection(tmp_path: Path) -> None:
    transports, told = set[int](), []

    async def echo(request: web.Request) -> web.StreamResponse:
        transports.add(id(request.transport))
        told.append((request.method, request.raw_path, request.headers.get("X-Mine"), await request.read()))
        return web.Response(status=201, body=b"x" * 300_000)

    async with a_server(tmp_path / "s", echo):
        connections = local.Connections(tmp_path / "s")
        for _ in range(3):
            got = await connections.ask("POST", "/a%2Fb?c=d", body=b"y" * 70_000, headers={"X-Mine": "1"})
            assert (got.status, got.reason, got.body) == (201, "Created", b"x" * 300_000)
        await connections.ask("DELETE", "/z")
        connections.close()
    assert told == [("POST", "/a%2Fb?c=d", "1", b"y" * 70_000)] * 3 + [("DELETE", "/z", None, b"")]
    assert len(transports) == 1


async def test_questions_at_a_time_each_get_their_own_answer(tmp_path: Path) -> None:
    all_there, there = asyncio.Event(), 0

    async def echo(request: web.Request) -> web.StreamResponse:
        nonlocal there
        there += 1
        if there == 20:
            all_there.set()
        await all_there.wait()
        response = web.StreamResponse()  # in chunks
        await response.prepare(request)
        for letter in request.path:
            await response.write(letter.encode() * 1000)
        return response

    async with a_server(tmp_path / "s", echo), asyncio.timeout(SOON):
        connections = local.Connections(tmp_path / "s")
        answers = await asyncio.gather(*(connections.ask("GET", f"/{n}") for n in range(20)))
        connections.close()
    assert [got.body for got in answers] == [b"".join(s.encode() * 1000 for s in f"/{n}") for n in range(20)]


async def test_nobody_there_is_an_error_and_somebody_later_is_found(tmp_path: Path) -> None:
    async def yes(request: web.Request) -> web.StreamResponse:
        return web.Response()

    connections = local.Connections(tmp_path / "s")
    with pytest.raises(FileNotFoundError):
        await connections.ask("GET", "/")
    for _ in range(2):  # also one that was started again in between
        async with a_server(tmp_path / "s", yes):
            assert (await connections.ask("GET", "/")).status == 200
    connections.close()


# ── Odd ones ─────────────────────────────────────────────────────────────────────────────────────────────────────

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", b""),
        (CHUNKED + b"2\r\nab\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", b"ab0123456789"),
        (CHUNKED + b"1\r\na\r\n0\r\nTrailer: yes\r\n\r\n", b"a"),
    ],
)
@given(cuts=st.lists(st.integers(0, 120), max_size=8))
def test_an_answer_is_read_in_whatever_pieces_it_comes(said: bytes, body: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]
    pieces = [said[start:end] for start, end in pairwise(places) if end > start]
    with TemporaryDirectory() as folder:
        assert asyncio.run(asked(Path(folder), *pieces, then="wait")).body == body


async def test_an_answer_without_a_length_ends_with_its_connection(tmp_path: Path) -> None:
    assert (await asked(tmp_path, b"HTTP/1.0 200 OK\r\n\r\n", b"abc", b"def")).body == b"abcdef"


@pytest.mark.parametrize(
    "said",
    [
        b"220 smtp ready\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
        CHUNKED + b"1\r\nabc\r\n",
        CHUNKED + b"0\r\n\r\nmore",
        CHUNKED + b"1" * (local.HEAD_BYTES + 1),
        b"x" * (local.HEAD_BYTES + 1),
    ],
    ids=range(15),
)
async def test_what_is_no_answer_is_an_error_at_once(tmp_path: Path, said: bytes) -> None:
    with pytest.raises(local.Garbled):
        await asked(tmp_path, said, then="wait")


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", CHUNKED + b"5\r\nab"]
)
async def test_half_an_answer_is_none(tmp_path: Path, said: bytes) -> None:
    with pytest.raises(local.Garbled, match="broke off"):
        await asked(tmp_path, said)


async def test_who_hangs_up_has_not_answered(tmp_path: Path) -> None:
    with pytest.raises(local.HungUp):
        await asked(tmp_path)


async def test_what_was_asked_in_vain_leaves_no_answer_for_the_next(tmp_path: Path) -> None:
    later, connected = asyncio.Event(), 0

    async def serve(down: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        number = connected
        while await down.readuntil(b"\r\n\r\n"):
            if number == 1:
                await later.wait()
            back.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)

    async with served(tmp_path / "s", serve) as connections:
        asking = asyncio.create_task(connections.ask("GET", "/"))
        while not connected:  # noqa: ASYNC110 - the server is ours, and nobody tells
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        later.set()
        assert [(await connections.ask("GET", "/")).body for _ in range(2)] == [b"2", b"2"]


async def test_a_connection_that_says_it_closes_is_not_used_again(tmp_path: Path) -> None:
    connected = 0

    async def serve(down: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        await down.readuntil(b"\r\n\r\n")
        back.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        await down.read()

    async with served(tmp_path / "s", serve) as connections:
        for _ in range(2):
            await connections.ask("GET", "/")
    assert connected == 2


async def test_closing_tells_those_who_wait(tmp_path: Path) -> None:
    async with served(tmp_path / "s", saying(then="wait")) as connections:
        asking = asyncio.create_task(connections.ask("GET", "/"))
        while not connections._busy:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        connections.close()
        with pytest.raises(local.HungUp):
            await asking


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/ä", "/\0"])
async def test_nothing_is_asked_that_would_be_read_as_another_question(tmp_path: Path, target: str) -> None:
    with pytest.raises(ValueError, match="read as another"):
        await local.Connections(tmp_path / "s").ask("GET", target)
