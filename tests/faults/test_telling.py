"""Servers that are killed while they tell what happens: whoever comes back is told the rest, and nothing twice."""

import asyncio
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from pupload.adapters.db.database import Database
from tests import postgres

KILLS = 3


async def a_teller(where: str, name: str, cursor: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.telling", where, name, cursor), stdout=asyncio.subprocess.PIPE
    )


async def told(teller: asyncio.subprocess.Process) -> list[str]:
    assert teller.stdout is not None
    async with asyncio.timeout(60):
        line = await teller.stdout.readline()
    assert line, "it ended by itself"
    return line.decode().split()


async def killed(teller: asyncio.subprocess.Process) -> None:
    teller.kill()
    await teller.communicate()


async def forgotten() -> None:
    """Returns when the server has ended what the killed had begun, be it by a commit."""
    left = "SELECT FROM pg_stat_activity WHERE datname = 'emptied' AND backend_type = 'client backend'"
    async with asyncio.timeout(30):
        while await postgres.shared().say(left):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


async def written(database: Database) -> dict[str, tuple[list[int], list[int]]]:
    """The numbers of events and lines of every run."""
    runs = [each.id for each in (await database.runs.list(limit=100_000)).runs]
    return {
        run_id: (
            [entry.seq for entry in await database.journal.read(run_id)],
            [record.cursor for record in await database.journal.read_logs(run_id)],
        )
        for run_id in runs
    }


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_follower_of_servers_that_are_killed_is_told_everything_once(tmp_path: Path, kind: str) -> None:
    where = str(tmp_path / "pupload.db") if kind == "sqlite" else await postgres.shared().emptied()
    heard: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    cursor = "0.0.0"

    def take(line: list[str]) -> None:
        place, run_id, what, number = line
        heard[run_id][what == "line"].append(int(number))
        nonlocal cursor
        cursor = place

    for start in range(KILLS):
        # On the server another one writes meanwhile, and is killed in the midst of it, too.
        other = await a_teller(where, f"o{start}", "") if kind == "postgresql" else None
        teller = await a_teller(where, f"t{start}", cursor)
        for _ in range(150 + 77 * start):
            take(await told(teller))
        await killed(teller)
        if other is not None:
            await killed(other)
    if kind == "postgresql":
        await forgotten()
    database = await Database.open(where if "://" in where else Path(where))
    truth = await written(database)
    await database.close()
    teller = await a_teller(where, "", cursor)
    total = sum(len(part) for each in truth.values() for part in each)
    while sum(len(part) for each in heard.values() for part in each) < total:
        take(await told(teller))
    await killed(teller)
    assert dict(heard) == truth
    assert len(truth) > KILLS
