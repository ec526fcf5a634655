"""
Removing a directory, whatever a node has left in it.

What usually does that goes down into directories by calling itself, and by names that grow with each: a node that nests
some thousand of them would never be cleaned up after. Here every directory is brought to the top before it is emptied.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW

FEW = 64
"""Names in a directory that are removed without thinking about it."""


def clear_small(folder: Path) -> bool:
    """
    Removes the directory where in it, and in each of its directories, are a few files, and nothing deeper.

    Returns whether it is gone; else some of it may be. That is what nearly all nodes leave, and takes no time. No link
    is followed; raises nothing.
    """
    try:
        top = os.open(folder, os.O_RDONLY | _DIRECTORY)
    except OSError as error:
        return error.errno == errno.ENOENT
    try:
        there = _names(top)
        if len(there) > FEW:
            return False
        for name, is_directory in there:
            if not is_directory:
                os.unlink(name, dir_fd=top)
            elif not _clear_flat(top, name):
                return False
        folder.rmdir()
    except OSError:
        return False
    finally:
        os.close(top)
    return True


def _clear_flat(top: int, name: str) -> bool:
    """Whether the directory of that name, in which there may be files but no directories, is gone. Raises OSError."""
    inner = os.open(name, os.O_RDONLY | _DIRECTORY, dir_fd=top)
    try:
        there = _names(inner)
        if len(there) > FEW:
            return False
        for below, _ in there:
            os.unlink(below, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)
    return True


def clear(folder: Path) -> None:
    """The directory is gone afterwards, as far as we may remove it. No link is followed; raises nothing."""
    try:
        top = opened(None, str(folder))
    except OSError:
        with suppress(OSError):
            folder.unlink()  # it is no directory
        return
    try:
        _empty(top)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)  # what can be removed is
    finally:
        os.close(top)
    with suppress(OSError):
        folder.rmdir()


def empty(folder: Path) -> None:
    """Nothing is in the directory afterwards, as far as we may remove it. No link is followed; raises nothing."""
    with suppress(OSError):
        top = opened(None, str(folder))
        try:
            _empty(top)
        finally:
            os.close(top)


def opened(directory: int | None, name: str) -> int:
    """The directory of that name in another, also where it was closed to others and is ours. Raises OSError."""
    try:
        return os.open(name, os.O_RDONLY | _DIRECTORY, dir_fd=directory)
    except PermissionError:
        handle = os.open(name, os.O_PATH | _DIRECTORY, dir_fd=directory)
        try:
            # By what was opened and not by its name, which may mean something else by now.
            Path(f"/proc/self/fd/{handle}").chmod(0o700)
            return os.open(name, os.O_RDONLY | _DIRECTORY, dir_fd=directory)
        finally:
            os.close(handle)


def _empty(top: int) -> None:
    """Raises OSError when something stays."""
    while names := _names(top):
        for name, is_directory in names:
            if not is_directory:
                os.unlink(name, dir_fd=top)
                continue
            inner = opened(top, name)
            try:
                os.fchmod(inner, 0o700)
                for below, is_below in _names(inner):
                    if is_below:
                        _bring_up(inner, below, top)
                    else:
                        os.unlink(below, dir_fd=inner)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _names(directory: int) -> list[tuple[str, bool]]:
    """What is in it, and whether that is a directory."""
    with os.scandir(directory) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]


def _bring_up(inner: int, name: str, top: int) -> None:
    """Moves the directory out of the one that is open, under a name that nobody has guessed."""
    below = opened(inner, name)
    try:
        os.fchmod(below, 0o700)  # only who may write to a directory may move it
    finally:
        os.close(below)
    os.rename(name, f".{os.urandom(16).hex()}", src_dir_fd=inner, dst_dir_fd=top)
