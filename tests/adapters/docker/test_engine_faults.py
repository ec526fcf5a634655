"""Engines that hang, fail and refuse: a small one of our own, on a socket of its own."""

import asyncio
import gc
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pupload import errors
from pupload.adapters.docker import executor, images
from pupload.adapters.system import clock
from pupload.domain import run
from tests.adapters.docker import lab as labs

ATTEMPT = run.AttemptRef(run="run_test", node="node", number=1)
SOON = 20

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""The SDK does not close the socket of a connection that failed; the garbage collection does."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Here, and not in somebody else's test."""
    yield
    gc.collect()


@asynccontextmanager
async def connected(socket_path: Path, **limits: Any) -> AsyncIterator[executor.DockerExecutor]:
    made = executor.DockerExecutor(
        instance="test", host=f"unix://{socket_path}", clock=clock.SystemClock(), **{"quick_seconds": 1, **limits}
    )
    try:
        yield made
    finally:
        await made.close()


# ── Nobody answers ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """A socket that takes connections and never says a word."""
    path = tmp_path / "silent.sock"
    held: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(64)

        def accept() -> None:
            while True:
                try:
                    held.append(listening.accept()[0])
                except OSError:
                    return

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield path
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for each in held:
            each.close()


async def read_all(made: executor.DockerExecutor) -> None:
    async for _ in made.logs(ATTEMPT):
        pass


