"""The Runs API on the real server, with real containers: the contract's own commands, as they stand there."""

import asyncio
import json
import subprocess
from typing import Any

import aiohttp
import pytest

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

ROWS = 60

SOURCE = (
    'i=0; echo id,name > "$OUTPUT_OUT"; while [ $i -lt 60 ]; do i=$((i+1)); echo "$i,user $i" >> "$OUTPUT_OUT"; done'
)
CLEAN = (
    f'if [ "$FLAG_MODE" = slow ]; then {flows.HOLD} fi; '
    'if [ "$FLAG_MODE" = fail ]; then echo "no such table" >&2; exit 3; fi; '
    'head -n 41 "$INPUT_IN" > "$OUTPUT_OUT"; echo kept 40'
)

CSV = [{"Name": "out", "Type": "text/csv"}]
DEFINITIONS = [
    flows.a_script("source", SOURCE, Outputs=CSV),
    flows.a_script("clean", CLEAN, Inputs=[{"Name": "in"}], Outputs=CSV, Flags=[{"Name": "mode"}]),
    flows.a_script("load", flows.COPY, Inputs=[{"Name": "in"}], Outputs=CSV),
]
NODES = [
    flows.a_node("source1", "source", outputs={"out": "raw"}),
    flows.a_node(
        "transform1", "clean", inputs={"in": "raw"}, outputs={"out": "users"}, flags={"mode": "${param.mode}"}
    ),
    flows.a_node("load1", "load", inputs={"in": "users"}, outputs={"out": "loaded"}),
]
PARAMS = [{"Name": "mode", "Default": "plain"}, {"Name": "date", "Default": ""}]

COMMANDS = {
    "run": """curl -X POST http://localhost:8080/api/pipelines/{pipeline_id}/run \\
-H "Content-Type: application/json" \\
-d '{"params": {"date": "2024-01-15"}}'""",
    "get": "curl http://localhost:8080/api/runs/{run_id}",
    "list": "curl http://localhost:8080/api/pipelines/{pipeline_id}/runs",
    "page": 'curl "http://localhost:8080/api/pipelines/{pipeline_id}/runs?page=1&per_page=20"',
    "cancel": "curl -X POST http://localhost:8080/api/runs/{run_id}/cancel",
    "resume": "curl -X POST http://localhost:8080/api/runs/{run_id}/resume",
    "logs": "curl http://localhost:8080/api/runs/{run_id}/logs",
    "export": "curl http://localhost:8080/api/runs/{run_id}/logs/export",
    "preview": "curl http://localhost:8080/api/runs/{run_id}/nodes/{node_id}/preview",
    "profile": "curl http://localhost:8080/api/runs/{run_id}/nodes/{node_id}/profile",
    "dry-run": "curl -X POST http://localhost:8080/api/pipelines/{pipeline_id}/dry-run",
    "backfill": """curl -X POST http://localhost:8080/api/pipelines/{pipeline_id}/backfill \\
-H "Content-Type: application/json" \\
-d '{"start_date": "2024-01-01", "end_date": "2024-01-31"}'""",
    "calendar": "curl http://localhost:8080/api/runs/calendar",
    "lineage": "curl http://localhost:8080/api/lineage",
    "scheduler": "curl http://localhost:8080/api/scheduler/status",
    "dashboard": "curl http://localhost:8080/api/dashboard",
    "search": 'curl "http://localhost:8080/api/search?q=users&limit=30"',
    "info": "curl http://localhost:8080/api/system/info",
    "purge": """curl -X POST http://localhost:8080/api/system/purge \\
-H "Content-Type: application/json" \\
-d '{"days": 30}'""",
}
"""Of the contract, letter for letter."""


class Shell:
    """Says what a user would."""

    def __init__(self, server: Server, pipeline: str) -> None:
        self.server = server
        self.pipeline = pipeline

    async def text(self, name: str, run: str = "", node: str = "") -> str:
        line = COMMANDS[name].replace("http://localhost:8080", self.server.url)
        for placeholder, value in (("{pipeline_id}", self.pipeline), ("{run_id}", run), ("{node_id}", node)):
            line = line.replace(placeholder, value)
        line = line.replace("curl ", "curl -sS --max-time 60 ", 1)
        done = await asyncio.to_thread(subprocess.run, ["sh", "-c", line], capture_output=True, text=True, check=True)
        return done.stdout

    async def say(self, name: str, run: str = "", node: str = "") -> Any:
        return json.loads(await self.text(name, run, node))

    async def over(self, run: str) -> Any:
        """The run when it is over."""
        url = f"{self.server.url}/api/v1/flow/logs/{run}?follow=true"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            await answer.read()
        return await self.say("get", run)


@pytest.fixture
async def shell(server: Server, client: Client) -> Shell:
    order = flows.an_order(NODES, DEFINITIONS, name="users", Params=PARAMS)
    saved = await client.ask("PUT", "/api/v1/flow/saved/etl%2Fusers", order)
    return Shell(server, saved["ID"])


async def started(shell: Shell, mode: str) -> str:
    url = f"{shell.server.url}/api/pipelines/{shell.pipeline}/run"
    async with aiohttp.ClientSession() as http, http.post(url, json={"params": {"mode": mode}}) as answer:
        assert answer.status == 202
        return str((await answer.json())["id"])


