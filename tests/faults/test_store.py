"""
The store is away, slow, forgetful, or lies. The flow's own store is another process, behind a proxy that spoils what
the two say to each other; the server and its containers are real.
"""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pupload.client import Client
from tests.adapters.s3.embedded import process
from tests.faults import store_proxy
from tests.system import flows
from tests.system.server import Server, engine

Json = dict[str, Any]

MIB = 1 << 20

TWICE = 'cat "$INPUT_IN" "$INPUT_IN" > "$OUTPUT_OUT"'
"""Makes more than goes in one signed piece: what is sent then could become other bytes on the way."""


@pytest.fixture(scope="module")
def far() -> Iterator[process.Server]:
    """A store that is nobody's part."""
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        started = process.Server(Path(folder) / "data", Path(folder) / "control")
        yield started
        assert started.stop() == 0


@pytest.fixture
def proxy(far: process.Server) -> Iterator[store_proxy.Proxy]:
    with store_proxy.opened(far.address) as made:
        yield made


def kept_far(order: Json, proxy: store_proxy.Proxy, far: process.Server, *edges: str, **keys: str) -> Json:
    """The order, its edges in the store behind the proxy; `there` is the upload."""
    params = {
        "Endpoint": proxy.host,
        "BucketName": process.BUCKET,
        "AccessKey": far.credentials.access_key,
        "SecretKey": far.credentials.secret_key,
        "Secure": False,
        **keys,
    }
    upload = {"Source": "upload"}
    order["Flow"]["Stores"] = [{"Name": "far", "Type": "s3", "Params": params}]
    order["Flow"]["DataWells"] = [
        {"Edge": edge, "Store": "far", "Key": f"${{RUN_ID}}/{edge}", **(upload if edge == "there" else {})}
        for edge in edges or ("there", "here")
    ]
    return order


def two(first: str, second: str = 'cat "$INPUT_IN" "$INPUT_MORE" > "$OUTPUT_OUT"') -> Json:
    """`first` makes `between`; `second` takes it, and the upload `there`, and makes `here`."""
    return flows.an_order(
        [
            flows.a_node("first", outputs={"out": "between"}),
            flows.a_node("second", inputs={"in": "there", "more": "between"}, outputs={"out": "here"}),
        ],
        [flows.a_script("first", first), flows.a_script("second", second)],
    )


async def starts(client: Client, run: Json) -> list[str]:
    """The nodes that were started, as often as they were."""
    seen = [event.data["Data"] async for event in client.events(run["ID"]) if event.kind == "node.started"]
    return sorted(json.dumps(data) for data in seen)


async def ended_well(client: Client, run: Json, *, nodes: int = 1) -> Json:
    """The run, complete, each of its nodes started once."""
    done = await client.wait(run["ID"])
    assert done["Status"] == "COMPLETE", done["Error"]
    assert len(await starts(client, run)) == nodes
    return done


async def until_exited(server: Server, run: Json) -> None:
    """The run's only container has ended; the engine is asked, for the server may be dead."""

    def wait() -> None:
        (container,) = server.containers(run=run["ID"])
        with closing(engine()) as asked:
            asked.wait(container["Id"], timeout=60)

    await asyncio.to_thread(wait)


# ── F25: it is away ──────────────────────────────────────────────────────────────────────────────────────────────

AWAY: list[store_proxy.Mood] = [store_proxy.hangs_up, store_proxy.slows_down]


async def test_f25_away_at_a_submit(client: Client, proxy: store_proxy.Proxy, far: process.Server) -> None:
    """F25: a run needs no store to begin; its upload comes when there is one, and a static object is waited for."""
    far.call("PUT", f"/{process.BUCKET}/fixed", body=b"static")
    static = kept_far(flows.copying(), proxy, far, "here")
    static["Flow"]["DataWells"].append({"Edge": "there", "Store": "far", "Source": "static", "Key": "fixed"})
    proxy.refuse()
    run, other = await client.start(kept_far(flows.copying(), proxy, far)), await client.start(static)
    with pytest.raises(aiohttp.ClientError):
        await flows.put(run, "there", b"too early")
    assert [(await client.status(each["ID"]))["Status"] for each in (run, other)] == ["WAITING", "WAITING"]
    proxy.listen()
    assert await flows.put(run, "there", b"in time") == 200
    assert await flows.get(await ended_well(client, run), "here") == b"in time"
    assert await flows.get(await ended_well(client, other), "here") == b"static"


