"""
The process that reads one file as a table: the file is its standard input, the order its argument, the answer a line of
JSON.

It has read all its code before it looks at the file, and gives up what it could do harm with: it opens nothing and
connects to nobody, writes nothing but its answer, has little memory, and where it is root's it is nobody's from then
on. It lives for one file alone, so what that does to it hurts no other; an alarm of its own ends it, whoever else may
watch, and so does the end of the server.
"""

import contextlib
import ctypes
import encodings.latin_1
import encodings.utf_8_sig
import encodings.utf_16
import encodings.utf_16_be
import encodings.utf_16_le
import encodings.utf_32
import json
import os
import resource
import signal
import sys
from typing import Any

from pupload.adapters.tables import reading
from pupload.adapters.tables.given import Unreadable
from pupload.domain.tables import Kind

MEMORY_BYTES = 2 * 1024 * 1024 * 1024
"""Of addresses, code and libraries included."""

CODECS = (
    *(encodings.latin_1, encodings.utf_8_sig, encodings.utf_16, encodings.utf_16_be, encodings.utf_16_le),
    encodings.utf_32,
)
"""Read beforehand, for nothing can be opened later."""

_NOBODY = 65533
"""Not the user of nodes, whose processes it could reach then."""

_NO_NEW_PRIVILEGES = 38
_TELL_OF_PARENTS_DEATH = 1


def main() -> None:
    """Answers, and ends."""
    told = json.loads(sys.argv[1])
    test = told.pop("test", "")
    order = reading.Order(**{**told, "kind": Kind(told["kind"])})
    if order.kind is Kind.PARQUET:
        from pupload.adapters.tables import parquet  # noqa: PLC0415 - a large library, for these alone

        parquet.warm()
    for codec in CODECS:
        "".encode(codec.__name__.rpartition(".")[2])
    _give_up(order.seconds)
    sys.stdout.write("\n")  # from here on it is the file's fault
    sys.stdout.flush()
    sys.stdout.write(json.dumps(_answer(order, test)))
    sys.stdout.flush()
    os._exit(0)  # libraries have nothing to tidy up that outlives the process


def _answer(order: reading.Order, test: str) -> dict[str, Any]:
    try:
        if test:
            _misbehave(test)
        return reading.answer(sys.stdin.fileno(), order)
    except Unreadable as error:
        return {"reason": str(error)}
    except (MemoryError, RecursionError, OSError):
        return {"reason": "reading it takes more than it may have"}


def _give_up(seconds: float) -> None:
    """From here on there is the one file, and the answer."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    processor = int(used.ru_utime + used.ru_stime + seconds) + 3
    for name, most in (
        ("RLIMIT_AS", MEMORY_BYTES),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NPROC", 0),
        ("RLIMIT_NOFILE", 0),
        ("RLIMIT_CPU", processor),
    ):
        if (which := getattr(resource, name, None)) is not None:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(which, (most, most))
    signal.setitimer(signal.ITIMER_REAL, seconds + 3)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    if sys.platform == "linux":
        # Last, for who becomes another is told of no deaths any more.
        ctypes.CDLL(None).prctl(_TELL_OF_PARENTS_DEATH, signal.SIGKILL, 0, 0, 0)


def _misbehave(how: str) -> None:
    """What tests ask for: no file makes every parser hang, and none ever should."""
    if how == "hang":
        while True:
            signal.pause()
    if how == "crash":
        os.abort()
    if how == "swell":
        bytearray(2 * MEMORY_BYTES)
    if how == "open":
        os.close(os.open("/etc/passwd", os.O_RDONLY))
    if how == "connect":
        import socket  # noqa: PLC0415 - fails as it should

        socket.socket().close()
    if how == "write":
        os.write(os.open(f"/tmp/pupload-{os.getpid()}", os.O_WRONLY | os.O_CREAT), b"words")  # noqa: S108
    if how == "fork" and os.fork() == 0:
        os.abort()


if __name__ == "__main__":
    main()
