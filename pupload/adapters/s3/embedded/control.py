"""
The engine's own door: a Unix socket that only our own user can open.

`/arrivals` tells of every object as it comes in, `/seal` keeps one as it is, `/link` and `/adopt` pass bytes without
copying them, `/link-all` and `/adopt-all` those of many files at once, `/stats` counts.
Errors are JSON: `{"code", "message"}` with a status that means what it says.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from pupload.adapters.s3.embedded import arrivals, links, rows, seals
from pupload.adapters.s3.embedded.address import LONGEST_KEY
from pupload.adapters.s3.embedded.refusals import Refusal
from pupload.adapters.s3.embedded.store import Store

HEARTBEAT_SECONDS = 15.0

LONGEST_ORDER = 1024 * 1024
"""Bytes of an order: one that names many files is long."""

_log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make(store: Store, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> web.Application:
    """The application behind the socket."""
    control = _Control(store, heartbeat_seconds)
    application = web.Application(middlewares=[_tell_refusals], client_max_size=LONGEST_ORDER)
    application.add_routes(
        [
            web.get("/arrivals", control.arrivals),
            web.post("/seal", control.seal),
            web.post("/link", control.link),
            web.post("/link-all", control.link_all),
            web.post("/adopt", control.adopt),
            web.post("/adopt-all", control.adopt_all),
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
        following = arrivals.follow(
            self._store.index,
            self._store.bell,
            None if after is None else int(after),
            heartbeat_seconds=self._heartbeat_seconds,
        )
        with suppress(ConnectionError):  # the reader went away; it will come back with its last number
            await response.prepare(request)
            async for lines in following:
                await response.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        return response

    async def seal(self, request: web.Request) -> web.Response:
        """What the copy is, as a line of JSON, and its first bytes."""
        order = await _read(request, "bucket", "key", "target", "head_bytes", "most_bytes")
        head_bytes, most_bytes = _number(order, "head_bytes"), _number(order, "most_bytes")
        bucket, source, target = order["bucket"], order["key"], order["target"]
        done = await seals.seal(self._store, bucket, source, target, head_bytes=head_bytes, most_bytes=most_bytes)
        line = json.dumps(_told(done.stored, done.sha256)) + "\n"
        return web.Response(body=line.encode() + done.head, content_type="application/octet-stream")

    async def link(self, request: web.Request) -> web.Response:
        order = await _read(request, "bucket", "key", "path")
        if_etag = order.get("if_etag")
        done = await links.link(self._store, order["bucket"], order["key"], Path(order["path"]), if_etag=if_etag)
        return _tell(done)

    async def link_all(self, request: web.Request) -> web.Response:
        bucket, checked = await _read_many(request, "key", "path")
        targets = [links.Target(one["key"], Path(one["path"]), one.get("if_etag")) for one in checked]
        await links.link_all(self._store, bucket, targets)
        return web.json_response({"files": len(targets)})

    async def adopt(self, request: web.Request) -> web.Response:
        order = await _read(request, "bucket", "key", "path", "content_type")
        done = await links.adopt(self._store, order["bucket"], order["key"], Path(order["path"]), order["content_type"])
        return _tell(done)

    async def adopt_all(self, request: web.Request) -> web.Response:
        bucket, checked = await _read_many(request, "key", "path", "content_type")
        files = [links.File(one["key"], Path(one["path"]), one["content_type"]) for one in checked]
        done = await links.adopt_all(self._store, bucket, files)
        return web.json_response({"files": [{**_told(one.stored, one.sha256), "linked": one.linked} for one in done]})

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
    return _checked(await _parsed(request), *needed)


async def _read_many(request: web.Request, *needed: str) -> tuple[str, list[dict[str, str]]]:
    """The bucket, and what is said of each file."""
    given = await _parsed(request)
    orders = given.pop("files", None) if isinstance(given, dict) else None
    if not isinstance(orders, list):
        raise Refusal("InvalidArgument", "files must be a list.")
    return _checked(given, "bucket")["bucket"], [_checked(each, *needed) for each in orders]


async def _parsed(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        raise Refusal("InvalidArgument", "The body must be JSON.") from error


def _checked(given: Any, *needed: str) -> dict[str, str]:
    if not isinstance(given, dict):
        raise Refusal("InvalidArgument", "The body must be an object.")
    order: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if missing := [name for name in needed if name not in order]:
        raise Refusal("InvalidArgument", f"{', '.join(missing)} must be given.")
    if not all(isinstance(value, str) and _is_text(value) for value in order.values()):
        raise Refusal("InvalidArgument", "All values must be text.")
    if not all(1 <= len(order[name].encode()) <= LONGEST_KEY for name in ("key", "target") if name in order):
        raise Refusal("KeyTooLongError")
    if "path" in needed and not Path(order["path"]).is_absolute():
        raise Refusal("InvalidArgument", "path must be absolute.")
    return order


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(order: Mapping[str, str], name: str) -> int:
    text = order[name]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refusal("InvalidArgument", f"{name} must be a number.")
    return int(text)


def _tell(done: links.Linked) -> web.Response:
    return web.json_response({**_told(done.stored, done.sha256), "linked": done.linked})


def _told(stored: rows.StoredObject, sha256: str) -> dict[str, Any]:
    return {
        "bucket": stored.bucket,
        "key": stored.key,
        "size": stored.size,
        "etag": stored.etag,
        "sha256": sha256,
        "content_type": stored.content_type,
        "modified_ms": stored.modified_ms,
    }
