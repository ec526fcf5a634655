"""
P5, P6, P8, P9 and MEM: what the server does beside the engine, and what it takes while it does nothing.
"""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import house, shapes
from tests.benchmarks.figures import Figure, compared, percentile, slope, spread
from tests.benchmarks.lab import Lab, undisturbed
from tests.system import flows

ROOT = Path(__file__).parents[2]

QUICK = str(Path(__file__).with_name("quick.py"))
"""The server without an engine."""

ROOMY = (str(Path(__file__).parents[1] / "faults" / "dying.py"), "--memory", str(1 << 40))
"""The server on an engine that tells of more memory than there is: containers need not use what they are promised."""

TURNS = 3
"""Of P6, at least: of an even number it would be the slower of the two in the middle."""

HELD = 50
WAITING = 10_000
FINISHED, WARM, STEP = 10_000, 4_000, 500
"""Runs that are finished for MEM, however few rounds are asked for; after `WARM` of them growth counts."""
AT_ONCE = 16


# ── P5 ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def answers(lab: Lab) -> list[Figure]:
    """P5: a flow of 100 nodes is taken, and the status is told while containers run."""
    order = shapes.fan_behind_upload(100)
    posts, gets = list[float](), list[float]()
    async with house.opened(program=ROOMY, PUPLOAD_GRACE_SECONDS="0") as there:
        taken = []
        with undisturbed():
            for _ in range(lab.samples(100)):
                began = time.perf_counter()
                taken.append(await there.start(order))
                posts.append((time.perf_counter() - began) * 1e3)
        lab.say(f"P5: POST {percentile(posts, 50):.1f} ms")
        await _cancelled(there, taken)
        run = await there.start(_held(HELD))
        await executing(there, run, HELD)
        with undisturbed():
            for _ in range(lab.samples(500)):
                began = time.perf_counter()
                await there.client.status(run["ID"])
                gets.append((time.perf_counter() - began) * 1e3)
        lab.say(f"P5: GET {percentile(gets, 50):.1f} ms while {HELD} containers run")
        await _cancelled(there, [run])
    what = f"GET status → answered, {HELD} containers running"
    return [
        *spread("P5", "POST of a flow of 100 nodes → answered", posts, p50=10, p99=40),
        *spread("P5 get", what, gets, p99=5),
    ]


def _held(count: int) -> flows.Json:
    nodes = [flows.a_node(f"n{i}", "held") for i in range(count)]
    return flows.an_order(nodes, [flows.a_script("held", "sleep 3600")], name="held")


async def executing(there: house.House, run: flows.Json, count: int) -> None:
    """Returns when the containers of so many nodes of the run were started."""
    begun = 0
    async for event in there.client.events(run["ID"]):
        begun += event.kind == "node.started"
        if begun == count:
            return
    raise house.Broken(f"the run ended before its nodes ran: {(await there.client.status(run['ID']))['Error']}")


async def _cancelled(there: house.House, runs: Sequence[flows.Json]) -> None:
    for run in runs:
        await there.client.cancel(run["ID"])
    for run in runs:
        await there.client.wait(run["ID"])
    await there.settled()


# ── P6, P8 ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def transitions(lab: Lab) -> list[Figure]:
    """
    P6: durable transitions of nodes per second, of 64 runs at once.

    The speed of a shared machine, and above all of its disk, drifts within minutes: so the kinds take turns, and what a
    transition takes of the processors is told as well.
    """
    found = list[Figure]()
    for place, name, goal in (("sqlite", "SQLite", 3000.0), ("postgres", "PostgreSQL", 2000.0)):
        key = "P6" if place == "sqlite" else "P6 postgres"
        kinds = (
            ("engine", "", "the whole engine, containers and their directories in memory", goal),
            ("disk", " disk", "the same, directories on the disk of the database", None),
            ("driver", " driver", "decisions and database alone", None),
        )
        runs: dict[str, list[float]] = {kind: [] for kind, *_ in kinds}
        processor: dict[str, list[float]] = {kind: [] for kind in runs}
        for number in range(max(lab.samples(5), TURNS)):
            for kind in runs:
                done = await worked(f"{kind}-{place}")
                runs[kind].append(done["per_second"])
                processor[kind].append(done["cpu_us"])
            rates = ", ".join(f"{kind} {rate[-1]:.0f}" for kind, rate in runs.items())
            lab.say(f"{key} {number + 1}: {rates} a second")
        for kind, suffix, what, wanted in kinds:
            row = Figure(
                key=key + suffix,
                what=f"durable node transitions, {name}, {what}",
                unit="/s",
                value=percentile(runs[kind], 50),
                goal=wanted,
                at_least=True,
                runs=runs[kind],
            )
            found.append(row)
        what = f"processor time of one, {name}, the whole engine / decisions and database alone"
        found.append(compared(f"{key} CPU", what, processor["engine"], processor["driver"], unit="µs"))
    return found


