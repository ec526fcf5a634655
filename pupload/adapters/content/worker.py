"""
The process that looks into files: it reads an order from its socket, answers, and waits for the next.

It has read all its code before it takes the first, and gives up what it could do harm with: it opens no further file
and no connection, writes nothing, has little memory, and where it is root's it is nobody's from then on. A parser that
takes too long is ended by an alarm of its own, whoever else may watch. When the other end of the socket is closed, so
also when the server was killed, it ends.

An order is a line of JSON with the type, the size and the time; a file's descriptor comes along, or pieces of the
file follow. The answer is two lines of JSON: what the file is as well, and what it holds.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

SOCKET = 0
"""The descriptor that it has its orders from: what else is a program's input."""

MEMORY_BYTES = 1024 * 1024 * 1024
"""Of addresses, code and libraries included."""

READ_BYTES = 64 * 1024 * 1024
"""Of one file."""

_LINE_BYTES = 65536
_NOBODY = 65533
"""Not the user of nodes, whose processes it could reach then."""

_NO_NEW_PRIVILEGES = 38


def main() -> None:
    """Answers until nobody asks any more."""
    from pupload.adapters.content import looking, samples  # noqa: PLC0415 - read before anything is given up

    samples.try_all(looking.look)
    _give_up()
    with socket.socket(fileno=SOCKET) as asking:
        asking.sendall(b"{}\n")
        while order := _order(asking):
            # In two lines: who is taken down by what a parser makes of a file has told before what kind of file it is.
            for answer in _answers(order, looking.other_type, looking.look):
                asking.sendall(json.dumps(answer).encode() + b"\n")


def _give_up() -> None:
    """From here on files come by the socket alone."""
    for name, most in (
        ("RLIMIT_AS", MEMORY_BYTES),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NPROC", 0),
        # Input, output, errors, and the one file that is looked into.
        ("RLIMIT_NOFILE", 4),
    ):
        if (which := getattr(resource, name, None)) is not None:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(which, (most, most))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)


class _Order:
    """What is asked, with the file."""

    def __init__(self, told: dict[str, Any], descriptor: int | None, pieces: list[tuple[int, bytes]]) -> None:
        self.content_type: str = told["type"]
        self.size: int = told["size"]
        self.seconds: float = told["seconds"]
        self.test: str = told.get("test", "")
        self.descriptor = descriptor
        self.pieces = pieces


def _order(asking: socket.socket) -> _Order | None:
    """The next, None when there is none any more."""
    line, descriptors, _, _ = socket.recv_fds(asking, _LINE_BYTES, 1)
    while line and b"\n" not in line:
        more = asking.recv(_LINE_BYTES)
        if not more:
            return None
        line += more
    if not line:
        return None
    head, _, rest = line.partition(b"\n")
    told = json.loads(head)
    pieces: list[tuple[int, bytes]] = []
    for start, length in told.get("pieces", []):
        while len(rest) < length and (more := asking.recv(1 << 20)):
            rest += more
        pieces.append((start, rest[:length]))
        rest = rest[length:]
    return _Order(told, descriptors[0] if descriptors else None, pieces)


def _answers(order: _Order, other_type: Any, look: Any) -> Iterator[dict[str, Any]]:
    from pupload.adapters.content.window import Window  # noqa: PLC0415 - as above

    try:
        _set_alarms(order.seconds)
        file = Window(order.size, descriptor=order.descriptor, pieces=order.pieces, budget=READ_BYTES)
        yield {"other_type": other_type(file, order.content_type)}
        yield _found(order, file, look)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if order.descriptor is not None:
            os.close(order.descriptor)


def _found(order: _Order, file: Any, look: Any) -> dict[str, Any]:
    try:
        if order.test:
            _misbehave(order.test)
        found = look(file, order.content_type)
    except (MemoryError, RecursionError, OSError, ValueError):
        return {"facts": {}, "reason": "looking into it takes more than it may have"}
    facts = {name: value for name in found.facts.__slots__ if (value := getattr(found.facts, name)) is not None}
    return {"facts": facts, "reason": found.reason}


def _set_alarms(seconds: float) -> None:
    """Ends this process when the time is over; who asked has given it up by then."""
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 2
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _misbehave(how: str) -> None:
    """What tests ask for: no file makes every parser hang, and none ever should."""
    if how == "hang":
        while True:
            signal.pause()
    if how == "spin":
        while True:
            pass
    if how == "crash":
        os.abort()
    if how == "swell":
        bytearray(4 * MEMORY_BYTES)
    if how == "open":
        os.close(os.open("/etc/hostname", os.O_RDONLY))
    if how == "connect":
        socket.socket().close()
    if how == "write":
        os.write(os.open(f"/tmp/pupload-{os.getpid()}", os.O_WRONLY | os.O_CREAT), b"words")  # noqa: S108
    if how == "fork" and os.fork() == 0:
        os.abort()


if __name__ == "__main__":
    main()
