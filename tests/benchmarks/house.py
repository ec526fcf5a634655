"""
The server that is measured: a process of its own with default settings, used as its users use it.

Whatever was measured, the promises hold: on the way out the checker judges what is left, and the engine has no
container of ours any more. `Broken` is raised where that is not so.
"""

import asyncio
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp

from pupload.client import Client
from tests import check
from tests.checker import describe
from tests.system import server as servers

Json = dict[str, Any]

PREPARED_SECONDS = 5.0
"""What a run gets at most to prepare itself before it is given its upload."""

STILL_SECONDS = 1.0
"""When nothing changed for so long it is prepared."""

SETTLE_SECONDS = 60.0

_OVER = frozenset({"run.completed", "run.failed", "run.stopped"})


class Broken(Exception):
    """A promise was not kept while it was measured: what was measured is worth nothing."""


class House:
    """A running server and a client of it."""

    def __init__(self, server: servers.Server, client: Client, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.client = client
        self._session = session
        self._numbers = itertools.count(1)

    # ── What users do ────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, order: Json) -> Json:
        """A new run of the flow, of work that nobody did before: else its nodes would have none to do."""
        return await self.client.start(_new(order, next(self._numbers)))

    async def put(self, run: Json, edge: str, content: bytes) -> float:
        """Uploads the bytes where the run waits for them. Returns when (`time.time()`) the store said it has them."""
        (url,) = [each["PutURL"] for each in run["WaitingURLs"] if each["Artifact"]["EdgeName"] == edge]
        async with self._session.put(url, data=content) as response:
            at = time.time()
            if response.status != 200:
                raise Broken(f"the upload was answered {response.status}: {await response.text()}")
            return at

    async def get(self, run: Json, edge: str) -> bytes:
        """The artifact's bytes."""
        async with self._session.get(run["Artifacts"][edge]["GetURL"]) as response:
            return await response.read()

    async def completed(self, run: Json) -> float:
        """When (`time.time()`) the stream of the run's events said that it is COMPLETE."""
        async for event in self.client.events(run["ID"]):
            if event.kind in _OVER:
                if event.kind != "run.completed":
                    raise Broken(f"{event.kind}: {(await self.client.status(run['ID']))['Error']}")
                return time.time()
        raise Broken(f"the stream of run {run['ID']} ended without an end of the run")

    async def polled(self, run: Json, *, every_seconds: float = 0.02) -> float:
        """The same for somebody who asks again and again."""
        while True:
            found = await self.client.status(run["ID"])
            if found["Status"] == "COMPLETE":
                return time.time()
            if found["Status"] in ("ERROR", "STOPPED"):
                raise Broken(found["Error"])
            await asyncio.sleep(every_seconds)

    # ── Waiting in between ───────────────────────────────────────────────────────────────────────────────────────

    async def prepared(self) -> None:
        """Returns when the engine does nothing more for the server's runs: as when an upload takes a while."""
        seen, since, until = "", time.monotonic(), time.monotonic() + PREPARED_SECONDS
        while (now := time.monotonic()) < until:
            found = await asyncio.to_thread(self._standing)
            if found != seen:
                seen, since = found, now
            elif now - since >= STILL_SECONDS:
                return
            await asyncio.sleep(0.1)

    def _standing(self) -> str:
        return repr(sorted((each["Id"], each["State"]) for each in self._containers()))

    def _containers(self) -> list[Json]:
        with closing(servers.engine()) as engine:
            labelled = {"label": f"{servers.INSTANCE}={self.server.instance}"}
            found: list[Json] = engine.containers(all=True, filters=labelled)
            return found

    async def settled(self) -> float:
        """Returns when nothing of any run is left but what is kept, and how many seconds that took."""
        began = time.monotonic()
        while left := await asyncio.to_thread(self._left):
            if time.monotonic() - began > SETTLE_SECONDS:
                raise Broken(f"{SETTLE_SECONDS:g} s after the last run there is still {left}")
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    def _left(self) -> list[str]:
        names = [each["Names"][0] for each in self._containers()]
        return names + [path.name for path in (self.server.data / "attempts").iterdir()]

    # ── What it takes ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def pid(self) -> int:
        """Of the server's process."""
        assert self.server.process is not None
        return self.server.process.pid

    def processor_ms(self) -> float:
        """What the server's process has taken of the processors."""
        return self.server.processor_seconds * 1e3

    def store_ms(self) -> float:
        """The same of its embedded store's process."""
        return sum(map(processor_ms, self.server.store_pids()))

    @property
    def pids(self) -> list[int]:
        """Of the server's process and its store's."""
        return [self.pid, *self.server.store_pids()]

    def memory_bytes(self, pid: int | None = None, what: str = "VmRSS") -> int:
        """What a process, by default the server's, has of the memory; `VmHWM`: the most since `forget_peaks`."""
        lines = Path(f"/proc/{pid or self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))

    def forget_peaks(self) -> None:
        """The most memory they ever had is what they have now."""
        for pid in self.pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def written(self) -> str:
        """Changes whenever something was written to the database."""
        files = (self.server.data / name for name in ("pupload.db", "pupload.db-wal"))
        return repr([(found.st_size, found.st_mtime_ns) for file in files if (found := _stat(file))])

    # ── What must hold ───────────────────────────────────────────────────────────────────────────────────────────

    async def judged(self, *, ended: bool = True) -> None:
        """Raises `Broken` where the checker finds that a promise was not kept."""
        where = check.Where(data=self.server.data, store_url=f"http://127.0.0.1:{self.server.store_port}")
        async with check.opened(where) as left:
            said = self.server.stderr().splitlines()
            broken = await (left.settled(output=said) if ended else left.judge(ended=False, output=said))
        if broken:
            raise Broken(describe(broken))


@asynccontextmanager
async def opened(*, ended: bool = True, program: tuple[str, ...] = (), **environment: str) -> AsyncIterator[House]:
    """
    A server on a data folder of its own, with these settings beside the default ones; nothing is left of it.

    `ended`: whether every run is over when its user is done. `program` is what Python runs in the place of the server.
    """
    folder = Path(tempfile.mkdtemp(prefix="pupload-bench-"))
    server = servers.Server(folder, **{"PUPLOAD_MEMOIZE": "true"} | environment)  # tests are, in that, no users
    server.program = program or server.program
    try:
        await asyncio.to_thread(server.start)
        # Not one connection is waited for: users have theirs.
        connector = aiohttp.TCPConnector(limit=0)
        async with server.client() as client, aiohttp.ClientSession(connector=connector) as session:
            house = House(server, client, session)
            yield house
            if ended:
                await house.settled()
            await house.judged(ended=ended)
        code = await asyncio.to_thread(server.stop)
        if code or "Traceback" in server.stderr():
            raise Broken(f"the server ended with {code}: {server.stderr()[-2000:]}")
        if ended and (left := server.left()):
            raise Broken(f"the server left {left}")
    finally:
        await asyncio.to_thread(_bury, server)


def _new(order: Json, number: int) -> Json:
    """The same order, each of whose shell lines ends in a comment of its own."""
    return {**order, "NodeDefs": [{**one, "Command": _numbered(one["Command"], number)} for one in order["NodeDefs"]]}


def _numbered(command: Json, number: int) -> Json:
    *words, line = command["Exec"]
    return {**command, "Exec": [*words, f"{line} # {number}"]}


def _bury(server: servers.Server) -> None:
    if server.process is not None and server.process.poll() is None:
        server.kill()
    for pid in server.pids():
        os.kill(pid, signal.SIGKILL)
    if (server.data / "pupload.db").exists():
        server.remove_containers()
    shutil.rmtree(server.folder, ignore_errors=True)


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except FileNotFoundError:
        return None


def processor_ms(pid: int) -> float:
    """What a process has taken of the processors, in its own code and the kernel's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1e3


def machine() -> Mapping[str, Any]:
    """Where it was measured, as far as it matters."""
    with closing(servers.engine()) as engine:
        version, info = engine.version(), engine.info()
    kilobytes = Path("/proc/meminfo").read_text().split()[1]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpus": os.cpu_count(),
        "memory": f"{int(kilobytes) >> 20} GiB",
        "kernel": os.uname().release,
        "engine": version["Version"],
        "runtime": info.get("DefaultRuntime", ""),
        "storage": info.get("Driver", ""),
        "load": f"{os.getloadavg()[0]:.1f}",
    }
