"""Stores that flows bring along do not lead the server to where the operator does not let it go."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any, cast

import pytest
from aiohttp import web

from pupload import errors
from pupload.adapters.s3 import client, keys, notifications, places
from pupload.adapters.system import clock, outbound
from pupload.domain import reach
from tests.adapters.s3 import faulty

STRICT, AT_HOME = outbound.Guard(reach.Policy()), outbound.Guard(reach.Policy(private=True))


class Neighbour:
    """A server on loopback that counts who connects to it."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.location: str | None = None

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        if self.location is not None:
            return web.Response(status=307, headers={"Location": self.location})
        return web.Response(body=b"x", headers={"ETag": '"e"'})


@pytest.fixture
async def neighbour() -> AsyncIterator[Neighbour]:
    at = Neighbour()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", at.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    at.port = runner.addresses[0][1]
    yield at
    await runner.cleanup()


def a_store(host: str, guard: outbound.Guard, **more: Any) -> client.S3Store:
    return client.S3Store(
        name="theirs",
        endpoint=places.Endpoint("http", host),
        bucket="bucket",
        credentials=faulty.KEYS,
        clock=faulty.QuickClock(),
        guard=guard,
        **more,
    )


async def refusal(store: client.S3Store) -> errors.StoreRefused:
    try:
        with pytest.raises(errors.StoreRefused) as refused:
            await store.stat("key")
    finally:
        await store.close()
    assert refused.value.code == "AddressRefused"
    return refused.value


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.0.0.1"])
async def test_this_machine_is_not_asked(host: str, neighbour: Neighbour) -> None:
    told = await refusal(a_store(f"{host}:{neighbour.port}", STRICT))
    assert neighbour.asked == []
    assert "127.0.0.1" not in str(told)


async def test_what_the_operator_lets_in_is_asked(neighbour: Neighbour) -> None:
    store = a_store(f"localhost:{neighbour.port}", AT_HOME)
    assert (await store.stat("key")).etag == "e"
    await store.close()


async def test_a_name_that_turns_to_this_machine_later_is_not_followed_there(
    neighbour: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = socket.getaddrinfo, []

    def resolve(host: str, *rest: Any, **more: Any) -> Any:
        if host != "turns.example":
            return real(host, *rest, **more)
        asked.append(host)
        address = "203.0.113.7" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, neighbour.port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(PermissionError):  # 203.0.113.0/24 is for documentation; what matters is that it was looked at
        STRICT.check("turns.example", neighbour.port)
    await refusal(a_store(f"turns.example:{neighbour.port}", STRICT))
    assert len(asked) >= 2
    assert neighbour.asked == []


async def test_a_bucket_in_the_hosts_name_makes_no_way_in(neighbour: Neighbour) -> None:
    store = client.S3Store(
        name="theirs",
        endpoint=places.Endpoint("http", f"0.0.1:{neighbour.port}"),
        bucket="127",
        path_style=False,
        credentials=faulty.KEYS,
        clock=faulty.QuickClock(),
        guard=STRICT,
    )
    await refusal(store)
    assert neighbour.asked == []


async def test_a_redirect_is_not_followed(neighbour: Neighbour) -> None:
    neighbour.location = f"http://127.0.0.1:{neighbour.port}/inside"
    store = a_store(f"127.0.0.1:{neighbour.port}", AT_HOME)
    with pytest.raises(errors.StoreRefused):
        await store.stat("key")
    await store.close()
    assert neighbour.asked == ["HEAD /bucket/key"]


async def test_no_bucket_is_made_there(neighbour: Neighbour) -> None:
    store = a_store(f"localhost:{neighbour.port}", STRICT)
    with pytest.raises(errors.StoreRefused) as refused:
        await store.ensure_ready()
    assert refused.value.code == "AddressRefused"
    assert neighbour.asked == []


async def test_a_bucket_is_made_where_the_operator_lets_in(neighbour: Neighbour) -> None:
    store = a_store(f"localhost:{neighbour.port}", AT_HOME)
    with suppress(errors.StoreUnavailable):  # it is no S3, but it was asked
        await store.ensure_ready()
    assert neighbour.asked[0] == "HEAD /bucket"


async def arrivals(at: Neighbour, guard: outbound.Guard, until: asyncio.Event) -> None:
    """Listens for arrivals until the first pause after a connection that failed."""

    class Clock(clock.SystemClock):
        async def sleep(self, seconds: float) -> None:
            until.set()
            await asyncio.Event().wait()

    bucket = places.Bucket(endpoint=places.Endpoint("http", f"localhost:{at.port}"), name="bucket")
    listener = notifications.Listener(
        bucket=bucket, region="us-east-1", credentials=keys.FixedKeys(faulty.KEYS), clock=Clock(), guard=guard
    )
    async with aclosing(cast(Any, listener())) as stream:
        async for _ in stream:
            pass


@pytest.mark.parametrize(("guard", "reached"), [(STRICT, False), (AT_HOME, True)])
async def test_arrivals_are_not_listened_for_there(guard: outbound.Guard, reached: bool, neighbour: Neighbour) -> None:
    neighbour.location = "http://127.0.0.1:1/inside"
    paused = asyncio.Event()
    listening = asyncio.ensure_future(arrivals(neighbour, guard, paused))
    async with asyncio.timeout(20):
        await paused.wait()
    listening.cancel()
    await asyncio.wait([listening])
    assert neighbour.asked == (["GET /bucket"] if reached else [])
