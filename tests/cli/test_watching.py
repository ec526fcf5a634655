"""`pup events`: what happens in all runs."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.api.house import EXAMPLE, House, a_house
from tests.bench import PNG


@asynccontextmanager
async def watching(house: House, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, ended by Ctrl-C."""
    pup = Path(sys.executable).parent / "pup"
    process = await asyncio.create_subprocess_exec(
        *(str(pup), "events", "--url", house.url, "--after", "0.0.0", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "300"},
        # What a shell starts in the background is to ignore it, tests and all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()


async def lines(process: asyncio.subprocess.Process, *, until: str) -> list[str]:
    assert process.stdout is not None
    found: list[str] = []
    async with asyncio.timeout(60):
        while not found or until not in found[-1]:
            line = await process.stdout.readline()
            assert line, found
            found.append(line.decode().rstrip())
    return found


async def a_run(house: House) -> str:
    _, run = await house.call("POST", "/api/v1/flow/test", json=EXAMPLE)
    async with house.http.put(run["WaitingURLs"][0]["PutURL"], data=PNG) as put:
        assert put.status == 200
    return str(run["ID"])


async def test_a_line_for_each_event_and_each_line_of_a_node(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, watching(house, "--logs") as process:
        run_id = await a_run(house)
        found = await lines(process, until="run.completed")
        assert all(run_id in line for line in found)
        assert any("node.started node=resize-1 attempt=1" in line for line in found)
        assert any("resize-1: copied image" in line for line in found)


async def test_objects_with_where_to_go_on_and_of_one_flow(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, watching(house, "--json", "--flow", "image-resize") as process:
        run_id = await a_run(house)
        found = [json.loads(line) for line in await lines(process, until="run.completed")]
        entries = await house.bench.world.journal.read(run_id)
        assert [each["Data"]["Seq"] for each in found] == [entry.seq for entry in entries]
        assert all(set(each) == {"ID", "Event", "Data"} and each["ID"].count(".") == 2 for each in found)
