"""
The wall clock is set while a server runs, and between two starts of it.

The machine's own clock is everybody's, so the server gets one of its own, by libfaketime; the clocks that cannot be set
it leaves alone.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

_PLACES = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime")
LIBRARY = next((path for place in _PLACES if (path := Path(place, "libfaketimeMT.so.1")).exists()), None)

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="there is no libfaketime here (package faketime)")


class WallClock:
    """That of one server."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set_by(0)

    def set_by(self, seconds: int) -> None:
        """From now on it is so much ahead of the machine's."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process have this clock."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "NO_FAKE_STAT": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


async def health(server: Server) -> tuple[int, dict[str, str]]:
    """The status, and what each line says."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/healthz") as answer:
        return answer.status, {line["name"]: line["detail"] for line in (await answer.json())["lines"]}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seconds", [3600, -3600])
async def test_f06_a_wall_clock_that_is_set_ends_nothing(
    own_server: Callable[..., Server], tmp_path: Path, seconds: int
) -> None:
    """F06: limits of a minute and of ten hold, durations are those that passed, the difference is told."""
    wall = WallClock(tmp_path / "wall")
    server = own_server(PUPLOAD_UPLOAD_SECONDS="600", **wall.environment)
    writing = flows.HOLD + 'echo well > "$OUTPUT_OUT"'
    order = flows.an_order(
        [flows.a_node("step", outputs={"out": "made"})], [flows.a_script("step", writing, Timeout="60s")]
    )
    async with server.client() as client:
        run, waiting = await client.start(order), await client.start(flows.copying())
        await flows.until_line(client, run, "held")
        wall.set_by(seconds)
        async with asyncio.timeout(20):
            # The library looks once a second, in each process for itself: the store may refuse what is signed then.
            while "clock" not in (found := await health(server))[1] or found[1]["store"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        status, lines = found
        assert (status == 200) is ("process" not in lines), lines  # a machine with much else to do may stand still
        assert ("ahead of" if seconds > 0 else "behind") in lines["clock"]
        # Everything else goes on: signatures are made and judged by the wall clock.
        another = await flows.finish(client, flows.copying(), there=b"bytes")
        assert another["Status"] == "COMPLETE", another["Error"]
        assert await flows.get(another, "here") == b"bytes"
        server.stop()
        server.start()
        assert (await client.status(run["ID"]))["Status"] == "RUNNING"
        assert (await client.status(waiting["ID"]))["Status"] == "WAITING"
        assert "clock" in (await health(server))[1]
        await flows.let_go(server, run)
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        node = done["NodeState"]["step"]
        took = datetime.fromisoformat(node["FinishedAt"]) - datetime.fromisoformat(node["StartedAt"])
        assert 0 <= took.total_seconds() < 60
        # A URL of before is as old as the wall clock says; another is to be had.
        assert await flows.put(await client.status(waiting["ID"]), "there", b"late") == 200
        assert (await client.wait(waiting["ID"]))["Status"] == "COMPLETE"
    assert "the wall clock is 3600 s" in server.stderr()
