"""
A small file for each parser, so that all that it reads late it reads before it is confined.

Python loads modules, codecs and libraries when they are first used; afterwards there is no file to load them from.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import wave
import zipfile
from collections.abc import Callable

from PIL import Image

from pupload.adapters.content.window import Window
from pupload.domain.facts import Inspection

_PICTURES = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/webp": "WEBP",
    "image/vnd.microsoft.icon": "ICO",
    "image/jp2": "JPEG2000",
}


def try_all(look: Callable[[Window, str], Inspection]) -> dict[str, Inspection]:
    """Looks into one file of each type that there is a parser for. Returns what was found, by type."""
    return {
        kind: look(Window(len(data), pieces=[(0, data)], budget=1 << 20), kind) for kind, data in all_samples().items()
    }


def all_samples() -> dict[str, bytes]:
    """By type."""
    return {
        **{kind: _picture(name) for kind, name in _PICTURES.items() if kind != "image/webp"},
        "image/webp": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0",
        "application/pdf": pdf(),
        "audio/wav": _sound(),
        "application/zip": _zip(),
        "application/x-tar": _tar(),
        "application/gzip": gzip.compress(b"words"),
        "application/x-bzip2": bz2.compress(b"words"),
        "application/x-xz": lzma.compress(b"words"),
    }


def _picture(name: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 3)).save(file, name)
    return file.getvalue()


def pdf(pages: int = 1) -> bytes:
    """One with so many empty pages."""
    kids = " ".join(f"{number + 3} 0 R" for number in range(pages))
    bodies = ["<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Count {pages}/Kids[{kids}]>>"]
    bodies += ["<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"] * pages
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, start=1):
        places.append(len(data))
        data += f"{number} 0 obj{body}endobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}trailer<</Size {len(bodies) + 1}/Root 1 0 R>>\n"
    return data + end.encode() + f"startxref\n{len(data)}\n%%EOF\n".encode()


def _sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(b"\x80" * 800)
    return file.getvalue()


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one.txt", "words")
    return file.getvalue()


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("one.txt")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"words"))
    return file.getvalue()
