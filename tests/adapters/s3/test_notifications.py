"""Arrivals by MinIO's notifications: the SDK in its thread, against a server that speaks as MinIO does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast
from urllib.parse import quote_plus

from aiohttp import web

from pupload.adapters.s3 import client, keys, notifications, places
from pupload.adapters.system import clock
from tests.adapters.s3 import faulty

Lines = list[str | None]
"""A key that arrived, or None for the blanks by which the server shows that it is there."""


class Speaking:
    """Says each list of lines to one connection, then hangs up; to the last it goes on listening."""

    def __init__(self, *connections: Lines, status: int = 200) -> None:
        self.connections = list(connections)
        self.queries: list[dict[str, str]] = []
        self.status = status

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        if self.status != 200:
            self.status = 200
            return web.Response(status=503, text="<Error><Code>SlowDown</Code></Error>")
        response = web.StreamResponse()
        await response.prepare(request)
        for key in self.connections.pop(0):
            line = b" \n" if key is None else json.dumps(record(key)).encode() + b"\n"
            await response.write(line)
        if not self.connections:
            await asyncio.Event().wait()
        return response


def record(key: str) -> dict[str, Any]:
    return {
        "EventName": "s3:ObjectCreated:Put",
        "Records": [{"s3": {"bucket": {"name": "bucket"}, "object": {"key": quote_plus(key)}}}],
    }


@asynccontextmanager
async def listening(speaking: Speaking) -> AsyncIterator[client.S3Store]:
    app = web.Application()
    app.router.add_get("/bucket", speaking.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = places.Endpoint("http", f"127.0.0.1:{runner.addresses[0][1]}")
    quick, credentials = faulty.QuickClock(), keys.FixedKeys(faulty.KEYS)
    store = client.S3Store(
        name="minio",
        endpoint=endpoint,
        bucket="bucket",
        credentials=credentials,
        clock=clock.SystemClock(),
        listener=notifications.Listener(
            bucket=places.Bucket(endpoint=endpoint, name="bucket"),
            region="us-east-1",
            credentials=credentials,
            clock=quick,
        ),
    )
    try:
        yield store
    finally:
        await store.close()
        await runner.cleanup()


async def heard(store: client.S3Store, count: int) -> list[str]:
    async with aclosing(cast(Any, store.arrivals())) as arrivals:
        return [await anext(arrivals) for _ in range(count)]


async def test_keys_are_told_as_they_arrive() -> None:
    speaking = Speaking([None, "a b/ü+", None, "next"])
    async with listening(speaking) as store:
        assert store.notifies
        assert await heard(store, 3) == ["", "a b/ü+", "next"]
    assert speaking.queries[0]["events"] == "s3:ObjectCreated:*"


async def test_every_new_connection_may_have_missed_some() -> None:
    async with listening(Speaking(["one"], ["two"], ["three"])) as store:
        assert await heard(store, 6) == ["", "one", "", "two", "", "three"]


async def test_a_store_that_refuses_for_now_is_asked_again() -> None:
    async with listening(Speaking(["one"], status=503)) as store:
        assert await heard(store, 2) == ["", "one"]


async def test_a_store_that_does_not_notify_is_silent_for_ever() -> None:
    async with faulty.scene(faulty.says(200)) as at:
        assert not at.store.notifies
        waiting = asyncio.ensure_future(anext(at.store.arrivals()))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        waiting.cancel()
        await asyncio.wait([waiting])
