"""
PostgreSQL: how it is reached, how statements get there, and what its errors mean.

SQLAlchemy writes the statements and pools the connections; what runs is asyncpg's own call. Jobs are plain functions
(`pupload.adapters.db.session`), so they run in a greenlet that waits for the driver where they call it.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Self, TypeVar

import asyncpg
import sqlalchemy
from sqlalchemy.dialects.postgresql import asyncpg as dialects
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pupload import errors
from pupload.adapters.db import statements

OLDEST = 13
"""Older ones have no support any more."""

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 30.0
"""What one statement may take. A server that says nothing for longer is taken for gone."""
_PIECE = 16
"""Rows fetched at once by whoever walks."""

_SETTINGS = {
    "application_name": f"pupload {socket.gethostname()[:32]}/{os.getpid()}",
    "jit": "off",
    "idle_in_transaction_session_timeout": "60s",  # a server stopped in a transaction does not keep its rows locked
    "default_transaction_isolation": "read committed",  # of what is one statement and says nothing about it
    "default_transaction_read_only": "off",
    "tcp_keepalives_idle": "30",  # nor does one whose machine is gone
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

_DIALECT = dialects.dialect()  # type: ignore[no-untyped-call]

T = TypeVar("T")


# ── Texts ────────────────────────────────────────────────────────────────────────────────────────────────────────

_MARK = "\x1a"
"""The control character SUBSTITUTE. PostgreSQL's texts hold every character but NUL, which is written as two."""


def escaped(text: str) -> str:
    """The text without NUL; another text is never written the same."""
    if "\0" in text or _MARK in text:
        return text.replace(_MARK, f"{_MARK}{_MARK}").replace("\0", f"{_MARK}0")
    return text


def unescaped(text: str) -> str:
    """What `escaped` was given."""
    if _MARK in text:
        return _MARK.join(piece.replace(f"{_MARK}0", "\0") for piece in text.split(_MARK * 2))
    return text


# ── Connections ──────────────────────────────────────────────────────────────────────────────────────────────────


def name_of(url: str) -> str:
    """The host and database in the URL, as far as it says so; never its user or password."""
    try:
        read = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return "the database server"
    return f"{read.host or read.query.get('host') or 'localhost'}/{read.database or ''}"


async def connect(url: str) -> Any:
    """A connection of asyncpg as pupload wants it. Raises what asyncpg raises."""
    dsn = "postgresql://" + url.partition("://")[2]
    try:
        made = await asyncpg.connect(
            dsn, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS, server_settings=_SETTINGS
        )
    except ValueError as error:  # asyncpg's own words may hold the URL, and that a password
        raise errors.Misconfigured(reason="the database's URL cannot be read") from (
            None if not isinstance(error, asyncpg.PostgresError) else error
        )
    try:
        for kind in ("text", "varchar"):
            await made.set_type_codec(kind, schema="pg_catalog", encoder=escaped, decoder=unescaped, format="text")
        # Whatever the database's default is: a commit that returned is on the disk.
        await made.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
    except BaseException:
        made.terminate()
        raise
    return made


