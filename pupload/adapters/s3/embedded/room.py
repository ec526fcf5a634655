"""
How much fits, and how many at once.

Before a body is taken it is given room: its size is held against the largest object, against the total the operator
allows, and against the free disk that must be left; and one of a bounded number of places, because every body costs
two buffers. Room asked for is counted until the object is committed, so that many at once cannot overrun a limit that
each alone respects.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pupload.adapters.s3.embedded.refusals import Refusal

_LOOK_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the operator allows. Sizes in bytes."""

    max_object: int = 5 << 40
    max_total: int = 0
    """Of all objects and parts together; 0: as much as the disk holds."""
    min_free: int = 1 << 30
    """Of the disk, to be left for others."""
    max_bodies: int = 64
    """Received at the same time; the others wait."""
    wait_seconds: float = 30.0
    """How long a body waits for its turn before it is told to slow down."""
    stall_seconds: float = 60.0
    """How long a body may bring nothing before it is cut off."""


class Room:
    """Kept up to date by the store: `used_bytes` and `objects` are what is committed."""

    def __init__(self, limits: Limits, disk: Path) -> None:
        self.limits = limits
        self.used_bytes = 0
        self.objects = 0
        self._disk = disk
        self._promised = 0
        self._places = asyncio.Semaphore(limits.max_bodies)
        self._free = 0
        self._looked_at = float("-inf")

    @asynccontextmanager
    async def promised(self, size: int, *, on_disk: bool = False) -> AsyncIterator[None]:
        """
        Room for so many bytes more; `on_disk`: the disk has them already, and they get one more name.

        Raises `Refusal`: EntityTooLarge, InsufficientStorage.
        """
        self._check(size, on_disk=on_disk)
        self._promised += size
        try:
            yield
        finally:
            self._promised -= size

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for one body on its way in. Raises `Refusal` SlowDown when none becomes free in time."""
        try:
            async with asyncio.timeout(self.limits.wait_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise Refusal("SlowDown") from None
        try:
            yield
        finally:
            self._places.release()

    def free_bytes(self) -> int:
        """Of the disk, as of half a second ago at most."""
        recent = asyncio.get_running_loop().time() - self._looked_at < _LOOK_AGAIN_SECONDS
        return self._free if recent else self._look()

    def _look(self) -> int:
        found = os.statvfs(self._disk)
        self._free = found.f_bavail * found.f_frsize
        self._looked_at = asyncio.get_running_loop().time()
        return self._free

    def _check(self, size: int, *, on_disk: bool) -> None:
        limits = self.limits
        if size > limits.max_object:
            raise Refusal("EntityTooLarge", ProposedSize=str(size), MaxSizeAllowed=str(limits.max_object))
        if limits.max_total and self.used_bytes + self._promised + size > limits.max_total:
            raise Refusal("InsufficientStorage", "The store holds as much as its operator allows.")
        wanted = limits.min_free + self._promised + size
        # Before it says no it looks again.
        if not on_disk and self.free_bytes() < wanted and self._look() < wanted:
            raise Refusal("InsufficientStorage", "The disk of the store is full.")
