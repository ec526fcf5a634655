"""
Room on disk: watched, and what follows when there is too little.

Below the reserve attempts wait for room as they wait for memory, and those that run go on; nearly full, no new run is
taken. Nobody has to say when there is room again: it is looked at all the time.
"""

import logging
from collections.abc import Callable, Sequence

from pupload import errors
from pupload.domain import watermark
from pupload.domain.watermark import Level, Space
from pupload.engine.tasks import Tasks
from pupload.engine.timers import sleep
from pupload.ports import Clock, Disks

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often the disks are looked at."""

MIB = 1 << 20

LARGE_BYTES = 16 * 1024 * 1024
"""What may fill a disk within the moment since it was looked at."""


class DiskRoom:
    """Watches the disks."""

    def __init__(
        self, disks: Disks | None, *, clock: Clock, reserve_bytes: int | None, on_room: Callable[[], None]
    ) -> None:
        """Without `disks` there is always room. `on_room` is called when there is enough again."""
        self._disks = disks
        self._clock = clock
        self._reserve_bytes = reserve_bytes
        self._on_room = on_room
        self._tasks = Tasks()
        self.spaces: Sequence[Space] = ()
        """As they were when they were last looked at."""

    async def start(self) -> None:
        """Looks, and goes on looking."""
        if self._disks is not None:
            await self.look()
            self._tasks.start(self._watch(), name="watch the disks")

    async def close(self) -> None:
        """Looks no more."""
        await self._tasks.close()

    @property
    def level(self) -> Level:
        """Of the fullest disk."""
        return max((watermark.level(space, self._reserve_bytes) for space in self.spaces), default=Level.ENOUGH)

    @property
    def enough(self) -> bool:
        """Whether new attempts may start."""
        return self.level is Level.ENOUGH

    @property
    def shortage(self) -> str:
        """What is short, for a person; empty when nothing is."""
        return "; ".join(
            f"the disk of {space.what} has {space.free_bytes // MIB} MiB free, "
            f"{watermark.reserve_bytes(space, self._reserve_bytes) // MIB} MiB are kept free"
            for space in self.spaces
            if watermark.level(space, self._reserve_bytes) is not Level.ENOUGH
        )

    async def lack_after(self, written: int = LARGE_BYTES) -> str:
        """
        What is short where a disk is full, so that nothing may be written; else empty.

        Looks first where so many bytes were `written` that they may have filled it.
        """
        if written >= LARGE_BYTES:
            await self.look()
        return self.shortage if self.level is Level.FULL else ""

    def check(self) -> None:
        """Raises `errors.DiskFull` when there is no room for a new run."""
        for space in self.spaces:
            if watermark.level(space, self._reserve_bytes) is Level.FULL:
                raise errors.DiskFull(path=space.what)

    async def look(self) -> None:
        """Looks now."""
        if self._disks is None:
            return
        before = self.level
        self.spaces = await self._disks.look()
        if self.level is before:
            return
        if self.enough:
            log.info("there is room on disk again")
            self._on_room()
        else:
            log.warning(
                "the disk is %s: %s", "nearly full" if self.level is Level.FULL else "filling up", self.shortage
            )

    async def _watch(self) -> None:
        while True:
            await sleep(self._clock, LOOK_SECONDS)
            await self.look()
