"""Whether a node would reach an address is tried from a container, with an address of our own in its place."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import closing

import docker.errors
import pytest

from pupload.adapters.docker import calls, metadata
from pupload.adapters.system import clock
from tests.system.server import engine

pytestmark = pytest.mark.engine


@pytest.fixture
async def asked() -> AsyncIterator[calls.Calls]:
    made = calls.Calls(host=None, pool_size=2, quick_seconds=30, slow_seconds=60, clock=clock.SystemClock())
    yield made
    await made.close()


def gateway() -> str:
    """The machine, as containers on the engine's bridge see it."""
    with closing(engine()) as client:
        try:
            client.inspect_image(metadata._IMAGES[0])
        except docker.errors.ImageNotFound:
            pytest.skip(f"{metadata._IMAGES[0]} is not there; scripts/base-image makes it")
        config: dict[str, str] = client.inspect_network("bridge")["IPAM"]["Config"][0]
        # An engine that found its bridge there tells the network alone, of which it is the first address.
        return config.get("Gateway") or str(next(ipaddress.ip_network(config["Subnet"]).hosts()))


async def test_what_listens_is_reached_and_what_does_not_is_not(asked: calls.Calls) -> None:
    host = await asyncio.to_thread(gateway)

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    try:
        server = await asyncio.start_server(greet, host, 0)
    except OSError:
        pytest.skip(f"{host}, where the engine's bridge leads, is not this machine")
    port: int = server.sockets[0].getsockname()[1]
    async with server:
        assert await metadata.reached(asked, "bridge", address=host, port=port) is True
        assert await metadata.reached(asked, "none", address=host, port=port) is False
    await server.wait_closed()
    assert await metadata.reached(asked, "bridge", address=host, port=port) is False


async def test_without_an_image_nothing_is_said(asked: calls.Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "_IMAGES", ("pupload-test/no-such-image:1",))
    assert await metadata.reached(asked, "bridge") is None
