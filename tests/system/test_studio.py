"""The Studio API's own examples, on the real server with real containers."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pupload.client import Client
from tests import images
from tests.system import flows
from tests.system.server import Server

CLASSIFY = (
    'case "$(cat "$INPUT_IN")" in *fail*) exit 3 ;; *invoice*) echo invoice ;; *) cat "$INPUT_IN" ;; esac '
    '> "$OUTPUT_OUT"'
)

SCRIPT = """
const BASE = "%s/api/projects/my-project";
// Synchronous run
const res = await fetch(`${BASE}/run`, {
method: "POST",
headers: { "Content-Type": "application/json" },
body: JSON.stringify({ input: "Classify this" }),
});
const { result, execution_id, duration_ms } = await res.json();
// Async run with polling
const asyncRes = await fetch(`${BASE}/run/async`, {
method: "POST",
headers: { "Content-Type": "application/json" },
body: JSON.stringify({ input: "Process batch" }),
});
const { execution_id: eid } = await asyncRes.json();
const poll = async () => {
while (true) {
const status = await fetch(`${BASE}/runs/${eid}`).then((r) => r.json());
if (status.status !== "running") return status;
await new Promise((r) => setTimeout(r, 1000));
}
};
const final = await poll();
console.log(JSON.stringify([result, execution_id, duration_ms, final]));
"""
"""The contract's, word for word but for the address, and the last line."""


@pytest.fixture
async def http(server: Server, client: Client) -> AsyncIterator[aiohttp.ClientSession]:
    """A session, and the project that the examples name."""
    step = flows.a_node("classify", inputs={"in": "document"}, outputs={"out": "kind"})
    order = flows.an_order([step], [flows.a_script("classify", CLASSIFY)])
    await client.ask("PUT", "/api/v1/flow/saved/my-project", order)
    async with aiohttp.ClientSession(server.url) as session:
        yield session


async def answer(request: Any, status: int = 200) -> Any:
    async with request as got:
        assert got.status == status, await got.text()
        return await got.json()


async def test_the_contract_s_examples(http: aiohttp.ClientSession, client: Client, tmp_path: Path) -> None:
    base = "/api/projects/my-project"
    done = await answer(http.post(f"{base}/run", json={"input": "Classify this invoice"}))
    assert (done["result"], set(done)) == ("invoice", {"result", "execution_id", "duration_ms"})
    assert done["duration_ms"] > 0
    begun = await answer(http.post(f"{base}/run/async", json={"input": "Process this batch"}))
    assert (begun["status"], set(begun)) == ("running", {"execution_id", "status"})
    await client.wait(begun["execution_id"])
    run = await answer(http.get(f"{base}/runs/{begun['execution_id']}"))
    assert (run["status"], run["result"], run["execution_id"]) == (
        "completed",
        "Process this batch",
        begun["execution_id"],
    )
    document = tmp_path / "document.pdf"
    document.write_bytes(b"a caf\xc3\xa9 \xff")
    form = aiohttp.FormData()
    form.add_field("file", document.open("rb"), filename="document.pdf", content_type="application/pdf")
    told = (await answer(http.post(f"{base}/upload", data=form)))["result"]
    assert told == {"file_name": "document.pdf", "content_type": "application/pdf", "content": "a café �", "size": 9}
    failed = await answer(http.post(f"{base}/run", json={"input": "fail"}), 500)
    assert failed == {"detail": "classify: exit code 3"}
    history = (await answer(http.get(f"{base}/runtime/executions")))["executions"]
    assert [each["status"] for each in history] == ["completed", "completed", "completed", "failed"]
    schema = await answer(http.get(f"{base}/schema"))
    assert schema == {"input_schema": {"title": "document"}, "output_schema": {"title": "kind"}, "trigger_type": "http"}
    query = '{"query": "{ projects { name description } }"}'
    headers = {"Content-Type": "application/json"}
    asked = await answer(http.post("/api/graphql", data=query, headers=headers))
    assert {"name": "my-project", "description": ""} in asked["data"]["projects"]


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript outside of browsers here")
async def test_the_contract_s_javascript(http: aiohttp.ClientSession, server: Server, tmp_path: Path) -> None:
    script = tmp_path / "example.mjs"
    script.write_text(SCRIPT.replace("%s", server.url))
    process = await asyncio.create_subprocess_exec("node", script, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    result, execution_id, milliseconds, final = json.loads(out)
    assert (result, milliseconds > 0, final["status"]) == ("Classify this", True, "completed")
    assert (final["result"], final["execution_id"] != execution_id) == ("Process batch", True)


async def test_a_graph_is_run_in_containers_and_told(http: aiohttp.ClientSession) -> None:
    louder = {"image": images.busybox(), "command": ["sh", "-c", 'tr a-z A-Z < "$INPUT_INPUT" > "$OUTPUT_OUTPUT"']}
    breaks = {"image": images.busybox(), "command": ["sh", "-c", "exit 4"], "maxAttempts": 1}
    nodes: list[dict[str, Any]] = [
        {"id": "in", "type": "input"},
        {"id": "loud", "data": louder},
        {"id": "out", "type": "output"},
    ]
    edges = [{"source": "in", "target": "loud"}, {"source": "loud", "target": "out"}]
    graph = {"nodes": nodes, "edges": edges, "metadata": {}}
    async with http.ws_connect("/ws/execution") as socket:
        await socket.send_json({"action": "run", "graph": graph, "inputs": "Hello world"})
        told = [await socket.receive_json()]
        while told[-1]["type"] != "pipeline_result":
            told.append(await socket.receive_json())
        assert (told[-1]["success"], told[-1]["output"]) == (True, "HELLO WORLD")
        nodes[1]["data"] = breaks
        await socket.send_json({"action": "run", "graph": graph, "inputs": "Hello world"})
        told = [await socket.receive_json()]
        while told[-1]["type"] != "pipeline_result":
            told.append(await socket.receive_json())
    assert [each["type"] for each in told[2:]] == ["node_start", "node_error", "pipeline_complete", "pipeline_result"]
    assert (told[-1]["success"], told[-1]["output"]) == (False, None)