CALLS: dict[str, Callable[[executor.DockerExecutor], Awaitable[Any]]] = {
    "wait": lambda made: made.wait(ATTEMPT),
    "logs": read_all,
    "stop": lambda made: made.stop(ATTEMPT, grace_seconds=1000),
    "remove": lambda made: made.remove(ATTEMPT),
    "recover": lambda made: made.recover(),
    "capacity": lambda made: made.capacity(),
    "resolve_image": lambda made: made.resolve_image("busybox"),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_silent_engine_is_unavailable_in_time(silent: Path, call: str) -> None:
    async with connected(silent, quick_seconds=0.2, slow_seconds=0.2) as made, asyncio.timeout(SOON):
        with pytest.raises(errors.ExecutorUnavailable):
            await CALLS[call](made)


async def test_a_hundred_calls_of_a_silent_engine_cost_one_time_limit(silent: Path) -> None:
    began = asyncio.get_running_loop().time()
    async with connected(silent, quick_seconds=0.5) as made:
        answers = await asyncio.gather(*(made.capacity() for _ in range(100)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {errors.ExecutorUnavailable}
    assert asyncio.get_running_loop().time() - began < 5


async def test_an_order_to_a_silent_engine_is_unavailable(silent: Path, tmp_path: Path) -> None:
    order = labs.Orders(tmp_path, "sha256:" + "1" * 64).order("true")
    async with connected(silent, quick_seconds=0.2, slow_seconds=0.2) as made, asyncio.timeout(SOON):
        with pytest.raises(errors.ExecutorUnavailable):
            await made.ensure_started(order)


async def test_no_engine_at_all_is_unavailable_and_the_probe_says_what_to_do(tmp_path: Path) -> None:
    async with connected(tmp_path / "nothing.sock") as made:
        with pytest.raises(errors.ExecutorUnavailable, match="No such file"):
            await made.recover()
        (line,) = await made.probe()
    assert not line.ok
    assert "is it running" in line.detail


async def test_a_closed_executor_is_unavailable(tmp_path: Path) -> None:
    async with connected(tmp_path / "nothing.sock") as made:
        await made.close()
        with pytest.raises(errors.ExecutorUnavailable, match="closed"):
            await made.recover()


# ── An engine with a script ──────────────────────────────────────────────────────────────────────────────────────


IMAGE = "sha256:" + "a" * 64


class Engine:
    """Has an image, and answers what a test lays down for it; everything else is not found."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.partition("/v1.41")[2] or request.path
        self.asked.append(f"{request.method} {path}")
        if path == "/version":
            return web.json_response({"ApiVersion": "1.41", "Version": "20.10"})
        if (found := self.answers.get(f"{request.method} {path}")) is not None:
            return await found(request)
        if path == f"/images/{IMAGE}/json":
            return web.json_response({"Id": IMAGE, "Config": {}})
        return said(404, f"No such thing: {path}")


def said(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def saying(status: int, message: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return said(status, message)

    return answer


def streaming(*lines: dict[str, Any]) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(json.dumps(line).encode() + b"\r\n")
        return response

    return answer


@asynccontextmanager
async def serving(engine: Engine, path: Path) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", engine.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    found = Engine()
    async with serving(found, tmp_path / "engine.sock"):
        yield found


@pytest.fixture
async def made(engine: Engine, tmp_path: Path) -> AsyncIterator[executor.DockerExecutor]:
    async with connected(tmp_path / "engine.sock", quick_seconds=5) as found:
        yield found


PULL = "POST /images/create"


@pytest.mark.parametrize(
    ("message", "expected", "sentence"),
    [
        ("toomanyrequests: You have reached your pull rate limit", errors.ImageRateLimited, "rate limit"),
        ("manifest for some/image:1 not found: manifest unknown", errors.ImageMissing, "does not have it"),
        ("pull access denied for some/image, repository does not exist", errors.ImageMissing, "docker login"),
        ("unauthorized: authentication required", errors.ImageMissing, "docker login"),
        ("no matching manifest for linux/arm64/v8 in the manifest list", errors.ImageMissing, "processor"),
        (
            "dial tcp: lookup registry.example on 1.1.1.1:53: no such host",
            errors.ImageMissing,
            "docker pull some/image:1",
        ),
        ("write /var/lib/docker/x: no space left on device", errors.DiskFull, "full"),
    ],
)
@pytest.mark.parametrize("early", [True, False])
async def test_a_pull_that_fails_says_why_and_what_to_do(
    engine: Engine,
    made: executor.DockerExecutor,
    message: str,
    expected: type[errors.PuploadError],
    sentence: str,
    early: bool,
) -> None:
    engine.answers[PULL] = saying(500, message) if early else streaming({"status": "Pulling"}, {"error": message})
    with pytest.raises(expected, match=sentence):
        await made.resolve_image("some/image:1")


async def test_many_who_want_an_image_pull_it_once(engine: Engine, made: executor.DockerExecutor) -> None:
    go_on, everybody_asked = asyncio.Event(), asyncio.Event()

    async def unknown(request: web.Request) -> web.StreamResponse:
        if engine.asked.count("GET /images/some/image:latest/json") == 20:
            everybody_asked.set()
        return said(404, "no such image")

    async def pull(request: web.Request) -> web.StreamResponse:
        assert dict(request.query) == {"fromImage": "some/image", "tag": "latest"}
        await go_on.wait()
        engine.answers["GET /images/some/image:latest/json"] = inspected
        return await streaming({"status": "Done"})(request)

    async def inspected(request: web.Request) -> web.StreamResponse:
        return web.json_response({"Id": "sha256:1"})

    engine.answers["GET /images/some/image:latest/json"] = unknown
    engine.answers[PULL] = pull
    asking = [asyncio.create_task(made.resolve_image("some/image")) for _ in range(20)]
    async with asyncio.timeout(SOON):
        await everybody_asked.wait()
        asking.pop(0).cancel()  # It was the first, and the pull goes on without it.
        go_on.set()
        assert set(await asyncio.gather(*asking)) == {"sha256:1"}
    assert engine.asked.count(PULL) == 1


async def test_who_is_told_late_that_an_image_was_not_there_does_not_pull_it_again(
    engine: Engine, made: executor.DockerExecutor
) -> None:
    asked, told = asyncio.Event(), asyncio.Event()

    async def unknown_but_slow(request: web.Request) -> web.StreamResponse:
        engine.answers["GET /images/some/image:latest/json"] = unknown
        asked.set()
        await told.wait()
        return said(404, "no such image")

    async def unknown(request: web.Request) -> web.StreamResponse:
        return said(404, "no such image")

    async def inspected(request: web.Request) -> web.StreamResponse:
        return web.json_response({"Id": "sha256:1"})

    async def pull(request: web.Request) -> web.StreamResponse:
        engine.answers["GET /images/some/image:latest/json"] = inspected
        return await streaming({"status": "Done"})(request)

    engine.answers["GET /images/some/image:latest/json"] = unknown_but_slow
    engine.answers[PULL] = pull
    async with asyncio.timeout(SOON):
        late = asyncio.create_task(made.resolve_image("some/image"))
        await asked.wait()
        assert await made.resolve_image("some/image") == "sha256:1"
        told.set()
        assert await late == "sha256:1"
    assert engine.asked.count(PULL) == 1


async def test_a_pull_that_takes_too_long_is_given_up(engine: Engine, tmp_path: Path) -> None:
    async def pull(request: web.Request) -> web.StreamResponse:
        response = await streaming({"status": "Pulling"})(request)
        await asyncio.sleep(SOON)
        return response

    engine.answers[PULL] = pull
    async with connected(tmp_path / "engine.sock", pull_seconds=0.2) as made:
        with pytest.raises(errors.ImageMissing, match="too slow"):
            await made.resolve_image("some/image:1")


async def test_an_id_is_never_pulled(engine: Engine, made: executor.DockerExecutor) -> None:
    with pytest.raises(errors.ImageMissing, match="an id"):
        await made.resolve_image("sha256:" + "1" * 64)
    assert PULL not in engine.asked


async def test_a_local_image_is_asked_for_every_time(engine: Engine, made: executor.DockerExecutor) -> None:
    """A name given to another image means the other at once."""
    ids = iter(["sha256:1", "sha256:2"])

    async def inspected(request: web.Request) -> web.StreamResponse:
        return web.json_response({"Id": next(ids)})

    engine.answers["GET /images/some/image:1/json"] = inspected
    assert [await made.resolve_image("some/image:1") for _ in range(2)] == ["sha256:1", "sha256:2"]


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("busybox", "busybox:latest"),
        ("busybox:1", "busybox:1"),
        ("host:5000/busybox", "host:5000/busybox:latest"),
        ("host:5000/busybox:1", "host:5000/busybox:1"),
        ("busybox@sha256:" + "1" * 64, "busybox@sha256:" + "1" * 64),
        ("sha256:" + "1" * 64, "sha256:" + "1" * 64),
    ],
)
def test_a_reference_without_a_tag_means_the_latest(reference: str, meant: str) -> None:
    assert images.normalised(reference) == meant


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (500, 'OCI runtime create failed: exec: "x": not found', errors.ContainerRefused),
        (400, "invalid mount config", errors.ContainerRefused),
        (500, "mkdir /var/lib/docker/overlay2/x: no space left on device", errors.DiskFull),
        (500, "OCI runtime create failed: fork/exec: resource temporarily unavailable", errors.ExecutorUnavailable),
        (500, "containerd: transport is closing", errors.ExecutorUnavailable),
        (503, "shutting down", errors.ExecutorUnavailable),
        (404, "No such image: sha256:1", errors.ImageMissing),
    ],
)
async def test_a_refused_creation_is_told_from_a_failing_engine(
    engine: Engine,
    made: executor.DockerExecutor,
    tmp_path: Path,
    status: int,
    message: str,
    expected: type[errors.PuploadError],
) -> None:
    engine.answers["POST /containers/create"] = saying(status, message)
    with pytest.raises(expected):
        await made.ensure_started(labs.Orders(tmp_path, IMAGE).order("true"))


async def test_an_engine_that_fails_once_is_asked_again(tmp_path: Path) -> None:
    """It was restarted, and the kept connection leads nowhere."""
    path = tmp_path / "engine.sock"
    first, second = Engine(), Engine()

    async def listed(request: web.Request) -> web.StreamResponse:
        return web.json_response([])

    for each in (first, second):
        each.answers["GET /containers/json"] = listed
    async with connected(path, quick_seconds=5) as made:
        async with serving(first, path):
            assert list(await made.recover()) == []
        with pytest.raises(errors.ExecutorUnavailable):
            await made.recover()
        async with serving(second, path):
            assert list(await made.recover()) == []


async def test_a_log_that_breaks_off_is_read_on_without_gap_or_double(
    engine: Engine, made: executor.DockerExecutor
) -> None:
    container = "/containers/pupload-test-run_test.node.1"
    status = {"Status": "running", "Running": True}
    readings = iter([["one", "two"], ["one", "two", "three"]])

    async def inspected(request: web.Request) -> web.StreamResponse:
        return web.json_response({"Id": "1", "State": status, "Config": {}, "HostConfig": {}})

    async def logged(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        lines = ["three"] if "tail" in request.query else next(readings)
        for line in lines:
            entry = f"2026-03-03T12:00:00.000000000Z {line}\n".encode()
            await response.write(b"\x01\x00\x00\x00" + len(entry).to_bytes(4, "big") + entry)
        if "three" in lines:
            status.update(Status="exited", Running=False)
        return response

    engine.answers[f"GET {container}/json"] = inspected
    engine.answers[f"GET {container}/logs"] = logged
    assert [line.message async for line in made.logs(ATTEMPT)] == ["one", "two", "three"]


async def test_a_container_that_does_not_die_is_told(
    engine: Engine, made: executor.DockerExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "_DYING_SECONDS", 0.05)
    container = "/containers/pupload-test-run_test.node.1"

    async def inspected(request: web.Request) -> web.StreamResponse:
        state = {"Status": "running", "Running": True, "Paused": False}
        return web.json_response({"Id": "1", "State": state, "Config": {}, "HostConfig": {}})

    async def killed(request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    engine.answers[f"GET {container}/json"] = inspected
    engine.answers[f"POST {container}/kill"] = killed
    with pytest.raises(errors.ExecutorUnavailable, match="does not die"):
        await made.stop(ATTEMPT, grace_seconds=0.05)
    assert engine.asked.count(f"POST {container}/kill") == 4
