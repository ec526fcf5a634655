"""
An attempt's directory on the disk: made, and what lies in it measured. Everything here blocks; callers use threads.

What a node may have left there is never followed: it may be a link to anywhere.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pupload import errors


def make(folder: Path, owner: tuple[int, int], collections: Iterable[str] = ()) -> frozenset[str]:
    """
    The attempt's directory, with `in/` and `out/`, is there afterwards. Returns what lies in its inputs already.

    `owner` is the uid and gid that may write to `out/`, and to the directories of these names in there.
    """
    inputs, outputs = folder / "in", folder / "out"
    folder.mkdir(parents=True, exist_ok=True)
    new = _made(inputs)
    _made(outputs)
    inputs.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(outputs, *owner)
        outputs.chmod(0o755)
    else:
        # Without root nothing can be given away; the directory above lets nobody else in.
        outputs.chmod(0o777)
    for name in collections:
        _make_own(outputs / name, owner)
    return frozenset() if new else frozenset(entry.name for entry in inputs.iterdir())


def _make_own(folder: Path, owner: tuple[int, int]) -> None:
    """A directory that the node may write to, where there is nothing of that name."""
    if not _made(folder):
        return  # the node may be at work in it, or have put something else there
    inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.geteuid() == 0:
            os.fchown(inner, *owner)
            os.fchmod(inner, 0o755)
        else:
            os.fchmod(inner, 0o777)
    finally:
        os.close(inner)


def _made(folder: Path) -> bool:
    """Whether the directory was made just now."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def names_in(root: Path) -> list[str]:
    """What is in the directory, where there is one."""
    return [path.name for path in root.iterdir()] if root.is_dir() else []


def size_of_output(path: Path, port: str, names: int) -> int | None:
    """
    Bytes of the regular file at `path`, None when there is nothing; anything else is refused, links above all.

    It may have two `names` where a store may have been about to take it over: it gives it one before it takes ours.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.OutputUnusable(port=port, reason=error.strerror) from error
    if not stat.S_ISREG(found.st_mode):
        raise errors.OutputUnusable(port=port, reason="it is not a regular file")
    if found.st_nlink > names:
        raise errors.OutputUnusable(port=port, reason="it has a second name (a hard link)")
    return found.st_size


def sha256_of_file(path: Path) -> str | None:
    """In hex; None where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def head(path: Path, size: int) -> bytes:
    """The file's first bytes."""
    with path.open("rb") as file:
        return file.read(size)
