"""Bytes between a store and files: in constant memory, hashed on the way, gone on with where a connection broke."""

import asyncio
import errno
import hashlib
import os
import tempfile
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Sequence,
)
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import aiohttp

from pupload import errors
from pupload.adapters.s3 import calls

MOST_PARTS = 10_000
_ABORT_SECONDS = 30.0
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

S = TypeVar("S")
T = TypeVar("T")


# ── From the store ───────────────────────────────────────────────────────────────────────────────────────────────


async def pieces(caller: calls.Caller, key: str, *, if_etag: str | None = None) -> AsyncGenerator[bytes, None]:
    """The object's bytes; a broken connection is made again and reading goes on where it was."""
    download = _Download(caller, key, if_etag)
    try:
        while True:
            try:
                piece = await download.next_piece()
            except calls.TryAgain:
                piece = await caller.patiently(download.next_piece)
            if not piece:
                return
            yield piece
    finally:
        download.stop()


class _Download:
    """One object on its way; the ETag of the first answer holds for all that follow."""

    def __init__(self, caller: calls.Caller, key: str, if_etag: str | None) -> None:
        self._caller = caller
        self._key = key
        self._etag = if_etag
        self._done = 0
        self._response: aiohttp.ClientResponse | None = None

    async def next_piece(self) -> bytes:
        """Some bytes, none at the end. Raises `calls.TryAgain`, after which it may be asked again."""
        try:
            if self._response is None:
                self._response = await self._open()
            with self._caller.turned(self._call()):
                piece = await self._response.content.read(calls.CHUNK_BYTES)
        except calls.TryAgain as again:
            self.stop()
            if self._done and not self._etag:
                raise again.error from again  # nothing tells whether the rest would be of the same object
            raise
        self._done += len(piece)
        return piece

    def stop(self) -> None:
        """Gives up the connection, unless all was read."""
        if self._response is not None:
            self._response.close()
            self._response = None

    async def _open(self) -> aiohttp.ClientResponse:
        response = await self._caller.send(self._call())
        try:
            self._check_etag(response.headers.get("ETag", "").strip('"'))
            if self._done and response.status != 206:
                with self._caller.turned(self._call()):
                    await response.content.readexactly(self._done)
        except BaseException:
            response.close()
            raise
        return response

    def _check_etag(self, etag: str) -> None:
        """Some stores know no If-Match: what they give is looked at."""
        if self._etag and etag and etag != self._etag:
            raise errors.PreconditionFailed(key=self._key, store=self._caller.store)
        self._etag = self._etag or etag

    def _call(self) -> calls.Call:
        headers = {}
        if self._etag:
            headers["If-Match"] = f'"{self._etag}"'
        if self._done:
            headers["Range"] = f"bytes={self._done}-"
        return calls.Call(method="GET", key=self._key, headers=headers)


async def write_file(source: AsyncIterator[bytes], path: Path) -> str:
    """
    Makes the bytes a new file at `path`, read-only, there only when it is whole. Returns its SHA-256 in hex.

    Writing and hashing one batch goes on beside receiving the next. Raises `errors.DiskFull`.
    """
    file = await asyncio.to_thread(_NewFile, path)
    writing: asyncio.Future[None] | None = None
    try:
        async for batch in _batches(source):
            if writing is not None:
                await asyncio.shield(writing)
            writing = asyncio.ensure_future(asyncio.to_thread(file.write, batch))
        if writing is not None:
            await asyncio.shield(writing)
        return await asyncio.to_thread(file.finish)
    except BaseException:
        if writing is not None:
            await asyncio.wait([writing])  # the thread still has the file
            writing.exception()
        file.discard()
        raise


async def _batches(source: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Sockets give little at a time; a thread is worth waking for a megabyte."""
    batch: list[bytes] = []
    size = 0
    async for piece in source:
        batch.append(piece)
        size += len(piece)
        if size >= calls.CHUNK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _NewFile:
    """A file under another name until it is whole. Blocking: for a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_of(path):
            self._handle, self._name = tempfile.mkstemp(prefix=".fetch-", dir=path.parent)
        self._hash = hashlib.sha256()

    def write(self, batch: Sequence[bytes]) -> None:
        with disk_of(self._path):
            for piece in batch:
                view = memoryview(piece)
                while view:
                    view = view[os.write(self._handle, view) :]
                self._hash.update(piece)

    def finish(self) -> str:
        with disk_of(self._path):
            os.fchmod(self._handle, 0o444)
            os.close(self._handle)
            self._handle = -1
            Path(self._name).rename(self._path)
        return self._hash.hexdigest()

    def discard(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
        Path(self._name).unlink(missing_ok=True)


@contextmanager
def disk_of(path: Path) -> Iterator[None]:
    """Turns a full disk into `errors.DiskFull` that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise errors.DiskFull(path=str(path)) from error
        raise


# ── To the store ─────────────────────────────────────────────────────────────────────────────────────────────────


def file_source(path: Path, start: int, size: int) -> Callable[[], AsyncIterator[bytes]]:
    """What gives these bytes of the file, anew for every attempt."""

    async def source() -> AsyncIterator[bytes]:
        file = await _opened(path)
        try:
            file.seek(start)
            left = size
            while left:
                piece = await asyncio.to_thread(file.read, min(left, calls.CHUNK_BYTES))
                if not piece:
                    raise errors.Broken(reason=f"{path} became shorter while it was sent")
                left -= len(piece)
                yield piece
        finally:
            file.close()

    return source


async def _opened(path: Path) -> BinaryIO:
    """The file; closed again where nobody waits for it any more when it is open."""
    opening = asyncio.ensure_future(asyncio.to_thread(path.open, "rb"))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: "asyncio.Future[Any]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def hash_file(path: Path) -> str:
    """The SHA-256 of the file in hex."""
    return await asyncio.to_thread(_hash_file, path)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def split(size: int, part_bytes: int) -> list[tuple[int, int, int]]:
    """Number, start and size of each part; parts grow where there would be more than a store takes."""
    part_bytes = max(part_bytes, -(-size // MOST_PARTS))
    return [
        (number, start, min(part_bytes, size - start)) for number, start in enumerate(range(0, size, part_bytes), 1)
    ]


# ── Together ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def both(one: Coroutine[Any, Any, S], other: Coroutine[Any, Any, T]) -> tuple[S, T]:
    """Both results; the first failure ends the other."""
    tasks = asyncio.ensure_future(one), asyncio.ensure_future(other)
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        await end(tasks)
        raise


async def at_most(limit: int, work: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """All results in their order, `limit` at a time; the first failure ends the others."""
    gate = asyncio.Semaphore(limit)

    async def one(make: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await make()

    tasks = [asyncio.ensure_future(one(make)) for make in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        await end(tasks)
        raise


async def end(tasks: Collection[asyncio.Future[Any]]) -> None:
    """They have ended afterwards; what they came to is nobody's concern."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def despite_all(clean_up: Coroutine[Any, Any, None]) -> None:
    """Does it while something worse is being raised: its own failure would only hide that."""
    with suppress(errors.PuploadError, TimeoutError):
        await asyncio.wait_for(clean_up, _ABORT_SECONDS)
