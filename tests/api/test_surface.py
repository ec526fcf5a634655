"""The native surface over HTTP, on the real service in memory."""

import asyncio
import hashlib
import io
import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.containers import Outcome
from pupload.api import app as apps
from pupload.api import origins
from pupload.api import web as shared
from pupload.api.flow import problems, routes
from pupload.domain import ids
from tests.api.house import EXAMPLE, IMAGE, House, a_house
from tests.bench import PNG, TEXT

TEST = "/api/v1/flow/test"


async def started(house: House, **more: Any) -> Any:
    status, run = await house.call("POST", TEST, json=EXAMPLE, **more)
    assert status == 200, run
    return run


async def completed(house: House) -> Any:
    run = await started(house)
    async with house.client() as client:
        (put,) = run["WaitingURLs"]
        async with house.http.put(put["PutURL"], data=PNG) as answer:
            assert answer.status == 200
        return await client.wait(run["ID"])


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_contracts_example_waits_for_its_upload_and_then_completes(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await started(house)
        assert run["ID"].startswith("run_")
        assert run["Status"] == "WAITING"
        assert run["NodeState"]["resize-1"] == {
            "Status": "IDLE",
            "Logs": [],
            "Error": "",
            "Attempt": 0,
            "MaxAttempts": 3,
            "StartedAt": None,
            "FinishedAt": None,
            "ExitCode": None,
            "Progress": None,
        }
        (waiting,) = run["WaitingURLs"]
        assert set(waiting) == {"Artifact", "PutURL", "TTL"}
        assert waiting["Artifact"]["EdgeName"] == "input-image"
        assert waiting["TTL"].endswith("Z")
        run = await completed(house)
        state = run["NodeState"]["resize-1"]
        assert (run["Status"], state["Status"], state["Attempt"], state["ExitCode"]) == ("COMPLETE", "COMPLETE", 1, 0)
        times = [state["StartedAt"], state["FinishedAt"], run["FinishedAt"]]
        assert sorted(times, key=datetime.fromisoformat) == times
        (line,) = state["Logs"]
        assert line["message"] == "copied image"
        assert set(line) == {"timestamp", "level", "message", "stream"}
        artifact = run["Artifacts"]["output-image"]
        assert artifact["SHA256"] == hashlib.sha256(PNG).hexdigest()
        assert (artifact["Size"], artifact["ContentType"]) == (len(PNG), "image/png")
        assert run["WaitingURLs"] == []
        async with house.http.get(artifact["GetURL"]) as answer:
            assert await answer.read() == PNG


@pytest.mark.parametrize("run_id", ["run_nope", "run_01HZX3K9T8Q2B7M4N6P5R1S0VW", "a%2Fb", "%00", "x" * 3000])
async def test_an_unknown_run_is_told_in_the_contracts_words(tmp_path: Path, run_id: str) -> None:
    async with a_house(tmp_path) as house:
        for path in ("status", "logs", "events"):
            assert await house.call("GET", f"/api/v1/flow/{path}/{run_id}") == (400, "Flow run does not exist.")
        for path in (
            f"flow/cancel/{run_id}",
            f"flow/resume/{run_id}",
            f"upload/{run_id}/e",
            f"upload/{run_id}/e/complete",
        ):
            assert await house.call("POST", f"/api/v1/{path}") == (400, "Flow run does not exist.")


async def test_a_run_is_found_by_any_spelling_of_its_id(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await started(house)
        for spelling in (ids.uuid_of(run["ID"]), run["ID"].removeprefix("run_").lower()):
            status, same = await house.call("GET", f"/api/v1/flow/status/{spelling}")
            assert (status, same["ID"]) == (200, run["ID"])


async def test_an_invalid_flow_is_refused_with_every_finding_and_nothing_is_stored(tmp_path: Path) -> None:
    flow = {"Nodes": [{"ID": "a", "Uses": "no/such"}, {"ID": "a", "Uses": "pupload/resize", "Inputs": [{"Edge": ""}]}]}
    async with a_house(tmp_path) as house:
        status, body = await house.call("POST", TEST, json={**EXAMPLE, "Flow": flow})
        assert (status, body["error"]) == (400, "invalid flow")
        found = {(finding["Code"], finding["Path"]) for finding in body["Findings"]}
        assert ("NODE_001", "/Flow/Nodes/0/Uses") in found
        assert ("NODE_007", "/Flow/Nodes/1/ID") in found
        assert (await house.call("GET", "/api/v1/flow/list"))[1]["Total"] == 0
        status, said = await house.call("POST", "/api/v1/flow/validate", json={**EXAMPLE, "Flow": flow})
        assert (status, said["Valid"]) == (200, False)
        assert said["Findings"] == body["Findings"]


async def test_validate_runs_nothing_and_says_valid(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        odd = {**EXAMPLE, "Surprise": 1}
        status, said = await house.call("POST", "/api/v1/flow/validate", json=odd)
        assert (status, said["Valid"], said["Warnings"]) == (200, True, ["unknown field /Surprise"])
        assert (await house.call("GET", "/api/v1/flow/list"))[1] == {"Runs": [], "Total": 0, "Limit": 100, "Offset": 0}


async def test_a_repeated_request_with_one_key_answers_with_the_first_run(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        first = await started(house, headers={"Idempotency-Key": "k"})
        assert (await started(house, headers={"Idempotency-Key": "k"}))["ID"] == first["ID"]
        assert (await started(house, headers={"Idempotency-Key": "l"}))["ID"] != first["ID"]
        status, _ = await house.call("POST", TEST, json=EXAMPLE, headers={"Idempotency-Key": "k" * 256})
        assert status == 400


async def test_runs_are_listed_newest_first_in_pages(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        runs = [(await started(house))["ID"] for _ in range(3)]
        await house.call("POST", f"/api/v1/flow/cancel/{runs[0]}")
        _, page = await house.call("GET", "/api/v1/flow/list?limit=1&offset=1")
        assert ([run["ID"] for run in page["Runs"]], page["Total"]) == ([runs[1]], 3)
        _, page = await house.call("GET", "/api/v1/flow/list?status=stopped&flow=image-resize")
        assert [(run["ID"], run["Status"]) for run in page["Runs"]] == [(runs[0], "STOPPED")]
        for query in ("status=GONE", "limit=0", "limit=1001", "limit=x", "offset=-1", "limit=9" * 30):
            status, body = await house.call("GET", f"/api/v1/flow/list?{query}")
            assert (status, bool(body["error"])) == (400, True)


async def test_a_cancelled_run_is_stopped_and_can_be_resumed(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await started(house)
        assert (await house.call("POST", f"/api/v1/flow/resume/{run['ID']}"))[0] == 409
        status, body = await house.call("POST", f"/api/v1/flow/cancel/{run['ID']}", json={"mode": "pause"})
        assert (status, body["Problems"][0]["Path"]) == (400, "/Mode")
        status, stopped = await house.call("POST", f"/api/v1/flow/cancel/{run['ID']}", json={"Mode": "drain"})
        assert (status, stopped["Status"]) == (200, "STOPPED")
        assert (await house.call("POST", f"/api/v1/flow/cancel/{run['ID']}"))[1]["Status"] == "STOPPED"
        status, again = await house.call("POST", f"/api/v1/flow/resume/{run['ID']}", data=b"")
        assert (status, again["Status"]) == (200, "WAITING")
        assert again["ID"] != run["ID"]


async def test_a_resume_that_is_repeated_with_its_key_answers_with_the_first_new_run(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        key = {"Idempotency-Key": "once"}
        old = []
        for _ in range(2):
            run = await started(house)
            await house.call("POST", f"/api/v1/flow/cancel/{run['ID']}")
            old.append(run["ID"])
        new = [(await house.call("POST", f"/api/v1/flow/resume/{run}", headers=key))[1]["ID"] for run in (*old, *old)]
        assert new[:2] == new[2:]
        assert len({*old, *new}) == 4, "the key is the run's: another run's is another"
        assert (await house.call("POST", f"/api/v1/flow/resume/{old[0]}"))[1]["ID"] not in new
        long = {"Idempotency-Key": "x" * 256}
        assert (await house.call("POST", f"/api/v1/flow/resume/{old[0]}", headers=long))[0] == 400


async def test_attempts_are_counted_as_the_node_caused_them(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, lambda order: Outcome(code=3))
        run = await completed(house)
        state = run["NodeState"]["resize-1"]
        assert (run["Status"], state["Status"], state["Attempt"], state["ExitCode"]) == ("ERROR", "ERROR", 3, 3)
        assert state["Error"]
        assert run["Error"]


# ── Streams ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_events_go_on_after_the_last_one_received(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await completed(house)
        path = f"/api/v1/flow/events/{run['ID']}"
        _, text = await house.call("GET", path)
        blocks = [block for block in text.split("\n\n") if block.startswith("id: ")]
        kinds = [block.split("\n")[1].removeprefix("event: ") for block in blocks]
        assert (kinds[0], kinds[-1]) == ("run.created", "run.completed")
        assert [int(block.split("\n")[0][4:]) for block in blocks] == list(range(1, len(blocks) + 1))
        assert text.endswith('event: end\ndata: {"Status":"COMPLETE"}\n\n')
        _, rest = await house.call("GET", path, headers={"Last-Event-ID": "3"})
        assert [block for block in rest.split("\n\n") if block.startswith("id: ")] == blocks[3:]
        status, nothing = await house.call("GET", path, headers={"Last-Event-ID": str(len(blocks))})
        assert (status, nothing) == (204, "")
        assert (await house.call("GET", path, headers={"Last-Event-ID": "x"}))[0] == 400


async def test_an_event_stream_lives_while_nothing_happens_and_ends_with_its_run(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await started(house)
        async with house.http.get(f"{house.url}/api/v1/flow/events/{run['ID']}") as response:
            seen = b""
            async for piece in response.content.iter_any():
                seen += piece
                if b": still here" in seen and b"run.stopped" not in seen:
                    await house.call("POST", f"/api/v1/flow/cancel/{run['ID']}")
            assert seen.endswith(b'event: end\ndata: {"Status":"STOPPED"}\n\n')


async def test_logs_are_a_list_or_a_stream(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        lines = [f"line {number}" for number in range(700)]
        house.bench.image(IMAGE, lambda order: _written(order, lines))
        run = await completed(house)
        path = f"/api/v1/flow/logs/{run['ID']}"
        _, page = await house.call("GET", f"{path}?node=resize-1&attempt=1")
        assert [record["message"] for record in page["Logs"]] == lines
        assert page["Next"] == page["Logs"][-1]["cursor"]
        assert (page["Logs"][0]["node"], page["Logs"][0]["attempt"]) == ("resize-1", 1)
        assert (await house.call("GET", f"{path}?since={page['Next']}"))[1] == {"Logs": [], "Next": page["Next"]}
        assert (await house.call("GET", f"{path}?node=other"))[1]["Logs"] == []
        _, text = await house.call("GET", f"{path}?follow=true&since={page['Logs'][-2]['cursor']}")
        assert text.count("event: log\n") == 1
        assert '"message":"line 699"' in text
        assert (await house.call("GET", f"{path}?follow=perhaps"))[0] == 400


def _written(order: Any, lines: list[str]) -> Outcome:
    (order.outputs / "resized").write_bytes(PNG)
    return Outcome(said=lines)


async def test_a_stream_ends_when_the_server_goes_down(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await started(house)
        response = await house.http.get(f"{house.url}/api/v1/flow/events/{run['ID']}")
        await response.content.readuntil(b"run.waiting")
    rest = await response.content.read()
    assert b"event: end" not in rest


async def test_head_of_a_stream_is_its_head(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await started(house)
        async with house.http.head(f"{house.url}/api/v1/flow/events/{run['ID']}") as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")


# ── Uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_waiting_edge_gets_a_fresh_url_and_others_do_not(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await started(house)
        place = f"/api/v1/upload/{run['ID']}"
        status, ticket = await house.call("POST", f"{place}/input-image")
        assert (status, ticket["UploadID"], ticket["Parts"]) == (200, None, [])
        status, body = await house.call("POST", f"{place}/input-image/complete")
        assert (status, "not there yet" in body["error"]) == (409, True)
        async with house.http.put(ticket["PutURL"], data=PNG) as answer:
            assert answer.status == 200
        status, run = await house.call("POST", f"{place}/input-image/complete")
        assert (status, "input-image" in run["Artifacts"]) == (200, True)
        for edge in ("input-image", "output-image", "no-such"):
            status, body = await house.call("POST", f"{place}/{edge}")
            assert (status, "does not wait for an upload" in body["error"]) == (409, True)
        status, body = await house.call("POST", f"{place}/input-image", json={"Size": "5"})
        assert (status, body["Problems"][0]["Path"]) == (400, "/Size")


async def test_a_large_upload_goes_in_parts(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.store.single_put_limit = 4
        run = await started(house)
        place = f"/api/v1/upload/{run['ID']}/input-image"
        _, ticket = await house.call("POST", place, json={"Size": len(PNG)})
        assert (ticket["PutURL"], len(ticket["Parts"]), ticket["Received"]) == ("", 1, [])
        assert (await house.call("POST", f"{place}/abort", json={"UploadID": ticket["UploadID"]}))[0] == 204
        _, ticket = await house.call("POST", place, json={"Size": len(PNG)})
        async with house.http.put(ticket["Parts"][0]["PutURL"], data=PNG) as answer:
            assert answer.status == 200
        _, again = await house.call("POST", place, json={"Size": len(PNG)})
        assert [(part["Number"], part["Size"]) for part in again["Received"]] == [(1, len(PNG))]
        status, run = await house.call("POST", f"{place}/complete", json={"UploadID": ticket["UploadID"]})
        assert (status, run["Artifacts"]["input-image"]["Size"]) == (200, len(PNG))


async def test_webhook_urls_begin_with_the_name_that_users_know(tmp_path: Path) -> None:
    flow = {**EXAMPLE["Flow"], "DataWells": [{"Edge": "input-image", "Source": "webhook"}]}
    async with a_house(tmp_path, public_url="https://flows.example.org") as house:
        _, run = await house.call("POST", TEST, json={**EXAMPLE, "Flow": flow})
        assert run["WaitingURLs"][0]["PutURL"].startswith("https://flows.example.org/api/v1/upload/run_")


async def test_a_webhook_takes_a_body_for_its_token_only(tmp_path: Path) -> None:
    flow = {**EXAMPLE["Flow"], "DataWells": [{"Edge": "input-image", "Source": "webhook"}]}
    async with a_house(tmp_path) as house:
        _, run = await house.call("POST", TEST, json={**EXAMPLE, "Flow": flow})
        (waiting,) = run["WaitingURLs"]
        assert waiting["Method"] == "POST"
        url = waiting["PutURL"].removeprefix(house.url)
        assert (await house.call("POST", url[:-1], data=PNG))[0] == 403
        assert (await house.call("POST", url, data=PNG, headers={"Content-Encoding": "gzip"}, compress=False))[0] == 415
        status, run = await house.call("POST", url, data=PNG)
        assert (status, run["Artifacts"]["input-image"]["Size"]) == (200, len(PNG))


async def test_a_refused_upload_is_told(tmp_path: Path) -> None:
    typed = {**EXAMPLE["NodeDefs"][0], "Inputs": [{"Name": "image", "Type": ["image/*"]}], "Flags": [{"Name": "width"}]}
    typed["Outputs"] = [{"Name": "resized"}]
    async with a_house(tmp_path) as house:
        _, run = await house.call("POST", TEST, json={**EXAMPLE, "NodeDefs": [typed]})
        async with house.http.put(run["WaitingURLs"][0]["PutURL"], data=TEXT):
            pass
        async with house.client() as client:
            run = await client.wait(run["ID"])
        assert run["Status"] == "ERROR"
        assert "text/plain" in run["Error"]
        assert "image/*" in run["Error"]


# ── Projects and nodes ───────────────────────────────────────────────────────────────────────────────────────────

STORE = {
    "Name": "s",
    "Type": "s3",
    "Params": {"Endpoint": "h", "bucketname": "b", "AccessKey": "AK", "SecretKey": "SK"},
}


async def test_a_project_is_stored_shown_without_secrets_and_its_flows_run(tmp_path: Path) -> None:
    project_id = str(uuid.uuid4())
    path = f"/api/v1/project/{project_id}"
    flow = {**EXAMPLE["Flow"], "Stores": [STORE]}
    async with a_house(tmp_path) as house:
        assert await house.call("GET", path) == (404, {"error": "project does not exist"})
        assert (await house.call("POST", f"{path}/flows/image-resize"))[0] == 404
        body = {"ID": project_id.upper(), "Flows": [flow], "NodeDefs": EXAMPLE["NodeDefs"]}
        status, shown = await house.call("POST", path, json=body)
        assert status == 200
        assert (await house.call("GET", path)) == (200, shown)
        params = shown["Flows"][0]["Stores"][0]["Params"]
        assert params == {"Endpoint": "h", "BucketName": "b", "AccessKey": "***", "SecretKey": "***"}
        status, refused = await house.call("POST", path, json=shown)
        assert status == 400
        assert [each["Path"] for each in refused["Problems"]] == [
            "/Flows/0/Stores/0/Params/AccessKey",
            "/Flows/0/Stores/0/Params/SecretKey",
        ]
        status, run = await house.call("POST", f"{path}/flows/image-resize")
        assert (status, run["Status"]) == (200, "WAITING")
        status, body = await house.call("POST", f"{path}/flows/nope")
        assert (status, "nope" in body["error"]) == (404, True)
        assert (await house.call("POST", path, json={"ID": str(uuid.uuid4())}))[0] == 400
        assert await house.call("GET", "/api/v1/project/x") == (400, {"error": "invalid project id"})


async def test_node_types_are_listed(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        _, body = await house.call("GET", "/api/v1/node/list")
        assert [(each["Publisher"], each["Name"]) for each in body["NodeDefs"]] == [("pupload", "resize")]


# ── What every request meets ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "Expecting value"),
        (b"{", "line 1"),
        (b"[]", "must be an object, not a list"),
        (b"{}", "/Flow is required"),
        (b'{"Flow": null}', "/Flow is required"),
        (b'{"Flow": {"Nodes": [null]}}', "/Flow/Nodes/0 must be an object"),
        (b'{"Flow": {"Name": 5}}', "/Flow/Name must be a text, not a number"),
        (b'{"Flow": {}, "flow": {}}', "Flow twice"),
        (b'{"Flow": {"Nodes": [], "Steps": []}}', "Nodes twice"),
        (b'{"Flow": {}, "Flow": {}}', "given twice"),
        (b'{"Flow": {"Name": NaN}}', "NaN"),
        (b'{"Flow": 1e999}', "too large"),
        (b'{"Flow": ' + b"9" * 5000 + b"}", "too large"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"Flow": {"Name": "\xff"}}', "UTF-8"),
        (b'{"Flow": {"Name": "\\ud800"}}', "lone surrogate"),
        (b'{"Flow": {"Name": "\\u0000"}}', "NUL"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_with_a_sentence(
    tmp_path: Path, body: bytes, sentence: str
) -> None:
    async with a_house(tmp_path) as house:
        status, said = await house.call("POST", TEST, data=body)
        assert status == 400
        assert sentence in said["error"]


async def test_all_wrong_places_are_told_at_once(tmp_path: Path) -> None:
    body = {"Flow": {"Name": 1, "Nodes": {}}, "NodeDefs": [{"MaxAttempts": "3", "Command": {"Exec": 1}}]}
    async with a_house(tmp_path) as house:
        _, said = await house.call("POST", TEST, json=body)
        places = {each["Path"] for each in said["Problems"]}
        assert places == {"/Flow/Name", "/Flow/Nodes", "/NodeDefs/0/MaxAttempts", "/NodeDefs/0/Command/Exec"}


async def test_a_body_over_the_limit_is_413(tmp_path: Path) -> None:
    async with a_house(tmp_path, body_limit=1000) as house:
        assert (await house.call("POST", TEST, data=io.BytesIO(b"x" * 100_000)))[0] == 413
        assert (await house.call("POST", TEST, data=b"x" * 999))[0] == 400
        assert (await house.call("POST", TEST, data=b"x", headers={"Content-Encoding": "br"}, compress=False))[0] == 415


async def test_a_body_that_does_not_arrive_is_cut_off(tmp_path: Path) -> None:
    async with a_house(tmp_path, body_seconds=0.05) as house:
        reader, writer = await _raw(house, b"POST /api/v1/flow/test HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        assert (await reader.readline()).split()[1] == b"408"
        await reader.read()  # the server closes
        writer.close()
        await writer.wait_closed()


async def _raw(house: House, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = house.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    await writer.drain()
    return reader, writer


async def test_whatever_takes_too_long_is_503(tmp_path: Path) -> None:
    async with a_house(tmp_path, request_seconds=0.05) as house:

        async def stuck(*_: object, **__: object) -> None:
            await asyncio.Event().wait()

        house.bench.runs.list = stuck  # type: ignore[assignment,method-assign]
        async with house.http.get(f"{house.url}/api/v1/flow/list") as response:
            assert (response.status, "Retry-After" in response.headers) == (503, True)
            assert "0.05 s" in (await response.json())["error"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.DatabaseUnavailable(reason="r"), 503),
        (errors.Forbidden(reason="r"), 403),
        (errors.TooLarge(what="w", limit=1), 413),
        (errors.Conflict(reason="r"), 409),
        (errors.StoreRefused(store="s", code="c", reason="r"), 502),
        (errors.Damaged(what="a secret", reason="r"), 500),
        (errors.Misconfigured(reason="a secret"), 500),
        (ValueError("a secret"), 500),
    ],
)
async def test_each_error_has_its_status(tmp_path: Path, error: Exception, status: int) -> None:
    async with a_house(tmp_path) as house:

        async def fail(*_: object, **__: object) -> None:
            raise error

        house.bench.runs.list = fail  # type: ignore[assignment,method-assign]
        async with house.http.get(f"{house.url}/api/v1/flow/list") as response:
            body = await response.json()
            assert response.status == status
            assert body["error"]
            assert "secret" not in body["error"]
            assert ("Retry-After" in response.headers) == (status == 503)
            assert (body.get("RequestID") == response.headers["X-Request-ID"]) == (status >= 500)


async def test_the_frameworks_refusals_have_the_owners_shape(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        owned = {"/api/v1/flow/nope": "error", "/nope": "error", "/api/v1/flow/status": "error", "/api/nope": "error"}
        owned |= {"/api/v1/nope": "detail", "/api/v1": "detail", "/ws/nope": "detail", "/api/projects/a/b": "detail"}
        for path, word in owned.items():
            status, body = await house.call("GET", path)
            assert (path, status, set(body)) == (path, 404, {word})
        async with house.http.delete(f"{house.url}{TEST}") as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
            assert set(await response.json()) == {"error"}


async def test_a_slash_at_the_end_is_no_other_path(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        assert (await house.call("GET", "/api/v1/flow/list/", allow_redirects=False))[0] == 200
        assert (await house.call("POST", TEST + "/", json=EXAMPLE, allow_redirects=False))[0] == 200


async def test_every_get_answers_head(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await started(house)
        async with house.http.put(run["WaitingURLs"][0]["PutURL"], data=b"plain words") as put:
            assert put.status == 200
        await house.call("POST", f"/api/v1/upload/{run['ID']}/input-image/complete")
        await house.call("PUT", "/api/v1/flow/saved/shrink", json=EXAMPLE)
        _, made = await house.call("POST", "/api/v1/flow/schedules", json={"Flow": "shrink", "Interval": "9h"})
        names = {"{flowRunID}": run["ID"], "{node}": "resize-1", "{flow}": "shrink", "{scheduleID}": made["ID"]}
        credential = {"Name": "mine", "Type": "llm", "Detail": {"api_key": "sk-0123456789abcdef"}}
        await house.call("POST", "/api/v1/flow/credentials", json=credential)
        await house.call("PUT", "/api/v1/flow/drawings/mine", json={"Name": "mine"})
        await house.let_in({"root": "admin"})
        names |= {"{source}": "api", "{edge}": "input-image", "{credential}": "mine", "{drawing}": "mine"}
        names |= {"{account}": "1"}
        for route in routes.ROUTES:
            # A WebSocket has no head.
            if route.method == "GET" and "projectID" not in route.path and not route.path.endswith("/ws"):
                path = route.path
                for name, value in names.items():
                    path = path.replace(name, value)
                if path.endswith(run["ID"]):
                    path += "?edge=input-image"  # some routes want a file
                if path.endswith("/search"):
                    path += "?q=shrink"  # and one a text
                async with house.http.head(house.url + path, headers=house.shown("root")) as response:
                    assert (route.path, response.status, await response.read()) == (route.path, 200, b"")


async def test_a_request_has_an_id(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        async with house.http.get(f"{house.url}/healthz", headers={"X-Request-ID": "abc-1"}) as response:
            assert response.headers["X-Request-ID"] == "abc-1"
        async with house.http.get(f"{house.url}/healthz", headers={"X-Request-ID": "a b"}) as response:
            assert response.headers["X-Request-ID"] != "a b"


async def test_the_access_log_never_has_a_query(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with a_house(tmp_path) as house:
        with caplog.at_level("INFO", logger="pupload.access"):
            await house.call("GET", "/api/v1/flow/list?flow=SECRET")
        (line,) = [record.getMessage() for record in caplog.records if record.name == "pupload.access"]
        assert line.startswith("GET /api/v1/flow/list 200 ")
        assert "SECRET" not in line


# ── Browsers ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_pages_of_other_origins_may_change_nothing(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        for origin in ("https://evil.example", "null", "http://localhost:9"):
            assert (await house.call("POST", TEST, json=EXAMPLE, headers={"Origin": origin}))[0] == 403
            async with house.http.get(f"{house.url}/healthz", headers={"Origin": origin}) as response:
                assert "Access-Control-Allow-Origin" not in response.headers
        assert (await house.call("POST", TEST, json=EXAMPLE, headers={"Origin": house.url}))[0] == 200


async def test_pages_of_an_allowed_origin_may(tmp_path: Path) -> None:
    policy = origins.Policy(origins=("https://good.example",), loopback=True)
    asked = {"Access-Control-Request-Method": "POST"}
    async with a_house(tmp_path, policy=policy) as house:
        for origin in ("https://good.example", "http://localhost:5173", "http://[::1]:3"):
            async with house.http.options(house.url + TEST, headers={"Origin": origin, **asked}) as response:
                assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (204, origin)
            async with house.http.post(house.url + TEST, json=EXAMPLE, headers={"Origin": origin}) as response:
                assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, origin)
        refused = {"Origin": "https://good.example.evil", **asked}
        assert (await house.call("OPTIONS", TEST, headers=refused))[0] == 403


async def test_a_foreign_name_for_this_server_is_refused(tmp_path: Path) -> None:
    async with a_house(tmp_path, policy=origins.Policy(hosts=origins.LOOPBACK)) as house:
        assert (await house.call("GET", "/healthz"))[0] == 200
        assert (await house.call("GET", "/healthz", headers={"Host": "evil.example"}))[0] == 421


# ── The server's pages ───────────────────────────────────────────────────────────────────────────────────────────


async def test_health_is_503_where_something_does_not_answer(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        status, body = await house.call("GET", "/healthz")
        assert (status, body["status"], body["version"]) == (200, "ok", "1.2.3")

        async def gone() -> None:
            raise errors.ExecutorUnavailable(host="h", reason="r")

        house.bench.executor.capacity = gone  # type: ignore[assignment,method-assign]
        status, body = await house.call("GET", "/healthz")
        assert (status, body["status"]) == (503, "unwell")
        assert [line["name"] for line in body["lines"] if not line["ok"]] == ["engine"]


async def test_metrics_count_by_route_and_not_by_id(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await completed(house)
        await house.call("GET", f"/api/v1/flow/status/{run['ID']}")
        await house.call("GET", "/api/v1/flow/status/nope")
        await house.call("GET", "/some/where")
        status, text = await house.call("GET", "/metrics")
        assert status == 200
        route = 'route="/api/v1/flow/status/{flowRunID}",status="400"'
        assert f'pupload_http_requests_total{{method="GET",{route}}} 1.0' in text
        assert 'route="(none)",status="404"' in text
        assert "pupload_uploads_total 1.0" in text
        assert 'pupload_events_total{kind="run.completed"} 1.0' in text
        assert run["ID"] not in text
        assert 'pupload_http_request_seconds_count{method="GET",route="/api/v1/flow/events/{flowRunID}"}' not in text


async def test_the_first_page_says_what_this_is(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        _, body = await house.call("GET", "/")
        assert (body["name"], body["openapi"]) == ("pupload", "/api/openapi.json")


# ── Assembling ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _nothing(_: Any) -> Any:
    raise AssertionError


def _route(path: str, method: str = "GET") -> shared.Route:
    return shared.Route(method=method, path=path, handler=_nothing, needs=None, summary="s")


def test_two_claims_to_one_path_are_refused() -> None:
    apps.in_order([_route("/a/{x}"), _route("/a/{x}", "POST")])
    with pytest.raises(errors.Misconfigured, match="claimed twice"):
        apps.in_order([_route("/a/{x}"), _route("/a/{y}")])


def test_literal_steps_come_before_parameters() -> None:
    found = apps.in_order([_route("/a/{x}"), _route("/{y}/b"), _route("/a/b")])
    assert [route.path for route in found] == ["/a/b", "/a/{x}", "/{y}/b"]


def test_a_problem_with_findings_is_json_the_contract_shows() -> None:
    trouble = shared.Trouble(status=400, sentence="invalid flow", request_id="1", error=errors.Invalid(what="flow"))
    body = problems.write(trouble).body
    assert isinstance(body, bytes)
    assert json.loads(body) == {"error": "invalid flow"}


async def test_a_run_that_has_ended_is_purged_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        _, run = await house.call("POST", "/api/v1/flow/test", json=EXAMPLE)
        place = f"/api/v1/flow/purge/{run['ID']}"
        status, body = await house.call("POST", place)
        assert (status, body["error"]) == (
            409,
            f"run {run['ID']} is WAITING: only a run that has ended can be purged; cancel it first",
        )
        await house.call("POST", f"/api/v1/flow/cancel/{run['ID']}")
        async with house.client() as client:
            await client.wait(run["ID"])
            await client.purge(run["ID"])
            for ask in (client.purge, client.status):
                with pytest.raises(errors.UnknownRun):
                    await ask(run["ID"])
            assert (await client.list())["Total"] == 0
