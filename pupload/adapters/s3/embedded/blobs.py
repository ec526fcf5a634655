"""
The files that hold the objects' bytes.

A blob is written once, under a name the server made up, and never changed: that is why it may be hard-linked to
wherever somebody wants to read it. It is durable (its bytes, then its directory) before `finish` returns; what makes
it an object is its row in the index, and a blob without a row is swept away at the next start. Everything here blocks;
callers run it in threads.
"""

import errno
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from pupload.adapters.s3.embedded.refusals import Refusal

_FANOUT = 256
_SYNC_EVERY = 64 << 20
_COPY_STEP = 64 << 20
_MOST_PIECES = 512


class Blobs:
    """All of them, below one directory, spread over 256."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, exist_ok=True)
        for number in range(_FANOUT):
            (root / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
        sync_directory(root)
        sync_directory(root.parent)

    def path(self, name: str) -> Path:
        """Where the blob is, or would be."""
        return self._root / name[:2] / name

    def create(self) -> "Writer":
        """A new blob, empty so far. Raises `Refusal` InsufficientStorage."""
        name = secrets.token_hex(16)
        path = self.path(name)
        with refusing_when_full():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o400)
            os.fchmod(descriptor, 0o444)
        return Writer(name, path, descriptor)

    def twins(self, names: Iterable[str]) -> list[str]:
        """
        A second name for each blob's bytes: a link where the file system has any left, else a copy. Durable.

        Where one of them fails, none is left.
        """
        made: list[str] = []
        directories: set[Path] = set()
        try:
            for name in names:
                made.append(self._twin(name))
                directories.add(self.path(made[-1]).parent)
            for directory in directories:
                sync_directory(directory)
        except BaseException:
            self.remove(made)
            raise
        return made

    def _twin(self, name: str) -> str:
        """Not durable yet."""
        twin = secrets.token_hex(16)
        try:
            os.link(self.path(name), self.path(twin))
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EPERM, errno.ENOTSUP):
                raise
            return self.cut(name, 0, self.path(name).stat().st_size)
        return twin

    def cut(self, name: str, start: int, length: int) -> str:
        """A new blob with these bytes of another. Durable."""
        writer = self.create()
        try:
            with self.path(name).open("rb", buffering=0) as source:
                writer.copy_from(source.fileno(), start, length)
            writer.finish()
        except BaseException:
            writer.discard()
            raise
        return writer.name

    def link_from(self, path: Path) -> str:
        """A blob that is a second name of a finished file. Not durable yet. Raises `OSError` where it cannot be."""
        name = secrets.token_hex(16)
        os.link(path, self.path(name), follow_symlinks=False)
        return name

    def make_durable(self, name: str) -> None:
        """The name of a blob whose bytes are on the disk already is so, too, afterwards."""
        sync_directory(self.path(name).parent)

    def remove(self, names: Iterable[str]) -> None:
        """They are gone afterwards, or were."""
        for name in names:
            with suppress(FileNotFoundError):
                self.path(name).unlink()

    def names(self) -> Iterator[str]:
        """All that are there, in no order."""
        for number in range(_FANOUT):
            with os.scandir(self._root / f"{number:02x}") as entries:
                yield from (entry.name for entry in entries)


class Writer:
    """A blob that is being written. Either `finish` or `discard` ends it."""

    def __init__(self, name: str, path: Path, descriptor: int) -> None:
        self.name = name
        self._path = path
        self._descriptor = descriptor
        self._unsynced = 0

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Appends them. Raises `Refusal` InsufficientStorage."""
        with refusing_when_full():
            for at in range(0, len(pieces), _MOST_PIECES):
                self._write_all(pieces[at : at + _MOST_PIECES])

    def _write_all(self, pieces: Sequence[bytes | memoryview]) -> None:
        size = sum(len(piece) for piece in pieces)
        written = os.writev(self._descriptor, pieces) if pieces else 0
        if written < size:
            rest = memoryview(b"".join(pieces))[written:]
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self._unsynced += size
        if self._unsynced >= _SYNC_EVERY:
            # Little by little, so that a large object does not wait for the disk at its very end.
            os.fdatasync(self._descriptor)
            self._unsynced = 0

    def copy_from(self, source: int, start: int, length: int) -> None:
        """Appends these bytes of an open file, in the kernel. Raises `Refusal` InsufficientStorage."""
        with refusing_when_full():
            copy_range(source, self._descriptor, start, length)

    def finish(self) -> None:
        """Everything is on the disk when it returns."""
        with refusing_when_full():
            os.fdatasync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        sync_directory(self._path.parent)

    def discard(self) -> None:
        """As if it had never been."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._path.unlink(missing_ok=True)


class refusing_when_full:  # noqa: N801 - reads as a statement
    """Turns the kernel's "no space" and "over quota" into `Refusal` InsufficientStorage."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refusal("InsufficientStorage", "The disk of the store is full.") from error


def copy_range(source: int, target: int, start: int, length: int) -> None:
    """`length` bytes of one descriptor to the end of another, shared by the file system where it can."""
    while length:
        try:
            done = os.copy_file_range(source, target, min(length, _COPY_STEP), offset_src=start)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
                raise
            with os.fdopen(os.dup(source), "rb") as reader, os.fdopen(os.dup(target), "wb") as writer:
                reader.seek(start)
                _copy_plainly(reader, writer, length)
            return
        if not done:
            raise OSError(errno.EIO, "the file is shorter than it was")
        start += done
        length -= done


def _copy_plainly(reader: IO[bytes], writer: IO[bytes], length: int) -> None:
    while length:
        piece = reader.read(min(length, 1 << 20))
        if not piece:
            raise OSError(errno.EIO, "the file is shorter than it was")
        writer.write(piece)
        length -= len(piece)


def sync_directory(path: Path) -> None:
    """Names made or taken away in it are on the disk afterwards."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
