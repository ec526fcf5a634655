"""The file systems that matter, looked at."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pupload.domain.watermark import Space


class SystemDisks:
    """`ports.Disks` of this machine."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """What is kept, and the folder it is in; of folders on one file system the first is told."""
        self._folders = folders

    async def look(self) -> Sequence[Space]:
        """See `ports.Disks.look`."""
        # A file system may hang; the loop must not.
        return await asyncio.to_thread(self._look)

    def _look(self) -> Sequence[Space]:
        spaces: dict[int, Space] = {}
        for what, folder in self._folders.items():
            try:
                device, found = folder.stat().st_dev, os.statvfs(folder)
            except OSError:
                continue  # not there, or not for us to see
            spaces.setdefault(
                device,
                Space(
                    what=what,
                    path=str(folder),
                    free_bytes=found.f_bavail * found.f_frsize,
                    total_bytes=found.f_blocks * found.f_frsize,
                ),
            )
        return list(spaces.values())
