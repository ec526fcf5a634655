"""
What archives and packed files become when they are unpacked.

A ZIP says it in its directory, a TAR in the header of each member. A packed stream is unpacked, and thrown away, until
it ends or the budget does; then its size is what it would be if all of it were packed as well as its beginning, or
what its trailer claims where that is more. What a decoder itself checks can be trusted; the rest is a lower bound.
"""

import bz2
import lzma
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable

from pupload.adapters.content.window import Window
from pupload.domain.facts import Facts

UNPACKED_BYTES = 128 * 1024 * 1024
UNPACKED_SECONDS = 1.0
"""Of processor time."""

_STEP = 64 * 1024
_OUTPUT_STEP = 1024 * 1024
_MEMORY = 192 * 1024 * 1024
"""For the dictionary of an XZ stream."""


def zipped(file: Window, content_type: str) -> Facts:  # noqa: ARG001 - all parsers are called alike
    """Of a ZIP and whatever is one by another name, by its directory."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        return Facts(entries=len(entries), unpacked_bytes=sum(entry.file_size for entry in entries))


def tar(file: Window, content_type: str) -> Facts:  # noqa: ARG001
    """Of a TAR that is not packed."""
    entries = unpacked = 0
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (member := archive.next()) is not None:
            entries += 1
            unpacked += member.size
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
    return Facts() if file.fell_short else Facts(entries=entries, unpacked_bytes=unpacked)


def packed(file: Window, content_type: str) -> Facts:
    """Of one stream, or several behind each other."""
    if content_type == "application/zstd":
        return Facts(unpacked_bytes=_zstd(file.at(0, 18)))
    taken, made, whole = _unpack(file, _DECODERS[content_type])
    if whole:
        return Facts(unpacked_bytes=made)
    if not taken:
        return Facts()
    guess = made * file.size // taken
    if content_type == "application/gzip" and len(trailer := file.tail(4)) == 4:
        guess = max(guess, int.from_bytes(trailer, "little"))  # modulo 4 GiB, and of the last member alone
    return Facts(unpacked_bytes=max(guess, made))


class _Gzip:
    """One member, in the words of the other decoders."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_Make = Callable[[], "_Gzip | bz2.BZ2Decompressor | lzma.LZMADecompressor"]

_DECODERS: dict[str, _Make] = {
    "application/gzip": _Gzip,
    "application/x-bzip2": bz2.BZ2Decompressor,
    "application/x-xz": lambda: lzma.LZMADecompressor(memlimit=_MEMORY),
}


def _unpack(file: Window, make: _Make) -> tuple[int, int, bool]:
    """Bytes taken, bytes made, and whether that was all."""
    until = time.process_time() + UNPACKED_SECONDS
    decoder, data, taken, made = make(), b"", 0, 0
    file.seek(0)
    while made < UNPACKED_BYTES and time.process_time() < until:
        if not data and (decoder.eof or decoder.needs_input):
            data = file.read(_STEP)
            taken += len(data)
            if not data:
                return taken, made, decoder.eof and not file.fell_short
        if decoder.eof:
            if not data.strip(b"\0"):
                data = b""
                continue  # padding
            decoder = make()
        try:
            piece = decoder.decompress(data, _OUTPUT_STEP)
        except (OSError, ValueError, zlib.error, lzma.LZMAError):
            if not made:
                raise
            return taken, made, False  # rubbish behind a member, or a damaged one
        made += len(piece)
        data = decoder.unused_data if decoder.eof else b""
    return taken, made, False


def _zstd(head: bytes) -> int | None:
    """What the frame's header says, which decoders hold it to."""
    if len(head) < 6 or head[:4] != b"\x28\xb5\x2f\xfd":
        return None
    flags = head[4]
    single, size_flag = flags >> 5 & 1, flags >> 6
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3]
    length = (1 if single else 0, 2, 4, 8)[size_flag]
    if not length or len(head) < at + length:
        return None
    return int.from_bytes(head[at : at + length], "little") + (256 if size_flag == 1 else 0)
