"""
The real server, made to die at a moment that no signal from outside could meet: `dying.py before 7 dev --data ...`.

Run by its path, with what `pup` takes behind the moment. It is killed `before` or `after` the n-th transaction from
when the first run was accepted, that one included: `before`, nothing of it is written; `after`, all of it is, and
nobody was told. `--memory BYTES` in place of the moment has the engine tell of so much memory instead: what containers
are promised they need not use. `--opening MOMENT` has it die when it opens the gate of an armed container: `before` it
tells the gate anything, in the `middle` of telling, when it has told all (`told`), or when the command runs (`opened`).
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pupload.adapters.db.runs import Runs
from pupload.adapters.db.writer import Writer
from pupload.adapters.docker.arming import Gate
from pupload.adapters.docker.executor import DockerExecutor
from pupload.cli.main import main


def _die_at(moment: str, number: int) -> None:
    write: Callable[..., Any] = Writer._write
    create: Callable[..., Any] = Runs.create
    left: list[int] = []

    def dying(self: Writer, group: Any) -> None:
        if not left:
            write(self, group)
            return
        left[0] -= 1
        if left[0] or moment == "after":
            write(self, group)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    async def counting(self: Runs, *arguments: Any, **more: Any) -> Any:
        left[:] = left or [number]
        return await create(self, *arguments, **more)

    Writer._write, Runs.create = dying, counting  # type: ignore[method-assign]


def _tell(memory_bytes: int) -> None:
    capacity: Callable[..., Any] = DockerExecutor.capacity

    async def told(self: DockerExecutor) -> Any:
        return replace(await capacity(self), memory_bytes=memory_bytes)

    DockerExecutor.capacity = told  # type: ignore[method-assign]


def _die_opening(moment: str) -> None:
    tell: Callable[..., Any] = Gate._tell
    open_: Callable[..., Any] = Gate.open

    async def telling(self: Gate, head: bytes, text: bytes) -> None:
        if moment == "middle":
            await tell(self, head, text[:-1])
        elif moment != "before":
            await tell(self, head, text)
        if moment != "opened":
            os.kill(os.getpid(), signal.SIGKILL)

    async def opening(self: Gate, *arguments: Any) -> None:
        await open_(self, *arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    Gate._tell, Gate.open = telling, opening  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    what, value = sys.argv[1:3]
    del sys.argv[1:3]
    if what == "--memory":
        _tell(int(value))
    elif what == "--opening":
        _die_opening(value)
    else:
        _die_at(what, int(value))
    main()
