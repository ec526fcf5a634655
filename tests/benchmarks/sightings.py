"""
When nodes begin and end, as seen from outside: no word of the server's is taken for it.

`Engine` listens to the container engine's own events, with its times. `Openings` sees the byte that the gate of a
container that waits armed writes into the marker in the attempt's directory, when it was let go and before it becomes
the node's command.
"""

import ctypes
import os
import select
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import bare

OPENED = "opened"
"""The marker's name."""

_MODIFIED, _CREATED = 0x2, 0x100
_EVENT = struct.Struct("iIII")

Attempt = tuple[str, str]
"""A run and a node."""


@dataclass(slots=True)
class Engine:
    """The engine's word of containers, by run and node, in seconds since 1970."""

    instance: str
    started: dict[Attempt, float] = field(default_factory=dict)
    died: dict[Attempt, float] = field(default_factory=dict)

    @contextmanager
    def watching(self) -> Iterator["Engine"]:
        """It is listened to."""
        with closing(bare.client()) as client:
            wanted = {"label": f"pupload.instance={self.instance}", "event": ["start", "die"]}
            stream = client.events(filters=wanted, decode=True)
            thread = threading.Thread(target=self._listen, args=(stream,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                with suppress(Exception):  # it is gone with its connection, whatever that says
                    stream.close()
                thread.join(5)

    def _listen(self, stream: Iterator[dict[str, object]]) -> None:
        with suppress(Exception):
            for event in stream:
                labels = event["Actor"]["Attributes"]  # type: ignore[index]
                which = (labels["pupload.run"], labels["pupload.node"])
                times = self.started if event["Action"] == "start" else self.died
                times[which] = int(event["timeNano"]) / 1e9  # type: ignore[call-overload]


@dataclass(slots=True)
class Openings:
    """When attempts were let go that waited armed, by run and node, in seconds since 1970."""

    root: Path
    """The directory with the attempts' directories."""
    seen: dict[Attempt, float] = field(default_factory=dict)
    _libc: ctypes.CDLL = field(default_factory=lambda: ctypes.CDLL(None, use_errno=True))
    _folders: dict[int, Path] = field(default_factory=dict)

    @contextmanager
    def watching(self) -> Iterator["Openings"]:
        """The directory is watched."""
        here = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if here < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        over, end = os.pipe()
        self._watch(here, self.root)
        thread = threading.Thread(target=self._look, args=(here, over), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            os.close(end)
            thread.join(5)
            os.close(over)
            os.close(here)

    @property
    def watched(self) -> list[str]:
        """The attempts' directories that are watched."""
        return [folder.name for folder in self._folders.copy().values() if folder != self.root]

    def _watch(self, here: int, folder: Path) -> None:
        number = self._libc.inotify_add_watch(here, os.fsencode(folder), _CREATED | _MODIFIED)
        if number >= 0:  # else it is gone again
            self._folders[number] = folder

    def _look(self, here: int, over: int) -> None:
        poll = select.poll()
        for descriptor in (here, over):
            poll.register(descriptor, select.POLLIN | select.POLLHUP)
        while over not in [descriptor for descriptor, _ in poll.poll()]:
            data, at = os.read(here, 1 << 16), time.time()
            while data:
                number, kind, _, length = _EVENT.unpack_from(data)
                name = data[_EVENT.size : _EVENT.size + length].rstrip(b"\0").decode()
                data = data[_EVENT.size + length :]
                folder = self._folders.get(number)
                if folder == self.root:
                    self._watch(here, folder / name)
                elif folder is not None and kind & _MODIFIED and name == OPENED:
                    self._note(folder, at)

    def _note(self, folder: Path, at: float) -> None:
        run, node, _ = folder.name.split(".")
        self.seen.setdefault((run, node), at)
