"""The container engine goes down, in every way it can, with containers running; and people lay hands on containers."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from pupload.client import Client
from tests.faults.engines import OwnEngine
from tests.system import flows
from tests.system import server as servers
from tests.system.server import Server

Json = dict[str, Any]

POLITE = "trap 'exit 5' TERM; " + flows.HOLD + 'echo "$PUPLOAD_ATTEMPT" > "$OUTPUT_OUT"'
"""Says that it is held, and ends well when it is let go; when it is told to end it does so with a code of its own."""


def held(script: str = POLITE, **more: Any) -> Json:
    """One node with one attempt, held."""
    nodes = [flows.a_node("step", outputs={"out": "made"})]
    return flows.an_order(nodes, [flows.a_script("step", script, **more)])


async def failures(client: Client, run: Json) -> list[str]:
    """The classes of the run's failed attempts, in order."""
    events = [event async for event in client.events(run["ID"])]
    return [event.data["Data"]["Failure"] for event in events if event.kind == "attempt.failed"]


async def until_logged(server: Server, words: str) -> None:
    async with asyncio.timeout(60):
        while words not in server.stderr():  # noqa: ASYNC110 - a file tells nobody that it grew
            await asyncio.sleep(0.05)


async def restart(engine: OwnEngine, how: str) -> None:
    await asyncio.to_thread(getattr(engine, how))
    await asyncio.to_thread(engine.start)


