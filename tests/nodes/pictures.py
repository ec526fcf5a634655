"""
Pictures made byte by byte: whole ones, broken ones, and ones that promise more than they hold.
"""

import struct
import zlib
from pathlib import Path

SAMPLE = Path("nodes/pupload/resize/sample")
PHOTO = SAMPLE / "photo.jpg"

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd" width="9" height="9"/></svg>'
MVG = b"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 '/etc/passwd'\npop graphic-context\n"

ICC = struct.pack(">I4sI4s4s4s", 132, b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ").ljust(36, b"\0") + (
    b"acsp".ljust(92, b"\0") + bytes(4)
)
"""The smallest thing with the form of a colour profile."""


def png(width: int, height: int, *, rows: int | None = None) -> bytes:
    """A black picture of one bit per pixel; it may hold fewer rows than it promises."""
    held = zlib.compress(bytes(1 + (width + 7) // 8) * (height if rows is None else rows), 1)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", held) + _chunk(b"IEND", b"")


def half_transparent() -> bytes:
    """A red PNG, 64 x 64, that lets half of what is behind it through."""
    rows = (b"\0" + b"\xff\0\0\x80" * 64) * 64
    header = struct.pack(">IIBBBBB", 64, 64, 8, 6, 0, 0, 0)
    parts = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """The JPEG with one more segment in front of the others."""
    return jpeg[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def turned(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with EXIF that says how the camera was held (6: turn it by 90 degrees) and who took it."""
    artist = b"a secret name\0\0\0"
    entries = struct.pack("<HHHII", 2, 0x0112, 3, 1, orientation) + struct.pack("<HHII", 0x013B, 2, len(artist), 38)
    return with_segment(jpeg, 0xE1, b"Exif\0\0II*\0\x08\0\0\0" + entries + bytes(4) + artist)


def with_profile(jpeg: bytes) -> bytes:
    """The JPEG with a colour profile."""
    return with_segment(jpeg, 0xE2, b"ICC_PROFILE\0\x01\x01" + ICC)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
