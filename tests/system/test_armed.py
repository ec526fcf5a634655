"""Containers armed ahead of an upload, on the real engine: users see nothing of it, and nothing is left."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

PATIENCE_SECONDS = 60.0
ARMED = {"armed": "1"}


def a_chain(length: int = 5, script: str = f"echo at work; {flows.COPY}") -> Json:
    nodes = [flows.a_node(f"n{n}", "copy", inputs={"in": f"e{n}"}, outputs={"out": f"e{n + 1}"}) for n in range(length)]
    return flows.an_order(nodes, [flows.a_script("copy", script)])


async def until(condition: Callable[[], Any], what: str) -> None:
    """The engine's containers tell no events to others than their server, so they are looked at again and again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


async def waiting(server: Server) -> int:
    """How many containers wait, by the server's own numbers."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    (number,) = [line.split()[1] for line in lines if line.startswith("pupload_armed_containers ")]
    return int(float(number))


async def armed(server: Server, count: int) -> None:
    """So many wait."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := await waiting(server)) != count:
        assert time.monotonic() < deadline, f"{found} wait, not {count}"
        await asyncio.sleep(0.05)


async def story(client: Client, run: Json) -> Any:
    """All that a user reads of the run, but for times and what is made up anew for every run."""
    events = [(event.kind, event.data["Data"].get("Node")) async for event in client.events(run["ID"])]
    logs = [(each["node"], each["stream"], each["message"]) for each in (await client.logs(run["ID"]))["Logs"]]
    status = await client.status(run["ID"])
    nodes = {name: (state["Status"], state["Attempt"], state["Error"]) for name, state in status["NodeState"].items()}
    return events, logs, nodes, status["Status"], sorted(status["Artifacts"])


async def armed_chain(server: Server, *, waits: bool) -> Any:
    """The story of a chain behind an upload, and whether it was armed."""
    async with server.client() as client:
        run = await client.start(a_chain())
        if waits:
            await armed(server, 5)
            there = await asyncio.to_thread(server.containers, **ARMED)
            assert sorted(each["Config"]["Labels"]["pupload.node"] for each in there) == [f"n{n}" for n in range(5)]
            assert all(each["State"]["Running"] for each in there)
            status = await client.status(run["ID"])
            assert {state["Status"] for state in status["NodeState"].values()} == {"IDLE"}
        assert await flows.put(run, "e0", b"bytes") == 200
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        assert await flows.get(done, "e5") == b"bytes"
        await until(lambda: not server.containers(), "containers are left of a run that is over")
        assert await waiting(server) == 0
        return await story(client, run)


async def test_a_chain_behind_an_upload_is_armed_and_its_user_sees_no_difference(
    own_server: Callable[..., Server],
) -> None:
    armed_ahead = await armed_chain(own_server(PUPLOAD_ARMED_NODES="16"), waits=True)
    plain = await armed_chain(own_server(PUPLOAD_ARMED_NODES="0"), waits=False)
    assert armed_ahead == plain


async def test_a_run_that_is_cancelled_leaves_nothing_armed(own_server: Callable[..., Server]) -> None:
    server = own_server(PUPLOAD_ARMED_NODES="8")
    async with server.client() as client:
        run = await client.start(a_chain(4))
        await armed(server, 4)
        await client.cancel(run["ID"])
        assert (await client.wait(run["ID"]))["Status"] == "STOPPED"
        await until(lambda: not server.containers(), "containers are left of a run that was cancelled")
        await until(lambda: not list((server.data / "attempts").iterdir()), "directories of attempts are left")


async def test_what_waits_too_long_is_removed_and_the_node_starts_all_the_same(
    own_server: Callable[..., Server],
) -> None:
    server = own_server(PUPLOAD_ARMED_NODES="8", PUPLOAD_ARMED_SECONDS="2")
    async with server.client() as client:
        run = await client.start(a_chain(2))
        await until(lambda: len(server.containers(**ARMED)) == 2, "nothing was armed")
        await until(lambda: not server.containers(), "what waited too long is still there")
        assert await flows.put(run, "e0", b"bytes") == 200
        assert (await client.wait(run["ID"]))["Status"] == "COMPLETE"


async def test_a_server_that_is_stopped_removes_what_waits_and_goes_on_with_the_run(
    own_server: Callable[..., Server],
) -> None:
    server = own_server(PUPLOAD_ARMED_NODES="8")
    async with server.client() as client:
        run = await client.start(a_chain(3))
        await armed(server, 3)
        assert await asyncio.to_thread(server.stop) == 0
        assert not server.left()
        await asyncio.to_thread(server.start)
        await armed(server, 3)
        assert await flows.put(run, "e0", b"bytes") == 200
        done = await client.wait(run["ID"])
        assert (done["Status"], {state["Attempt"] for state in done["NodeState"].values()}) == ("COMPLETE", {1})


async def test_what_a_killed_server_had_armed_never_runs_and_is_gone_after_its_next_start(
    own_server: Callable[..., Server],
) -> None:
    server = own_server(PUPLOAD_ARMED_NODES="8")
    async with server.client() as client:
        run = await client.start(a_chain(3))
        await armed(server, 3)
        before = {each["Id"] for each in await asyncio.to_thread(server.containers)}
        await asyncio.to_thread(server.kill)
        await until(
            lambda: not any(each["State"]["Running"] for each in server.containers()),
            "what nobody will ever let go still waits",
        )
        await asyncio.to_thread(server.start)
        await until(lambda: not before & {each["Id"] for each in server.containers()}, "containers of before are left")
        assert await flows.put(run, "e0", b"bytes") == 200
        done = await client.wait(run["ID"])
        assert (done["Status"], {state["Attempt"] for state in done["NodeState"].values()}) == ("COMPLETE", {1})
        assert await flows.said(client, run) == ["at work"] * 3
