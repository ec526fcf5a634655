"""
One server per data folder.

The lock is the kernel's (flock on a file in the folder), so a killed server leaves none behind; the file names the
holder for whoever is refused.
"""

import fcntl
import os
from pathlib import Path
from typing import Self

from pupload import errors

FILE_NAME = "pupload.lock"


class FolderLock:
    """Holds a data folder until `release`, or until the process is gone."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The lock of a folder, made where it is missing. Raises `errors.Misconfigured`."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return cls(folder)
        except OSError as error:
            raise errors.Misconfigured(reason=f"the data folder {folder} cannot be used: {error.strerror}") from error

    def __init__(self, folder: Path) -> None:
        """Raises `errors.Misconfigured`, which names the process that holds the folder."""
        self._file = os.open(folder / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise errors.Misconfigured(
                reason=f"the data folder {folder} is in use by another pupload server (process {holder}): stop it, "
                "or give this one a folder of its own with --data"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Another may have it. The file stays: removing it would let two hold what they take for the same lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
