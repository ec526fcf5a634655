"""
A file as parsers may see it: with an end to how much is read, and with only those pieces that are at hand.

Parsers get this instead of the file. What is not at hand, or beyond the budget, reads as the file's end: a parser then
knows less, or gives up. It never waits, and never reads more than it was given.
"""

import io
import os
from collections.abc import Sequence

Piece = tuple[int, bytes]
"""Where some of the file's bytes begin, and they themselves."""


class Window(io.RawIOBase):
    """A file of `size` bytes, from a descriptor or from some pieces of it."""

    def __init__(self, size: int, *, descriptor: int | None = None, pieces: Sequence[Piece] = (), budget: int) -> None:
        super().__init__()
        self.size = size
        self._descriptor = descriptor
        self._pieces = sorted(pieces)
        self._budget = budget
        self._at = 0
        self.fell_short = False
        """Whether something was asked for that could not be given."""

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
        """As of any file. Raises ValueError for a place before the beginning."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("before the beginning")
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """As of any file; less where there is not so much at hand."""
        wanted = self.size - self._at if size is None or size < 0 else size
        found = self.at(self._at, wanted)
        self._at += len(found)
        return found

    def readall(self) -> bytes:
        """The rest."""
        return self.read()

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """The same, into the buffer. Returns how many bytes."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def at(self, start: int, length: int) -> bytes:
        """So many bytes from `start`, fewer at the end of what there is."""
        length = max(0, min(length, self.size - start))
        given = min(length, self._budget)
        found = self._from_file(start, given) if self._descriptor is not None else self._from_pieces(start, given)
        self._budget -= len(found)
        self.fell_short |= len(found) < length
        return found

    def tail(self, length: int) -> bytes:
        """The last bytes of the file; empty where they are not at hand."""
        return self.at(max(0, self.size - length), min(length, self.size))

    def _from_file(self, start: int, length: int) -> bytes:
        assert self._descriptor is not None
        found = bytearray()
        while len(found) < length and (piece := os.pread(self._descriptor, length - len(found), start + len(found))):
            found += piece
        return bytes(found)

    def _from_pieces(self, start: int, length: int) -> bytes:
        found = bytearray()
        for begin, data in self._pieces:
            at = start + len(found)
            if begin <= at < begin + len(data):
                found += data[at - begin : at - begin + length - len(found)]
        return bytes(found)
