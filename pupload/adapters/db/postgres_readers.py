"""A few connections that read; what one job reads is one moment of the database."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from pupload import errors
from pupload.adapters.db import postgres

CONNECTIONS = 4
_PAUSE = 0.2
"""Seconds between two tries."""
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

T = TypeVar("T")


class PostgresReaders:
    """`session.Readers` over a pool. A server that goes away and comes back is waited for."""

    def __init__(self, engine: AsyncEngine, name: str, *, patience_seconds: float) -> None:
        self._engine = engine
        self._name = name
        self._patience = patience_seconds
        self._closed = False

    async def do(self, job: Callable[[postgres.Session], T]) -> T:
        """See `session.Readers.do`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        while True:
            if self._closed:
                raise errors.DatabaseUnavailable(reason="it was closed")
            try:
                return await self._read(job)
            except Exception as error:
                # Reading changes nothing, so it may be done again.
                if not (postgres.is_lost(error) or postgres.is_again(error)) or loop.time() + _PAUSE > until:
                    raise postgres.turn(error, self._name) from error
            await asyncio.sleep(_PAUSE)

    async def close(self) -> None:
        """Nobody reads any more."""
        self._closed = True
        await self._engine.dispose()

    async def _read(self, job: Callable[[postgres.Session], T]) -> T:
        link = await postgres.Link.open(self._engine)
        try:
            return await link.run(lambda session: _one_moment(session, job))
        except BaseException as error:
            if postgres.is_lost(error) or isinstance(error, asyncio.CancelledError):
                await link.drop()
            raise
        finally:
            await link.close()


def _one_moment(session: postgres.Session, job: Callable[[postgres.Session], T]) -> T:
    session.say(_BEGIN)
    try:
        found = job(session)
    except BaseException as error:
        if not postgres.is_lost(error) and isinstance(error, Exception):
            session.say("ROLLBACK")
        raise
    session.say("ROLLBACK")
    return found
