"""
A server that owns a run, saves it once for each line it is given, and renews its lease in between.

Arguments: the database's URL and the seconds of a lease. It says `ready` once the run is its own, and after each line
`saved` or the name of the error.
"""

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace

from pupload import errors, ports
from pupload.adapters.db.database import Database
from pupload.domain import run
from tests.contracts.states import a_run, created, moved

ME = ports.Controller(id="holder", name="holder", engine="engine", store="store")


async def main() -> None:
    database = await Database.open(sys.argv[1])
    await database.ownership.sign_in(ME, lease_seconds=float(sys.argv[2]))
    last = await database.runs.create(created(a_run()))
    renewing = asyncio.create_task(renew(database, float(sys.argv[2]) / 5))
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        fresh = {node: run.NodeRun(id=node) for node in last.nodes}
        decision = moved(replace(last, nodes=fresh), "resize", run.NodeStatus.READY)
        try:
            last = await database.runs.save(decision, if_version=last.version)
            print("saved", flush=True)
        except errors.PuploadError as error:
            print(type(error).__name__, flush=True)
    renewing.cancel()
    with suppress(asyncio.CancelledError):
        await renewing
    await database.close()


async def renew(database: Database, pause: float) -> None:
    while True:
        await database.ownership.renew()
        await asyncio.sleep(pause)


if __name__ == "__main__":
    asyncio.run(main())
