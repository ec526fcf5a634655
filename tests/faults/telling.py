"""
A process that writes runs and tells what happens in all of them, a line each, until it is killed.

usage: python -m tests.faults.telling DATABASE NAME CURSOR
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

from pupload import ports
from pupload.adapters.db.database import Database
from pupload.domain import run
from pupload.service.feed import Feed
from tests.contracts.states import a_line, a_run, created, moved

AT_ONCE = 8


async def main(where: str, name: str, cursor: str) -> None:
    """Goes on for ever; with an empty name it writes nothing."""
    database = await Database.open(where if "://" in where else Path(where))
    async with asyncio.TaskGroup() as group:
        group.create_task(_tell(database, cursor))
        for number in range(AT_ONCE if name else 0):
            group.create_task(_write(database, f"run_{name}_{number}"))


async def _tell(database: Database, cursor: str) -> None:
    async for told in Feed(database.feed, cast(Any, None)).follow(after=cursor):
        for one in told.told:
            what = one.news.what
            place = f"event {what.seq}" if isinstance(what, ports.Entry) else f"line {what.cursor}"
            print(one.cursor, what.run, place, flush=True)


async def _write(database: Database, name: str) -> None:
    number = 0
    while True:
        number += 1
        last = await database.runs.create(created(a_run(f"{name}_{number}")))
        for _ in range(5):
            last = await database.runs.save(moved(last, "resize", run.NodeStatus.READY), if_version=last.version)
            await database.journal.write_logs(last.id, "resize", 1, [a_line("x")])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
