"""Files as strangers send them: bombs, spoofs, two things in one."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

from pupload.adapters.content import samples

GOOD = samples.all_samples()

Pack = Callable[[bytes], bytes]


def png(width: int, height: int) -> bytes:
    """A header that says so, and hardly a pixel behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1 << 20), 9))
        + chunk(b"IEND", b"")
    )


def a_zip(size: int = 5, *, files: int = 1, stored: bool = False, data: bytes | None = None) -> bytes:
    """An archive of files of zeros."""
    made = io.BytesIO()
    how = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(made, "w", how) as archive:
        for number in range(files):
            archive.writestr(f"{number}.txt", bytes(size) if data is None else data)
    return made.getvalue()


def moved(before: bytes, archive: bytes) -> bytes:
    """The archive behind those bytes, as programs write it that know of them."""
    data = bytearray(archive)
    directory, end = data.rindex(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    for at in (directory + 42, end + 16):
        struct.pack_into("<I", data, at, struct.unpack_from("<I", data, at)[0] + len(before))
    return before + bytes(data)


def zip_that_claims(size: int) -> bytes:
    """An archive whose directory names such a size for its one small file."""
    data = bytearray(a_zip())
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, size)
    return bytes(data)


def heic(*sizes: tuple[int, int], brand: bytes = b"heic") -> bytes:
    """Boxes with these sizes, and no picture."""

    def box(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", 8 + len(data)) + kind + data

    named = b"".join(box(b"ispe", bytes(4) + struct.pack(">II", *size)) for size in sizes)
    return box(b"ftyp", brand + bytes(4) + b"mif1" + brand) + box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", named)))


def mp4(seconds: int, *, width: int = 640, height: int = 360, padding: int = 0, moov_first: bool = False) -> bytes:
    """A film without a frame."""

    def box(kind: bytes, *parts: bytes) -> bytes:
        data = b"".join(parts)
        return struct.pack(">I", 8 + len(data)) + kind + data

    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    mvhd = box(
        b"mvhd", bytes(12), struct.pack(">II", 1000, seconds * 1000), b"\0\1\0\0\1\0" + bytes(10), matrix, bytes(24),
        struct.pack(">I", 2),
    )  # fmt: skip
    tkhd = box(
        b"tkhd", b"\0\0\0\7", bytes(8), struct.pack(">III", 1, 0, seconds * 1000), bytes(16), matrix,
        struct.pack(">II", width << 16, height << 16),
    )  # fmt: skip
    mdhd = box(b"mdhd", bytes(12), struct.pack(">II", 1000, seconds * 1000), b"\x55\xc4\0\0")
    hdlr = box(b"hdlr", bytes(8), b"vide", bytes(12), b"\0")
    entry = box(
        b"avc1", bytes(6), b"\0\1", bytes(16), struct.pack(">HH", width, height), b"\0\x48\0\0\0\x48\0\0", bytes(4),
        b"\0\1", bytes(32), b"\0\x18\xff\xff",
    )  # fmt: skip
    stsd = box(b"stsd", bytes(4), struct.pack(">I", 1), entry)
    tables = b"".join(box(kind, bytes(8)) for kind in (b"stts", b"stsc", b"stco")) + box(b"stsz", bytes(12))
    stbl = box(b"stbl", stsd, tables)
    dinf = box(b"dinf", box(b"dref", bytes(4), struct.pack(">I", 1), box(b"url ", b"\0\0\0\1")))
    minf = box(b"minf", box(b"vmhd", b"\0\0\0\1", bytes(8)), dinf, stbl)
    moov = box(b"moov", mvhd, box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, minf)))
    begin = box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41")
    data = box(b"mdat", bytes(padding))
    return begin + (moov + data if moov_first else data + moov)


def rar_4() -> bytes:
    """An empty archive with a header that is right."""
    rest = b"\x73\0\0\x0d\0" + bytes(6)
    return b"Rar!\x1a\x07\x00" + struct.pack("<H", zlib.crc32(rest) & 0xFFFF) + rest


def rar_5() -> bytes:
    """The same of the newer form."""
    rest = b"\x03\x01\0\0"
    return b"Rar!\x1a\x07\x01\x00" + struct.pack("<I", zlib.crc32(rest)) + rest


def seven_zip() -> bytes:
    """The same of 7z."""
    rest = bytes(20)
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(rest)) + rest


def zip_bomb() -> bytes:
    """64 MiB of zeros, packed."""
    return a_zip(64 * 1024 * 1024)


def gzip_bomb(megabytes: int) -> bytes:
    """So many of zeros."""
    return gzip.compress(bytes(megabytes << 20), 9)


PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