@pytest.mark.parametrize("mood", AWAY)
async def test_f25_away_before_a_node(
    server: Server, client: Client, proxy: store_proxy.Proxy, far: process.Server, mood: store_proxy.Mood
) -> None:
    """F25: away when an input is to be fetched: the node waits for it and uses up no attempt."""
    run = await client.start(kept_far(two(flows.HOLD + 'echo made > "$OUTPUT_OUT"'), proxy, far))
    assert await flows.put(run, "there", b"given ") == 200
    await flows.until_event(client, run, "upload.sealed")
    await flows.until_line(client, run, "held")
    proxy.now(mood)
    await flows.let_go(server, run, "first")
    await proxy.until(lambda method, path, name: method == "GET" and name == mood.__name__)
    proxy.now(store_proxy.works)
    assert await flows.get(await ended_well(client, run, nodes=2), "here") == b"given made\n"


@pytest.mark.parametrize("mood", AWAY)
async def test_f25_away_after_a_node(
    server: Server, client: Client, proxy: store_proxy.Proxy, far: process.Server, mood: store_proxy.Mood
) -> None:
    """F25: away when an output is to be stored: it is kept, and what made it does not run again."""
    run = await client.start(kept_far(flows.copying(flows.HOLD + flows.COPY), proxy, far))
    assert await flows.put(run, "there", b"precious") == 200
    await flows.until_line(client, run, "held")
    proxy.now(mood)
    await flows.let_go(server, run)
    await proxy.until(lambda method, path, name: method == "PUT" and name == mood.__name__)
    assert (await client.status(run["ID"]))["Status"] == "RUNNING"
    proxy.now(store_proxy.works)
    assert await flows.get(await ended_well(client, run), "here") == b"precious"


async def test_f25_away_after_a_node_and_the_server_dies(
    own_server: Callable[..., Server], proxy: store_proxy.Proxy, far: process.Server
) -> None:
    """F25: the store is away, the server is killed with the result in its hands: it is stored after all, made once."""
    server = own_server()
    async with server.client() as client:
        run = await client.start(kept_far(flows.copying(flows.HOLD + flows.COPY), proxy, far))
        assert await flows.put(run, "there", b"precious") == 200
        await flows.until_line(client, run, "held")
        proxy.refuse()
        await flows.let_go(server, run)
        await until_exited(server, run)
    server.kill()
    await asyncio.to_thread(server.start)
    async with server.client() as client:
        assert (await client.status(run["ID"]))["Status"] == "RUNNING"
        proxy.listen()
        assert await flows.get(await ended_well(client, run), "here") == b"precious"


async def test_f25_away_when_it_is_asked_what_it_has(
    server: Server, client: Client, proxy: store_proxy.Proxy, far: process.Server
) -> None:
    """F25: a plan for parts needs its list. Whoever asks is told in a sentence that it may be had later, and has it."""
    run = await client.start(kept_far(flows.copying(), proxy, far))
    place = f"{server.url}/api/v1/upload/{run['ID']}/there"

    async def asked() -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.post(place, json={"Size": 6_000_000_000}) as answer:
            return answer.status, await answer.text()

    proxy.refuse()
    status, said = await asked()
    assert status == 503, said
    assert "no connection could be made (connection refused)" in said
    proxy.listen()
    assert (await asked())[0] == 200
    await client.cancel(run["ID"])
    await client.wait(run["ID"])


# ── F26: it is slow and moody ────────────────────────────────────────────────────────────────────────────────────


async def test_f26_a_fifth_of_all_requests_fails(client: Client, proxy: store_proxy.Proxy, far: process.Server) -> None:
    """F26: everything completes, once, and nobody is asked without end."""
    count = 6
    runs = [await client.start(kept_far(flows.copying(), proxy, far)) for _ in range(count)]
    for number, run in enumerate(runs):
        assert await flows.put(run, "there", b"%d" % number) == 200
    proxy.now(store_proxy.fails_sometimes("f26", 0.2))
    before = len(proxy.asked)
    done = [await ended_well(client, run) for run in runs]
    asked = len(proxy.asked) - before
    proxy.now(store_proxy.works)
    assert [await flows.get(each, "here") for each in done] == [b"%d" % number for number in range(count)]
    assert asked < 40 * count


@pytest.mark.parametrize("mood", [store_proxy.is_late(5), store_proxy.trickles(10_000)])
async def test_f26_slow_is_not_away(
    client: Client, proxy: store_proxy.Proxy, far: process.Server, mood: store_proxy.Mood
) -> None:
    """F26: an answer after five seconds and ten kilobytes a second are waited for, and nothing is sent twice."""
    content = os.urandom(25_000)
    run = await client.start(kept_far(flows.copying(), proxy, far))
    assert await flows.put(run, "there", content) == 200
    proxy.now(mood)
    done = await ended_well(client, run)
    proxy.now(store_proxy.works)
    assert await flows.get(done, "here") == content
    assert [path for method, path, _ in proxy.asked if method == "PUT" and path.endswith("/here")] == [
        f"/{process.BUCKET}/{run['ID']}/here"
    ]


