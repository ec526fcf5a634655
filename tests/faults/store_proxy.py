"""
Stands between a server and an object store, and spoils what they say to each other.

    with store_proxy.opened(store.address) as proxy:
        endpoint = proxy.host          # what a flow names; signatures hold, for the Host header is passed on as it came
        proxy.now(store_proxy.hangs_up)
        proxy.now(store_proxy.works)   # whoever was kept waiting is hung up on

A mood is what becomes of one request. `proxy.asked` has every request that came, `proxy.until` waits for one.
"""

import asyncio
import io
import random
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress

import aiohttp
from aiohttp import web
from yarl import URL

Mood = Callable[["Proxy", web.BaseRequest], Awaitable[web.StreamResponse]]

PIECE_SECONDS = 0.1
"""How often something passes where it is slow."""

_HOP = frozenset({"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"})


class Proxy:
    """One port before the store's."""

    def __init__(self, target: str) -> None:
        self.target = target
        """Host and port of the store; a test may have another one take its place."""
        self.host = ""
        self.asked: list[tuple[str, str, str]] = []
        """Method, path, and what it was done to: the mood's name."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self._mood: Mood = works
        self._changed = asyncio.Event()
        self._heard = threading.Condition()
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None, handler_cancellation=True), shutdown_timeout=0.1
        )
        self._session: aiohttp.ClientSession | None = None
        self._site: web.TCPSite | None = None

    # ── For tests, from their own thread ─────────────────────────────────────────────────────────────────────────

    def now(self, mood: Mood) -> None:
        """From now on; returns when it is so."""
        self._done(self._change(mood))

    def refuse(self) -> None:
        """Nobody listens any more, and open connections are cut."""
        self._done(self._stop())

    def listen(self) -> None:
        """After `refuse`: on the same port again, and works."""
        self._done(self._listen())

    async def until(self, wanted: Callable[[str, str, str], bool], *, seconds: float = 60) -> None:
        """A request that is wanted came, now or earlier."""

        def wait() -> bool:
            with self._heard:
                return self._heard.wait_for(lambda: any(wanted(*each) for each in self.asked), seconds)

        assert await asyncio.to_thread(wait), self.asked[-20:]

    def _done(self, work: "Awaitable[None]") -> None:
        async def done() -> None:
            await work

        assert self.loop is not None
        future: Future[None] = asyncio.run_coroutine_threadsafe(done(), self.loop)
        future.result(30)

    # ── In its thread ────────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self) -> None:
        """Listens on a port of its own."""
        self.loop = asyncio.get_running_loop()
        # Each connection ends with its request: none is left half written when this ends.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        await self._runner.setup()
        await self._listen()

    async def end(self) -> None:
        """Hangs up on everybody."""
        self._changed.set()
        assert self._site is not None
        with suppress(RuntimeError):  # nobody listens: a test had it so
            await self._site.stop()
        await self._turns()  # whoever was let in last is among the connections after that
        self._cut()
        assert self._session is not None
        await self._session.close()
        await self._turns()  # a transport that was cut is closed one turn later
        self._cut()
        await self._runner.cleanup()
        await self._turns()

    async def _turns(self) -> None:
        """What is under way in the loop has come to its end: a connection takes some turns to be let in."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def _listen(self) -> None:
        await self._change(works)
        self._site = web.TCPSite(self._runner, "127.0.0.1", int(self.host.rpartition(":")[2] or 0), reuse_address=True)
        await self._site.start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        assert self._site is not None
        await self._site.stop()
        await self._change(hangs_up)
        self._cut()

    def _cut(self) -> None:
        """Not closed: that would wait for whoever does not read, and leave a transport open when this loop ends."""
        for connection in list(self._runner.server.connections if self._runner.server is not None else ()):
            if connection.transport is not None:
                connection.transport.abort()

    async def _change(self, mood: Mood) -> None:
        self._mood = mood
        self._changed.set()
        self._changed = asyncio.Event()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        mood = self._mood
        with self._heard:
            self.asked.append((request.method, request.path, mood.__name__))
            self._heard.notify_all()
        return await mood(self, request)

    async def pass_on(
        self,
        request: web.BaseRequest,
        *,
        sent: Callable[[bytes], bytes] = lambda body: body,
        got: Callable[[bytes], bytes] = lambda body: body,
        without: str = "",
    ) -> web.Response:
        """Asks the store; bodies are what `sent` and `got` make of them, headers `without` those that begin so."""
        body = sent(await request.content.read())
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = URL(f"http://{self.target}{request.raw_path}", encoded=True)
        assert self._session is not None
        try:
            async with self._session.request(
                request.method,
                url,
                data=io.BytesIO(body) if body else None,
                headers=headers,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            ) as answer:
                return _answer(request, answer, got(await answer.read()), without)
        except aiohttp.ClientError:
            return await hangs_up(self, request)

    async def change(self) -> None:
        """Returns when the mood is another."""
        await self._changed.wait()


