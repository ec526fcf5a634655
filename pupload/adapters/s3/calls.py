"""
Signed requests to one bucket: sent, tried again where that can help, and answered with a value or one of our errors.

`ask` is for small answers and tries again by itself. `send` is one attempt whose answer is streamed by the caller.
Neither follows redirects (a signature holds for one host) nor decodes bodies (an object's bytes are what they are).
"""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

import aiohttp
import tenacity
from multidict import CIMultiDictProxy
from yarl import URL

from pupload import errors, ports
from pupload.adapters.s3 import errors_table, keys, places, reach, sending, signing, why, xml

CONNECT_SECONDS = 10.0
CONNECTIONS = 64
ATTEMPTS = 6
"""With the pauses between them three seconds and more: the embedded store is back by then when it had to restart."""
CHUNK_BYTES = 1 << 20
_ERROR_BYTES = 64 << 10
_UNREACHABLE = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, before it is signed."""

    method: str
    key: str | None = None
    """Decoded; None for the bucket itself."""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    source: Callable[[], AsyncIterator[bytes]] | None = None
    """Makes the body anew for every attempt, in place of `body`; its length is in `headers`."""
    patience: float = 3.0
    """How many times longer than a HEAD's a silence may last before the store counts as gone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store answered, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


def in_pieces(body: bytes) -> bytes | io.BytesIO | None:
    """The body as aiohttp likes it: a large one in one go would hold up the loop."""
    if len(body) > CHUNK_BYTES:
        return io.BytesIO(body)
    return body or None


class TryAgain(Exception):
    """An attempt failed in a way that may pass; `error` is what it comes to when it does not."""

    def __init__(self, error: errors.PuploadError) -> None:
        super().__init__(str(error))
        self.error = error


