"""
Tasks that somebody owns.

A task that nobody holds may be collected half-way, and one whose error nobody reads hides a bug. A `Tasks` holds its
tasks, logs what they died of, and ends them all when its owner closes.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """A bag of running tasks."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Runs `work` as a task of this bag."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s ended with %s: %s", task.get_name(), type(error).__name__, error, exc_info=error)

    async def idle(self) -> None:
        """Returns when no task runs."""
        while self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        """Ends all tasks and waits for them."""
        for task in self._running:
            task.cancel()
        await self.idle()
