"""What is in files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pupload.domain import facts, tables


class TypeTeller(Protocol):
    """Tells media types from bytes."""

    head_bytes: int
    """How many bytes from the beginning of a file it wants."""

    async def tell(self, head: bytes, *, size: int) -> str:
        """
        The media type (lower case, no parameters) of a file that begins with `head` and has `size` bytes in all.

        `application/octet-stream` when nothing better is known; `application/x-empty` for no bytes.
        """

    async def tell_all(self, files: Sequence[tuple[bytes, int]]) -> Sequence[str]:
        """The same for many files, each with its beginning and its size; in the same order."""


Content = Path | Sequence[tuple[int, bytes]]
"""A regular file of this machine; or pieces of one, each with the place where it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A file that is to be looked into."""

    content: Content
    content_type: str
    size: int


class Inspector(Protocol):
    """
    Looks into files, beside the event loop, with an end to what it reads and how long it takes.

    No file can break it: where a parser does not answer, nothing can be told of that file, and that is the answer.
    """

    def looks_into(self, content_type: str) -> bool:
        """Whether there may be anything to tell of files of this type. For text and plain bytes there is not."""

    async def look(self, content: Content, *, content_type: str, size: int) -> facts.Inspection:
        """
        What is in a file of `size` bytes that looks like `content_type`, as far as its headers and `content` tell.

        Raises `errors.InspectorUnavailable` where that is not the file's fault.
        """

    async def look_all(self, files: Sequence[Inspected]) -> Sequence[facts.Inspection]:
        """As `look` for each, which has the same time and may read as much; in the same order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """A regular file that holds a table of `size` bytes, or of it as much as was brought here."""

    path: Path
    kind: tables.Kind
    size: int
    head: int
    """So many bytes of the beginning are in the file."""
    tail: int
    """From here on its bytes are in the file as well; `size` where they are not."""


class Tables(Protocol):
    """
    Reads strangers' files as tables, beside the event loop, with an end to how long that takes and what memory.

    No file can break it, nor reach anything but itself. Where none can be read all raise `errors.NoPreview`, which
    says why; `errors.InspectorUnavailable` where that is not the file's fault.
    """

    async def preview(self, file: TableFile, *, rows: int) -> tables.Table:
        """The first `rows`, fewer where they are very long; never half of one."""

    async def cut(self, file: TableFile, to: Path, *, rows: int) -> bool:
        """
        Writes a file `to` that holds its first `rows` and no more, in the same format; nothing must be there.

        Returns whether it did: not where it has no more than these, nor of plain text, which is no table.
        """

    async def profile(self, file: TableFile) -> tables.Profile:
        """What is told of the columns, by as many rows as time allows."""

    async def count(self, file: TableFile) -> int | None:
        """How many rows it has; None for plain text, and where that takes too long."""