async def large_flows(lab: Lab) -> list[Figure]:
    """P8: flows of 10 000 and of 100 000 nodes."""
    posted = shapes.chain(10_000, upload=True)
    judged = list[float]()
    async with house.opened() as there:
        for _ in range(lab.samples(5)):
            began = time.perf_counter()
            answer = await there.client.validate(posted)
            judged.append(time.perf_counter() - began)
            if not answer["Valid"]:
                raise house.Broken(f"the flow is not valid: {answer['Findings'][:3]}")
    lab.say(f"P8: 10 000 nodes validated in {percentile(judged, 50):.2f} s")
    small = [await worked("flow-10000") for _ in range(lab.samples(2))]
    large = [await worked("flow-100000") for _ in range(lab.samples(2))]
    took = [one["seconds"] for one in large]
    lab.say(f"P8: 100 000 nodes run in {percentile(took, 50):.1f} s")
    ended = "Judged, planned, begun, run to its end with the state in memory and attempts that end at once."
    flat = "Flat is called what is within a quarter: memory comes in large pieces."
    few, many = ([float(one["bytes_per_node"]) for one in some] for some in (small, large))
    what = "flow of 10 000 nodes POSTed → validated"
    of_run, of_node = "flow of 100 000 nodes run", "memory of a node, of 100 000 over of 10 000"
    return [
        Figure(key="P8", what=what, unit="s", value=percentile(judged, 50), goal=1, runs=judged),
        Figure(key="P8 run", what=of_run, unit="s", value=percentile(took, 50), goal=10, runs=took, note=ended),
        compared("P8 memory", of_node, many, few, goal=1.25, unit="bytes", note=flat),
    ]


async def worked(name: str) -> dict[str, Any]:
    """What the worker measured, in a process and a folder of its own."""
    folder = tempfile.mkdtemp(prefix="pupload-bench-")
    command = [sys.executable, "-m", "tests.benchmarks.worker", name, folder]
    try:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            out, wrong = await process.communicate()
        finally:
            if process.returncode is None:  # interrupted
                process.kill()
                await process.wait()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    if process.returncode:
        raise house.Broken(f"{name}: {wrong.decode()[-2000:]}")
    found: dict[str, Any] = json.loads(out)
    return found


# ── P9 ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def idle(lab: Lab) -> list[Figure]:
    """P9: nothing happens, and many runs wait for their uploads."""
    count, seconds = min(lab.samples(WAITING), WAITING), 20.0
    async with house.opened(ended=False) as there:
        await _start_many(there, shapes.chain(1, upload=True), count)
        lab.say(f"P9: {count} runs wait")
        await there.prepared()
        await asyncio.sleep(5)  # whatever follows from that many
        before, began = there.processor_ms(), time.monotonic()
        writes, last = 0, there.written()
        while time.monotonic() - began < seconds:
            await asyncio.sleep(0.1)
            found = there.written()
            writes, last = writes + (found != last), found
        share = (there.processor_ms() - before) / (time.monotonic() - began) / 10
    return [
        Figure(key="P9", what=f"processor, idle with {count} waiting runs", unit="% of one", value=share, goal=1),
        Figure(key="P9 writes", what=f"writes to the database in {seconds:g} s of it", unit="", value=writes, goal=0),
    ]


async def _start_many(there: house.House, order: flows.Json, count: int, *, ended: bool = False) -> None:
    numbers = iter(range(count))

    async def start() -> None:
        for _ in numbers:
            run = await there.start(order)
            if ended:
                await there.client.wait(run["ID"])

    await asyncio.gather(*(start() for _ in range(AT_ONCE)))


# ── MEM ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def memory(lab: Lab) -> list[Figure]:
    """MEM: what the server's process grows by while runs end, once all is full that it remembers."""
    points = list[tuple[float, float]]()
    order = flows.an_order(
        [flows.a_node("n", outputs={"out": "e"})], [{**flows.a_script("n", "unread"), "Image": "quick"}], name="quick"
    )
    async with house.opened(program=(QUICK,)) as there:
        for done in range(STEP, FINISHED + 1, STEP):
            await _start_many(there, order, STEP, ended=True)
            points.append((done / 1000, there.memory_bytes() / 2**20))
            lab.say(f"MEM: {points[-1][1]:.0f} MiB after {done} runs")
    late = [point for point in points if point[0] * 1000 >= WARM]
    growth = slope(late)
    note = (
        f"{late[0][1]:.1f} MiB after {late[0][0] * 1000:.0f} runs, {late[-1][1]:.1f} MiB after "
        f"{late[-1][0] * 1000:.0f}. Containers are functions; all else is real."
    )
    what = "growth of the server's memory for 1000 finished runs"
    sizes = [size for _, size in points]
    return [Figure(key="MEM", what=what, unit="MiB", value=growth, goal=0.5, runs=sizes, note=note)]
