"""The key that a request may be repeated with: whoever asks again with it is told what the first came to."""

from aiohttp import web

from pupload import errors
from pupload.api.web import Parameter

_MOST_KEY = 255

KEY = Parameter(
    name="Idempotency-Key", place="header", about="A repeated request with the same key answers with the first run."
)


def key_of(request: web.Request) -> str | None:
    """The key that the request names. Raises `errors.Malformed`."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= _MOST_KEY and key.isprintable()):
        raise errors.Malformed(reason=f"Idempotency-Key must have 1 to {_MOST_KEY} printable characters")
    return key
