"""
A container engine of a test's own, which may be stopped, killed and started again.

It has its own folders, its own socket and a network namespace of its own: an engine that manages bridges would else
take those of the machine's engine away. `DOCKER_HOST` is its socket while the test runs, so that a server started
meanwhile uses it, and so do the tests' looks past the server.
"""

import functools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import docker

from tests import images

START_SECONDS = 60
STOP_SECONDS = 40


class OwnEngine:
    """A dockerd with a data folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/engine.sock"
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Returns when it answers."""
        for left in ("engine.pid", "exec/containerd/containerd.pid"):
            (self.folder / left).unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--net", "sh", "-c", 'ip link set lo up; exec dockerd "$@"', "sh"),
                    *("--host", self.host, "--iptables=false"),
                    *("--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec"),
                    *("--pidfile", f"{self.folder}/engine.pid", *self.options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self._process.poll() is None, f"the engine ended: {self.log()[-2000:]}"
            assert time.monotonic() < until, f"the engine does not answer: {self.log()[-2000:]}"
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Of its process, while it runs: what is in its network finds it by that."""
        assert self._process is not None
        return self._process.pid

    def answers(self) -> bool:
        """Whether it can be asked anything."""
        # By hand: the SDK leaves the socket of a connection that failed to the garbage collection.
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(5)
            try:
                asked.connect(self.host.removeprefix("unix://"))
                asked.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
                return b"200" in asked.recv(1024)
            except OSError:
                return False

    def stop(self) -> None:
        """TERM: without live-restore it ends its containers first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """KILL: its containers live on until it comes back."""
        self._end(signal.SIGKILL)

    def move_to_a_disk_of(self, *, mib: int) -> None:
        """It begins anew, with nothing, on a disk of that size."""
        self.stop()
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", f"{self.folder}/data"]
        subprocess.run(mounting, check=True, capture_output=True)
        self.start()

    def crash(self) -> None:
        """All at once, as when the machine's power is gone: the engine, what it runs containers with, and these."""
        victims = self._family()
        self.kill()
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + STOP_SECONDS
        while any(Path(f"/proc/{pid}/exe").exists() for pid in victims) and time.monotonic() < until:
            time.sleep(0.02)

    def _family(self) -> list[int]:
        """What names this engine's folder, and what was started by that: shims and their containers."""
        parents: dict[int, int] = {}
        named: set[int] = set()
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                pid = int(entry.name)
                parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if str(self.folder).encode() in (entry / "cmdline").read_bytes():
                    named.add(pid)
        own = os.getpid()
        family = {pid for pid in named if b"containerd" in Path(f"/proc/{pid}/cmdline").read_bytes()}
        family |= {pid for pid, parent in parents.items() if parent in family}
        family |= {pid for pid, parent in parents.items() if parent in family}
        return sorted(family - {own}, key=lambda pid: pid in named, reverse=True)

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        assert process is not None
        process.send_signal(number)
        process.wait(STOP_SECONDS)
        self._process = None

    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "log").read_text(errors="replace")

    def load(self, reference: str) -> None:
        """Has this image of the machine's engine."""
        with subprocess.Popen(["docker", "save", reference], stdout=subprocess.PIPE, env=_machines()) as saving:
            subprocess.run(
                ["docker", "--host", self.host, "load", "--quiet"], stdin=saving.stdout, check=True, capture_output=True
            )
        assert saving.returncode == 0

    def close(self) -> None:
        """It and its containers are gone, and so are its folders."""
        if self._process is None:
            self.start()
        client = docker.APIClient(base_url=self.host, version="1.41", timeout=30)
        for each in client.containers(all=True):
            client.remove_container(each["Id"], force=True, v=True)
        client.close()
        self.stop()
        for mounted in sorted(_mounts(self.folder), reverse=True):
            subprocess.run(["umount", mounted], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _mounts(folder: Path) -> list[str]:
    return [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if f" {folder}/" in line]


def _machines() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}


@functools.cache
def lacking() -> str:
    """Why there can be no engine of a test's own here; empty where there can."""
    if os.geteuid() != 0:
        return "an engine of its own needs root"
    if not shutil.which("dockerd"):
        return "there is no dockerd here"
    tried = subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True)
    return "network namespaces cannot be made here" if tried.returncode else ""


def made(folder: Path, *options: str) -> Iterator[OwnEngine]:
    """An engine that answers and has the busybox image; gone afterwards."""
    reference = images.busybox()  # on the machine's engine: this one gets it from there
    engine = OwnEngine(folder, *options)
    try:
        engine.start()
        engine.load(reference)
        yield engine
    finally:
        engine.close()
