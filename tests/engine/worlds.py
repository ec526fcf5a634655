"""A world in memory, with some of its parts made worse."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from tests.bench import Bench, assemble


class Faulty:
    """
    Stands before a part of the world and can hold up or spoil single calls of it.

        store = Faulty(bench.store)
        store.before["copy"] = raises(errors.StoreUnavailable(...), times=2)
    """

    def __init__(self, real: Any) -> None:
        self._real = real
        self.calls: list[str] = []
        self.before: dict[str, Callable[..., Awaitable[None]]] = {}
        """Awaited before the call of this name, with its arguments; what it raises comes out of the call."""
        self.after: dict[str, Callable[..., Awaitable[None]]] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if not inspect.iscoroutinefunction(real):
            return real

        async def call(*args: Any, **named: Any) -> Any:
            self.calls.append(name)
            if name in self.before:
                await self.before[name](*args, **named)
            answer = await real(*args, **named)
            if name in self.after:
                await self.after[name](*args, **named)
            return answer

        return call


class OneStore:
    """`ports.Stores` with this store as the default one, and no others."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def default(self) -> Any:
        return self._store

    def open(self, store: object) -> Any:
        return self._store

    async def prepare(self, store: object) -> None: ...


def raises(error: BaseException, *, times: int = 1 << 30) -> Callable[..., Awaitable[None]]:
    """The first `times` calls fail so."""
    left = times

    async def hook(*_: object, **__: object) -> None:
        nonlocal left
        if left:
            left -= 1
            raise error

    return hook


class Gate:
    """Holds calls up until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, *_: object, **__: object) -> None:
        self.reached.set()
        await self.opened.wait()


@asynccontextmanager
async def changed(bench: Bench, **parts: Any) -> AsyncIterator[Bench]:
    """The same bench with other parts of its world."""
    await bench.engine.close()
    other = assemble(replace(bench.world, **parts), bench.config, bench)
    await other.engine.start()
    try:
        yield other
    finally:
        await other.engine.close()
