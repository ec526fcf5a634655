"""
The file that the process was given, as far as it may be read: bytes up to a limit, from a descriptor that is open.
"""

import io
import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much of the file is read, and until when."""

    bytes: int
    until: float
    """By `time.monotonic`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Some rows, column by column, as long as each other."""

    columns: list[tuple[str, list[Any]]]
    count: int


class Unreadable(Exception):
    """The file is not what it was taken for; says why."""


class Given(io.RawIOBase):
    """
    A file of `size` bytes of which those before `limit` can be read.

    With a `tail` those from there on can, too; what is between them is nought then.
    """

    def __init__(self, descriptor: int, *, size: int, limit: int, tail: int | None = None) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._size = size
        self._limit = min(limit, size)
        self._tail = size if tail is None else tail
        self._at = 0

    @property
    def whole(self) -> bool:
        """Whether all of it can be read."""
        return self._limit >= min(self._size, self._tail)

    @property
    def limit(self) -> int:
        """So many bytes of its beginning can be read."""
        return self._limit

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """As of any file; less where there is no more at hand."""
        wanted = self._size - self._at if size is None or size < 0 else size
        end = self._limit if self._tail >= self._size else self._size
        found = os.pread(self._descriptor, max(0, min(wanted, end - self._at)), self._at)
        self._at += len(found)
        return found

    def readinto(self, buffer: Any) -> int:
        """The same, into the buffer."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)
