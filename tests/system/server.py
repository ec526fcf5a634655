"""
The real server as its users start it: a process, with its store's process and the engine's containers behind it.

A `Server` is one data folder. It can be stopped, killed and started again on the same ports, and looks past the server
at what is left: processes, containers, directories, uploads in parts.
"""

import json
import os
import random
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.utils

from pupload.client import Client

READY_SECONDS = 60
"""What a start may take on a machine that does much else."""

STOP_SECONDS = 40

INSTANCE = "pupload.instance"


class Server:
    """A server on a data folder of its own, its output in files beside it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        """
        `environment` are settings, such as `PUPLOAD_GRACE_SECONDS`. Nothing is started.

        Work is not used again unless they say so: tests, and measurements, repeat what they do.
        """
        self.folder = folder
        self.data = folder / "data"
        self.port, self.store_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.program: tuple[str, ...] = ("-m", "pupload")
        """What Python runs: a test may put a program of its own around the server."""
        self._environment = environment
        folder.mkdir(parents=True, exist_ok=True)

    # ── Its life ─────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Returns when it says that it is ready."""
        self.process = self.launch()
        line = self.ready_line(self.process)
        assert self.url in line, f"{line!r}; stderr: {self.stderr()[-2000:]}"

    def launch(self, *more: str) -> "subprocess.Popen[bytes]":
        """A process of it, wherever it has got to."""
        with (self.folder / "stderr").open("ab") as stderr:
            return subprocess.Popen(
                [
                    *(sys.executable, *self.program, "dev", "--data", str(self.data)),
                    *("--port", str(self.port), "--store-port", str(self.store_port), *more),
                ],
                cwd=self.folder,
                env=clean_environment() | {"PUPLOAD_MEMOIZE": "false"} | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )

    def ready_line(self, process: "subprocess.Popen[bytes]") -> str:
        """The first line that the process writes; empty when it ends without one."""
        assert process.stdout is not None
        line, until = b"", time.monotonic() + READY_SECONDS
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([process.stdout], [], [], max(until - time.monotonic(), 0))
            piece = os.read(process.stdout.fileno(), 1) if readable else b""
            if not piece:
                break
            line += piece
        return line.decode()

    def stop(self) -> int:
        """TERM, as a service manager does it. Returns the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As the power going out does it, for the process. Its store notices and goes, too."""
        self._end(signal.SIGKILL)

    def killed_itself(self) -> bool:
        """Whether the process died of its own hand, within a minute."""
        return self._ended(60) == -signal.SIGKILL

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self._ended(STOP_SECONDS)

    def _ended(self, seconds: float) -> int:
        """The exit code of the process, which ends in this time."""
        process = self.process
        assert process is not None
        code = process.wait(seconds)
        assert process.stdout is not None
        process.stdout.close()
        self.process = None
        return code

    # ── What it says ─────────────────────────────────────────────────────────────────────────────────────────────

    def client(self) -> Client:
        """A client of it."""
        return Client(self.url, pause_seconds=0.05)

    def stderr(self) -> str:
        """All that it has logged."""
        return (self.folder / "stderr").read_text(errors="replace")

    @property
    def instance(self) -> str:
        """The name in the labels of its containers."""
        with closing(sqlite3.connect(f"file:{self.data}/pupload.db?mode=ro", uri=True)) as db:
            (name,) = db.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()
        return str(name)

    @property
    def credentials(self) -> dict[str, str]:
        """The keys of its store."""
        found: dict[str, str] = json.loads((self.data / "store" / "credentials.json").read_text())
        return found

    @property
    def processor_seconds(self) -> float:
        """What its process has taken of the processors."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # ── What is left ─────────────────────────────────────────────────────────────────────────────────────────────

    def containers(self, **labels: str) -> list[dict[str, Any]]:
        """Its containers as the engine describes them, running or not; of these `pupload.<label>`s."""
        wanted = [f"{INSTANCE}={self.instance}", *(f"pupload.{name}={value}" for name, value in labels.items())]
        with closing(engine()) as client:
            there = []
            for each in client.containers(all=True, filters={"label": wanted}):
                with suppress(docker.errors.NotFound):  # gone since it was listed
                    there.append(client.inspect_container(each["Id"]))
            return there

    def remove_container(self, container: str) -> None:
        """By force, as somebody might."""
        with closing(engine()) as client:
            client.remove_container(container, force=True)

    def kill_container(self, container: str) -> None:
        """As somebody might."""
        with closing(engine()) as client:
            client.kill(container)

    def pause_container(self, container: str) -> None:
        """As somebody might."""
        with closing(engine()) as client:
            client.pause(container)

    def store_pids(self) -> list[int]:
        """Processes of the embedded store on this data folder."""
        return [pid for pid in self.pids() if "pupload.adapters.s3.embedded" in _command(pid)]

    def pids(self) -> list[int]:
        """All processes that were started on this data folder."""
        every = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        return [pid for pid in every if f"{self.data}" in _command(pid) and "docker" not in _command(pid)]

    def left(self) -> dict[str, list[str]]:
        """Whatever outlived it and should not have, by kind."""
        with closing(engine()) as client:
            labelled = {"label": f"{INSTANCE}={self.instance}"}
            found = {
                "containers": [each["Names"][0] for each in client.containers(all=True, filters=labelled)],
                "volumes": [each["Name"] for each in client.volumes(filters=labelled)["Volumes"] or []],
            }
        found["processes"] = [_command(pid) for pid in self.pids()]
        found["attempts"] = [path.name for path in (self.data / "attempts").iterdir()]
        return {kind: names for kind, names in found.items() if names}

    def remove_containers(self) -> None:
        """For a test that failed: its containers are gone afterwards."""
        with closing(engine()) as client:
            for each in client.containers(all=True, filters={"label": f"{INSTANCE}={self.instance}"}):
                client.remove_container(each["Id"], force=True, v=True)


def engine() -> Any:
    """The container engine, asked past the server."""
    return docker.APIClient(**docker.utils.kwargs_from_env())


def clean_environment() -> dict[str, str]:
    """That of the tests, without anybody's settings for pupload."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PUPLOAD_")}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, below those that the system hands out by itself."""
    # Tests that run side by side find different ones.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(15_000, 31_000, 16) + worker
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