# ── F27: it lies ─────────────────────────────────────────────────────────────────────────────────────────────────

LIES = {
    "absent": store_proxy.loses("PUT", times=2, into="/here"),
    "cut off": store_proxy.spoils("PUT", lambda body: body[: len(body) // 2], times=2, into="/here"),
    "wrong": store_proxy.spoils("PUT", lambda body: b"\0" + body[1:], times=2, into="/here"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_f27_what_was_taken_and_is_not_there_is_put_again(
    client: Client, proxy: store_proxy.Proxy, far: process.Server, lie: str
) -> None:
    """F27: a PUT that was acknowledged is looked after, while the file is still here to be put again."""
    content = os.urandom(MIB)
    run = await client.start(kept_far(flows.copying(TWICE), proxy, far))
    proxy.now(LIES[lie])
    assert await flows.put(run, "there", content) == 200
    assert await flows.get(await ended_well(client, run), "here") == 2 * content
    assert sum(method == "PUT" and path.endswith("/here") for method, path, _ in proxy.asked) == 3


@pytest.mark.parametrize("method", ["PUT", "GET"])
async def test_f27_other_bytes_reach_no_node(
    client: Client, proxy: store_proxy.Proxy, far: process.Server, method: str
) -> None:
    """F27: a store that tells no checksums, and keeps or gives other bytes of the same length: no node sees them.

    What went wrong on the way is fetched again. What it kept stays wrong, and is called so.
    """
    order = flows.an_order(
        [
            flows.a_node("first", inputs={"in": "there"}, outputs={"out": "between"}),
            flows.a_node("second", "first", inputs={"in": "between"}, outputs={"out": "here"}),
        ],
        [flows.a_script("first", TWICE)],
    )
    run = await client.start(kept_far(order, proxy, far, "there", "between"))
    spoil = store_proxy.spoils(
        method, lambda body: b"\0" + body[1:], times=1, into="/between", without="x-amz-checksum"
    )
    proxy.now(spoil)
    content = os.urandom(MIB)
    assert await flows.put(run, "there", content) == 200
    if method == "GET":
        # By the attempt itself, where that was done ahead of it; else by the next.
        assert await flows.get(await ended_well(client, run, nodes=2), "here") == 4 * content
        assert sum(method == "GET" and path.endswith("/between") for method, path, _ in proxy.asked) > 1
        return
    failed = await flows.until_event(client, run, "attempt.failed")
    assert "artifact between in store far is not what was recorded: its SHA-256 is" in failed.data["Data"]["Reason"]
    await client.cancel(run["ID"])
    await client.wait(run["ID"])
    assert len(await starts(client, run)) == 1


# ── F28: its keys change ─────────────────────────────────────────────────────────────────────────────────────────


async def test_f28_keys_that_change_in_the_middle_of_a_run(own_server: Callable[..., Server]) -> None:
    """F28: the secret is changed, then the store takes the old key no more: what runs goes on with the new one."""
    server = own_server()
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    far = process.Server(folder / "data", folder / "control")
    try:
        with store_proxy.opened(far.address) as proxy:
            order = kept_far(flows.copying(flows.HOLD + flows.COPY), proxy, far, SecretKey="${secret.FAR}")
            async with server.client() as client:
                await client.put_secret("FAR", far.credentials.secret_key)
                run = await client.start(order)
                assert await flows.put(run, "there", b"kept") == 200
                await flows.until_line(client, run, "held")
                await asyncio.to_thread(far.stop)
                kept = folder / "data" / "credentials.json"
                keys = json.loads(kept.read_text())
                kept.write_text(json.dumps(keys | {"secret_key": "another" + keys["secret_key"][7:]}))
                far = await asyncio.to_thread(process.Server, folder / "data", folder / "control2")
                assert far.credentials.secret_key.startswith("another")
                proxy.target = far.address
                await client.put_secret("FAR", far.credentials.secret_key)
                await flows.let_go(server, run)
                assert await flows.get(await ended_well(client, run), "here") == b"kept"
    finally:
        far.kill()
        shutil.rmtree(folder)


# ── F30: it has two names ────────────────────────────────────────────────────────────────────────────────────────


async def test_f30_users_know_it_by_another_name(client: Client, proxy: store_proxy.Proxy, far: process.Server) -> None:
    """F30: users put and get at the one, which the server does not even reach; it uses the other."""
    with store_proxy.opened(far.address) as public:
        run = await client.start(kept_far(flows.copying(), proxy, far, PublicEndpoint=public.host))
        assert await flows.put(run, "there", b"by another name") == 200
        done = await ended_well(client, run)
        assert await flows.get(done, "here") == b"by another name"
        assert [method for method, _, _ in public.asked] == ["PUT", "GET"]
        assert public.host in done["Artifacts"]["here"]["GetURL"]
