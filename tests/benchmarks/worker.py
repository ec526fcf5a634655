"""
Measures of the control plane, each in a process of its own: `python -m tests.benchmarks.worker NAME [FOLDER]`.

So that one leaves nothing in the memory that the next is judged by. Prints JSON.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pupload import wiring
from tests import postgres
from tests.benchmarks import control


@contextmanager
def _in_memory() -> Iterator[Path]:
    """A place for attempts that takes a disk no time, as their containers and their store take none."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="pupload-bench-", dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


async def _on_postgres(measure: Callable[[str], Awaitable[Any]]) -> Any:
    server = await asyncio.to_thread(postgres.Server)
    try:
        return await measure(await server.new())
    finally:
        await asyncio.to_thread(server.remove)


async def _engine_sqlite(folder: Path) -> Any:
    with _in_memory() as attempts:
        return await control.engine_transitions_per_second(folder / "pupload.db", attempts)


async def _engine_postgres(_: Path) -> Any:
    with _in_memory() as attempts:
        return await _on_postgres(lambda url: control.engine_transitions_per_second(url, attempts))


async def _disk_sqlite(folder: Path) -> Any:
    return await control.engine_transitions_per_second(folder / "pupload.db", folder / "attempts")


async def _disk_postgres(folder: Path) -> Any:
    return await _on_postgres(lambda url: control.engine_transitions_per_second(url, folder / "attempts"))


async def _driver_sqlite(folder: Path) -> Any:
    return await control.transitions_per_second(folder / "pupload.db")


async def _driver_postgres(_: Path) -> Any:
    return await _on_postgres(control.transitions_per_second)


async def _flow_10000(_: Path) -> Any:
    return await control.big_run(10_000)


async def _flow_100000(_: Path) -> Any:
    return await control.big_run(100_000)


MEASURES: Mapping[str, Callable[[Path], Awaitable[Any]]] = {
    "engine-sqlite": _engine_sqlite,
    "engine-postgres": _engine_postgres,
    "disk-sqlite": _disk_sqlite,
    "disk-postgres": _disk_postgres,
    "driver-sqlite": _driver_sqlite,
    "driver-postgres": _driver_postgres,
    "flow-10000": _flow_10000,
    "flow-100000": _flow_100000,
}


def main() -> int:
    """Prints what the measure returns."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    (folder / "attempts").mkdir(exist_ok=True)
    # On the event loop that the server has.
    with asyncio.Runner(loop_factory=wiring.loop_factory()) as runner:
        print(json.dumps(runner.run(_measured(name, folder))))
    return 0


async def _measured(name: str, folder: Path) -> Any:
    return await MEASURES[name](folder)


if __name__ == "__main__":
    sys.exit(main())
