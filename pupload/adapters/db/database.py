"""
The database of a server: opened, checked and closed here, used through its ports.

Opening takes the data folder for this process, makes or migrates the file, and starts the threads.
"""

import asyncio
import secrets
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import sqlalchemy

from pupload import errors, ports
from pupload.adapters.db import migrations, sqlite, statements
from pupload.adapters.db.hub import Hub
from pupload.adapters.db.journal import Journal
from pupload.adapters.db.lock import FolderLock
from pupload.adapters.db.projects import Projects
from pupload.adapters.db.readers import Readers
from pupload.adapters.db.runs import Runs
from pupload.adapters.db.writer import Writer

_CHECKED_BYTES = 64 << 20
"""A file up to this size is checked when it is opened (a fraction of a second); a larger one by `pup doctor`."""
_FULL = 2
"""SQLite's number for synchronous=FULL."""
_LOW_BYTES = 1 << 30
"""Less free disk than this is worth a word."""


class Database:
    """`runs`, `journal` and `flows` over one SQLite file."""

    def __init__(self, path: Path, lock: FolderLock, instance: str, *, busy_seconds: float) -> None:
        """Use `open`."""
        self.path = path
        self.instance = instance
        """The name of this installation, made with the database: 16 letters and digits."""
        self._lock = lock
        hub = Hub()
        self._readers = Readers(path)
        self._writer = Writer(path, wake=hub.wake, busy_seconds=busy_seconds)
        self.runs = Runs(self._writer, self._readers)
        self.journal = Journal(self._writer, self._readers, hub)
        self.flows = Projects(self._writer, self._readers)

    @classmethod
    async def open(cls, where: str | Path, *, busy_seconds: float = sqlite.BUSY_SECONDS) -> Self:
        """
        The database at a path or a `sqlite:///` URL, made when there is none.

        Its folder belongs to this process until `close`. Raises `errors.Misconfigured` when another process has it or
        `where` is nothing we can open, `errors.Damaged` when the file is no sound database, `errors.DiskFull`,
        `errors.DatabaseUnavailable`.
        """
        path = path_of(where)
        lock, instance = await asyncio.to_thread(_prepare, path, busy_seconds)
        try:
            with sqlite.turned(path):
                return cls(path, lock, instance, busy_seconds=busy_seconds)
        except BaseException:
            lock.release()
            raise

    async def close(self) -> None:
        """Returns when all that was asked for is written; the folder is free for others then."""
        await self._readers.close()
        await self._writer.close()  # last: whoever is last folds the write-ahead log into the file
        self._lock.release()

    async def check(self) -> Sequence[ports.ProbeLine]:
        """For `pup doctor`: every line ok, or what is wrong and how to mend it. Reads the whole file."""
        lines = await check(self.path)
        try:
            level = await self._writer.do(
                lambda session: session.connection.execute("PRAGMA synchronous").fetchone()[0]
            )
        except errors.PuploadError as error:
            return [*lines, ports.ProbeLine(what="database writer", ok=False, detail=str(error))]
        detail = "every commit is flushed to the disk" if level == _FULL else f"synchronous is {level}, not {_FULL}"
        return [*lines, ports.ProbeLine(what="database writer", ok=level == _FULL, detail=detail)]


async def check(where: str | Path) -> Sequence[ports.ProbeLine]:
    """As `Database.check`, of a database that a server may have open; changes nothing. Raises nothing."""
    path = path_of(where)
    return await asyncio.to_thread(_check, path)


def path_of(where: str | Path) -> Path:
    """The file that a path or URL names. Raises `errors.Misconfigured` for what is no SQLite database."""
    if isinstance(where, Path) or "://" not in where:
        return Path(where).absolute()
    try:
        url = sqlalchemy.make_url(where)
    except sqlalchemy.exc.ArgumentError as error:
        raise errors.Misconfigured(reason="the database's URL cannot be read") from error
    if url.drivername != "sqlite" or not url.database:
        raise errors.Misconfigured(reason=f"{url.drivername} is no database this version can use: give sqlite:///PATH")
    return Path(url.database).absolute()


def _prepare(path: Path, busy_seconds: float) -> tuple[FolderLock, str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(path.parent)
    except OSError as error:
        raise errors.Misconfigured(reason=f"the data folder {path.parent} cannot be used: {error.strerror}") from error
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
