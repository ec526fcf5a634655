"""The flwd surface over real sockets: what waits, what streams, what is downloaded, and what goes wrong."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from pupload import errors, ports
from pupload.adapters.memory import containers
from pupload.adapters.memory.clock import VirtualClock
from pupload.api import limiting
from pupload.api.flwd import problems
from pupload.domain import ids
from pupload.service.views import HealthLine
from tests.api.house import EXAMPLE, IMAGE, House, a_house

BASE = "/api/v1"
EVENTS = f"{BASE}/events/runs"


def writes(data: bytes, *, said: tuple[str, ...] = ("at work",), **outcome: Any) -> containers.Script:
    """A node that writes it and says so."""

    def run(order: ports.ContainerOrder) -> containers.Outcome:
        (order.outputs / "resized").write_bytes(data)
        return containers.Outcome(said=list(said), **outcome)

    return run


def a_job(edge: str = "result", **flow: Any) -> dict[str, Any]:
    """A flow without inputs, whose only node writes to the edge."""
    node = {"ID": "say", "Uses": "pupload/resize", "Outputs": [{"Name": "resized", "Edge": edge}]}
    definition = {**EXAMPLE["NodeDefs"][0], "MaxAttempts": 1}
    return {"Flow": {"Name": "say", "Nodes": [node], **flow}, "NodeDefs": [definition]}


async def save(house: House, name: str = "say", **job: Any) -> None:
    status, answer = await house.call("PUT", f"/api/v1/flow/saved/{name}", json=a_job(**job))
    assert status == 200, answer


async def start(
    house: House, job_id: str = "say", *, headers: Any = None, wait: bool = False, **body: Any
) -> tuple[int, Any, Any]:
    """Status, body and headers of the answer to POST."""
    asked = {"job_id": job_id, "async": not wait, **body}
    async with house.http.post(f"{house.url}{BASE}/runs", json=asked, headers=headers or {}) as answer:
        return answer.status, await answer.json(), answer.headers


async def over(house: House, **body: Any) -> dict[str, Any]:
    """A run that is over, in detail."""
    status, answer, _ = await start(house, wait=True, **body)
    assert status == 201, answer
    return dict((await house.call("GET", f"{BASE}/runs/{answer['run_id']}"))[1])


async def problem(house: House, method: str, path: str, **more: Any) -> tuple[int, str]:
    """Status and slug of a refusal, which has the shape of one."""
    async with house.http.request(method, house.url + path, **more) as answer:
        assert answer.content_type == "application/problem+json", await answer.text()
        said = await answer.json()
        assert said["status"] == answer.status
        assert said["instance"] == path.partition("?")[0]
        slug = said["type"].removeprefix(problems.TYPES)
        assert said["title"] == problems.title(slug)
        assert said["detail"]
        assert answer.headers["X-RateLimit-Limit"]
        return answer.status, slug


def parsed(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Id, name and data of the events of a stream."""
    found = []
    for block in text.split("\n\n"):
        facts = dict(line.partition(": ")[::2] for line in block.split("\n"))
        if "data" in facts:
            found.append((facts.get("id", ""), facts["event"], json.loads(facts["data"])))
    return found


async def told(house: House, query: str, **headers: str) -> list[tuple[str, str, dict[str, Any]]]:
    """All events of a stream that ends."""
    async with house.http.get(house.url + EVENTS + query, headers=headers) as answer:
        if answer.status == 204:
            return []
        assert answer.status == 200, await answer.text()
        return parsed(await answer.text())


# ── Waiting, keys ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_waits_is_told_the_end(tmp_path: Path) -> None:
    async with a_house(tmp_path, request_seconds=0.2) as house:
        house.bench.image(IMAGE, writes(b'{"files_backed_up": 1234}', seconds=120))
        await save(house)
        status, answer, _ = await start(house, wait=True)
        assert (status, answer["status"], answer["job_id"]) == (201, "success", "default/say")
        house.bench.image(IMAGE, writes(b"", code=3))
        async with house.http.post(f"{house.url}{BASE}/runs", json={"job_id": "say", "async": False}) as failed:
            said = await failed.json()
        assert (failed.status, failed.content_type) == (500, problems.MEDIA)
        assert said["type"] == "https://flowd.org/problems/execution-error"
        assert said["title"] == "Execution Error"
        _, run = await house.call("GET", f"{BASE}/runs/{said['run_id']}")
        assert run["status"] == "failed"
        assert run["error"] in said["detail"]


