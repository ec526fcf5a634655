"""The lines that a run's nodes wrote as a file: one line for each, with its time, its level and its node."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC

from aiohttp import web

from pupload import errors, ports
from pupload.api import streams

LEVELS = ("debug", "info", "warning", "error")

_NAMES = {"debug": "debug", "info": "info", "warn": "warning", "warning": "warning", "error": "error"}
_BY_STREAM = {"stdout": "info", "stderr": "warning", "pupload": "info"}
"""For lines that name no level."""


def level_of(line: ports.LogLine) -> str:
    """One of `LEVELS`."""
    return _NAMES.get(line.level.lower()) or _BY_STREAM[line.stream]


def read_level(text: str) -> str:
    """The level that is asked for, empty for all. Raises `errors.Malformed`."""
    if text and text.lower() not in _NAMES:
        raise errors.Malformed(reason=f"level must be one of {', '.join(LEVELS)}")
    return _NAMES.get(text.lower(), "")


def write(record: ports.LogRecord) -> str:
    """A line of the file, its end included."""
    line = record.line
    message = line.message.replace("\r", " ").replace("\n", " ")
    return f"{line.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} [{level_of(line)}] [{record.node}] {message}\n"


async def download(
    request: web.Request, batches: AsyncIterator[Sequence[ports.LogRecord]], *, name: str, level: str
) -> web.StreamResponse:
    """Sends the lines of this level, or of all, as a file of that name."""
    wanted: Collection[str] = (level,) if level else LEVELS

    def text(record: ports.LogRecord) -> bytes:
        return write(record).encode(errors="replace") if level_of(record.line) in wanted else b""

    return await streams.pieces(
        request,
        batches,
        write=text,
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}"',
        },
    )
