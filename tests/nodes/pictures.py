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


def _icc() -> bytes:
    """A whole colour profile, of the red, green and blue of Adobe RGB and a gamma of 2.2: readers refuse less."""

    def xyz(x: float, y: float, z: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65536) for value in (x, y, z)))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    called = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + bytes(78 + 1)
    tags = (
        *((b"desc", called), (b"cprt", b"text\0\0\0\0CC0\0"), (b"wtpt", xyz(0.9642, 1, 0.8249))),
        *((b"rXYZ", xyz(0.6097, 0.3111, 0.0195)), (b"gXYZ", xyz(0.2053, 0.6257, 0.0609))),
        *((b"bXYZ", xyz(0.1492, 0.0632, 0.7446)), (b"rTRC", curve), (b"gTRC", curve), (b"bTRC", curve)),
    )
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags:
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    return head + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D) + bytes(48) + table + body


ICC = _icc()


def png(width: int, height: int, *, rows: int | None = None) -> bytes:
    """A black picture of one bit per pixel; it may hold fewer rows than it promises."""
    held = zlib.compress(bytes(1 + (width + 7) // 8) * (height if rows is None else rows), 1)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", held) + _chunk(b"IEND", b"")


def grey_png(width: int, height: int, rows: bytes) -> bytes:
    """A picture of eight bits of grey; each row begins with a zero."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


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


def with_text(picture: bytes, text: bytes) -> bytes:
    """The PNG with a compressed text in front of its pixels."""
    return picture[:33] + _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(text, 9)) + picture[33:]


def with_tags(jpeg: bytes, tags: dict[int, bytes], *, kind: int = 2) -> bytes:
    """The JPEG with these EXIF tags, texts (or bytes, of kind 7) of more than four bytes."""
    at = 8 + 2 + len(tags) * 12 + 4
    entries, values = b"", b""
    for tag, value in sorted(tags.items()):
        entries += struct.pack("<HHII", tag, kind, len(value), at + len(values))
        values += value
    return with_segment(
        jpeg, 0xE1, b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + values
    )


def with_xmp(jpeg: bytes, text: str) -> bytes:
    """The JPEG with a title in XMP."""
    body = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:source>'
        f"{text}</dc:source></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    return with_segment(jpeg, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + body.encode())


def jpeg_of(width: int, height: int, photo: bytes) -> bytes:
    """The JPEG with another size in its header."""
    at = next(at for at in range(2, len(photo)) if photo[at : at + 2] in (b"\xff\xc0", b"\xff\xc2"))
    return photo[: at + 5] + struct.pack(">HH", height, width) + photo[at + 9 :]


def gif(frames: int, *, width: int = 16, height: int = 16, comment: bytes = b"") -> bytes:
    """A GIF of so many frames of one pixel each."""
    said = b"" if not comment else b"\x21\xfe" + bytes((len(comment),)) + comment + b"\0"
    frame = b"\x21\xf9\x04\0\x01\0\0\0" + b"\x2c\0\0\0\0\x01\0\x01\0\0" + b"\x02\x02\x44\x01\0"
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    return head + said + frame * frames + b"\x3b"


def tiff(width: int, height: int, *, pages: int = 1, endless: bool = False) -> bytes:
    """A TIFF of one bit per pixel, which holds a single byte of them; `endless`: its last page leads to its first."""
    size = 2 + 8 * 12 + 4
    out = b"II*\0" + struct.pack("<I", 8)
    for page in range(pages):
        tags = ((256, width), (257, height), (258, 1), (259, 1), (262, 1), (273, 0), (278, height), (279, 1))
        following = 8 + (page + 1) * size if page + 1 < pages else 8 if endless else 0
        out += struct.pack("<H", 8) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        out += struct.pack("<I", following)
    return out


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
