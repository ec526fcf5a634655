"""Chat over the Pipelit surface: what is said starts an execution, and what that makes is the reply."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.house import House, a_house

ACCOUNTS = {"root": "admin", "ed": "editor", "eve": "editor", "vic": "viewer"}
CHAT = "/api/v1/workflows/loud/chat/"
HISTORY = "/api/v1/workflows/loud/chat/history"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(tmp_path, accounts=ACCOUNTS, shouts=True) as found:
        await draw(found, "loud")
        yield found


async def ask(house: House, method: str, path: str, *, by: str = "ed", **more: Any) -> tuple[int, Any]:
    return await house.call(method, path, headers=house.shown(by), **more)


async def draw(house: House, slug: str, **fields: Any) -> int:
    """A workflow that makes loud what is said. Returns its id."""
    status, made = await ask(house, "POST", "/api/v1/workflows/", json={"name": slug, "slug": slug, **fields})
    assert status == 201, made
    for node in (
        {"node_id": "in", "component_type": "trigger_chat", "is_entry_point": True},
        {"node_id": "shout", "component_type": "acme/shout"},
    ):
        status, told = await ask(house, "POST", f"/api/v1/workflows/{slug}/nodes/", json=node)
        assert status == 201, told
    edge = {"source_node_id": "in", "target_node_id": "shout"}
    status, told = await ask(house, "POST", f"/api/v1/workflows/{slug}/edges/", json=edge)
    assert status == 201, told
    return int(made["id"])


async def heard(house: House, messages: int, *, by: str = "ed", path: str = HISTORY) -> dict[str, Any]:
    """The history once it has so many messages."""
    for _ in range(2000):
        status, said = await ask(house, "GET", path, by=by)
        assert status == 200, said
        if len(said["messages"]) >= messages:
            return dict(said)
        await asyncio.sleep(0.005)
    raise AssertionError(f"nothing more was said: {said}")


async def test_what_is_said_is_answered(house: House) -> None:
    status, told = await ask(house, "POST", CHAT, json={"text": "hello"})
    assert (status, told["status"], told["response"]) == (200, "pending", "")
    assert len(told["execution_id"]) == 36
    said = await heard(house, 2)
    assert [(line["role"], line["text"]) for line in said["messages"]] == [("user", "hello"), ("assistant", "HELLO!")]
    assert said["messages"][0]["timestamp"] < said["messages"][1]["timestamp"]
    assert not said["has_more"]
    user, _, workflow = said["thread_id"].partition(":")
    assert (user.isdecimal(), workflow) == (True, "1")
    run = await house.call("GET", f"/api/v1/flow/status/{told['execution_id']}", headers=house.shown("ed"))
    assert run[1]["Labels"] == {"drawing": "loud", "trigger": "in", "kind": "chat", "thread": "1"}


async def test_a_history_is_read_backwards(house: House) -> None:
    for number in range(3):
        await ask(house, "POST", CHAT, json={"text": f"said {number}"})
        await heard(house, 2 * number + 2)
    last = await heard(house, 2, path=f"{HISTORY}?limit=2")
    assert ([line["text"] for line in last["messages"]], last["has_more"]) == (["said 2", "SAID 2!"], True)
    before = await heard(house, 4, path=f"{HISTORY}?before={last['messages'][0]['timestamp']}")
    assert [line["text"] for line in before["messages"]] == ["said 0", "SAID 0!", "said 1", "SAID 1!"]
    assert not before["has_more"]


async def test_threads_are_each_accounts_own(house: House) -> None:
    await ask(house, "PATCH", "/api/v1/workflows/loud/", json={"is_public": True})
    await ask(house, "POST", CHAT, json={"text": "mine"})
    await ask(house, "POST", CHAT, json={"text": "hers"}, by="eve")
    assert [line["text"] for line in (await heard(house, 2))["messages"]] == ["mine", "MINE!"]
    assert [line["text"] for line in (await heard(house, 2, by="eve"))["messages"]] == ["hers", "HERS!"]
    assert await ask(house, "DELETE", HISTORY) == (204, "")
    assert (await heard(house, 0))["messages"] == []
    assert len((await heard(house, 2, by="eve"))["messages"]) == 2


async def test_a_failed_execution_answers_nothing(house: House) -> None:
    house.bench.executor.images.pop("acme/shout:latest")
    _, told = await ask(house, "POST", CHAT, json={"text": "hello"})
    for _ in range(4000):
        _, run = await ask(house, "GET", f"/api/v1/flow/status/{told['execution_id']}")
        if run["Status"] == "ERROR":
            break
        await asyncio.sleep(0.005)
    await house.bench.until(lambda: not any(book.followed for book in house.bench.kept.shelf.books.values()))
    assert [line["role"] for line in (await heard(house, 1))["messages"]] == ["user"]


@pytest.mark.parametrize("text", ["", "ü\n", "x" * 100_000, '{"text": "no JSON"}'])
async def test_anything_may_be_said(house: House, text: str) -> None:
    assert (await ask(house, "POST", CHAT, json={"text": text}))[0] == 200
    said = await heard(house, 2)
    assert [line["text"] for line in said["messages"]] == [text, f"{text.upper()}!"]


async def test_what_cannot_be_said(house: House) -> None:
    await ask(house, "POST", "/api/v1/workflows/", json={"name": "none", "slug": "none"})
    refused = [
        (404, "Workflow not found.", "/api/v1/workflows/gone/chat/", "ed", {"text": "x"}),
        (404, "Workflow not found.", CHAT, "eve", {"text": "x"}),
        (404, "No chat trigger found.", "/api/v1/workflows/none/chat/", "ed", {"text": "x"}),
        (404, "No chat trigger found.", CHAT, "ed", {"text": "x", "trigger_node_id": "shout"}),
        (404, "No chat trigger found.", CHAT, "ed", {"text": "x", "trigger_node_id": "gone"}),
        (422, {"validation_errors": ["body.text: field required"]}, CHAT, "ed", {}),
        (422, {"validation_errors": ["body.text: input should be a valid string"]}, CHAT, "ed", {"text": None}),
    ]
    for status, detail, path, by, body in refused:
        assert await ask(house, "POST", path, by=by, json=body) == (status, {"detail": detail})
    assert (await ask(house, "POST", CHAT, by="vic", json={"text": "x"}))[0] in (403, 404)
    assert (await ask(house, "GET", f"{HISTORY}?before=yesterday"))[0] == 400
    assert (await ask(house, "GET", f"{HISTORY}?limit=-1"))[0] == 422
    for method in ("GET", "DELETE"):
        gone = await ask(house, method, "/api/v1/workflows/gone/chat/history")
        assert gone == (404, {"detail": "Workflow not found."})
    await ask(house, "PATCH", "/api/v1/workflows/loud/", json={"is_active": False})
    assert (await ask(house, "POST", CHAT, json={"text": "x"}))[0] == 400


# ── With people and other drawings in between ────────────────────────────────────────────────────────────────────


async def until(house: House, execution: str, field: str) -> dict[str, Any]:
    """The run's status once it says anything there."""
    for _ in range(4000):
        _, run = await ask(house, "GET", f"/api/v1/flow/status/{execution}")
        if run.get(field):
            return dict(run)
        await asyncio.sleep(0.005)
    raise AssertionError(f"it never had {field}: {run}")


