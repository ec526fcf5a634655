"""What many routes have in common: the key that a request may be repeated with, and how answers are written."""

from functools import partial

from aiohttp import web

from pupload.api import idempotency
from pupload.api import web as shared
from pupload.api.flow import models, waiting, wire
from pupload.api.web import SERVICES
from pupload.engine import aside
from pupload.service import views

MANY_NODES = 500
"""The state of more takes some milliseconds to write."""

KEY, idempotency_key = idempotency.KEY, idempotency.key_of


async def run(request: web.Request, view: views.RunView, *, wait_seconds: float = 0.0) -> web.Response:
    """The run; when it is over, or so much later, where the caller would rather wait."""
    if wait_seconds and not view.run.status.terminal:
        await waiting.until_over(request, view.run.id, wait_seconds)
        view = await request.app[SERVICES].runs.status(view.run.id)
    write = partial(wire.write_run, view, origin=shared.origin(request))
    large = len(view.run.nodes) > MANY_NODES
    return shared.json_bytes(await aside.aside(lambda: wire.encode(write()), large=large))


def answer(this: models.Answer) -> web.Response:
    """Whatever it is."""
    return shared.json_bytes(wire.encode(this))