async def test_a_key_is_good_for_one_request(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(b"1"))
        await save(house)
        await save(house, "shout")
        key = {"Idempotency-Key": "once-0123456789-0123456789"}
        status, first, headers = await start(house, args={"a": 1}, headers=key)
        assert (status, headers.get("Idempotent-Replay")) == (201, None)
        status, second, headers = await start(house, args={"a": 1}, headers=key, wait=True)
        assert (status, headers.get("Idempotent-Replay")) == (201, "true")
        assert (second["run_id"], second["status"]) == (first["run_id"], "success")
        for other in ({"args": {"a": 2}}, {"args": {"a": 1}, "tenant": "b"}, {"args": {"a": 1}, "job_id": "shout"}):
            status, said, _ = await start(house, headers=key, **other)
            assert (status, said["type"]) == (409, "https://flowd.org/problems/idempotency-key-conflict")
        assert (await house.call("GET", f"{BASE}/runs"))[1]["total"] == 1
        assert (await start(house, headers={"Idempotency-Key": "x" * 256}))[0] == 400


async def test_arguments_of_any_kind_become_texts(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(b"1"))
        params = [{"Name": "n", "Type": "number"}, {"Name": "b", "Type": "boolean"}, {"Name": "o"}, {"Name": "s"}]
        await save(house, Params=params)
        given = {"n": 1.50, "b": False, "o": {"a": [1, None, "ü"]}, "s": "x", "missing": None}
        run = await over(house, args=given)
        assert run["args"] == {"n": 1.5, "b": False, "o": '{"a":[1,null,"ü"]}', "s": "x"}
        found = await house.bench.runs.find(run["run_id"])
        assert found.plan.params == {"n": "1.5", "b": "false", "o": '{"a":[1,null,"ü"]}', "s": "x"}
        assert found.plan.labels == {"tenant": "default"}


async def test_a_run_of_no_saved_flow_has_a_job_of_its_own(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run_id = (await house.call("POST", "/api/v1/flow/test", json=EXAMPLE))[1]["ID"]
        run = (await house.call("GET", f"{BASE}/runs/{run_id}"))[1]
        job_id = run_id.replace("run_", "flow_")
        assert (run["job_id"], run["status"]) == (job_id, "pending")
        line = {name: run[name] for name in ("run_id", "job_id", "status", "created_at")}
        for query, runs in (("", [line]), ("&status=pending", [line]), ("&status=failed", [])):
            _, found = await house.call("GET", f"{BASE}/runs?job_id={job_id}{query}")
            assert found == {"runs": runs, "total": len(runs)}
        assert await problem(house, "GET", f"{BASE}/jobs/{job_id}") == (404, "job-not-found")
        assert (await house.call("GET", f"{BASE}/jobs"))[1] == {"jobs": []}


# ── Results and artifacts ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"n": 123456789012345678901234567890, "m": 1.10}', {"n": 123456789012345678901234567890, "m": 1.1}),
        (b"42", 42),
        (b"null", None),
        (b"words\n", "words\n"),
        (b"{not json", "{not json"),
        (b"NaN", "NaN"),
        (b"", ""),
        ("ü".encode(), "ü"),
    ],
)
async def test_the_edge_named_result_is_the_result(tmp_path: Path, data: bytes, value: Any) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(data))
        await save(house)
        assert (await over(house))["result"] == {"value": value}


