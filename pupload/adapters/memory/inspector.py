"""`ports.Inspector` in memory: it reads the size of a PNG, and knows nothing of anything else."""

import asyncio
import struct
from collections.abc import Sequence

from pupload import ports
from pupload.domain.facts import Facts, Inspection


class MemoryInspector:
    """Needs no process and no library."""

    def looks_into(self, content_type: str) -> bool:
        return content_type == "image/png"

    async def look(self, content: ports.Content, *, content_type: str, size: int) -> Inspection:  # noqa: ARG002
        head = await asyncio.to_thread(_head, content)
        if content_type != "image/png" or len(head) < 24 or head[12:16] != b"IHDR":
            return Inspection(reason="its headers cannot be read")
        width, height = struct.unpack(">II", head[16:24])
        return Inspection(facts=Facts(width=width, height=height))

    async def look_all(self, files: Sequence[ports.Inspected]) -> Sequence[Inspection]:
        return [await self.look(one.content, content_type=one.content_type, size=one.size) for one in files]


def _head(content: ports.Content) -> bytes:
    if not isinstance(content, list | tuple):
        with content.open("rb") as file:  # type: ignore[union-attr]
            return file.read(24)
    return next((data for start, data in content if start == 0), b"")[:24]
