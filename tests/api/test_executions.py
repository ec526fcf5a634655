"""Executions over the Pipelit surface: what they are told as, and what happens to them, over a WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from pupload.adapters.memory import containers
from pupload.api import access
from pupload.api.pipelit import happening, socket
from tests.api.house import EXAMPLE, IMAGE, House, a_house
from tests.api.test_chat import ACCOUNTS, ask, draw
from tests.bench import ends

EXECUTE = "/api/v1/workflows/loud/execute/"
EXECUTIONS = "/api/v1/executions/"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path, accounts=ACCOUNTS, shouts=True) as found:
        await draw(found, "loud")
        yield found


async def execute(house: House, *, by: str = "ed", text: str = "hello", path: str = EXECUTE) -> str:
    status, told = await ask(house, "POST", path, by=by, json={"text": text})
    assert status == 200, told
    return str(told["execution_id"])


async def detail(house: House, execution: str, *, by: str = "ed", until: str = "completed") -> dict[str, Any]:
    for _ in range(2000):
        status, told = await ask(house, "GET", f"{EXECUTIONS}{execution}/", by=by)
        assert status == 200, told
        if told["status"] == until:
            return dict(told)
        await asyncio.sleep(0.005)
    raise AssertionError(f"it never came to be {until}: {told}")


async def listed(house: House, query: str = "", *, by: str = "ed") -> list[str]:
    status, told = await ask(house, "GET", f"{EXECUTIONS}?{query}", by=by)
    assert status == 200, told
    assert told["total"] == len(told["items"]) or "limit" in query
    return [each["execution_id"] for each in told["items"]]


async def native(house: House, *, by: str = "ed", **definition: Any) -> str:
    """A run of no workflow, that waits for its upload."""
    body = {**EXAMPLE, "NodeDefs": [{**EXAMPLE["NodeDefs"][0], **definition}]}
    status, told = await ask(house, "POST", "/api/v1/flow/test", by=by, json=body)
    assert status == 200, told
    return str(told["ID"])


async def bring(house: House, run: str, *, by: str = "ed") -> None:
    _, told = await ask(house, "GET", f"/api/v1/flow/status/{run}", by=by)
    (waiting,) = told["WaitingURLs"]
    async with house.http.put(waiting["PutURL"], data=b"\x89PNG\r\n\x1a\n") as answer:
        assert answer.status == 200


# ── What executions are told as ──────────────────────────────────────────────────────────────────────────────────


async def test_an_execution_tells_what_came_in_what_came_out_and_what_its_nodes_did(house: House) -> None:
    told = await detail(house, await execute(house))
    assert told["workflow_slug"] == "loud"
    assert told["trigger_payload"] == {"text": "hello"}
    assert told["final_output"] == {"output": "HELLO!"}
    assert (told["error_message"], told["total_tokens"], told["waiting_urls"]) == ("", 0, [])
    assert told["started_at"] <= told["completed_at"]
    (log,) = told["logs"]
    assert (log["id"], log["node_id"], log["status"], log["error"], log["error_code"]) == (
        1,
        "shout",
        "success",
        "",
        None,
    )
    assert list(log["output"].values()) == ["HELLO!"]
    status, short = await ask(house, "GET", f"{EXECUTIONS}{told['execution_id']}/status/")
    assert status == 200
    assert (short["workflow"], short["status"], short["final_output"]) == ("loud", "completed", {"output": "HELLO!"})


async def test_each_attempt_has_a_row(house: House) -> None:
    house.bench.image(IMAGE, ends(code=7))
    run = await native(house, MaxAttempts=3)
    await bring(house, run)
    told = await detail(house, run, until="failed")
    assert told["workflow_slug"] == ""
    assert told["error_message"].startswith("Node resize-1: ")
    assert [(log["id"], log["status"], log["error_code"]) for log in told["logs"]] == [
        (number, "failed", "exit") for number in (1, 2, 3)
    ]
    assert [log["metadata"]["exit_code"] for log in told["logs"]] == [7, 7, 7]
    assert all("exit code 7" in log["error"] for log in told["logs"])
    assert told["final_output"] is None


async def test_what_is_large_is_where_it_is_to_be_had(house: House) -> None:
    def much(order: Any) -> containers.Outcome:
        (order.outputs / "resized").write_bytes(b"words " * 300_000)
        return containers.Outcome()

    house.bench.image(IMAGE, much)
    run = await native(house)
    await bring(house, run)
    told = await detail(house, run)
    (made,) = told["logs"][0]["output"].values()
    assert told["final_output"]["output"] == {**made, "url": told["final_output"]["output"]["url"]}
    assert (made["edge"], made["size_bytes"], made["mime_type"]) == ("output-image", 1_800_000, "text/plain")
    async with house.http.get(made["url"]) as answer:
        assert len(await answer.read()) == 1_800_000


async def test_an_execution_that_waits_before_anything_began_is_pending_and_is_cancelled(house: House) -> None:
    run = await native(house)
    told = await detail(house, run, until="pending")
    assert (told["started_at"], told["logs"]) == (None, [])
    (waiting,) = told["waiting_urls"]
    assert (waiting["edge"], waiting["method"]) == ("input-image", "PUT")
    status, short = await ask(house, "POST", f"{EXECUTIONS}{told['execution_id']}/cancel/")
    assert (status, short["status"]) == (200, "cancelled")
    assert "logs" not in short
    status, again = await ask(house, "POST", f"{EXECUTIONS}{told['execution_id']}/cancel")
    assert (status, again) == (200, short)


async def test_who_is_to_say_yes_interrupts_an_execution(house: House) -> None:
    status, _ = await ask(house, "PATCH", "/api/v1/workflows/loud/nodes/shout/", json={"interrupt_before": True})
    assert status == 200
    execution = await execute(house)
    await detail(house, execution, until="interrupted")
    assert await listed(house, "status=interrupted") == [execution]
    assert await listed(house, "status=running") == []
    status, run = await ask(house, "GET", f"/api/v1/flow/status/{execution}")
    edge = (
        run["AwaitedApprovals"][0]
        if isinstance(run["AwaitedApprovals"][0], str)
        else run["AwaitedApprovals"][0]["Edge"]
    )
    status, told = await ask(house, "POST", f"/api/v1/flow/approve/{run['ID']}/{edge}", json={"Approve": True})
    assert status == 200, told
    await detail(house, execution)


async def test_lists_are_by_workflow_and_by_status_newest_first(house: House) -> None:
    await draw(house, "other")
    waiting = await native(house)
    first = await execute(house)
    await detail(house, first)
    second = await execute(house, path="/api/v1/workflows/other/execute/")
    await detail(house, second)
    every = await listed(house)
    assert every[:2] == [second, first]
    assert len(every) == 3
    assert await listed(house, "workflow_slug=loud") == [first]
    assert await listed(house, "workflow_slug=loud&status=completed") == [first]
    assert await listed(house, "workflow_slug=loud&status=failed") == []
    assert await listed(house, "status=completed") == [second, first]
    assert await listed(house, "status=pending") == every[2:]
    assert await listed(house, "workflow_slug=gone") == []
    assert await listed(house, "status=unheard-of") == []
    assert await listed(house, "limit=1&offset=1") == [first]
    assert waiting.startswith("run_")


async def test_a_workflow_of_several_triggers_has_all_their_executions(house: House) -> None:
    node = {"node_id": "by-hand", "component_type": "trigger_manual"}
    assert (await ask(house, "POST", "/api/v1/workflows/loud/nodes/", json=node))[0] == 201
    edge = {"source_node_id": "by-hand", "target_node_id": "shout"}
    status, told = await ask(house, "POST", "/api/v1/workflows/loud/edges/", json=edge)
    if status != 201:
        pytest.skip(f"a node takes one text: {told}")
    by_chat = await ask(house, "POST", EXECUTE, json={"text": "a", "trigger_node_id": "in"})
    by_hand = await ask(house, "POST", EXECUTE, json={"text": "b", "trigger_node_id": "by-hand"})
    ids = [by_hand[1]["execution_id"], by_chat[1]["execution_id"]]
    for execution in ids:
        await detail(house, execution)
    assert await listed(house, "workflow_slug=loud") == ids
    assert await listed(house, "workflow_slug=loud&limit=1&offset=1") == ids[1:]


async def test_executions_are_removed_with_what_they_made(house: House) -> None:
    first, second = await execute(house), await execute(house, text="again")
    await detail(house, first)
    await detail(house, second)
    waiting = await native(house)
    foreign = await native(house, by="eve")
    gone = {"execution_ids": [first, waiting, foreign, "nothing", first]}
    assert await ask(house, "POST", f"{EXECUTIONS}batch-delete/", json=gone) == (204, "")
    assert await listed(house) == [second]
    assert len(await listed(house, by="eve")) == 1
    status, told = await ask(house, "GET", f"{EXECUTIONS}{first}/")
    assert (status, told) == (404, {"detail": "Execution not found."})
    many = {"execution_ids": ["x"] * 1001}
    assert (await ask(house, "POST", f"{EXECUTIONS}batch-delete/", json=many))[0] == 422


async def test_executions_are_each_accounts_own(house: House) -> None:
    execution = await execute(house)
    await detail(house, execution)
    missing = {"detail": "Execution not found."}
    for by, status in (("eve", 404), ("vic", 404), ("root", 200)):
        for path in ("", "status/"):
            told = await ask(house, "GET", f"{EXECUTIONS}{execution}/{path}", by=by)
            assert told[0] == status
            assert status == 200 or told[1] == missing
        assert (await listed(house, by=by) == [execution]) == (status == 200)
    assert await ask(house, "POST", f"{EXECUTIONS}{execution}/cancel/", by="eve") == (404, missing)


# ── The socket ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Heard:
    """A client, and what it heard."""

    socket: ClientWebSocketResponse
    messages: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))

    async def subscribe(self, *channels: str) -> None:
        for channel in channels:
            await self.say(type="subscribe", channel=channel)
            await self.until("subscribed", channel=channel)

    async def until(self, kind: str, **facts: Any) -> dict[str, Any]:
        """The next message of this kind."""
        while True:
            message = await self.socket.receive(timeout=10)
            assert message.type is WSMsgType.TEXT, message
            told = json.loads(message.data)
            self.messages.append(told)
            if told["type"] == kind and facts.items() <= told.items():
                return dict(told)

    def kinds(self, channel: str) -> list[str]:
        told = (one for one in self.messages if one.get("channel") == channel and "data" in one)
        return [f"{one['type']} {one['data'].get('status', '')}".strip() for one in told]


@asynccontextmanager
async def listening(house: House, by: str = "ed", *, path: str = "/ws/") -> AsyncIterator[Heard]:
    async with house.http.ws_connect(f"{house.url}{path}?token={house.tokens[by]}") as found:
        yield Heard(found)


ONE_RUN = [
    "node_enqueued",
    "execution_started",
    "node_status running",
    "node_status success",
    "execution_completed",
]


async def test_an_execution_is_told_on_its_workflow_s_channel_and_its_own(house: House) -> None:
    async with listening(house) as heard:
        await heard.subscribe("workflow:loud")
        execution = await execute(house)
        last = await heard.until("execution_completed")
        assert heard.kinds("workflow:loud") == ONE_RUN
        assert last["data"] == {"execution_id": execution, "output": {"output": "HELLO!"}}
        assert (last["execution_id"], last["channel"]) == (execution, "workflow:loud")
        assert isinstance(last["timestamp"], float)
        done = next(one for one in heard.messages if one.get("data", {}).get("status") == "success")
        assert done["data"]["node_id"] == "shout"
        assert list(done["data"]["output"].values()) == ["HELLO!"]
        assert done["data"]["duration_ms"] >= 0


async def test_an_execution_s_channel_takes_every_spelling_of_its_id(house: House) -> None:
    run = await native(house)
    _, told = await ask(house, "GET", f"{EXECUTIONS}{run}/")
    async with listening(house, path="/ws") as heard:
        mine = [f"execution:{run}"]
        await heard.subscribe(*mine, "workflow:loud")
        await bring(house, run)
        await heard.until("execution_completed", execution_id=told["execution_id"])
        assert heard.kinds(mine[0]) == ONE_RUN
        assert heard.kinds("workflow:loud") == []


async def test_what_fails_and_what_is_cancelled_is_told(house: House) -> None:
    house.bench.image(IMAGE, ends(code=7))
    run, other = await native(house, MaxAttempts=2), await native(house)
    async with listening(house) as heard:
        await heard.subscribe(f"execution:{run}", f"execution:{other}")
        await bring(house, run)
        failed = await heard.until("execution_failed")
        assert failed["data"]["error"].startswith("Node resize-1: ")
        tries = [one["data"] for one in heard.messages if one.get("data", {}).get("status") == "failed"]
        assert [(one["error_code"], "exit code 7" in one["error"]) for one in tries] == [("exit", True)] * 2
        await ask(house, "POST", f"{EXECUTIONS}{other}/cancel/")
        await heard.until("execution_cancelled", channel=f"execution:{other}")


async def test_what_waits_for_somebody_is_told_with_the_node(house: House) -> None:
    await ask(house, "PATCH", "/api/v1/workflows/loud/nodes/shout/", json={"interrupt_before": True})
    async with listening(house) as heard:
        await heard.subscribe("workflow:loud")
        execution = await execute(house)
        told = await heard.until("execution_interrupted")
        assert told["data"]["execution_id"] == execution
        assert "shout" in told["data"]["node_id"]


async def test_changes_of_a_workflow_are_told(house: House) -> None:
    async with listening(house) as heard:
        await heard.subscribe("workflow:loud", "workflow:louder")
        node = {"node_id": "more", "component_type": "acme/shout"}
        await ask(house, "POST", "/api/v1/workflows/loud/nodes/", json=node)
        assert (await heard.until("node_created"))["data"]["node_id"] == "more"
        await ask(house, "PATCH", "/api/v1/workflows/loud/nodes/more/", json={"position_x": 7})
        assert (await heard.until("node_updated"))["data"]["position_x"] == 7
        edge = {"source_node_id": "shout", "target_node_id": "more"}
        _, made = await ask(house, "POST", "/api/v1/workflows/loud/edges/", json=edge)
        assert (await heard.until("edge_created"))["data"] == made
        await ask(house, "DELETE", f"/api/v1/workflows/loud/edges/{made['id']}/")
        assert (await heard.until("edge_deleted"))["data"] == {"id": made["id"]}
        await ask(house, "DELETE", "/api/v1/workflows/loud/nodes/more/")
        assert (await heard.until("node_deleted"))["data"] == {"node_id": "more"}
        await ask(house, "PATCH", "/api/v1/workflows/loud/", json={"slug": "louder"})
        told = await heard.until("workflow_updated")
        assert (told["channel"], told["data"]["slug"]) == ("workflow:loud", "louder")
        await execute(house, path="/api/v1/workflows/louder/execute/")
        await heard.until("execution_completed", channel="workflow:louder")


async def test_epics_are_told(house: House) -> None:
    _, epic = await ask(house, "POST", "/api/v1/epics/", json={"title": "All of it"})
    async with listening(house) as heard, listening(house, "eve") as eve:
        channel = f"epic:{epic['id']}"
        await heard.subscribe(channel)
        await eve.subscribe(channel)
        await ask(house, "PATCH", f"/api/v1/epics/{epic['id']}/", json={"title": "Some of it"})
        assert (await heard.until("epic_updated"))["data"]["title"] == "Some of it"
        await eve.say(type="unsubscribe", channel=channel)
        await eve.until("unsubscribed")
        assert eve.kinds(channel) == []


async def test_what_one_may_not_see_is_not_told(house: House) -> None:
    async with listening(house, "eve") as eve, listening(house, "root") as root:
        foreign = await native(house)
        for one in (eve, root):
            await one.subscribe("workflow:loud", f"execution:{foreign}", "workflow:eves")
        await draw_for(house, "eve", "eves")
        await ask(house, "PATCH", "/api/v1/workflows/loud/", json={"description": "another"})
        await execute(house)
        await bring(house, foreign)
        await root.until("execution_completed", channel=f"execution:{foreign}")
        status, told = await ask(house, "POST", "/api/v1/workflows/eves/execute/", by="eve", json={"text": "mine"})
        assert status == 200, told
        await eve.until("execution_completed", channel="workflow:eves")
        assert eve.kinds("workflow:loud") == eve.kinds(f"execution:{foreign}") == []


async def draw_for(house: House, by: str, slug: str) -> None:
    asked = [
        ("/api/v1/workflows/", {"name": slug, "slug": slug}),
        (f"/api/v1/workflows/{slug}/nodes/", {"node_id": "in", "component_type": "trigger_chat"}),
        (f"/api/v1/workflows/{slug}/nodes/", {"node_id": "shout", "component_type": "acme/shout"}),
        (f"/api/v1/workflows/{slug}/edges/", {"source_node_id": "in", "target_node_id": "shout"}),
    ]
    for path, body in asked:
        status, told = await ask(house, "POST", path, by=by, json=body)
        assert status == 201, told


async def test_a_public_workflow_s_changes_are_told_and_its_executions_to_who_runs_it(house: House) -> None:
    await ask(house, "PATCH", "/api/v1/workflows/loud/", json={"is_public": True})
    async with listening(house, "eve") as eve:
        await eve.subscribe("workflow:loud")
        await detail(house, await execute(house))
        await ask(house, "PATCH", "/api/v1/workflows/loud/", json={"description": "another"})
        await eve.until("workflow_updated")
        execution = await execute(house, by="eve")
        told = await eve.until("execution_completed")
        assert told["execution_id"] == execution
        assert eve.kinds("workflow:loud") == ["workflow_updated", *ONE_RUN]


@pytest.mark.parametrize("query", ["", "?token=", "?token=pup_wrong"])
async def test_who_shows_nothing_that_counts_is_told_so_and_closed(house: House, query: str) -> None:
    async with house.http.ws_connect(f"{house.url}/ws/{query}") as found:
        message = await found.receive(timeout=5)
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1008, access.VOID)


async def test_a_header_shows_a_token_as_well(house: House) -> None:
    async with house.http.ws_connect(f"{house.url}/ws", headers=house.shown("ed")) as found:
        await Heard(found).subscribe("workflow:loud")


async def test_a_socket_ends_with_the_key_that_opened_it(house: House) -> None:
    async with listening(house, "vic") as heard:
        await heard.subscribe("workflow:loud")
        await house.callers.log_in("vic", "vic's password", address="127.0.0.1")
        message = await heard.socket.receive(timeout=5)
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1008, access.VOID)


async def test_what_is_not_understood_is_passed_over(house: House) -> None:
    async with listening(house) as heard:
        for said in ("nonsense", "[1]", "7", "null", '{"type":"shout"}', '{"type":"subscribe"}', '{"channel":7}'):
            await heard.socket.send_str(said)
        await heard.socket.send_str(json.dumps({"type": "subscribe", "channel": "x" * 257}))
        await heard.socket.send_str("[" * 4000)
        await heard.socket.send_bytes(b"\x00")
        await heard.say(type="unsubscribe", channel="workflow:never")
        assert await heard.until("unsubscribed") == {"type": "unsubscribed", "channel": "workflow:never"}
        assert len(heard.messages) == 1


async def test_who_subscribes_to_too_much_is_closed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "MOST_CHANNELS", 2)
    async with listening(house) as heard:
        await heard.subscribe("workflow:a", "workflow:b")
        await heard.say(type="subscribe", channel="workflow:c")
        message = await heard.socket.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1013)


async def test_a_silent_client_is_asked_for_a_sign_of_life(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr(socket, "ANSWER_SECONDS", 0.5)
    async with listening(house) as heard:
        for _ in range(3):
            await heard.until("ping")
            await heard.say(type="pong")
        await heard.until("ping")
        message = await heard.socket.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)


async def test_a_server_that_goes_down_says_so(house: House) -> None:
    async with listening(house) as heard:
        await heard.subscribe("workflow:loud")
        house.closing.set()
        message = await heard.socket.receive(timeout=5)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)


async def test_a_plain_request_is_refused(house: House) -> None:
    status, told = await ask(house, "GET", "/ws/")
    assert (status, "upgrade" in told["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a" * 2048, "a" * 2048),
        ("a" * 2049, "a" * 2048 + "..."),
        ({"a": "b" * 3000}, {"a": "b" * 2048 + "..."}),
        ({"n": 1}, {"n": 1}),
        (None, None),
    ],
)
def test_a_long_output_is_cut(value: object, told: object) -> None:
    assert happening.short(value) == told


def test_a_deep_output_is_cut() -> None:
    assert happening.short(list(range(5000))).endswith("...")
