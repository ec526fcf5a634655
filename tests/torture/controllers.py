"""
One server of the installation, and what can be done to its life.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.checker import Violation
from tests.system import server as servers

START_SECONDS = 60.0
"""A server that could not start by then, while all it needs was there, never will."""


class Controller:
    """A server on a data folder of its own, started again whenever it is not there."""

    def __init__(self, folder: Path, environment: dict[str, str], away: Callable[[], bool]) -> None:
        """`away` tells whether something is away now that a server needs for its start."""
        self.server = servers.Server(folder, **environment)
        self.broken: list[Violation] = []
        self.counts: Counter[str] = Counter()
        self.slowest_start = 0.0
        self._away = away
        self._one_at_a_time = asyncio.Lock()

    async def open(self) -> None:
        """It serves."""
        async with self._one_at_a_time:
            await self._start()

    async def _start(self) -> None:
        """Again and again until it serves, as a service manager does it."""
        began, failed = time.monotonic(), 0
        while True:
            launched = time.monotonic()
            process = self.server.process = await asyncio.to_thread(self.server.launch)
            line = await asyncio.to_thread(self.server.ready_line, process)
            self.counts["starts"] += 1
            if self.server.url in line:
                self.slowest_start = max(self.slowest_start, time.monotonic() - launched)
                return
            failed += 1
            await asyncio.to_thread(self.bury)
            if self._away():
                began = time.monotonic()
            if time.monotonic() - began > START_SECONDS:
                tail = self.server.stderr()[-1500:]
                raise RuntimeError(f"the server did not start in {failed} tries: {tail}")
            await asyncio.sleep(0.5)

    def bury(self) -> None:
        """Its process is gone, if there was one."""
        process, self.server.process = self.server.process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait(servers.STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()

    async def kill(self, *, down: float, startups: tuple[float, ...] = ()) -> None:
        """As the power going out; then it is started again, `startups` times killed so many seconds into its start."""
        async with self._one_at_a_time:
            await asyncio.to_thread(self.bury)
            await asyncio.sleep(down)
            for seconds in startups:
                self.server.process = await asyncio.to_thread(self.server.launch)
                await asyncio.sleep(seconds)
                await asyncio.to_thread(self.bury)
            await self._start()

    async def restart(self, *, down: float) -> None:
        """TERM, as a service manager does it."""
        async with self._one_at_a_time:
            await self._stop()
            await asyncio.sleep(down)
            await self._start()

    async def stop(self) -> None:
        """For the last time, in order."""
        async with self._one_at_a_time:
            if self.server.process is not None:
                await self._stop()

    async def _stop(self) -> None:
        try:
            code = await asyncio.to_thread(self.server.stop)
        except subprocess.TimeoutExpired:
            self._complain(f"it did not stop within {servers.STOP_SECONDS} s of SIGTERM")
            await asyncio.to_thread(self.bury)
            return
        if code != 0:
            self._complain(f"it ended with exit code {code} after SIGTERM")

    async def freeze(self, seconds: float) -> None:
        """It does not go on for a while, and does not know."""
        async with self._one_at_a_time:
            if self.server.process is not None:
                await frozen(self.server.process.pid, seconds)

    def end_all(self) -> None:
        """Every process that was started on its folder is gone, whoever started it."""
        for pid in self.server.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)

    def log_lines(self) -> list[str]:
        """What the server logged."""
        return self.server.stderr().splitlines()

    def _complain(self, sentence: str) -> None:
        self.broken.append(Violation(invariant="SERVER", run="", sentence=sentence))


async def frozen(pid: int, seconds: float) -> None:
    """The process does not go on for so long."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)


class SharedStore:
    """A store for several servers that belongs to none of them; started again when it dies."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when it serves."""
        await self._launch()
        self._watching = asyncio.create_task(self._watch())

    async def _launch(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pupload.adapters.s3.embedded", "--data", str(self.folder)),
            *("--port", str(self.port), "--bucket", "pupload"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        await self.process.stdout.readline()  # it serves, or has ended and is started again

    def environment(self) -> dict[str, str]:
        """The settings of a server that uses it; known once it was started."""
        keys = json.loads((self.folder / "credentials.json").read_text())
        return {
            "PUPLOAD_EMBEDDED_STORE": "false",
            "PUPLOAD_STORE_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "PUPLOAD_STORE_ACCESS_KEY": keys["access_key"],
            "PUPLOAD_STORE_SECRET_KEY": keys["secret_key"],
        }

    @property
    def pids(self) -> list[int]:
        """Of its process."""
        return [] if self.process is None or self.process.returncode is not None else [self.process.pid]

    async def _watch(self) -> None:
        while True:
            assert self.process is not None
            await self.process.wait()
            await asyncio.sleep(0.2)
            await self._launch()

    async def close(self) -> None:
        """It is gone."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            await self.process.wait()