async def hang_up(connection: Any) -> None:
    """Ends a connection of `connect`, with a word of good-bye where somebody listens."""
    try:
        await connection.close(timeout=1.0)
    except (asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
        connection.terminate()


def make_engine(url: str, *, connections: int) -> AsyncEngine:
    """A pool of so many connections at most; no connection is made yet."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect(url),
        pool_size=connections,
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=CONNECT_SECONDS,
    )


class Link:
    """A connection taken out of a pool, until it is lost or closed."""

    def __init__(self, over: AsyncConnection, driver: Any) -> None:
        """Use `open`."""
        self._over = over
        self.driver = driver
        """asyncpg's own connection, for what has no result."""
        self.pid: int = driver.get_server_pid()
        """The server's process at the other end."""

    @classmethod
    async def open(cls, engine: AsyncEngine) -> Self:
        """Raises what asyncpg raises."""
        over = await engine.connect()
        try:
            return cls(over, (await over.get_raw_connection()).driver_connection)
        except BaseException:
            await over.close()
            raise

    @property
    def lost(self) -> bool:
        """Whether the other end is known to be gone."""
        return bool(self.driver.is_closed())

    async def run(self, job: Callable[["Session"], T]) -> T:
        """What `job` returns; it may wait for the database. Raises what asyncpg and the job raise."""
        return await self._over.run_sync(lambda over: job(Session(over.connection.dbapi_connection)))

    async def drop(self) -> None:
        """Gives it up without a word to the server, which may not answer."""
        self.driver.terminate()
        with suppress(Exception):
            await self._over.invalidate()
        await self.close()

    async def close(self) -> None:
        """Gives it back."""
        with suppress(Exception):
            await self._over.close()


# ── Statements ───────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def compiled(statement: sqlalchemy.Executable) -> tuple[str, tuple[str, ...]]:
    """The words of a statement, and the names of its parameters in their order."""
    found = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
    return str(found), tuple(found.positiontup or ())


class Found:
    """`session.Rows` that are all here."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = iter(rows)

    def fetchone(self) -> Any:
        """See `session.Rows`."""
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        """See `session.Rows`."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


class Session:
    """
    `session.Session` over one connection, inside of a greenlet.

    Rows that `run_many` is given wait until somebody might read them, or until `flush`: those of many saves go to the
    server together, where each alone would cost a journey.
    """

    def __init__(self, adapted: Any) -> None:
        self._wait = adapted.run_async
        self._put_off: dict[sqlalchemy.Executable, list[tuple[Any, ...]]] = {}
        self.touched = False
        """Whether anything was written; whoever asks sets it back."""

    def run(self, statement: sqlalchemy.Executable, values: Mapping[str, Any]) -> Found:
        """See `session.Session.run`."""
        if statement not in statements.ROW_ONLY:
            self.flush()
        sql, names = compiled(statement)
        rows = self._wait(lambda driver: driver.fetch(sql, *[values[name] for name in names]))
        # An update that says what it touched and says nothing has touched nothing.
        self.touched |= statement.is_dml and (bool(rows) or statement not in statements.ROW_ONLY)
        return Found(rows)

    def run_many(self, statement: sqlalchemy.Executable, rows: Sequence[Mapping[str, Any]]) -> None:
        """See `session.Session.run_many`."""
        if rows:
            _, names = compiled(statement)
            self._put_off.setdefault(statement, []).extend(tuple(row[name] for name in names) for row in rows)
            self.touched = True

    def walk(self, statement: sqlalchemy.Executable, values: Mapping[str, Any]) -> Iterator[Any]:
        """See `session.Session.walk`."""
        self.flush()
        sql, names = compiled(statement)
        cursor = self._wait(lambda driver: driver.cursor(sql, *[values[name] for name in names]))
        while rows := self._wait(lambda _: cursor.fetch(_PIECE)):
            yield from rows

    def flush(self) -> None:
        """Writes what was put off, in the order in which its statements were first used."""
        put_off, self._put_off = self._put_off, {}
        for statement, rows in put_off.items():
            self.say_many(compiled(statement)[0], rows)

    def forget(self) -> None:
        """Drops what was put off."""
        self._put_off.clear()

    def say(self, sql: str) -> None:
        """Runs plain words."""
        self._wait(lambda driver: driver.execute(sql))

    def say_many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Runs them once per row."""
        self._wait(lambda driver: driver.executemany(sql, rows))

    def ask(self, sql: str, *values: Any) -> Any:
        """The first value of the first row."""
        return self._wait(lambda driver: driver.fetchval(sql, *values))


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────────

_GONE = {"57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "53300"}
"""Shutting down, crashed, starting, dropped, idle too long, no room for one more connection."""
_AGAIN = {"40001", "40P01"}
"""Two transactions in each other's way: one is undone, and may be done again."""
_OPERATOR = {"28000", "28P01", "3D000", "42501"}
"""A wrong name, password, database, or too few rights."""
_READ_ONLY = "25006"
_FULL = "53100"


def plain(error: BaseException) -> BaseException:
    """The driver's own error, where SQLAlchemy has wrapped it."""
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def _state(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone with it, or there was none to be had."""
    error = plain(error)
    # The driver's own disorder, as when a connection breaks in the middle of an answer, is not put in order again.
    if isinstance(error, (OSError, asyncio.TimeoutError, sqlalchemy.exc.TimeoutError, asyncpg.InternalClientError)):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # those are about values
    return _state(error) in _GONE or _state(error).startswith("08")


def is_again(error: BaseException) -> bool:
    """Whether the same transaction may work another time."""
    return _state(plain(error)) in _AGAIN


def is_database(error: BaseException) -> bool:
    """Whether it comes from the database at all."""
    return is_lost(error) or isinstance(
        plain(error), (asyncpg.PostgresError, asyncpg.InterfaceError, sqlalchemy.exc.SQLAlchemyError)
    )


def turn(error: BaseException, name: str) -> Exception:
    """What an error means; one that does not come from the database stays what it is."""
    if isinstance(error, errors.PuploadError) or not is_database(error):
        return error if isinstance(error, Exception) else errors.Broken(reason=repr(error))
    meaning = _meaning(plain(error), name)
    meaning.__cause__ = error
    return meaning


def _meaning(error: BaseException, name: str) -> errors.PuploadError:
    state, words = _state(error), str(getattr(error, "message", None) or error) or type(error).__name__
    if is_lost(error) or is_again(error):
        return errors.DatabaseUnavailable(reason=f"{name}: {words}")
    if state == _FULL:
        return errors.DatabaseFull(path=f"the database {name}")
    if state in _OPERATOR:
        return errors.Misconfigured(reason=f"the database {name} refuses us: {words}")
    if state == _READ_ONLY:
        return errors.DatabaseUnavailable(reason=f"{name} is read-only: {words}")
    if state.startswith("XX00") and state != "XX000":
        return errors.Damaged(what=f"the database {name}", reason=f"{words}; restore it from a backup")
    if state[:2] in ("53", "55", "57", "58"):
        return errors.DatabaseUnavailable(reason=f"{name}: {words}")
    return errors.Broken(reason=f"the database says: {words}")
