"""
Pictures made byte by byte: whole ones, broken ones, and ones that promise more than they hold.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

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


def moving_gif(
    colours: Sequence[tuple[int, int, int]],
    *,
    width: int,
    height: int,
    lasts: Sequence[int],
    loops: int = 0,
    corner: tuple[int, int] | None = None,
) -> bytes:
    """
    A GIF of one frame for each colour, which is shown so many hundredths of a second.

    All frames but the first may be a corner of this size.
    """
    table = b"".join(bytes(colour) for colour in colours).ljust(12, b"\0")
    out = b"GIF89a" + struct.pack("<HH", width, height) + b"\x81\0\0" + table
    out += b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", loops) + b"\0"
    for turn, time in enumerate(lasts):
        across, down = corner if corner and turn else (width, height)
        out += b"\x21\xf9\x04\x04" + struct.pack("<H", time) + b"\0\0"
        out += b"\x2c\0\0\0\0" + struct.pack("<HH", across, down) + b"\0\x02" + _lzw(turn, across * down)
    return out + b"\x3b"


def _lzw(value: int, count: int) -> bytes:
    """So many pixels of one value, in codes of three bits: the table is begun anew before it needs more."""
    bits = "".join(f"{4:03b}"[::-1] + f"{value:03b}"[::-1] for _ in range(count)) + f"{5:03b}"[::-1]
    codes = bytes(int(bits[at : at + 8].ljust(8, "0")[::-1], 2) for at in range(0, len(bits), 8))
    blocks = [codes[at : at + 255] for at in range(0, len(codes), 255)]
    return b"".join(bytes((len(block),)) + block for block in blocks) + b"\0"


def apng(frames: int) -> bytes:
    """A PNG of 16 x 16 that says it moves; it holds the first frame alone, as far as others read."""
    still = png(16, 16)
    return still[:33] + _chunk(b"acTL", struct.pack(">II", frames, 0)) + still[33:]


def pages_tiff(pages: int) -> bytes:
    """A TIFF of white pages, 16 x 16 of eight bits."""
    size, at = 2 + 8 * 12 + 4, 8
    out = b"II*\0" + struct.pack("<I", at)
    pixels = at + pages * size
    for page in range(pages):
        tags = ((256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (273, pixels), (278, 16), (279, 256))
        out += struct.pack("<H", 8) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        out += struct.pack("<I", at + (page + 1) * size if page + 1 < pages else 0)
    return out + b"\xff" * 256


class Animation(NamedTuple):
    """What moves: the size of its canvas, how long each frame is shown, in milliseconds, and how often, as it says."""

    size: tuple[int, int]
    lasts: tuple[int, ...]
    loops: int


def animation(data: bytes) -> Animation:
    """What a GIF or a WebP says of its frames."""
    if data.startswith(b"GIF89a"):
        size = struct.unpack_from("<HH", data, 6)
        lasts = tuple(
            int.from_bytes(found[1], "little") * 10 for found in re.finditer(rb"\x21\xf9\x04.(..).\0", data, re.DOTALL)
        )
        loops = re.search(rb"NETSCAPE2\.0\x03\x01(..)", data, re.DOTALL)
        return Animation((size[0], size[1]), lasts, int.from_bytes(loops[1], "little") if loops else 1)
    parts = list(_webp_chunks(data, 12))
    head = next(body for name, body in parts if name == b"VP8X")
    size = (int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1)
    lasts = tuple(int.from_bytes(body[12:15], "little") for name, body in parts if name == b"ANMF")
    loops_at = next(body for name, body in parts if name == b"ANIM")
    return Animation(size, lasts, int.from_bytes(loops_at[4:6], "little"))


def webp_frames(data: bytes) -> list[bytes]:
    """Each frame of a WebP that moves, as a WebP that stands still; frames are whole."""
    bodies = [body[16:] for name, body in _webp_chunks(data, 12) if name == b"ANMF"]
    assert not any(body.startswith(b"ALPH") for body in bodies)
    return [b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body for body in bodies]


def with_webp_profile(data: bytes) -> bytes:
    """The WebP, which has a header that says what is in it, with a colour profile."""
    head = data[:20] + bytes((data[20] | 0x20,)) + data[21:30]
    padded = ICC + bytes(len(ICC) % 2)
    out = head + b"ICCP" + struct.pack("<I", len(ICC)) + padded + data[30:]
    return out[:4] + struct.pack("<I", len(out) - 8) + out[8:]


def _webp_chunks(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _png_chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8].decode(), data[at + 8 : at + 8 + length]
        at += 12 + length
    assert at == len(data)


def names_of_chunks(data: bytes) -> list[str]:
    """What a PNG is made of, each part whole."""
    return [name for name, _ in _png_chunks(data)]


def profile(data: bytes) -> bytes:
    """The colour profile of a picture; nothing where there is none, or another than `ICC`."""
    if data.startswith(b"\x89PNG"):
        found = [body for name, body in _png_chunks(data) if name == "iCCP"]
        return zlib.decompress(found[0].partition(b"\0")[2][1:]) if found else b""
    return ICC if ICC in data else b""


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
