"""
What a picture's own header says: its format and its size in pixels.

Reads the few bytes that tell, and decodes nothing.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple


class Picture(NamedTuple):
    """A picture's format, as a media type, and its size in pixels."""

    type: str
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width} x {self.height} pixels, {self.type}"


def read(data: bytes) -> Picture | None:
    """The picture that these bytes begin, or None when it is none of JPEG, PNG, GIF and WebP."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return Picture("image/png", *struct.unpack_from(">II", data, 16))
        if data.startswith((b"GIF87a", b"GIF89a")):
            return Picture("image/gif", *struct.unpack_from("<HH", data, 6))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return Picture("image/webp", *_webp(data))
        if data.startswith(b"\xff\xd8"):
            height, width = next(
                struct.unpack_from(">HH", body, 1) for marker, body in segments(data) if _frame(marker)
            )
            return Picture("image/jpeg", width, height)
    except (struct.error, StopIteration, IndexError):
        return None
    return None


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The marker and body of each segment of a JPEG, up to its pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : at + 2 + length]
        if marker == 0xDA:  # pixels from here on
            return
        at += 2 + length


def _frame(marker: int) -> bool:
    """Whether a segment with this marker tells the size: SOF0 to SOF15, among which DHT, JPG and DAC sit."""
    return 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
