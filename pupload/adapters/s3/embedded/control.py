"""
The engine's own door: a Unix socket that only our own user can open.

`/arrivals` tells of every object as it comes in, `/link` and `/adopt` pass bytes without copying them, `/stats` counts.
Errors are JSON: `{"code", "message"}` with a status that means what it says.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from pupload.adapters.s3.embedded import arrivals, links
from pupload.adapters.s3.embedded.address import LONGEST_KEY
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

HEARTBEAT_SECONDS = 15.0

_log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make(store: Store, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> web.Application:
    """The application behind the socket."""
    control = _Control(store, heartbeat_seconds)
    application = web.Application(middlewares=[_tell_refusals], client_max_size=64 * 1024)
    application.add_routes(
        [
            web.get("/arrivals", control.arrivals),
            web.post("/link", control.link),
            web.post("/adopt", control.adopt),
            web.get("/stats", control.stats),
        ]
    )
    return application


@web.middleware
async def _tell_refusals(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refused:
        return web.json_response({"code": refused.code, "message": refused.message}, status=refused.status)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception:  # noqa: BLE001 - whatever it is, the engine gets an answer and we a trace
        _log.exception("%s failed", request.path)
        return web.json_response({"code": "InternalError", "message": "The store failed; see its log."}, status=500)


class _Control:
    def __init__(self, store: Store, heartbeat_seconds: float) -> None:
        self._store = store
        self._heartbeat_seconds = heartbeat_seconds

    async def arrivals(self, request: web.Request) -> web.StreamResponse:
        after = request.query.get("after")
        if after is not None and not (after.isascii() and after.isdigit() and len(after) < 19):
            raise Refusal("InvalidArgument", "after must be a number")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        following = arrivals.follow(
            self._store.index,
            self._store.bell,
            None if after is None else int(after),
            heartbeat_seconds=self._heartbeat_seconds,
        )
        with suppress(ConnectionError):  # the reader went away; it will come back with its last number
            async for lines in following:
                await response.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        return response

    async def link(self, request: web.Request) -> web.Response:
        order = await _read(request, "bucket", "key", "path")
        if_etag = order.get("if_etag")
        done = await links.link(self._store, order["bucket"], order["key"], Path(order["path"]), if_etag=if_etag)
        return _tell(done)

    async def adopt(self, request: web.Request) -> web.Response:
        order = await _read(request, "bucket", "key", "path", "content_type")
        done = await links.adopt(self._store, order["bucket"], order["key"], Path(order["path"]), order["content_type"])
        return _tell(done)

    async def stats(self, _request: web.Request) -> web.Response:
        room = self._store.room
        return web.json_response(
            {
                "objects": room.objects,
                "bytes": room.used_bytes,
                "disk_free": room.free_bytes(),
                "requests": self._store.requests,
            }
        )


async def _read(request: web.Request, *needed: str) -> dict[str, str]:
    try:
        given: Any = await request.json()
    except ValueError as error:
        raise Refusal("InvalidArgument", "The body must be JSON.") from error
    if not isinstance(given, dict):
        raise Refusal("InvalidArgument", "The body must be an object.")
    order: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if missing := [name for name in needed if name not in order]:
        raise Refusal("InvalidArgument", f"{', '.join(missing)} must be given.")
    if not all(isinstance(value, str) and _is_text(value) for value in order.values()):
        raise Refusal("InvalidArgument", "All values must be text.")
    if not 1 <= len(order["key"].encode()) <= LONGEST_KEY:
        raise Refusal("KeyTooLongError")
    if not Path(order["path"]).is_absolute():
        raise Refusal("InvalidArgument", "path must be absolute.")
    return order


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tell(done: links.Linked) -> web.Response:
    stored = done.stored
    return web.json_response(
        {
            "bucket": stored.bucket,
            "key": stored.key,
            "size": stored.size,
            "etag": stored.etag,
            "sha256": done.sha256,
            "content_type": stored.content_type,
            "modified_ms": stored.modified_ms,
            "linked": done.linked,
        }
    )
