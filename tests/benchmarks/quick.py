"""
The real server with containers that are functions, so that thousands of runs take a minute: `quick.py dev --data ...`.

Run by its path, with what `pup` takes. Everything else is real: HTTP, database, embedded store, directories. Whatever
the image, a container writes a line to each output that its environment names, and ends.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from pupload import ports, wiring
from pupload.adapters.memory.containers import MemoryExecutor, Outcome, image_id
from pupload.cli.main import main

IMAGE = "quick"


def _writes(order: ports.ContainerOrder) -> Outcome:
    for name, place in order.environment.items():
        if name.startswith("OUTPUT_"):
            (order.outputs / Path(place).name).write_text(f"{order.attempt.id}\n")
    return Outcome()


class _Forgetful(Counter[Any]):
    """The executor counts for tests what it ever started: that would look as if the server grew."""

    def __setitem__(self, key: Any, value: int) -> None:
        """Nothing is kept."""


def _executor(*, clock: ports.Clock, **_: object) -> MemoryExecutor:
    executor = MemoryExecutor(clock=clock, images={IMAGE: _writes})
    executor.starts = _Forgetful()
    assert image_id(IMAGE)
    return executor


if __name__ == "__main__":
    setattr(wiring, "DockerExecutor", _executor)  # noqa: B010 - what is imported there is nobody else's to name
    main()