async def test_the_contracts_commands_say_what_the_contract_says(shell: Shell) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{shell.server.url}/api/ws") as socket:
        made = await shell.say("run")
        assert made == {"id": made["id"], "pipeline_id": shell.pipeline, "status": "pending"}
        run, kinds = made["id"], []
        while "run.completed" not in kinds:
            event = json.loads((await socket.receive(60)).data)
            kinds += [event["type"]] if event["run_id"] == run else []
        assert kinds.count("node.completed") == 3
        assert (kinds[0], kinds.count("run.started")) == ("run.started", 1)
    got = await shell.over(run)
    assert (got["status"], got["params"]) == ("success", {"date": "2024-01-15", "mode": "plain"})
    assert [(each["node_id"], each["status"], each["row_count"]) for each in got["node_runs"]] == [
        ("source1", "success", ROWS),
        ("transform1", "success", 40),
        ("load1", "success", 40),
    ]
    assert all(each["duration_ms"] > 0 and each["started_at"].endswith("Z") for each in got["node_runs"])
    listed = await shell.say("list")
    assert run in [each["id"] for each in listed]
    assert await shell.say("page") == listed[:20]
    said = [(line["node_id"], line["message"]) for line in await shell.say("logs", run)]
    assert said[0] == ("source1", "Starting node: source1 (test/source)")
    assert said[1][1].startswith(f"Node completed: {ROWS} rows in ")
    assert ("transform1", "kept 40") in said
    assert len((await shell.text("export", run)).splitlines()) == len(said)
    preview = await shell.say("preview", run, "source1")
    assert (preview["columns"], len(preview["rows"])) == (["id", "name"], 50)
    assert preview["rows"][0] == {"id": "1", "name": "user 1"}
    profile = (await shell.say("profile", run, "transform1"))["profile"]
    assert (profile["row_count"], profile["columns"][0]["type"]) == (40, "number")
    days = await shell.say("calendar")
    assert (len(days), days[-1]["success"] >= 1) == (90, True)
    assert any(node["id"] == f"proc:{shell.pipeline}:source1" for node in (await shell.say("lineage"))["nodes"])
    assert isinstance(await shell.say("scheduler"), list)
    assert {"pipelines", "recent_runs", "trends", "top_failing"} <= set(await shell.say("dashboard"))
    assert {"type": "pipeline", "id": shell.pipeline, "name": "etl/users"} in await shell.say("search")
    info = await shell.say("info")
    assert list(info) == ["version", "db_size", "db_size_mb", "pipelines", "active_runs", "max_concurrent_runs"]
    assert info["db_size_mb"] == f"{info['db_size'] / 1024 / 1024:.2f} MB"
    assert await shell.say("purge") == {"deleted": 0, "days": 30}


async def test_a_dry_run_shows_ten_rows_and_leaves_no_run(shell: Shell) -> None:
    before = await shell.say("list")
    nodes = await shell.say("dry-run")
    assert {name: (node["status"], len(node["rows"])) for name, node in nodes.items()} == {
        "source1": ("success", 10),
        "transform1": ("success", 10),
        "load1": ("success", 10),
    }
    assert await shell.say("list") == before


async def test_a_failed_run_is_told_of_and_resumed_from_there(shell: Shell) -> None:
    failed = await shell.over(await started(shell, "fail"))
    assert (failed["status"], [each["status"] for each in failed["node_runs"]]) == ("failed", ["success", "failed"])
    lines = await shell.say("logs", failed["id"])
    assert ("warning", "no such table") in [(line["level"], line["message"]) for line in lines]
    again = await shell.say("resume", failed["id"])
    assert again["resumed_from_run_id"] == failed["id"]
    ended = await shell.over(again["id"])
    assert [(each["node_id"], each.get("reused", False)) for each in ended["node_runs"]] == [
        ("source1", True),
        ("transform1", False),
    ]


async def test_cancelling_lets_a_slow_node_finish_and_starts_no_other(shell: Shell) -> None:
    run = await started(shell, "slow")
    url = f"{shell.server.url}/api/v1/flow/logs/{run}?follow=true"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        async for line in answer.content:
            if b"held" in line:
                break
    assert (await shell.say("get", run))["status"] == "running"
    assert await shell.say("cancel", run) == {"status": "cancelled"}
    now = await shell.say("get", run)
    assert (now["status"], now["finished_at"]) == ("cancelled", None)
    await flows.let_go(shell.server, {"ID": run}, "transform1")
    ended = await shell.over(run)
    assert [(each["node_id"], each["status"]) for each in ended["node_runs"]] == [
        ("source1", "success"),
        ("transform1", "success"),
    ]
    assert ended["finished_at"] is not None
    assert "error" in await shell.say("cancel", run)


async def test_a_month_is_run_day_by_day(shell: Shell) -> None:
    runs = await shell.say("backfill")
    assert len(set(runs)) == 31
    first, last = [await shell.say("get", runs[place]) for place in (0, -1)]
    assert (first["params"]["date"], last["params"]["date"]) == ("2024-01-01", "2024-01-31")
    for run in runs[1:]:
        await shell.say("cancel", run)
    assert (await shell.over(runs[0]))["status"] == "success"
    for run in runs[1:]:
        await shell.over(run)
