"""
What other processes write, heard by those who wait in this one.

Each commit announces the runs it wrote (NOTIFY); one connection listens. An announcement may be lost with a
connection, so it is not relied upon: whoever waits is woken when listening begins anew, and every few seconds a look
at the runs that somebody waits for finds what nobody announced.
"""

import asyncio
import logging
from collections.abc import Container
from contextlib import suppress
from typing import Any

from pupload.adapters.db import postgres, statements
from pupload.adapters.db.hub import Hub

POLL_SECONDS = 5.0
_LONGEST_PAUSE = 2.0
_AT_ONCE = 1000
"""Runs looked at by one statement."""

log = logging.getLogger(__name__)


class Listener:
    """Listens from `start` to `close`. Holds no announcement: each only marks who has to look again."""

    def __init__(self, url: str, channel: str, hub: Hub, *, own: Container[int], poll_seconds: float) -> None:
        """`own` has the server's processes whose announcements are not news."""
        self._url = url
        self._channel = channel
        self._hub = hub
        self._own = own
        self._poll_seconds = poll_seconds
        self._pulses: dict[str, tuple[int, int | None]] = {}
        self._task: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()

    def start(self) -> None:
        """Returns at once; it listens when `listening` is set."""
        self._task = asyncio.create_task(self._work(), name="pupload-postgres-listener")

    async def close(self) -> None:
        """It does not listen any more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _work(self) -> None:
        pause = 0.05
        while True:
            try:
                connection = await postgres.connect(self._url)
                try:
                    pause = 0.05
                    await self._listen(connection)
                finally:
                    self.listening.clear()
                    await postgres.hang_up(connection)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next connection may do
                log.debug("not listening to the database: %s", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _listen(self, connection: Any) -> None:
        """Returns or raises when the connection is gone."""
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        await connection.add_listener(self._channel, self._hear)
        self._hub.wake_all()  # what was written while nobody listened
        self.listening.set()
        while not gone.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await gone.wait()
            if not gone.is_set():
                await self._look(connection)
                self._hub.wake_feed()

    def _hear(self, _connection: Any, pid: int, _channel: str, run_id: str) -> None:
        if pid not in self._own:
            self._hub.wake(postgres.unescaped(run_id))

    async def _look(self, connection: Any) -> None:
        """Wakes those whose run is not as it was at the last look."""
        sql, _ = postgres.compiled(statements.PULSE)
        wanted = self._hub.runs()
        found: dict[str, tuple[int, int | None]] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            rows = await connection.fetch(sql, wanted[start : start + _AT_ONCE])
            found |= {run_id: (version, cursor) for run_id, version, cursor in rows}
        before, self._pulses = self._pulses, found
        for run_id, pulse in found.items():
            if before.get(run_id) != pulse:
                self._hub.wake(run_id)
