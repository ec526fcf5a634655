"""Folders that lie in memory and never on a disk."""

import os
from collections.abc import Iterable
from pathlib import Path

from pupload import ports

_MOUNTS = Path("/proc/self/mounts")
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


def place() -> Path | None:
    """A folder in memory that this user may make folders in; None where there is none."""
    candidates = (Path("/dev/shm"), Path(f"/run/user/{os.geteuid()}"), Path("/run"))  # noqa: S108
    found = (path for path in candidates if path.is_dir() and os.access(path, os.W_OK | os.X_OK) and in_memory(path))
    return next(found, None)


def in_memory(path: Path) -> bool:
    """Whether a path, there or not, is on a file system in memory, as far as this system tells."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return _kind_at(os.path.realpath(path), lines) in _IN_MEMORY


def check(folder: Path | None) -> ports.ProbeLine:
    """For `pup doctor`: where nodes' secrets lie, in the operator's `folder` or in `place`."""
    what, found = "secrets of nodes", folder or place()
    if found is None:
        mend = "no folder in memory is writable: nodes that name secrets fail; name one with secrets_folder"
        return ports.ProbeLine(what=what, ok=True, warning=True, detail=mend)
    if not os.access(next(path for path in (found, *found.parents) if path.exists()), os.W_OK | os.X_OK):
        return ports.ProbeLine(what=what, ok=False, detail=f"{found} is not writable: see secrets_folder")
    if not in_memory(found):
        mend = f"{found} is on a disk, which keeps what was written: name a folder in memory with secrets_folder"
        return ports.ProbeLine(what=what, ok=True, warning=True, detail=mend)
    return ports.ProbeLine(what=what, ok=True, detail=f"in memory, at {found}")


def _kind_at(path: str, mounts: Iterable[str]) -> str:
    """The kind of the file system that holds the path: of the longest mount above it the last."""
    kind, longest = "", -1
    for line in mounts:
        _, point, found, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        above = point.rstrip("/")
        if (path == above or path.startswith(f"{above}/")) and len(above) >= longest:
            kind, longest = found, len(above)
    return kind
