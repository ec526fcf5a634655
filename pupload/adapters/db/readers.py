"""A few threads that read, each with a connection of its own; what one job reads is one moment of the database."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pupload import errors
from pupload.adapters.db import sqlite

THREADS = 4

T = TypeVar("T")


class Readers:
    """The reading end of a database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pupload-reader")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._closed = False

    async def do(self, job: Callable[[sqlite.Session], T]) -> T:
        """What `job` returns. Raises `errors.DatabaseUnavailable`, `errors.Damaged` beside the job's own."""
        if self._closed:
            raise errors.DatabaseUnavailable(reason="it was closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, job)

    async def close(self) -> None:
        """Returns when nobody reads any more."""
        self._closed = True
        await asyncio.to_thread(self._pool.shutdown)
        while self._connections:
            self._connections.pop().close()

    def _read(self, job: Callable[[sqlite.Session], T]) -> T:
        with sqlite.turned(self._path):
            session = self._session()
            session.connection.execute("BEGIN")
            try:
                return job(session)
            finally:
                session.connection.execute("ROLLBACK")

    def _session(self) -> sqlite.Session:
        if not hasattr(self._own, "session"):
            connection = sqlite.connect(self._path, read_only=True)
            self._connections.append(connection)
            self._own.session = sqlite.Session(connection)
        session: sqlite.Session = self._own.session
        return session
