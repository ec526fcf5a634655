"""
The database in a file: SQLite, opened, checked and closed here.

Opening takes the folder for this process, makes or migrates the file, and starts the threads.
"""

import asyncio
import secrets
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import sqlalchemy

from pupload import errors, ports
from pupload.adapters.db import migrations, sqlite, statements
from pupload.adapters.db.hub import Hub
from pupload.adapters.db.lock import FolderLock
from pupload.adapters.db.readers import Readers
from pupload.adapters.db.writer import Writer

_CHECKED_BYTES = 64 << 20
"""A file up to this size is checked when it is opened (a fraction of a second); a larger one by `pup doctor`."""
_FULL = 2
"""SQLite's number for synchronous=FULL."""
_LOW_BYTES = 1 << 30
"""Less free disk than this is worth a word."""


class SqliteHome:
    """`database.Home` in one file."""

    alone = True

    def __init__(self, path: Path, instance: str, *, busy_seconds: float) -> None:
        """Use `open`."""
        self.path = path
        self.instance = instance
        self._locks = ExitStack()
        self.hub = Hub()
        self.readers = Readers(path)
        self.writer = Writer(path, wake=self.hub.wake, busy_seconds=busy_seconds)

    @classmethod
    async def open(cls, path: Path, *, folder: Path | None, busy_seconds: float) -> Self:
        """See `database.Database.open`."""
        with ExitStack() as stack:
            if folder is not None and folder != path.parent:
                stack.callback((await asyncio.to_thread(FolderLock.of, folder)).release)
            lock, instance = await asyncio.to_thread(_prepare, path, busy_seconds)
            stack.callback(lock.release)
            with sqlite.turned(path):
                home = cls(path, instance, busy_seconds=busy_seconds)
            home._locks = stack.pop_all()
            return home

    async def close(self) -> None:
        """See `database.Database.close`."""
        await self.readers.close()
        await self.writer.close()  # last: whoever is last folds the write-ahead log into the file
        self._locks.close()

    async def check(self) -> Sequence[ports.ProbeLine]:
        """See `database.Database.check`."""
        lines = await check(self.path)
        try:
            level = await self.writer.do(lambda session: session.connection.execute("PRAGMA synchronous").fetchone()[0])
        except errors.PuploadError as error:
            return [*lines, ports.ProbeLine(what="database writer", ok=False, detail=str(error))]
        detail = "every commit is flushed to the disk" if level == _FULL else f"synchronous is {level}, not {_FULL}"
        return [*lines, ports.ProbeLine(what="database writer", ok=level == _FULL, detail=detail)]


async def check(path: Path) -> Sequence[ports.ProbeLine]:
    """See `database.check`."""
    return await asyncio.to_thread(_check, path)


def _prepare(path: Path, busy_seconds: float) -> tuple[FolderLock, str]:
    lock = FolderLock.of(path.parent)
    try:
        sqlite.make_file(path)
        with sqlite.turned(path):
            return lock, _ready(path, busy_seconds)
    except OSError as error:
        lock.release()
        raise errors.Misconfigured(reason=f"the database {path} cannot be used: {error.strerror}") from error
    except BaseException:
        lock.release()
        raise


def _ready(path: Path, busy_seconds: float) -> str:
    """Checks, migrates, and returns the instance's name."""
    connection = sqlite.connect(path, busy_seconds=busy_seconds)
    try:
        if path.stat().st_size <= _CHECKED_BYTES and (trouble := _trouble(connection)):
            raise errors.Damaged(what=f"the database {path}", reason=f"{trouble}; restore it from a backup")
        engine = sqlalchemy.create_engine("sqlite://", creator=lambda: connection, poolclass=sqlalchemy.StaticPool)
        with engine.connect() as over:
            over.exec_driver_sql("BEGIN IMMEDIATE")
            migrations.upgrade(over)
            over.commit()
        session = sqlite.Session(connection)
        session.run(statements.INSERT_META, {"key": "instance", "value": secrets.token_hex(8)})
        instance: str = session.run(statements.META, {"name": "instance"}).fetchone()[0]
        return instance
    finally:
        connection.close()


def _trouble(connection: sqlite3.Connection) -> str:
    """What SQLite finds wrong with the file, empty when it is sound."""
    found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    return "" if found == ["ok"] else "; ".join(found)


def _check(path: Path) -> Sequence[ports.ProbeLine]:
    if not path.is_file():
        return [ports.ProbeLine(what="database", ok=True, detail=f"{path} is not there yet: the server makes it")]
    try:
        with sqlite.turned(path):
            lines = _look(path)
    except errors.PuploadError as error:
        lines = [ports.ProbeLine(what="database", ok=False, detail=str(error))]
    return [*lines, _look_at_mode(path), _look_at_disk(path)]


def _look(path: Path) -> list[ports.ProbeLine]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=sqlite.BUSY_SECONDS)
    try:
        trouble = _trouble(connection)
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    finally:
        connection.close()
    return [
        ports.ProbeLine(
            what="database integrity",
            ok=not trouble,
            detail=f"{trouble}; stop the server and restore {path} from a backup" if trouble else str(path),
        ),
        ports.ProbeLine(
            what="database journal",
            ok=journal == "wal",
            detail="wal" if journal == "wal" else f"{journal}: start the server once, it sets wal",
        ),
    ]


def _look_at_mode(path: Path) -> ports.ProbeLine:
    mode = path.stat().st_mode & 0o777
    return ports.ProbeLine(
        what="database file mode",
        ok=not mode & 0o077,
        detail=f"{mode:04o}" if not mode & 0o077 else f"{mode:04o}: it holds secrets, run chmod 600 {path}",
    )


def _look_at_disk(path: Path) -> ports.ProbeLine:
    free = shutil.disk_usage(path.parent).free
    words = f"{free / (1 << 30):.1f} GiB free at {path.parent}"
    return ports.ProbeLine(
        what="database disk", ok=free >= _LOW_BYTES, detail=words if free >= _LOW_BYTES else f"{words}: make room"
    )
