"""
Requests as a user writes them, on an image with a shell; and what tests wait for.

    order = an_order([a_node("copy", inputs={"in": "there"}, outputs={"out": "here"})], [a_script("copy", COPY)])

Shell lines say `$INPUT_IN`: only `${...}` is put in by the server.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from pupload.client import Client, Event
from tests import images
from tests.system.server import Server

Json = dict[str, Any]

COPY = 'cat "$INPUT_IN" > "$OUTPUT_OUT"'

HOLD = "mkfifo /pupload/out/gate; echo held; read -r word < /pupload/out/gate; rm /pupload/out/gate; "
"""What a script begins with that is to go on when `let_go` says so."""


def a_script(name: str, script: str, **more: Any) -> Json:
    """A definition `test/<name>` that runs a shell line, once, in the smallest tier."""
    return {
        "Publisher": "test",
        "Name": name,
        "Image": images.busybox(),
        "Tier": "c-nano",
        "MaxAttempts": 1,
        "Command": {"Exec": ["sh", "-c", script]},
        **more,
    }


def a_node(
    id: str,  # noqa: A002 (the field's name)
    uses: str = "",
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    **more: Any,
) -> Json:
    """A node of the definition `test/<uses>`, by default that of its own name; edges by port."""
    return {
        "ID": id,
        "Uses": f"test/{uses or id}",
        "Inputs": [{"Name": name, "Edge": edge} for name, edge in (inputs or {}).items()],
        "Outputs": [{"Name": name, "Edge": edge} for name, edge in (outputs or {}).items()],
        "Flags": [{"Name": name, "Value": value} for name, value in (flags or {}).items()],
        **more,
    }


def an_order(nodes: Sequence[Json], definitions: Sequence[Json], *, name: str = "flow", **flow: Any) -> Json:
    """The body of POST /flow/test."""
    return {"Flow": {"Name": name, "Nodes": list(nodes), **flow}, "NodeDefs": list(definitions)}


def one(script: str, **more: Any) -> Json:
    """An order of one node, `step`, without files."""
    return an_order([a_node("step")], [a_script("step", script, **more)])


def copying(script: str = COPY, **more: Any) -> Json:
    """An order of one node that makes `here` of the upload `there`."""
    return an_order(
        [a_node("step", inputs={"in": "there"}, outputs={"out": "here"})], [a_script("step", script, **more)]
    )


# ── Doing ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def put(run: Json, edge: str, content: bytes) -> int:
    """PUTs the bytes where the run waits for them. Returns the status."""
    (url,) = [each["PutURL"] for each in run["WaitingURLs"] if each["Artifact"]["EdgeName"] == edge]
    async with aiohttp.ClientSession() as session, session.put(url, data=content) as response:
        return response.status


async def get(run: Json, edge: str) -> bytes:
    """The bytes of an artifact."""
    async with aiohttp.ClientSession() as session, session.get(run["Artifacts"][edge]["GetURL"]) as response:
        assert response.status == 200
        return await response.read()


async def finish(client: Client, order: Json, **uploads: bytes) -> Json:
    """The order's run when it has ended; `uploads` are put where it waits for them."""
    run = await client.start(order)
    for edge, content in uploads.items():
        assert await put(run, edge, content) == 200
    return await client.wait(run["ID"])


async def let_go(server: Server, run: Json, node: str = "step", attempt: int = 1) -> None:
    """The container of the attempt, which said that it is held, goes on."""
    gate = server.data / "attempts" / f"{run['ID']}.{node}.{attempt}" / "out" / "gate"
    await asyncio.to_thread(_say, gate)


def _say(gate: Path) -> None:
    # Opening waits for the reader, who said that it is about to open.
    with os.fdopen(os.open(gate, os.O_WRONLY), "wb") as pipe:
        pipe.write(b"go\n")


# ── Waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def until_event(client: Client, run: Json, kind: str, wanted: Callable[[Json], bool] = lambda _: True) -> Event:
    """The first event of that kind, and with such facts, in the run's journal."""
    async for event in client.events(run["ID"]):
        if event.kind == kind and wanted(event.data["Data"]):
            return event
    raise AssertionError(f"the run ended without {kind}: {await client.status(run['ID'])}")


async def until_line(client: Client, run: Json, message: str, *, node: str = "", attempt: int = 0) -> Event:
    """The first log line that says this."""
    async for event in client.follow_logs(run["ID"], node=node, attempt=attempt):
        if event.data["message"] == message:
            return event
    raise AssertionError(f"the run ended without saying {message}: {await client.status(run['ID'])}")


async def said(client: Client, run: Json, *, node: str = "", stream: str = "stdout") -> list[str]:
    """The lines that the run's nodes wrote."""
    return [each["message"] for each in (await client.logs(run["ID"], node=node))["Logs"] if each["stream"] == stream]
