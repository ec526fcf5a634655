"""
The installation that is tortured: servers with their store, the way to their engine, their database and their disk.

Whatever is done to it is done to what it started itself, and undone at the end.
"""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
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
from tests.torture.controllers import Controller, SharedStore, frozen
from tests.torture.proxy import Proxy, engine_host

ROOM = 12
"""Containers at once: so few that some must wait."""

DISK_BYTES = 1 << 30
"""
Of the disk that can be filled. Some 50 MiB of it are to stay free, as the server's settings have it: with less nothing
is begun, with less than a quarter of that no run is taken.
"""

LEFT_BYTES = (32 << 20, 8 << 20)
"""What is left free of it."""

LONGEST_ON_DISK = 30 * 60
"""Seconds for which it is large enough: nothing that was made in the soak is deleted."""

LEASE_SECONDS = 4.0
"""How soon one of several servers is taken for dead."""

SPOKEN_FOR = ("pupload.node", "pupload.run")


class House:
    """One installation, started in `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float,
        controllers: int = 1,
        database_url: str = "",
        postgres_server: Postgres | None = None,
    ) -> None:
        """
        `seconds` is how long it will be harmed. `database_url`: its database, else a file; several `controllers` need
        one. `postgres_server`: the one that serves it, if it may be harmed.
        """
        self.folder = folder
        self.database_url = database_url
        self.postgres = postgres_server
        self.away = False
        """Whether something is away that a server needs for its start."""
        self.proxy = Proxy(folder / "engine.sock", engine_host())
        self.controllers: list[Controller] = []
        self._count = controllers
        self._seconds = seconds
        self._store = SharedStore(folder / "store", servers.free_ports(1)[0]) if controllers > 1 else None
        self._disks: list[Path] = []
        self._name = ""
        self._busy: list[subprocess.Popen[bytes]] = []

    async def open(self) -> None:
        """It serves."""
        await self.proxy.start()
        if self._store is not None:
            await self._store.start()
        for number in range(self._count):
            folder = self.folder / f"server{number}"
            made = Controller(folder, self._environment(), lambda: self.away)
            self.controllers.append(made)
            if self._seconds <= LONGEST_ON_DISK and await asyncio.to_thread(_mount, made.server.data):
                self._disks.append(made.server.data)
            await made.open()

    def _environment(self) -> dict[str, str]:
        said = {
            "PUPLOAD_GRACE_SECONDS": "2",
            "PUPLOAD_DOCKER_HOST": self.proxy.url,
            "PUPLOAD_MAX_ATTEMPTS_AT_ONCE": str(ROOM),
        }
        if self.database_url:
            said["PUPLOAD_DATABASE_URL"] = self.database_url
        if self._store is not None:
            said |= self._store.environment()
            said["PUPLOAD_SECRET_KEY_FILE"] = str(self.folder / "secret.key")
            said["PUPLOAD_LEASE_SECONDS"] = str(LEASE_SECONDS)
        return said

    def one(self, chance: float) -> Controller:
        """The server that this chance means."""
        return self.controllers[int(chance * len(self.controllers))]

    async def restart(self) -> None:
        """All of its servers, in order."""
        for controller in self.controllers:
            await controller.restart(down=0.0)

    async def stop(self) -> None:
        """All of its servers, for the last time."""
        for controller in self.controllers:
            await controller.stop()

    def heal(self) -> None:
        """Whatever was done to its surroundings is undone."""
        self.proxy.heal()
        self.relieve()
        self.empty_disk()

    async def close(self, *, keep: bool) -> None:
        """Nothing of it is left, but for its folder if that is to be kept."""
        self.heal()
        for controller in self.controllers:
            await asyncio.to_thread(controller.bury)
        if self._store is not None:
            await self._store.close()
        await asyncio.to_thread(self._remove_all, keep=keep)
        await self.proxy.close()
        if not keep:
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def _remove_all(self, *, keep: bool) -> None:
        for controller in self.controllers:
            controller.end_all()
        with suppress(Exception):  # no database any more that could tell our name
            for each in self._containers(running=False):
                _do("remove_container", each["Id"], force=True)
        for disk in self._disks:
            kept = disk.with_name("kept")
            if keep:
                shutil.copytree(disk, kept, symlinks=True, ignore=_sockets)
            subprocess.run(["umount", str(disk)], check=False)
            if keep:
                disk.rmdir()
                kept.rename(disk)

    @property
    def broken(self) -> list[Violation]:
        """What its servers did that they should not."""
        return [one for controller in self.controllers for one in controller.broken]

    # ── The store's process ──────────────────────────────────────────────────────────────────────────────────────

    def _store_pids(self, chance: float) -> list[int]:
        return self.one(chance).server.store_pids() if self._store is None else self._store.pids

    async def freeze_store(self, chance: float, seconds: float) -> None:
        """It does not go on for a while."""
        for pid in self._store_pids(chance):
            await frozen(pid, seconds)

    def kill_store(self, chance: float) -> None:
        """It ends at once; whoever started it starts another."""
        for pid in self._store_pids(chance):
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

    def instance(self) -> str:
        """The name in the labels of its containers."""
        if not self._name:
            found = asyncio.run(_instance(self.database_url)) if self.database_url else None
            self._name = found or self.controllers[0].server.instance
        return self._name

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
        """Of the disks of the data folders no more than this is left; whether that could be done."""
        for disk in self._disks:
            free = shutil.disk_usage(disk).free - left_bytes
            with (disk / "filler").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(free, 1))
        return bool(self._disks)

    def empty_disk(self) -> None:
        """It is not any more."""
        for disk in self._disks:
            (disk / "filler").unlink(missing_ok=True)

    # ── What is left ─────────────────────────────────────────────────────────────────────────────────────────────

    def where(self, *, running: bool = False) -> check.Where:
        """For the check."""
        first, *others = [controller.server for controller in self.controllers]
        embedded = f"http://127.0.0.1:{first.store_port}" if running and self._store is None else ""
        return check.Where(
            data=first.data,
            attempts=tuple(other.data / "attempts" for other in others),
            database_url=self.database_url,
            store_url=embedded,
            settings={} if self._store is None else _settings(self._environment()),
        )

    def clients(self) -> list[Client]:
        """A client of each of its servers."""
        return [controller.server.client() for controller in self.controllers]

    def log_lines(self) -> list[str]:
        """What the servers logged."""
        return [line for controller in self.controllers for line in controller.log_lines()]


BUSY = """
import os, sys
parent = int(sys.argv[1])
while os.getppid() == parent:
    sum(range(1_000_000))
"""
"""Ends when nobody is there any more to end it."""


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    """As the server's settings name them."""
    return {name.removeprefix("PUPLOAD_").lower(): value for name, value in environment.items()}


async def _instance(url: str) -> str:
    connection = await postgres.connect(url)
    try:
        return str(await connection.fetchval("SELECT value FROM meta WHERE key = 'instance'"))
    finally:
        await connection.close()


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
