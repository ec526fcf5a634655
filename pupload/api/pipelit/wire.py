"""How this surface writes what all sections have: times and answers."""

from datetime import UTC, datetime

import msgspec
from aiohttp import web

from pupload.api import web as shared
from pupload.api.pipelit import models

PREFIX = "/api/v1"


def answer(this: models.Answer, *, status: int = 200) -> web.Response:
    """The object as it goes over the wire."""
    return shared.json_bytes(msgspec.json.encode(this), status=status)


def nothing() -> web.Response:
    """Done, and there is nothing to say."""
    return web.Response(status=204)


def moment(at: datetime) -> str:
    """ISO 8601 in UTC, without a zone."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat()


def maybe_moment(at: datetime | None) -> str | None:
    """The same; None for what has not happened."""
    return None if at is None else moment(at)
