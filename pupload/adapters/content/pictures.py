"""
The size of a picture, from its headers: no pixel is decoded.

Pillow reads the headers of what it knows, told which format to expect. WebP is read here, for Pillow makes a canvas of
the whole picture first; so are HEIC and AVIF, whose boxes say it.
"""

import io
import struct
from collections.abc import Iterator

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PsdImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
)

from pupload.adapters.content.window import Window
from pupload.domain.facts import Facts

Image.MAX_IMAGE_PIXELS = None  # how many are too many is judged by who asked

_PLUGINS = (
    *(BmpImagePlugin, GifImagePlugin, IcoImagePlugin, Jpeg2KImagePlugin, JpegImagePlugin, PngImagePlugin),
    *(PsdImagePlugin, TgaImagePlugin, TiffImagePlugin),
)
"""Imported by name: what is imported later finds no file to open."""

_FORMATS = {
    "image/apng": "PNG",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/jp2": "JPEG2000",
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/vnd.adobe.photoshop": "PSD",
    "image/vnd.microsoft.icon": "ICO",
    "image/x-tga": "TGA",
}

_MOST_PAGES = 10_000
_MOST_BOXES = 4096
_NESTED = (b"meta", b"iprp", b"ipco")


def facts(file: Window, content_type: str) -> Facts:
    """Width and height, and of TIFF the pages. Nothing where the type is not known here."""
    if content_type == "image/webp":
        return _webp(file.at(0, 64))
    if content_type in ("image/heic", "image/heif", "image/avif", "image/heic-sequence", "image/heif-sequence"):
        return _boxed(file)
    if content_type == "image/tiff":
        return _tiff(file)
    if content_type not in _FORMATS:
        return Facts()
    with Image.open(io.BufferedReader(file), formats=[_FORMATS[content_type]]) as picture:
        return Facts(width=picture.width, height=picture.height)


def _tiff(file: Window) -> Facts:
    """Of the largest page."""
    with Image.open(io.BufferedReader(file), formats=["TIFF"]) as picture:
        width, height, pages = picture.width, picture.height, 0
        try:
            while pages < _MOST_PAGES:
                picture.seek(pages)
                pages += 1
                if picture.width * picture.height > width * height:
                    width, height = picture.width, picture.height
        except EOFError:
            pass
        return Facts(width=width, height=height, pages=pages)


def _webp(head: bytes) -> Facts:
    kind, body = head[12:16], head[20:]
    if kind == b"VP8X":
        return Facts(width=1 + int.from_bytes(body[4:7], "little"), height=1 + int.from_bytes(body[7:10], "little"))
    if kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return Facts(width=1 + (bits & 0x3FFF), height=1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return Facts(width=width & 0x3FFF, height=height & 0x3FFF)
    return Facts()


def _boxed(file: Window) -> Facts:
    """The largest of all sizes that the boxes name: tiles and thumbnails have theirs, too."""
    sizes = [
        struct.unpack(">II", file.at(start + 4, 8))
        for kind, start, end in _boxes(file, 0, file.size)
        if kind == b"ispe" and end - start >= 12
    ]
    if not sizes:
        return Facts()
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Facts(width=width, height=height)


def _boxes(file: Window, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and where the content begins and ends, of the boxes in there and in those that hold sizes."""
    waiting, seen = [(start, end)], 0
    while waiting and seen < _MOST_BOXES:
        at, end = waiting.pop()
        while at + 8 <= end and seen < _MOST_BOXES:
            seen += 1
            head = file.at(at, 16)
            if len(head) < 8:
                break
            length, kind, inner = int.from_bytes(head[:4], "big"), head[4:8], 8
            if length == 1 and len(head) == 16:
                length, inner = int.from_bytes(head[8:16], "big"), 16
            elif length == 0:
                length = end - at
            if length < inner:
                break
            stop = min(at + length, end)
            yield kind, at + inner, stop
            if kind in _NESTED:
                waiting.append((at + inner + (4 if kind == b"meta" else 0), stop))
            at += length
