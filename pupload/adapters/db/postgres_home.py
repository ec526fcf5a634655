"""
The database on a PostgreSQL server: opened, checked and closed here.

Opening makes or migrates the tables, and starts to write and to listen. Several servers may have it open at once.
"""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from pupload import errors, ports
from pupload.adapters.db import migrations, postgres, statements
from pupload.adapters.db.hub import Hub
from pupload.adapters.db.lock import FolderLock
from pupload.adapters.db.postgres_listener import POLL_SECONDS, Listener
from pupload.adapters.db.postgres_readers import CONNECTIONS, PostgresReaders
from pupload.adapters.db.postgres_writer import ROW, PostgresWriter

_SWEEP_WRITERS = """
    DELETE FROM meta WHERE key IN (
        SELECT key FROM meta WHERE starts_with(key, $1)
        AND coalesce(nullif(split_part(value, ' ', 2), '')::bigint, 0) < extract(epoch FROM now()) - 86400
        FOR UPDATE SKIP LOCKED
    )
"""
"""Rows of writers that have not written for a day: one that goes on makes its row again."""
_FORGET_STRANGE = "DELETE FROM feed WHERE txid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
"""
The numbers of another server's transactions, from which the database was dumped, say nothing here; this server has not
come to them yet. Whoever followed there begins anew.
"""
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(1886744625, 1)"
"""Two servers that open one database migrate it one after the other."""
_FACTS = """
    SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),
           current_setting('fsync'), current_setting('full_page_writes'), current_setting('server_version'),
           pg_is_in_recovery()
"""


class PostgresHome:
    """`database.Home` on a server."""

    alone = False

    def __init__(self, url: str, stack: AsyncExitStack, *, patience_seconds: float) -> None:
        """Use `open`."""
        self.instance = ""
        self._url = url
        self._name = postgres.name_of(url)
        self._stack = stack
        self.hub = Hub()
        self.readers = PostgresReaders(
            postgres.make_engine(url, connections=CONNECTIONS), self._name, patience_seconds=patience_seconds
        )
        self.writer = PostgresWriter(
            postgres.make_engine(url, connections=1),
            self._name,
            wake=self.hub.wake,
            patience_seconds=patience_seconds,
        )

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        folder: Path | None,
        patience_seconds: float,
        poll_seconds: float = POLL_SECONDS,
    ) -> Self:
        """See `database.Database.open`."""
        async with AsyncExitStack() as stack:
            if folder is not None:
                stack.callback((await asyncio.to_thread(FolderLock.of, folder)).release)
            home = cls(url, stack, patience_seconds=patience_seconds)
            stack.push_async_callback(home.writer.close)
            stack.push_async_callback(home.readers.close)
            await home._start(poll_seconds)
            home._stack = stack.pop_all()
            return home

    async def _start(self, poll_seconds: float) -> None:
        await self.writer.start()
        # In a thread with a loop of its own: Alembic computes for a while, and keeps what it works on in a global.
        await asyncio.to_thread(asyncio.run, _migrate(self._url))
        self.instance = await self.writer.do(_name)
        self.writer.channel = f"pupload_{self.instance}"
        listener = Listener(self._url, self.writer.channel, self.hub, own=self.writer.pids, poll_seconds=poll_seconds)
        self._stack.push_async_callback(listener.close)
        listener.start()
        with suppress(TimeoutError):  # it goes on trying
            async with asyncio.timeout(postgres.CONNECT_SECONDS):
                await listener.listening.wait()

    async def close(self) -> None:
        """See `database.Database.close`."""
        await self._stack.aclose()

    async def check(self) -> Sequence[ports.ProbeLine]:
        """See `database.Database.check`."""
        there = self.writer.connected
        detail = "connected" if there else "not connected: writes wait for the server to come back"
        return [*await check(self._url), ports.ProbeLine(what="database writer", ok=there, detail=detail)]


async def check(url: str) -> Sequence[ports.ProbeLine]:
    """See `database.check`."""
    try:
        connection = await postgres.connect(url)
        try:
            return _lines(await connection.fetchrow(_FACTS))
        finally:
            await postgres.hang_up(connection)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is wrong
        detail = str(postgres.turn(error, postgres.name_of(url)))
        return [ports.ProbeLine(what="database server", ok=False, detail=detail)]


def _lines(facts: Sequence[Any]) -> list[ports.ProbeLine]:
    major, encoding, fsync, whole_pages, version, standby = facts
    old = "" if major >= postgres.OLDEST else f": pupload needs {postgres.OLDEST} or newer"
    safe = (fsync, whole_pages) == ("on", "on")
    return [
        ports.ProbeLine(
            what="database server",
            ok=not old and not standby,
            detail=f"PostgreSQL {version}{old}" + (", a standby that takes no writes" if standby else ""),
        ),
        ports.ProbeLine(
            what="database encoding",
            ok=encoding == "UTF8",
            detail=encoding if encoding == "UTF8" else f"{encoding}: make the database anew with ENCODING 'UTF8'",
        ),
        ports.ProbeLine(
            what="database durability",
            ok=safe,
            detail="every commit is flushed to the disk"
            if safe
            else f"fsync is {fsync} and full_page_writes {whole_pages}: switch both on, a power cut destroys it",
        ),
    ]


def _name(session: postgres.Session) -> str:
    """The instance's name, made where there is none; and who is long gone is forgotten."""
    session.ask(_SWEEP_WRITERS, ROW)
    session.ask(_FORGET_STRANGE)
    session.run(statements.INSERT_META, {"key": "instance", "value": secrets.token_hex(8)})
    name: str = session.run(statements.META, {"name": "instance"}).fetchone()[0]
    return name


async def _migrate(url: str) -> None:
    """The tables are today's afterwards."""
    engine = postgres.make_engine(url, connections=1)
    name = postgres.name_of(url)
    try:
        async with engine.begin() as over:
            await _refuse_what_cannot_serve(over, name)
            await over.exec_driver_sql(_ONE_AT_A_TIME)
            await over.run_sync(migrations.upgrade)
    except Exception as error:
        raise postgres.turn(error, name) from error
    finally:
        await engine.dispose()


async def _refuse_what_cannot_serve(over: AsyncConnection, name: str) -> None:
    facts = (await over.exec_driver_sql(_FACTS)).one()
    for line in _lines(tuple(facts)):
        if not line.ok and line.what != "database durability":
            raise errors.Misconfigured(reason=f"the database {name} cannot be used: {line.detail}")
