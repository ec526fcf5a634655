"""
A body on its way in: decoded, hashed, checked and written, without ever being whole in memory.

The event loop only moves raw bytes. Two buffers take turns: while a thread decodes, hashes and writes one, the loop
fills the other. What the client said about its body (length, payload hash, MD5, checksums, signatures of chunks) is
checked before anything of it counts; until then it is a blob that no row names.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Protocol

import aiohttp
from aiohttp import web

from pupload.adapters.s3.embedded import blobs, checksums, chunked
from pupload.adapters.s3.embedded.refusals import Refusal

INLINE_BYTES = 32 * 1024
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What the request says about the body that follows."""

    length: int
    """Of the body itself, in bytes, whatever it is wrapped in."""
    sha256: str | None = None
    md5: str | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)
    """Name → Base64, from headers."""
    trailing: Sequence[str] = ()
    """Names of checksums that come in the trailer."""
    also: str = ""
    """A checksum to be computed although no value was given."""
    decoder: chunked.Decoder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A body that came in whole and is what its sender said. Either `data` or `blob` has it."""

    size: int
    md5: str
    sha256: str
    checksums: Mapping[str, str]
    data: bytes | None = None
    blob: str = ""


class Sink(Protocol):
    """Where the bytes go."""

    def write(self, pieces: Sequence[bytes | memoryview]) -> None: ...


class Intake:
    """Takes raw bytes in, one buffer after the other; blocks, and belongs to one thread at a time."""

    def __init__(self, promise: Promise, sink: Sink) -> None:
        self._promise = promise
        self._sink = sink
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        names = {*promise.checksums, *promise.trailing, *filter(None, [promise.also])} - {"sha256"}
        self._running = {name: checksums.start(name) for name in sorted(names)}
        self._asked_sha256 = "sha256" in {*promise.checksums, *promise.trailing, promise.also}

    def feed(self, raw: Iterable[bytes]) -> None:
        """Raises `Refusal`."""
        decoder = self._promise.decoder
        pieces: list[bytes | memoryview] = []
        for piece in raw:
            pieces += decoder.feed(piece) if decoder else (piece,)
        for part in pieces:
            self._size += len(part)
            self._md5.update(part)
            self._sha256.update(part)
            for running in self._running.values():
                running.update(part)
        if self._size > self._promise.length:
            raise Refusal("IncompleteBody")
        self._sink.write(pieces)

    def finish(self) -> Received:
        """Raises `Refusal` unless everything is as it was promised."""
        promise = self._promise
        if promise.decoder:
            promise.decoder.finish()
        if self._size != promise.length:
            raise Refusal("IncompleteBody")
        sha256 = self._sha256.hexdigest()
        if promise.sha256 not in (None, sha256):
            raise Refusal("XAmzContentSHA256Mismatch")
        if promise.md5 not in (None, self._md5.hexdigest()):
            raise Refusal("BadDigest", "The Content-MD5 you specified did not match what we received.")
        return Received(
            size=self._size, md5=self._md5.hexdigest(), sha256=sha256, checksums=self._check(self._sha256.digest())
        )

    def _check(self, sha256: bytes) -> dict[str, str]:
        found = {name: checksums.write(running.digest()) for name, running in self._running.items()}
        if self._asked_sha256:
            found["sha256"] = checksums.write(sha256)
        trailers = self._promise.decoder.trailers if self._promise.decoder else {}
        trailing = {
            name: checksums.read(name, trailers.get(checksums.PREFIX + name, "")) for name in self._promise.trailing
        }
        for name, given in {**self._promise.checksums, **trailing}.items():
            if found[name] != given:
                raise Refusal("BadDigest", f"The {name.upper()} you specified did not match the calculated checksum.")
        return found


class _Memory:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        self.pieces += map(bytes, pieces)


async def into_memory(request: web.BaseRequest, promise: Promise, *, stall_seconds: float) -> Received:
    """For small bodies: hashing them is not worth a thread."""
    memory = _Memory()
    intake = Intake(promise, memory)
    while raw := await _fill(request.content, stall_seconds):
        intake.feed(raw)
    return replace(intake.finish(), data=b"".join(memory.pieces))


async def into_blob(
    request: web.BaseRequest, promise: Promise, *, files: blobs.Blobs, threads: Executor, stall_seconds: float
) -> Received:
    """The body as a durable blob. Raises `Refusal`, and nothing of it is left then."""
    loop = asyncio.get_running_loop()
    writer = await loop.run_in_executor(threads, files.create)
    busy: asyncio.Future[None] | None = None
    try:
        intake = Intake(promise, writer)
        while raw := await _fill(request.content, stall_seconds):
            if busy:
                await busy
            busy = loop.run_in_executor(threads, intake.feed, raw)
        if busy:
            await busy
        received = intake.finish()
        busy = loop.run_in_executor(threads, writer.finish)
        await busy
    except BaseException:
        # The thread may still be writing (the client went away, or we are stopping): it ends first.
        if busy and not busy.done():
            await asyncio.wait([busy])
        await loop.run_in_executor(threads, writer.discard)
        raise
    return replace(received, blob=writer.name)


async def _fill(content: aiohttp.StreamReader, stall_seconds: float) -> list[bytes]:
    """The next buffer; empty at the end of the body. Raises `Refusal`: RequestTimeout, IncompleteBody."""
    pieces: list[bytes] = []
    size = 0
    try:
        while size < _BUFFER_BYTES:
            async with asyncio.timeout(stall_seconds):
                piece = await content.readany()
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
    except TimeoutError:
        raise Refusal("RequestTimeout") from None
    except (aiohttp.ClientError, web.RequestPayloadError, ConnectionError) as error:
        raise Refusal("IncompleteBody") from error
    return pieces