class Caller:
    """Asks one bucket. The connections are made inside the loop that first uses them, and kept."""

    def __init__(
        self,
        *,
        store: str,
        bucket: places.Bucket,
        region: str,
        credentials: keys.Keys,
        clock: ports.Clock,
        attempts: int = ATTEMPTS,
        patience_seconds: float = 20.0,
        longest_pause_seconds: float = 5.0,
        guard: reach.Guard | None = None,
    ) -> None:
        """`patience_seconds` is the silence after which a HEAD is given up; other calls have multiples of it."""
        self.store = store
        self.bucket = bucket
        self._region = region
        self._keys = credentials
        self._clock = clock
        self._attempts = attempts
        self._patience = patience_seconds
        self._longest_pause = longest_pause_seconds
        self.guard = guard
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, call: Call) -> Answer:
        """The answer, read whole. Raises the errors of `ports.ObjectStore`, after attempts enough."""

        async def attempt() -> Answer:
            response = await self.send(call)
            try:
                with self.turned(call):
                    body = await response.read()
            finally:
                response.release()
            # A copy or a completion that fails half-way says so in the body of a 200.
            if call.method in ("PUT", "POST") and xml.read_error(body) is not None:
                raise self._refusal(call, response.status, body)
            return Answer(response.status, response.headers, body)

        return await self.patiently(attempt)

    async def ask_for(self, call: Call, read: Callable[[bytes], T]) -> T:
        """What `read` makes of the answer's body. Raises as `ask`; `errors.StoreRefused` where it cannot be read."""
        answer = await self.ask(call)
        with self.reading():
            return read(answer.body)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turns the `ValueError` of an answer that is not what S3 would say."""
        try:
            yield
        except ValueError as error:
            reason = f"its answer cannot be read ({error})"
            raise errors.StoreRefused(store=self.store, code="Unreadable", reason=reason) from error

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` returns, tried again with growing pauses while it raises `TryAgain`."""
        try:
            return await attempt()
        except TryAgain as failed:
            known = [failed]

        async def attempt_again() -> T:
            # What went well at once never pays for the machinery, which costs as much as signing four requests.
            if known:
                raise known.pop()
            return await attempt()

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=tenacity.wait_exponential(multiplier=0.1, max=self._longest_pause) + tenacity.wait_random(0, 0.2),
            retry=tenacity.retry_if_exception_type(TryAgain),
            sleep=self._pause,
            reraise=True,
        )
        try:
            return await retrying(attempt_again)
        except TryAgain as failed:
            raise failed.error from failed.__cause__

    async def send(self, call: Call) -> aiohttp.ClientResponse:
        """
        One attempt; the answer's body is the caller's to read (under `turned`) and to close.

        Raises `TryAgain` where another attempt may help; else the errors of `ports.ObjectStore`.
        """
        await self._keys.ready()
        signer = self._keys.current()
        with self.turned(call):
            response = await self._request(call, signer)
            if response.status < 300:
                return response
            try:
                body = await response.content.read(_ERROR_BYTES)
            finally:
                response.release()
        refusal = self._refusal(call, response.status, body)
        if isinstance(refusal, errors.ObjectForbidden) and await self._keys.renewed(signer):
            raise TryAgain(refusal)  # they were changed meanwhile
        raise refusal

    @contextmanager
    def turned(self, call: Call) -> Iterator[None]:
        """Turns the library's errors into `TryAgain` and ours."""
        try:
            yield
        except aiohttp.ClientConnectorCertificateError as error:
            raise self.unavailable(f"its certificate is not valid: {error.certificate_error}") from error
        except aiohttp.ClientConnectorError as error:
            if self.guard is not None and isinstance(error.os_error, PermissionError):
                raise reach.refused(self.store) from error
            raise TryAgain(self.unavailable(self._tell(error, call))) from error
        except _UNREACHABLE as error:
            raise TryAgain(self.unavailable(self._tell(error, call))) from error
        except aiohttp.ClientError as error:
            raise self.unavailable(f"its answer is no HTTP ({type(error).__name__})") from error

    def path_of(self, key: str | None) -> str:
        """The decoded path. Raises `errors.StoreRefused` for a key that no object can have."""
        try:
            return self.bucket.path(key)
        except ValueError as error:
            raise errors.StoreRefused(store=self.store, code="InvalidKey", reason=str(error)) from error

    def unavailable(self, reason: str) -> errors.StoreUnavailable:
        """The error for a store that does not answer as it should."""
        return errors.StoreUnavailable(store=self.store, endpoint=str(self.bucket.endpoint), reason=reason)

    async def close(self) -> None:
        """Gives up the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _request(self, call: Call, signer: signing.Credentials) -> aiohttp.ClientResponse:
        path = self.path_of(call.key)
        payload_hash = signing.UNSIGNED_PAYLOAD if call.source is not None else sha256(call.body).hexdigest()
        headers = {**call.headers, "User-Agent": "pupload", "Accept-Encoding": "identity"}
        headers |= signing.sign(
            signer,
            method=call.method,
            host=self.bucket.host,
            path=path,
            query=call.query,
            # Its length is not signed: what is between us and the store may send it in chunks.
            headers={name: value for name, value in call.headers.items() if name != "Content-Length"},
            payload_hash=payload_hash,
            region=self._region,
            now=self._clock.now(),
        )
        url = f"{self.bucket.endpoint.scheme}://{self.bucket.host}{signing.encode_path(path)}"
        if call.query:
            url += f"?{signing.encode_query(call.query)}"
        silence = call.patience * self._patience
        limit = asyncio.timeout(None)  # begins with the body: waiting for a free connection is no silence
        body = _body(call, limit, silence)
        try:
            async with limit:
                return await self._connected().request(
                    call.method,
                    URL(url, encoded=True),
                    headers={**headers, "Host": self.bucket.host, **_length(call)},
                    data=body,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence),
                )
        except BaseException:
            if isinstance(body, sending.Watched):
                await body.stop()
            raise
        raise AssertionError("unreachable: a timeout raises")

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=reach.connector(self.guard, limit=CONNECTIONS),
                auto_decompress=False,
                skip_auto_headers=("Accept", "Content-Type"),
                read_bufsize=CHUNK_BYTES,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _refusal(self, call: Call, status: int, body: bytes) -> Exception:
        asked = errors_table.Asked(
            store=self.store, endpoint=str(self.bucket.endpoint), bucket=self.bucket.name, key=call.key or ""
        )
        refusal = errors_table.read_refusal(status, body, is_head=call.method == "HEAD")
        error = errors_table.to_error(refusal, asked)
        return TryAgain(error) if refusal.is_worth_another_try else error

    async def _pause(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def _tell(self, error: BaseException, call: Call) -> str:
        return why.no_answer(error, silence_seconds=call.patience * self._patience)


def _body(call: Call, limit: asyncio.Timeout, silence_seconds: float) -> bytes | sending.Watched | None:
    """What aiohttp sends; what cannot go in one go is watched."""
    if call.source is None and len(call.body) <= sending.AT_ONCE_BYTES:
        return call.body or None
    source = call.source or sending.pieces_of(call.body)
    return sending.Watched(source(), limit, silence_seconds=silence_seconds)


def _length(call: Call) -> dict[str, str]:
    """Told also where aiohttp cannot know it: stores refuse what comes in HTTP's own chunks."""
    return {} if call.source is not None or not call.body else {"Content-Length": str(len(call.body))}
