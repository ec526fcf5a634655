"""`ports.Catalogue` over a folder: `<publisher>/<name>/node.yaml` for each node type."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from pupload import errors
from pupload.domain.nodedef import NodeDef

log = logging.getLogger(__name__)

Read = Callable[[Path], NodeDef]
"""Reads one definition. Raises `errors.Refused` for a file that cannot be used."""


class FolderCatalogue:
    """Reads the folder once, when it is first asked."""

    def __init__(self, folders: Sequence[Path], read: Read) -> None:
        """Where two folders have the same type, the first wins."""
        self._folders = folders
        self._read = read
        self._known: dict[str, NodeDef] | None = None
        self._reading = asyncio.Lock()

    async def find(self, uses: str) -> NodeDef | None:
        return (await self._all()).get(uses)

    async def all(self) -> Sequence[NodeDef]:
        return [definition for _, definition in sorted((await self._all()).items())]

    async def _all(self) -> dict[str, NodeDef]:
        async with self._reading:
            if self._known is None:
                self._known = await asyncio.to_thread(self._read_all)
            return self._known

    def _read_all(self) -> dict[str, NodeDef]:
        known: dict[str, NodeDef] = {}
        for folder in self._folders:
            for path in sorted(folder.glob("*/*/node.yaml")):
                try:
                    definition = self._read(path)
                except errors.Refused as error:
                    # A bad file must be seen, but need not keep the others from being used.
                    log.error("node type %s cannot be read: %s", path, error)  # noqa: TRY400
                    continue
                known.setdefault(definition.uses, definition)
        return known
