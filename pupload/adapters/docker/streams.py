"""
Answers of the engine that take their time: logs and pulls.

They are read in the event loop, not through the SDK: a hundred live logs then need no hundred threads, a slow reader
slows the engine's sending and nothing piles up in between, and each can be given up at any moment.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from pupload.adapters.docker import calls


class Streams:
    """One HTTP connection per stream, to the engine that `Calls` talks to."""

    def __init__(self, asks: calls.Calls, *, answer_seconds: float) -> None:
        self._calls = asks
        self._answer_seconds = answer_seconds
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(
        self, method: str, path: str, *, query: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """
        The body of the answer, as it comes.

        Raises `calls.Refusal` when the engine says no, and `errors.ExecutorUnavailable` when it does not answer or the
        connection breaks, also while the body is read.
        """
        version = await self._calls.quick(lambda client: str(client.api_version))
        try:
            async with asyncio.timeout(self._answer_seconds) as limit:
                async with self._connected().request(
                    method, f"/v{version}{path}", params=query, headers=headers
                ) as answer:
                    if answer.status >= 400:
                        raise await self._refusal(answer)
                    limit.reschedule(None)
                    yield answer.content
        except TimeoutError:
            raise self._calls.unavailable(f"no answer within {self._answer_seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._calls.unavailable(str(error) or type(error).__name__) from error

    async def _refusal(self, answer: aiohttp.ClientResponse) -> calls.Refusal:
        try:
            reason = str((await answer.json())["message"])
        except (ValueError, KeyError, TypeError, aiohttp.ContentTypeError):
            reason = answer.reason or ""
        return calls.Refusal(host=self._calls.host, status=answer.status, reason=reason)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            base, connector = self._connector()
            self._session = aiohttp.ClientSession(
                base, connector=connector, timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
            )
        return self._session

    def _connector(self) -> tuple[str, aiohttp.BaseConnector]:
        scheme, _, rest = self._calls.host.partition("://")
        if scheme in ("unix", "http+unix"):
            return "http://engine", aiohttp.UnixConnector("/" + rest.lstrip("/"), limit=0)
        if scheme not in ("tcp", "http", "https"):
            raise self._calls.unavailable(f"hosts of the kind {scheme}:// are not supported; use unix:// or tcp://")
        secure = _secure(self._calls.tls)
        if secure is None and scheme != "https":
            return f"http://{rest}", aiohttp.TCPConnector(limit=0)
        return f"https://{rest}", aiohttp.TCPConnector(limit=0, ssl=secure or True)

    async def close(self) -> None:
        """Gives up every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


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
