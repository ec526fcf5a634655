"""Calls in the event loop: repeated once, told in our words, bounded."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pupload import errors
from pupload.adapters.docker import asking, calls, executor
from pupload.adapters.system import clock
from tests.adapters.docker.test_engine_faults import ATTEMPT as REF
from tests.adapters.docker.test_engine_faults import IMAGE, Engine, connected, saying, serving

SOON = 20
THING = "GET /things/1/json"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    found = Engine()
    async with serving(found, tmp_path / "engine.sock"):
        yield found


@pytest.fixture
async def ask(engine: Engine, tmp_path: Path) -> AsyncIterator[asking.Asking]:
    made = an_asking(f"unix://{tmp_path}/engine.sock")
    yield made
    await made.close()


def an_asking(host: str, *, pool_size: int = 2) -> asking.Asking:
    asks = calls.Calls(host=host, pool_size=pool_size, quick_seconds=5, slow_seconds=5, clock=clock.SystemClock())
    return asking.Asking(asks, pool_size=pool_size, quick_seconds=5, slow_seconds=5)


async def thing(request: web.Request) -> web.StreamResponse:
    return web.json_response({"Id": "1"})


def hanging_up(times: int) -> Any:
    left = iter(range(times))

    async def answer(request: web.Request) -> web.StreamResponse:
        if next(left, None) is not None:
            assert request.transport is not None
            request.transport.abort()
        return await thing(request)

    return answer


async def test_the_version_is_asked_for_once(engine: Engine, ask: asking.Asking) -> None:
    engine.answers[THING] = thing
    for _ in range(3):
        assert await ask.quick("GET", "/things/1/json", into=dict[str, str]) == {"Id": "1"}
    assert engine.asked == ["GET /version", *[THING] * 3]


async def test_a_call_on_which_the_engine_hangs_up_is_repeated_once(engine: Engine, ask: asking.Asking) -> None:
    engine.answers["POST /things/create"] = hanging_up(1)
    assert b"Id" in await ask.slow("POST", "/things/create", body={})
    engine.answers["POST /things/create"] = hanging_up(2)
    with pytest.raises(errors.ExecutorUnavailable):
        await ask.slow("POST", "/things/create", body={})
    assert engine.asked.count("POST /things/create") == 4


async def test_a_refusal_is_told_in_the_engines_words(engine: Engine, ask: asking.Asking) -> None:
    engine.answers[THING] = saying(409, " it is in use\n")
    with pytest.raises(calls.Refusal, match="answered 409: it is in use") as refused:
        await ask.quick("GET", "/things/1/json", into=dict[str, str])
    assert (refused.value.status, refused.value.reason) == (409, "it is in use")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"message": 7}'])
async def test_a_refusal_without_sense_is_a_refusal(engine: Engine, ask: asking.Asking, body: bytes) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, body=body)

    engine.answers[THING] = answer
    with pytest.raises(calls.Refusal, match="answered 500"):
        await ask.quick("GET", "/things/1/json", into=dict[str, str])


async def test_an_answer_without_sense_is_no_answer(engine: Engine, ask: asking.Asking) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"half a {")

    engine.answers[THING] = answer
    with pytest.raises(errors.ExecutorUnavailable, match="makes no sense"):
        await ask.quick("GET", "/things/1/json", into=dict[str, str])


async def test_work_is_bounded_and_keeps_no_question_waiting(
    engine: Engine, ask: asking.Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, working, most = asyncio.Event(), 0, 0

    async def work(request: web.Request) -> web.StreamResponse:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await go_on.wait()
        working -= 1
        return web.Response(status=204)

    engine.answers[THING] = thing
    engine.answers["POST /things/1/start"] = work
    engine.answers["POST /things/create"] = work
    starting = [asyncio.create_task(ask.start("/things/1/start")) for _ in range(8)]
    making = [asyncio.create_task(ask.slow("POST", "/things/create", body={})) for _ in range(8)]
    async with asyncio.timeout(SOON):
        assert await ask.quick("GET", "/things/1/json", into=dict[str, str]) == {"Id": "1"}
        while working < 4:  # noqa: ASYNC110 - two of either; nobody tells
            await asyncio.sleep(0.01)
        go_on.set()
        await asyncio.gather(*starting, *making)
    assert most == 4


async def test_hosts_that_cannot_be_reached_so_are_named() -> None:
    made = an_asking("npipe:////./pipe/docker_engine")
    with pytest.raises(errors.ExecutorUnavailable, match="use unix:// or tcp://"):
        await made.version()


# ── Images ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Told(Engine):
    """Tells of what happens to its images."""

    def __init__(self) -> None:
        super().__init__()
        self.events: asyncio.Queue[bytes] = asyncio.Queue()
        self.answers["GET /events"] = self.tell
        self.answers["GET /images/some/image:1/json"] = self.image
        self.id = "sha256:" + "1" * 64

    async def tell(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while "image" in request.query["filters"]:
            await response.write(await self.events.get())
        return response

    async def image(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"Id": self.id})


async def test_a_name_is_asked_for_again_when_something_happened_to_an_image(tmp_path: Path) -> None:
    engine = Told()
    async with serving(engine, tmp_path / "engine.sock"), connected(tmp_path / "engine.sock") as made:
        changes = made._images._changes
        await until_told(made)
        state = changes.state
        assert {await made.resolve_image("some/image:1") for _ in range(5)} == {engine.id}
        assert engine.asked.count("GET /images/some/image:1/json") == 1
        engine.id = "sha256:" + "2" * 64
        engine.events.put_nowait(b'{"Type": "image", "Action": "tag"}\n')
        async with asyncio.timeout(SOON):
            while changes.state == state:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert await made.resolve_image("some/image:1") == engine.id
        assert made._images.named("some/image:1", engine.id)


async def test_an_answer_holds_for_a_moment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pupload.adapters.docker.images._MOMENT_SECONDS", 0.0)
    engine = Told()
    async with serving(engine, tmp_path / "engine.sock"), connected(tmp_path / "engine.sock") as made:
        await until_told(made)
        for _ in range(3):
            assert await made.resolve_image("some/image:1") == engine.id
    assert engine.asked.count("GET /images/some/image:1/json") == 3


async def until_told(made: executor.DockerExecutor) -> None:
    """Until the engine's events flow."""
    async with asyncio.timeout(SOON):
        while made._images._changes.state is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