async def test_a_large_result_and_one_of_other_bytes_is_where_it_is(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await save(house)
        for data, media in ((b"x" * (1024 * 1024 + 1), "text/plain"), (b"\x89PNG\r\n\x1a\n", "image/png")):
            house.bench.image(IMAGE, writes(data))
            run = await over(house)
            value = run["result"]["value"]
            assert (value["media_type"], value["size_bytes"]) == (media, len(data))
            async with house.http.get(value["url"]) as answer:
                assert await answer.read() == data
            async with house.http.get(f"{house.url}{BASE}/artifacts/{value['artifact_id']}") as answer:
                assert await answer.read() == data


async def test_where_no_edge_is_named_so_the_only_text_is_the_result(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(b"42"))
        await save(house, edge="report")
        assert (await over(house))["result"] == {"value": "42"}


async def test_bytes_come_as_they_are_whole_and_in_ranges(tmp_path: Path) -> None:
    data = bytes(range(256)) * 12_000  # several pieces
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(data))
        await save(house)
        run = await over(house)
        (line,) = (await house.call("GET", f"{BASE}/artifacts?run_id={run['run_id']}"))[1]["artifacts"]
        url = f"{house.url}{BASE}/artifacts/{line['id']}"
        async with house.http.get(url) as answer:
            assert await answer.read() == data
            etag = answer.headers["ETag"]
            assert answer.headers["Content-Security-Policy"].startswith("sandbox")
            assert answer.headers["Content-Disposition"].startswith("attachment")
        async with house.http.head(url) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(data)))
        for asked, part in (
            ("bytes=0-0", data[:1]),
            ("bytes=5-", data[5:]),
            ("bytes=-7", data[-7:]),
            ("bytes=1048570-2097160", data[1048570:2097161]),
            (f"bytes=10-{len(data) * 2}", data[10:]),
        ):
            async with house.http.get(url, headers={"Range": asked, "If-Range": etag}) as answer:
                assert (answer.status, await answer.read() == part) == (206, True)
        for headers in ({"Range": "bytes=0-1", "If-Range": '"x"'}, {"Range": "bytes=0-1,3-4"}, {"Range": "lines=1"}):
            async with house.http.get(url, headers=headers) as answer:
                assert (answer.status, await answer.read() == data) == (200, True)
        async with house.http.get(url, headers={"If-None-Match": f'"a", W/{etag}'}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        path = f"{BASE}/artifacts/{line['id']}"
        far = {"Range": f"bytes={len(data)}-"}
        assert await problem(house, "GET", path, headers=far) == (416, "range-not-satisfiable")


async def test_what_was_deleted_is_not_listed_and_says_so(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(b"1"))
        await save(house)
        runs = [await over(house) for _ in range(3)]
        await house.bench.until(lambda: not house.bench.engine.driver.live)
        of = {run["run_id"]: ids.artifact_id(run["run_id"], "result") for run in runs}
        listed = (await house.call("GET", f"{BASE}/artifacts"))[1]["artifacts"]
        assert [each["id"] for each in listed] == list(of.values())[::-1]
        second = (await house.call("GET", f"{BASE}/artifacts?limit=1&offset=1"))[1]["artifacts"]
        assert [each["id"] for each in second] == [list(of.values())[1]]
        tidied, lost, purged = of
        now = house.bench.clock.now()
        await house.bench.world.runs.tidied(tidied, gone=["result"], at=now)
        house.bench.engine.driver.forget(tidied)
        await house.bench.store.delete((await house.bench.runs.find(lost)).artifacts["result"].key)
        await house.bench.runs.purge(purged)
        for run_id, words in ((tidied, "deleted at"), (lost, "not in the store"), (purged, "does not exist")):
            status, said = await house.call("GET", f"{BASE}/artifacts/{of[run_id]}")
            assert (status, words in str(said)) == (404, True), (words, said)
            assert await problem(house, "GET", f"{BASE}/artifacts/{of[run_id]}") == (404, "artifact-not-found")
        listed = (await house.call("GET", f"{BASE}/artifacts"))[1]["artifacts"]
        assert [each["run_id"] for each in listed] == [lost]
        assert (await house.call("GET", f"{BASE}/runs/{lost}"))[1]["result"] == {"value": None}


# ── Streams ──────────────────────────────────────────────────────────────────────────────────────────────────────

FINISHED = b"event: run.finished\n"

ALL = [
    *("run.created", "run.started", "step.started"),
    *("step.output", "run.output") * 3,
    *("step.finished", "run.finished"),
]


async def test_a_run_is_told_from_its_beginning_and_from_wherever_a_client_was(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(b"1", said=("one", "two", "three")))
        await save(house)
        run_id = (await start(house))[1]["run_id"]
        every = await told(house, f"?run_id={run_id}")
        assert [name for _, name, _ in every] == ALL
        assert await told(house, f"?run_id={ids.uuid_of(run_id)}") == every
        for _, name, data in every:
            assert data["run_id"] == run_id
            assert data["job_id"] == "default/say"
            assert data.get("status") == {
                "run.created": "pending",
                "run.started": "running",
                "run.finished": "success",
                "step.finished": "success",
            }.get(name)
        for place, (last, _, _) in enumerate(every):
            if last:
                assert await told(house, f"?run_id={run_id}", **{"Last-Event-ID": last}) == every[place + 1 :]
                assert await told(house, f"?run_id={run_id}&last_event_id={last}") == every[place + 1 :]
        async with house.http.get(f"{house.url}{EVENTS}?run_id={run_id}") as answer:
            assert (await answer.text()).startswith("retry: 2000\n:connected\n\n")
        status = await problem(house, "GET", f"{EVENTS}?run_id={run_id}&job_id=say&last_event_id=1.1.1")
        assert status == (400, "validation-error")


async def test_retries_skips_and_failures_are_told(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(b"", code=2))
        job = a_job(edge="middle")
        job["Flow"]["Nodes"].append(
            {
                "ID": "then",
                "Uses": "pupload/resize",
                "Inputs": [{"Name": "image", "Edge": "middle"}],
                "Outputs": [{"Name": "resized", "Edge": "end"}],
            }
        )
        job["NodeDefs"][0]["MaxAttempts"] = 2
        await house.call("PUT", "/api/v1/flow/saved/say", json=job)
        run_id = (await start(house))[1]["run_id"]
        every = await told(house, f"?run_id={run_id}")
        steps = [
            (name, data["step_id"], data.get("attempt", data.get("status")))
            for _, name, data in every
            if name in ("step.started", "step.finished")
        ]
        assert steps == [
            ("step.started", "say", 1),
            ("step.started", "say", 2),
            ("step.finished", "say", "failed"),
            ("step.finished", "then", "skipped"),
        ]
        assert [name for _, name, _ in every].count("run.started") == 1
        failed = next(data for _, name, data in every if name == "step.finished")
        assert (failed["exit_code"], bool(failed["error"])) == (2, True)
        assert (every[-1][1], every[-1][2]["status"]) == ("run.finished", "failed")


async def test_a_hundred_followers_of_two_hundred_runs_are_told_all(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(b"1", said=("one", "two", "three")))
        await save(house)
        ready = asyncio.Semaphore(0)

        async def follow(number: int) -> bytes:
            heard, ended, rest = [], 0, b""
            query = "?job_id=say" if number % 2 else ""
            async with crowd.get(house.url + EVENTS + query) as answer:
                ready.release()
                async for piece in answer.content.iter_any():
                    heard.append(piece)
                    ended += (rest + piece).count(FINISHED)
                    rest = piece[1 - len(FINISHED) :]
                    if ended == 200 and piece.endswith(b"\n\n"):
                        break
            return re.sub(rb"(?m)^(?:retry|:|id).*\n+", b"", b"".join(heard))

        async with ClientSession(connector=TCPConnector(limit=0)) as crowd, asyncio.timeout(100):
            following = [asyncio.ensure_future(follow(number)) for number in range(100)]
            for _ in following:
                await ready.acquire()
            runs = [(await start(house))[1]["run_id"] for _ in range(200)]
            first, *others = await asyncio.gather(*following)
        assert all(heard == first for heard in others)
        counted = Counter((name, data["run_id"]) for _, name, data in parsed(first.decode()))
        assert counted == Counter({(name, run_id): ALL.count(name) for name in ALL for run_id in runs})


async def test_a_client_of_all_runs_goes_on_where_it_was_unless_that_is_too_long_ago(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(b"1", said=("one",)))
        await save(house)
        names: list[str] = []
        last = ""
        async with house.http.get(house.url + EVENTS) as answer:
            run_id = (await start(house))[1]["run_id"]
            text = ""
            async for piece in answer.content.iter_any():
                text += piece.decode()
                if "step.started" in text and text.endswith("\n\n"):
                    break
        for place, name, _ in parsed(text):  # as far as the step began, whatever else has come already
            names.append(name)
            last = place or last
            if name == "step.started":
                break
        assert last
        async with house.http.get(house.url + EVENTS, headers={"Last-Event-ID": last}) as answer:
            text = ""
            async for piece in answer.content.iter_any():
                text += piece.decode()
                if "run.finished" in text and text.endswith("\n\n"):
                    break
        names += [name for _, name, _ in parsed(text)]
        assert names == [name for _, name, _ in await told(house, f"?run_id={run_id}")]
        await house.bench.world.feed.trim(keep=0)
        assert await problem(house, "GET", f"{EVENTS}?last_event_id={last}") == (410, "cursor-expired")


async def test_lines_are_followed_to_the_end_of_the_run(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(b"1", said=("one", "two", "three"), seconds=5))
        await save(house)
        run_id = (await start(house))[1]["run_id"]
        path = f"{BASE}/runs/{run_id}/logs"
        async with house.http.get(f"{house.url}{path}?follow=true") as answer:
            every = parsed(await answer.text())
        assert [(name, data["message"]) for _, name, data in every] == [
            ("log", "one"),
            ("log", "two"),
            ("log", "three"),
        ]
        for place, (last, _, _) in enumerate(every):
            async with house.http.get(f"{house.url}{path}?follow=true", headers={"Last-Event-ID": last}) as answer:
                assert parsed(await answer.text()) == every[place + 1 :]
                assert answer.status == (204 if place == 2 else 200)
        _, listed = await house.call("GET", path)
        assert [data for _, _, data in every] == listed["logs"]
        assert await problem(house, "GET", f"{path}?follow=maybe") == (400, "validation-error")


# ── What goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("a bug"), (500, "internal-error")),
        (errors.Broken(reason="x"), (500, "internal-error")),
        (errors.DatabaseUnavailable(reason="x"), (503, "unavailable")),
        (errors.StoreRefused(reason="x"), (502, "storage-error")),
        (errors.Unauthenticated(), (401, "unauthorized")),
        (errors.Forbidden(reason="x"), (403, "permission-denied")),
        (errors.NotOver(run="x", status="RUNNING"), (409, "conflict")),
        (errors.TooLarge(what="x", limit=1), (413, "payload-too-large")),
    ],
)
async def test_each_error_is_a_problem_of_its_type(
    tmp_path: Path, error: Exception, expected: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_house(tmp_path) as house:

        async def fails(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(house.bench.runs, "list", fails)
        assert await problem(house, "GET", f"{BASE}/runs") == expected


async def test_bodies_that_are_too_large_or_do_not_come_are_refused(tmp_path: Path) -> None:
    async with a_house(tmp_path, body_limit=100, body_seconds=0.1) as house:
        assert await problem(house, "POST", f"{BASE}/runs", data=b" " * 200) == (413, "payload-too-large")

        async def slowly() -> Any:
            yield b"{"
            await asyncio.Event().wait()

        assert await problem(house, "POST", f"{BASE}/runs", data=slowly()) == (408, "request-timeout")


async def test_who_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    rate = limiting.Limits(VirtualClock(), per_second=0.01, burst=2)
    async with a_house(tmp_path, rate=rate) as house:
        async with house.http.get(f"{house.url}{BASE}/jobs") as answer:
            assert answer.headers["X-RateLimit-Limit"] == "2"
            assert answer.headers["X-RateLimit-Remaining"] == "1"
            assert int(answer.headers["X-RateLimit-Reset"]) > 1_000_000_000
        assert await problem(house, "GET", f"{BASE}/runs/x") == (404, "run-not-found")
        assert await problem(house, "GET", f"{BASE}/jobs") == (429, "rate-limited")
        async with house.http.get(f"{house.url}{BASE}/health") as answer:
            assert answer.status == 200
            assert answer.headers["X-RateLimit-Remaining"] == "2147483647"


async def test_a_server_that_is_not_well_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sick(*_: object) -> list[HealthLine]:
        return [HealthLine(name="database", ok=True), HealthLine(name="engine", ok=False, detail="is away")]

    monkeypatch.setattr("pupload.service.health.Health.check", sick)
    async with a_house(tmp_path) as house:
        status, said = await house.call("GET", f"{BASE}/health")
        assert (status, said["status"], said["problems"]) == (503, "unhealthy", ["engine: is away"])
