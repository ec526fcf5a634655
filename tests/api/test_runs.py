"""The Runs API over real sockets, on the real service in memory."""

import asyncio
import functools
import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pupload import errors, ports
from pupload.adapters.memory.containers import Outcome, Said, Script
from pupload.api import sockets
from pupload.api.limiting import Limits
from pupload.api.runs import lines, wire
from pupload.domain.run import Attempt, NodeRun, NodeStatus
from pupload.service import feed as feeds
from tests.api.house import IMAGE, House, a_house
from tests.contracts.states import a_run

SOCKET, EVENTS = "/api/ws", "/api/v1/flow/ws"

FOLLOWERS, QUEUED = 100, 200


def makes(rows: int = 2, *, seconds: float = 0.0, fails: int = 0, said: tuple[str | Said, ...] = ("done",)) -> Script:
    """A node that makes a table, after having failed so many times."""
    tries: Counter[str] = Counter()

    def run(order: ports.ContainerOrder) -> Outcome:
        tries[order.attempt.run] += 1
        if tries[order.attempt.run] <= fails:
            return Outcome(code=1, seconds=seconds, said=(Said(text="it broke", stream="stderr"),))
        (order.outputs / "out").write_text("id\n" + "1\n" * rows)
        return Outcome(seconds=seconds, said=said)

    return run


def a_flow(*nodes: str, **definition: Any) -> dict[str, Any]:
    """A chain of nodes that make tables, each of what the one before made."""
    written = [
        {
            "ID": node,
            "Uses": "acme/make" if place == 0 else "acme/take",
            "Inputs": [] if place == 0 else [{"Name": "in", "Edge": f"e{place}"}],
            "Outputs": [{"Name": "out", "Edge": f"e{place + 1}"}],
        }
        for place, node in enumerate(nodes)
    ]
    wells = [
        {"Edge": f"e{place + 1}", "Store": "default", "Key": f"${{RUN_ID}}/{place}.csv"} for place in range(len(nodes))
    ]
    common = {"Publisher": "acme", "Image": IMAGE, "Tier": "c-small", **definition}
    return {
        "Flow": {"Name": "chain", "Nodes": written, "DataWells": wells},
        "NodeDefs": [{**common, "Name": "make"}, {**common, "Name": "take", "Inputs": [{"Name": "in", "Type": "*/*"}]}],
    }


async def saved(house: House, flow: dict[str, Any], script: Script, name: str = "chain") -> None:
    house.bench.image(IMAGE, script)
    status, answer = await house.call("PUT", f"/api/v1/flow/saved/{name}", json=flow)
    assert status == 200, answer


async def triggered(house: House, name: str = "chain", **more: Any) -> str:
    status, answer = await house.call("POST", f"/api/pipelines/{name}/run", **more)
    assert (status, answer["status"]) == (202, "pending")
    return str(answer["id"])


async def over(house: House, run_id: str) -> dict[str, Any]:
    """The run when it is over."""
    async with house.http.get(f"{house.url}/api/v1/flow/logs/{run_id}?follow=true") as answer:
        await answer.read()
    _, run = await house.call("GET", f"/api/runs/{run_id}")
    return dict(run)


# ── The stream ───────────────────────────────────────────────────────────────────────────────────────────────────


@functools.lru_cache(maxsize=10_000)
def read(text: str) -> dict[str, Any]:
    """Each message once: a hundred followers are told the same."""
    return dict(json.loads(text))


class Heard:
    """What one follower was told, by run."""

    def __init__(self) -> None:
        self.told: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.over: set[str] = set()

    async def listen(self, socket: aiohttp.ClientWebSocketResponse, runs: int) -> None:
        while len(self.over) < runs:
            message = await socket.receive(60)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            event = read(message.data)
            self.told[event["run_id"]].append(event)
            if event["type"] in ("run.completed", "run.failed"):
                self.over.add(event["run_id"])

    def types(self, run_id: str) -> list[str]:
        return [event["type"] for event in self.told[run_id]]


