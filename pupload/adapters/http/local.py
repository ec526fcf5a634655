"""
Questions by HTTP over a local socket: to a container engine, to our own store.

Each node asks some, and they are small. A general client takes a third of a millisecond of processor time for one, this
a tenth of that, for it knows only what is needed here: one question at a time on a connection, a body that is at hand,
an answer that is read whole. No redirects, no cookies, no packing, no proxies; and whatever of an answer it does not
understand is an error. `adapters.docker` and `adapters.s3` use it where the other side is a socket on this machine.
"""

import asyncio
import os
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import httptools

IDLE_SECONDS = 15.0
"""A connection that was not used for so long is not trusted any more."""

IDLE_MOST = 32
"""Connections that are kept for the next question."""

HEAD_BYTES = 64 * 1024
"""Of the first line and the headers."""

_FRAMES = frozenset({b"content-length", b"transfer-encoding"})
_END = b"\r\n\r\n"
_ODD = re.compile(r"[^ -~]")


class HungUp(ConnectionError):
    """The other side ended the connection before it had answered at all: it may never have read the question."""


class Garbled(OSError):
    """The answer broke off, or is none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    reason: str
    body: bytes


class Connections:
    """Connections to one socket, as many as there are questions at a time. Belongs to one event loop."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """`path` is the socket's; it need not be there yet."""
        self._path = os.fspath(path)
        self._idle: deque[_Connection] = deque()
        self._busy: set[_Connection] = set()

    async def ask(
        self, method: str, target: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """
        The answer to a question; `target` is the path with its query, encoded.

        Raises `HungUp`, `Garbled`, and OSError where nobody listens. Whoever is cancelled has asked all the same.
        """
        question = _question(method, target, body, headers or {})
        connection = self._kept() or await self._connect()
        self._busy.add(connection)
        try:
            answer = await connection.ask(question)
        except BaseException:
            connection.close()  # an answer may still come, and is nobody's
            raise
        finally:
            self._busy.discard(connection)
        if connection.open and len(self._idle) < IDLE_MOST:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _kept(self) -> "_Connection | None":
        """The one that was used last, if the other side has not hung up on it."""
        too_old = asyncio.get_running_loop().time() - IDLE_SECONDS
        while self._idle:
            if (connection := self._idle.pop()).open and connection.used_at > too_old:
                return connection
            connection.close()
        return None

    async def _connect(self) -> "_Connection":
        _, made = await asyncio.get_running_loop().create_unix_connection(_Connection, self._path)
        return made

    def close(self) -> None:
        """Gives up all of them; who waits for an answer is told that the other side hung up."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()


class _Connection(asyncio.Protocol):
    """One question after the other."""

    def __init__(self) -> None:
        self.used_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._reader: _Reader | None = None

    @property
    def open(self) -> bool:
        """Whether another question may go this way."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, question: bytes) -> Answer:
        """The answer; one question at a time."""
        assert self._transport is not None
        self._answer, self._reader = self._loop.create_future(), _Reader()
        self._transport.write(question)
        try:
            return await self._answer
        finally:
            self._answer = None
            self.used_at = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asked whether it is one: those of uvloop are none by name.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done() or self._reader is None:
            self.close()  # nobody asked
            return
        try:
            answer = self._reader.feed(data)
        except Garbled as error:
            self._answer.set_exception(error)
            return
        if answer is not None:
            if self._reader.last:
                self.close()
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        waiting, self._transport = self._answer, None
        if waiting is None or waiting.done() or self._reader is None:
            return
        if self._reader.empty:
            waiting.set_exception(HungUp(*(exc.args if exc else ("it hung up",))))
        elif (answer := self._reader.end()) is not None:
            waiting.set_result(answer)
        else:
            waiting.set_exception(Garbled("the answer broke off"))

    def close(self) -> None:
        """Asks no more."""
        if self._transport is not None:
            self._transport.close()


class _Reader:
    """Reads one answer, in whatever pieces it comes; the parser is llhttp's, which takes what RFC 9112 allows."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._came = 0
        self._reason = ""
        self._in_head, self._framed, self._whole = True, False, False
        self._body = bytearray()
        self.last = False
        """Whether the other side hangs up behind it."""

    @property
    def empty(self) -> bool:
        """Whether nothing came yet."""
        return not self._came

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole. Raises `Garbled`."""
        self._came += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise Garbled(f"it is no answer of HTTP: {error}") from error
        if self._in_head and self._came > HEAD_BYTES:
            raise Garbled("its head has no end")
        return self._answer() if self._whole else None

    def end(self) -> Answer | None:
        """The answer whose end is the end of the connection; None where that was not its end."""
        return None if self._in_head or self._framed else self._answer()

    def _answer(self) -> Answer:
        return Answer(self._parser.get_status_code(), self._reason, bytes(self._body))

    # ── What the parser finds ────────────────────────────────────────────────────────────────────────────────────

    def on_status(self, reason: bytes) -> None:
        """May come in pieces."""
        self._reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Only what tells where the answer ends is of interest."""
        name = name.lower()
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            raise ValueError(f"nobody can tell where {value!r} ends")
        self._framed |= name in _FRAMES

    def on_headers_complete(self) -> None:
        """The body, if there is one, is next."""
        if self._parser.get_status_code() < 200:
            raise ValueError("it says something in between, which nobody asked for")
        self._in_head, self.last = False, not self._parser.should_keep_alive()

    def on_body(self, piece: bytes) -> None:
        """Without what frames it."""
        self._body += piece

    def on_message_complete(self) -> None:
        """Nothing may follow: one question, one answer."""
        self._whole = True


def _question(method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: local", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body or b'')}")
    if " " in target or any(_ODD.search(line) for line in lines):
        raise ValueError("a question that would be read as another")
    return "\r\n".join(lines).encode() + _END + (body or b"")
