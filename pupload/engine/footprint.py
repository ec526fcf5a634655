"""
How much an attempt has written.

A kernel bounds a single file, not what all files of a node come to. So its outputs are measured while it runs, and an
attempt that takes more than its tier has is ended, however it spreads it: over many files, over files without bytes, or
over directories that nobody else may look into. What was written between two looks is there until the attempt ends.
"""

import asyncio
import itertools
import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pupload.domain import tiers
from pupload.engine.clearing import opened
from pupload.engine.tasks import ended
from pupload.engine.timers import Timers, sleep
from pupload.ports import Clock

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0
"""Between two looks: longer ones while little is written."""

REST = 10
"""A look that took long is followed by a pause so many times as long."""

DEEPEST = 64
"""Directories within each other: nothing that a node makes is nested deeper on purpose."""

FEW = 64
"""Files that are looked through without thinking about it."""

_BLOCK = 512
"""What `st_blocks` counts, on every file system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an attempt may write."""

    bytes: int
    files: int
    """Directories included."""
    tier: str
    """Whose storage it is."""


@dataclass(slots=True)
class _Sum:
    bytes: int = 0
    files: int = 0


class _Over(Exception):
    """It is too much; the message says of what."""


class _Long(Exception):
    """It takes long to look through."""


def measure(folder: Path, bounds: Bounds) -> str:
    """
    What of the folder is too much, as in `wrote more than 10 GiB …`; empty when nothing is.

    Ends as soon as it is too much, follows no links, and looks into directories that were closed to others.
    """
    return _measured(folder, bounds)[0]


class Footprint:
    """Looks at the outputs of one attempt now and then."""

    def __init__(self, *, clock: Clock, folder: Path, bounds: Bounds) -> None:
        self._clock = clock
        self._folder = folder
        self._bounds = bounds
        self.too_much = ""
        """Why the attempt is to end, once it is."""

    async def watch(self, stop: Callable[[], Awaitable[None]], *, waited: bool = False) -> None:
        """
        Looks until it is too much, and has the attempt stopped then. Runs for ever otherwise.

        `waited`: whoever asks has let the first pause go by.
        """
        pause, before = FIRST_PAUSE_SECONDS, 0
        while not self.too_much:
            if not waited:
                await sleep(self._clock, pause)
            waited = False
            began = self._clock.monotonic()
            now = await self.look()
            took = self._clock.monotonic() - began
            # Whoever writes much in one pause is looked at more often.
            grows = now - before > self._bounds.bytes // 20
            pause = FIRST_PAUSE_SECONDS if grows else min(pause * 2, LONGEST_PAUSE_SECONDS)
            pause, before = max(pause, took * REST), now
        await stop()

    async def look(self) -> int:
        """Bytes so far; sets `too_much`."""
        return await asyncio.to_thread(self.look_now)

    def look_now(self) -> int:
        """The same at once, for whoever is in a thread already."""
        too_much, so_far = _measured(self._folder, self._bounds)
        # What was too much once stays so: a slower look may see the outputs after they were taken away.
        self.too_much = self.too_much or too_much
        return so_far

    def look_briefly(self) -> bool:
        """Looks where that takes no time, as there are few files and no directories. Returns whether it did."""
        try:
            too_much, _ = _measured(self._folder, self._bounds, brief=True)
        except _Long:
            return False
        self.too_much = self.too_much or too_much
        return True


class Lookout:
    """Watches the outputs of many attempts. Most have ended before they would be looked at: those cost an alarm."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers = Timers(clock, self._look)
        self._ringing: asyncio.Task[None] | None = None
        self._watches: dict[str, tuple[Footprint, Callable[[], Awaitable[None]]]] = {}
        """Those that have not begun, by their names."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._names = itertools.count()

    def begin(self, footprint: Footprint, stop: Callable[[], Awaitable[None]]) -> str:
        """Has it watched, as `Footprint.watch` does. Returns a name to end that by."""
        if self._ringing is None:
            self._ringing = asyncio.create_task(self._timers.run(), name="alarms of lookouts")
        name = str(next(self._names))
        self._watches[name] = footprint, stop
        self._timers.set(name, self._clock.now() + timedelta(seconds=FIRST_PAUSE_SECONDS))
        return name

    async def end(self, name: str) -> None:
        """It is not looked at any more."""
        self._timers.set(name, None)
        self._watches.pop(name, None)
        if (task := self._tasks.pop(name, None)) is not None:
            await ended(task)

    async def close(self) -> None:
        """Nothing is looked at any more."""
        for task in [*self._tasks.values(), *([self._ringing] if self._ringing else [])]:
            await ended(task)

    def _look(self, name: str) -> None:
        footprint, stop = self._watches.pop(name)
        self._tasks[name] = asyncio.create_task(footprint.watch(stop, waited=True), name=f"lookout {name}")


def _measured(folder: Path, bounds: Bounds, *, brief: bool = False) -> tuple[str, int]:
    """What `measure` says, and the bytes so far. Raises `_Long` where it is to be `brief` and cannot be."""
    so_far = _Sum()
    try:
        _descend(None, str(folder), so_far, bounds, depth=0, brief=brief)
    except _Over as over:
        return str(over), so_far.bytes
    return "", so_far.bytes


def _add(directory: int, so_far: _Sum, bounds: Bounds, *, depth: int, brief: bool) -> None:
    """Adds what the open directory holds. A name that is gone by the time it is looked at is nothing."""
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            so_far.files += 1
            # A file with several names counts with each: that is only ever too much, and nobody needs it.
            so_far.bytes += found.st_blocks * _BLOCK
            if so_far.files > bounds.files:
                raise _Over(f"made more than {bounds.files} files in /pupload/out")
            if so_far.bytes > bounds.bytes:
                most = tiers.size_text(bounds.bytes)
                raise _Over(f"wrote more than {most} to /pupload/out, the storage of {bounds.tier}")
            if brief and (so_far.files > FEW or stat.S_ISDIR(found.st_mode)):
                raise _Long
            if stat.S_ISDIR(found.st_mode):
                _descend(directory, entry.name, so_far, bounds, depth=depth + 1)


def _descend(
    directory: int | None, name: str, so_far: _Sum, bounds: Bounds, *, depth: int, brief: bool = False
) -> None:
    if depth > DEEPEST:
        raise _Over(f"made directories more than {DEEPEST} deep in /pupload/out")
    try:
        inner = opened(directory, name)
    except (FileNotFoundError, NotADirectoryError):
        return  # it was removed, or became something else, which the next look sees
    except OSError as error:
        raise _Over("made a directory in /pupload/out that nobody can look into") from error
    try:
        _add(inner, so_far, bounds, depth=depth, brief=brief)
    finally:
        os.close(inner)
