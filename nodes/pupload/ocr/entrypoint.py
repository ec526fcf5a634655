#!/usr/bin/python3
"""
Reads the text in a picture, or in the pages of a PDF.

    INPUT_PICTURE    JPEG, PNG, TIFF (of many pages), WebP, GIF or PDF, told from its bytes
    OUTPUT_TEXT      the text, UTF-8; left out where it is not set
    OUTPUT_PDF       the pages as PDF with the text behind the picture, to be found and copied; left out the same way
    FLAG_LANGUAGES   eng, deu, eng+deu, deu+eng
    FLAG_LAYOUT      auto, column, block, line, word, sparse
    FLAG_DPI         how finely the pages of a PDF are drawn before they are read
    FLAG_FIRST, FLAG_LAST   the pages, counted from 1; all

Tesseract takes a file that is no picture for a list of files to read: so the format is told here, from the first bytes,
and the size is read from the header before anything is decoded. Exit codes are those of node.sh.
"""

import os
import re
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import node

MOST_PAGES = 500
MOST_PAGES_TO_LOOK_AT = 20_000
MOST_PIXELS = 120_000_000
MOST_EDGE = 32_000
SECONDS_TO_LOOK = 60
SECONDS_A_PAGE = 240
BYTES_A_PIXEL = 12
"""What tesseract takes for a picture in colour, its copies in grey and in black and white included."""

BYTES_OF_LANGUAGES = 200_000_000

WORK = Path("/tmp/work")

LAYOUTS = {"auto": "1", "column": "4", "block": "6", "line": "7", "word": "8", "sparse": "11"}


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page to read: how large it is, and how to come by its picture and number in it."""

    width: int
    height: int
    picture: Callable[[], Path]
    index: int = 0


# ── What the file is ─────────────────────────────────────────────────────────────────────────────────────────────

NEITHER = "the input is not a picture in one of the formats JPEG, PNG, TIFF, WebP, GIF, and not a PDF"
DAMAGED = "the picture cannot be read: it is damaged or not complete"


def sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Width and height of each page of a picture, as its headers tell them; ends early where they make no sense."""
    big = "big"
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        yield int.from_bytes(data[16:20], big), int.from_bytes(data[20:24], big)
    elif data[:6] in (b"GIF87a", b"GIF89a"):
        # The first frame may be larger than the screen that the header tells.
        yield from gif(data)
    elif data.startswith(b"\xff\xd8\xff"):
        yield from jpeg(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        yield from webp(data)
    elif data[:4] in (b"II*\0", b"MM\0*"):
        yield from tiff(data)


def gif(data: bytes) -> Iterator[tuple[int, int]]:
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 12 and data[10] & 0x80 else 0)
    while at < len(data) and data[at] == 0x21:
        at += 2
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    if data[at : at + 1] == b",":
        yield tuple(
            max(int.from_bytes(data[low : low + 2], "little"), int.from_bytes(data[own : own + 2], "little"))
            for low, own in ((6, at + 5), (8, at + 7))
        )


