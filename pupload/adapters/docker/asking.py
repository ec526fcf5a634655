"""
Asking the engine what every container needs: HTTP on its socket, in the event loop.

A call costs a small part of what the SDK takes, and no thread. The rules are those of `calls`: questions that are
answered at once never queue behind work that the engine needs time for, every call has a time limit, and an engine that
accepts and never answers costs one time limit and not one per call. Each of our calls may be repeated, and is, once,
when the engine closed the connection on which it went.

An engine behind a socket on this machine is asked by `http.local`; others, and whatever takes its time (`streams`), by
aiohttp.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from pupload.adapters.docker import calls
from pupload.adapters.http import local

_T = TypeVar("_T")

_QUICK = 8
"""Questions on their way at a time: an engine answers them from memory, one after the other."""

_STARTS = 4
"""
Starts on their way at a time, for each processor. Measured on two: 4 in all give 10 to 13 containers a second, 8 give
13 to 14, and 16 no more than 8, only that each takes twice as long, and with it the first to be done.
"""

_FAILED = 400


class _Version(msgspec.Struct):
    ApiVersion: str = ""


class _Saying(msgspec.Struct):
    message: str = ""


class Asking:
    """Calls to the engine that `calls.Calls` talks to, and connections to it."""

    def __init__(self, asks: calls.Calls, *, pool_size: int, quick_seconds: float, slow_seconds: float) -> None:
        self._calls = asks
        self._quick_seconds = quick_seconds
        self._slow_seconds = slow_seconds
        self._quick = asyncio.Semaphore(_QUICK)
        self._slow = asyncio.Semaphore(pool_size)
        self._starts = asyncio.Semaphore(min(_STARTS * (os.cpu_count() or 1), pool_size))
        self._session: aiohttp.ClientSession | None = None
        self._local: local.Connections | None = None
        self._version = ""
        self._closed = False

    async def quick(self, method: str, path: str, *, into: type[_T]) -> _T:
        """
        The answer to a question that the engine answers at once.

        Raises `calls.Refusal` when the engine says no, `errors.ExecutorUnavailable` otherwise.
        """
        return self._read(await self._within(self._quick, self._quick_seconds, method, path), into)

    async def slow(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None) -> bytes:
        """The same for work that may take the engine long: create, remove. Returns the answer as it is."""
        return await self._within(self._slow, self._slow_seconds, method, path, query, body)

    async def start(self, path: str) -> None:
        """The same for starting a container."""
        await self._within(self._starts, self._slow_seconds, "POST", path)

    async def version(self) -> str:
        """The newest version of its interface that the engine knows."""
        return self._version or await self._settle_version(self._calls.now())

    # ── One call ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _within(
        self,
        room: asyncio.Semaphore,
        seconds: float,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> bytes:
        asked_at = self._calls.now()
        data = None if body is None else msgspec.json.encode(body)
        async with room:
            version = self._version or await self._settle_version(asked_at)
            return await self._repeated(asked_at, seconds, method, f"/v{version}{path}", query, data)

    async def _settle_version(self, asked_at: float) -> str:
        answer = await self._repeated(asked_at, self._quick_seconds, "GET", "/version", None, None)
        self._version = self._read(answer, _Version).ApiVersion
        return self._version

    async def _repeated(
        self,
        asked_at: float,
        seconds: float,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        data: bytes | None,
    ) -> bytes:
        self._calls.give_up_if_silent_since(asked_at)
        try:
            async with asyncio.timeout(seconds):
                try:
                    return await self._answer(method, path, query, data)
                except (aiohttp.ClientConnectionError, ConnectionError, FileNotFoundError):
                    return await self._answer(method, path, query, data)
        except TimeoutError:
            raise self._calls.silent(seconds) from None
        except (aiohttp.ClientError, OSError) as error:
            self._version = ""  # should it come back as another
            raise self._calls.unavailable(calls.told(error)) from error

    async def _answer(self, method: str, path: str, query: Mapping[str, str] | None, data: bytes | None) -> bytes:
        headers = _JSON if data is not None else None
        if (socket := self._socket) is not None:
            target = f"{quote(path, safe=_PLAIN)}?{urlencode(query)}" if query else quote(path, safe=_PLAIN)
            told = await self._nearby(socket).ask(method, target, body=data, headers=headers)
            if told.status >= _FAILED:
                raise self.refusal(told.status, told.body, told.reason)
            return told.body
        asked = self.session().request(method, path, params=query, data=data, headers=headers, allow_redirects=False)
        async with asked as answer:
            said = await answer.read()
            if answer.status >= _FAILED:
                raise self.refusal(answer.status, said, answer.reason)
            return said

    def refusal(self, status: int, said: bytes, reason: str | None) -> calls.Refusal:
        """The engine's no, in its own words."""
        try:
            message = msgspec.json.decode(said, type=_Saying).message
        except msgspec.DecodeError:
            message = ""
        return calls.Refusal(host=self._calls.host, status=status, reason=message.strip() or reason or "")

    def _read(self, said: bytes, into: type[_T]) -> _T:
        try:
            return msgspec.json.decode(said, type=into)
        except msgspec.DecodeError as error:
            raise self._calls.unavailable("its answer makes no sense") from error

    # ── Connections ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _socket(self) -> str | None:
        """The engine's, where it is on this machine."""
        scheme, _, rest = self._calls.host.partition("://")
        return "/" + rest.lstrip("/") if scheme in ("unix", "http+unix") else None

    def _nearby(self, socket: str) -> local.Connections:
        if self._closed:
            raise self._calls.unavailable("the executor is closed")
        if self._local is None:
            self._local = local.Connections(socket)
        return self._local

    def session(self) -> aiohttp.ClientSession:
        """Of connections to the engine; their number is bounded by who asks. Raises `errors.ExecutorUnavailable`."""
        if self._closed:
            raise self._calls.unavailable("the executor is closed")
        if self._session is None:
            base, connector = self._connector()
            self._session = aiohttp.ClientSession(
                base,
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _connector(self) -> tuple[str, aiohttp.BaseConnector]:
        if (socket := self._socket) is not None:
            return "http://engine", aiohttp.UnixConnector(socket, limit=0)
        scheme, _, rest = self._calls.host.partition("://")
        if scheme not in ("tcp", "http", "https"):
            raise self._calls.unavailable(f"hosts of the kind {scheme}:// are not supported; use unix:// or tcp://")
        secure = _secure(self._calls.tls)
        if secure is None and scheme != "https":
            return f"http://{rest}", aiohttp.TCPConnector(limit=0)
        return f"https://{rest}", aiohttp.TCPConnector(limit=0, ssl=secure or True)

    async def close(self) -> None:
        """Gives up every connection."""
        self._closed = True
        if self._local is not None:
            self._local.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()


_JSON = {"Content-Type": "application/json"}

_PLAIN = "/%:@!$&'()*+,;=~"
"""What a path holds as it is; what is quoted in it already stays so."""


def _secure(tls: Any) -> ssl.SSLContext | None:
    """The SDK's TLS settings, for asyncio."""
    if not tls:
        return None
    context = ssl.create_default_context(cafile=tls.ca_cert or None)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert:
        context.load_cert_chain(*tls.cert)
    return context
