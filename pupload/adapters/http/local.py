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
from typing import NoReturn

IDLE_SECONDS = 15.0
"""A connection that was not used for so long is not trusted any more."""

IDLE_MOST = 32
"""Connections that are kept for the next question."""

HEAD_BYTES = 64 * 1024
"""Of the first line and the headers."""

_BODILESS = frozenset({204, 304})
_END = b"\r\n\r\n"
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?")
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
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

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
    """Reads one answer, in whatever pieces it comes (RFC 9112)."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: tuple[int, str] | None = None
        self._length: int | None = None
        self._chunks: bytearray | None = None
        self.last = False
        """Whether the other side hangs up behind it."""

    @property
    def empty(self) -> bool:
        """Whether nothing came yet."""
        return self._head is None and not self._data

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole. Raises `Garbled`."""
        self._data += data
        if self._head is None and not self._read_head():
            return None
        if self._chunks is not None:
            return self._answer(self._chunks) if self._read_chunks(self._chunks) else None
        if self._length is None or len(self._data) < self._length:
            return None
        if len(self._data) > self._length:
            _garbled("more came than was told")
        return self._answer(self._data)

    def end(self) -> Answer | None:
        """The answer whose end is the end of the connection; None where that was not its end."""
        whole = self._head is not None and self._length is None and self._chunks is None
        return self._answer(self._data) if whole else None

    def _answer(self, body: bytearray) -> Answer:
        assert self._head is not None
        return Answer(*self._head, bytes(body))

    def _read_head(self) -> bool:
        at = self._data.find(_END)
        if at < 0:
            if len(self._data) > HEAD_BYTES:
                _garbled("its head has no end")
            return False
        first, *lines = self._data[:at].decode("latin-1").split("\r\n")
        del self._data[: at + len(_END)]
        version, _, rest = first.partition(" ")
        status, _, reason = rest.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or len(status) != 3 or not status.isdecimal() or status < "200":
            _garbled("it is no answer of HTTP")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._head = int(status), reason
        closes = "close" in headers.get("connection", "").lower()
        self.last = closes or (version == "HTTP/1.0" and "connection" not in headers)
        self._read_framing(int(status), headers)
        return True

    def _read_framing(self, status: int, headers: Mapping[str, str]) -> None:
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if status in _BODILESS:
            self._length = 0
        elif coding is not None:
            if coding.lower() != "chunked" or length is not None:
                _garbled("nobody can tell where it ends")
            self._chunks = bytearray()
        elif length is not None:
            if not (length.isascii() and length.isdecimal() and len(length) < 16):
                _garbled("nobody can tell where it ends")
            self._length = int(length)
        else:
            self.last = True

    def _read_chunks(self, whole: bytearray) -> bool:
        """Whether the last of them was read."""
        while (at := self._data.find(b"\r\n")) >= 0:
            told = _CHUNK.fullmatch(self._data, 0, at)
            if told is None:
                _garbled("it is no chunk")
            size, start = int(told[1], 16), at + 2
            if not size:
                # Trailers, of which nobody here has use, and an empty line.
                end = self._data.find(_END, at)
                if end >= 0 and end + len(_END) < len(self._data):
                    _garbled("more came than was told")
                return end >= 0
            if len(self._data) < start + size + 2:
                return False
            if self._data[start + size : start + size + 2] != b"\r\n":
                _garbled("it is no chunk")
            whole += self._data[start : start + size]
            del self._data[: start + size + 2]
        if len(self._data) > HEAD_BYTES:
            _garbled("it is no chunk")
        return False


def _garbled(why: str) -> NoReturn:
    raise Garbled(why)


def _question(method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: local", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body or b'')}")
    if " " in target or any(_ODD.search(line) for line in lines):
        raise ValueError("a question that would be read as another")
    return "\r\n".join(lines).encode() + _END + (body or b"")
