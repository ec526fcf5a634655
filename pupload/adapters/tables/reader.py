"""
`ports.Tables` by a process for each file that is asked about, two at a time.

What a parser does to itself hurts nobody: the file is then one of which no table can be shown.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pupload import errors, ports
from pupload.domain import tables
from pupload.domain.tables import Kind, Profile, Table

AT_ONCE = 2

PREVIEW_SECONDS = 10.0
COUNT_SECONDS = 5.0

START_SECONDS = 20.0
"""For reading all the code, on a busy machine."""

ANSWER_BYTES = 64 * 1024 * 1024

_TOO_LONG = "reading it takes longer than {:g} seconds"

_ENVIRONMENT = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
"""Other allocators take a thousand million addresses at once, which the process has no room for."""


class TableReader:
    """Reads files as tables."""

    def __init__(self, *, seconds: float = 20.0, misbehave: str = "") -> None:
        """`seconds` is for telling of all columns of one file; `misbehave` has the parser do what tests want."""
        self._seconds = seconds
        self._misbehave = misbehave
        self._room = asyncio.Semaphore(AT_ONCE)

    async def preview(self, file: ports.TableFile, *, rows: int) -> Table:
        answer = await self._ask(file, "preview", min(self._seconds, PREVIEW_SECONDS), rows=rows)
        return await asyncio.to_thread(_checked, _table, answer)

    async def profile(self, file: ports.TableFile) -> Profile:
        answer = await self._ask(file, "profile", self._seconds)
        return await asyncio.to_thread(_checked, _profile, answer)

    async def cut(self, file: ports.TableFile, to: Path, *, rows: int) -> bool:
        answer = await self._ask(file, "cut", min(self._seconds, PREVIEW_SECONDS), rows=rows)
        return await asyncio.to_thread(_checked, lambda told: _written(told["data"], to), answer)

    async def count(self, file: ports.TableFile) -> int | None:
        answer = await self._ask(file, "count", min(self._seconds, COUNT_SECONDS))
        told = _checked(lambda told: (Kind(told["kind"]), int(told["rows"]), told["sampled"]), answer)
        return told[1] if told[0].tabular and not told[2] else None

    async def _ask(self, file: ports.TableFile, task: str, seconds: float, *, rows: int = 0) -> bytes:
        order = {"task": task, "kind": file.kind, "size": file.size, "limit": file.head, "tail": file.tail}
        text = json.dumps(order | {"rows": rows, "seconds": seconds, "test": self._misbehave})
        async with self._room:
            process = await self._start(file.path, text)
            try:
                async with asyncio.timeout(seconds + START_SECONDS):
                    answer = await _all_of(process)
                    await process.wait()
            except TimeoutError as error:
                raise errors.NoPreview(reason=_TOO_LONG.format(seconds)) from error
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        if not answer:
            raise errors.InspectorUnavailable(reason="the program that reads tables does not start")
        if process.returncode in (-signal.SIGALRM, -signal.SIGXCPU):
            raise errors.NoPreview(reason=_TOO_LONG.format(seconds))
        if process.returncode:
            raise errors.NoPreview(reason="the program that reads it breaks down over it")
        return answer

    async def _start(self, path: Path, order: str) -> asyncio.subprocess.Process:
        command = [sys.executable, "-I", "-m", "pupload.adapters.tables.worker", order]
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                return await asyncio.create_subprocess_exec(
                    *command,
                    stdin=descriptor,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    env=_ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,
                )
            finally:
                os.close(descriptor)
        except OSError as error:
            raise errors.InspectorUnavailable(reason=error.strerror or type(error).__name__) from error


async def _all_of(process: asyncio.subprocess.Process) -> bytes:
    found = bytearray()
    assert process.stdout is not None
    while piece := await process.stdout.read(1 << 20):
        found += piece
        if len(found) > ANSWER_BYTES:
            raise errors.NoPreview(reason="its rows are too long to be shown")
    return bytes(found)


def _checked(make: Any, answer: bytes) -> Any:
    """What the answer says, as far as it says anything: one that a file has taken over may say whatever it likes."""
    try:
        told = json.loads(answer)
        if reason := told.get("reason"):
            raise errors.NoPreview(reason=tables.clean(str(reason))[:300])
        return make(told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise errors.NoPreview(reason="the program that reads it breaks down over it") from error


def _written(data: str | None, to: Path) -> bool:
    """Whether there was anything to be written."""
    if data is None:
        return False
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(base64.b64decode(data, validate=True))
    return True


def _table(told: Mapping[str, Any]) -> Table:
    columns = tuple(dict.fromkeys(tables.clean(str(name)) for name in told["columns"]))
    rows = tuple({name: tables.plain(row.get(name)) for name in columns} for row in told["rows"])
    return Table(kind=Kind(told["kind"]), columns=columns, rows=rows, truncated=bool(told["truncated"]))


def _profile(told: Mapping[str, Any]) -> Profile:
    return Profile(
        kind=Kind(told["kind"]),
        row_count=int(told["rows"]),
        columns=tuple(tables.column_of(each) for each in told["columns"]),
        sampled=bool(told["sampled"]),
        profiling_ms=int(told["ms"]),
    )