# ── Removing ─────────────────────────────────────────────────────────────────────────────────────────────────────

CONTAINER = "/containers/pupload-test-run_test.node.1"


@pytest.mark.parametrize("status", [204, 404])
async def test_what_is_gone_is_not_looked_after(engine: Engine, tmp_path: Path, status: int) -> None:
    engine.answers[f"DELETE {CONTAINER}"] = saying(status, "") if status == 404 else nothing
    async with connected(tmp_path / "engine.sock") as made:
        await made.remove(REF)
    assert f"GET {CONTAINER}/json" not in engine.asked


async def test_a_removal_that_is_refused_is_looked_after_and_tried_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "_DYING_SECONDS", 0.05)

    async def there(request: web.Request) -> web.StreamResponse:
        return web.json_response({"Id": IMAGE, "State": {"Status": "running"}})

    engine.answers[f"DELETE {CONTAINER}"] = saying(409, "it is in use")
    engine.answers[f"GET {CONTAINER}/json"] = there
    async with connected(tmp_path / "engine.sock") as made:
        with pytest.raises(errors.ExecutorUnavailable, match="it is in use"):
            await made.remove(REF)
        assert engine.asked.count(f"DELETE {CONTAINER}") > 1
        del engine.answers[f"GET {CONTAINER}/json"]
        await made.remove(REF)  # another has removed it


async def nothing(request: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_log_of_what_has_ended_is_read_once(engine: Engine, tmp_path: Path) -> None:
    async def ended(request: web.Request) -> web.StreamResponse:
        return web.json_response({"Id": "1", "State": {"Status": "exited"}})

    async def logged(request: web.Request) -> web.StreamResponse:
        assert not {"follow", "tail"} & set(request.query)
        entry = b"2026-03-03T12:00:00.000000000Z one\n"
        return web.Response(body=b"\x01\x00\x00\x00" + len(entry).to_bytes(4, "big") + entry)

    engine.answers[f"GET {CONTAINER}/json"] = ended
    engine.answers[f"GET {CONTAINER}/logs"] = logged
    async with connected(tmp_path / "engine.sock") as made:
        assert [line.message async for line in made.logs(REF)] == ["one"]
    assert engine.asked.count(f"GET {CONTAINER}/logs") == 1


async def test_a_name_of_an_image_leads_nowhere_else(engine: Engine, tmp_path: Path) -> None:
    async def secret(request: web.Request) -> web.StreamResponse:
        return web.json_response({"Id": IMAGE})

    engine.answers["GET /containers/json"] = secret
    engine.answers["POST /images/create"] = saying(400, "invalid reference format")
    async with connected(tmp_path / "engine.sock") as made:
        for name in ("../containers", "x/../../containers", "x?y", "x#y"):
            with pytest.raises(errors.ImageMissing):
                await made.resolve_image(name)
    assert "GET /containers/json" not in engine.asked
