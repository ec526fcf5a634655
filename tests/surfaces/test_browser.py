"""What a browser's own `fetch` and `WebSocket` make of the surfaces, from a page of an origin that is allowed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pupload.api import origins
from tests.api.house import EXAMPLE, House, a_house
from tests.surfaces.browser import Page, a_page

_HELPERS = """
const opened = (ws) => new Promise((done, failed) => { ws.onopen = done; ws.onerror = () => failed("no socket"); });
const closed = (ws) => new Promise((done) => { ws.onclose = (event) => done([event.code, event.reason]); });
const until = (ws, ends) => new Promise((done) => {
  const got = [];
  ws.onmessage = (event) => { const one = JSON.parse(event.data); got.push(one); if (ends(one)) done(got); };
});
const call = async (method, path, body) => {
  const headers = {Authorization: `Bearer ${token}`, "Content-Type": "application/json"};
  const answer = await fetch(base + path, {method, headers, body: body && JSON.stringify(body)});
  return answer.status === 204 ? null : answer.json();
};
"""


@asynccontextmanager
async def a_browser(root: Path, accounts: Mapping[str, str] | None = None) -> AsyncIterator[tuple[House, Page]]:
    """A server that a page may talk to, and the page."""
    async with a_page() as page:
        policy = origins.Policy(origins=(page.origin,))
        async with a_house(root, accounts=accounts, policy=policy, shouts=True) as house:
            yield house, page


async def run(house: House, page: Page, script: str, token: str = "") -> Any:
    head = f'const base = "{house.url}", sockets = base.replace("http", "ws"), token = "{token}";'
    return await page.run(head + _HELPERS + script)


async def test_a_page_draws_a_workflow_chats_with_it_and_hears_what_happens(tmp_path: Path) -> None:
    async with a_browser(tmp_path, {"root": "admin", "ed": "editor"}) as (house, page):
        script = """
        await call("POST", "/api/v1/workflows/", {name: "Greet", slug: "greet"});
        const ws = new WebSocket(`${sockets}/ws/?token=${token}`);
        await opened(ws);
        const told = until(ws, (one) => one.type === "execution_completed");
        ws.send(JSON.stringify({type: "subscribe", channel: "workflow:greet"}));
        await new Promise((done) => ws.addEventListener("message", done, {once: true}));
        await call("POST", "/api/v1/workflows/greet/nodes/", {node_id: "in", component_type: "trigger_chat"});
        await call("POST", "/api/v1/workflows/greet/nodes/", {node_id: "out", component_type: "acme/shout"});
        await call("PATCH", "/api/v1/workflows/greet/nodes/out/", {position_x: 5});
        await call("POST", "/api/v1/workflows/greet/edges/", {source_node_id: "in", target_node_id: "out"});
        const begun = await call("POST", "/api/v1/workflows/greet/chat/", {text: "hello"});
        const types = (await told).map((one) => one.type);
        const seen = await call("GET", `/api/v1/executions/${begun.execution_id}/`);
        return [types, seen.status, seen.final_output];
        """
        types, status, output = await run(house, page, script, house.tokens["ed"])
        assert types[:5] == ["subscribed", "node_created", "node_created", "node_updated", "edge_created"]
        assert types[-1] == "execution_completed"
        assert (status, output) == ("completed", {"message": "HELLO!"})


async def test_a_socket_without_a_token_is_closed_where_the_page_can_see_why(tmp_path: Path) -> None:
    async with a_browser(tmp_path, {"root": "admin"}) as (house, page):
        script = "return await closed(new WebSocket(`${sockets}/ws/?token=nonsense`));"
        assert await run(house, page, script) == [1008, "Invalid or missing token"]


async def test_a_page_runs_a_graph_and_hears_of_each_node(tmp_path: Path) -> None:
    async with a_browser(tmp_path) as (house, page):
        script = """
        const ws = new WebSocket(`${sockets}/ws/execution`);
        await opened(ws);
        const told = until(ws, (one) => one.type === "pipeline_result");
        const graph = {
          nodes: [
            {id: "in", type: "input", label: "in", position: {x: 0, y: 0}, data: {}},
            {id: "shout", type: "container", label: "s", position: {x: 1, y: 0}, data: {uses: "acme/shout"}},
            {id: "out", type: "output", label: "out", position: {x: 2, y: 0}, data: {}},
          ],
          edges: [{id: "1", source: "in", target: "shout"}, {id: "2", source: "shout", target: "out"}],
          metadata: {},
        };
        ws.send(JSON.stringify({action: "run", graph, inputs: "Hello world"}));
        return await told;
        """
        told = await run(house, page, script)
        types = [one["type"] for one in told]
        assert types[-2:] == ["pipeline_complete", "pipeline_result"]
        assert {"node_start", "node_complete"} <= set(types)
        assert (told[-1]["success"], told[-1]["output"]) == (True, "HELLO WORLD!")


async def test_a_page_of_another_origin_is_turned_away(tmp_path: Path) -> None:
    async with a_page() as page, a_house(tmp_path) as house:
        script = """
        const ws = new WebSocket(`${sockets}/api/ws`);
        const code = (await closed(ws))[0];
        const sent = await fetch(base + "/api/v1/flow/test", {method: "POST", body: "{}"}).then(() => "", String);
        const read = await fetch(base + "/api/v1/flow/list").then(() => "", String);
        return [code, sent, read];
        """
        code, sent, read = await run(house, page, script)
        assert code == 1006
        assert "TypeError" in sent
        assert "TypeError" in read
        assert (await house.call("GET", "/api/v1/flow/list"))[1]["Total"] == 0


async def test_a_page_follows_runs_over_the_runs_apis_socket(tmp_path: Path) -> None:
    async with a_browser(tmp_path) as (house, page):
        await house.call("PUT", "/api/v1/flow/saved/shrink", json=EXAMPLE)
        script = """
        const ws = new WebSocket(`${sockets}/api/ws`);
        await opened(ws);
        const told = until(ws, (one) => one.type === "run.failed");
        const run = await call("POST", "/api/pipelines/shrink/run", {});
        await call("POST", `/api/runs/${run.run_id || run.id}/cancel`);
        return (await told).map((one) => one.type);
        """
        assert (await run(house, page, script))[-1] == "run.failed"
