"""
Two threads for what is short and may block.

Many attempts have something small done at the same moment: a directory made, looked into, removed. A trip to a pool of
threads costs more than that, and threads that each do a little take the interpreter from the event loop in turns. So
one thread takes all that was asked for in one turn of the loop, and brings home many results at once. There is a second
one, so that a slow disk, or a machine that is busy with nodes, does not hold up everybody.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

COUNT = 2

TOGETHER = 16
"""Results that are brought home at once, at most: the first of them waits for the last."""


class _Errand:
    """A piece of work that somebody waits for."""

    __slots__ = ("error", "given", "result", "waiting", "work")

    def __init__(self, work: Callable[..., Any], given: tuple[Any, ...], waiting: "asyncio.Future[Any]") -> None:
        self.work = work
        self.given = given
        self.waiting = waiting
        self.result: Any = None
        self.error: BaseException | None = None


class TwoHands:
    """`ports.Hands`. Made and used on one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._gathered: list[_Errand] = []
        """What was asked for in this turn of the loop."""
        self._errands: queue.SimpleQueue[list[_Errand] | None] = queue.SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"pupload-hand-{number}", daemon=True) for number in range(COUNT)
        ]
        for thread in self._threads:
            thread.start()

    async def do(self, work: Callable[..., T], /, *given: Any) -> T:
        """See `ports.Hands`. Who comes late, when it is closed, is served by the loop's own threads."""
        if self._closed:
            return await asyncio.to_thread(work, *given)
        waiting: asyncio.Future[T] = self._loop.create_future()
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(_Errand(work, given, waiting))
        return await waiting

    def _hand_over(self) -> None:
        """All at once: a thread that woke for the first would take the interpreter from those who ask for the rest."""
        if self._gathered:
            self._errands.put(self._gathered)
            self._gathered = []

    async def close(self) -> None:
        """Returns when everything that waits is done."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            for _ in self._threads:
                self._errands.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    # ── in the threads ──

    def _work(self) -> None:
        while (errands := self._errands.get()) is not None:
            for first in range(0, len(errands), TOGETHER):
                done = errands[first : first + TOGETHER]
                for errand in done:
                    _carry_out(errand)
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    self._loop.call_soon_threadsafe(_bring_home, done)


def _carry_out(errand: _Errand) -> None:
    if errand.waiting.cancelled():
        return  # and not begun: nobody wants it any more
    try:
        errand.result = errand.work(*errand.given)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever asked
        errand.error = error


def _bring_home(done: list[_Errand]) -> None:
    for errand in done:
        if errand.waiting.done():  # cancelled
            continue
        if errand.error is None:
            errand.waiting.set_result(errand.result)
        else:
            errand.waiting.set_exception(errand.error)
