"""All runs, followed over real sockets."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pupload.api import sockets
from pupload.service import feed as feeds
from tests.api.house import EXAMPLE, IMAGE, House, a_house
from tests.bench import PNG, copies

EVENTS = "/api/v1/flow/events"
SOCKET = "/api/v1/flow/ws"


class Stream:
    """Server-sent events as they come."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.last = ""
        self.retry = ""
        self.comments = 0

    async def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        rest = b""
        async for piece in self.answer.content.iter_any():
            *blocks, rest = (rest + piece).split(b"\n\n")
            for block in blocks:
                facts: dict[str, str] = {}
                for line in block.decode().split("\n"):
                    name, _, value = line.partition(": ")
                    facts[name] = value
                    self.comments += not name
                self.last = facts.get("id", self.last)
                self.retry = facts.get("retry", self.retry)
                if "data" in facts:
                    yield facts["event"], json.loads(facts["data"])


@asynccontextmanager
async def followed(house: House, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    async with house.http.get(house.url + EVENTS + query, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Stream(answer)


async def post(house: House, name: str = "image-resize") -> str:
    status, answer = await house.call(
        "POST", "/api/v1/flow/test", json={**EXAMPLE, "Flow": {**EXAMPLE["Flow"], "Name": name}}
    )
    assert status == 200
    async with house.http.put(answer["WaitingURLs"][0]["PutURL"], data=PNG) as put:
        assert put.status == 200
    return str(answer["ID"])


async def wanted(house: House, run_id: str) -> tuple[list[int], list[int]]:
    """The numbers of the run's events, and the cursors of its lines."""
    world = house.bench.world
    entries = await world.journal.read(run_id)
    return [entry.seq for entry in entries], [record.cursor for record in await world.journal.read_logs(run_id)]


class Heard:
    """What one follower was told, by run."""

    def __init__(self) -> None:
        self.seqs: dict[str, list[int]] = defaultdict(list)
        self.lines: dict[str, list[int]] = defaultdict(list)
        self.over: set[str] = set()

    def take(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "log":
            self.lines[data["Run"]].append(data["cursor"])
            return
        self.seqs[data["Run"]].append(data["Seq"])
        if kind in ("run.completed", "run.failed", "run.stopped"):
            self.over.add(data["Run"])


async def test_every_run_s_events_come_and_its_lines_where_they_are_asked_for(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, followed(house, "?logs=true") as stream, followed(house) as short:
        runs = {await post(house) for _ in range(3)}
        heard, without = Heard(), Heard()
        for taking, into in ((stream, heard), (short, without)):
            async for kind, data in taking:
                assert data["Flow"] == "image-resize"
                into.take(kind, data)
                if into.over == runs:
                    break
        for run_id in runs:
            assert (heard.seqs[run_id], heard.lines[run_id]) == await wanted(house, run_id)
            assert without.seqs[run_id] == heard.seqs[run_id]
        assert not without.lines
        assert stream.retry == "2000"
        assert stream.answer.headers["Cache-Control"] == "no-store"


async def test_a_client_that_comes_back_goes_on_where_it_was(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        heard, last = Heard(), ""
        async with followed(house, "?logs=true") as stream:
            run_id = await post(house)
            async for kind, data in stream:
                heard.take(kind, data)
                if sum(map(len, heard.seqs.values())) == 3:
                    break
            last = stream.last
        other = await post(house)
        async with followed(house, "?logs=true", **{"Last-Event-ID": last}) as stream:
            async for kind, data in stream:
                heard.take(kind, data)
                if heard.over == {run_id, other}:
                    break
        for each in (run_id, other):
            assert (heard.seqs[each], heard.lines[each]) == await wanted(house, each)


async def test_where_nothing_happens_the_stream_lives_and_says_where_it_is(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, followed(house, "?flow=other") as stream:
        run_id = await post(house)
        await house.bench.until(lambda: run_id not in house.bench.engine.driver.live)
        end = str(await house.bench.world.feed.end())

        async def come() -> None:
            async for _ in stream:
                raise AssertionError("nothing of that flow happened")

        reading = asyncio.ensure_future(come())
        async with asyncio.timeout(10):
            while stream.last != end or stream.comments < 3:  # noqa: ASYNC110 - it is told by nothing else
                await asyncio.sleep(0.01)
        reading.cancel()


async def test_a_flow_or_a_run_can_be_asked_for(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, followed(house, "?flow=second") as stream:
        await post(house, "first")
        second = await post(house, "second")
        async for kind, data in stream:
            assert data["Run"] == second
            if kind == "run.completed":
                break
        async with followed(house, f"?run={second}&after=0.0.0") as again:
            async for kind, data in again:
                assert data["Run"] == second
                if kind == "run.completed":
                    break
        assert (await house.call("GET", f"{EVENTS}?run=nobody"))[0] == 400


async def test_what_is_no_place_is_refused_and_one_that_is_gone_is_told_so(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await post(house)
        for path in (EVENTS, SOCKET):
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} | (upgrade if path == SOCKET else {})
            status, _ = await house.call("GET", f"{path}?after=garbage", headers=key)
            assert status == 400
            status, answer = await house.call("GET", f"{path}?after=0.999999.1", headers=key)
            assert status == 410
            assert "not known any more" in answer["error"]
        assert (await house.call("GET", EVENTS, headers={"Last-Event-ID": "12"}))[0] == 400
        assert (await house.call("GET", SOCKET))[0] == 400


async def test_a_web_socket_tells_the_same(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.http.ws_connect(house.url + SOCKET) as socket:
        run_id = await post(house)
        heard = Heard()
        await socket.send_str("whatever a client says")
        async for each in socket:
            told = json.loads(each.data)
            assert set(told) == {"ID", "Event", "Data"}
            heard.take(told["Event"], told["Data"])
            if heard.over:
                break
        assert (heard.seqs[run_id], heard.lines[run_id]) == await wanted(house, run_id)
        assert heard.lines[run_id]


async def test_a_web_socket_is_asked_whether_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "PING_SECONDS", 0.05)
    async with a_house(tmp_path) as house, house.http.ws_connect(house.url + SOCKET, autoping=False) as socket:
        assert (await socket.receive(10)).type is aiohttp.WSMsgType.PING
        # It says nothing to that, and is let go.
        while (await socket.receive(10)).type is aiohttp.WSMsgType.PING:
            pass


async def test_pages_of_other_origins_cannot_listen(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await house.http.ws_connect(house.url + SOCKET, headers={"Origin": "https://evil.example"})
        assert refused.value.status == 403
        async with house.http.ws_connect(house.url + SOCKET, headers={"Origin": house.url}):
            pass


async def test_a_hundred_followers_of_each_kind_miss_nothing(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, copies("image", "resized"))
        count, going = 20, asyncio.Barrier(201)
        every: set[str] = set()
        complete = asyncio.Event()

        async def events() -> Heard:
            heard = Heard()
            async with followed(house, "?logs=true") as stream:
                await going.wait()
                async for kind, data in stream:
                    heard.take(kind, data)
                    if complete.is_set() and heard.over >= every:
                        return heard
            raise AssertionError("the stream ended")

        async def socket() -> Heard:
            heard = Heard()
            async with house.http.ws_connect(house.url + SOCKET) as socket:
                await going.wait()
                async for each in socket:
                    told = json.loads(each.data)
                    heard.take(told["Event"], told["Data"])
                    if complete.is_set() and heard.over >= every:
                        return heard
            raise AssertionError(f"the socket was closed with {socket.close_code}")

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            house.http, own = http, house.http
            async with asyncio.timeout(90), asyncio.TaskGroup() as group:
                tasks = [group.create_task(follow()) for follow in (events, socket) for _ in range(100)]
                await going.wait()
                every |= set(await asyncio.gather(*(post(house) for _ in range(count))))
                complete.set()
                await post(house)  # so that something comes after that
            house.http = own
        truth = {run_id: await wanted(house, run_id) for run_id in every}
        for task in tasks:
            heard = task.result()
            assert {run_id: (heard.seqs[run_id], heard.lines[run_id]) for run_id in every} == truth


async def test_a_socket_that_takes_nothing_is_closed_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "KEPT_BYTES", 20_000)
    async with a_house(tmp_path) as house, followed(house, "?logs=true") as stream:
        gate = asyncio.Event()
        real = aiohttp.web.WebSocketResponse.send_frame

        async def slow(self: Any, *given: Any, **more: Any) -> None:
            await gate.wait()
            await real(self, *given, **more)

        monkeypatch.setattr(aiohttp.web.WebSocketResponse, "send_frame", slow)
        async with house.http.ws_connect(house.url + SOCKET) as socket:
            runs = {await post(house) for _ in range(12)}
            heard = Heard()
            async for kind, data in stream:
                heard.take(kind, data)
                if heard.over == runs:
                    break
            gate.set()
            while (got := await socket.receive(10)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert (got.type, got.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.TRY_AGAIN_LATER)
            assert "go on after" in str(got.extra)


async def test_streams_end_with_the_server(tmp_path: Path) -> None:
    async with (
        a_house(tmp_path) as house,
        followed(house) as stream,
        house.http.ws_connect(house.url + SOCKET) as socket,
    ):
        house.closing.set()
        assert not [kind async for kind, _ in stream if kind != "end"]
        assert (await socket.receive(10)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY


# ── Waiting, and files of lines ──────────────────────────────────────────────────────────────────────────────────


async def test_a_post_waits_until_the_run_is_over(tmp_path: Path) -> None:
    async with a_house(tmp_path, request_seconds=0.2) as house, followed(house) as stream:
        asked = asyncio.ensure_future(house.call("POST", "/api/v1/flow/test?wait=60s", json=EXAMPLE))
        async for _, data in stream:
            run_id = data["Run"]
            break
        await asyncio.sleep(0.3)  # longer than other requests may take
        assert not asked.done()
        _, status = await house.call("GET", f"/api/v1/flow/status/{run_id}")
        async with house.http.put(status["WaitingURLs"][0]["PutURL"], data=PNG) as put:
            assert put.status == 200
        async with asyncio.timeout(20):
            code, answer = await asked
        assert (code, answer["ID"], answer["Status"]) == (200, run_id, "COMPLETE")


@pytest.mark.parametrize("asked", [{"params": {"wait": "50ms"}}, {"headers": {"Prefer": "respond-async, wait=0"}}])
async def test_a_post_waits_no_longer_than_it_may(tmp_path: Path, asked: Any) -> None:
    async with a_house(tmp_path) as house:
        status, answer = await house.call("POST", "/api/v1/flow/test", json=EXAMPLE, **asked)
        assert (status, answer["Status"]) == (200, "WAITING")


@pytest.mark.parametrize("text", ["x", "-1s", "601", "1h", "1e3", "nan", "\u0663"])
async def test_what_is_no_time_to_wait_is_refused_before_anything_runs(tmp_path: Path, text: str) -> None:
    async with a_house(tmp_path) as house:
        status, answer = await house.call("POST", "/api/v1/flow/test", json=EXAMPLE, params={"wait": text})
        assert (status, "wait" in answer["error"]) == (400, True)
        assert (await house.call("GET", "/api/v1/flow/list"))[1]["Runs"] == []


async def test_lines_come_as_a_file(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run_id = await post(house)
        await house.bench.until(lambda: run_id not in house.bench.engine.driver.live)
        url = f"{house.url}/api/v1/flow/logs/{run_id}?format=text"
        async with house.http.get(url) as answer:
            text = await answer.text()
            assert answer.content_type == "text/plain"
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{run_id}-logs.txt"'
        records = await house.bench.world.journal.read_logs(run_id)
        assert [line.split("] ", 2)[2] for line in text.splitlines()] == [one.line.message for one in records]
        assert all("Z [info] [resize-1] " in line for line in text.splitlines())
        async with house.http.get(f"{url}&level=error") as answer:
            assert await answer.text() == ""
        async with house.http.get(f"{url}&node=nobody") as answer:
            assert await answer.text() == ""
        assert (await house.call("GET", f"/api/v1/flow/logs/{run_id}?format=text&level=loud"))[0] == 400
        assert (await house.call("GET", f"/api/v1/flow/logs/{run_id}?format=xml"))[0] == 400
