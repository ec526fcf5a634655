#!/usr/bin/python3
"""
An office document as PDF.

    INPUT_DOCUMENT   docx, xlsx, pptx, odt, ods, odp, rtf, doc, xls or ppt, told from its bytes
    OUTPUT_PDF       the file to write
    FLAG_FIRST, FLAG_LAST   the pages, counted from 1; all
    FLAG_PDFA        no, or the kind of PDF for archives: 1b, 2b, 3b
    FLAG_QUALITY     1 to 100, how much detail pictures keep
    FLAG_SHEET       pages, or one: each sheet of a table on a single page

LibreOffice never sees a package (docx, odt) as it came: it is read here first, within bounds, and written anew with
only what belongs into a document: no macros, no links to files elsewhere, no parts under strange names. What is left is
opened by the one filter for its kind. Exit codes are those of node.sh.
"""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import node

MOST_PARTS = 20_000
MOST_BYTES = 600_000_000
MOST_PART_BYTES = 400_000_000
MOST_RATIO = 400
RATIO_COUNTS_FROM = 30_000_000
MOST_PDF_BYTES = 1_000_000_000
SECONDS = 270
AGAIN = 81

WORK = Path("/tmp/work")

KINDS = {
    # kind: the filter that reads it, the filter that writes the PDF
    "docx": ("MS Word 2007 XML", "writer_pdf_Export"),
    "xlsx": ("Calc MS Excel 2007 XML", "calc_pdf_Export"),
    "pptx": ("Impress MS PowerPoint 2007 XML", "impress_pdf_Export"),
    "odt": ("writer8", "writer_pdf_Export"),
    "ods": ("calc8", "calc_pdf_Export"),
    "odp": ("impress8", "impress_pdf_Export"),
    "rtf": ("Rich Text Format", "writer_pdf_Export"),
    "doc": ("MS Word 97", "writer_pdf_Export"),
    "xls": ("MS Excel 97", "calc_pdf_Export"),
    "ppt": ("MS PowerPoint 97", "impress_pdf_Export"),
}
MAIN_PARTS = (
    (rb"(wordprocessingml\.document|ms-word\.document\.macroEnabled)\.main\+xml", "docx"),
    (rb"(spreadsheetml\.sheet|ms-excel\.sheet\.macroEnabled)\.main\+xml", "xlsx"),
    (
        rb"(presentationml\.(presentation|slideshow)|ms-powerpoint\.(presentation|slideshow)\.macroEnabled)\.main\+xml",
        "pptx",
    ),
)
OPEN_DOCUMENT = {
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "ods",
    b"application/vnd.oasis.opendocument.presentation": "odp",
}
STREAMS = (("EncryptedPackage", ""), ("WordDocument", "doc"), ("Workbook", "xls"), ("Book", "xls"))
STREAMS += (("PowerPoint Document", "ppt"),)

PDFA = {"no": 0, "1b": 1, "2b": 2, "3b": 3}


# ── What is asked ────────────────────────────────────────────────────────────────────────────────────────────────


def options(kind: str) -> str:
    """What the PDF is to be, as the writing filter reads it."""
    first, last = node.optional("first", 1, 999_999), node.optional("last", 1, 999_999)
    if first and last and first > last:
        node.die(node.WRONG_FLAG, f"flag first ({first}) must not be above flag last ({last})")
    asked: dict[str, tuple[str, object]] = {
        "Quality": ("long", node.number("quality", 90, 1, 100)),
        "SelectPdfVersion": ("long", PDFA[node.choice("pdfa", "no", *PDFA)]),
    }
    if first or last:
        asked["PageRange"] = ("string", f"{first or 1}-{last or ''}")
    if node.choice("sheet", "pages", "pages", "one") == "one" and kind in ("xlsx", "ods", "xls"):
        asked["SinglePageSheets"] = ("boolean", True)
    return json.dumps({name: {"type": of, "value": str(value).lower()} for name, (of, value) in asked.items()})


# ── What the file is ─────────────────────────────────────────────────────────────────────────────────────────────

NEITHER = "the input is not a document in one of the formats docx, xlsx, pptx, odt, ods, odp, rtf, doc, xls, ppt"
LOCKED = "the document opens only with a password; save it without one and try again"
DAMAGED = "the document cannot be read: it is damaged or not complete"


def taken_in(source: Path) -> tuple[str, Path]:
    """What kind of document it is, and where LibreOffice may read it."""
    with source.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"PK\x03\x04"):
        try:
            return repacked(source)
        except (zipfile.BadZipFile, zlib.error, ET.ParseError, NotImplementedError, EOFError, ValueError):
            node.die(node.WRONG_INPUT, DAMAGED)
    if head == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        kind = compound(source)
    elif head.startswith(b"{\\rtf"):
        kind = "rtf"
    else:
        node.die(node.WRONG_INPUT, NEITHER)
    there = WORK / f"document.{kind}"
    there.symlink_to(source)
    return kind, there


