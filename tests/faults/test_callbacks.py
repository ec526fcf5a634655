"""Receivers and crashes: whoever wants to know of a run is told, or stands there as one who could not be."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pupload import errors
from pupload.client import Client
from pupload.domain import callbacks, signing
from tests.system import flows as orders
from tests.system.server import Server

Json = dict[str, Any]

DYING = str(Path(__file__).with_name("dying.py"))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATIENCE_SECONDS = 60.0

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """Who is told, on this machine's loopback."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    """What it answers next, the first first; then 200."""
    heard: "asyncio.Queue[tuple[Mapping[str, str], bytes]]" = field(default_factory=asyncio.Queue)
    ids: list[str] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): text for name, text in request.headers.items()}
        self.ids.append(headers.get("webhook-id", ""))
        self.heard.put_nowait((headers, await request.read()))
        return await self.answers.pop(0)(request) if self.answers else web.Response()

    async def next(self) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of the next message."""
        return await asyncio.wait_for(self.heard.get(), PATIENCE_SECONDS)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with _listening() as found:
        yield found


@asynccontextmanager
async def _listening(host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/in", found.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/in"
    try:
        yield found
    finally:
        await runner.cleanup()


def telling(*urls: str) -> Json:
    """An order of one node, which waits for an upload, and whoever is told of its run."""
    order = orders.copying()
    order["Flow"]["Callbacks"] = [{"URL": url, "Secrets": [SECRET]} for url in urls]
    return order


async def stopped(client: Client, *urls: str) -> Json:
    """A run of which these are told; it is over before anything ran."""
    return await client.cancel((await client.start(telling(*urls)))["ID"])


async def until(client: Client, run: Json, wanted: Callable[[Json], bool]) -> Json:
    """The run's one callback when it is as wanted. Nothing tells of that, so it is asked for."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = (await client.callbacks(run["ID"]))["Deliveries"]
            if found and wanted(found[0]):
                one: Json = found[0]
                return one
            await asyncio.sleep(0.05)


def tried(times: int) -> Callable[[Json], bool]:
    return lambda one: len(one["Tries"]) == times


def delivered(one: Json) -> bool:
    return bool(one["State"] == "DELIVERED")


def is_signed(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a receiver would believe it: signed by the secret, within five minutes."""
    judged = signing.objection(
        [signing.key_of(SECRET)],
        message_id=headers["webhook-id"],
        timestamp=headers["webhook-timestamp"],
        signatures=headers["webhook-signature"],
        body=body,
        now=datetime.now(UTC),
    )
    return judged is None


# ── F01, for callbacks ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(300)
async def test_f01_killed_between_a_runs_end_and_its_callback_it_is_told_all_the_same(
    own_server: Callable[..., Server], receiver: Receiver
) -> None:
    """F01: the run's end is saved and nothing else, or its callback is and was not sent, or was and nobody knows."""
    server = own_server()
    server.stop()
    runs = []
    for moment, point in (("after", 2), ("before", 3), ("after", 3), ("after", 4), ("after", 5)):
        server.program = (DYING, moment, str(point))
        await asyncio.to_thread(server.start)
        async with server.client() as client:
            runs.append(await client.start(telling(receiver.url)))
            with suppress(errors.PuploadError, aiohttp.ClientError):
                await client.cancel(runs[-1]["ID"])
            assert await asyncio.to_thread(server.killed_itself), f"no write {point} came"
    server.program = ("-m", "pupload")
    await asyncio.to_thread(server.start)
    async with server.client() as client:
        for run in runs:
            assert (await client.cancel(run["ID"]))["Status"] == "STOPPED"
            found = await until(client, run, delivered)
            assert found["ID"] == callbacks.delivery_id(run["ID"], 0)
            assert found["ID"] in receiver.ids
    assert set(receiver.ids) == {callbacks.delivery_id(run["ID"], 0) for run in runs}


async def test_a_callback_that_waits_for_its_next_try_is_sent_after_a_crash(
    own_server: Callable[..., Server], receiver: Receiver
) -> None:
    receiver.answers = [_status(503)]
    server = own_server()
    async with server.client() as client:
        run = await stopped(client, receiver.url)
        await until(client, run, tried(1))
    server.kill()
    server.start()
    async with server.client() as client:
        found = await until(client, run, delivered)
    assert [one["Status"] for one in found["Tries"]] == [503, 200]
    assert set(receiver.ids) == {found["ID"]}


def _status(number: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=number, headers=headers)

    return answer


# ── F48 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _never(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("nothing sets it")


async def _large(_: web.Request) -> web.StreamResponse:
    return web.Response(status=500, body=bytes(10 << 20))


@pytest.mark.timeout(180)
async def test_f48_a_receiver_that_is_no_good_has_no_effect_on_the_run(client: Client, receiver: Receiver) -> None:
    """F48: 500, nothing within 10 s, 10 MB, a redirect inside, and at last well; each time signed anew."""
    receiver.answers = [
        *(_status(500), _never, _large, _status(307, Location="http://169.254.169.254/latest/"), _status(200))
    ]
    run = await stopped(client, receiver.url)
    heard = []
    for times in range(1, 6):
        heard.append(await receiver.next())
        assert is_signed(*heard[-1])
        found = await until(client, run, tried(times))
        if times < 5:
            assert found["State"] == "PENDING"
            assert found["NextTryAt"]
            await client.send_callback_again(run["ID"], found["ID"])
    assert [one["Status"] for one in found["Tries"]] == [500, None, 500, 307, 200]
    assert "10 s" in found["Tries"][1]["Error"]
    assert "redirects are not followed" in found["Tries"][3]["Error"]
    assert found["State"] == "DELIVERED"
    assert len({headers["webhook-id"] for headers, _ in heard}) == 1
    assert len({body for _, body in heard}) == 1
    assert (await client.status(run["ID"]))["FinishedAt"] == run["FinishedAt"]
    headers, body = heard[0]
    assert not is_signed({**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 301)}, body)


