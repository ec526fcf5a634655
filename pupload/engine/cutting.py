"""
Tables of dry runs, cut to their first rows before anybody is given them.

What is no table is left as it is, and so is what was taken for one and cannot be read as such: the node that takes it
will say so in its own words.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pupload import errors
from pupload.domain import tables
from pupload.domain.dry import ROWS
from pupload.domain.plan import PortPlan
from pupload.domain.tables import Kind
from pupload.engine import folders
from pupload.engine.collecting import Items, Left
from pupload.engine.contents import Contents
from pupload.ports import ObjectStat, ObjectStore, TableFile, Tables

log = logging.getLogger(__name__)

HEAD_BYTES = 64 * 1024 * 1024
"""Of text that is not on this machine, in which its first rows are looked for."""

PARQUET_BYTES = 1024 * 1024 * 1024
"""Of a file that is not on this machine and says at its end where its rows are: a larger one is not cut."""

PIECE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """What is known of a file that may be a table."""

    content_type: str
    names: tuple[str, ...] = ()
    promised: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind | None:
        """How its rows are read; None where it is no table."""
        found = tables.kind_of(self.content_type, names=self.names, promised=self.promised)
        return found if found is not None and found.tabular else None


def looks(content_type: str, port: PortPlan, name: str = "") -> Looks:
    """What is known of what a node left for its output."""
    return Looks(content_type=content_type, names=(name,), promised=port.types)


class Cutting:
    """Cuts tables."""

    def __init__(self, reader: Tables | None, *, tokens: Callable[[], str]) -> None:
        """Without a `reader` nothing is cut. `tokens` are for the names of files."""
        self._reader = reader
        self._tokens = tokens

    async def file(self, path: Path, looks: Looks, *, size: int, folder: Path) -> Path | None:
        """A file in the `folder` with the first rows of the one at `path`; None where that needs no cutting."""
        if looks.kind is None:
            return None
        return await self._cut(TableFile(path=path, kind=looks.kind, size=size, head=size, tail=size), folder)

    async def output(self, port: PortPlan, path: Path, content_type: str, *, size: int, folder: Path) -> Path:
        """The file at `path`, or one with its first rows where it is a table that has more."""
        return await self.file(path, looks(content_type, port, path.name), size=size, folder=folder) or path

    async def items(self, port: PortPlan, directory: Path, items: Items, *, contents: Contents, folder: Path) -> Items:
        """The first of them, each that is a table with its first rows alone."""
        found = []
        for item in items[:ROWS]:
            path, size = directory / item.name, item.size
            if size:
                head = await asyncio.to_thread(folders.head, path, contents.head_bytes)
                told = await contents.of_file(path, head=head, size=size, subject=item.name, takers=())
                cut = await self.output(port, path, told.content_type, size=size, folder=folder)
                if cut != path:
                    size = await asyncio.to_thread(_in_place, cut, path)
            found.append(Left(item.name, size))
        return tuple(found)

    async def object(self, store: ObjectStore, found: ObjectStat, looks: Looks, *, folder: Path) -> Path | None:
        """
        The same of an object, of which no more is read than that takes. Raises what the store raises.

        `errors.PreconditionFailed` when it is another by now.
        """
        kind, size = looks.kind, found.size
        if kind is None or not size or (kind is Kind.PARQUET and size > PARQUET_BYTES):
            return None
        path = folder / f"whole.{self._tokens()}"
        try:
            head = await self._bring(store, found, path, size if kind is Kind.PARQUET else min(size, HEAD_BYTES))
            return await self._cut(TableFile(path=path, kind=kind, size=size, head=head, tail=size), folder)
        finally:
            path.unlink(missing_ok=True)

    async def _cut(self, file: TableFile, folder: Path) -> Path | None:
        to = folder / f"cut.{self._tokens()}"
        try:
            done = self._reader is not None and await self._reader.cut(file, to, rows=ROWS)
        except errors.NoPreview as error:
            log.info("a file of a dry run is handed on as it is: %s", error)
            done = False
        except BaseException:
            to.unlink(missing_ok=True)
            raise
        return to if done else None

    @staticmethod
    async def _bring(store: ObjectStore, found: ObjectStat, path: Path, most: int) -> int:
        """Brings so many bytes of the object here. Returns how many there were."""
        at = 0
        with await asyncio.to_thread(path.open, "xb") as file:
            while at < most:
                data = await store.read(found.key, start=at, length=min(PIECE_BYTES, most - at))
                if not data:
                    break
                await asyncio.to_thread(file.write, data)
                at += len(data)
        return at


def _in_place(cut: Path, of: Path) -> int:
    """Puts it there; how many bytes it has."""
    return cut.replace(of).stat().st_size


NONE = Cutting(None, tokens=str)
"""Cuts nothing."""
