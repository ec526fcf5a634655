"""
One connection that writes, for everybody, as `pupload.adapters.db.writer` does for SQLite.

Whatever waits is written in one transaction. Saves of runs, which are most of it, go in one statement and one journey
to the server (`pupload.adapters.db.postgres_saves`). The rest is tried without savepoints first, in a few journeys for
all of them together; when one spoils it for the others, all are done again, each in a savepoint of its own.

Others may write to the same database: what may not be written any more, the rows themselves tell (a run's version and
its fencing token). When the connection is lost, what waits waits for the next one; what was being committed just then
is asked after, so that nothing is written twice and nothing that was written is called lost. Each transaction leaves a
mark of its own for that in the row that this writer has in `meta`; its number would not do, for a server that crashed
gives the numbers of what it lost away again.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from pupload import errors
from pupload.adapters.db import postgres, postgres_saves
from pupload.adapters.db.saves import Save

GROUP = 64
"""How many writes share a commit at most."""

_TRIES = 5
"""For a group that gets into another process's way again and again."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries to connect."""
_LARGE = 2000
"""Writing out so many events takes some tens of milliseconds."""
ROW = "writer "
"""How the keys of writers' rows in `meta` begin."""
_ANNOUNCE = """
    WITH marked AS (
        INSERT INTO meta (key, value) VALUES ($3, $4 || ' ' || extract(epoch FROM now())::bigint)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value
    )
    SELECT count(pg_notify($1, id)) FROM unnest($2::text[]) id
"""
_BY_KEY = "SET enable_seqscan = off"
"""A plan is made while the tables are small, and kept: it must not read all of them when they have grown."""
_LAST_MARK = (
    "INSERT INTO meta (key, value) VALUES ($1, '') ON CONFLICT (key) DO NOTHING",
    "SELECT split_part(value, ' ', 1), split_part(value, ' ', 3) FROM meta WHERE key = $1 FOR UPDATE",
)
"""Each waits for a transaction that has not ended yet: the first for one that makes the row, the second for others."""

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Order:
    """A write that somebody waits for, until a time of the loop."""

    __slots__ = ("error", "job", "result", "run_id", "until", "waiting")

    def __init__(
        self, job: Callable[[postgres.Session], Any], run_id: str, until: float, waiting: "asyncio.Future[Any]"
    ) -> None:
        self.job = job
        self.run_id = run_id
        self.until = until
        self.waiting = waiting
        self.result: Any = None
        self.error: Exception | None = None


class _Spoiled(Exception):
    """One of a group failed after it had written."""


