"""
Tasks that somebody owns.

A task that nobody holds may be collected half-way, and one whose error nobody reads hides a bug. A `Tasks` holds its
tasks, logs what they died of, and ends them all when its owner closes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
U = TypeVar("U")


class Tasks:
    """A bag of running tasks."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Runs `work` as a task of this bag; what it dies of is logged."""
        task = self.ask(work, name=name)
        task.add_done_callback(_complain)
        return task

    def ask(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """The same for work whose outcome somebody awaits: an error is theirs, and is not logged."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # read, even where whoever asked has gone away

    async def idle(self) -> None:
        """Returns when no task runs."""
        while self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        """Ends all tasks and waits for them."""
        while self._running:
            for task in self._running:
                task.cancel()  # again for those that the others started while they ended
            await asyncio.wait(self._running)


def _complain(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended with %s: %s", task.get_name(), type(error).__name__, error, exc_info=error)


async def all_of(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """
    What each came to, in order.

    Raises the error of the first that fails, once the others have been ended too: nothing goes on behind the back of
    whoever asked.
    """
    every = list(works)
    if len(every) < 2:
        return [await work for work in every]  # one needs no task of its own
    tasks = [asyncio.ensure_future(work) for work in every]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            await ended(task)


async def both(one: "asyncio.Future[T]", other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """What a task that is under way and this work came to. Raises as `all_of`."""
    task = asyncio.ensure_future(other)
    try:
        first, second = await asyncio.gather(one, task)
        return first, second
    finally:
        await ended(one)
        await ended(task)


async def each_of(things: Collection[T], work: Callable[[T], Awaitable[None]], *, at_once: int) -> None:
    """
    Does the work for each, in order, so many at a time: thousands of things take no more than so many tasks.

    Raises the error of the first that fails, once the others have been ended too.
    """
    left = iter(things)

    async def go_on() -> None:
        for thing in left:
            await work(thing)

    await all_of(go_on() for _ in range(min(at_once, len(things))))


async def ended(task: "asyncio.Future[Any]") -> None:
    """The task has ended afterwards, cancelled if need be; what it came to is nobody's concern any more."""
    task.cancel()
    while not task.done():
        await asyncio.wait({task})
    with suppress(asyncio.CancelledError):
        task.exception()
