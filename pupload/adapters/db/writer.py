"""
One thread that writes, for everybody.

Whatever waits is written in one transaction and made durable by one commit. A disk's flush costs the same for one write
as for many, which is why many runs at once are faster than one. A write that is refused before it wrote anything takes
nothing back. Where one fails later all are done again, each in a savepoint of its own: it takes back but itself.
"""

import asyncio
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pupload import errors
from pupload.adapters.db import saves, sqlite, sqlite_saves

GROUP = 64
"""How many writes share a commit at most."""

SOME = 2
"""From so many on saves are cheaper together."""

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


def _saves(group: Sequence[_Order], at: int) -> list[tuple[_Order, saves.Save]]:
    """The saves from there on up to the first order that is none, or the second of a run."""
    found: dict[str, tuple[_Order, saves.Save]] = {}
    for order in group[at:]:
        if not isinstance(order.job, saves.Save) or order.run_id in found:
            break
        found[order.run_id] = order, order.job
    return list(found.values())


class _Spoiled(Exception):
    """A transaction came to nothing."""

    def __init__(self, by: _Order | None = None) -> None:
        super().__init__()
        self.by = by
        """The order that ended it, where that is known."""


class Writer:
    """The writing end of a database. Made and used on one event loop."""

    def __init__(self, path: Path, *, wake: Callable[[str], None], busy_seconds: float) -> None:
        """`wake` is called on the loop with a run's id after something of that run has become durable."""
        self._path = path
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._gathered: list[_Order] = []
        """What was asked for in this turn of the loop."""
        self._orders: queue.SimpleQueue[list[_Order] | None] = queue.SimpleQueue()
        self._left: deque[_Order] = deque()
        """What the thread has taken out of there and not written yet."""
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
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(_Order(job, run_id, waiting))
        return await waiting

    def _hand_over(self) -> None:
        """All at once: a thread that woke for the first would take the interpreter from those who ask for the rest."""
        if self._gathered:
            self._orders.put(self._gathered)
            self._gathered = []

    async def close(self) -> None:
        """Returns when everything that waits has been written."""
        if not self._closed:
            self._closed = True
            self._hand_over()
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
        more, left = True, self._left
        with suppress(queue.Empty):
            while more and len(left) < GROUP:
                some = self._orders.get_nowait() if left else self._orders.get()
                more = some is not None
                left.extend(some or ())
        if not more:
            self._orders.put(None)  # to be found again once all is written
        return [left.popleft() for _ in range(min(GROUP, len(left)))], more or bool(left)

    def _write(self, group: Sequence[_Order]) -> None:
        """Every order has its result or its error afterwards."""
        if not group:
            return
        try:
            self._in_one(group, self._fill)
        except _Spoiled:
            left = list(group)
            while left and (spoiler := self._write_carefully(left)) is not None:
                left.remove(spoiler)

    def _write_carefully(self, group: Sequence[_Order]) -> _Order | None:
        """Each in a savepoint. Returns the one that ruined it for the others, None when all have their answer."""
        try:
            self._in_one(group, self._fill_carefully)
        except _Spoiled as spoiled:
            return spoiled.by
        return None

    def _in_one(self, group: Sequence[_Order], fill: Callable[[Sequence[_Order]], None]) -> None:
        """One transaction. Raises `_Spoiled` where one ruined it for the others; else all have their answer."""
        connection = self._session.connection
        self._session.forget()
        try:
            if connection.in_transaction:  # the last one could not even be rolled back
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            fill(group)
            connection.execute("COMMIT")
        except Exception as error:
            if connection.in_transaction:
                with suppress(Exception):
                    connection.execute("ROLLBACK")
            if isinstance(error, _Spoiled):
                raise
            for order in group:
                order.error = self._turned(error)

    def _fill(self, group: Sequence[_Order]) -> None:
        """Without savepoints; who is refused without having written anything is told so."""
        session = self._session
        connection = session.connection
        for order in self._save_together(group):
            order.error = None
            before = connection.total_changes, session.put_off
            try:
                order.result = order.job(session)
            except Exception as error:
                if isinstance(error, sqlite3.Error) or before != (connection.total_changes, session.put_off):
                    raise _Spoiled(order) from error
                order.error = error
            if not connection.in_transaction:
                raise _Spoiled(order)
        try:
            session.flush()
        except sqlite3.Error as error:
            raise _Spoiled from error

    def _save_together(self, group: Sequence[_Order]) -> Iterator[_Order]:
        """Those that are left, each in its turn: where saves of different runs follow each other they are one write."""
        at = 0
        while at < len(group):
            some = _saves(group, at)
            at += max(len(some), 1)
            if len(some) < SOME:
                yield group[at - 1]
                continue
            try:
                done = sqlite_saves.save_together(self._session, [save for _, save in some])
            except sqlite3.Error as error:
                raise _Spoiled from error
            for order, save in some:
                if save in done:
                    order.error, order.result = None, save.decision.run
                else:
                    yield order  # it is refused, and says why

    def _fill_carefully(self, group: Sequence[_Order]) -> None:
        """Each in a savepoint."""
        connection = self._session.connection
        for order in group:
            self._write_one(order)
            if not connection.in_transaction:  # SQLite gives all up when the disk is full, and on a few more
                order.error = order.error or errors.Broken(reason="a write ended the transaction it was in")
                raise _Spoiled(order)

    def _write_one(self, order: _Order) -> None:
        session = self._session
        connection = session.connection
        order.error = None
        connection.execute("SAVEPOINT one")
        try:
            order.result = order.job(session)
            session.flush()
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever gave the order
            order.error = self._turned(error)
            session.forget()
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