async def said(house: House, slug: str) -> str:
    """The execution that hello has started."""
    status, told = await ask(house, "POST", f"/api/v1/workflows/{slug}/chat/", json={"text": "hello"})
    assert status == 200, told
    return str(told["execution_id"])


async def put_between(house: House, slug: str, node: dict[str, Any]) -> None:
    """The node stands between what is said and what makes it loud."""
    _, edges = await ask(house, "GET", f"/api/v1/workflows/{slug}/edges/")
    await ask(house, "DELETE", f"/api/v1/workflows/{slug}/edges/{edges['items'][0]['id']}/")
    status, told = await ask(house, "POST", f"/api/v1/workflows/{slug}/nodes/", json=node)
    assert status == 201, told
    for source, target in (("in", node["node_id"]), (node["node_id"], "shout")):
        edge = {"source_node_id": source, "target_node_id": target}
        status, told = await ask(house, "POST", f"/api/v1/workflows/{slug}/edges/", json=edge)
        assert status == 201, told


async def test_a_reply_comes_when_somebody_has_said_yes(house: House) -> None:
    await ask(house, "PATCH", "/api/v1/workflows/loud/nodes/shout/", json={"interrupt_before": True})
    execution = await said(house, "loud")
    (asked,) = (await until(house, execution, "AwaitedApprovals"))["AwaitedApprovals"]
    _, shown = await ask(house, "GET", f"/api/v1/executions/{execution}/")
    assert shown["status"] == "interrupted"
    path = f"/api/v1/flow/approve/{execution}/{asked['Edge']}"
    assert (await ask(house, "POST", path, by="eve", json={"Approve": True}))[0] == 400, "it is not there for her"
    assert (await ask(house, "POST", path, json={"Approve": True}))[0] == 200
    assert (await heard(house, 2))["messages"][1]["text"] == "HELLO!"


async def test_a_person_says_no(house: House) -> None:
    await put_between(house, "loud", {"node_id": "sure", "component_type": "human_confirmation"})
    execution = await said(house, "loud")
    (asked,) = (await until(house, execution, "AwaitedApprovals"))["AwaitedApprovals"]
    path = f"/api/v1/flow/approve/{execution}/{asked['Edge']}"
    _, run = await ask(house, "POST", path, json={"Approve": False, "Comment": "too loud"})
    assert run["Error"] == f"ed said no to edge {asked['Edge']}: too loud"
    _, shown = await ask(house, "GET", f"/api/v1/executions/{execution}/")
    assert (shown["status"], shown["error_message"]) == ("failed", run["Error"])


async def test_a_drawing_runs_another_and_a_third_when_that_fails(house: House) -> None:
    inner, after = await draw(house, "inner"), await draw(house, "after")
    await put_between(house, "loud", {"node_id": "inner", "component_type": "workflow", "subworkflow_id": inner})
    await ask(house, "PATCH", "/api/v1/workflows/loud/", json={"error_handler_workflow_id": after})
    await said(house, "loud")
    assert (await heard(house, 2))["messages"][1]["text"] == "HELLO!!"
    house.bench.executor.images.pop("acme/shout:latest")
    run = await until(house, await said(house, "loud"), "Error")
    assert " of flow inner failed: node shout: " in run["Error"]
    for _ in range(4000):
        _, listed = await ask(house, "GET", "/api/v1/flow/list?flow=after")
        if listed["Runs"]:
            break
        await asyncio.sleep(0.005)
    handler = await until(house, listed["Runs"][0]["ID"], "Labels")
    assert handler["Labels"] == {"failed": run["ID"]}
