"""Five surfaces, one run: whoever started it, each says of it what the others say, in its own words."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pupload.domain import ids
from tests.api.house import House, a_house
from tests.bench import ends

FLOW = {
    "Flow": {
        "Name": "greet",
        "Nodes": [
            {
                "ID": "shout",
                "Uses": "acme/shout",
                "Inputs": [{"Name": "text", "Edge": "said"}],
                "Outputs": [{"Name": "loud", "Edge": "result"}],
            }
        ],
    }
}

WORDS = {
    "waiting": ("WAITING", "pending", "pending", "running", "pending"),
    "complete": ("COMPLETE", "success", "success", "completed", "completed"),
    "error": ("ERROR", "failed", "failed", "failed", "failed"),
    "stopped": ("STOPPED", "cancelled", "cancelled", "failed", "cancelled"),
}
"""What the native surface, Runs, flwd, Studio and Pipelit call it (the contracts' status table)."""


async def natively(house: House, by: dict[str, Any]) -> str:
    _, answer = await house.call("POST", "/api/v1/flow/saved/greet/run", json={}, **by)
    return str(answer["ID"])


async def by_runs(house: House, by: dict[str, Any]) -> str:
    _, answer = await house.call("POST", "/api/pipelines/greet/run", json={}, **by)
    return str(answer["id"])


async def by_flwd(house: House, by: dict[str, Any]) -> str:
    _, answer = await house.call("POST", "/api/v1/runs", json={"job_id": "greet"}, **by)
    return str(answer["run_id"])


STARTERS = (natively, by_runs, by_flwd)
"""Those that start runs without what they wait for."""

Starter = Callable[[House, dict[str, Any]], Awaitable[str]]


async def told(house: House, run: str, by: dict[str, Any]) -> tuple[str, ...]:
    """What each surface says of it, asked with another spelling of its id each."""
    uuid, ulid = ids.uuid_of(run), run.removeprefix("run_")
    found = [
        (await house.call("GET", f"/api/v1/flow/status/{uuid}", **by), "Status"),
        (await house.call("GET", f"/api/runs/{ulid}", **by), "status"),
        (await house.call("GET", f"/api/v1/runs/{uuid}", **by), "status"),
        (await house.call("GET", f"/api/projects/greet/runs/{run}", **by), "status"),
        (await house.call("GET", f"/api/v1/executions/{ulid}/", **by), "status"),
    ]
    assert all(answer[0] == 200 for answer, _ in found), found
    return tuple(answer[1][name] for answer, name in found)


async def comes_to(house: House, run: str, outcome: str, by: dict[str, Any]) -> None:
    """Has the run come to that."""
    if outcome == "stopped":
        await house.call("POST", f"/api/v1/flow/cancel/{run}", **by)
    elif outcome != "waiting":
        _, status = await house.call("GET", f"/api/v1/flow/status/{run}", **by)
        async with house.http.put(status["WaitingURLs"][0]["PutURL"], data=b"hello") as put:
            assert put.status == 200
    if outcome != "waiting":
        await house.call("GET", f"/api/v1/flow/events/{run}", **by)  # ends when the run does


@pytest.mark.parametrize("outcome", WORDS)
@pytest.mark.parametrize("start", STARTERS, ids=lambda start: start.__name__)
async def test_each_surface_says_what_the_others_say(tmp_path: Path, start: Starter, outcome: str) -> None:
    async with a_house(tmp_path, accounts={"root": "admin", "ed": "editor", "eve": "editor"}, shouts=True) as house:
        by = {"headers": {"Authorization": f"Bearer {house.tokens['ed']}"}}
        if outcome == "error":
            house.bench.image("acme/shout:latest", ends(code=3))
        await house.call("PUT", "/api/v1/flow/saved/greet", json=FLOW, **by)
        run = await start(house, by)
        await comes_to(house, run, outcome, by)
        assert await told(house, run, by) == WORDS[outcome]
        if outcome == "complete":
            results = [
                (await house.call("GET", f"/api/v1/runs/{run}", **by))[1]["result"]["value"],
                (await house.call("GET", f"/api/projects/greet/runs/{run}", **by))[1]["result"],
                (await house.call("GET", f"/api/v1/executions/{run}/", **by))[1]["final_output"]["output"],
            ]
            assert results == ["HELLO!", "HELLO!", "HELLO!"]
        other = {"headers": {"Authorization": f"Bearer {house.tokens['eve']}"}}
        paths = (
            "/api/v1/flow/status/",
            "/api/runs/",
            "/api/v1/runs/",
            "/api/projects/greet/runs/",
            "/api/v1/executions/",
        )
        answers = [(await house.call("GET", path + run, **other))[0] for path in paths]
        assert answers == [400, 404, 404, 404, 404]  # the native contract's own status for a run that is not there


async def test_what_studio_and_a_chat_start_the_others_tell_as_well(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts={"root": "admin", "ed": "editor"}, shouts=True) as house:
        by = {"headers": {"Authorization": f"Bearer {house.tokens['ed']}"}}
        await house.call("PUT", "/api/v1/flow/saved/greet", json=FLOW, **by)
        _, ran = await house.call("POST", "/api/projects/greet/run", json={"input": "hello"}, **by)
        assert ran["result"] == "HELLO!"
        assert await told(house, f"run_{_ulid(ran['execution_id'])}", by) == WORDS["complete"]

        def post(path: str, **body: Any) -> Awaitable[tuple[int, Any]]:
            return house.call("POST", f"/api/v1/workflows/{path}", json=body, **by)

        await post("", name="Chat", slug="chat")
        await post("chat/nodes/", node_id="in", component_type="trigger_chat")
        await post("chat/nodes/", node_id="out", component_type="acme/shout")
        await post("chat/edges/", source_node_id="in", target_node_id="out")
        _, begun = await post("chat/chat/", text="hello")
        run = begun["execution_id"]
        await house.call("GET", f"/api/v1/flow/events/{run}", **by)
        _, native = await house.call("GET", f"/api/v1/flow/status/{run}", **by)
        _, line = await house.call("GET", f"/api/runs/{run}", **by)
        _, job = await house.call("GET", f"/api/v1/runs/{run}", **by)
        _, execution = await house.call("GET", f"/api/v1/executions/{run}/", **by)
        assert (native["Status"], line["status"], job["status"]) == ("COMPLETE", "success", "success")
        assert (execution["status"], execution["final_output"]) == ("completed", {"message": "HELLO!"})


def _ulid(uuid: str) -> str:
    run = ids.canonical_run_id(uuid)
    assert run is not None
    return run.removeprefix("run_")
