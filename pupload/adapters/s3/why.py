"""Why no answer came, in words for a person."""

import errno
import os

import aiohttp

_BROKE = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})


def no_answer(error: BaseException, *, silence_seconds: float) -> str:
    """What to say of a request that failed on its way; `silence_seconds` is how long an answer was waited for."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection could be made in time"
    if isinstance(error, TimeoutError):
        return f"silent for {silence_seconds:g} seconds"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "it broke off in the middle of its answer"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known here"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection could be made{_of(error.os_error)}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it hung up without an answer"
    if isinstance(error, OSError):
        return "it hung up in the middle" if error.errno in _BROKE else f"the connection broke{_of(error)}"
    return "the connection broke"


def _of(error: OSError) -> str:
    """The system's own words. asyncio puts others in their place, or none where it tried several addresses."""
    return "" if error.errno is None or error.errno < 0 else f" ({os.strerror(error.errno).lower()})"
