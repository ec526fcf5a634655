"""
Rows of text: CSV and TSV, JSON lines, an array of JSON objects, plain lines.

Nothing is guessed that the data does not say. The encoding is that of the byte order mark, else UTF-8 where the bytes
are that, else Latin-1, which anything is. A row that the end of what is read cuts in two is not a row.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice, zip_longest
from typing import Any, Literal, TextIO

from pupload.adapters.tables.given import Given, Rows, Unreadable
from pupload.domain import profiling, tables
from pupload.domain.tables import Kind

SAMPLE_BYTES = 1 << 20
"""Of the beginning, from which encoding, delimiter and header are told."""

FIELD_CHARS = 1 << 18
"""Of a field of CSV. A longer one is taken for a quotation mark that was never closed."""

COUNTED = 10_000
"""Rows that are counted at a time."""

LINE_CHARS = 1 << 22
"""Of a line; what is longer comes in pieces."""

CHUNK_CELLS = 50_000
"""In one chunk of rows."""

_DELIMITERS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SPACE = re.compile(r"[ \t\r\n]*")

Row = list[str | None]


def chunks(file: Given, kind: Kind, *, rows: int | None = None) -> Iterator[Rows]:
    """The rows, `rows` in a chunk, or as many as is quick. Raises `Unreadable`."""
    csv.field_size_limit(FIELD_CHARS)
    text = Text(file)
    if kind in (Kind.CSV, Kind.TSV):
        titles, found = cells(text, "\t" if kind is Kind.TSV else "")
        yield from _ragged(found, titles, rows)
        return
    objects = _objects(text, kind)
    if objects is None:
        yield from _of_lines(text.lines(), rows)
    else:
        yield from _of_objects(objects, rows)


def counts(file: Given, kind: Kind) -> Iterator[int]:
    """How many rows there are, told a few thousand at a time. Raises `Unreadable`."""
    csv.field_size_limit(FIELD_CHARS)
    text = Text(file)
    if kind in (Kind.CSV, Kind.TSV):
        rows: Iterator[Any] = cells(text, "\t" if kind is Kind.TSV else "")[1]
    else:
        rows = _objects(text, kind) or text.lines()
    try:
        while count := sum(1 for _ in islice(rows, COUNTED)):
            yield count
    except csv.Error as error:
        raise Unreadable(f"it is no CSV: {error}") from error


def kind_found(file: Given, kind: Kind) -> Kind:
    """The kind that it turns out to be: what was taken for JSON may be no table, and is plain text then."""
    if kind in (Kind.JSON, Kind.JSONL) and _objects(Text(file), kind) is None:
        return Kind.TEXT
    return kind


# ── Text ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Text:
    """The text of a file."""

    def __init__(self, file: Given) -> None:
        self._file = file
        self.cut = not file.whole
        """Whether its end is not the file's."""
        file.seek(0)
        head = _exactly(file, SAMPLE_BYTES)
        self.encoding = _encoding(head, ended=len(head) < SAMPLE_BYTES and not self.cut)
        self.sample = codecs.getincrementaldecoder(self.encoding)("replace").decode(head, final=False)
        self.sample_cut = self.cut or len(head) == SAMPLE_BYTES
        if _CONTROL.search(self.sample):
            raise Unreadable("it is no text")

    def open(self) -> TextIO:
        """From the beginning, line ends as they are."""
        self._file.seek(0)
        return io.TextIOWrapper(io.BufferedReader(_Unclosed(self._file)), self.encoding, "replace", newline="")

    def pieces(self) -> Iterator[str]:
        """Line by line, with their ends; one that is very long comes in pieces."""
        return iter(partial(self.open().readline, LINE_CHARS), "")

    def lines(self) -> Iterator[str]:
        """Without their ends; one that is cut in two at the end is left out."""
        before, whole = None, True
        for piece in self.pieces():
            if before is not None:
                yield before
            before = piece.rstrip("\r\n")
            whole = piece.endswith(("\r", "\n"))
        if before is not None and (whole or not self.cut):
            yield before


