"""Images that are not to be had, or are not what their name says: from a registry that misbehaves, by a real engine."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import docker.errors
import pytest

from pupload import errors
from pupload.adapters.docker.executor import DockerExecutor
from pupload.adapters.system.clock import SystemClock
from pupload.client import Client
from tests import images
from tests.faults import registry
from tests.faults.engines import OwnEngine
from tests.faults.registry import Registry
from tests.system import flows
from tests.system import server as servers
from tests.system.server import Server

Json = dict[str, Any]

pytestmark = [pytest.mark.engine]


@pytest.fixture(scope="session")
def layer() -> bytes:
    """A busybox."""
    with closing(servers.engine()) as engine:
        made = engine.create_container(images.busybox(), ["true"])
        try:
            return b"".join(engine.export(made["Id"]))
        finally:
            engine.remove_container(made["Id"])


@pytest.fixture
def shelf(layer: bytes) -> Iterator[Registry]:
    """A registry; what was pulled from it is taken off the engine."""
    with registry.opened() as found:
        yield found
        with closing(servers.engine()) as engine:
            for image in engine.images():
                for name in [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]:
                    if name.startswith(f"127.0.0.1:{found.port}/"):
                        with suppress(docker.errors.APIError):
                            engine.remove_image(name, force=True)


async def failures(client: Client, run: Json) -> list[str]:
    """The classes of the run's failed attempts, in order."""
    told = [event async for event in client.events(run["ID"])]
    return [event.data["Data"]["Failure"] for event in told if event.kind == "attempt.failed"]


def one(image: str, **more: Any) -> Json:
    return flows.one("echo ran", Image=image, MaxAttempts=2, **more)


async def test_f21_an_image_is_pulled_and_runs(client: Client, shelf: Registry, layer: bytes) -> None:
    """F21: as it should be; what follows differs from this in one thing each."""
    done = await flows.finish(client, one(shelf.put("good/image", layer)))
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await flows.said(client, done) == ["ran"]


@pytest.mark.parametrize(
    ("path", "answer", "failure", "words"),
    [
        ("/v2/bad/image/manifests/", registry.refusing(404, "MANIFEST_UNKNOWN"), "image_missing", "does not have it"),
        ("/v2/bad/image/manifests/", registry.refusing(403, "DENIED"), "image_missing", "docker login"),
        ("/v2/bad/image/manifests/", registry.refusing(401, "UNAUTHORIZED"), "image_missing", "docker login"),
        ("/v2/bad/image/blobs/", registry.giving(b"something else altogether"), "image_missing", "not what it said"),
    ],
    ids=["missing", "denied", "private", "other bytes"],
)
async def test_f21_an_image_that_is_not_to_be_had_is_told_once_and_with_what_to_do(
    client: Client, shelf: Registry, layer: bytes, path: str, answer: registry.Answer, failure: str, words: str
) -> None:
    """F21: a class and a sentence for each; none is tried again, and nothing runs in its place."""
    image = shelf.put("bad/image", layer)
    shelf.answers[path] = answer
    done = await flows.finish(client, one(image))
    assert done["Status"] == "ERROR"
    assert words in done["Error"]
    assert image in done["Error"]
    assert await failures(client, done) == [failure]
    assert await flows.said(client, done) == []


async def test_f42_what_a_host_that_is_no_registry_answers_is_not_told(
    client: Client, server: Server, shelf: Registry, layer: bytes
) -> None:
    """F42: an image's name leads the engine to any host; its answer reaches neither who wrote the name nor the log."""
    image = shelf.put("other/place", layer)
    shelf.answers["/v2/"] = lambda request: request.say(404, "text/plain", b"what only neighbours may read")
    done = await flows.finish(client, one(image))
    assert await failures(client, done) == ["image_missing"]
    assert "cannot be reached" in done["Error"], done["Error"]
    assert "neighbours" not in done["Error"]
    assert "neighbours" not in server.stderr()


