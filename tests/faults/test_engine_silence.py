"""The container engine does not answer, answers nonsense, breaks off, and tells its events as it likes."""

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pupload.client import Client
from tests.faults import engine_proxy
from tests.faults.engine_proxy import Proxy
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with tempfile.TemporaryDirectory(prefix="pupload-proxy-") as folder, engine_proxy.opened(Path(folder)) as found:
        yield found


async def until_logged(server: Server, words: str) -> None:
    async with asyncio.timeout(60):
        while words not in server.stderr():  # noqa: ASYNC110 - a file tells nobody that it grew
            await asyncio.sleep(0.05)


async def health(server: Server) -> tuple[int, dict[str, Json]]:
    """The status, and each line by name."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/healthz") as answer:
        told = await answer.json()
    return answer.status, {line["name"]: line for line in told["lines"]}


async def ended_at_the_first_attempt(client: Client, *runs: Json) -> None:
    for run in runs:
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        kinds = [event.kind async for event in client.events(run["ID"])]
        assert kinds.count("node.started") == len(run["NodeState"])
        assert "attempt.failed" not in kinds


SIGNS: dict[engine_proxy.Mood, str] = {
    "hangs": "no answer within 30 s",
    "fails": "answered 500: something is wrong in here",
    "hangs up": "cannot be reached",
}
"""What the server's log says when a call has come to its end."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mood", SIGNS)
async def test_f16_an_engine_that_is_not_itself_costs_no_attempt(
    proxy: Proxy, own_server: Callable[..., Server], mood: engine_proxy.Mood
) -> None:
    """F16, F49: what runs goes on, what is new waits, health says what is amiss; afterwards all of it ends well."""
    server = own_server(PUPLOAD_DOCKER_HOST=proxy.host)
    counting = flows.HOLD + "for n in $(seq 1 500); do echo line $n; done"
    async with server.client() as client:
        running = await client.start(flows.one(counting))
        await flows.until_line(client, running, "held")
        proxy.now(mood)
        status, lines = await health(server)
        assert status == 503
        assert not lines["engine"]["ok"], lines
        await flows.let_go(server, running)  # it ends while nobody can be told
        new = await client.start(flows.one("true"))
        assert new["Status"] in ("RUNNING", "WAITING")
        await until_logged(server, SIGNS[mood])
        assert (await client.status(running["ID"]))["Status"] == "RUNNING"
        proxy.now("works")
        await ended_at_the_first_attempt(client, running, new)
        assert await flows.said(client, running) == ["held", *(f"line {n}" for n in range(1, 501))]
        status, lines = await health(server)
        assert status == 200, lines


# ── Events ───────────────────────────────────────────────────────────────────────────────────────────────────────


def lost(event: bytes) -> Iterable[bytes]:
    """None is told."""
    return ()


def twice(event: bytes) -> Iterable[bytes]:
    """Each is told, and told again."""
    return event, event


def reordered() -> engine_proxy.Spoil:
    """Each is told after the one that follows it; the last one not at all."""
    held: list[bytes] = []

    def spoil(event: bytes) -> Iterable[bytes]:
        before = list(held)
        held[:] = [] if before else [event]
        return [event, *before] if before else []

    return spoil


@pytest.mark.timeout(180)
@pytest.mark.parametrize("spoil", [twice, reordered(), lost], ids=["twice", "reordered", "lost"])
async def test_f07_events_only_say_look_again(
    proxy: Proxy, own_server: Callable[..., Server], spoil: engine_proxy.Spoil
) -> None:
    """F07: what became of a container is read by inspection: good ends, bad ones and those by hand."""
    proxy.events = spoil
    server = own_server(PUPLOAD_DOCKER_HOST=proxy.host)
    nodes = [flows.a_node(f"n{n}", "step") for n in range(4)]
    order = flows.an_order(nodes, [flows.a_script("step", "echo done")])
    async with server.client() as client:
        run = await client.start(order)
        bad = await client.start(flows.one("exit 3"))
        await ended_at_the_first_attempt(client, run)
        assert "exit code 3" in (await client.wait(bad["ID"]))["Error"]
