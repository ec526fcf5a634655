"""Callers who mean harm: monsters, dawdlers, crowds and guessers. Others are served meanwhile, and nothing is left."""

import asyncio
import contextlib
import io
import itertools
import json
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from pupload import errors
from pupload.adapters.system.ids import SystemIds
from pupload.api import app as server
from pupload.api import documents
from pupload.domain import ids
from tests.api.house import EXAMPLE, House, a_house

HOOK: dict[str, Any] = {
    **EXAMPLE,
    "Flow": {**EXAMPLE["Flow"], "DataWells": [{"Edge": "input-image", "Source": "webhook"}]},
}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)

VALIDATE = "/api/v1/flow/validate"

SOON_SECONDS = 1.0


async def raw(house: House, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection over which these bytes went."""
    at = urlsplit(house.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(data)
    await writer.drain()
    return reader, writer


async def closed(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def a_hook(house: House) -> tuple[str, str]:
    """A run that waits for a webhook: its id and the target of the URL."""
    _, run = await house.call("POST", "/api/v1/flow/test", json=HOOK)
    at = urlsplit(run["WaitingURLs"][0]["PutURL"])
    return run["ID"], f"{at.path}?{at.query}"


def post(target: str, length: int) -> bytes:
    return f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


def incoming(house: House) -> list[Path]:
    """The bodies under way, as files."""
    place = house.bench.config.attempts_root.parent / "incoming"
    return list(place.iterdir()) if place.is_dir() else []


async def until_coming(house: House, count: int) -> None:
    async with asyncio.timeout(30):
        while len(incoming(house)) != count:  # noqa: ASYNC110 - a folder tells nobody what is in it
            await asyncio.sleep(0.01)


# ── F44 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param(b'{"Flow":{"Nodes":[' + b",".join([b"{}"] * 1_000_000) + b"]}}", "1000000 values", id="nodes"),
        pytest.param(b"[" * 1_000_000, "nested too deeply", id="nesting"),
        pytest.param(b'{"Flow":{"Timeout":' + b"7" * 1_000_000 + b"}}", "is too large", id="digits"),
        pytest.param(b'{"Flow":{"Timeout":1e' + b"9" * 1_000_000 + b"}}", "is too large", id="exponent"),
        pytest.param(b'{"Flow":{},"Flow":{}}', "twice", id="key twice"),
        pytest.param(b'{"Flow":{"Name":"\xed\xa0\x80"}}', "not UTF-8", id="half a character in UTF-8"),
        pytest.param(b'{"Flow":{"Name":Infinity}}', "Infinity", id="infinity"),
    ],
)
async def test_f44_a_monster_is_refused_soon_and_in_bounded_memory(tmp_path: Path, body: bytes, sentence: str) -> None:
    """F44: with the reason, and at little more than the memory of the body."""
    async with a_house(tmp_path) as house:
        await house.call("POST", VALIDATE, json=EXAMPLE)  # what is made once is made
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        status, said = await house.call("POST", VALIDATE, data=io.BytesIO(body))
        assert time.process_time() - began < SOON_SECONDS
        assert (status, sentence in said["error"]) == (400, True), said["error"][:200]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 128 * 1024  # KiB


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 30)
)
YAMLS = {
    "bomb": (BOMB, "aliases"),
    "an alias of itself": ("a: &a [*a]\n", "nested too deeply"),
    "nesting": ("[" * 100_000, "nested too deeply"),
    "a key twice": ("Publisher: a\nPublisher: b\n", "twice"),
    "digits": ("MaxAttempts: " + "7" * 1_000_000 + "\n", "too large"),
    "a Python object": ("a: !!python/object/apply:os.system ['true']\n", "is not read here"),
    "a merge": ("a: &a {b: c}\nd:\n  <<: *a\n", "merge keys"),
}


@pytest.mark.parametrize("name", YAMLS)
def test_f44_a_file_of_yaml_is_no_bomb(name: str) -> None:
    """F44: wherever YAML is read it is read by this."""
    text, sentence = YAMLS[name]
    began = time.process_time()
    with pytest.raises(errors.Malformed, match=sentence):
        documents.parse_yaml(text, name="node.yaml")
    assert time.process_time() - began < 5 * SOON_SECONDS


# ── F45 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_f45_a_body_that_stands_still_is_given_up(tmp_path: Path) -> None:
    """F45: also a webhook's, and nothing is left of it; others are served meanwhile."""
    async with a_house(tmp_path, body_seconds=0.5) as house:
        run, target = await a_hook(house)
        reader, writer = await raw(house, post(target, 1000) + PNG)
        await until_coming(house, 1)
        assert (await house.call("GET", "/healthz"))[0] == 200
        assert (await reader.readline()).split()[1] == b"408"
        await closed(writer)
        assert not incoming(house)
        assert (await house.call("GET", f"/api/v1/flow/status/{run}"))[1]["Status"] == "WAITING"
        assert (await house.call("POST", target, data=PNG))[0] == 200


async def test_f45_a_body_that_drips_is_given_up(tmp_path: Path) -> None:
    """F45: a byte now and then is not enough."""
    async with a_house(tmp_path, large_body_seconds=1.0) as house:
        _, target = await a_hook(house)
        reader, writer = await raw(house, post(target, 1_000_000))
        answer = asyncio.ensure_future(reader.readline())
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait([answer], timeout=0.05)
        assert answer.result().split()[1] == b"408"
        await closed(writer)
        assert not incoming(house)


async def test_f45_whoever_has_one_url_cannot_take_every_place(tmp_path: Path) -> None:
    """F45: the fifth body at once for one edge is told to come back, and one for another edge is taken."""
    async with a_house(tmp_path) as house:
        (_, target), (_, other) = await a_hook(house), await a_hook(house)
        held = [(await raw(house, post(target, 1000) + PNG))[1] for _ in range(4)]
        await until_coming(house, 4)
        async with house.http.post(house.url + target, data=PNG) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert "too many bodies" in (await answer.json())["error"]
        assert (await house.call("POST", other, data=PNG))[0] == 200
        await closed(*held)
        await until_coming(house, 0)
        assert (await house.call("POST", target, data=PNG))[0] == 200


async def test_f45_a_webhooks_body_over_its_limit_is_refused_before_it_comes(tmp_path: Path) -> None:
    """F45: by what it says of itself, and packed ones altogether."""
    async with a_house(tmp_path) as house:
        _, target = await a_hook(house)
        reader, writer = await raw(house, post(target, 65 * 1024 * 1024))
        assert (await reader.readline()).split()[1] == b"413"
        await closed(writer)
        status, _ = await house.call("POST", target, data=PNG, headers={"Content-Encoding": "gzip"})
        assert status == 415


@asynccontextmanager
async def a_crowded_place(connections: int) -> AsyncIterator[str]:
    """A server that takes so many connections; its URL."""
    application = web.Application()

    async def fine(_: web.Request) -> web.Response:
        return web.Response(text="fine")

    application.router.add_get("/", fine)
    runner = server.make_runner(application, shutdown_seconds=0.1)
    await runner.setup()
    make = server.protocol_factory(runner, connections=connections)
    listening = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    finally:
        listening.close()
        await runner.cleanup()


async def test_f45_so_many_connections_are_taken_and_no_more(tmp_path: Path) -> None:
    """F45: one more is told to come back, though the others say nothing; when one goes there is room again."""
    async with a_crowded_place(2) as url, aiohttp.ClientSession() as session:
        port = urlsplit(url).port
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in head
        assert json.loads(body) == {"error": "there are too many connections at once"}
        await closed(writer, held[0][1])
        async with asyncio.timeout(30):
            while True:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        break
        await closed(held[1][1])


@pytest.mark.parametrize(("files", "connections"), [(1, 1), (1024, 512), (20_000, 4096), (1 << 40, 4096)])
def test_f45_connections_leave_files_for_the_work(files: int, connections: int) -> None:
    """F45: the database, the store and the container engine need some as well."""
    assert server.connections_for(files) == connections


# ── F46 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_f46_a_runs_id_cannot_be_guessed_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """F46: even who has ids of the same millisecond is left with 72 bits of chance, and 80 in any other."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_772_539_200_000_000_000)
    source = SystemIds()
    made = [int(ids.uuid_of(source.new_run_id()).replace("-", ""), 16) for _ in range(200)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(made)]
    assert len(set(gaps)) == len(gaps)
    assert sum(gaps) / len(gaps) > 1 << 69


ROUTES = [
    ("GET", "/api/v1/flow/status/{run}"),
    ("POST", "/api/v1/flow/cancel/{run}"),
    ("POST", "/api/v1/upload/{run}/input-image"),
    ("POST", "/api/v1/upload/{run}/input-image/complete"),
    ("POST", "/api/v1/upload/{run}/input-image/receive?token=0"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_f46_a_run_that_is_not_there_is_told_as_one_that_cannot_be(
    tmp_path: Path, method: str, path: str
) -> None:
    """F46: an id that looks right and one that cannot be are answered alike: nothing is to be learnt by trying."""
    async with a_house(tmp_path) as house:
        await a_hook(house)
        absent = await house.call(method, path.format(run=SystemIds().new_run_id()))
        assert absent == await house.call(method, path.format(run="no-such-run"))
        assert absent[0] in (400, 404)


async def test_f46_the_token_of_a_webhook_is_none_of_the_ids(tmp_path: Path) -> None:
    """F46: who knows the run's id cannot put an object into it, and is not told whether it is still awaited."""
    async with a_house(tmp_path) as house:
        run, target = await a_hook(house)
        path, _, token = target.partition("?token=")
        assert len(token) == 32
        guesses = ("", run, token[:-1], token.upper() + "x")
        before = [await house.call("POST", f"{path}?token={guess}", data=PNG) for guess in guesses]
        assert {status for status, _ in before} == {403}
        assert (await house.call("POST", target, data=PNG))[0] == 200
        assert [await house.call("POST", f"{path}?token={guess}", data=PNG) for guess in guesses] == before
