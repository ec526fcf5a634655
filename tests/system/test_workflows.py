"""The life of a workflow, over HTTP and on real containers: drawn, refused, judged, run, read."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.system.server import Server

MISMATCH = "Source type 'trigger_chat' output 'text' is not compatible with target input 'model'"


@dataclass
class Caller:
    """Somebody with a token."""

    http: aiohttp.ClientSession
    url: str
    token: str

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """The JSON of the answer, which has this status."""
        head = {"Authorization": f"Bearer {self.token}"}
        async with self.http.request(method, f"{self.url}/api/v1/{path}", json=body, headers=head) as got:
            assert got.status == status, await got.text()
            return await got.json() if got.content_type == "application/json" else await got.text()

    async def node(self, slug: str, node_id: str, component: str, **said: Any) -> None:
        """Draws a node."""
        body = {"node_id": node_id, "component_type": component, **said}
        await self.ask("POST", f"workflows/{slug}/nodes/", body, status=201)

    async def edge(self, slug: str, source: str, target: str, **said: Any) -> None:
        """Draws an edge."""
        body = {"source_node_id": source, "target_node_id": target, **said}
        await self.ask("POST", f"workflows/{slug}/edges/", body, status=201)

    async def ended(self, execution: str) -> dict[str, Any]:
        """The execution when it is over."""
        said = await self.ask("GET", f"events/runs?run_id={execution}")  # of a run there is an end to what is told
        assert "event: run.finished" in said
        found: dict[str, Any] = await self.ask("GET", f"executions/{execution}/")
        return found


@pytest.fixture
async def caller(own_server: Callable[..., Server]) -> AsyncIterator[Caller]:
    """The administrator of a server of their own."""
    server = own_server()
    async with aiohttp.ClientSession() as http:
        found = Caller(http, server.url, "")
        made = await found.ask("POST", "auth/setup/", {"username": "ann", "password": "a long password"})
        found.token = made["key"]
        yield found


def code(lines: str) -> dict[str, Any]:
    """What a node is set to that runs these lines."""
    return {"config": {"extra_config": {"code": lines}}}


async def test_the_life_of_a_workflow(caller: Caller) -> None:
    made = await caller.ask("POST", "workflows/", {"name": "Sort mail", "slug": "sort"}, status=201)
    assert (made["node_count"], made["edge_count"]) == (0, 0)
    await caller.node("sort", "chat_1", "trigger_chat")
    await caller.node("sort", "tell", "code", **code("return 'spam' if 'win' in input else 'mail'"))
    await caller.node("sort", "which", "switch")
    await caller.node("sort", "away", "code", **code("return 'thrown away'"))
    await caller.node("sort", "keep", "code", **code("return {'kept': input}"))
    await caller.node("sort", "bot", "agent")
    refused = {"source_node_id": "chat_1", "target_node_id": "bot", "edge_label": "llm"}
    said = await caller.ask("POST", "workflows/sort/edges/", refused, status=422)
    assert said == {"detail": {"validation_errors": [MISMATCH]}}
    await caller.edge("sort", "chat_1", "tell")
    await caller.edge("sort", "tell", "which")
    await caller.edge("sort", "which", "away", edge_type="conditional", condition_value="spam")
    await caller.edge("sort", "which", "keep", edge_type="conditional", condition_value="mail")
    await caller.edge("sort", "keep", "bot")
    judged = await caller.ask("POST", "workflows/sort/validate/")
    assert not judged["valid"]
    assert "Node 'bot' is missing required 'model' connection" in judged["errors"]
    await caller.ask("DELETE", "workflows/sort/nodes/bot/", status=204)
    assert await caller.ask("POST", "workflows/sort/validate/") == {"valid": True, "errors": []}
    whole = await caller.ask("GET", "workflows/sort/")
    assert (whole["node_count"], whole["edge_count"]) == (5, 4)

    ran = await caller.ask("POST", "workflows/sort/execute/", {"text": "you win"})
    found = await caller.ended(ran["execution_id"])
    assert (found["status"], found["workflow_slug"]) == ("completed", "sort")
    assert {log["node_id"]: log["status"] for log in found["logs"]} == {
        "tell": "success",
        "away": "success",
        "keep": "skipped",
    }
    ran = await caller.ask("POST", "workflows/sort/chat/", {"text": "hello"})
    found = await caller.ended(ran["execution_id"])
    assert found["status"] == "completed"
    assert "kept" in str(found["final_output"])
    listed = await caller.ask("GET", "executions/?workflow_slug=sort")
    assert listed["total"] == 2


async def test_workflows_run_each_other_and_one_runs_after_an_error(caller: Caller) -> None:
    inner = await caller.ask("POST", "workflows/", {"name": "Inner", "slug": "inner"}, status=201)
    await caller.node("inner", "called", "trigger_workflow")
    await caller.node("inner", "loud", "code", **code("return input.upper()"))
    await caller.edge("inner", "called", "loud")
    after = await caller.ask("POST", "workflows/", {"name": "After", "slug": "after"}, status=201)
    await caller.node("after", "failed", "trigger_error")
    await caller.node("after", "note", "code", **code("return 'noted: ' + input['error']"))
    await caller.edge("after", "failed", "note")
    outer = {"name": "Outer", "slug": "outer", "error_handler_workflow_id": after["id"]}
    await caller.ask("POST", "workflows/", outer, status=201)
    await caller.node("outer", "press", "trigger_manual")
    await caller.node("outer", "sub", "workflow", subworkflow_id=inner["id"])
    await caller.node("outer", "last", "code", **code("return f'<{input}>' if input != 'NO' else 1 / 0"))
    await caller.edge("outer", "press", "sub")
    await caller.edge("outer", "sub", "last")
    assert await caller.ask("POST", "workflows/outer/validate/") == {"valid": True, "errors": []}

    ran = await caller.ask("POST", "workflows/outer/execute/", {"text": "hello"})
    found = await caller.ended(ran["execution_id"])
    assert (found["status"], found["error_message"]) == ("completed", "")
    assert "<HELLO>" in str(found["final_output"])
    assert (await caller.ask("GET", "executions/?workflow_slug=inner&status=completed"))["total"] == 1

    ran = await caller.ask("POST", "workflows/outer/execute/", {"text": "no"})
    found = await caller.ended(ran["execution_id"])
    assert found["status"] == "failed"
    assert found["error_message"].startswith("Node last:")
    handled = await _handled(caller)
    assert handled["status"] == "completed"
    assert "noted: " in str(handled["final_output"])


async def _handled(caller: Caller) -> dict[str, Any]:
    """The execution of `after`, when it is over: it begins by itself, and what happens in all runs is told."""
    head = {"Authorization": f"Bearer {caller.token}"}
    url = f"{caller.url}/api/v1/flow/events"
    async with caller.http.get(url, headers=head) as stream:
        while True:
            listed = await caller.ask("GET", "executions/?workflow_slug=after")
            if listed["total"]:
                return await caller.ended(listed["items"][0]["execution_id"])
            await stream.content.readuntil(b"\n\n")
