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
from pupload.domain.tables import Kind
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
