"""
`ports.Inspector` by a few processes that do nothing else.

Each is started when it is first needed, asked by one thread, and killed and replaced when it does not answer in time or
dies over a file. What a parser does to itself hurts nobody: the file is then one of which nothing can be told.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pupload import errors, ports
from pupload.adapters.content.types import looked_into
from pupload.domain.facts import Facts, Inspection

START_SECONDS = 30.0
"""For reading all the parsers, on a busy machine."""

FILES = 5000
"""That one process looks into, before another takes its place: libraries forget to give memory back."""

ANSWER_BYTES = 65536

TOGETHER = 16
"""Files that a process is asked about one after the other, before others have their turn."""


class ContentInspector:
    """Looks into files in processes of its own."""

    def __init__(self, *, processes: int = 2, seconds: float = 5.0, misbehave: str = "") -> None:
        """`seconds` is for one file; `misbehave` has the parsers do what tests want (`worker`)."""
        self._pool = ThreadPoolExecutor(processes, thread_name_prefix="content")
        self._own = threading.local()
        self._seconds = seconds
        self._misbehave = misbehave
        self._workers: set[_Worker] = set()

    def looks_into(self, content_type: str) -> bool:
        return looked_into(content_type)

    async def look(self, content: ports.Content, *, content_type: str, size: int) -> Inspection:
        (found,) = await self.look_all([ports.Inspected(content=content, content_type=content_type, size=size)])
        return found

    async def look_all(self, files: Sequence[ports.Inspected]) -> Sequence[Inspection]:
        found: list[Inspection] = []
        for first in range(0, len(files), TOGETHER):
            ask = partial(self._ask_all, files[first : first + TOGETHER])
            found += await asyncio.get_running_loop().run_in_executor(self._pool, ask)
        return found

    def _ask_all(self, files: Sequence[ports.Inspected]) -> list[Inspection]:
        return [self._ask(file.content, file.content_type, file.size) for file in files]

    def _ask(self, content: ports.Content, content_type: str, size: int) -> Inspection:
        order = {"type": content_type, "size": size, "seconds": self._seconds, "test": self._misbehave}
        try:
            worker = self._worker()
            worker.ask(order, content, self._seconds)
            other = str(worker.answer().get("other_type", ""))[:128]
        except (OSError, EOFError, ValueError) as error:
            # No parser was asked yet: it is not the file's fault.
            self._end()
            raise errors.InspectorUnavailable(reason=str(error) or type(error).__name__) from error
        try:
            answer = worker.answer()
        except TimeoutError:
            self._end()
            reason = f"looking into it takes longer than {self._seconds:g} seconds"
            return Inspection(other_type=other, reason=reason)
        except (OSError, EOFError, ValueError):
            self._end()
            return Inspection(other_type=other, reason="the program that looks into it breaks down over it")
        if worker.asked >= FILES:
            self._end()
        return _inspection(other, answer)

    def _worker(self) -> "_Worker":
        found: _Worker | None = getattr(self._own, "worker", None)
        if found is None:
            found = self._own.worker = _Worker()
            self._workers.add(found)
            found.wait_until_ready()
        return found

    def _end(self) -> None:
        """This thread's worker is gone, if there was one; the next file gets a new one."""
        worker: _Worker | None = getattr(self._own, "worker", None)
        if worker is not None:
            worker.end()
            self._workers.discard(worker)
            self._own.worker = None

    @property
    def processes(self) -> list[int]:
        """The ids of those that run."""
        return [worker.id for worker in list(self._workers)]

    async def close(self) -> None:
        """Ends the processes; what they were asked is not answered any more."""
        for worker in list(self._workers):
            worker.hang_up()
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        for worker in list(self._workers):
            worker.end()
        self._workers.clear()


class _Worker:
    """One process, and the line to it."""

    def __init__(self) -> None:
        self.asked = 0
        """Files so far."""
        self._unread = b""
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "pupload.adapters.content.worker"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        self.id = self._process.pid

    def wait_until_ready(self) -> None:
        """Returns when it takes orders. Raises OSError, EOFError."""
        self._line.settimeout(START_SECONDS)
        self._read_line()

    def ask(self, order: dict[str, Any], content: ports.Content, seconds: float) -> None:
        """Gives it the order, with `seconds` for each line of the answer. Raises OSError, also for the file."""
        self.asked += 1
        self._line.settimeout(seconds)
        if isinstance(content, Path):
            descriptor = os.open(content, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                socket.send_fds(self._line, [json.dumps(order).encode() + b"\n"], [descriptor])
            finally:
                os.close(descriptor)
        else:
            pieces = [(start, len(data)) for start, data in content]
            self._line.sendall(json.dumps({**order, "pieces": pieces}).encode() + b"\n")
            for _, data in content:
                self._line.sendall(data)

    def answer(self) -> dict[str, Any]:
        """A line of its answer. Raises TimeoutError, and EOFError, OSError, ValueError where there is none."""
        answer = json.loads(self._read_line())
        if isinstance(answer, dict):
            return answer
        raise EOFError

    def _read_line(self) -> bytes:
        while b"\n" not in self._unread:
            more = self._line.recv(ANSWER_BYTES)
            if not more or len(self._unread) > ANSWER_BYTES:
                raise EOFError("the program ended")
            self._unread += more
        found, _, self._unread = self._unread.partition(b"\n")
        return found

    def hang_up(self) -> None:
        """Whoever waits for its answer waits no more."""
        with contextlib.suppress(OSError):  # it has gone
            self._line.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """It is gone afterwards."""
        self._process.kill()
        self._process.wait()
        self._line.close()


def _inspection(other: str, answer: dict[str, Any]) -> Inspection:
    """The answer, as far as it is one: a parser that a file has taken over may say anything."""
    told = answer.get("facts")
    given = told if isinstance(told, dict) else {}
    numbers = {name: given[name] for name in Facts.__slots__ if _is_number(given.get(name))}
    whole = {name: value if name == "duration_seconds" else int(value) for name, value in numbers.items()}
    return Inspection(facts=Facts(**whole), other_type=other, reason=str(answer.get("reason", ""))[:200])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**63
