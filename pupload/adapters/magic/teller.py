"""
`ports.TypeTeller` by libmagic.

The library and its data base come with the package pylibmagic and are loaded together: a system's own library beside
another's data base refuses to work. libmagic is not safe to share between threads, so each thread has its own.
"""

import asyncio
import ctypes
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pylibmagic

from pupload import errors

_MIME_TYPE = 0x0000010
_NO_CHECK_COMPRESS = 0x0001000
_NO_CHECK_ELF = 0x0010000
_FLAGS = _MIME_TYPE | _NO_CHECK_COMPRESS | _NO_CHECK_ELF

_UNKNOWN = "application/octet-stream"

_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"#EXTM3U", "application/vnd.apple.mpegurl"),
    (b"ID3", "audio/mpeg"),
    (b"age-encryption.org/", "application/age"),
    (b"OggS", "application/ogg"),
)
"""What the data base does not know or takes for text: asked only where it knows nothing better."""

_VAGUE = frozenset({_UNKNOWN, "text/plain"})

SHORT_BYTES, SHORT_KEPT = 1024, 1024
"""
Of so many short files the type is remembered. What is short is often the same (a number, `ok`, an empty list), and as a
rule text, which takes the library longest, two milliseconds, for none of its rules matches.
"""

TOGETHER = 16
"""Files that a thread is given at once: a trip to it and back costs more than a picture does."""


class MagicTeller:
    """Tells types in a small pool of threads: a file made to be slow holds up nothing else."""

    head_bytes = 128 * 1024

    def __init__(self, *, threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="magic")
        self._own = threading.local()
        self._threads = threads
        self._short: OrderedDict[bytes, str] = OrderedDict()

    def warm(self) -> None:
        """Loads the library and its data base beside whatever else goes on: the first file need not wait for it."""
        for _ in range(self._threads):
            self._pool.submit(self._tell, [b"warm"])

    async def tell(self, head: bytes, *, size: int) -> str:
        (found,) = await self.tell_all([(head, size)])
        return found

    async def tell_all(self, files: Sequence[tuple[bytes, int]]) -> Sequence[str]:
        found = [self._known(head) if size else "application/x-empty" for head, size in files]
        left = [number for number, kind in enumerate(found) if kind is None]
        for first in range(0, len(left), TOGETHER):
            some = left[first : first + TOGETHER]
            heads = [files[number][0] for number in some]
            kinds = await asyncio.get_running_loop().run_in_executor(self._pool, partial(self._tell, heads))
            for number, head, kind in zip(some, heads, kinds, strict=True):
                found[number] = kind
                self._remember(head, kind)
        return [kind or _UNKNOWN for kind in found]

    def _known(self, head: bytes) -> str | None:
        if (known := self._short.get(head)) is not None:
            self._short.move_to_end(head)
        return known

    def _remember(self, head: bytes, kind: str) -> None:
        if len(head) <= SHORT_BYTES:
            self._short[head] = kind
            if len(self._short) > SHORT_KEPT:
                self._short.popitem(last=False)

    def _tell(self, heads: Sequence[bytes]) -> list[str]:
        cookie: _Cookie | None = getattr(self._own, "cookie", None)
        if cookie is None:
            cookie = self._own.cookie = _Cookie()
        return [_better(cookie.tell(head[: self.head_bytes]), head) for head in heads]

    async def close(self) -> None:
        """Gives up the threads."""
        self._pool.shutdown(wait=False)


def _better(told: str, head: bytes) -> str:
    """What the library told, or what we know better."""
    if told not in _VAGUE:
        return told
    if len(head) == 1 and (head.isspace() or b" " <= head <= b"~"):
        return "text/plain"  # a digit, say: the library looks at no file of one byte
    return "video/mp2t" if _is_transport_stream(head) else _marked(head) or told


def _marked(head: bytes) -> str | None:
    return next((kind for mark, kind in _MARKS if head.startswith(mark)), None)


def _is_transport_stream(head: bytes) -> bool:
    """Packets of 188 bytes, each beginning with the sync byte (ISO/IEC 13818-1); the data base does not know them."""
    return len(head) > 2 * 188 and head[0] == head[188] == head[2 * 188] == 0x47


class _Cookie:
    """One instance of the library, for one thread."""

    def __init__(self) -> None:
        folder = Path(pylibmagic.__file__).parent
        library = ctypes.CDLL(str(next(folder.glob("libmagic.dylib"), folder / "libmagic.so.1")))
        library.magic_open.restype = ctypes.c_void_p
        library.magic_open.argtypes = [ctypes.c_int]
        library.magic_load.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        library.magic_buffer.restype = ctypes.c_char_p
        library.magic_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        self._library = library
        self._handle = library.magic_open(_FLAGS)
        if library.magic_load(self._handle, str(folder / "magic.mgc").encode()) != 0:
            raise errors.Misconfigured(reason="libmagic cannot load its data base; install pylibmagic anew")

    def tell(self, head: bytes) -> str:
        """The media type, `application/octet-stream` where the library has no answer."""
        told = self._library.magic_buffer(self._handle, head, len(head))
        # A type never has blanks; an answer with any is an error message of a rule.
        text = told.decode("ascii", "replace").lower() if told else _UNKNOWN
        return _UNKNOWN if " " in text or "/" not in text else text
