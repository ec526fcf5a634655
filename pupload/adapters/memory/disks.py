"""A disk that is as full as a test says."""

import asyncio
from collections.abc import Sequence

from pupload.domain.watermark import Space


class MemoryDisks:
    """`ports.Disks` with one file system."""

    def __init__(self, *, free_bytes: int = 1 << 40, total_bytes: int = 1 << 40) -> None:
        self.free_bytes = free_bytes
        self.total_bytes = total_bytes

    async def look(self) -> Sequence[Space]:
        """See `ports.Disks.look`."""
        await asyncio.sleep(0)
        found = Space(what="the data folder", path="/data", free_bytes=self.free_bytes, total_bytes=self.total_bytes)
        return [found]
