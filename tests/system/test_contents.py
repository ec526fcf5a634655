"""Files from strangers, sent to the real server: refused before anything runs, each with its sentence."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pupload.adapters.content import samples
from pupload.client import Client
from tests.adapters.content import files
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]


def taking(*types: str, **limits: Any) -> Json:
    """An order whose one node takes such files."""
    return flows.copying(Inputs=[{"Name": "in", "Type": list(types), **limits}], Outputs=[{"Name": "out", "Type": []}])


REFUSED: dict[str, tuple[Json, bytes, str]] = {
    "a bomb of pixels": (
        taking("image/*", MaxPixels=50_000_000),
        files.png(20_000, 20_000),
        (
            "upload of edge there (image/png) is refused: it has 20000x20000 = 400 million pixels; input in of node "
            "step takes at most 50 million"
        ),
    ),
    "a bomb of pixels where nobody set a limit": (
        taking("image/*"),
        files.png(200_000, 200_000),
        (
            "upload of edge there (image/png) is refused: it has 200000x200000 = 40 billion pixels; this server "
            "(max_pixels) takes at most 1 billion"
        ),
    ),
    "an archive that is a bomb": (
        taking("application/zip"),
        files.zip_bomb(),
        "times its size; this server (max_ratio) takes at most 250 times",
    ),
    "a packed file that is a bomb": (
        taking("application/gzip", MaxRatio=20),
        files.gzip_bomb(100),
        "times its size; input in of node step takes at most 20 times",
    ),
    "a picture that is an archive": (
        taking("image/jpeg"),
        files.GOOD["image/jpeg"] + files.a_zip(),
        "upload of edge there is image/jpeg and, read another way, application/zip: a file may be one thing only",
    ),
    "a list of what to play": (
        taking("video/*"),
        files.PLAYLIST,
        "upload of edge there is application/vnd.apple.mpegurl, but video/* by input in of node step is expected",
    ),
    "a film that is too long": (
        taking("video/*", MaxDuration="10m"),
        files.mp4(5400),
        "upload of edge there (video/mp4) is refused: it plays for 1h30m; input in of node step takes at most 10m",
    ),
    "a document of too many pages": (
        taking("application/pdf", MaxPages=10),
        samples.pdf(11),
        "upload of edge there (application/pdf) is refused: it has 11 pages; input in of node step takes at most 10",
    ),
    "a picture of which it cannot be told": (
        taking("image/*", MaxPixels=5),
        files.png(2, 2)[:20],
        (
            "upload of edge there (image/png) is refused: it cannot be told how many pixels it has, and input in of "
            "node step takes at most 5: its headers cannot be read"
        ),
    ),
    "more bytes than are taken": (
        taking(MaxBytes=10),
        b"eleven byte",
        "upload of edge there (text/plain) is refused: it has 11 bytes; input in of node step takes at most 10",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_nobody_should_open_is_refused_before_anything_runs(client: Client, what: str) -> None:
    order, data, sentence = REFUSED[what]
    done = await flows.finish(client, order, there=data)
    assert done["Status"] == "ERROR"
    assert sentence in done["Error"]
    kinds = {event.kind async for event in client.events(done["ID"])}
    assert "upload.refused" in kinds
    assert not {"attempt.admitted", "node.started"} & kinds
    assert not done["Artifacts"]


async def test_what_files_hold_is_told_with_them(client: Client) -> None:
    order = flows.copying(
        Inputs=[{"Name": "in", "Type": "video/*", "MaxDuration": "2m"}],
        Outputs=[{"Name": "out", "Type": "video/*", "MaxPixels": 640 * 360}],
    )
    done = await flows.finish(client, order, there=files.mp4(90, padding=800_000))
    assert done["Status"] == "COMPLETE", done
    facts = {"Width": 640, "Height": 360, "DurationSeconds": 90.0}
    assert done["Artifacts"]["there"]["Facts"] == facts
    assert done["Artifacts"]["here"]["Facts"] == facts


async def test_what_a_node_makes_is_held_to_the_same(client: Client) -> None:
    order = flows.copying(Inputs=[{"Name": "in"}], Outputs=[{"Name": "out", "MaxPixels": 5}])
    done = await flows.finish(client, order, there=files.png(2, 3))
    assert done["Status"] == "ERROR"
    assert "it has 2x3 = 6 pixels; the port takes at most 5" in done["NodeState"]["step"]["Error"]
    assert "here" not in done["Artifacts"]


async def test_a_server_that_is_killed_leaves_nobody_looking(own_server: Any) -> None:
    server: Server = own_server()
    async with server.client() as client:
        done = await flows.finish(client, taking("image/*"), there=files.png(2, 3))
        assert done["Status"] == "COMPLETE"
    await until(lambda: not list((server.data / "attempts").iterdir()))
    looking = workers(server)
    assert looking
    server.kill()
    await until(lambda: not any(_lives(each) for each in looking))
    server.start()


async def until(condition: Callable[[], bool]) -> None:
    """Nobody tells of what is gone."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def workers(server: Server) -> list[int]:
    """The processes of the server that look into files."""
    assert server.process is not None
    there = [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [int(pid) for pid in there if _is_worker(pid, server.process.pid)]


def _is_worker(pid: str, parent: int) -> bool:
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (
            int(told[1]) == parent and b"pupload.adapters.content.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
    except OSError:
        return False


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
