"""
A real server on a real disk that fills up: a small file system of its own, in a file.

Nothing that was accepted is lost, nothing new is begun, what runs goes on, and nobody has to do more than make room.
"""

import asyncio
import errno
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pupload.client import Client
from tests import check
from tests.checker import describe
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

MIB = 1 << 20
DISK, RESERVE = 320 * MIB, 64 * MIB

pytestmark = [pytest.mark.system, pytest.mark.engine, pytest.mark.timeout(180)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of a server, whose data are on a small file system."""
    image, folder = tmp_path / "disk.img", tmp_path / "server"
    (folder / "data").mkdir(parents=True)
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("only root may mount a file system, and mkfs.ext4 must be there")
    with image.open("wb") as file:
        file.truncate(DISK)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", str(image), str(folder / "data")], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a file system in a file cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder / "data")], check=True)


@pytest.fixture
def server(disk: Path) -> Iterator[Server]:
    """A server on it."""
    made = Server(disk, PUPLOAD_GRACE_SECONDS="2", PUPLOAD_DISK_RESERVE_BYTES=str(RESERVE))
    made.start()
    yield made
    try:
        made.stop()
    finally:
        made.remove_containers()


def fill(server: Server, *, leaving: int = 0) -> Path:
    """Somebody else's file that leaves only so much of the disk."""
    ballast = server.data / "ballast"
    file = os.open(ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for piece in (bytes(MIB), bytes(4096), bytes(1)):
            while free(server) - leaving >= len(piece):
                os.write(file, piece)
    except OSError as error:
        if error.errno != errno.ENOSPC:  # somebody else was faster
            raise
    finally:
        os.close(file)
    return ballast


def free(server: Server) -> int:
    found = os.statvfs(server.data)
    return found.f_bavail * found.f_frsize


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """There is no event for what others do to a disk: it is looked at until it is so."""
    for _ in range(600):
        if await condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(what)


async def post(server: Server, order: Json) -> tuple[int, str, str]:
    """The status, `Retry-After` and the text."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/api/v1/flow/test", json=order) as answer,
    ):
        return answer.status, answer.headers.get("Retry-After", ""), await answer.text()


async def disk_is_well(client: Client) -> bool:
    lines = {line["name"]: line["ok"] for line in (await client.health())["lines"]}
    return bool(lines["disk"])


async def judged(server: Server) -> None:
    """Holds what is left to what was promised."""
    where = check.Where(data=server.data, store_url=f"http://127.0.0.1:{server.store_port}")
    async with check.opened(where) as left:
        broken = await left.settled(output=server.stderr().splitlines())
    assert not broken, describe(broken)


async def test_f12_a_full_disk_loses_nothing_and_all_goes_on_when_there_is_room(server: Server) -> None:
    """F12: the database's disk is full while a node runs, uploads are awaited and runs are submitted."""
    script = f'{flows.COPY}; {flows.HOLD} echo "and on"'
    async with server.client() as client:
        running, waiting = await client.start(flows.copying(script)), await client.start(flows.copying())
        assert await flows.put(running, "there", b"a picture") == 200
        await flows.until_line(client, running, "held")
        ballast = await asyncio.to_thread(fill, server)
        # Whoever asks before anybody looked at the disk meets the full database; later ones are told at the door.
        for _ in range(2):
            status, retry, text = await post(server, flows.copying())
            assert (status, bool(retry)) == (503, True), text
            assert "full" in text
            await until(lambda: _not(disk_is_well(client)), "nobody noticed that the disk is full")
        assert (await client.health())["status"] == "unwell"
        assert await flows.put(waiting, "there", b"another") == 507
        assert (await client.status(waiting["ID"]))["Status"] == "WAITING", "what was accepted can be looked at"
        await flows.let_go(server, running)
        await until(lambda: _none_runs(server, running), "the node did not end")
        assert (await client.status(running["ID"]))["Status"] == "RUNNING", "it cannot be written down yet"
        ballast.unlink()
        ended = await client.wait(running["ID"])
        assert ended["Status"] == "COMPLETE", ended["Error"]
        assert await flows.get(ended, "here") == b"a picture"
        assert await flows.said(client, running) == ["held", "and on"]
        await until(lambda: disk_is_well(client), "nobody noticed that there is room")
        assert await flows.put(await client.status(waiting["ID"]), "there", b"another") == 200
        assert (await client.wait(waiting["ID"]))["Status"] == "COMPLETE"
        assert (await flows.finish(client, flows.copying(), there=b"a third"))["Status"] == "COMPLETE"
        assert (await client.list())["Total"] == 3, "what was answered with 503 is nowhere"
    await judged(server)


async def test_below_the_reserve_nodes_wait_and_start_when_there_is_room(server: Server) -> None:
    """The watermark: runs are taken, no node starts, uploads are refused; nobody has to say that there is room."""
    async with server.client() as client:
        first = await client.start(flows.one("true"))
        assert (await client.wait(first["ID"]))["Status"] == "COMPLETE"
        ballast = await asyncio.to_thread(fill, server, leaving=RESERVE // 2)
        await until(lambda: _not(disk_is_well(client)), "nobody noticed that the disk fills up")
        run = await client.start(flows.one("true"))
        await flows.until_event(client, run, "node.ready")
        waiting = await client.start(flows.copying())
        assert await flows.put(waiting, "there", b"a picture") == 507
        assert (await client.status(run["ID"]))["NodeState"]["step"]["Status"] == "READY"
        ballast.unlink()
        assert (await client.wait(run["ID"]))["Status"] == "COMPLETE"
        await client.cancel(waiting["ID"])
        await client.wait(waiting["ID"])
    await judged(server)


async def test_f24_a_node_that_fills_the_disk_is_told_so_and_what_it_wrote_goes(server: Server) -> None:
    """F24: half a file and an error; the next attempt finds room."""
    script = (
        'if [ "$PUPLOAD_ATTEMPT" = 1 ]; then dd if=/dev/zero of="$OUTPUT_OUT" bs=1M count=2000; '
        'else echo fine > "$OUTPUT_OUT"; fi'
    )
    async with server.client() as client:
        run = await flows.finish(client, flows.copying(script), there=b"a picture")
        events = [event async for event in client.events(run["ID"])]
        (failed,) = [event.data["Data"] for event in events if event.kind == "attempt.failed"]
        assert run["Status"] == "COMPLETE", run["Error"]
        assert await flows.get(run, "here") == b"fine\n"
    told = {name.lower(): value for name, value in failed.items()}
    assert told["failure"] == "disk_full", failed
    assert told["reason"].startswith("the disk was full: the disk of the data folder has ")
    assert free(server) > RESERVE
    await until(lambda: _is_empty(server.data / "attempts"), "an attempt's directory is left")
    await judged(server)


async def _is_empty(folder: Path) -> bool:
    return not await asyncio.to_thread(os.listdir, folder)


async def _not(answer: Awaitable[bool]) -> bool:
    return not await answer


async def _none_runs(server: Server, run: flows.Json) -> bool:
    found = await asyncio.to_thread(server.containers, run=run["ID"])
    return not any(each["State"]["Running"] for each in found)
