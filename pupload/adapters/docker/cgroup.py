"""
What the kernel says of a container's memory.

Only while it runs: its control group is gone with it, so the highest value is sampled now and then, and a container
that ends sooner has none. Reading is a few microseconds on a pseudo file. Where the engine is on another machine, or
hides its groups from us, nothing is known.
"""

from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PROC = Path("/proc")


@dataclass(slots=True)
class Memory:
    """The memory of one container, as far as it was seen."""

    peak_bytes: int | None = None
    """The page cache counts, as it does for the limit."""
    oom_kills: int = 0
    _group: Path | None = None
    _version: int = 0

    def find(self, container_id: str, pid: int, *, proc: Path = _PROC, root: Path = _ROOT) -> None:
        """Looks up the group of the running process; it must name the container, else the pid is another machine's."""
        if self._group is None and pid:
            self._version, self._group = _find_group(container_id, pid, proc, root)

    def sample(self) -> None:
        """Reads on."""
        if self._group is None:
            return
        peak, events = (
            ("memory.max_usage_in_bytes", "memory.oom_control")
            if self._version == 1
            else ("memory.peak", "memory.events")
        )
        seen = _read(self._group / peak).strip()
        if seen.isdecimal():
            self.peak_bytes = max(self.peak_bytes or 0, int(seen))
        for line in _read(self._group / events).splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.isdecimal():
                self.oom_kills = max(self.oom_kills, int(count))


def _find_group(container_id: str, pid: int, proc: Path, root: Path) -> tuple[int, Path | None]:
    """Lines are `9:memory:/docker/<id>` (version 1) or `0::/system.slice/docker-<id>.scope` (version 2)."""
    for line in _read(proc / str(pid) / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if container_id not in path:
            continue
        if "memory" in controllers.split(","):
            return 1, root / "memory" / path.lstrip("/")
        if not controllers and (root / path.lstrip("/") / "memory.events").exists():
            return 2, root / path.lstrip("/")
    return 0, None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
