"""
P7: a large artifact on its way from a node to the next, by the embedded store.

Beside it the same two containers run bare, with a directory of the host between them, and the file is hashed once by
the machine's own `sha256sum`: what pupload adds must be no more than that.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

from tests.benchmarks import bare, house, shapes
from tests.benchmarks.figures import Figure, compared
from tests.benchmarks.lab import Lab, ms, now
from tests.system import flows

MIB = 1 << 20
SIZE_MIB = 1024

MAKE = f"dd if=/dev/zero bs=1M count={SIZE_MIB} 2> /dev/null"
TAKE = "wc -c"


def _order() -> flows.Json:
    nodes = [
        flows.a_node("make", outputs={"out": "large", "when": "made"}),
        flows.a_node("take", inputs={"in": "large"}, outputs={"when": "taken"}),
    ]
    make = flows.a_script("make", f'{MAKE} > "$OUTPUT_OUT"; {shapes.CLOCK} > "$OUTPUT_WHEN"')
    take = flows.a_script("take", f'{shapes.CLOCK} > "$OUTPUT_WHEN"; {TAKE} < "$INPUT_IN"')
    return flows.an_order(nodes, [make, take], name="large")


def bare_ms() -> tuple[float, float]:
    """The two containers, and `sha256sum` of what is between them."""
    folder = Path(tempfile.mkdtemp(prefix="pupload-bench-"))
    folder.chmod(0o777)
    try:
        make, take = (
            bare.config(("sh", "-c", script), folder=folder)
            for script in (f"{MAKE} > /pupload/out/large", f"{TAKE} < /pupload/out/large")
        )
        with closing(bare.client()) as engine, bare.timed() as took:
            bare.one(engine, make)
            bare.one(engine, take)
        with bare.timed() as hashing:
            subprocess.run(["sha256sum", folder / "large"], check=True, stdout=subprocess.DEVNULL)
    finally:
        shutil.rmtree(folder)
    os.sync()  # what is still to be written must not burden whoever is next
    return took.ms, hashing.ms


async def handed_over(lab: Lab) -> list[Figure]:
    """P7."""
    ours, alone, hashing, growth = list[float](), list[float](), list[float](), list[float]()
    between = list[float]()
    async with house.opened() as there:
        for number in range(lab.samples(3)):
            took, hashed = await asyncio.to_thread(bare_ms)
            alone.append(took)
            hashing.append(hashed)
            before = _memory(there, there.memory_bytes)
            there.forget_peaks()
            began = now()
            run = await there.start(_order())
            ours.append(ms(began, await there.completed(run)))
            growth.append((_memory(there, lambda pid: there.memory_bytes(pid, "VmHWM")) - before) / MIB)
            done = await there.client.status(run["ID"])
            made, taken = [shapes.when(await there.get(done, edge))[0] for edge in ("made", "taken")]
            between.append(ms(made, taken))
            await there.settled()
            await there.client.purge(run["ID"])
            await asyncio.to_thread(os.sync)
            lab.say(f"P7 {number + 1}: bare {took:.0f} ms, sha256sum {hashed:.0f} ms, pupload {ours[-1]:.0f} ms")
    added = [mine - bare for mine, bare in zip(ours, alone, strict=True)]
    note = f"Both nodes took {median(ours):.0f} ms, bare {median(alone):.0f} ms. Less than 0: faster than bare."
    return [
        Figure(
            key="P7",
            what="1 GiB from a node to the next: time added / sha256sum",
            unit="x",
            value=median(added) / median(hashing),
            goal=1,
            runs=added,
            runs_unit="ms",
            baseline=hashing,
            note=note,
        ),
        compared(
            "P7 handing on", "the first's last instruction → the second's first / sha256sum", between, hashing, goal=1
        ),
        Figure(
            key="P7 memory",
            what="most that server and store grew by meanwhile",
            unit="MiB",
            value=max(growth),
            goal=100,
            runs=growth,
        ),
    ]


async def alone(lab: Lab) -> list[Figure]:
    """The baseline of P7."""
    both = [await asyncio.to_thread(bare_ms) for _ in range(lab.samples(3))]
    took, hashing = [one for one, _ in both], [other for _, other in both]
    return [
        Figure(key="P7 bare", what="the two nodes of 1 GiB, bare", unit="ms", value=median(took), runs=took),
        Figure(key="P7 sha256sum", what="sha256sum of the file", unit="ms", value=median(hashing), runs=hashing),
    ]


def _memory(there: house.House, of: Callable[[int], int]) -> int:
    return sum(of(pid) for pid in there.pids)
