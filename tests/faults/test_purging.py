"""A real server is killed while it deletes; the next one finishes what was begun, and touches nothing else."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from pupload import errors
from pupload.client import Client
from tests import check
from tests.checker import describe
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

pytestmark = [pytest.mark.timeout(400)]

RUNS = 3


async def ended_runs(client: Client) -> list[Json]:
    """Runs with an upload and a result each."""
    return list(await asyncio.gather(*(flows.finish(client, flows.copying(), there=b"bytes") for _ in range(RUNS))))


def rows(server: Server) -> int:
    """What is left of the runs in the database, told past the server."""
    with closing(sqlite3.connect(f"file:{server.data}/pupload.db?mode=ro", uri=True)) as db:
        (found,) = db.execute("SELECT count(*) FROM runs").fetchone()
    return int(found)


async def until_rows(server: Server, wanted: int) -> None:
    """Nobody tells when rows are gone: it is looked at until they are."""
    for _ in range(300):
        if await asyncio.to_thread(rows, server) == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{rows(server)} runs are left, not {wanted}: {server.stderr()[-2000:]}")


@pytest.mark.parametrize("calls", [0, 3])
async def test_f01_killed_while_it_purges_nothing_is_left_and_nothing_else_is_lost(
    own_server: Callable[..., Server], calls: int
) -> None:
    """F01, I8: killed right after the purges were answered, or some of the work later."""
    server = own_server()
    async with server.client() as client:
        runs = await ended_runs(client)
        kept, purged = runs[0], runs[1:]
        for run in purged:
            await client.purge(run["ID"])
        for _ in range(calls):
            await client.status(kept["ID"])  # so much time goes by
        server.kill()
        await asyncio.to_thread(server.start)
        for run in purged:
            with pytest.raises(errors.UnknownRun):
                await client.status(run["ID"])
        await until_rows(server, 1)
        found = await client.status(kept["ID"])
        assert await flows.get(found, "here") == b"bytes"
    async with check.opened(check.Where(data=server.data, store_url=f"http://127.0.0.1:{server.store_port}")) as left:
        keys = [each.key async for each in left.checker.stores.default().list()]
        assert keys == [f"{kept['ID']}/here", f"{kept['ID']}/there"]
        broken = await left.settled(output=server.stderr().splitlines())
    assert not broken, describe(broken)


async def test_a_lifetime_and_the_age_of_runs_are_kept_by_a_real_server(own_server: Callable[..., Server]) -> None:
    """What is due while nobody runs is done at the next start."""
    order = flows.copying()
    order["Flow"]["DataWells"] = [{"Edge": "here", "Store": "default", "Lifetime": "1s"}]
    server = own_server()
    async with server.client() as client:
        run = await flows.finish(client, order, there=b"bytes")
        artifact: Json = {}
        for _ in range(300):
            artifact = (await client.status(run["ID"]))["Artifacts"]["here"]
            if "DeletedAt" in artifact:
                break
            await asyncio.sleep(0.1)
        assert artifact["DeletedAt"] > run["FinishedAt"]
        assert artifact["GetURL"] == ""
    server.stop()
    shorter = Server(server.folder, PUPLOAD_KEEP_RUNS_SECONDS="1")
    await asyncio.to_thread(shorter.start)
    try:
        await until_rows(shorter, 0)
    finally:
        shorter.stop()
