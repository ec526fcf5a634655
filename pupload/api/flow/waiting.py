"""
Answers that wait for a run to be over, where the caller would rather wait than ask again.

`wait=30s` in the query, or `Prefer: wait=30` (RFC 7240). The answer comes when the run is over or the time is,
whichever is first, and shows the run as it is then.
"""

import re

from aiohttp import web

from pupload import errors
from pupload.api import waiting
from pupload.api import web as shared
from pupload.api.web import Parameter
from pupload.domain import duration

LONGEST_SECONDS = 600.0

_PREFERRED = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\b", re.IGNORECASE | re.ASCII)

PARAMETERS = (
    Parameter(
        name="wait", about=f"Answer when the run is over, or after so long: `30s`; {LONGEST_SECONDS:g} s at most"
    ),
    Parameter(name="Prefer", place="header", about="`wait=30` asks for the same in seconds."),
)


def seconds(request: web.Request) -> float:
    """How long the caller would wait; 0 for not at all. Raises `errors.Malformed`."""
    text = request.query.get("wait", "")
    if text:
        try:
            asked = float(text) if text.isascii() and text.isdecimal() else duration.seconds(text)
        except ValueError as error:
            raise errors.Malformed(reason=f"wait: {text[:64]!r} is not a valid duration: {error}") from None
        if not 0 <= asked <= LONGEST_SECONDS:
            raise errors.Malformed(reason=f"wait must be from 0 to {LONGEST_SECONDS:g} seconds")
        return asked
    preferred = _PREFERRED.search(request.headers.get("Prefer", ""))
    return min(float(preferred[1]), LONGEST_SECONDS) if preferred else 0.0


async def until_over(request: web.Request, run_id: str, at_most: float) -> None:
    """Returns when the run is over, or the time, or nobody waits for the answer any more."""
    shared.allow(request, at_most)
    await waiting.until_over(request, run_id, at_most)
