"""
A process that saves runs as fast as it can and says which saves were acknowledged, until it is killed.

Arguments: the database's path or URL. Each line of output is a run's id and a version that `save` or `create` returned.
"""

import asyncio
import os
import sys
from dataclasses import replace

from pupload.adapters.db.database import Database
from pupload.domain import run
from tests.contracts.states import a_line, a_run, created, moved

SAVERS = 32


async def live(database: Database, name: str) -> None:
    last = await database.runs.create(created(a_run(name)), idempotency_key=name)
    while True:
        os.write(1, f"{name} {last.version}\n".encode())
        fresh = {node: run.NodeRun(id=node) for node in last.nodes}
        decision = moved(replace(last, nodes=fresh), "resize", run.NodeStatus.READY)
        last = await database.runs.save(decision, if_version=last.version)
        if last.version % 5 == 0:
            await database.journal.write_logs(name, "resize", 1, [a_line(str(last.version))])


async def main() -> None:
    database = await Database.open(sys.argv[1])
    await asyncio.gather(*(live(database, f"run_{n}") for n in range(SAVERS)))


if __name__ == "__main__":
    asyncio.run(main())
