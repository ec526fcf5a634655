"""
The store: index, blobs and room held together, so that none of them ever says what another does not know.

The order of a write is what makes it survive a crash: the blob is durable, then its row is committed, then the blobs
that no row names any more are unlinked. Whatever goes wrong before the commit, the new blob is thrown away; whatever
dies before the unlinking is found by the sweep at the next start.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pupload.adapters.s3.embedded import arrivals, bodies, rows, sweep
from pupload.adapters.s3.embedded.blobs import Blobs
from pupload.adapters.s3.embedded.calls import Call
from pupload.adapters.s3.embedded.digests import Digests
from pupload.adapters.s3.embedded.index import Change, Index
from pupload.adapters.s3.embedded.pins import Pins
from pupload.adapters.s3.embedded.room import Limits, Room

T = TypeVar("T")

_THREADS = 16


class Store:
    """Made in the event loop; `open` before use."""

    def __init__(self, data: Path, *, region: str, limits: Limits, clock: Callable[[], datetime]) -> None:
        self.region = region
        self.clock = clock
        self.room = Room(limits, data)
        self.bell = arrivals.Bell()
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="files")
        self._names = ThreadPoolExecutor(1, thread_name_prefix="names")
        self.blobs = Blobs(data / "blobs")
        self.index = Index(data / "index.sqlite", settle=self._settle)
        self.pins = Pins(self._remove)
        self.digests = Digests(self.index, self.blobs)
        self.requests = 0

    async def open(self) -> None:
        """Sweeps, and counts what is there."""
        await sweep.sweep(self.index, self.blobs, now_ms=self.now_ms())
        self.room.objects, self.room.used_bytes = await self.index.read(rows.totals)

    async def close(self) -> None:
        """What was begun is finished."""
        await self.digests.close()
        await self.index.close()
        for threads in (self.threads, self._names):
            await asyncio.get_running_loop().run_in_executor(None, threads.shutdown)

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self.clock().timestamp() * 1000)

    async def in_thread(self, do: Callable[[], T]) -> T:
        """What `do` returned; for everything that touches files."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, do)

    async def in_turn(self, do: Callable[[], T]) -> T:
        """
        The same for what makes or takes away many names of small files, one such work after the other.

        A directory lets one in at a time; several threads that wait for each other there take ten times as long.
        """
        return await asyncio.get_running_loop().run_in_executor(self._names, do)

    def reading(self, bucket: str, key: str) -> AbstractAsyncContextManager[rows.StoredObject]:
        """The object, whose blobs stay while the block lasts. Raises `Refusal`: NoSuchKey, NoSuchBucket."""

        async def look() -> rows.StoredObject:
            return self.index.look(lambda db: rows.must_find(db, bucket, key))

        return self.pins.hold(look)

    async def receive(self, call: Call, *, inline: bool, also: str = "") -> bodies.Received:
        """
        The body of the call, in memory when it is small and `inline`, else as a blob that its caller must `commit`.

        The caller holds room for it. Raises `Refusal`.
        """
        promise = call.promise(also=also)
        stall = self.room.limits.stall_seconds
        if inline and promise.length <= bodies.INLINE_BYTES:
            call.invite_body()
            return await bodies.into_memory(call.request, promise, stall_seconds=stall)
        async with self.room.place():
            call.invite_body()
            return await bodies.into_blob(
                call.request, promise, files=self.blobs, threads=self.threads, stall_seconds=stall
            )

    async def commit(self, work: Callable[[Change], T], made: Sequence[str] = ()) -> T:
        """
        What `work` returned, once it is durable. The blobs it made rows for are thrown away when it fails.

        A caller that is cancelled does not cancel this: a commit that is under way decides about its blobs itself.
        """
        return await asyncio.shield(self._commit(work, made))

    async def _commit(self, work: Callable[[Change], T], made: Sequence[str]) -> T:
        try:
            return await self.index.write(work)
        except BaseException:
            await self.in_thread(lambda: self.blobs.remove(made))
            raise

    def _settle(self, change: Change) -> None:
        self.room.objects += change.objects
        self.room.used_bytes += change.bytes
        if change.arrived:
            self.bell.ring()
        if change.unneeded:
            self.pins.doom(change.unneeded)

    def _remove(self, names: Sequence[str]) -> None:
        self.threads.submit(self.blobs.remove, names)
