"""
The beginning of a table as a file of its own: its first rows, byte for byte as they were written.

Where a row ends is for the format to say: a line end within quotation marks ends none. Nothing is written anew but what
closes the file, so that whoever reads it finds what the whole file would have said so far.
"""

import csv
import re
from collections.abc import Iterator
from itertools import islice

from pupload.adapters.tables import texts
from pupload.adapters.tables.given import Given, Unreadable
from pupload.domain.tables import Kind

MOST_CHARS = 32 * 1024 * 1024
"""Of what is kept: rows that are longer than that together are not cut."""

_SPACE = re.compile(r"[ \t\r\n]*")


def cut(file: Given, kind: Kind, rows: int) -> bytes | None:
    """
    The file up to the end of so many rows; None where it has no more than that, or is plain text.

    Raises `Unreadable`.
    """
    if kind is Kind.TEXT:
        return None
    csv.field_size_limit(texts.FIELD_CHARS)
    text = texts.Text(file)
    if kind in (Kind.CSV, Kind.TSV):
        kept = _lines_of_csv(text, "\t" if kind is Kind.TSV else "", rows)
    elif text.sample.lstrip().startswith("["):
        kept = _array(text, rows)
    else:
        kept = _lines(text, rows)
    return None if kept is None else kept.encode(text.encoding, "replace")


class _Noted:
    """Lines, as they are taken."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self._taken: list[str] = []
        self._chars = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        piece = next(self._pieces)
        self._taken.append(piece)
        self._chars += len(piece)
        if self._chars > MOST_CHARS:
            raise Unreadable("its rows are too long to be cut")
        return piece

    @property
    def taken(self) -> str:
        """All that was taken so far."""
        return "".join(self._taken)


def _lines_of_csv(text: texts.Text, delimiter: str, rows: int) -> str | None:
    noted = _Noted(text.pieces())
    _, cells = texts.cells(text, delimiter, noted)
    try:
        for _ in islice(cells, rows):
            pass
        kept = noted.taken
        return kept if next(cells, None) is not None else None
    except csv.Error as error:
        raise Unreadable(f"it is no CSV: {error}") from error


def _lines(text: texts.Text, rows: int) -> str | None:
    noted = _Noted(text.pieces())
    left, kept = rows, ""
    for line in noted:
        if not line.strip():
            continue
        if not left:
            return kept
        left -= 1
        kept = noted.taken if not left else kept
    return None


def _array(text: texts.Text, rows: int) -> str | None:
    """The array, closed behind so many elements."""
    opened = text.open()
    read, at, left = "", 0, rows
    while len(read) <= MOST_CHARS:
        more = opened.read(max(texts.SAMPLE_BYTES, len(read)))
        read += more
        if not at:
            at = read.index("[") + 1
        while left:
            end = _end_of_element(read, at)
            if end is None:
                break
            left, at = left - 1, end
            if read[end] != ",":
                return None  # it ends here, or goes on with something that is no JSON
            at = end + 1
        if not left:
            return f"{read[: at - 1]}]\n"
        if not more:
            return None
    raise Unreadable("its rows are too long to be cut")


def _end_of_element(read: str, at: int) -> int | None:
    """Where what follows the element begins; None where that is not there yet."""
    found = _SPACE.match(read, at)
    try:
        _, end = texts.DECODER.raw_decode(read, found.end() if found else at)
    except (ValueError, RecursionError):
        return None
    found = _SPACE.match(read, end)
    end = found.end() if found else end
    return end if end < len(read) else None
