"""The same upload twice: the second time costs no container. On the real engine, database and store."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker

from pupload.client import Answer, Client
from tests.system import flows
from tests.system.flows import a_node, a_script, an_order
from tests.system.server import INSTANCE, Server

SCRIPT = 'cat "$INPUT_IN" > "$OUTPUT_OUT"; echo "width $FLAG_WIDTH" >> "$OUTPUT_OUT"'


def an_order_of(width: str) -> flows.Json:
    """Two nodes, one after the other, the first with a flag."""
    first = a_node("first", "widen", inputs={"in": "there"}, outputs={"out": "between"}, flags={"width": width})
    second = a_node("second", "copy", inputs={"in": "between"}, outputs={"out": "here"})
    widen = a_script("widen", SCRIPT, Flags=[{"Name": "width", "Default": "1"}])
    return an_order([first, second], [widen, a_script("copy", flows.COPY)])


async def done(client: Client, order: flows.Json, path: Path) -> Answer:
    """The run of the order with that upload, when it is over."""
    run = await client.start(order)
    await client.upload(run["ID"], "there", path)
    ended = await client.wait(run["ID"])
    assert ended["Status"] == "COMPLETE"
    return ended


async def started(client: Client, run: Answer) -> list[str]:
    """Nodes of which a container ran, by the run's journal."""
    return [each.data["Data"]["Node"] async for each in client.events(run["ID"]) if each.kind == "node.started"]


def pup(server: Server, *arguments: str) -> str:
    """What the command says."""
    said = subprocess.run(
        [sys.executable, "-m", "pupload", *arguments, "--url", server.url], capture_output=True, text=True, check=True
    )
    return said.stdout


@contextmanager
def made_containers(server: Server) -> Iterator[Callable[[], list[str]]]:
    """Gives the ids of all containers that the engine made for the server since then, whatever became of them."""
    with closing(docker.from_env()) as engine:
        since = time.time()

        def made() -> list[str]:
            filters = {"type": "container", "event": "create", "label": f"{INSTANCE}={server.instance}"}
            told: Any = engine.events  # whose stubs know whole seconds only
            return [each["id"] for each in told(since=since, until=time.time(), filters=filters, decode=True)]

        yield made


async def test_the_same_upload_twice_costs_no_container_the_second_time(
    own_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = own_server(PUPLOAD_MEMOIZE="true", PUPLOAD_ARMED_NODES="0")
    given = tmp_path / "given"
    given.write_bytes(b"the same bytes\n")
    with made_containers(server) as made:
        async with server.client() as client:
            first = await done(client, an_order_of("1"), given)
            assert len(made()) == 2
            second = await done(client, an_order_of("1"), given)
            assert len(made()) == 2, "not one more"
            assert await started(client, second) == []

            files = [await client.download(run["Artifacts"]["here"], tmp_path / run["ID"]) for run in (first, second)]
            assert files[0].read_bytes() == files[1].read_bytes() == b"the same bytes\nwidth 1\n"
            assert second["NodeState"]["first"]["ReusedFrom"]["Run"] == first["ID"]

            why = await client.why(second["ID"], "second")
            assert (why["Outcome"], why["From"]["Run"], why["From"]["Node"]) == ("reused", first["ID"], "second")
            assert (await client.why(first["ID"], "first"))["Outcome"] == "first"

            third = await done(client, an_order_of("2"), given)
            why = await client.why(third["ID"], "first")
            assert why["Outcome"] == "different"
            assert why["Differences"] == [{"Component": "flag width", "Now": "2", "Was": "1"}]
            why = await client.why(third["ID"], "second")
            assert [each["Component"] for each in why["Differences"]] == ["input in"]

            told = await asyncio.to_thread(pup, server, "why", third["ID"], "first")
            assert f"nearest came node first of run {first['ID']}, but flag width: 2, was 1" in " ".join(told.split())

            await client.purge(first["ID"])
            fourth = await done(client, an_order_of("1"), given)
            assert len(made()) == 4
            assert fourth["NodeState"]["first"]["ReusedFrom"]["Run"] == first["ID"]
    server.stop()
    server.start()
    async with server.client() as client:
        fifth = await done(client, an_order_of("1"), given)
        assert await started(client, fifth) == [], "a restart forgets nothing"