class PostgresWriter:
    """`session.Writer` over one connection. Made and used on one event loop."""

    def __init__(
        self,
        engine: AsyncEngine,
        name: str,
        *,
        wake: Callable[[str], None],
        patience_seconds: float,
    ) -> None:
        """`wake` is called with a run's id after something of that run has become durable."""
        self._engine = engine
        self._name = name
        self._wake = wake
        self._patience = patience_seconds
        self._loop = asyncio.get_running_loop()
        self._orders: deque[_Order] = deque()
        self._doubt: tuple[str, Sequence[_Order]] | None = None
        """The mark of a transaction whose commit was not answered, and what was in it."""
        self._stirred = asyncio.Event()
        self._link: postgres.Link | None = None
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._serial = 0
        self.row = f"{ROW}{secrets.token_hex(8)}"
        """The key of our row in `meta`."""
        self.channel = ""
        """Where other processes are told what was written."""
        self.pids: deque[int] = deque(maxlen=16)
        """Of the connections we have and had: what they announce is ours."""

    async def start(self) -> None:
        """Connects. Raises `errors.DatabaseUnavailable`, and `errors.Misconfigured` when the server refuses us."""
        try:
            await self._connect()
        except Exception as error:
            raise postgres.turn(error, self._name) from error
        self._task = asyncio.create_task(self._work(), name="pupload-postgres-writer")

    async def do(self, job: Callable[[postgres.Session], T], *, run_id: str = "") -> T:
        """See `session.Writer.do`. Whoever is cancelled while waiting does not know whether it was written."""
        if self._closed:
            raise errors.DatabaseUnavailable(reason="it was closed")
        waiting: asyncio.Future[T] = self._loop.create_future()
        self._orders.append(_Order(job, run_id, self._loop.time() + self._patience, waiting))
        self._stirred.set()
        return await waiting

    async def close(self) -> None:
        """Returns when everything that waits has been written, or has waited long enough."""
        self._closed = True
        self._stirred.set()
        if self._task is not None:
            await self._task
            self._task = None
        if self._link is not None:
            await self._link.close()
        await self._engine.dispose()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._link is not None and not self._link.lost

    # ── connecting ──

    async def _connect(self) -> None:
        if self._link is not None:
            await self._link.drop()
            self._link = None
        link = await postgres.Link.open(self._engine)
        try:
            self.pids.append(link.pid)  # before anything is written: what we announce is never news to us
            await self._look_after_doubt(link)
            await link.driver.execute(_BY_KEY)
        except BaseException:
            await link.drop()
            raise
        link.driver.add_termination_listener(lambda _: self._stirred.set())
        self._link = link

    async def _look_after_doubt(self, link: postgres.Link) -> None:
        """What became of the transaction whose commit was not answered."""
        if self._doubt is None:
            return
        mark, group = self._doubt
        transaction = link.driver.transaction()
        await transaction.start()
        await link.driver.execute(_LAST_MARK[0], self.row)
        last, saved = await link.driver.fetchrow(_LAST_MARK[1], self.row)
        await transaction.rollback()
        self._doubt = None
        log.info("the commit that the database did not answer was %s", "done" if last == mark else "not done")
        if last != mark:
            self._orders.extendleft(reversed(group))
        elif saved in ("", str(len(group))):
            self._settle(group)
        else:
            # Which of them were refused nobody can tell any more; a run that was saved is found so by its version.
            self._fail(group, errors.DatabaseUnavailable(reason=f"{self._name}: it did not answer"))

    # ── working ──

    async def _work(self) -> None:
        pause = _FIRST_PAUSE
        while self._orders or self._doubt or not self._closed:
            if not self._orders and self.connected:
                await self._stirred.wait()
            self._stirred.clear()
            if not self.connected and not (self._closed and not self._orders and not self._doubt):
                try:
                    await self._connect()
                    pause = _FIRST_PAUSE
                except Exception as error:  # noqa: BLE001 - it reaches those who have waited long enough
                    self._expire(error)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._closing()
                    pause = min(2 * pause, _LONGEST_PAUSE)
                    continue
            if group := self._take():
                await self._write(group)

    def _take(self) -> list[_Order]:
        """
        What is written next, of what waits: saves of different runs, or what is no save, as the first of it is.

        What is passed over stays in its order.
        """
        if not self._orders:
            return []
        kind = isinstance(self._orders[0].job, Save)
        taken: list[_Order] = []
        left: list[_Order] = []
        there: set[str] = set()
        for _ in range(min(GROUP, len(self._orders))):
            order = self._orders.popleft()
            fits = isinstance(order.job, Save) == kind and not (kind and order.run_id in there)
            (taken if fits else left).append(order)
            there.add(order.run_id)
        self._orders.extendleft(reversed(left))
        return taken

    async def _closing(self) -> None:
        """Returns when there is no reason to wait any more."""
        while not (self._closed and not self._orders):
            await self._stirred.wait()
            self._stirred.clear()

    def _expire(self, error: Exception) -> None:
        now = self._loop.time()
        meaning = self._as_unavailable(error)
        if self._doubt is not None and all(order.until <= now for order in self._doubt[1]):
            self._fail(self._doubt[1], meaning)
            self._doubt = None
        self._fail([order for order in self._orders if order.until <= now], meaning)
        self._orders = deque(order for order in self._orders if order.until > now)

    def _as_unavailable(self, error: Exception) -> Exception:
        """A running server is not misconfigured: what keeps it from its database now may pass."""
        meaning = postgres.turn(error, self._name)
        if isinstance(meaning, errors.Misconfigured):
            return errors.DatabaseUnavailable(reason=str(meaning))
        return meaning

    def _fail(self, group: Sequence[_Order], error: Exception) -> None:
        for order in group:
            order.error = error
        self._settle(group)

    async def _write(self, group: list[_Order]) -> None:
        """Every order has its answer afterwards, or waits again at the head of the line."""
        # In one order for all processes: two that lock the same rows do not wait for each other in a circle.
        group.sort(key=lambda order: order.run_id)
        if isinstance(group[0].job, Save):
            group = await self._save_at_once(group)
        if group:
            await self._write_one_by_one(group)

    async def _write_one_by_one(self, group: list[_Order]) -> None:
        careful = False
        for last in [*[False] * (_TRIES - 1), True]:
            try:
                await self._write_together(group, careful=careful)
                return
            except _Spoiled:
                careful = True
            except Exception as error:  # noqa: BLE001 - whatever it is, it must reach those who wait
                if postgres.is_lost(error):
                    await self._lose(group)
                    return
                if last or not postgres.is_again(error):
                    self._fail(group, self._as_unavailable(error))
                    return
                careful = True

    async def _save_at_once(self, group: Sequence[_Order]) -> list[_Order]:
        """Saves all in one statement. Returns those that have no answer by that and are not in doubt either."""
        assert self._link is not None
        self._serial += 1
        mark = str(self._serial)
        jobs = [order.job for order in group if isinstance(order.job, Save)]
        for order, job in zip(group, jobs, strict=True):
            order.result, order.error = job.decision.run, None
        try:
            write_out = partial(postgres_saves.arguments, jobs, row=self.row, mark=mark, channel=self.channel)
            large = sum(len(job.decision.events) for job in jobs) > _LARGE
            given = await asyncio.to_thread(write_out) if large else write_out()
            self._doubt = mark, group  # from here on it may be done without our hearing of it
            found = await self._link.driver.fetch(postgres_saves.STATEMENT, *given)
        except Exception as error:  # noqa: BLE001 - one by one it is found whose it is
            if self._doubt is not None and postgres.is_lost(error):
                await self._lose(group)
                return []
            self._doubt = None
            return list(group)
        self._doubt = None
        saved = {row[0] for row in found}
        self._settle([order for order in group if order.run_id in saved])
        return [order for order in group if order.run_id not in saved]

    async def _lose(self, group: Sequence[_Order]) -> None:
        """The connection is gone: what has no answer goes to the head of the line, unless it is in doubt."""
        if self._link is not None:
            await self._link.drop()
            self._link = None
        if self._doubt is None:
            self._orders.extendleft(reversed(group))

    async def _write_together(self, group: Sequence[_Order], *, careful: bool) -> None:
        assert self._link is not None
        driver = self._link.driver
        try:
            mark = await self._link.run(lambda session: self._fill(session, group, careful=careful))
        except Exception as error:
            if not postgres.is_lost(error):
                await driver.execute("ROLLBACK")
            raise
        self._doubt = mark, group
        try:
            said = await driver.execute("COMMIT")
        except Exception as error:
            if not postgres.is_lost(error):
                self._doubt = None
            raise
        self._doubt = None
        if said != "COMMIT":
            raise errors.Broken(reason="the database took a transaction back without a word")
        self._settle(group)

    def _fill(self, session: postgres.Session, group: Sequence[_Order], *, careful: bool) -> str:
        """Writes all of them; returns the mark of the transaction."""
        session.say("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
        for order in group:
            if careful:
                self._one_in_a_savepoint(session, order)
            else:
                self._one(session, order)
        try:
            session.flush()
        except Exception as error:
            if careful or postgres.is_lost(error) or postgres.is_again(error):
                raise
            raise _Spoiled from error
        written = sorted({order.run_id for order in group if order.error is None and order.run_id})
        self._serial += 1
        session.ask(_ANNOUNCE, self.channel, written, self.row, str(self._serial))
        return str(self._serial)

    def _one(self, session: postgres.Session, order: _Order) -> None:
        order.error = None
        session.touched = False
        try:
            order.result = order.job(session)
        except Exception as error:
            if postgres.is_lost(error) or postgres.is_again(error):
                raise
            if session.touched or postgres.is_database(error):
                raise _Spoiled from error
            order.error = error

    def _one_in_a_savepoint(self, session: postgres.Session, order: _Order) -> None:
        order.error = None
        session.say("SAVEPOINT one")
        try:
            order.result = order.job(session)
            session.flush()
        except Exception as error:
            if postgres.is_lost(error) or postgres.is_again(error):
                raise
            order.error = postgres.turn(error, self._name)
            session.forget()
            session.say("ROLLBACK TO one")
        session.say("RELEASE one")

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