async def test_f21_an_image_for_another_processor_is_told(client: Client, shelf: Registry, layer: bytes) -> None:
    """F21: the registry has it, and not for this machine."""
    done = await flows.finish(client, one(shelf.put("foreign/image", layer, listed_for="s390x")))
    assert "not for this machine's processor" in done["Error"]
    assert await failures(client, done) == ["image_missing"]


async def test_f21_a_digest_is_what_it_says_or_nothing(client: Client, shelf: Registry, layer: bytes) -> None:
    """F21: another manifest under the digest that was asked for is not used."""
    shelf.put("pinned/image", layer)
    other = b'{"schemaVersion": 2, "mediaType": "%s"}' % registry.MANIFEST.encode()
    shelf.answers["/v2/pinned/image/manifests/sha256:"] = registry.giving(other, registry.MANIFEST)
    pinned = f"127.0.0.1:{shelf.port}/pinned/image@sha256:{'1' * 64}"
    done = await flows.finish(client, one(pinned))
    assert done["Status"] == "ERROR"
    assert "not what it said" in done["Error"], done["Error"]
    assert await failures(client, done) == ["image_missing"]


@pytest.mark.parametrize(("status", "code"), [(429, "TOOMANYREQUESTS"), (503, "UNAVAILABLE")])
async def test_f21_a_registry_that_has_too_much_to_do_is_asked_again(
    client: Client, shelf: Registry, layer: bytes, status: int, code: str
) -> None:
    """F21: at nobody's cost."""
    image = shelf.put("busy/image", layer)
    # An engine asks again by itself a few times for some of these.
    shelf.answers["/v2/busy/image/manifests/"] = registry.refusing(status, code, times=8)
    done = await flows.finish(client, flows.one("echo ran", Image=image, MaxAttempts=1))
    assert done["Status"] == "COMPLETE", done["Error"]
    assert set(await failures(client, done)) == {"image_rate_limited"}


async def test_f21_a_server_that_dies_in_a_pull_goes_on_with_it(
    own_server: Callable[..., Server], shelf: Registry, layer: bytes
) -> None:
    """F21: the layer is held up, the server killed and started again."""
    server, go_on = own_server(), threading.Event()
    image = shelf.put("slow/image", layer)
    shelf.answers["/v2/slow/image/blobs/"] = registry.waiting_for(go_on)
    async with server.client() as client:
        run = await client.start(one(image))
        async with asyncio.timeout(30):
            while not any("/blobs/" in asked for asked in shelf.asked):  # noqa: ASYNC110 - it is in another thread
                await asyncio.sleep(0.02)
        server.kill()
        server.start()
        assert (await client.status(run["ID"]))["Status"] == "RUNNING"
        go_on.set()
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        assert await failures(client, run) == []


async def test_f21_a_registry_that_is_too_slow_is_given_up(shelf: Registry, layer: bytes) -> None:
    """F21: a pull has an end, which is half an hour for servers and half a second here."""
    image, go_on = shelf.put("slow/image", layer), threading.Event()
    shelf.answers["/v2/slow/image/blobs/"] = registry.waiting_for(go_on)
    executor = DockerExecutor(instance="test", clock=SystemClock(), pull_seconds=0.5)
    try:
        with pytest.raises(errors.ImageMissing, match="too slow"):
            await executor.resolve_image(image)
    finally:
        go_on.set()
        await executor.close()


@pytest.mark.timeout(180)
async def test_f21_a_disk_that_is_full_is_told(own_engine: OwnEngine) -> None:
    """F21: the engine has a disk of 48 MiB, and the image 64 that no packing makes less."""
    own_engine.move_to_a_disk_of(mib=48)
    executor = DockerExecutor(instance="test", clock=SystemClock(), host=own_engine.host)
    try:
        with registry.opened(beside=own_engine.pid) as shelf:
            image = shelf.put("large/image", random.Random(1).randbytes(64 << 20))
            with pytest.raises(errors.DiskFull):
                await executor.resolve_image(image)
    finally:
        await executor.close()
