"""The server's event loop stands still while its containers run."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp

from tests.system import flows
from tests.system.server import Server

BLOCKING = str(Path(__file__).with_name("blocking.py"))


async def test_f10_a_standstill_is_told_and_nobody_is_taken_for_dead(own_server: Callable[..., Server]) -> None:
    """F10: five seconds without a turn: the log says where, health and metrics say so, what runs goes on."""
    server = own_server(BLOCKING_SECONDS="5")
    server.stop()
    server.program = (BLOCKING,)
    server.start()
    async with server.client() as client, aiohttp.ClientSession() as session:
        run = await client.start(flows.one(flows.HOLD, Timeout="60s"))
        await flows.until_line(client, run, "held")
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGUSR1)
        async with asyncio.timeout(30):
            while "goes on after standing still" not in server.stderr():  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.05)
        assert "_stand_still" in server.stderr()
        async with session.get(f"{server.url}/healthz") as answer:
            assert answer.status == 503
            lines = {line["name"]: line for line in (await answer.json())["lines"]}
        assert "stood still for 5" in lines["process"]["detail"]
        assert all(line["ok"] for name, line in lines.items() if name != "process")
        async with session.get(f"{server.url}/metrics") as answer:
            assert "pupload_standstills_total 1.0" in await answer.text()
        await flows.let_go(server, run)
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        assert done["NodeState"]["step"]["Attempt"] == 1
