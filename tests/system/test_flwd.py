"""The flwd API's own examples, on the real server with real containers."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

BACKUP = (
    'echo "Starting backup..."; i=1; echo "id,name" > "$OUTPUT_ROWS"; '
    'while [ $i -le 60 ]; do echo "$i,row $i" >> "$OUTPUT_ROWS"; i=$((i+1)); done; '
    'printf \'{"files_backed_up":1234,"total_size_mb":5678,"target":"%s"}\' "$FLAG_TARGET" > "$OUTPUT_SUMMARY"; '
    'echo "Backup complete"'
)


@pytest.fixture
async def http(server: Server, client: Client) -> AsyncIterator[aiohttp.ClientSession]:
    """A session, and the jobs that are asked for: one that does its work, one that fails, one that takes long."""
    outputs = {"rows": "backup-archive", "summary": "summary"}
    node = flows.a_node("step_01", outputs=outputs, flags={"target": "${param.target}"})
    script = flows.a_script("step_01", BACKUP, Flags=[{"Name": "target"}])
    job = flows.an_order([node], [script])
    params = [{"Name": "target", "Type": "string", "Description": "Backup target directory", "Required": True}]
    job = {"Description": "Daily backup job", **job, "Flow": {**job["Flow"], "Params": params}}
    await client.ask("PUT", "/api/v1/flow/saved/backup%2Fdaily", job)
    for name, line in (("broken", "echo away >&2; exit 3"), ("slow", 'echo held; sleep 300; echo x > "$OUTPUT_OUT"')):
        step = flows.a_node(name, outputs={"out": "out"})
        await client.ask("PUT", f"/api/v1/flow/saved/{name}", flows.an_order([step], [flows.a_script(name, line)]))
    async with aiohttp.ClientSession(f"{server.url}/api/v1/") as session:
        yield session


async def answer(response: Any) -> dict[str, Any]:
    """The JSON of a request, which has the headers that all have."""
    async with response as got:
        assert {f"X-RateLimit-{name}" for name in ("Limit", "Remaining", "Reset")} <= got.headers.keys()
        return {"": got.status, **await got.json(content_type=None)}


def parsed(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of events."""
    blocks = [dict(line.partition(": ")[::2] for line in block.split("\n")) for block in text.split("\n\n")]
    return [(facts["event"], json.loads(facts["data"])) for facts in blocks if "data" in facts]


async def test_the_contract_s_examples(http: aiohttp.ClientSession) -> None:
    jobs = (await answer(http.get("jobs?namespace=backup")))["jobs"]
    facts = {"id": "backup/daily", "name": "daily", "namespace": "backup", "version": "1.0.0", "source": "api"}
    facts |= {"description": "Daily backup job"}
    assert jobs == [facts]
    job = await answer(http.get("jobs/backup/daily"))
    assert job["args"]["properties"] == {"target": {"type": "string", "description": "Backup target directory"}}
    assert job["args"]["required"] == ["target"]
    asked = {"job_id": "backup/daily", "args": {"target": "/mnt/backup"}, "tenant": "default", "async": True}
    run = await answer(http.post("runs", json=asked))
    assert (run.pop(""), run["job_id"]) == (201, "backup/daily")
    assert sorted(run) == ["created_at", "job_id", "run_id", "status"]
    run_id = run["run_id"]
    async with http.get(f"events/runs?run_id={run_id}") as stream:
        told = parsed(await stream.text())
    names = [name for name, _ in told]
    assert [names[0], names[1], names[-1]] == ["run.created", "run.started", "run.finished"]
    said = [data["message"] for name, data in told if name == "run.output"]
    assert said == ["Starting backup...", "Backup complete"]
    assert said == [data["message"] for name, data in told if name == "step.output"]
    assert names.count("step.started") == names.count("step.finished") == 1
    details = await answer(http.get(f"runs/{run_id}"))
    assert (details["status"], details["args"]) == ("success", {"target": "/mnt/backup"})
    assert details["result"] == {"value": {"files_backed_up": 1234, "total_size_mb": 5678, "target": "/mnt/backup"}}
    logs = (await answer(http.get(f"runs/{run_id}/logs")))["logs"]
    assert [(line["level"], line["message"], line["step_id"]) for line in logs] == [
        ("info", message, "step_01") for message in said
    ]
    async with http.get(f"runs/{run_id}/logs?follow=true") as stream:
        assert [data["message"] for name, data in parsed(await stream.text()) if name == "log"] == said
    found = (await answer(http.get(f"artifacts?run_id={run_id}")))["artifacts"]
    assert [(each["name"], each["run_id"]) for each in found] == [("backup-archive", run_id), ("summary", run_id)]
    expected = "id,name\n" + "".join(f"{i},row {i}\n" for i in range(1, 61))
    async with http.get(f"artifacts/{found[0]['id']}") as download:
        assert await download.text() == expected
        assert download.content_length == found[0]["size_bytes"] == len(expected)
        assert download.content_type == found[0]["media_type"]
        assert download.headers["ETag"] == f'"{hashlib.sha256(expected.encode()).hexdigest()}"'
    listed = await answer(http.get("runs?job_id=backup/daily&status=success&limit=100&offset=0"))
    assert run_id in [each["run_id"] for each in listed["runs"]]
    health = await answer(http.get("health"))
    assert (health["status"], isinstance(health["uptime_seconds"], int)) == ("healthy", True)
    info = await answer(http.get("system/info"))
    assert {"name": "api", "type": "api", "path": ""} in info["sources"]


