"""Bodies that strangers send: in a file, bounded, and gone afterwards."""

import asyncio
import errno
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pupload import errors
from pupload.service import spooling


def a_spool(folder: Path) -> spooling.Spool:
    names = itertools.count()
    return spooling.Spool(folder, tokens=lambda: f"{next(names)}")


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def endless(begun: asyncio.Event) -> AsyncIterator[bytes]:
    """A first piece, and then nothing for ever."""
    yield b"first"
    begun.set()
    await asyncio.Event().wait()


async def test_a_body_is_a_file_and_then_is_gone(tmp_path: Path) -> None:
    spool = a_spool(tmp_path / "incoming")
    async with spool.taken(pieces(b"one ", b"two"), what="it", size=None, limit=7) as path:
        assert path.read_bytes() == b"one two"
        assert path.stat().st_mode & 0o777 == 0o600
        assert await spooling.read(path, bytes) == b"one two"
    assert not names_in(tmp_path / "incoming")


async def test_a_body_without_bytes_can_be_read(tmp_path: Path) -> None:
    async with a_spool(tmp_path).taken(pieces(), what="it", size=0, limit=1) as path:
        assert await spooling.read(path, bytes) == b""


async def test_whoever_took_the_file_over_keeps_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    async with a_spool(tmp_path / "incoming").taken(pieces(b"data"), what="it", size=4, limit=4) as path:
        path.rename(kept)
    assert kept.read_bytes() == b"data"


async def test_nothing_is_left_of_a_body_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(errors.TooLarge, match="the body for it is larger than the limit of 5 bytes"):
        async with a_spool(tmp_path).taken(pieces(b"123", b"456"), what="it", size=None, limit=5):
            raise AssertionError("it was taken")
    assert not names_in(tmp_path)


async def test_nothing_is_left_of_a_body_whose_sender_went_away(tmp_path: Path) -> None:
    spool, begun = a_spool(tmp_path), asyncio.Event()

    async def take() -> None:
        async with spool.taken(endless(begun), what="it", size=None, limit=100):
            raise AssertionError("it was taken")

    coming = asyncio.create_task(take())
    await begun.wait()
    assert len(names_in(tmp_path)) == 1
    coming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await coming
    assert not names_in(tmp_path)


async def test_one_thing_cannot_take_every_place(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    async with AsyncExitStack() as held:
        for _ in range(spooling.AT_ONCE_FOR_ONE):
            await held.enter_async_context(spool.taken(pieces(b"x"), what="one", size=1, limit=1))
        with pytest.raises(errors.TryLater, match="too many bodies"):
            async with spool.taken(pieces(b"x"), what="one", size=1, limit=1):
                raise AssertionError("there was a place")
        async with spool.taken(pieces(b"x"), what="another", size=1, limit=1):
            pass
    async with spool.taken(pieces(b"x"), what="one", size=1, limit=1):
        pass


async def test_so_many_come_at_once_and_no_more(tmp_path: Path) -> None:
    spool = a_spool(tmp_path)
    async with AsyncExitStack() as held:
        for number in range(spooling.AT_ONCE):
            await held.enter_async_context(spool.taken(pieces(b"x"), what=f"{number}", size=1, limit=1))
        with pytest.raises(errors.TryLater, match="too many bodies"):
            async with spool.taken(pieces(b"x"), what="one more", size=1, limit=1):
                raise AssertionError("there was a place")


async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    async def full() -> AsyncIterator[bytes]:
        yield b"data"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(errors.DiskFull):
        async with a_spool(tmp_path).taken(full(), what="it", size=None, limit=100):
            raise AssertionError("it was taken")
    assert not names_in(tmp_path)


def test_what_a_crash_left_is_gone_with_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "incoming"
    spooling.empty(folder)
    (folder / "left").write_bytes(b"half")
    (folder / "of a dry run").mkdir()
    (folder / "of a dry run" / "left").write_bytes(b"half")
    spooling.empty(folder)
    assert not list(folder.iterdir())
    assert folder.stat().st_mode & 0o777 == 0o700
