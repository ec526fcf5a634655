"""Saved flows on the real server: what was saved is there after it was killed, and runs in real containers."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pupload import errors
from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

SAVED = "/api/v1/flow/saved/text%2Fsay"


def says(greeting: str) -> dict[str, Any]:
    """A flow that says it to whom it is told."""
    node = flows.a_node("say", outputs={"out": "said"}, flags={"who": "${param.who}"})
    line = f'echo "{greeting} $FLAG_WHO" > "$OUTPUT_OUT"'
    order = flows.an_order([node], [flows.a_script("say", line, Flags=[{"Name": "who"}])])
    params = [{"Name": "who", "Required": True}]
    return {"Flow": {**order["Flow"], "Params": params}, "NodeDefs": order["NodeDefs"]}


async def said(client: Client, run: dict[str, Any]) -> str:
    """What the run came to."""
    ended = await client.wait(run["ID"])
    assert ended["Status"] == "COMPLETE", ended
    return (await flows.get(ended, "said")).decode()


async def test_versions_outlive_the_server_and_run_as_they_were(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        first = await client.ask("PUT", SAVED, says("hello"))
        await client.ask("PUT", SAVED, says("goodbye"))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        versions = (await client.ask("GET", f"{SAVED}/versions"))["Versions"]
        assert [each["Number"] for each in versions] == [2, 1]
        with pytest.raises(errors.Invalid):
            await client.ask("POST", f"{SAVED}/run")
        latest = await client.ask("POST", f"{SAVED}/run", {"Params": {"who": "you"}})
        earlier = await client.ask("POST", f"{SAVED}/run", {"Params": {"who": "you"}, "Version": 1})
        assert await said(client, latest) == "goodbye you\n"
        assert await said(client, earlier) == "hello you\n"
        runs = await client.list(saved="text/say")
        assert [each["ID"] for each in runs["Runs"]] == [earlier["ID"], latest["ID"]]
        assert {each["FlowID"] for each in runs["Runs"]} == {first["ID"]}