async def test_a_failed_run_is_told_to_who_waited_and_a_slow_one_is_stopped(http: aiohttp.ClientSession) -> None:
    failed = await answer(http.post("runs", json={"job_id": "broken", "async": False}))
    assert (failed[""], failed["type"]) == (500, "https://flowd.org/problems/execution-error")
    details = await answer(http.get(f"runs/{failed['run_id']}"))
    assert (details["status"], bool(details["error"])) == ("failed", True)
    logs = (await answer(http.get(f"runs/{failed['run_id']}/logs")))["logs"]
    assert ("warning", "away") in [(line["level"], line["message"]) for line in logs]
    run = await answer(http.post("runs", json={"job_id": "slow"}))
    async with asyncio.timeout(60), http.get(f"runs/{run['run_id']}/logs?follow=true") as stream:
        text = ""
        async for piece in stream.content.iter_any():
            text += piece.decode()
            if "held" in text:
                break
    assert (await answer(http.get(f"runs/{run['run_id']}")))["status"] == "running"
    assert await answer(http.post(f"runs/{run['run_id']}/cancel")) == {
        "": 200,
        "run_id": run["run_id"],
        "status": "cancelled",
    }
    details = await answer(http.get(f"runs/{run['run_id']}"))
    assert (details["status"], "finished_at" in details) == ("cancelled", True)
    missing = await answer(http.get("jobs/backup/hourly"))
    assert missing == {
        "": 404,
        "type": "https://flowd.org/problems/job-not-found",
        "title": "Job Not Found",
        "status": 404,
        "detail": "The job 'backup/hourly' does not exist",
        "instance": "/api/v1/jobs/backup/hourly",
    }


async def test_a_client_goes_on_where_it_was_when_the_server_was_killed(own_server: Callable[..., Server]) -> None:
    server = own_server()
    step = flows.a_node("step_01", outputs={"out": "out"})
    script = flows.a_script("step_01", 'echo one; sleep 4; echo two; echo x > "$OUTPUT_OUT"')
    async with server.client() as client:
        await client.ask("PUT", "/api/v1/flow/saved/slow", flows.an_order([step], [script]))
    async with aiohttp.ClientSession() as session:
        run = await answer(session.post(f"{server.url}/api/v1/runs", json={"job_id": "slow"}))
        events, text = f"{server.url}/api/v1/events/runs?run_id={run['run_id']}", ""
        async with asyncio.timeout(60), session.get(events) as stream:
            async for piece in stream.content.iter_any():
                text += piece.decode()
                if "run.output" in text and text.endswith("\n\n"):
                    break
        last = re.findall(r"(?m)^id: (\S+)$", text)[-1]
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        async with session.get(events, headers={"Last-Event-ID": last}) as stream:
            rest = parsed(await stream.text())
        async with session.get(events) as stream:
            every = parsed(await stream.text())
    # Whether a line or the beginning of its step was saved first is nobody's promise: all are told, and each once.
    assert sorted(map(str, parsed(text) + rest)) == sorted(map(str, every))
    assert [data["message"] for name, data in every if name == "run.output"][:1] == ["one"]
    assert every[-1][0] == "run.finished"
