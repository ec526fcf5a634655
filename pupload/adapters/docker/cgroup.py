"""
What the kernel says of a container, where the engine's host is ours: its memory, and which process is its first.

Both are read from the container's control group, whose path names the container: what is found there is no other
machine's and no other container's. The group is gone with the container. Reading is a few microseconds on a pseudo
file. Where the engine is on another machine, or hides its groups from us, nothing is known.
"""

import os
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
_ID = "{id}"
_USUAL = (
    (1, f"memory/docker/{_ID}"),
    (1, f"memory/system.slice/docker-{_ID}.scope"),
    (2, f"docker/{_ID}"),
    (2, f"system.slice/docker-{_ID}.scope"),
)
"""Where they are by default: by version, and by who keeps them, the engine or systemd."""


@dataclass(slots=True)
class Memory:
    """The memory of one container, as far as it was seen."""

    peak_bytes: int | None = None
    """The page cache counts, as it does for the limit. The kernel keeps the highest value: the last look tells all."""
    oom_kills: int = 0
    group: "Group | None" = None

    def sample(self) -> None:
        """Reads on."""
        if self.group is None:
            return
        peak, kills = (
            ("memory.max_usage_in_bytes", "memory.oom_control")
            if self.group.version == 1
            else ("memory.peak", "memory.events")
        )
        seen = _read(f"{self.group.path}/{peak}").strip()
        if seen.isdecimal():
            self.peak_bytes = max(self.peak_bytes or 0, int(seen))
        for line in _read(f"{self.group.path}/{kills}").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.isdecimal():
                self.oom_kills = max(self.oom_kills, int(count))


@dataclass(frozen=True, slots=True)
class Group:
    """The control group of a running container."""

    version: int
    path: str


class Groups:
    """Where an engine keeps the groups of its containers: as it does by default, or as is learnt from one of them."""

    def __init__(self, *, proc: Path = _PROC, root: Path = _ROOT) -> None:
        self._proc = proc
        self._root = root
        self._pattern: tuple[int, str] | None = None
        self._usual = [(version, f"{root}/{pattern}") for version, pattern in _USUAL]

    def of(self, container: str, pid: int = 0) -> Group | None:
        """The group of the running container, of which `pid` is a process by the engine's word; None: not seen."""
        if self._pattern is None and pid:
            self._pattern = self._learn(container, pid)
        for version, pattern in [self._pattern] if self._pattern else self._usual:
            path = pattern.replace(_ID, container)
            if os.path.exists(path):  # noqa: PTH110
                self._pattern = version, pattern
                return Group(version, path)
        return None

    def _learn(self, container: str, pid: int) -> tuple[int, str] | None:
        """Lines are `9:memory:/docker/<id>` (version 1) or `0::/system.slice/docker-<id>.scope` (version 2)."""
        for line in _read(f"{self._proc}/{pid}/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            if container not in path:
                continue
            pattern = path.lstrip("/").replace(container, _ID)
            if "memory" in controllers.split(","):
                return 1, str(self._root / "memory" / pattern)
            if not controllers and (self._root / path.lstrip("/") / "memory.events").exists():
                return 2, str(self._root / pattern)
        return None

    def first_process(self, group: Group) -> int:
        """The pid, here, of the process that is number 1 in the container; 0 where there is none to be seen."""
        processes = _read(f"{group.path}/cgroup.procs").split()
        return next((int(pid) for pid in processes if self._is_first(pid)), 0)

    def _is_first(self, pid: str) -> bool:
        """
        Whether exactly one namespace of processes lies between it and us, in which it is number 1.

        A node might make further ones, with a number 1 each.
        """
        _, _, numbers = _read(f"{self._proc}/{pid}/status").partition("\nNSpid:")
        return numbers.partition("\n")[0].split()[1:] == ["1"]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - a path object costs as much as the reading
            return file.read()
    except OSError:
        return ""
