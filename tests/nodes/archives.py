"""
Archives for tests, the hostile ones among them: made here, so that none lies about as a file.
"""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping

FILES = {"a.txt": b"one\n", "docs/b.txt": b"two\n", "docs/deep/c.csv": b"x,y\n1,2\n"}


def zipped(files: Mapping[str, bytes] = FILES) -> bytes:
    """A plain zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def zip_of_raw_names(*names: bytes) -> bytes:
    """A zip whose names are exactly these bytes, whatever they are."""
    files = {chr(0x41 + turn) * len(name): b"bad" for turn, name in enumerate(names)}
    data = zipped(files)
    for placeholder, name in zip(files, names, strict=True):
        data = data.replace(placeholder.encode(), name)
    return data


def zip_with_link(name: str, target: str) -> bytes:
    """A zip with a soft link, and after it a file that would be written through it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        link = zipfile.ZipInfo(name)
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, target)
        archive.writestr(f"{name}/passwd", "bad")
    return made.getvalue()


def zip_encrypted() -> bytes:
    """A zip whose member says that it is encrypted."""
    data = bytearray(zipped({"a.txt": b"secret"}))
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + at] |= 1
    return bytes(data)


def zip_that_lies(size: int) -> bytes:
    """A zip whose headers say that its member has so many bytes; it has a million."""
    data = bytearray(zipped({"a.txt": bytes(1_000_000)}))
    for mark, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.index(mark) + at, size)
    return bytes(data)


def zip_that_overlaps(members: int = 200, size: int = 1_000_000) -> bytes:
    """Many names for the one compressed stream, as in Fifield's bombs of the simplest kind."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(bytes(size)) + packer.flush()
    check = zlib.crc32(bytes(size))
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, check, len(body), size, 1, 0)
    local = b"PK\3\4" + fields + b"a" + body
    directory = b"".join(
        b"PK\1\2" + struct.pack("<H", 20) + fields[:-4] + struct.pack("<HHHHHII", 4, 0, 0, 0, 0, 0, 0) + b"%04d" % turn
        for turn in range(members)
    )
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, members, members, len(directory), len(local), 0)
    return local + directory + end


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    """The header of a tar's member."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, target, size
    return made


def tarred(*members: tarfile.TarInfo | tuple[str, bytes], ended: bool = True) -> bytes:
    """A tar of these; of a bare header the size is what it says, and no bytes follow."""
    blocks = []
    for each in members:
        if isinstance(each, tuple):
            name, data = each
            blocks += [member(name, size=len(data)).tobuf(tarfile.PAX_FORMAT), data, bytes(-len(data) % 512)]
        else:
            blocks.append(each.tobuf(tarfile.GNU_FORMAT))
    return b"".join([*blocks, bytes(1024) if ended else b""])


def sparse_bomb(size: int = 1 << 50) -> bytes:
    """A tar of one block whose member is a petabyte of nothing."""
    header = member("sparse", tarfile.GNUTYPE_SPARSE)
    raw = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    raw[386:398] = raw[398:410] = b"00000000000\0"
    raw[483:495] = b"\x80" + size.to_bytes(11, "big")
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw) + bytes(1024)


def gzip_bomb(size: int = 300_000_000) -> bytes:
    """A compressed tar of one file of zeros."""
    made = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, made, mtime=0) as stream:
        stream.write(member("zeros", size=size).tobuf())
        for _ in range(size // 1_000_000):
            stream.write(bytes(1_000_000))
        stream.write(bytes(1024))
    return made.getvalue()


def quine() -> bytes:
    """An archive that holds archives, many deep: nothing here looks inside."""
    data = zipped({"core.txt": b"core"})
    for turn in range(20):
        data = zipped({f"{turn}.zip": data})
    return data
