"""An accepted run is never lost: the server is killed, stopped and doubled while containers run."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

COUNTING = flows.HOLD + "for n in $(seq 1 200); do echo line $n; done; echo $n-$word > $OUTPUT_OUT"

MANY = 6


def held(count: int = MANY) -> Json:
    """Nodes without inputs, each held until it is let go."""
    nodes = [flows.a_node(f"n{n}", "counting", outputs={"out": f"e{n}"}) for n in range(count)]
    return flows.an_order(nodes, [flows.a_script("counting", COUNTING)])


async def all_held(client: Client, run: Json) -> None:
    await asyncio.gather(*(flows.until_line(client, run, "held", node=node) for node in run["NodeState"]))


def ids(server: Server, run: Json) -> dict[str, str]:
    """The engine's ids of the run's containers, by node, and when each was started."""
    return {
        each["Config"]["Labels"]["pupload.node"]: each["Id"] + each["State"]["StartedAt"]
        for each in server.containers(run=run["ID"])
    }


async def ended_once_each(client: Client, run: Json) -> None:
    """Complete; every node started once, every line of every log there once and in order."""
    done = await client.wait(run["ID"])
    assert done["Status"] == "COMPLETE", done["Error"]
    assert {state["Attempt"] for state in done["NodeState"].values()} == {1}
    kinds = [(event.kind, event.data["Data"].get("Node")) async for event in client.events(run["ID"])]
    for node in run["NodeState"]:
        assert kinds.count(("node.started", node)) == 1
        assert kinds.count(("node.succeeded", node)) == 1
        lines = await flows.said(client, run, node=node)
        assert lines == ["held", *(f"line {n}" for n in range(1, 201))]
    contents = await asyncio.gather(*(flows.get(done, edge) for edge in done["Artifacts"]))
    assert contents == [b"200-go\n"] * len(run["NodeState"])


async def test_containers_outlive_a_killed_server_and_none_runs_twice(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        run = await client.start(held())
        waiting = await client.start(flows.copying())
        await all_held(client, run)
        before = ids(server, run)
        assert len(before) == MANY

        server.kill()
        await flows.let_go(server, run, "n0")  # ends while nobody looks
        server.start()

        assert (await client.status(run["ID"]))["Status"] == "RUNNING"
        assert ids(server, run).items() <= before.items()
        for node in list(run["NodeState"])[1:]:
            await flows.let_go(server, run, node)
        await ended_once_each(client, run)
        assert await flows.put(waiting, "there", b"as ever") == 200  # its URL stayed good
        assert (await client.wait(waiting["ID"]))["Status"] == "COMPLETE"


async def test_a_stopped_server_leaves_its_containers_to_the_next_one(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        run = await client.start(held(2))
        await all_held(client, run)
        before = ids(server, run)
        assert server.stop() == 0
        assert server.pids() == []
        assert ids(server, run) == before
        assert all(each["State"]["Running"] for each in server.containers())
        server.start()
        for node in run["NodeState"]:
            await flows.let_go(server, run, node)
        await ended_once_each(client, run)


async def test_killing_it_again_and_again_changes_no_result(own_server: Callable[..., Server]) -> None:
    """A chain whose every step is interrupted somewhere else."""
    server = own_server()
    names = ["a", "b", "c", "d"]
    nodes = [
        flows.a_node(name, "append", inputs={"in": f"e{n}"}, outputs={"out": f"e{n + 1}"})
        for n, name in enumerate(names)
    ]
    script = 'cat "$INPUT_IN" > "$OUTPUT_OUT"; echo "$PUPLOAD_NODE_ID $PUPLOAD_ATTEMPT" >> "$OUTPUT_OUT"'
    async with server.client() as client:
        run = await client.start(flows.an_order(nodes, [flows.a_script("append", script)]))
        assert await flows.put(run, "e0", b"begin\n") == 200
        for kind, node in (
            ("upload.sealed", None),
            ("node.started", "a"),
            ("node.succeeded", "b"),
            ("node.ready", "d"),
        ):
            await flows.until_event(client, run, kind, lambda facts, node=node: facts.get("Node") == node)  # type: ignore[misc]
            server.kill()
            server.start()
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        assert await flows.get(done, "e4") == b"begin\na 1\nb 1\nc 1\nd 1\n"
        journal = [event async for event in client.events(run["ID"])]
        assert [event.cursor for event in journal] == list(range(1, len(journal) + 1))
        assert sum(event.kind == "node.succeeded" for event in journal) == len(names)


async def test_a_stream_goes_on_after_a_restart_where_it_was(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        run = await client.start(held(1))

        async def listen() -> list[int]:
            stream = client.follow_logs(run["ID"])
            return [event.cursor or 0 async for event in stream if event.data["stream"] == "stdout"]

        listening = asyncio.create_task(listen())
        await all_held(client, run)
        server.stop()
        server.start()
        await flows.let_go(server, run, "n0")
        await client.wait(run["ID"])
        seen = await listening
        assert seen == sorted(set(seen))
        assert len(seen) == 201


async def test_the_store_is_started_again_when_it_dies_and_runs_go_on(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        run = await client.start(flows.copying(flows.HOLD + flows.COPY))
        assert await flows.put(run, "there", b"before") == 200
        await flows.until_line(client, run, "held")
        (pid,) = server.store_pids()
        os.kill(pid, signal.SIGKILL)
        await flows.let_go(server, run)
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        assert await flows.get(done, "here") == b"before"
        assert server.store_pids() != [pid]
        again = await flows.finish(client, flows.copying(), there=b"after")
        assert again["Status"] == "COMPLETE"


async def test_a_second_server_on_the_same_data_is_refused_in_words(own_server: Callable[..., Server]) -> None:
    server = own_server()
    second = Server(server.folder)
    process = second.launch()
    assert second.ready_line(process) == ""
    assert process.wait(30) != 0
    assert process.stdout is not None
    process.stdout.close()
    (line,) = [line for line in server.stderr().splitlines() if "pupload.db" in line or f"{server.data}" in line]
    assert "use" in line
    async with server.client() as client:
        assert (await flows.finish(client, flows.one("true")))["Status"] == "COMPLETE"
