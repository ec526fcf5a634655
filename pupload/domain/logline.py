"""
What a line that a node wrote says: plain text, or a level, a message and how far the node is.

A node that writes JSON objects with `message`, `level` or `progress` is understood; so are the progress lines of the
tools in `PARSERS`. Any other line is a message as it stands.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LEVELS: Mapping[str, str] = {
    "DEBUG": "DEBUG",
    "TRACE": "DEBUG",
    "INFO": "INFO",
    "NOTICE": "INFO",
    "WARN": "WARN",
    "WARNING": "WARN",
    "ERROR": "ERROR",
    "FATAL": "ERROR",
    "CRITICAL": "ERROR",
}
"""Levels as tools spell them, and as they are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogText:
    """A line, understood."""

    message: str
    level: str = ""
    progress: float | None = None
    """0 to 1, where the line tells."""


def read(line: str) -> LogText:
    """The line, understood; whatever is in it, this never fails."""
    if not line.startswith("{"):
        return LogText(message=line)
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return LogText(message=line)
    if not isinstance(fields, dict) or not fields.keys() & {"message", "level", "progress"}:
        return LogText(message=line)
    message = fields.get("message", fields.get("msg"))
    return LogText(
        message=message if isinstance(message, str) else line,
        level=LEVELS.get(str(fields.get("level", "")).upper(), ""),
        progress=_fraction(fields.get("progress")),
    )


def _fraction(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return min(max(float(value), 0.0), 1.0)


_CLOCK = r"(\d+):(\d\d):(\d\d(?:\.\d+)?)"
_FFMPEG_DURATION = re.compile(rf"Duration: {_CLOCK}")
_FFMPEG_TIME = re.compile(rf"\btime={_CLOCK}")


class FfmpegProgress:
    """ffmpeg tells the duration of its input once, and then again and again how far it has come."""

    def __init__(self) -> None:
        self._total = 0.0

    def __call__(self, line: str) -> float | None:
        """How far it is after this line, 0 to 1; None where the line does not tell."""
        if found := _FFMPEG_DURATION.search(line):
            self._total = max(self._total, _seconds(found))
            return None
        found = _FFMPEG_TIME.search(line)
        return min(_seconds(found) / self._total, 1.0) if found and self._total else None


def _seconds(found: re.Match[str]) -> float:
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


PARSERS: Mapping[str, Callable[[], Callable[[str], float | None]]] = {"ffmpeg": FfmpegProgress}
"""By the name a definition's `Progress` gives; each makes a parser for one attempt."""
