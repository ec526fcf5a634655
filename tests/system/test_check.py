"""`tests.check` on a real server: clean where nothing is wrong, and it notices what is."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from tests import check
from tests.system import flows
from tests.system.server import Server

ROOT = Path(__file__).parents[2]


async def judged(server: Server, *, running: bool) -> set[str]:
    """The invariants that are broken there."""
    url = f"http://127.0.0.1:{server.store_port}" if running else ""
    async with check.opened(check.Where(data=server.data, store_url=url)) as left:
        return {one.invariant for one in await left.judge(ended=True, output=server.stderr().splitlines())}


async def test_a_server_is_judged_while_it_runs_and_when_it_does_not(own_server: Callable[..., Server]) -> None:
    server = own_server()
    async with server.client() as client:
        run = await flows.finish(client, flows.copying(), there=b"some words")
    async with asyncio.timeout(30):
        while await judged(server, running=True):  # noqa: ASYNC110 - what a run held goes soon after its end
            await asyncio.sleep(0.1)

    left = server.data / "attempts" / f"{run['ID']}.step.1"
    left.mkdir()
    assert await judged(server, running=True) == {"I8"}
    left.rmdir()

    async with check.opened(check.Where(data=server.data, store_url=f"http://127.0.0.1:{server.store_port}")) as opened:
        artifact = (await opened.runs.load(run["ID"])).artifacts["here"]
        await opened.checker.stores.default().put_bytes(artifact.key, b"other words", content_type="text/plain")
    assert await judged(server, running=True) == {"I5"}

    server.stop()
    assert await judged(server, running=False) == {"I5"}
    command = [sys.executable, "-m", "tests.check", "--data", str(server.data), "--ended"]
    by_hand = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    told, _ = await by_hand.communicate()
    assert by_hand.returncode == 1
    assert f"I5   {run['ID']}: artifact here" in told.decode()
