"""
Soaks a real server in a mix of flows while it is killed, frozen, restarted and starved: `scripts/torture`.

Ends with the checker's verdict on all that is left, and with the line that repeats it. Which flows are ordered and
which faults come, and in what order, depends on the seed alone; when exactly, on the machine.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter

from tests.checker import describe
from tests.torture.soak import Options, Soak


def main() -> int:
    """0 where every promise was kept, else 1."""
    given = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    given.add_argument("--minutes", type=float, default=10.0, help="how long faults come (10)")
    given.add_argument("--seed", type=int, help="of flows and faults; a new one where none is given")
    given.add_argument("--database-url", default="", help="a PostgreSQL database, empty, for this alone")
    given.add_argument("--postgres", action="store_true", help="on a PostgreSQL server made for it, harmed as well")
    given.add_argument("--controllers", type=int, default=1, help="servers that share a PostgreSQL database (1)")
    given.add_argument("--keep", action="store_true", help="leave the data there, whatever the verdict")
    said = given.parse_args()
    if said.controllers > 1 and not (said.postgres or said.database_url):
        given.error("several controllers share a PostgreSQL database: add --postgres")
    seed = random.SystemRandom().randrange(1_000_000) if said.seed is None else said.seed
    options = Options(
        seconds=said.minutes * 60,
        seed=seed,
        controllers=said.controllers,
        database_url=said.database_url,
        own_postgres=said.postgres,
        keep=said.keep,
    )
    more = " --postgres" if said.postgres else " --database-url …" if said.database_url else ""
    more += f" --controllers {said.controllers}" if said.controllers > 1 else ""
    again = f"scripts/torture --minutes {said.minutes:g} --seed {seed}{more}"
    _say(f"seed {seed}")
    soak = Soak(options, _say)
    try:
        clean = asyncio.run(_until_signal(soak))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say(f"interrupted; everything is stopped. Again: {again}")
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, they want the line
        _say(f"it could not go on: {type(error).__name__}: {error}")
        _say(f"again: {again}")
        return 1
    _tell(soak)
    print(f"{describe(soak.broken)}\n\nagain: {again}", flush=True)
    return 0 if clean else 1


async def _until_signal(soak: Soak) -> bool:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await soak.run()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _tell(soak: Soak) -> None:
    """How it went, in numbers."""
    house, faults, found = soak.house, soak.faults, soak.found
    if house is None or faults is None or found is None:
        return
    kinds = Counter(soak.told.cases[run].name for run in soak.told.ended)
    print(f"runs        {_list(found.statuses)}")
    print(f"of kinds    {_list(kinds)}")
    print(f"attempts    {_list(found.attempts)}")
    print(f"faults      {_list(faults.done)}")
    print(f"not to do   {_list(faults.skipped) or 'none'}")
    starts = sum(each.counts["starts"] for each in house.controllers)
    slowest = max(each.slowest_start for each in house.controllers)
    print(f"server      {starts} starts, the slowest took {slowest:.1f} s")
    print(f"requests    {soak.told.asked_again} asked again, {soak.told.refused} refused as they had to be\n")


def _list(counts: "Counter[str]") -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
