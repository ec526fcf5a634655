"""
The engine's log stream, taken apart.

It comes in frames: one byte for the stream, three of nothing, four for the length, then one entry of the log: the time,
a blank, the text. An entry is a line, or 16 KiB of a longer one. Progress bars write over their line with carriage
returns: each of its states becomes a line, so that nothing is lost and counting is the same at every reading.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from pupload import ports

_HEADER = 8
_LONGEST_FRAME = 1 << 20
"""An entry has 16 KiB and a time. What claims more is no log stream."""
_STREAMS: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}


class NotALog(ValueError):
    """The bytes are no log stream."""


class Parser:
    """Takes bytes as they come and gives lines. Holds less than one frame."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._at = datetime.fromtimestamp(0, UTC)

    def feed(self, data: bytes) -> Iterator[ports.LogLine]:
        """The lines that these bytes complete. Raises `NotALog`."""
        self._rest += data
        start = 0
        try:
            while len(self._rest) - start >= _HEADER:
                length = int.from_bytes(self._rest[start + 4 : start + _HEADER], "big")
                stream = _STREAMS.get(self._rest[start])
                if stream is None or length > _LONGEST_FRAME:
                    raise NotALog
                end = start + _HEADER + length
                if end > len(self._rest):
                    break
                entry = bytes(self._rest[start + _HEADER : end])
                start = end
                yield from self._lines(stream, entry)
        finally:
            del self._rest[:start]

    def _lines(self, stream: Literal["stdout", "stderr"], entry: bytes) -> Iterator[ports.LogLine]:
        time, _, text = entry.partition(b" ")
        try:
            self._at = datetime.fromisoformat(time.decode("ascii"))
        except ValueError:
            text = entry  # Some log drivers give no time: the one before must do.
        message = text.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
        if "\r" not in message:
            yield ports.LogLine(at=self._at, stream=stream, message=message)
            return
        for part in message.split("\r"):
            if part:
                yield ports.LogLine(at=self._at, stream=stream, message=part)