async def test_a_receiver_that_wants_no_more_is_listed_and_told_again_when_somebody_asks(
    client: Client, receiver: Receiver
) -> None:
    receiver.answers = [_status(410)]
    run = await stopped(client, receiver.url)
    found = await until(client, run, lambda one: bool(one["State"] == "FAILED"))
    assert found["NextTryAt"] is None
    await client.send_callback_again(run["ID"], found["ID"])
    assert [one["Status"] for one in (await until(client, run, delivered))["Tries"]] == [410, 200]


async def test_nothing_that_is_shown_tells_the_secret_or_the_query(
    own_server: Callable[..., Server], receiver: Receiver
) -> None:
    receiver.answers = [_status(410)]
    server = own_server(PUPLOAD_LOG_LEVEL="DEBUG")
    async with server.client() as client:
        run = await stopped(client, f"{receiver.url}?key=hush-hush")
        found = await until(client, run, lambda one: bool(one["State"] == "FAILED"))
        status = await client.status(run["ID"])
        told = [event.data async for event in client.events(run["ID"])]
    shown = f"{found} {status} {told} {server.stderr()}"
    assert SECRET.removeprefix("whsec_") not in shown
    assert "hush-hush" not in shown
    assert found["URL"] == f"{receiver.url}?***"


async def test_the_operator_is_told_of_every_run(own_server: Callable[..., Server], receiver: Receiver) -> None:
    server = own_server(PUPLOAD_CALLBACK_URL=receiver.url, PUPLOAD_CALLBACK_SECRETS=f'["{SECRET}"]')
    async with server.client() as client:
        run = await stopped(client)
        assert is_signed(*await receiver.next())
        assert (await until(client, run, delivered))["ID"] == callbacks.delivery_id(run["ID"], None)


# ── F42 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_f42_no_flow_sends_the_server_inside(own_server: Callable[..., Server]) -> None:
    """F42: refused when it is written, and when a name turns out to lead there."""
    server = own_server(PUPLOAD_CALLBACK_PRIVATE_ENDPOINTS="false")
    async with _listening("0.0.0.0") as inside, server.client() as client:
        port = inside.url.rpartition(":")[2].partition("/")[0]
        for host in ("127.0.0.1", "[::1]", "0.0.0.0", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "localhost"):
            with pytest.raises(errors.Invalid) as refused:
                await client.start(telling(f"http://{host}:{port}/in"))
            assert [each.code for each in refused.value.findings] == ["CALL_001"]
        run = await stopped(client, f"http://{socket.gethostname()}:{port}/in")  # a name for this machine
        found = await until(client, run, tried(1))
        assert found["State"] == "PENDING"
        assert found["Tries"][0]["Error"], "a name that leads inside, or where there is none, nowhere"
        assert inside.ids == []