def compound(source: Path) -> str:
    """Which of the old formats it is: its directory names the streams."""
    names = set(compound_names(source.read_bytes()[:MOST_BYTES]))
    kind = next((kind for stream, kind in STREAMS if stream in names), None)
    if not kind:
        node.die(node.WRONG_INPUT, NEITHER if kind is None else LOCKED)
    return kind


def compound_names(data: bytes) -> Iterator[str]:
    """The names in the directory of a compound file, in the order in which they stand there."""

    def number_at(at: int) -> int:
        return int.from_bytes(data[at : at + 4], "little")

    shift = int.from_bytes(data[30:32], "little")
    if shift not in (9, 12):
        return
    size = 1 << shift
    tables = [number_at(76 + 4 * i) for i in range(109)]
    sector, seen = number_at(48), 0
    while sector < 0xFFFFFFFA and seen < 4096:
        start = (sector + 1) * size
        for at in range(start, min(start + size, len(data) - 127), 128):
            length = int.from_bytes(data[at + 64 : at + 66], "little")
            if 2 <= length <= 64:
                yield data[at : at + length - 2].decode("utf-16-le", "replace")
        index = sector // (size // 4)
        if index >= len(tables):
            return
        sector, seen = number_at((tables[index] + 1) * size + 4 * (sector % (size // 4))), seen + 1


# ── Packages ─────────────────────────────────────────────────────────────────────────────────────────────────────


def repacked(source: Path) -> tuple[str, Path]:
    """The package written anew, without what does not belong into a document."""
    with zipfile.ZipFile(source) as package:
        parts = bounded(package, source.stat().st_size)
        kind = package_kind(package, parts)
        there = WORK / f"document.{kind}"
        budget = MOST_BYTES
        left_out = False
        with zipfile.ZipFile(there, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
            for name, part in parts.items():
                data = inflated(package, part, budget)
                budget -= len(data)
                clean = cleaned(name, data)
                left_out |= clean != data
                if clean is not None:
                    new.writestr(name, clean, zipfile.ZIP_STORED if name == "mimetype" else None)
    if left_out:
        node.warn("macros or links to files elsewhere were left out of the document")
    return kind, there


def bounded(package: zipfile.ZipFile, size: int) -> Mapping[str, zipfile.ZipInfo]:
    """Its parts by name, if they promise to be neither too many nor too much."""
    parts = {part.filename: part for part in package.infolist() if not part.is_dir()}
    if len(package.infolist()) > MOST_PARTS:
        node.die(node.WRONG_INPUT, f"the document is made of more than {MOST_PARTS} parts")
    total = sum(part.file_size for part in parts.values())
    if total > MOST_BYTES or (total > RATIO_COUNTS_FROM and total > size * MOST_RATIO):
        node.die(
            node.WRONG_INPUT,
            f"the document unpacks to {total // 1_000_000} MB from {size // 1000} kB, which no real document does",
        )
    if any(part.flag_bits & 1 for part in parts.values()):
        node.die(node.WRONG_INPUT, LOCKED)
    return parts


def inflated(package: zipfile.ZipFile, part: zipfile.ZipInfo, budget: int) -> bytes:
    """A part's bytes; what it promised is not believed."""
    most = min(budget, MOST_PART_BYTES)
    with package.open(part) as file:
        data = file.read(most + 1)
    if len(data) > most:
        node.die(node.WRONG_INPUT, "the document unpacks to more than any real document does")
    return data


def package_kind(package: zipfile.ZipFile, parts: Mapping[str, zipfile.ZipInfo]) -> str:
    if "[Content_Types].xml" in parts:
        types = inflated(package, parts["[Content_Types].xml"], 10_000_000)
        for pattern, kind in MAIN_PARTS:
            if re.search(pattern, types):
                return kind
    kind = ""
    if "mimetype" in parts and "content.xml" in parts:
        kind = OPEN_DOCUMENT.get(inflated(package, parts["mimetype"], 1000).strip(), "")
        manifest = parts.get("META-INF/manifest.xml")
        if manifest and b"encryption-data" in inflated(package, manifest, 50_000_000):
            node.die(node.WRONG_INPUT, LOCKED)
    if not kind:
        node.die(node.WRONG_INPUT, NEITHER)
    return kind


STRANGE = re.compile(r"[\\\0-\x1f:]|^/|(^|/)\.\.(/|$)")
MACROS = re.compile(r"(^|/)(Basic|Scripts)/|vbaProject|vbaData|activeX|attachedToolbars", re.IGNORECASE)
WRITTEN_IN = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^?]*?encoding\s*=\s*[\"']([\w.-]+)")
ASCII_WITHIN = {b"utf-8", b"us-ascii", b"ascii", b"iso-8859-1", b"iso-8859-15", b"windows-1252"}
ADDRESS = re.compile(rb"(:href\s*=\s*)(\"[^\"]*\"|'[^']*')")
# Addresses that may stay in an OpenDocument: parts of it, places in it, and links for people to click on.
FINE = re.compile(rb"[\"']((\./)?[A-Za-z0-9_][A-Za-z0-9_ ./%()+,=~@-]*|#[^\"']*|(https?|mailto|tel):[^\"']*|)[\"']")
UPWARDS = re.compile(rb"(^.|/)\.\.(/|.$)")
ACTIVE = re.compile(rb"<(script:event-listener|presentation:event-listener|office:dde-source)\b")


def cleaned(name: str, data: bytes) -> bytes | None:
    """The part as it may stay; None when it may not."""
    if STRANGE.search(name) or MACROS.search(name):
        return None
    if not name.endswith((".xml", ".rels", ".vml", ".rdf", ".svg", ".html", ".htm")):
        return data
    said = WRITTEN_IN.match(data)
    if b"\0" in data[:64] or (said and said[1].lower() not in ASCII_WITHIN):
        node.die(node.WRONG_INPUT, f"{name} of the document is written in an encoding that no office writes")
    if b"<!ENTITY" in data:
        node.die(node.WRONG_INPUT, "the document defines entities, which no real document does")
    if name.endswith(".rels"):
        return without_links(data)
    if name.endswith(("content.xml", "styles.xml")):
        return ACTIVE.sub(rb"<\1-off", ADDRESS.sub(inside, data))
    return data


def without_links(data: bytes) -> bytes:
    """The relations of a part without those that bring something in from elsewhere; what can be clicked on stays."""
    root = ET.fromstring(data)  # noqa: S314 (without entities, and bounded)
    away = [
        each
        for each in root
        if each.get("TargetMode", "").lower() == "external" and not each.get("Type", "").endswith("/hyperlink")
    ]
    if not away and not any(MACROS.search(each.get("Target", "")) for each in root):
        return data
    for each in list(root):
        if each in away or MACROS.search(each.get("Target", "")):
            root.remove(each)
    return ET.tostring(root)


def inside(found: re.Match[bytes]) -> bytes:
    return found[0] if FINE.fullmatch(found[2]) and not UPWARDS.search(found[2]) else found[1] + b'""'


# ── LibreOffice ──────────────────────────────────────────────────────────────────────────────────────────────────


def converted(document: Path, kind: str) -> Path:
    """Where the PDF is that LibreOffice made of it."""
    reads, writes = KINDS[kind]
    out = WORK / "out"
    command = [
        *("/usr/lib/libreoffice/program/soffice.bin", "-env:UserInstallation=file:///tmp/profile"),
        *("--headless", "--invisible", "--norestore", "--nolockcheck", "--nodefault", "--nologo"),
        *(f"--infilter={reads}", "--convert-to", f"pdf:{writes}:{options(kind)}", "--outdir", str(out), str(document)),
    ]
    surroundings = {"HOME": "/tmp", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "SAL_USE_VCLPLUGIN": "svp"}
    node.say(f"Converting a {kind} document", 0.1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_PDF_BYTES, MOST_PDF_BYTES))
    shutil.copytree(
        "/usr/local/share/pupload/profile", "/tmp/profile", copy_function=shutil.copyfile, dirs_exist_ok=True
    )
    # Asks to be started again when it has put its profile in order.
    code = AGAIN
    for _ in range(3):
        if code == AGAIN:
            code = soffice(command, surroundings)
    if code == -signal.SIGKILL:
        node.die(node.TOO_LARGE, "the document takes more memory than this tier has; try a larger one")
    if code in (126, 127):
        node.die(node.FAILED, "LibreOffice does not start in this image; build it anew")
    if code == -signal.SIGXFSZ:
        node.die(node.WRONG_INPUT, f"the PDF would be larger than {MOST_PDF_BYTES // 1_000_000} MB")
    made = out / "document.pdf"
    if not made.is_file() or not made.stat().st_size:
        first = os.environ.get("FLAG_FIRST")
        hint = f", or has no page {first}" if first else ""
        node.die(node.WRONG_INPUT, f"the {kind} document cannot be opened: it is damaged, or needs a password{hint}")
    return made


def soffice(command: Sequence[str], surroundings: Mapping[str, str]) -> int:
    """How it ended; itself and whatever it started are gone."""
    started = subprocess.Popen(
        command,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return started.wait(SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        node.die(
            node.WRONG_INPUT,
            f"the document took longer than {SECONDS} s: choose fewer pages with the flags first and last",
        )


def main() -> None:
    node.place("INPUT_DOCUMENT")
    target = node.place("OUTPUT_PDF")
    options("docx")
    source = node.source("INPUT_DOCUMENT")
    # What is made on the way may be large, and /tmp is memory.
    with tempfile.TemporaryDirectory(prefix=".office-", dir=target.parent) as place:
        WORK.symlink_to(place)
        kind, document = taken_in(source)
        made = converted(document, kind)
        with made.open("rb") as pdf, target.open("wb") as file:
            while piece := pdf.read(1 << 20):
                file.write(piece)
        node.say(f"The {kind} document is a PDF of {target.stat().st_size} bytes", 1)


if __name__ == "__main__":
    main()
