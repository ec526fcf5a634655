"""
An event loop in which nothing is left to chance but what a seed decides.

There are no threads, no sockets and no time but the clock's. When nobody has anything to do, the clock is turned to
the next moment for which somebody waits. What would run in a thread runs here, at once or a little later.

Every task belongs to a `Process`, by its context. A process that is killed never runs again: no `finally`, no
`except`, no farewell. That is what `kill -9` does, and what cancelling its tasks would not do. One that is frozen goes
on later, where it was, and believes that no time has passed.
"""

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

from pupload.adapters.memory.clock import VirtualClock

T = TypeVar("T")

PATIENCE = 1_000_000
"""Callbacks in one schedule, which may be days of beats; one that takes more goes round in circles."""


class Stuck(AssertionError):
    """Nothing will ever happen again, or it never ends."""


class Process:
    """Something that can be killed, or frozen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.context: Context = copy_context()
        self.context.run(_PROCESS.set, self)
        self.dropped: list[_Ready] = []
        """What it would have gone on with."""
        self.frozen = False
        self.freezes = 0
        """How often it was frozen."""
        self.held: list[_Ready] = []
        """What it goes on with when it is thawed."""

    @staticmethod
    def current() -> "Process | None":
        """The one whose turn it is."""
        return _PROCESS.get()


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)

_Ready = tuple[asyncio.Handle, Context, Callable[..., object], tuple[Any, ...]]

_numbers = itertools.count()


class _Task(asyncio.Task[Any]):
    """Tasks lie in sets; where they lie must not depend on their address."""

    def __init__(self, coro: Any, **rest: Any) -> None:
        self.number = next(_numbers)
        super().__init__(coro, **rest)

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future[Any]):
    def __init__(self, **rest: Any) -> None:
        self.number = next(_numbers)
        super().__init__(**rest)

    def __hash__(self) -> int:
        return self.number


class Loop(asyncio.AbstractEventLoop):
    """One schedule's loop: as much of one as pupload and asyncio ask for."""

    def __init__(self, clock: VirtualClock, chance: random.Random) -> None:
        self.clock = clock
        self.steps = 0
        self._chance = chance
        self._ready: deque[_Ready] = deque()
        self._later: list[tuple[float, int, asyncio.TimerHandle, Callable[[], None]]] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._prune_at = 1000
        self._running = False

    # ── Running ──────────────────────────────────────────────────────────────────────────────────────────────────

    def run_until_complete(self, future: Any) -> Any:
        """Plays until the future is done. Raises `Stuck` when it never will be."""
        task = asyncio.ensure_future(future, loop=self)
        asyncio._set_running_loop(self)
        self._running = True
        try:
            while not task.done():
                if not self._ready:
                    self._turn_clock()
                self._run_ready()
                if self.steps > PATIENCE:
                    raise Stuck("it goes round in circles")
        finally:
            self._running = False
            asyncio._set_running_loop(None)
        return task.result()

    def _run_ready(self) -> None:
        for _ in range(len(self._ready)):
            handle, context, callback, args = entry = self._ready.popleft()
            if handle.cancelled():
                continue
            process = context.get(_PROCESS)
            if process is not None and process.dead:
                process.dropped.append(entry)
                continue
            if process is not None and process.frozen:
                process.held.append(entry)
                continue
            self.steps += 1
            context.run(callback, *args)

    def _turn_clock(self) -> None:
        due = self.clock.next_due
        wait = None if due is None else max((due - self.clock.now()).total_seconds(), 0.0)
        while self._later and self._later[0][2].cancelled():
            heapq.heappop(self._later)
        if self._later and (wait is None or self._later[0][0] - self.clock.monotonic() <= wait):
            when, _, _, ring = heapq.heappop(self._later)
            self.clock.advance(max(when - self.clock.monotonic(), 0.0))
            ring()
        elif wait is None:
            raise Stuck("everybody waits, and nobody for the clock")
        else:
            self.clock.advance(wait)

    def freeze(self, process: Process) -> None:
        """SIGSTOP."""
        process.frozen = True
        process.freezes += 1

    def thaw(self, process: Process) -> None:
        """SIGCONT."""
        process.frozen = False
        self._ready.extend(process.held)
        process.held.clear()

    def bury(self, processes: Iterable[Process]) -> None:
        """Ends whatever is left, the killed included, so that nothing of this schedule outlives it."""
        asyncio._set_running_loop(self)
        try:
            for _ in range(100):
                left = [task for task in self._tasks if not task.done()]
                if not left:
                    break
                for process in processes:
                    process.dead = False
                    self.thaw(process)
                    self._ready.extend(process.dropped)
                    process.dropped.clear()
                for task in left:
                    task.cancel()
                while self._ready:
                    handle, context, callback, args = self._ready.popleft()
                    if not handle.cancelled():
                        context.run(callback, *args)
        finally:
            asyncio._set_running_loop(None)

    # ── What asyncio asks of a loop ──────────────────────────────────────────────────────────────────────────────

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        """See `asyncio`."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append((handle, copy_context() if context is None else context, callback, args))
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `asyncio`."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `asyncio`."""
        handle, belongs = (
            asyncio.TimerHandle(when, callback, args, self, context),
            copy_context() if context is None else context,
        )

        def ring() -> None:
            self._ready.append((handle, belongs, callback, args))

        heapq.heappush(self._later, (when, next(_numbers), handle, ring))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is left where it is, and passed over."""

    def time(self) -> float:
        """Seconds that never go back."""
        return self.clock.monotonic()

    def create_future(self) -> asyncio.Future[Any]:
        """See `asyncio`."""
        return _Future(loop=self)

    def create_task(
        self, coro: Generator[Any, None, T] | Coroutine[Any, Any, T], *, name: object = None, context: Any = None
    ) -> asyncio.Task[T]:
        """See `asyncio`."""
        task = _Task(coro, loop=self, name=name or "a task", context=context)
        self._tasks.append(task)
        if len(self._tasks) > self._prune_at:
            self._tasks = [one for one in self._tasks if not one.done()]
            self._prune_at = 1000 + 2 * len(self._tasks)
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """What a thread would do, after a few turns of everybody else: the work, and then its news."""
        future: asyncio.Future[T] = self.create_future()
        before, after = self._chance.choice(((0, 1), (0, 2), (1, 1), (2, 0), (3, 2)))

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 - it is told to whoever waits
                self._in_turns(after, _tell_error, future, error)
            else:
                self._in_turns(after, _tell, future, result)

        self._in_turns(before, work)
        return future

    def _in_turns(self, turns: int, callback: Callable[..., object], *args: Any) -> None:
        if turns:
            self.call_soon(self._in_turns, turns - 1, callback, *args)
        else:
            callback(*args)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """The engine logs what its tasks die of; what asyncio has to say is about tasks that were killed."""

    def get_debug(self) -> bool:
        """No."""
        return False

    def is_running(self) -> bool:
        """Whether something is being played."""
        return self._running

    def is_closed(self) -> bool:
        """Never: it is thrown away."""
        return False


def _tell(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _tell_error(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