async def ended_by_the_engine(client: Client, server: Server, run: Json) -> None:
    """The first attempt was ended by the engine and is not charged: there is a second, which is let go."""
    await flows.until_line(client, run, "held", attempt=2)
    await flows.let_go(server, run, attempt=2)
    done = await client.wait(run["ID"])
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await flows.get(done, "made") == b"2\n"
    assert await failures(client, run) == ["runtime"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", ["stop", "kill", "crash"])
async def test_f15_what_a_restart_of_the_engine_ended_is_tried_again_at_nobodys_cost(
    own_engine: OwnEngine, own_server: Callable[..., Server], how: str
) -> None:
    """F15: without live-restore the engine ends its containers; the node has one attempt, and it is not used up."""
    server = own_server()
    async with server.client() as client:
        run = await client.start(held())
        await flows.until_line(client, run, "held")
        await restart(own_engine, how)
        await ended_by_the_engine(client, server, run)


@pytest.mark.timeout(180)
async def test_f15_a_restart_that_nobody_saw_is_told_by_the_engines_times(
    own_engine: OwnEngine, own_server: Callable[..., Server]
) -> None:
    """F15: the server is down as well, and the engine forgets its events."""
    server = own_server()
    async with server.client() as client:
        run = await client.start(held())
        await flows.until_line(client, run, "held")
        server.kill()
        await restart(own_engine, "stop")
        server.start()
        await ended_by_the_engine(client, server, run)


@pytest.mark.timeout(180)
async def test_f15_a_time_limit_that_passed_while_the_engine_was_away_is_not_the_nodes(
    own_engine: OwnEngine, own_server: Callable[..., Server]
) -> None:
    """F15: the run orders its node to be stopped for its time limit; the node had been ended long before."""
    server = own_server()
    async with server.client() as client:
        run = await client.start(held(Timeout="4s"))
        await flows.until_line(client, run, "held")
        await asyncio.to_thread(own_engine.crash)
        await until_logged(server, "cannot be reached")
        await asyncio.sleep(4)  # the limit itself: nothing tells that it has passed while the engine is away
        await asyncio.to_thread(own_engine.start)
        await ended_by_the_engine(client, server, run)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("own_engine", [("--live-restore",)], indirect=True)
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_f15_with_live_restore_containers_live_on_and_are_taken_up_again(
    own_engine: OwnEngine, own_server: Callable[..., Server], how: str
) -> None:
    """F15: one goes on, one ends well and one badly while the engine is away; none runs twice."""
    server = own_server()
    nodes = [flows.a_node(name, "step", outputs={"out": f"made-{name}"}) for name in ("lives", "ends")]
    nodes.append(flows.a_node("fails"))
    failing = flows.a_script("fails", flows.HOLD + "exit 3")
    async with server.client() as client:
        run = await client.start(flows.an_order(nodes, [flows.a_script("step", POLITE), failing]))
        for node in run["NodeState"]:
            await flows.until_line(client, run, "held", node=node)
        await asyncio.to_thread(getattr(own_engine, how))
        await flows.let_go(server, run, "ends")
        await flows.let_go(server, run, "fails")
        await asyncio.to_thread(own_engine.start)
        await flows.let_go(server, run, "lives")
        done = await client.wait(run["ID"])
        assert {name: state["Status"] for name, state in done["NodeState"].items()} == {
            "lives": "COMPLETE",
            "ends": "COMPLETE",
            "fails": "ERROR",
        }
        assert {state["Attempt"] for state in done["NodeState"].values()} == {1}
        assert "exit code 3" in done["NodeState"]["fails"]["Error"]
        assert await failures(client, run) == ["exit"]


# ── By hand ──────────────────────────────────────────────────────────────────────────────────────────────────────


def by_hand(server: Server, run: Json, what: Callable[[Any, str], object]) -> None:
    """Somebody does this to the container of the run's only attempt."""
    (container,) = server.containers(run=run["ID"])
    with closing(servers.engine()) as engine:
        what(engine, container["Id"])


HANDS: dict[str, Callable[[Any, str], object]] = {
    "removed": lambda engine, container: engine.remove_container(container, force=True),
    "killed": lambda engine, container: engine.kill(container),
    "stopped": lambda engine, container: engine.stop(container),
}


@pytest.mark.parametrize("hand", HANDS)
async def test_f17_a_container_ended_by_hand_is_tried_again_at_nobodys_cost(
    server: Server, client: Client, hand: str
) -> None:
    """F17: the engine's events tell that somebody asked for it; the node has one attempt, and it is not used up."""
    run = await client.start(held())
    await flows.until_line(client, run, "held")
    await asyncio.to_thread(by_hand, server, run, HANDS[hand])
    await ended_by_the_engine(client, server, run)


async def test_f17_a_good_end_after_a_stop_by_hand_is_not_trusted(server: Server, client: Client) -> None:
    """F17: what it wrote may be cut off."""
    run = await client.start(held(POLITE.replace("exit 5", 'echo half > "$OUTPUT_OUT"; exit 0')))
    await flows.until_line(client, run, "held")
    await asyncio.to_thread(by_hand, server, run, HANDS["stopped"])
    await ended_by_the_engine(client, server, run)


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
async def test_f17_a_node_that_kills_itself_is_charged(client: Client, signal: str) -> None:
    """F17: the same exit codes, and nobody asked the engine for it."""
    done = await flows.finish(client, flows.one(f"sh -c 'kill -{signal} $$$$'; exit $?"))
    assert done["Status"] == "ERROR"
    assert f"(SIG{signal})" in done["NodeState"]["step"]["Error"]
    assert await failures(client, done) == ["exit"]


async def test_f17_a_signal_that_the_node_handles_is_its_own_affair(server: Server, client: Client) -> None:
    """F17: not every signal wants an end."""
    # A trap cuts a `read` short: it is begun anew.
    patient = POLITE.replace("read -r word < /pupload/out/gate", "until read -r word < /pupload/out/gate; do :; done")
    run = await client.start(held("trap 'echo poked' USR1; " + patient))
    await flows.until_line(client, run, "held")
    await asyncio.to_thread(by_hand, server, run, lambda engine, container: engine.kill(container, "USR1"))
    await flows.until_line(client, run, "poked")
    await flows.let_go(server, run)
    done = await client.wait(run["ID"])
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await failures(client, run) == []


async def test_f17_the_time_limit_holds_for_what_is_paused(server: Server, client: Client) -> None:
    """F17: it is thawed to be killed, and charged with its time-out."""
    run = await client.start(held(Timeout="3s"))
    await flows.until_line(client, run, "held")
    await asyncio.to_thread(by_hand, server, run, lambda engine, container: engine.pause(container))
    done = await client.wait(run["ID"])
    assert done["Status"] == "ERROR"
    assert "timed out" in done["Error"]
    assert await failures(client, run) == ["timeout"]


async def test_f17_what_is_run_in_it_by_hand_changes_nothing(server: Server, client: Client) -> None:
    """F17: `docker exec` with an exit code and a process left behind."""
    run = await client.start(held())
    await flows.until_line(client, run, "held")

    def enter(engine: Any, container: str) -> None:
        command = engine.exec_create(container, ["sh", "-c", "sleep 1000 & exit 9"])
        engine.exec_start(command["Id"], detach=True)

    await asyncio.to_thread(by_hand, server, run, enter)
    await flows.let_go(server, run)
    done = await client.wait(run["ID"])
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await failures(client, run) == []  # and the shared server's end looks for what is left