def jpeg(data: bytes) -> Iterator[tuple[int, int]]:
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            yield int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
            return
        elif marker == 1 or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def webp(data: bytes) -> Iterator[tuple[int, int]]:
    kind = data[12:16]
    if kind == b"VP8X":
        yield int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8 ":
        yield int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def tiff(data: bytes) -> Iterator[tuple[int, int]]:
    order = "little" if data[:2] == b"II" else "big"

    def read(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    at, seen = read(4, 4), set[int]()
    while at and at not in seen and at + 2 <= len(data) and len(seen) <= MOST_PAGES:
        seen.add(at)
        count = read(at, 2)
        found = {
            read(entry, 2): read(entry + 8, 2 if read(entry + 2, 2) == 3 else 4)
            for entry in range(at + 2, min(at + 2 + 12 * count, len(data) - 11), 12)
        }
        yield found.get(256, 0), found.get(257, 0)
        at = read(at + 2 + 12 * count, 4)


def pages_of(source: Path, dpi: int) -> Sequence[Page]:
    """All pages of a picture or a PDF."""
    data = source.read_bytes()
    if data.startswith(b"%PDF-"):
        return list(pdf(source, dpi))
    found = list(sizes(data))
    if not found:
        node.die(
            node.WRONG_INPUT,
            DAMAGED if data[:3] in (b"\xff\xd8\xff", b"\x89PN", b"GIF", b"II*", b"MM\0", b"RIF") else NEITHER,
        )
    if any(0 in size for size in found):
        node.die(node.WRONG_INPUT, DAMAGED)
    return [Page(width=w, height=h, picture=lambda: source, index=at) for at, (w, h) in enumerate(found)]


def pdf(source: Path, dpi: int) -> Iterator[Page]:
    status, told, said = tool(SECONDS_TO_LOOK, "pdfinfo", "-f", "1", "-l", str(MOST_PAGES_TO_LOOK_AT), str(source))
    if "ncorrect password" in said:
        node.die(node.WRONG_INPUT, "the PDF opens only with a password; save it without one and try again")
    if status:
        node.die(node.WRONG_INPUT, "the PDF cannot be read: it is damaged, not complete, or made to keep a reader busy")
    lines = re.findall(r"^(?:Page +(\d+) size|Page size): +([0-9.e+]+) x ([0-9.e+]+) pts", told, re.MULTILINE)
    for page, wide, high in lines:
        name = WORK / f"{page or 1}"

        def drawn(page: str = page or "1", name: Path = name) -> Path:
            how = ("-q", "-png", "-cropbox", "-singlefile", "-r", str(dpi), "-f", page, "-l", page)
            status, _, _ = tool(SECONDS_A_PAGE, "pdftoppm", *how, str(source), str(name))
            made = name.with_suffix(".png")
            if status or not made.is_file():
                node.die(
                    node.WRONG_INPUT,
                    f"page {page} of the PDF cannot be drawn: it is damaged, or too much for this tier",
                )
            return made

        yield Page(width=round(float(wide) * dpi / 72 + 0.5), height=round(float(high) * dpi / 72 + 0.5), picture=drawn)
    if not lines:
        node.die(node.WRONG_INPUT, "the PDF has no pages that can be read")


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def tool(seconds: int, *command: str) -> tuple[int, str, str]:
    """How a program ended (124 when it took too long), and what it said, within bounds."""
    # One thread each: tesseract's own threads wait for each other in circles, and pages are read side by side anyway.
    surroundings = {"HOME": "/tmp", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_THREAD_LIMIT": "1"}
    with tempfile.TemporaryFile(dir=WORK) as out, tempfile.TemporaryFile(dir=WORK) as err:
        try:
            ended = subprocess.run(
                command,
                env=surroundings,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=seconds,
                check=False,
            )
            code = ended.returncode
        except subprocess.TimeoutExpired:
            code = 124
        heard = []
        for file in (out, err):
            file.seek(0)
            heard.append(file.read(4_000_000).decode("utf-8", "replace"))
    return code, heard[0], heard[1]


def read_page(page: Page, number_of_it: int, languages: str, layout: str, wanted: Sequence[str]) -> Path:
    """The beginning of the names of what was made: with .txt and .pdf they are there."""
    picture, base = page.picture(), WORK / f"page-{number_of_it:04}"
    status, _, said = tool(
        SECONDS_A_PAGE,
        *("tesseract", str(picture), str(base), "-l", languages, "--psm", LAYOUTS[layout]),
        *("-c", f"tessedit_page_number={page.index}", *wanted),
    )
    if picture.parent == WORK:
        picture.unlink()
    if status == 124:
        node.die(
            node.WRONG_INPUT,
            f"reading page {number_of_it} took longer than {SECONDS_A_PAGE} s: try fewer dpi or a smaller picture",
        )
    if status in (-9, -6) or "bad_alloc" in said:
        node.die(
            node.TOO_LARGE, f"page {number_of_it} takes more memory than this tier has; try a larger one, or fewer dpi"
        )
    if status or not all(base.with_suffix("." + each).is_file() for each in wanted):
        node.die(node.WRONG_INPUT, f"page {number_of_it} cannot be read: it is damaged or not complete")
    return base


def bounded(pages: Sequence[Page], memory: int) -> Sequence[tuple[int, Page]]:
    """The pages that are asked for, with their numbers, none of them too large."""
    first, last = node.number("first", 1, 1, 999_999), node.optional("last", 1, 999_999) or len(pages)
    if first > last:
        node.die(node.WRONG_FLAG, f"flag first ({first}) must not be above flag last ({last})")
    if first > len(pages):
        node.die(node.WRONG_FLAG, f"flag first is {first}, and there are only {len(pages)} pages")
    chosen = list(enumerate(pages, 1))[first - 1 : last]
    if len(chosen) > MOST_PAGES:
        node.die(node.WRONG_INPUT, f"there are more than {MOST_PAGES} pages; choose with the flags first and last")
    for at, page in chosen:
        size = f"page {at} has {page.width} x {page.height} pixels"
        if max(page.width, page.height) > MOST_EDGE or page.width * page.height > MOST_PIXELS:
            node.die(
                node.WRONG_INPUT,
                f"{size}; the most is {MOST_EDGE} an edge and {MOST_PIXELS // 1_000_000} million in all",
            )
        if page.width * page.height * BYTES_A_PIXEL > memory:
            node.die(
                node.TOO_LARGE, f"{size}, which takes more memory than this tier has; try a larger one, or fewer dpi"
            )
    return chosen


def side_by_side(chosen: Sequence[tuple[int, Page]], memory: int) -> int:
    """How many pages are read at the same time: one for each processor, as far as the memory goes."""
    largest = max(page.width * page.height for _, page in chosen) * BYTES_A_PIXEL + BYTES_OF_LANGUAGES
    return max(1, min(node.processors(), memory // largest))


def main() -> None:
    node.place("INPUT_PICTURE")
    text, searchable = (node.place(each) if os.environ.get(each) else None for each in ("OUTPUT_TEXT", "OUTPUT_PDF"))
    if not text and not searchable:
        node.die(node.WRONG_FLAG, "neither OUTPUT_TEXT nor OUTPUT_PDF is set: bind the output text, pdf, or both")
    languages = node.choice("languages", "eng+deu", "eng+deu", "eng", "deu", "deu+eng")
    layout = node.choice("layout", "auto", *LAYOUTS)
    dpi = node.number("dpi", 300, 70, 600)
    for flag in ("first", "last"):
        node.optional(flag, 1, 999_999)
    source = node.source("INPUT_PICTURE")
    # What is made on the way may be large, and /tmp is memory.
    with tempfile.TemporaryDirectory(prefix=".ocr-", dir=(text or searchable or source).parent) as place:
        WORK.symlink_to(place)
        read_all(source, text, searchable, languages=languages, layout=layout, dpi=dpi)


def read_all(
    source: Path, text: Path | None, searchable: Path | None, *, languages: str, layout: str, dpi: int
) -> None:
    memory = node.memory_limit()
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    chosen = bounded(pages_of(source, dpi), memory)
    wanted = [kind for kind, output in (("txt", text), ("pdf", searchable)) if output]
    node.say(f"Reading {len(chosen)} pages in {languages}", 0)
    bases, letters = [], 0
    with ThreadPoolExecutor(side_by_side(chosen, memory)) as pool:
        reading = [pool.submit(read_page, page, at, languages, layout, wanted) for at, page in chosen]
        for done, (at, _) in enumerate(chosen, 1):
            try:
                bases.append(reading[done - 1].result())
            except SystemExit:
                # The others are not waited for.
                for each in reading:
                    each.cancel()
                raise
            node.say(f"Page {at} read", done / (len(chosen) + 1))
    if text:
        pieces = [base.with_suffix(".txt").read_bytes().rstrip(b"\f\n") + b"\n" for base in bases]
        letters = sum(len(piece.strip()) for piece in pieces)
        text.write_bytes(b"\f".join(pieces))
        if not letters:
            node.warn("no text was found in these pages")
    if searchable:
        united(bases, searchable)
    node.say(f"{len(chosen)} pages read" + (f", {letters} bytes of text" if text else ""), 1)


def united(bases: Sequence[Path], target: Path) -> None:
    """One PDF of those of the pages."""
    parts = [str(base.with_suffix(".pdf")) for base in bases]
    if len(parts) == 1:
        target.write_bytes(Path(parts[0]).read_bytes())
        return
    status, _, _ = tool(SECONDS_A_PAGE, "pdfunite", *parts, str(target))
    if status or not target.is_file():
        target.unlink(missing_ok=True)
        node.die(node.FAILED, "the pages could not be put together as one PDF")


if __name__ == "__main__":
    main()
