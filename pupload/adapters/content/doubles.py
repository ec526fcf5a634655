"""
What a file is beside what its beginning says.

Some formats are told by their first bytes, some by their last, some are looked for anywhere; so one file can be two
things, and show each reader another. `other_type` finds the second where it can be read as such: a signature alone is
chance, a signature whose numbers fit together is not.
"""

import re
import struct
import zlib

from pupload.adapters.content.window import Window
from pupload.domain import mime

ZIP, PDF = "application/zip", "application/pdf"
RAR, SEVEN_ZIP = "application/vnd.rar", "application/x-7z-compressed"

_END_OF_ZIP = b"PK\x05\x06"
_END_OF_ZIP_BYTES = 22 + 0xFFFF
_PDF_HEAD_BYTES = 1024
_PDF_TAIL_BYTES = 1024 + 64
_SEARCHED_BYTES = 4 * 1024 * 1024
"""From the beginning, for archives that are looked for anywhere; as far as their own programs look, and more."""

_STARTXREF = re.compile(rb"startxref\s+\d+\s+%%EOF")
_SCRIPTED = re.compile(rb"(?:GIF8[79]a|BM)(?:=|/\*.*?\*/\s*=)", re.DOTALL)
"""A picture whose first bytes are a script's, as well: `GIF89a=…`, `GIF89a/*…*/=…`."""

_RAR_4, _RAR_5 = b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00"
_SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c"

_HOLDERS = frozenset(
    {
        *("application/gzip", "application/x-bzip2", "application/x-xz", "application/zstd", "application/x-tar"),
        *(ZIP, RAR, SEVEN_ZIP, "application/x-archive", "application/x-cpio", "application/x-iso9660-image"),
    }
)
"""What may hold files of any kind as they are: a PDF in there is no second face."""


def other_type(file: Window, content_type: str) -> str:
    """The type that the file has as well, empty where there is none."""
    found = mime.normalised(content_type) or content_type
    holder = found in _HOLDERS or mime.zipped(found)
    if not mime.zipped(found) and found != "application/x-tar" and _is_zip(file, found):
        return ZIP
    if not holder and found != PDF and _is_pdf(file):
        return PDF
    if found.split("/", 1)[0] in ("audio", "image", "video"):
        return _archive_within(file) or ("text/javascript" if _SCRIPTED.match(file.at(0, 64 * 1024)) else "")
    return ""


def _is_zip(file: Window, content_type: str) -> bool:
    """Whether programs that unpack ZIP archives find a directory at the end, with a first entry."""
    tail = file.tail(_END_OF_ZIP_BYTES)
    base, at = file.size - len(tail), len(tail)
    while (at := tail.rfind(_END_OF_ZIP, 0, at)) >= 0:
        if at + 22 > len(tail):
            continue
        entries, length, offset, comment = struct.unpack_from("<HIIH", tail, at + 10)
        if content_type == PDF and at + 22 + comment != len(tail) and b"%%EOF" in tail[at:]:
            continue  # a file that the PDF has attached
        if entries in (0, 0xFFFF) or length == 0xFFFFFFFF or offset == 0xFFFFFFFF:
            if tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):
                return True  # the locator of a large archive's directory
            continue
        begin = base + at - length
        entry = file.at(begin, 46) if begin >= 0 else b""
        # The offset counts from the archive's own beginning, or from the file's where somebody wrote it so.
        if len(entry) == 46 and entry.startswith(b"PK\x01\x02"):
            inner = struct.unpack_from("<I", entry, 42)[0]
            places = (begin - offset + inner, inner)
            if any(place >= 0 and file.at(place, 4) == b"PK\x03\x04" for place in places):
                return True
    return False


def _is_pdf(file: Window) -> bool:
    """Whether readers of PDF find its header, which need not be first, and its end."""
    return b"%PDF-" in file.at(0, _PDF_HEAD_BYTES) and bool(_STARTXREF.search(file.tail(_PDF_TAIL_BYTES)))


def _archive_within(file: Window) -> str:
    """An archive that its program finds anywhere in the file, with a header whose checksum is right."""
    data = file.at(0, _SEARCHED_BYTES)
    if file.size > len(data):
        data += file.tail(min(file.size - len(data), _END_OF_ZIP_BYTES))
    for signature, holds, name in ((_RAR_5, _rar_5, RAR), (_RAR_4, _rar_4, RAR), (_SEVEN_ZIP, _seven_zip, SEVEN_ZIP)):
        at = data.find(signature)
        while at >= 0:
            if holds(data, at):
                return name
            at = data.find(signature, at + 1)
    return ""


def _seven_zip(data: bytes, at: int) -> bool:
    head = data[at : at + 32]
    return len(head) == 32 and int.from_bytes(head[8:12], "little") == zlib.crc32(head[12:32])


def _rar_4(data: bytes, at: int) -> bool:
    head = data[at + 7 : at + 20]
    return len(head) == 13 and head[2] == 0x73 and int.from_bytes(head[:2], "little") == zlib.crc32(head[2:]) & 0xFFFF


def _rar_5(data: bytes, at: int) -> bool:
    head = data[at + 8 : at + 8 + 64]
    if len(head) < 7 or head[4] & 0x80:
        return False
    length = head[4]
    return len(head) >= 5 + length and int.from_bytes(head[:4], "little") == zlib.crc32(head[4 : 5 + length])
