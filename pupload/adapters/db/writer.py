"""
One thread that writes, for everybody.

Whatever waits is written in one transaction and made durable by one commit, each write in a savepoint of its own: a
write that fails takes nothing back but itself. A disk's flush costs the same for one write as for many, which is why
many runs at once are faster than one.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pupload import errors
from pupload.adapters.db import sqlite

GROUP = 64
"""How many writes share a commit at most."""

T = TypeVar("T")


class _Order:
    """A write that somebody waits for."""

    __slots__ = ("error", "job", "result", "run_id", "waiting")

    def __init__(self, job: Callable[[sqlite.Session], Any], run_id: str, waiting: "asyncio.Future[Any]") -> None:
        self.job = job
        self.run_id = run_id
        self.waiting = waiting
        self.result: Any = None
        self.error: Exception | None = None


class Writer:
    """The writing end of a database. Made and used on one event loop."""

    def __init__(self, path: Path, *, wake: Callable[[str], None], busy_seconds: float) -> None:
        """`wake` is called on the loop with a run's id after something of that run has become durable."""
        self._path = path
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._session = sqlite.Session(sqlite.connect(path, busy_seconds=busy_seconds))
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="pupload-writer", daemon=True)
        self._thread.start()

    async def do(self, job: Callable[[sqlite.Session], T], *, run_id: str = "") -> T:
        """
        What `job` returns, once all it wrote is durable; when it raises, nothing of it is.

        It runs in the writer's thread and may run more than once, so it must do nothing but read and write the
        session. Whoever is cancelled while waiting here does not know whether it was written. Raises
        `errors.DatabaseUnavailable`, `errors.DiskFull`, `errors.Damaged` beside the job's own.
        """
        if self._closed:
            raise errors.DatabaseUnavailable(reason="it was closed")
        waiting: asyncio.Future[T] = self._loop.create_future()
        self._orders.put(_Order(job, run_id, waiting))
        return await waiting

    async def close(self) -> None:
        """Returns when everything that waits has been written."""
        if not self._closed:
            self._closed = True
            self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    # ── in the writer's thread ──

    def _work(self) -> None:
        more = True
        while more:
            group, more = self._take()
            self._write(group)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._settle, group)
        self._session.connection.close()

    def _take(self) -> tuple[list[_Order], bool]:
        """What waits, at least one; and whether there can be more."""
        group: list[_Order] = []
        order = self._orders.get()
        with suppress(queue.Empty):
            while order is not None:
                group.append(order)
                if len(group) == GROUP:
                    return group, True
                order = self._orders.get_nowait()
        return group, order is not None

    def _write(self, group: Sequence[_Order]) -> None:
        """Every order has its result or its error afterwards."""
        while group:
            spoiler = self._write_together(group)
            if spoiler is None:
                return
            group = [order for order in group if order is not spoiler]

    def _write_together(self, group: Sequence[_Order]) -> _Order | None:
        """One transaction. Returns the order that ruined it for the others, None when all have their answer."""
        connection = self._session.connection
        try:
            if connection.in_transaction:  # the last one could not even be rolled back
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            for order in group:
                self._write_one(order)
                if not connection.in_transaction:  # SQLite gives all up when the disk is full, and on a few more
                    order.error = order.error or errors.Broken(reason="a write ended the transaction it was in")
                    return order
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, it must reach those who wait
            if connection.in_transaction:
                with suppress(Exception):
                    connection.execute("ROLLBACK")
            for order in group:
                order.error = self._turned(error)
        return None

    def _write_one(self, order: _Order) -> None:
        connection = self._session.connection
        order.error = None
        connection.execute("SAVEPOINT one")
        try:
            order.result = order.job(self._session)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever gave the order
            order.error = self._turned(error)
            if connection.in_transaction:
                connection.execute("ROLLBACK TO one")
        if connection.in_transaction:
            connection.execute("RELEASE one")

    def _turned(self, error: Exception) -> Exception:
        if not isinstance(error, sqlite3.Error):
            return error
        meaning = sqlite.turn(error, self._path)
        meaning.__cause__ = error
        return meaning

    # ── on the loop ──

    def _settle(self, group: Sequence[_Order]) -> None:
        for order in group:
            if order.error is None and order.run_id:
                self._wake(order.run_id)
            if order.waiting.done():  # cancelled
                continue
            if order.error is None:
                order.waiting.set_result(order.result)
            else:
                order.waiting.set_exception(order.error)
