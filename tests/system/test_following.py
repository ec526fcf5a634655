"""Runs on behalf of others, approvals and questions on the real server, which is killed at every step."""

import asyncio
from collections.abc import Callable
from typing import Any

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]


def inner(line: str = 'tr a-z A-Z < "$INPUT_IN" > "$OUTPUT_OUT"') -> Json:
    """A flow that makes loud what it is given, once it is let go."""
    node = flows.a_node("loud", "loud", inputs={"in": "said"}, outputs={"out": "result"})
    return flows.an_order([node], [flows.a_script("loud", flows.HOLD + line)])


def outer(*, on_error: str = "") -> Json:
    """A flow that has what it is given made loud by the other, and asks whether to go on."""
    last = flows.a_node("last", "copy", inputs={"in": "loud", "yes": "go"}, outputs={"out": "result"})
    order = flows.an_order([last], [flows.a_script("copy", 'cat "$INPUT_IN" > "$OUTPUT_OUT"')])
    wells = [
        {"Edge": "loud", "Source": "run", "Flow": "text/loud", "Input": "text"},
        {"Edge": "go", "Source": "approval"},
    ]
    return {**order, "Flow": {**order["Flow"], "Name": "outer", "DataWells": wells, "OnError": on_error}}


async def until(client: Client, run: Json, field: str) -> list[Json]:
    """What the run's status says there, once it says anything."""
    for _ in range(600):
        if told := (await client.status(run["ID"])).get(field, []):
            return list(told)
        await asyncio.sleep(0.05)
    raise AssertionError(f"the run never had {field}: {await client.status(run['ID'])}")


async def child_of(client: Client, run: Json) -> Json:
    for _ in range(600):
        told = (await client.status(run["ID"])).get("AwaitedRuns", [])
        if told and "ID" in told[0]:
            return await client.status(told[0]["ID"])
        await asyncio.sleep(0.05)
    raise AssertionError(f"no other run was started: {await client.status(run['ID'])}")


async def again(server: Server) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def test_a_run_goes_on_with_what_another_made_and_somebody_said(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        await client.ask("PUT", "/api/v1/flow/saved/text%2Floud", inner())
        run = await client.start(outer())
        assert await flows.put(run, "text", b"hello") == 200
        child = await child_of(client, run)
        await again(server)
        await flows.until_line(client, child, "held", node="loud")
        await flows.let_go(server, child, "loud")
        await again(server)
        (asked,) = await until(client, run, "AwaitedApprovals")
        assert (asked["Edge"], asked["Nodes"]) == ("go", ["last"])
        await again(server)
        await client.approve(run["ID"], "go", approve=True, comment="loud enough")
        await again(server)
        ended = await client.wait(run["ID"])
        assert ended["Status"] == "COMPLETE", ended
        assert await flows.get(ended, "result") == b"HELLO"
        listed = await client.list(saved="text/loud")
        assert [each["ID"] for each in listed["Runs"]] == [child["ID"]], "it ran once"


async def test_a_failure_is_handed_up_and_told(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        await client.ask("PUT", "/api/v1/flow/saved/text%2Floud", inner("exit 3"))
        tells = flows.a_node("tell", "tell", inputs={"in": "failure"}, outputs={"out": "result"})
        told = flows.an_order([tells], [flows.a_script("tell", 'cat "$INPUT_IN" > "$OUTPUT_OUT"')])
        await client.ask("PUT", "/api/v1/flow/saved/text%2Ftell", told)
        run = await client.start(outer(on_error="text/tell"))
        assert await flows.put(run, "text", b"hello") == 200
        child = await child_of(client, run)
        await flows.until_line(client, child, "held", node="loud")
        await flows.let_go(server, child, "loud")
        ended = await client.wait(run["ID"])
        assert ended["Status"] == "ERROR"
        assert ended["Error"].startswith(f"run {child['ID']} of flow text/loud failed: node loud: ")
        for _ in range(600):
            if listed := (await client.list(saved="text/tell"))["Runs"]:
                break
            await asyncio.sleep(0.05)
        handler = await client.wait(listed[0]["ID"])
        assert handler["Labels"] == {"failed": run["ID"]}
        assert ended["Error"].encode() in await flows.get(handler, "result")


async def test_a_flow_is_asked_and_remembers_it(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        node = flows.a_node("loud", "loud", inputs={"in": "said"}, outputs={"out": "result"})
        line = 'tr a-z A-Z < "$INPUT_IN" > "$OUTPUT_OUT"'
        flow = flows.an_order([node], [flows.a_script("loud", line)])
        await client.ask("PUT", "/api/v1/flow/saved/text%2Floud", flow)
        answer = await client.question("text/loud", "hello", keep=True, wait_seconds=60)
        assert answer["Result"] == {"Kind": "text", "Edge": "result", "Value": "HELLO"}
        await again(server)
        for _ in range(600):
            said = (await client.ask("GET", "/api/v1/flow/saved/text%2Floud/thread"))["Messages"]
            if len(said) == 2:
                break
            await asyncio.sleep(0.05)
        assert [(each["Role"], each["Text"]) for each in said] == [("user", "hello"), ("assistant", "HELLO")]
