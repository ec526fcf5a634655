"""
The SHA-256 of objects that came in parts.

Every body is hashed while it comes in, but hashes of parts cannot be added up to the hash of the whole. So completing
an upload stays what it is (a list of extents, nothing copied, nobody waits), and one thread reads the object through
afterwards, mostly from the page cache, and notes the hash in its row. Who needs it sooner (`/link`, a HEAD that asks
for checksums) waits for that same reading; it is never done twice at once.
"""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

from pupload.adapters.s3.embedded import rows
from pupload.adapters.s3.embedded.blobs import Blobs
from pupload.adapters.s3.embedded.index import Index
from pupload.adapters.s3.embedded.refusals import Refusal

_STEP = 1 << 20


class Digests:
    """Made in the event loop."""

    def __init__(self, index: Index, blobs: Blobs) -> None:
        self._index = index
        self._blobs = blobs
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="digests")
        self._running: dict[int, asyncio.Task[str]] = {}
        self._stopping = Event()

    def begin(self, stored: rows.StoredObject) -> None:
        """Has it computed some time soon, when it is not known yet."""
        if stored.sha256 is None:
            self._task(stored)

    async def of(self, stored: rows.StoredObject) -> str:
        """The object's SHA-256 in hex. Raises `Refusal` NoSuchKey when that version is gone before it was read."""
        if stored.sha256 is not None:
            return stored.sha256
        return await asyncio.shield(self._task(stored))

    async def within(self, seconds: float, stored: rows.StoredObject) -> str | None:
        """The same, or None when it takes longer."""
        if stored.sha256 is not None:
            return stored.sha256
        try:
            async with asyncio.timeout(seconds):
                return await self.of(stored)
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Stops; what is not known yet will be found out when it is asked for."""
        self._stopping.set()
        if self._running:
            await asyncio.wait(self._running.values())
        self._thread.shutdown()

    def _task(self, stored: rows.StoredObject) -> asyncio.Task[str]:
        task = self._running.get(stored.id)
        if task is None:
            task = asyncio.create_task(self._find_out(stored))
            self._running[stored.id] = task
            task.add_done_callback(lambda done: self._forget(stored.id, done))
        return task

    def _forget(self, object_id: int, done: "asyncio.Task[str]") -> None:
        del self._running[object_id]
        with suppress(asyncio.CancelledError):
            done.exception()  # seen: nobody may have waited for it

    async def _find_out(self, stored: rows.StoredObject) -> str:
        loop = asyncio.get_running_loop()
        try:
            sha256 = await loop.run_in_executor(self._thread, self._read_through, stored)
        except FileNotFoundError:
            raise Refusal("NoSuchKey") from None
        await self._index.write(lambda change: rows.set_sha256(change, stored.id, sha256))
        return sha256

    def _read_through(self, stored: rows.StoredObject) -> str:
        digest = hashlib.sha256(stored.data or b"")
        for extent in stored.extents:
            with self._blobs.path(extent.blob).open("rb", buffering=0) as file:
                while piece := file.read(_STEP):
                    if self._stopping.is_set():
                        raise Refusal("ServiceUnavailable")
                    digest.update(piece)
        return digest.hexdigest()
