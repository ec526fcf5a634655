"""The embedded store from the engine's side: its process, its socket, and what holds when either is gone."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from pupload import errors, ports
from pupload.adapters.s3 import local, places, signing, supervisor
from pupload.adapters.system import clock
from tests.adapters.s3 import faulty

BODY = os.urandom(200_000)
DIGEST = sha256(BODY).hexdigest()


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[supervisor.EmbeddedProcess]:
    process = supervisor.EmbeddedProcess(data=tmp_path / "store", clock=clock.SystemClock())
    await process.start()
    yield process
    await process.stop()


@pytest.fixture
async def store(process: supervisor.EmbeddedProcess) -> AsyncIterator[local.EmbeddedStore]:
    store = a_store(process)
    await store.ensure_ready()
    yield store
    await store.close()


def a_store(process: supervisor.EmbeddedProcess, control: Path | None = None) -> local.EmbeddedStore:
    return local.EmbeddedStore(
        name="default",
        endpoint=process.endpoint,
        bucket=process.bucket,
        credentials=process.credentials,
        control=control or process.control,
        clock=clock.SystemClock(),
    )


async def kill(process: supervisor.EmbeddedProcess) -> None:
    """Kills it as a crash would; returns when another one serves."""
    pid = process.pid
    assert pid is not None
    handle = os.pidfd_open(pid)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(handle, ended.set)
    try:
        os.kill(pid, signal.SIGKILL)
        await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
    while process.pid in (None, pid):  # the end was not yet told to whoever started it
        await asyncio.get_running_loop().run_in_executor(None, int)
    await process.serving()


# ── The process ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_starts_again_when_it_dies_and_nothing_is_lost(
    process: supervisor.EmbeddedProcess, store: local.EmbeddedStore, caplog: pytest.LogCaptureFixture
) -> None:
    await store.put_bytes("k", BODY, content_type="a/b")
    endpoint = process.endpoint
    with caplog.at_level(logging.ERROR):
        await kill(process)
    assert "started again" in caplog.text
    assert process.endpoint == endpoint
    assert await store.read("k") == BODY


async def test_its_keys_stay_the_same_and_are_for_nobody_else(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        process = supervisor.EmbeddedProcess(data=tmp_path, clock=clock.SystemClock())
        await process.start()
        seen.append(process.credentials)
        await process.stop()
    assert seen[0] == seen[1]
    assert mode_of(tmp_path / "credentials.json") == 0o600


async def test_it_says_why_it_does_not_come_up(process: supervisor.EmbeddedProcess, tmp_path: Path) -> None:
    port = int(process.endpoint.host.rpartition(":")[2])
    second = supervisor.EmbeddedProcess(data=tmp_path / "other", clock=clock.SystemClock(), port=port)
    with pytest.raises(errors.Misconfigured) as raised:
        await second.start()
    assert "address already in use" in str(raised.value)
    assert second.pid is None
    await second.stop()


async def test_it_ends_when_it_is_stopped(process: supervisor.EmbeddedProcess) -> None:
    pid = process.pid
    assert pid is not None
    await process.stop()
    await process.stop()
    assert process.pid is None
    assert not is_there(Path(f"/proc/{pid}"))


async def test_it_ends_with_us_however_we_ended(process: supervisor.EmbeddedProcess) -> None:
    """Our end of its standard input is closed by the system when we are gone."""
    watched = process._process
    assert watched is not None
    assert watched.stdin is not None
    assert process._watching is not None
    process._watching.cancel()
    watched.stdin.close()
    assert await asyncio.wait_for(watched.wait(), 20) == 0


async def test_a_deep_folder_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    process = supervisor.EmbeddedProcess(data=deep, clock=clock.SystemClock())
    assert len(os.fsencode(process.control)) <= 100
    assert mode_of(process.control.parent) == 0o700
    await process.start()
    store = a_store(process)
    await store.ensure_ready()
    async with aclosing(cast(Any, store.arrivals())) as arrivals:
        assert await anext(arrivals) == ""
    await store.close()
    await process.stop()
    assert not is_there(process.control.parent)


def test_what_it_does_not_know_yet_it_does_not_tell(tmp_path: Path) -> None:
    process = supervisor.EmbeddedProcess(data=tmp_path, clock=clock.SystemClock())
    for ask in (lambda: process.endpoint, lambda: process.credentials):
        with pytest.raises(errors.Broken):
            ask()


# ── Links ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_bytes_change_hands_without_being_copied(store: local.EmbeddedStore, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(BODY)
    inode = inode_of(tmp_path / "in")
    put = await store.put_file("k", tmp_path / "in", content_type="image/png")
    assert not is_there(tmp_path / "in")
    assert await store.fetch("k", tmp_path / "out", if_etag=put.etag) is None
    assert inode_of(tmp_path / "out") == inode
    assert put == await store.stat("k")


async def test_without_the_socket_bytes_go_over_http(
    process: supervisor.EmbeddedProcess, store: local.EmbeddedStore, tmp_path: Path
) -> None:
    deaf = a_store(process, control=tmp_path / "no-such.sock")
    (tmp_path / "in").write_bytes(BODY)
    put = await deaf.put_file("k", tmp_path / "in", content_type="image/png")
    assert put.sha256 == DIGEST
    assert await deaf.fetch("k", tmp_path / "out", if_etag=put.etag) == DIGEST
    assert (tmp_path / "out").read_bytes() == BODY
    await deaf.close()


def given(folder: Path, *bodies: bytes) -> list[ports.Given]:
    """Files with these bytes, to be given away."""
    files = [ports.Given(key=f"k{n}", path=folder / f"{n}", content_type="a/b") for n in range(len(bodies))]
    for file, body in zip(files, bodies, strict=True):
        file.path.write_bytes(body)
    return files


@pytest.mark.parametrize("hears", [True, False])
async def test_many_files_are_given_away_at_once(
    process: supervisor.EmbeddedProcess, store: local.EmbeddedStore, tmp_path: Path, hears: bool
) -> None:
    deaf = a_store(process, control=tmp_path / "no-such.sock")
    assert isinstance(store, ports.TakesMany)
    put = await (store if hears else deaf).put_files(given(tmp_path, b"", b"small", BODY, BODY * 50))
    assert [(one.key, one.size) for one in put] == [("k0", 0), ("k1", 5), ("k2", len(BODY)), ("k3", len(BODY) * 50)]
    assert [await store.read(one.key) for one in put] == [b"", b"small", BODY, BODY * 50]
    assert [one.sha256 for one in put] == [(await store.stat(one.key)).sha256 for one in put]
    await deaf.close()


async def test_of_many_files_each_tells_what_is_wrong_with_it(store: local.EmbeddedStore, tmp_path: Path) -> None:
    first, second, third = given(tmp_path, b"a", b"b", b"c")
    second.path.rename(tmp_path / "away")
    with pytest.raises(errors.StoreRefused, match="cannot be read"):
        await store.put_files([first, second, third])
    (tmp_path / "away").rename(second.path)
    # The first was taken when it was their turn one by one, and is found where it is.
    put = await store.put_files([first, second, third])
    assert [await store.read(one.key) for one in put] == [b"a", b"b", b"c"]


def wanted(folder: Path, *keys: str, etag: str | None = None) -> list[ports.Wanted]:
    """Objects that are to be files of their names."""
    return [ports.Wanted(key=key, path=folder / key, if_etag=etag) for key in keys]


@pytest.mark.parametrize("hears", [True, False])
async def test_many_objects_become_files_at_once(
    process: supervisor.EmbeddedProcess, store: local.EmbeddedStore, tmp_path: Path, hears: bool
) -> None:
    deaf = a_store(process, control=tmp_path / "no-such.sock")
    assert isinstance(store, ports.GivesMany)
    bodies = {"a": b"", "b": b"small", "c": BODY * 5}
    for key, body in bodies.items():
        await store.put_bytes(key, body, content_type="a/b")
    (tmp_path / "b").write_bytes(b"left by an earlier attempt")
    hashes = await (store if hears else deaf).fetch_files(wanted(tmp_path, *bodies))
    assert hashes == [None if hears else sha256(body).hexdigest() for body in bodies.values()]
    assert {key: (tmp_path / key).read_bytes() for key in bodies} == bodies
    assert {(tmp_path / key).stat().st_mode & 0o777 for key in bodies} == {0o444}
    await deaf.close()


async def test_of_many_objects_the_one_that_is_lacking_or_another_is_told(
    store: local.EmbeddedStore, tmp_path: Path
) -> None:
    await store.put_bytes("there", BODY, content_type="a/b")
    with pytest.raises(errors.ObjectAbsent, match="nowhere"):
        await store.fetch_files(wanted(tmp_path, "there", "nowhere"))
    with pytest.raises(errors.PreconditionFailed):
        await store.fetch_files(wanted(tmp_path, "there", etag="of-another"))
    assert await store.fetch_files([]) == []


async def test_a_path_that_cannot_be_is_refused_and_no_object_is_made(
    store: local.EmbeddedStore, tmp_path: Path
) -> None:
    with pytest.raises(errors.StoreRefused):
        await store.put_file("k", tmp_path / "nothing", content_type="a/b")
    with pytest.raises(errors.ObjectAbsent):
        await store.stat("k")


async def test_an_upload_is_sealed_in_one_step(store: local.EmbeddedStore) -> None:
    put = await store.put_bytes("there", BODY, content_type="image/png")
    sealed = await store.seal("there", "kept", head_bytes=1000, most_bytes=len(BODY))
    assert sealed is not None
    assert sealed.head == BODY[:1000]
    assert sealed.stat == await store.stat("kept")
    assert (sealed.stat.etag, sealed.stat.sha256) == (put.etag, DIGEST)
    with pytest.raises(errors.ObjectAbsent):
        await store.seal("nowhere", "kept", head_bytes=1000, most_bytes=len(BODY))
    with pytest.raises(errors.TooLarge):
        await store.seal("there", "too-large", head_bytes=1000, most_bytes=len(BODY) - 1)
    with pytest.raises(errors.ObjectAbsent):
        await store.stat("too-large")


async def test_without_the_socket_nothing_is_sealed_in_one_step(
    process: supervisor.EmbeddedProcess, store: local.EmbeddedStore, tmp_path: Path
) -> None:
    deaf = a_store(process, control=tmp_path / "no-such.sock")
    await deaf.put_bytes("there", BODY, content_type="image/png")
    assert await deaf.seal("there", "kept", head_bytes=1000, most_bytes=len(BODY)) is None
    await deaf.close()


async def test_whoever_breaks_off_giving_a_file_knows_afterwards_where_it_is(
    store: local.EmbeddedStore, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(BODY * 50)
    for steps in range(1, 6):
        giving = asyncio.ensure_future(store.put_file("k", tmp_path / "in", content_type="a/b"))
        for _ in range(steps):
            await asyncio.sleep(0)
        giving.cancel()
        await asyncio.wait({giving})
        if not is_there(tmp_path / "in"):
            assert (await store.stat("k")).size == len(BODY) * 50
            return
        with pytest.raises(errors.ObjectAbsent):
            await store.stat("k")


# ── Arrivals ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_arrival_is_lost_when_the_store_dies(
    process: supervisor.EmbeddedProcess, store: local.EmbeddedStore
) -> None:
    async with aclosing(cast(Any, store.arrivals())) as arrivals:
        assert await anext(arrivals) == ""
        await store.put_bytes("before", b"x", content_type="a/b")
        assert await anext(arrivals) == "before"
        await kill(process)
        await store.put_bytes("after", b"x", content_type="a/b")
        assert await anext(arrivals) == "after"


class Told:
    """A control socket that says what the test wants, one connection after the other."""

    def __init__(self, *connections: list[dict[str, Any]]) -> None:
        self.connections = list(connections)
        self.asked: list[str | None] = []

    async def arrivals(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.query.get("after"))
        response = web.StreamResponse()
        await response.prepare(request)
        if not self.connections:
            await asyncio.Event().wait()
        for line in self.connections.pop(0):
            await response.write(json.dumps(line).encode() + b"\n")
        return response


async def test_listening_goes_on_from_the_last_number_and_tells_gaps(tmp_path: Path) -> None:
    told = Told(
        [{"seq": 7}, {}, {"seq": 8, "bucket": "b", "key": "one"}, {"seq": 9, "bucket": "other", "key": "not ours"}],
        [{"seq": 10, "bucket": "b", "key": "two"}],
        [{"reset": True, "seq": 3}, {"seq": 4, "bucket": "b", "key": "three"}],
    )
    app = web.Application()
    app.router.add_get("/arrivals", told.arrivals)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "c.sock")).start()
    store = local.EmbeddedStore(
        name="default",
        endpoint=places.Endpoint("http", "127.0.0.1:1"),
        bucket="b",
        credentials=signing.Credentials("a", "b"),
        control=tmp_path / "c.sock",
        clock=faulty.QuickClock(),
    )
    async with aclosing(cast(Any, store.arrivals())) as arrivals:
        heard = [await anext(arrivals) for _ in range(5)]
    assert heard == ["", "one", "two", "", "three"]
    assert told.asked == [None, "9", "10"]
    await store.close()
    await runner.cleanup()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def inode_of(path: Path) -> int:
    return path.stat().st_ino


def is_there(path: Path) -> bool:
    return path.exists()