class _Unclosed(io.RawIOBase):
    """A file that is read on by others when this is let go of."""

    def __init__(self, file: Given) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As of any file."""
        return self._file.readinto(buffer)


def _exactly(file: Given, size: int) -> bytes:
    found = b""
    while len(found) < size and (piece := file.read(size - len(found))):
        found += piece
    return found


def _encoding(head: bytes, *, ended: bool) -> str:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=ended)
    except UnicodeDecodeError:
        pass
    else:
        if b"\0" not in head:
            return "utf-8"
    # Every other byte of plain text in UTF-16 is nought.
    for nought, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(head) > 1 and head[nought::2].count(0) > len(head) // 4 and head[1 - nought :: 2].count(0) == 0:
            return name
    return "latin-1"


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def cells(
    text: Text, delimiter: str = "", pieces: Iterator[str] | None = None
) -> tuple[list[str], Iterator[list[str]]]:
    """
    The names of the columns, where there are any, and the rows, which are read of the `pieces` where those are given.

    No more of those is taken than up to the end of the row that was asked for; the last may be cut in two then.
    """
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
    delimiter = delimiter or _delimiter(text.sample, cut_off=text.sample_cut)
    try:
        sample = list(islice(_sampled(text.sample, delimiter, cut_off=text.sample_cut), 100))
    except csv.Error:  # a quotation mark that is not closed is a letter
        quoting = csv.QUOTE_NONE
        sample = _sample(text, delimiter)
    rows = filter(None, csv.reader(pieces or text.pieces(), delimiter=delimiter, quoting=quoting))
    whole = _but_last(rows) if text.cut and pieces is None else rows
    titles: list[str] = next(whole, []) if has_header(sample) else []
    return titles, whole


def _sample(text: Text, delimiter: str) -> list[list[str]]:
    """The first rows, whatever quotation marks there are. Raises `Unreadable`."""
    try:
        found = _sampled(text.sample, delimiter, cut_off=text.sample_cut, quoting=csv.QUOTE_NONE)
        return list(islice(found, 100))
    except csv.Error as error:
        raise Unreadable(f"it is no CSV: {error}") from error


def _sampled(
    sample: str, delimiter: str, *, cut_off: bool, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
) -> Iterator[list[str]]:
    found = filter(None, csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, quoting=quoting))
    return _but_last(found) if cut_off else found


def _delimiter(sample: str, *, cut_off: bool) -> str:
    """The one that cuts most rows into as many fields; a comma where none is better."""
    best, found = 0.0, ","
    for delimiter in _DELIMITERS:
        try:
            widths = [len(row) for row in islice(_sampled(sample, delimiter, cut_off=cut_off), 50)]
        except csv.Error:
            continue
        if not widths or max(widths) < 2:
            continue
        usual = max(set(widths), key=widths.count)
        alike = widths.count(usual) / len(widths) if usual > 1 else 0.0
        if alike > best:
            best, found = alike, delimiter
    return found


def has_header(sample: list[list[str]]) -> bool:
    """Whether the first row names the columns: it says something, and no number, while a table's data mostly does."""
    if not sample:
        return False
    first = [cell.strip() for cell in sample[0]]
    return any(first) and not any(profiling.is_number(cell) for cell in first)


def _ragged(cells: Iterator[list[str]], titles: list[str], rows: int | None) -> Iterator[Rows]:
    """Rows of any width: what lacks is null, what is too much has columns of its own."""
    given, first = tables.Names(), True
    names = [given.new(title) for title in titles[: tables.MOST_COLUMNS]]
    while True:
        size = rows or max(20, CHUNK_CELLS // max(1, len(names)))
        try:
            some = list(islice(cells, size))
        except csv.Error as error:
            raise Unreadable(f"it is no CSV: {error}") from error
        if not some and not first:
            return
        first = False
        columns = [list(column) for column in islice(zip_longest(*some), tables.MOST_COLUMNS)]
        names += [given.new("") for _ in range(len(columns) - len(names))]
        columns += [[None] * len(some) for _ in range(len(names) - len(columns))]
        yield Rows(columns=list(zip(names, columns, strict=True)), count=len(some))


def _but_last(rows: Iterable[Any]) -> Iterator[Any]:
    before, any_yet = None, False
    for row in rows:
        if any_yet:
            yield before
        before, any_yet = row, True


# ── Lines ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_lines(lines: Iterator[str], rows: int | None) -> Iterator[Rows]:
    while some := list(islice(lines, rows or CHUNK_CELLS // 10)):
        yield Rows(columns=[(tables.LINE, some)], count=len(some))


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _objects(text: Text, kind: Kind) -> Iterator[dict[str, Any]] | None:
    """The objects; None where the file does not begin with one, in an array or in its first line."""
    found = _of_array(text) if text.sample.lstrip().startswith("[") else _of_json_lines(text)
    first = next(found, None)
    if isinstance(first, dict):
        return (each if isinstance(each, dict) else {tables.VALUE: each} for each in chain((first,), found))
    empty = kind is Kind.JSON and text.sample.strip().replace(" ", "") == "[]" and not text.cut
    return iter(()) if empty else None


def _of_json_lines(text: Text) -> Iterator[Any]:
    for line in text.lines():
        if line.strip():
            try:
                yield DECODER.decode(line)
            except (ValueError, RecursionError):
                yield line


def _of_array(text: Text) -> Iterator[Any]:
    """The elements; what follows something that is no JSON is not read."""
    opened = text.open()
    rest, at = opened.read(SAMPLE_BYTES).lstrip()[1:], 0
    while True:
        at = _space(rest, at)
        try:
            value, end = DECODER.raw_decode(rest, at)
        except RecursionError:
            return
        except ValueError:
            end = len(rest)
        end = _space(rest, end)
        # What ends where the text ends may go on: a number, say.
        if end < len(rest):
            yield value
            if rest[end] != ",":
                return
            at = end + 1
        elif more := opened.read(max(SAMPLE_BYTES, len(rest) - at)):
            rest, at = rest[at:] + more, 0
        else:
            return


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _constant(text: str) -> str | None:
    return None if text == "NaN" else text


def _whole(text: str) -> int | str:
    """A number so long that nobody counts so far stays the text that it is."""
    return int(text) if len(text) <= 20 else text


DECODER = json.JSONDecoder(parse_constant=_constant, parse_int=_whole)


def _of_objects(objects: Iterator[dict[str, Any]], rows: int | None) -> Iterator[Rows]:
    given, names = tables.Names(), dict[str, str]()
    while some := list(islice(objects, rows or max(20, min(2000, CHUNK_CELLS // max(1, len(names)))))):
        for each in some:
            for key in each:
                if key not in names and len(names) < tables.MOST_COLUMNS:
                    names[key] = given.new(key)
        yield Rows(columns=[(name, [each.get(key) for each in some]) for key, name in names.items()], count=len(some))
