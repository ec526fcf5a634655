"""
A real PostgreSQL server for tests: made in a moment, durable, thrown away at the end.

`shared` is for all who only use it, each in a database of its own; whoever does something to a server makes one.
"""

import asyncio
import atexit
import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from pupload.adapters.db.tables import metadata

USER, PASSWORD = "pupload", "swordfish"
OWNER = "postgres"
"""Whose a server of root's is: PostgreSQL refuses root."""

CONFIGURATION = """
fsync = on
synchronous_commit = on
listen_addresses = '127.0.0.1'
max_connections = 40
shared_buffers = 32MB
log_min_messages = warning
deadlock_timeout = 200ms
autovacuum = off
"""


def binaries() -> Path:
    """Where the server's programs are. Skips the test where there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found and (elsewhere := shutil.which("initdb")):
        found = [Path(elsewhere).resolve()]
    if not found:
        pytest.skip("there is no PostgreSQL server here; scripts/postgres installs it")
    return found[-1].parent


_LAUNCHER = ThreadPoolExecutor(1)
"""The thread that starts servers, for each dies with the thread that started it: this one lives as long as we do."""


class Server:
    """One server, on a socket in its folder and a port of the loopback."""

    def __init__(self) -> None:
        self._bin = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="pupload-postgres-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count()
        (self.folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "password"):
                shutil.chown(path, OWNER)
        # Texts sort by a language's rules here, as on many a server: ours must not.
        self._run("initdb", "--no-sync", "--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en", "--locale=C",
                  f"--username={USER}", f"--pwfile={self.folder / 'password'}", "--auth=scram-sha-256",
                  f"--pgdata={self.folder / 'data'}")  # fmt: skip
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"{CONFIGURATION}\nport = {self.port}\nunix_socket_directories = '{self.folder}'\n")
        self.start()

    def url(self, name: str = "postgres", *, tcp: bool = False) -> str:
        """Names a database of it."""
        if tcp:
            return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}"
        return f"postgresql://{USER}:{PASSWORD}@/{name}?host={self.folder}&port={self.port}"

    async def new(self) -> str:
        """The URL of a new, empty database."""
        name = f"p{next(self._names)}"
        await self.say(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY wal_log")
        return self.url(name)

    async def emptied(self) -> str:
        """The URL of the one database for all who have it to themselves while they run; new tables are slow to make."""
        if not await self.say("SELECT FROM pg_database WHERE datname = 'emptied'"):
            await self.say("CREATE DATABASE emptied TEMPLATE template0 STRATEGY wal_log")
        for table in [each.name for each in reversed(metadata.sorted_tables) if each.name != "accounts"]:
            if await self.say("SELECT FROM pg_tables WHERE tablename = $1", table, database="emptied"):
                await self.say(f"DELETE FROM {table}", database="emptied")
        if await self.say("SELECT FROM pg_tables WHERE tablename = 'accounts'", database="emptied"):
            await self.say("TRUNCATE accounts RESTART IDENTITY CASCADE", database="emptied")  # they are numbered
        return self.url("emptied")

    async def say(self, sql: str, *values: object, database: str = "postgres") -> list[Any]:
        """As an operator with a shell would."""
        connection = await asyncpg.connect(self.url(database))
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    def start(self) -> None:
        """Returns when it answers. It dies with us, however we die."""
        command = [*self._as_owner("--pdeathsig", "QUIT"), str(self._bin / "postgres"), "-D", str(self.folder / "data")]
        with (self.folder / "log").open("ab") as log:
            self._process = _LAUNCHER.submit(
                subprocess.Popen, command, stdout=log, stderr=log, cwd=self.folder
            ).result()
        ready = [str(self._bin / "pg_isready"), "-q", "-h", str(self.folder), "-p", str(self.port)]
        for _ in range(600):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)
        raise AssertionError("PostgreSQL does not answer")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """INT: connections are cut, what is committed stays. QUIT: the same, and it recovers as after a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def freeze(self, pid: int) -> None:
        """One of its processes does not go on."""
        os.kill(pid, signal.SIGSTOP)

    def remove(self) -> None:
        """Nothing is left of it."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_owner(), str(self._bin / program), *arguments], cwd=self.folder, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()

    @staticmethod
    def _as_owner(*options: str) -> list[str]:
        other = ["--reuid", OWNER, "--regid", OWNER, "--init-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *other, *options] if other or options else []


@functools.cache
def shared() -> Server:
    """The one that runs until the tests end."""
    server = Server()
    atexit.register(server.remove)
    return server


async def wait_until(true: Any, *, seconds: float = 30) -> None:
    """Returns when `await true()` holds: for what another process tells nobody."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 - nobody here could set an event
            await asyncio.sleep(0.01)
