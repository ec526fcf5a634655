"""
The index: one SQLite file that knows every object, and whose commits are the store's truth.

Writes go through one thread. It takes what waits, up to 64 pieces of work, gives each a savepoint of its own (one that
refuses takes no other with it), and commits them together: one fsync for all. A caller comes back when its own work is
durable. Readers have connections of their own and never wait for the writer (WAL).
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pupload.adapters.s3.embedded.refusals import Refusal

T = TypeVar("T")

_GROUP = 64
_READERS = 4

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, cors TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified_ms INTEGER NOT NULL, sha256 TEXT, headers TEXT NOT NULL, checksums TEXT NOT NULL,
    extents TEXT NOT NULL, data BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS objects_by_key ON objects (bucket, key);
CREATE TABLE IF NOT EXISTS shared (blob TEXT PRIMARY KEY, names INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, started_ms INTEGER NOT NULL, headers TEXT NOT NULL,
    algorithm TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, id);
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified_ms INTEGER NOT NULL, sha256 TEXT NOT NULL, checksums TEXT NOT NULL, blob TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arrivals (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, sha256 TEXT
);
"""


class Change:
    """What one piece of work does to the index, and what follows from it once it is committed."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.unneeded: list[str] = []
        """Blobs that no row names any more."""
        self.objects = 0
        """How many more there are now."""
        self.bytes = 0
        """How many more are kept now."""
        self.arrived = False


class _Work:
    def __init__(self, do: Callable[[Change], Any], change: Change, done: "asyncio.Future[Any]") -> None:
        self.do = do
        self.change = change
        self.done = done
        self.result: Any = None
        self.error: BaseException | None = None


class Index:
    """Made in the event loop. `settle` is called there with every committed change, before its caller goes on."""

    def __init__(self, path: Path, *, settle: Callable[[Change], None]) -> None:
        self._path = path
        self._settle = settle
        self._loop = asyncio.get_running_loop()
        self._writer_db = _connect(path)
        self._writer_db.executescript(_SCHEMA)
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closed = False
        self._writer = threading.Thread(target=self._write_on, name="index-writer")
        self._writer.start()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._own_db = self._connect_reader()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="index-reader", initializer=self._open_reader)

    async def write(self, do: Callable[[Change], T]) -> T:
        """
        What `do` returned, once that is durable. It is called once, in the writer's thread.

        Raises what `do` raised, and then nothing was changed; `Refusal` InsufficientStorage when the disk is full.
        """
        if self._closed:
            raise Refusal("ServiceUnavailable")
        work = _Work(do, Change(self._writer_db), self._loop.create_future())
        self._waiting.put(work)
        result: T = await work.done
        return result

    async def read(self, do: Callable[[sqlite3.Connection], T]) -> T:
        """What `do` returned; it sees one committed state of the index."""
        return await self._loop.run_in_executor(self._readers, lambda: do(self._local.db))

    def look(self, do: Callable[[sqlite3.Connection], T]) -> T:
        """
        The same at once, in the event loop: for what is found by its key.

        Handing such a look to a thread, and waiting until the threads have settled whose turn it is, takes many times
        as long as the look. Readers never wait for the writer.
        """
        return do(self._own_db)

    async def close(self) -> None:
        """Everything handed in is finished first."""
        self._closed = True
        self._waiting.put(None)
        await self._loop.run_in_executor(None, self._writer.join)
        await self._loop.run_in_executor(None, self._readers.shutdown)
        # Outcomes were posted to the loop before the thread ended; let them be told.
        await asyncio.sleep(0)
        for db in [*self._connections, self._writer_db]:
            db.close()

    def _open_reader(self) -> None:
        self._local.db = self._connect_reader()

    def _connect_reader(self) -> sqlite3.Connection:
        db = _connect(self._path)
        db.execute("PRAGMA query_only = 1")
        self._connections.append(db)
        return db

    def _write_on(self) -> None:
        """The writer thread."""
        last = False
        while not last:
            group = [self._waiting.get()]
            while len(group) < _GROUP and not self._waiting.empty():
                group.append(self._waiting.get())
            last = None in group
            works = [work for work in group if work is not None]
            if works:
                self._commit(works)
                self._loop.call_soon_threadsafe(self._tell, works)

    def _commit(self, works: list[_Work]) -> None:
        db = self._writer_db
        try:
            db.execute("BEGIN IMMEDIATE")
            for work in works:
                self._do(work)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            for work in works:
                work.error = work.error or _refusal(error)

    def _do(self, work: _Work) -> None:
        db = self._writer_db
        db.execute("SAVEPOINT work")
        try:
            work.result = work.do(work.change)
        except BaseException as error:
            if not db.in_transaction:
                # A full disk may have undone the whole transaction: then all of it failed.
                raise
            work.error = _refusal(error) if isinstance(error, sqlite3.Error) else error
            db.execute("ROLLBACK TO work")
        db.execute("RELEASE work")

    def _tell(self, works: list[_Work]) -> None:
        for work in works:
            if work.error is None:
                self._settle(work.change)
            if work.done.done():
                continue
            if work.error is None:
                work.done.set_result(work.result)
            else:
                work.done.set_exception(work.error)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30, cached_statements=256)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    return db


def _refusal(error: sqlite3.Error) -> Exception:
    # An I/O error is what SQLite says when the journal beside the file can grow no more.
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return Refusal("InsufficientStorage", "The disk of the store is full.")
    return error
