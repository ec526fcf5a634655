"""
Bodies that come in slowly, from strangers: to a file of the data folder first, never into memory.

So many may come at once, and few of them for one thing: who has the URL of one edge cannot take every place. Nothing
is left of a body once it was dealt with; what a crash left is gone with the next start.
"""

import asyncio
import errno
import mmap
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from pupload import errors

AT_ONCE = 32
"""Bodies under way together."""

AT_ONCE_FOR_ONE = 4
"""Bodies under way together for one thing: the sender of a webhook may well call twice."""

T = TypeVar("T")


class Spool:
    """A folder of bodies under way; nobody else's files are in it."""

    def __init__(self, folder: Path, *, tokens: Callable[[], str]) -> None:
        """`tokens` gives the files their names."""
        self._folder = folder
        self._tokens = tokens
        self._under_way: Counter[str] = Counter()

    @asynccontextmanager
    async def taken(
        self, body: AsyncIterator[bytes], *, what: str, size: int | None, limit: int
    ) -> AsyncIterator[Path]:
        """
        The file that holds the body, whole; it is gone afterwards, or was taken over by whoever got it.

        `what` is what the body is for, `size` what its sender says it has. Raises `errors.TooLarge` as soon as it is
        known, `errors.TryLater` when too many come at once, `errors.DiskFull`.
        """
        if size is not None and size > limit:
            raise errors.TooLarge(what=f"the body for {what[:128]}", limit=limit)
        with self._place(what):
            path = self._folder / self._tokens()
            try:
                await self._write(path, body, what, limit)
                yield path
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise errors.DiskFull(path=str(self._folder)) from error
                raise
            finally:
                # Not awaited: it must be gone also when the request is cancelled, and it takes no time.
                path.unlink(missing_ok=True)

    @contextmanager
    def _place(self, what: str) -> Iterator[None]:
        if self._under_way.total() >= AT_ONCE or self._under_way[what] >= AT_ONCE_FOR_ONE:
            raise errors.TryLater(reason="too many bodies come in at once")
        self._under_way[what] += 1
        try:
            yield
        finally:
            self._under_way[what] -= 1
            if not self._under_way[what]:
                del self._under_way[what]

    async def _write(self, path: Path, body: AsyncIterator[bytes], what: str, limit: int) -> None:
        total = 0
        # Not in a thread: whoever is cancelled while one makes the file would leave it behind.
        file = _create(path)
        try:
            async for piece in body:
                total += len(piece)
                if total > limit:
                    raise errors.TooLarge(what=f"the body for {what[:128]}", limit=limit)
                await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(file.close)
        finally:
            file.close()  # waits for a thread that still writes


def empty(folder: Path) -> None:
    """
    The folder is there, closed to others, and nothing is in it of what an earlier start did not finish.

    Raises `errors.Misconfigured` where it cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()
    except OSError as error:
        raise errors.Misconfigured(reason=f"the folder {folder} cannot be used: {error.strerror}") from error


async def read(path: Path, meaning: Callable[[bytes | memoryview], T]) -> T:
    """What `meaning` makes of the file's bytes, in a thread; they are not taken into memory."""

    def look() -> T:
        if not path.stat().st_size:
            return meaning(b"")  # nothing cannot be mapped
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as view,
        ):
            return meaning(view)

    return await asyncio.to_thread(look)


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(handle, "wb")
