"""
The installation that is tortured: a server with its store, the way to its engine, its database and its disk.

Whatever is done to it is done to what it started itself, and undone at the end.
"""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import docker.errors

from pupload.adapters.db import postgres
from pupload.client import Client
from tests import check
from tests.checker import Violation
from tests.postgres import Server as Postgres
from tests.system import server as servers
from tests.torture.proxy import Proxy, engine_host

DISK_BYTES = 1 << 30
"""
Of the disk that can be filled. Some 50 MiB of it are to stay free, as the server's settings have it: with less nothing
is begun, with less than a quarter of that no run is taken.
"""

LEFT_BYTES = (32 << 20, 8 << 20)
"""What is left free of it."""

LONGEST_ON_DISK = 30 * 60
"""Seconds for which it is large enough: nothing that was made in the soak is deleted."""

ROOM = 12
"""Containers at once: so few that some must wait."""

START_SECONDS = 60.0
"""A server that could not start by then, while all it needs was there, never will."""

SPOKEN_FOR = ("pupload.node", "pupload.run")


class House:
    """One installation, started in `folder`."""

    def __init__(
        self, folder: Path, *, seconds: float, database_url: str = "", postgres_server: Postgres | None = None
    ) -> None:
        """
        `seconds` is how long it will be harmed. `database_url`: its database, else a file; `postgres_server`: the one
        that serves it, if it may be harmed.
        """
        self._seconds = seconds
        self.folder = folder
        self.database_url = database_url
        self.postgres = postgres_server
        self.broken: list[Violation] = []
        self.counts: Counter[str] = Counter()
        self.slowest_start = 0.0
        self.away = False
        """Whether something is away that a server needs for its start."""
        self.proxy = Proxy(folder / "engine.sock", engine_host())
        environment = {
            "PUPLOAD_GRACE_SECONDS": "2",
            "PUPLOAD_DOCKER_HOST": self.proxy.url,
            "PUPLOAD_MAX_ATTEMPTS_AT_ONCE": str(ROOM),
        }
        if database_url:
            environment["PUPLOAD_DATABASE_URL"] = database_url
        self.server = servers.Server(folder, **environment)
        self._life = asyncio.Lock()
        self._mounted = False
        self._name = ""
        self._busy: list[subprocess.Popen[bytes]] = []

    # ── The server's life ────────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """It serves."""
        if self._seconds <= LONGEST_ON_DISK:
            self._mounted = await asyncio.to_thread(_mount, self.server.data)
        await self.proxy.start()
        async with self._life:
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
            await asyncio.to_thread(self._bury, process)
            if self.away:
                began = time.monotonic()
            if time.monotonic() - began > START_SECONDS:
                tail = self.server.stderr()[-1500:]
                raise RuntimeError(f"the server did not start in {failed} tries: {tail}")
            await asyncio.sleep(0.5)

    def _bury(self, process: "subprocess.Popen[bytes]") -> None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait(servers.STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
        self.server.process = None

    async def kill(self, *, down: float, startups: tuple[float, ...] = ()) -> None:
        """As the power going out; then it is started again, `startups` times killed so many seconds into its start."""
        async with self._life:
            assert self.server.process is not None
            await asyncio.to_thread(self._bury, self.server.process)
            await asyncio.sleep(down)
            for seconds in startups:
                process = self.server.process = await asyncio.to_thread(self.server.launch)
                await asyncio.sleep(seconds)
                await asyncio.to_thread(self._bury, process)
            await self._start()

    async def restart(self, *, down: float) -> None:
        """TERM, as a service manager does it."""
        async with self._life:
            await self._stop()
            await asyncio.sleep(down)
            await self._start()

    async def _stop(self) -> None:
        process = self.server.process
        assert process is not None
        try:
            code = await asyncio.to_thread(self.server.stop)
        except subprocess.TimeoutExpired:
            self._complain(f"it did not stop within {servers.STOP_SECONDS} s of SIGTERM")
            await asyncio.to_thread(self._bury, process)
            return
        if code != 0:
            self._complain(f"it ended with exit code {code} after SIGTERM")

    async def freeze(self, seconds: float) -> None:
        """It does not go on for a while, and does not know."""
        async with self._life:
            assert self.server.process is not None
            await _frozen(self.server.process.pid, seconds)

    async def stop(self) -> None:
        """For the last time, in order; nothing that was done to it is left."""
        self.heal()
        async with self._life:
            if self.server.process is not None:
                await self._stop()

    def heal(self) -> None:
        """Whatever was done to its surroundings is undone."""
        self.proxy.heal()
        self.relieve()
        self.empty_disk()

    async def close(self, *, keep: bool) -> None:
        """Nothing of it is left, but for its folder if that is to be kept."""
        self.heal()
        if self.server.process is not None:
            await asyncio.to_thread(self._bury, self.server.process)
        await asyncio.to_thread(self._remove_all, keep=keep)
        await self.proxy.close()

    def _remove_all(self, *, keep: bool) -> None:
        for pid in self.server.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
        with suppress(Exception):
            self._remove_containers()
        if self._mounted:
            if keep:
                kept = self.folder / "kept"
                shutil.copytree(self.server.data, kept, symlinks=True, ignore=_sockets)
            subprocess.run(["umount", str(self.server.data)], check=False)
            if keep:
                self.server.data.rmdir()
                kept.rename(self.server.data)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _complain(self, sentence: str) -> None:
        self.broken.append(Violation(invariant="SERVER", run="", sentence=sentence))

    # ── The store's process ──────────────────────────────────────────────────────────────────────────────────────

    async def freeze_store(self, seconds: float) -> None:
        """It does not go on for a while."""
        for pid in self.server.store_pids():
            await _frozen(pid, seconds)

    def kill_store(self) -> None:
        """It ends at once; its server starts another."""
        for pid in self.server.store_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # ── Containers ───────────────────────────────────────────────────────────────────────────────────────────────

    async def containers(self) -> list[dict[str, Any]]:
        """Those of this installation that run: `Id` and `Labels`."""
        return await asyncio.to_thread(self._containers, running=True)

    def _containers(self, *, running: bool) -> list[dict[str, Any]]:
        with closing(servers.engine()) as client:
            labelled = {"label": f"{servers.INSTANCE}={self.instance()}"}
            found: list[dict[str, Any]] = client.containers(all=not running, filters=labelled)
            return sorted(found, key=lambda each: [each["Labels"].get(name, "") for name in SPOKEN_FOR])

    async def harm(self, how: str, container: str, seconds: float) -> None:
        """`remove`, `kill` or `pause` the container, past the server; a paused one goes on after so many seconds."""
        await asyncio.to_thread(_do, "remove_container" if how == "remove" else how, container, force=how == "remove")
        if how == "pause":
            await asyncio.sleep(seconds)
            await asyncio.to_thread(_do, "unpause", container)

    def _remove_containers(self) -> None:
        for each in self._containers(running=False):
            _do("remove_container", each["Id"], force=True)

    def instance(self) -> str:
        """The name in the labels of its containers."""
        if not self._name:
            self._name = asyncio.run(self._instance()) if self.database_url else self.server.instance
        return self._name

    async def _instance(self) -> str:
        connection = await postgres.connect(self.database_url)
        try:
            return str(await connection.fetchval("SELECT value FROM meta WHERE key = 'instance'"))
        finally:
            await connection.close()

    # ── The machine ──────────────────────────────────────────────────────────────────────────────────────────────

    def starve(self) -> None:
        """Others want all processors as well."""
        for _ in range(os.cpu_count() or 2):
            self._busy.append(subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]))

    def relieve(self) -> None:
        """They do not any more."""
        while self._busy:
            process = self._busy.pop()
            process.kill()
            process.wait()

    def fill_disk(self, left_bytes: int) -> bool:
        """Of the disk of the data folder no more than this is left; whether that could be done."""
        if not self._mounted:
            return False
        free = shutil.disk_usage(self.server.data).free - left_bytes
        with (self.server.data / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free, 1))
        return True

    def empty_disk(self) -> None:
        """It is not any more."""
        (self.server.data / "filler").unlink(missing_ok=True)

    # ── What is left ─────────────────────────────────────────────────────────────────────────────────────────────

    def where(self, *, running: bool = False) -> check.Where:
        """For the check."""
        return check.Where(
            data=self.server.data,
            database_url=self.database_url,
            store_url=f"http://127.0.0.1:{self.server.store_port}" if running else "",
        )

    def client(self) -> Client:
        """A client of its server."""
        return self.server.client()

    def log_lines(self) -> list[str]:
        """What the server logged."""
        return self.server.stderr().splitlines()


BUSY = """
import os, sys
parent = int(sys.argv[1])
while os.getppid() == parent:
    sum(range(1_000_000))
"""
"""Ends when nobody is there any more to end it."""


async def _frozen(pid: int, seconds: float) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)


def _do(what: str, container: str, **more: Any) -> None:
    with closing(servers.engine()) as client, suppress(docker.errors.APIError):
        getattr(client, what)(container, **{name: value for name, value in more.items() if value})


def _mount(folder: Path) -> bool:
    """Whether a disk of its own could be had for the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    options = f"size={DISK_BYTES},mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "pupload-torture", str(folder)], check=False, capture_output=True
    )
    return done.returncode == 0


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


def pick(chance: random.Random, found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """One of them."""
    return chance.choice(found) if found else None