async def test_a_hundred_followers_are_told_all_of_two_hundred_queued_runs_once_and_in_order(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await saved(house, a_flow("one"), makes())
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            followers = [Heard() for _ in range(FOLLOWERS)]
            opened = [await http.ws_connect(f"{house.url}{SOCKET}{'/' * (at % 2)}") for at in range(FOLLOWERS)]
            listening = [
                asyncio.ensure_future(heard.listen(socket, QUEUED))
                for heard, socket in zip(followers, opened, strict=True)
            ]
            first = datetime(2024, 1, 1, tzinfo=UTC)
            last = first + timedelta(days=QUEUED - 1)
            dates = {"start_date": f"{first:%Y-%m-%d}", "end_date": f"{last:%Y-%m-%d}"}
            status, runs = await house.call("POST", "/api/pipelines/chain/backfill", json=dates)
            assert (status, len(set(runs))) == (202, QUEUED)
            async with asyncio.timeout(100):
                await asyncio.gather(*listening)
            for socket in opened:
                await socket.close()
        for run_id in runs:
            told = followers[0].told[run_id]
            kinds = followers[0].types(run_id)
            assert [kind for kind in kinds if kind != "log"] == [
                "run.started",
                "node.started",
                "node.completed",
                "run.completed",
            ]
            assert kinds.count("log") == 1
            assert next(event for event in told if event["type"] == "node.completed")["row_count"] == 2
        for heard in followers[1:]:
            assert heard.told == followers[0].told


async def test_a_message_holds_what_the_contract_names_and_nothing_empty(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.http.ws_connect(house.url + SOCKET) as socket:
        await saved(house, a_flow("one", Retry={"Delay": "1s"}), makes(fails=1, seconds=1.5))
        await socket.send_str("whatever it says")
        run_id = await triggered(house)
        heard = Heard()
        await heard.listen(socket, 1)
        flow = (await house.call("GET", "/api/pipelines/chain"))[1]["id"]
        told = [{name: value for name, value in event.items() if name != "timestamp"} for event in heard.told[run_id]]
        assert [event.pop("duration_ms") >= 1500 for event in told if "duration_ms" in event] == [True]
        common = {"run_id": run_id, "pipeline_id": flow}
        node = {**common, "node_id": "one"}
        assert [event for event in told if event["type"] != "log"] == [
            {"type": "run.started", **common},
            {"type": "node.started", **node},
            {"type": "node.started", **node, "status": "retrying", "error": "retry 1/2"},
            {"type": "node.started", **node},
            {"type": "node.completed", **node, "row_count": 2},
            {"type": "run.completed", **common, "status": "success"},
        ]
        assert [event for event in told if event["type"] == "log"] == [
            {"type": "log", **node, "level": "warning", "message": "it broke"},
            {"type": "log", **node, "level": "info", "message": "done"},
        ]
        assert all(datetime.fromisoformat(event["timestamp"]) for event in heard.told[run_id])


async def test_failed_and_cancelled_runs_are_told_as_failed(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.http.ws_connect(house.url + SOCKET) as socket:
        await saved(house, a_flow("one", MaxAttempts=1), makes(fails=9))
        failed = await triggered(house)
        heard = Heard()
        await heard.listen(socket, 1)
        assert heard.types(failed)[-2:] == ["node.failed", "run.failed"]
        assert {(event.get("status"), bool(event["error"])) for event in heard.told[failed][-2:]} == {
            (None, True),
            ("failed", True),
        }
        house.bench.image(IMAGE, makes(seconds=1e9))
        cancelled = await triggered(house)
        await house.call("POST", f"/api/v1/flow/cancel/{cancelled}")
        await heard.listen(socket, 2)
        last = heard.told[cancelled][-1]
        assert (last["type"], last["status"], last["error"]) == ("run.failed", "cancelled", "cancelled by user")


async def test_a_slow_listener_is_closed_and_told_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "KEPT_BYTES", 20_000)
    async with a_house(tmp_path) as house:
        await saved(house, a_flow("one"), makes())
        gate = asyncio.Event()
        real = sockets.send

        async def slow(answer: web.WebSocketResponse, message: bytes) -> None:
            if b'"type"' in message:  # this surface's
                await gate.wait()
            await real(answer, message)

        monkeypatch.setattr(sockets, "send", slow)
        async with (
            house.http.ws_connect(house.url + SOCKET) as socket,
            house.http.ws_connect(house.url + EVENTS) as quick,
        ):
            for _ in range(12):
                run_id = await triggered(house)
                # As soon as one who is quick was told, it was read, and what was read before is not kept.
                async for message in quick:
                    event = json.loads(message.data)
                    if event["Event"] == "run.completed" and event["Data"]["Run"] == run_id:
                        break
            gate.set()
            while (got := await socket.receive(60)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert (got.type, got.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.TRY_AGAIN_LATER)


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cancelled_run_is_so_at_once_and_what_runs_finishes(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await saved(house, a_flow("one", "two"), makes(seconds=5.0))
        run_id = await triggered(house)
        async with house.http.get(f"{house.url}/api/v1/flow/events/{run_id}") as events:
            async for line in events.content:
                if b"node.started" in line:
                    break
            assert (await house.call("GET", f"/api/runs/{run_id}"))[1]["status"] == "running"
            answer = await house.call("POST", f"/api/runs/{run_id}/cancel")
            assert answer == (200, {"status": "cancelled"})
            _, run = await house.call("GET", f"/api/runs/{run_id}")
            _, (listed,) = await house.call("GET", "/api/pipelines/chain/runs")
            _, glance = await house.call("GET", "/api/dashboard")
            assert {run["status"], listed["status"], glance["recent_runs"][0]["status"]} == {"cancelled"}
        run = await over(house, run_id)
        assert (run["status"], run["error"], bool(run["finished_at"])) == ("cancelled", "cancelled by user", True)
        assert [(each["node_id"], each["status"], each["row_count"]) for each in run["node_runs"]] == [
            ("one", "success", 2)
        ]
        assert (await house.call("POST", f"/api/runs/{run_id}/cancel"))[0] == 404


async def test_every_attempt_has_an_entry_and_the_last_decides(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await saved(house, a_flow("one", "two", Retry={"Delay": "1s"}), makes(rows=7, fails=1, seconds=2.0))
        run = await over(house, await triggered(house))
        told = [(each["node_id"], each["attempt"], each["status"], each["row_count"]) for each in run["node_runs"]]
        assert told == [("one", 0, "failed", 0), ("one", 1, "success", 7), ("two", 0, "success", 7)]
        assert all(each["duration_ms"] >= 2000 for each in run["node_runs"])
        _, *took = [(each["duration_ms"] / 1000, each["rows_per_sec"]) for each in run["node_runs"]]
        assert all(rate == pytest.approx(7 / seconds, abs=0.01) for seconds, rate in took)
        assert len({each["id"] for each in run["node_runs"]}) == 3
        _, said = await house.call("GET", f"/api/runs/{run['id']}/logs")
        assert [(line["node_id"], line["level"], line["message"]) for line in said] == [
            ("one", "info", "Starting node: one (acme/make)"),
            ("one", "warning", "it broke"),
            ("one", "error", f"Node failed: {run['node_runs'][0]['error']}"),
            ("one", "info", "Starting node: one (acme/make)"),
            ("one", "info", "done"),
            ("one", "info", f"Node completed: 7 rows in {lines.took(took[0][0])} ({7 / took[0][0]:.0f} rows/sec)"),
            ("two", "info", "Starting node: two (acme/take)"),
            ("two", "info", "done"),
            ("two", "info", f"Node completed: 7 rows in {lines.took(took[1][0])} ({7 / took[1][0]:.0f} rows/sec)"),
        ]
        assert [line["timestamp"] for line in said] == sorted(line["timestamp"] for line in said)


async def test_a_failed_run_is_resumed_from_what_failed(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await saved(house, a_flow("one", "two", MaxAttempts=1), makes())

        def fails_second(order: ports.ContainerOrder) -> Outcome:
            return Outcome(code=3) if order.attempt.node == "two" else makes()(order)

        house.bench.image(IMAGE, fails_second)
        failed = await over(house, await triggered(house))
        assert [each["status"] for each in failed["node_runs"]] == ["success", "failed"]
        house.bench.image(IMAGE, makes(rows=5))
        status, again = await house.call("POST", f"/api/runs/{failed['id']}/resume")
        assert (status, again["resumed_from_run_id"]) == (202, failed["id"])
        run = await over(house, again["id"])
        told = [(each["node_id"], each["status"], each["row_count"], each.get("reused")) for each in run["node_runs"]]
        assert told == [("one", "success", 2, True), ("two", "success", 5, None)]
        _, said = await house.call("GET", f"/api/runs/{run['id']}/logs?node_id=one")
        assert [line["message"] for line in said] == ["Node completed: 2 rows, made before and used again"]


async def test_a_run_of_no_saved_flow_has_a_pipeline_of_its_own(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, makes())
        _, one = await house.call("POST", "/api/v1/flow/test", json=a_flow("one"))
        _, run = await house.call("GET", f"/api/runs/{one['ID']}")
        assert run["pipeline_id"] == one["ID"].replace("run_", "flow_")
        _, listed = await house.call("GET", f"/api/pipelines/{run['pipeline_id']}/runs")
        assert [each["id"] for each in listed] == [one["ID"]]
        assert (await house.call("GET", f"/api/pipelines/{run['pipeline_id']}/runs?page=2"))[1] == []
        assert (await house.call("POST", f"/api/pipelines/{run['pipeline_id']}/run"))[0] == 404


async def test_runs_of_a_removed_pipeline_are_still_listed(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await saved(house, a_flow("one"), makes())
        run = await over(house, await triggered(house))
        assert (await house.call("DELETE", "/api/v1/flow/saved/chain"))[0] == 204
        _, listed = await house.call("GET", f"/api/pipelines/{run['pipeline_id']}/runs")
        assert [each["id"] for each in listed] == [run["id"]]


WORDS = {"COMPLETE": "success", "ERROR": "failed", "STOPPED": "cancelled"}


async def test_all_surfaces_tell_the_same_of_the_same_runs(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await saved(house, a_flow("one", "two"), makes())
        await saved(house, a_flow("one", MaxAttempts=1), makes(), "broken")
        runs = [await over(house, await triggered(house))]
        house.bench.image(IMAGE, makes(fails=9))
        runs.append(await over(house, await triggered(house, "broken")))
        house.bench.image(IMAGE, makes(seconds=1e9))
        stopped = await triggered(house)
        await house.call("POST", f"/api/v1/flow/cancel/{stopped}")
        runs.append(await over(house, stopped))
        for run in runs:
            _, native = await house.call("GET", f"/api/v1/flow/status/{run['id']}")
            _, listed = await house.call("GET", f"/api/pipelines/{run['pipeline_id']}/runs")
            assert run["status"] == WORDS[native["Status"]]
            assert run["pipeline_id"] == native["FlowID"]
            assert run["finished_at"][:19] == native["FinishedAt"][:19]
            (line,) = [each for each in listed if each["id"] == run["id"]]
            assert line == {name: run[name] for name in line}
            for node, state in native["NodeState"].items():
                last = [each for each in run["node_runs"] if each["node_id"] == node][-1:]
                if state["Status"] in ("COMPLETE", "ERROR") and state["Attempt"]:
                    assert last[0]["status"] == {"COMPLETE": "success", "ERROR": "failed"}[state["Status"]]
                    assert last[0]["attempt"] == state["Attempt"] - 1
        _, found = await house.call("GET", "/api/v1/flow/list")
        assert {each["ID"] for each in found["Runs"]} == {run["id"] for run in runs}
        _, calendar = await house.call("GET", "/api/runs/calendar?days=1")
        assert {name: calendar[0][name] for name in ("success", "failed", "cancelled", "total")} == {
            "success": 1,
            "failed": 1,
            "cancelled": 1,
            "total": 3,
        }


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_may_not_purge_is_told_so(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts={"root": "admin", "ed": "editor"}) as house:
        for name, answer in (
            ("ed", (403, {"error": "insufficient permissions"})),
            ("root", (200, {"deleted": 0, "days": 30})),
        ):
            asked = await house.call("POST", "/api/system/purge", json={"days": 30}, headers=house.shown(name))
            assert asked == answer


async def test_a_bug_and_an_outage_have_this_surfaces_shape(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        for error, status in ((RuntimeError("secret"), 500), (errors.DatabaseUnavailable(reason="gone"), 503)):

            async def fail(*_: object, error: Exception = error, **__: object) -> None:
                raise error

            house.bench.runs.find = fail  # type: ignore[assignment,method-assign]
            async with house.http.get(f"{house.url}/api/runs/x") as response:
                body = await response.json()
                assert (response.status, set(body)) == (status, {"error", "request_id"})
                assert body["request_id"] == response.headers["X-Request-ID"]
                assert "secret" not in body["error"]


async def test_too_many_requests_are_refused_with_headers(tmp_path: Path) -> None:
    async with a_house(tmp_path) as other:
        clock = other.bench.clock
        async with a_house(tmp_path / "b", rate=Limits(clock, per_second=0.001, burst=1)) as house:
            assert (await house.call("GET", "/api/pipelines"))[0] == 200
            async with house.http.get(f"{house.url}/api/pipelines") as response:
                assert (response.status, set(await response.json())) == (429, {"error"})
                assert {"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining"} <= set(response.headers)


# ── Lines in order ───────────────────────────────────────────────────────────────────────────────────────────────

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


def a_line(node: str, seconds: float, cursor: int, text: str = "") -> ports.LogRecord:
    line = ports.LogLine(at=NOON + timedelta(seconds=seconds), stream="stdout", message=text or f"{node} {seconds:g}")
    return ports.LogRecord(run="run_a", node=node, attempt=1, number=cursor, cursor=cursor, line=line)


async def test_lines_of_several_nodes_come_in_the_order_of_time_between_their_beginnings_and_ends() -> None:
    def ran(name: str, began: float, ended: float) -> NodeRun:
        moments = [NOON + timedelta(seconds=each) for each in (began, began, ended)]
        attempt = Attempt(number=1, ready_at=moments[0], admitted_at=moments[1], finished_at=moments[2])
        return NodeRun(id=name, status=NodeStatus.COMPLETE, attempts=(attempt,))

    run = a_run()
    names = list(run.plan.nodes)
    run = replace(run, nodes={names[0]: ran(names[0], 1, 4)})

    async def batches() -> Any:
        yield [a_line(names[0], 2, 1), a_line(names[0], 3, 2)]
        yield [a_line("other", 2.5, 3), a_line(names[0], 0.5, 4, "stamped by a clock that is slow")]
        yield [a_line(names[0], 99, 5, "and one that is fast")]

    found = [one async for batch in lines.in_order(run, batches(), {names[0]: 3}) for one in batch]
    assert [one.line.message.partition(":")[0] for one in found] == [
        "Starting node",
        "stamped by a clock that is slow",
        f"{names[0]} 2",
        "other 2.5",
        f"{names[0]} 3",
        "and one that is fast",
        "Node completed",
    ]
    assert [one.line.at for one in found] == sorted(one.line.at for one in found)


async def test_no_more_than_some_lines_are_held_back() -> None:
    given = 0

    async def batches() -> Any:
        nonlocal given
        for place in range(30):
            given += lines.GROUP
            yield [a_line("other", 1, place * lines.GROUP + number) for number in range(lines.GROUP)]

    cursors: list[int] = []
    async for batch in lines.in_order(a_run(), batches(), {}):
        cursors += [one.cursor for one in batch]
        assert given - len(cursors) <= lines.HELD_LINES + lines.GROUP
    assert cursors == list(range(30 * lines.GROUP))


@pytest.mark.parametrize(("seconds", "said"), [(0.0, "0ms"), (0.45, "450ms"), (2.34, "2.3s"), (90.0, "90.0s")])
def test_durations_are_said_as_the_contract_says_them(seconds: float, said: str) -> None:
    assert lines.took(seconds) == said


def test_times_are_told_to_the_second_in_utc() -> None:
    assert wire.moment(NOON + timedelta(milliseconds=999)) == "2026-03-03T12:00:00Z"
