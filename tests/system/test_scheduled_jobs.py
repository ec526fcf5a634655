"""Scheduled jobs over HTTP and on real containers: what executions come to is counted, also by the next server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from tests.system.server import Server
from tests.system.test_workflows import Caller, code


@pytest.fixture
def server(own_server: Callable[..., Server]) -> Server:
    return own_server()


@pytest.fixture
async def caller(server: Server) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as http:
        found = Caller(http, server.url, "")
        made = await found.ask("POST", "auth/setup/", {"username": "ann", "password": "a long password"})
        found.token = made["key"]
        yield found


async def scheduled(caller: Caller, lines: str, **extra: Any) -> str:
    """A workflow of one node that its schedule begins, and is started; the job's id."""
    await caller.ask("POST", "workflows/", {"name": "Tick", "slug": "tick"}, status=201)
    await caller.node("tick", "clock", "trigger_schedule", config={"extra_config": {"interval_seconds": 1, **extra}})
    await caller.node("tick", "tell", "code", **code(lines))
    await caller.edge("tick", "clock", "tell")
    node = await caller.ask("POST", "workflows/tick/nodes/clock/schedule/start")
    return str(node["schedule_job"]["id"])


async def over(caller: Caller, job: str) -> dict[str, Any]:
    """The job when it starts nothing any more; nobody is told of that."""
    for _ in range(1200):
        found: dict[str, Any] = await caller.ask("GET", f"schedules/{job}/")
        if found["status"] != "active":
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it goes on for ever")


async def test_a_job_runs_so_often_and_is_done(caller: Caller) -> None:
    lines = "return f\"{input['repeat_number']} of {input['scheduled_job_name']}: {input['payload']['n']}\""
    job = await scheduled(caller, lines, total_repeats=2, trigger_payload={"n": 7})
    found = await over(caller, job)
    assert (found["status"], found["run_count"], found["error_count"], found["last_error"]) == ("done", 2, 0, "")
    listed = await caller.ask("GET", "executions/?workflow_slug=tick")
    assert [each["status"] for each in listed["items"]] == ["completed", "completed"]
    last = await caller.ask("GET", f"executions/{listed['items'][0]['execution_id']}/")
    assert "2 of Tick: clock: 7" in str(last["final_output"])


async def test_a_job_whose_executions_fail_is_dead_and_says_why(caller: Caller) -> None:
    job = await scheduled(caller, "return 1 / 0", max_retries=1)
    found = await over(caller, job)
    assert (found["status"], found["run_count"], found["error_count"], found["current_retry"]) == ("dead", 0, 2, 2)
    assert "tell" in found["last_error"]
    assert (await caller.ask("GET", "executions/?status=failed"))["total"] == 2


async def test_what_ended_while_there_was_no_server_is_counted_once(caller: Caller, server: Server) -> None:
    job = await scheduled(caller, "return 'well'", total_repeats=3)
    head = {"Authorization": f"Bearer {caller.token}"}
    async with caller.http.get(f"{caller.url}/api/v1/flow/events", headers=head) as stream:
        await stream.content.readuntil(b"\n\n")  # the first one has begun
    server.kill()
    server.start()
    found = await over(caller, job)
    listed = await caller.ask("GET", "executions/?workflow_slug=tick")
    assert (found["status"], found["run_count"], listed["total"]) == ("done", 3, 3)
