"""
SQLite: how it is opened, how statements reach it, and what its errors mean.

WAL with synchronous=FULL: a commit is on the disk when it returns, and readers never wait for the writer. The file
holds the secrets of stores, so only its owner may read it; SQLite gives its side files the same mode.
"""

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.dialects import sqlite

from pupload import errors
from pupload.adapters.db import statements

BUSY_SECONDS = 5.0
"""How long a writer waits for another process that has locked the file (a backup, a curious shell)."""
SIZE = "database_bytes"
"""What statements call `size`."""
_WAL_BYTES = 64 << 20
"""The write-ahead log is cut back to this after it grew larger."""
_MODE = 0o600
_STATEMENTS = 512
"""Kept compiled: those that write many rows are one for each number of them."""

_DIALECT = sqlite.dialect(paramstyle="named")
_BY_PLACE = sqlite.dialect(paramstyle="qmark")

_ONE_ROW = re.compile(r"VALUES (\([^()]*\))")
"""In an insertion of one row, the places of its values."""

WIDEST = 32
"""
Rows that one call writes. With each call, and each row of `executemany`, the driver gives the interpreter away, and has
to wait until it gets it back from a busy event loop: longer than writing the row takes.
"""


class Session:
    """
    A connection that runs SQLAlchemy's statements, compiled once, with nothing between them and the driver.

    Rows that `run_many` is given for tables beside a run's own wait until somebody might read them, or until `flush`:
    those of many saves take one call.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._compiled: dict[sqlalchemy.Executable, str] = {}
        self._widened: dict[tuple[sqlalchemy.Executable, int], tuple[str, Sequence[str]]] = {}
        self._rows: dict[sqlalchemy.Executable, list[Mapping[str, Any]]] = {}
        self.put_off = 0
        """How many rows were put off since the session was made."""

    def run(self, statement: sqlalchemy.Executable, values: Mapping[str, Any]) -> sqlite3.Cursor:
        """Runs it; the cursor has the rows."""
        if self._rows and statement not in statements.ROW_ONLY:
            self.flush()
        return self.connection.execute(self._sql(statement), values)

    def run_many(self, statement: sqlalchemy.Executable, rows: Sequence[Mapping[str, Any]]) -> None:
        """Runs it once per row of values, now or at `flush`."""
        if statement in statements.BESIDE:
            self._rows.setdefault(statement, []).extend(rows)
            self.put_off += len(rows)
        elif rows:
            self.connection.executemany(self._sql(statement), rows)

    def flush(self) -> None:
        """Writes what was put off, in the order in which its statements were first used."""
        put_off, self._rows = self._rows, {}
        for statement, rows in put_off.items():
            done = 0
            while done < len(rows):
                count = min(1 << (len(rows) - done).bit_length() - 1, WIDEST)
                sql, names = self._wide(statement, count)
                values = [row[name] for row in rows[done : done + count] for name in names]
                self.connection.execute(sql, values)
                done += count

    def forget(self) -> None:
        """Drops what was put off."""
        self._rows.clear()

    def walk(self, statement: sqlalchemy.Executable, values: Mapping[str, Any]) -> Iterator[Any]:
        """The rows one by one, as they are wanted."""
        return iter(self.run(statement, values))

    def _wide(self, statement: sqlalchemy.Executable, count: int) -> tuple[str, Sequence[str]]:
        """The insertion of so many rows at once, and the columns of each in the order of their values."""
        try:
            return self._widened[statement, count]
        except KeyError:
            compiled = statement.compile(dialect=_BY_PLACE)  # type: ignore[attr-defined]
            sql = _ONE_ROW.sub(lambda row: f"VALUES {', '.join([row[1]] * count)}", str(compiled))
            found = self._widened[statement, count] = sql, compiled.positiontup
            return found

    def _sql(self, statement: sqlalchemy.Executable) -> str:
        try:
            return self._compiled[statement]
        except KeyError:
            sql = self._compiled[statement] = str(statement.compile(dialect=_DIALECT))  # type: ignore[attr-defined]
            return sql


def connect(path: Path, *, busy_seconds: float = BUSY_SECONDS, read_only: bool = False) -> sqlite3.Connection:
    """A connection as pupload wants it; it belongs to one thread at a time. Raises what SQLite raises."""
    connection = sqlite3.connect(
        path, timeout=busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS
    )
    # A damaged text, or one where bytes should be, must not look like a database that is away: see who reads it.
    connection.text_factory = _text
    connection.create_function(SIZE, 0, lambda: size(path))
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def size(path: Path) -> int:
    """Bytes of the database with its write-ahead log."""
    return sum(each.stat().st_size for each in (path, path.with_name(f"{path.name}-wal")) if each.exists())


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def make_file(path: Path) -> None:
    """The file is there afterwards, for its owner only. Its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
    path.chmod(_MODE)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the name of a new file is not on the disk before its folder is
    finally:
        os.close(folder)


@contextmanager
def turned(path: Path) -> Iterator[None]:
    """SQLite's errors in here are raised as ours."""
    try:
        yield
    except (sqlite3.Error, sqlalchemy.exc.DBAPIError) as error:
        raise turn(error, path) from error


def turn(error: Exception, path: Path) -> errors.PuploadError:
    """What an error of SQLite means."""
    if isinstance(error, sqlalchemy.exc.DBAPIError) and isinstance(error.orig, Exception):
        error = error.orig
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of the code tells details
    if code == sqlite3.SQLITE_FULL:
        return errors.DatabaseFull(path=str(path.parent))
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return errors.Damaged(what=f"the database {path}", reason=f"{error}; restore it from a backup")
    if isinstance(error, sqlite3.OperationalError):
        return errors.DatabaseUnavailable(reason=f"{path.name}: {error}")
    return errors.Broken(reason=f"the database says: {error}")