def _answer(request: web.BaseRequest, answer: aiohttp.ClientResponse, body: bytes, without: str) -> web.Response:
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name.lower() not in _HOP and not (without and name.lower().startswith(without))
    }
    if request.method == "HEAD":
        headers["Content-Length"] = answer.headers.get("Content-Length", "0")
        return web.Response(status=answer.status, headers=headers)
    return web.Response(status=answer.status, headers=headers, body=body)


# ── Moods ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def works(proxy: Proxy, request: web.BaseRequest) -> web.Response:
    """As if it were not there."""
    return await proxy.pass_on(request)


async def hangs(proxy: Proxy, request: web.BaseRequest) -> web.Response:
    """Not a word, until the mood changes."""
    await proxy.change()
    return await hangs_up(proxy, request)


async def hangs_up(proxy: Proxy, request: web.BaseRequest) -> web.Response:
    """Cuts the connection."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def slows_down(proxy: Proxy, request: web.BaseRequest) -> web.Response:
    """What S3 says when it has too much to do."""
    return _error(503, "SlowDown")


def fails_sometimes(seed: str, share: float) -> Mood:
    """That share of all requests fails, in one of many ways; some only after they were done."""
    chance = random.Random(seed)

    async def fails(proxy: Proxy, request: web.BaseRequest) -> web.Response:
        if chance.random() >= share:
            return await proxy.pass_on(request)
        what = chance.choice(("500", "502", "503", "504", "cut", "done and cut"))
        if what == "done and cut":
            await proxy.pass_on(request)
        return await hangs_up(proxy, request) if "cut" in what else _error(int(what), "InternalError")

    return fails


def is_late(seconds: float) -> Mood:
    """The first request of each method waits so long."""
    waited: set[str] = set()

    async def late(proxy: Proxy, request: web.BaseRequest) -> web.Response:
        if request.method not in waited:
            waited.add(request.method)
            with suppress(TimeoutError):
                await asyncio.wait_for(proxy.change(), seconds)
        return await proxy.pass_on(request)

    return late


def trickles(bytes_a_second: int) -> Mood:
    """Objects come and go so slowly."""
    size = int(bytes_a_second * PIECE_SECONDS)

    async def trickle(proxy: Proxy, request: web.BaseRequest) -> web.StreamResponse:
        for _ in range(int(request.headers.get("Content-Length", "0")) // size):
            with suppress(TimeoutError):
                await asyncio.wait_for(proxy.change(), PIECE_SECONDS)
        answer = await proxy.pass_on(request)
        body = answer.body
        if request.method != "GET" or not isinstance(body, bytes):
            return answer
        slow = web.StreamResponse(status=answer.status, headers=answer.headers)
        slow.content_length = len(body)
        await slow.prepare(request)
        for start in range(0, len(body), size):
            await slow.write(body[start : start + size])
            with suppress(TimeoutError):
                await asyncio.wait_for(proxy.change(), PIECE_SECONDS)
        return slow

    return trickle


def loses(method: str, *, times: int = 1_000_000, into: str = "/") -> Mood:
    """Says that it was done, of objects whose path holds `into`, and does nothing; so many times."""
    left = [times]

    async def lose(proxy: Proxy, request: web.BaseRequest) -> web.Response:
        if request.method != method or into not in request.path or left[0] == 0:
            return await proxy.pass_on(request)
        left[0] -= 1
        await request.content.read()
        return web.Response(headers={"ETag": '"0123456789abcdef0123456789abcdef"'})

    return lose


def spoils(
    method: str, spoil: Callable[[bytes], bytes], *, times: int = 1_000_000, into: str = "/", without: str = ""
) -> Mood:
    """Other bytes go to the store (PUT) or come from it (GET), and the rest is as it should be; so many times."""
    left = [times]

    async def spoiled(proxy: Proxy, request: web.BaseRequest) -> web.Response:
        if request.method != method or into not in request.path or left[0] == 0:
            return await proxy.pass_on(request, without=without)
        left[0] -= 1
        either: Mapping[str, Callable[[bytes], bytes]] = {"sent" if method == "PUT" else "got": spoil}
        return await proxy.pass_on(request, without=without, **either)

    return spoiled


def refuses_part(number: int) -> Mood:
    """One part of an upload is refused, the others are taken."""

    async def refuse(proxy: Proxy, request: web.BaseRequest) -> web.Response:
        if request.query.get("partNumber") != str(number):
            return await proxy.pass_on(request)
        await request.content.read()
        return _error(400, "InvalidArgument")

    return refuse


def _error(status: int, code: str) -> web.Response:
    document = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'
    return web.Response(status=status, text=document, content_type="application/xml")


@contextmanager
def opened(target: str) -> Iterator[Proxy]:
    """A proxy before the store at this host and port, in a thread of its own."""
    ready = threading.Event()
    made: list[Proxy] = []
    over: list[asyncio.Event] = []

    async def run() -> None:
        proxy, end = Proxy(target), asyncio.Event()
        await proxy.begin()
        made.append(proxy)
        over.append(end)
        ready.set()
        await end.wait()
        await proxy.end()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="store proxy")
    thread.start()
    assert ready.wait(20)
    try:
        yield made[0]
    finally:
        assert made[0].loop is not None
        made[0].loop.call_soon_threadsafe(over[0].set)
        thread.join()
