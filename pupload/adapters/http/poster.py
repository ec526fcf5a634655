"""
POSTs a message to a receiver whose URL a stranger may have written, or GETs what one has to say.

A receiver gets one connection, one request and a few seconds; of its answer the status counts. No redirect is followed
and no proxy of the environment asked, so that the address that was judged is the one that gets the message.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp

from pupload.domain.delivery import Reply
from pupload.ports import Fetched

ANSWER_BYTES = 64 * 1024
"""So much of an answer is read, so that a receiver need not notice that nobody wants it; what follows is cut off."""

_LINE_BYTES = 8190

AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


class Guard(Protocol):
    """Knows which addresses receivers may be at."""

    def open_socket(self, info: AddrInfo) -> socket.socket:
        """A socket for this address, not connected yet. Raises `PermissionError`."""


class HttpPoster:
    """`ports.Poster` and `ports.Fetcher` by HTTP. Made and used on one event loop."""

    def __init__(self, *, guard: Guard, trusted: Guard) -> None:
        """`guard` is for receivers that flows name, `trusted` for the operator's own."""
        self._guards = {False: guard, True: trusted}
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, trusted: bool, timeout_seconds: float
    ) -> Reply:
        """See `ports.Poster.post`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._post(self._session(trusted), url, headers, body)
        except TimeoutError:
            return Reply(error=f"there was no whole answer within {timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Reply(error=_reason(error))

    async def fetch(self, url: str, *, headers: Mapping[str, str], timeout_seconds: float, most_bytes: int) -> Fetched:
        """See `ports.Fetcher.fetch`."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await _fetch(self._session(trusted=False), url, headers, most_bytes)
        except TimeoutError:
            return Fetched(error=f"there was no whole answer within {timeout_seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Fetched(error=_reason(error))

    async def close(self) -> None:
        """See `ports.Poster.close`."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _post(self, session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        async with session.post(url, headers=headers, data=body, allow_redirects=False) as response:
            retry_after = response.headers.get("Retry-After", "")
            if response.ok:
                await _read_some(response)
            return Reply(status=response.status, retry_after=retry_after)

    def _session(self, trusted: bool) -> aiohttp.ClientSession:
        if trusted not in self._sessions:
            # No connection is kept: the next message's address is to be looked up and judged anew.
            connector = aiohttp.TCPConnector(
                limit=0, force_close=True, use_dns_cache=False, socket_factory=self._guards[trusted].open_socket
            )
            self._sessions[trusted] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                trust_env=False,
                max_line_size=_LINE_BYTES,
                max_field_size=_LINE_BYTES,
            )
        return self._sessions[trusted]


async def _fetch(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], most_bytes: int) -> Fetched:
    async with session.get(url, headers=headers, allow_redirects=False) as response:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > most_bytes:
                return Fetched(error=f"its answer is longer than {most_bytes} bytes")
        return Fetched(status=response.status, body=bytes(body))


async def _read_some(response: aiohttp.ClientResponse) -> None:
    left = ANSWER_BYTES
    async for piece in response.content.iter_any():
        left -= len(piece)
        if left <= 0:
            return


def _reason(error: Exception) -> str:
    """Why there was no answer, without the URL and without the address: who gave the name may not know that."""
    if _is_refusal(error):
        return "the server may not be sent to its address; the operator's `callback_private_endpoints` decides"
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its host's name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not valid for this host"
        case aiohttp.ClientSSLError():
            return "it does not speak TLS as it should"
        case aiohttp.ClientConnectorError():
            return f"it cannot be connected to: {_errno(error.os_error)}"
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return "it hung up without an answer"
        case aiohttp.InvalidURL() | ValueError():
            return "its URL cannot be used"
        case _:
            return "its answer is no HTTP"


def _errno(error: OSError) -> str:
    """The system's own words: the library's name the address."""
    return os.strerror(error.errno).lower() if error.errno else "none of its addresses answers"


def _is_refusal(error: BaseException | None) -> bool:
    """Whether a guard said no: what it raised may have been wrapped more than once."""
    while error is not None:
        if isinstance(error, PermissionError) or isinstance(getattr(error, "os_error", None), PermissionError):
            return True
        error = error.__cause__ or error.__context__
    return False
