"""Other shapes of runs, for comparison: nothing is promised for them."""

import asyncio
import os
from collections.abc import Callable

from tests.benchmarks import bare, house, runs, shapes
from tests.benchmarks.figures import Figure, compared
from tests.benchmarks.lab import Lab, ms, now
from tests.system import flows

THREADS = 4
"""For what may run side by side; more or fewer made no difference that could be told on two cores."""

MANY = 200

ROUNDS = 3

Case = tuple[str, str, flows.Json, bytes, Callable[[], float]]
"""Its key, what it is, the order, what is uploaded, and the same bare."""


def _cases() -> list[Case]:
    return [
        (
            "FAN20",
            "fan of 20 behind an upload / 20 bare, 4 at once",
            shapes.fan_behind_upload(20),
            b"an upload",
            lambda: bare.fan_ms(20, THREADS),
        ),
        (
            "DIAMOND",
            "diamond behind an upload / bare loop of 4",
            shapes.diamond(),
            b"an upload",
            lambda: bare.loop_ms(4),
        ),
        (
            "CHAIN1MB",
            "chain of 5 with artifacts of 1 MB / bare loop of 5",
            shapes.chain(5, upload=True),
            os.urandom(1_000_000),
            lambda: bare.loop_ms(5),
        ),
    ]


async def shaped(lab: Lab) -> list[Figure]:
    """SHAPES: from the end of an upload to COMPLETE seen; and many runs at once, from POST to the last end."""
    found = []
    async with house.opened() as there:
        for key, what, order, content, alone in _cases():
            ours, without = list[float](), list[float]()
            for number in range(lab.samples(ROUNDS)):
                without.append(await asyncio.to_thread(alone))
                ours.append(await runs.behind_upload(there, order, content=content))
                await there.settled()
                lab.say(f"{key} {number + 1}: bare {without[-1]:.0f} ms, pupload {ours[-1]:.0f} ms")
            found.append(compared(key, what, ours, without))
        found.append(await _many(lab, there))
    return found


async def _many(lab: Lab, there: house.House) -> Figure:
    took = await asyncio.to_thread(bare.fan_ms, runs.FAN, THREADS)
    began = now()
    started = await asyncio.gather(*(there.start(shapes.fan(1)) for _ in range(MANY)))
    ended = await asyncio.gather(*(there.completed(run) for run in started))
    ours = ms(began, max(ended))
    await there.settled()
    lab.say(f"RUNS200: bare {took / runs.FAN:.0f} ms, pupload {ours / MANY:.0f} ms for a container")
    what = f"{MANY} runs of one node at once, time for each / plain containers, {THREADS} at once"
    return compared("RUNS200", what, [ours / MANY], [took / runs.FAN])
