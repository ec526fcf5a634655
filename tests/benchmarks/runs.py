"""
P1, P1b, P2 and CPU: whole runs of trivial nodes, beside the same containers without pupload.

Rounds alternate, and each begins when nothing of the last is left: clearing up, which pupload does when the end of the
run is told, burdens nobody else.
"""

import asyncio

from tests.benchmarks import bare, house, shapes
from tests.benchmarks.figures import Figure, compared, percentile
from tests.benchmarks.lab import Lab, ms, now
from tests.system import flows

CHAIN, FAN = 10, 50

_BEHIND_UPLOAD = "Uploaded when the engine did nothing more for the waiting run for 1 s, at most 5 s after the POST."


async def behind_upload(there: house.House, order: flows.Json, *, content: bytes = b"an upload") -> float:
    """From the end of the upload to COMPLETE seen, in milliseconds: the run has had time to prepare itself."""
    run = await there.start(order)
    seen = asyncio.ensure_future(there.completed(run))
    await there.prepared()
    uploaded = await there.put(run, "e0", content)
    return ms(uploaded, await seen)


async def from_post(there: house.House, order: flows.Json) -> float:
    """From the POST to COMPLETE seen."""
    began = now()
    run = await there.start(order)
    return ms(began, await there.completed(run))


async def chain_behind_upload(lab: Lab) -> list[Figure]:
    """P1."""
    ours, polled, loops = list[float](), list[float](), list[float]()
    order = shapes.chain(CHAIN, upload=True)
    async with house.opened() as there:
        for number in range(lab.repeat):
            loops.append(await asyncio.to_thread(bare.loop_ms, CHAIN))
            ours.append(await behind_upload(there, order))
            cleared = await there.settled() * 1e3
            lab.round("P1", number, bare=loops[-1], pupload=ours[-1], cleared=cleared)
        for _ in range(lab.samples(3)):
            run = await there.start(order)
            await there.prepared()
            uploaded = await there.put(run, "e0", b"an upload")
            polled.append(ms(uploaded, await there.polled(run)))
            await there.settled()
    return [
        compared("P1", "chain of 10 behind an upload / bare loop", ours, loops, goal=0.2, note=_BEHIND_UPLOAD),
        compared("P1 polled", "the same, status asked for every 20 ms", polled, loops),
    ]


async def chain_at_once(lab: Lab) -> list[Figure]:
    """P1b."""
    ours, loops = list[float](), list[float]()
    async with house.opened() as there:
        for number in range(lab.repeat):
            loops.append(await asyncio.to_thread(bare.loop_ms, CHAIN))
            ours.append(await from_post(there, shapes.chain(CHAIN, upload=False)))
            cleared = await there.settled() * 1e3
            lab.round("P1b", number, bare=loops[-1], pupload=ours[-1], cleared=cleared)
    return [compared("P1b", "chain of 10 at once / bare loop", ours, loops, goal=0.45)]


async def fan_at_once(lab: Lab) -> list[Figure]:
    """P2."""
    ours, best, cleared, floor = list[float](), list[float](), list[float](), list[float]()
    tried = await asyncio.to_thread(bare.best_threads, FAN)
    lab.say("P2 bare: " + ", ".join(f"{threads} threads {took:.0f} ms" for threads, took in tried.items()))
    threads = min(tried, key=lambda count: tried[count])
    best.append(tried[threads])
    async with house.opened() as there:
        for number in range(lab.repeat):
            best.append(await asyncio.to_thread(bare.fan_ms, FAN, threads))
            floor.append(await asyncio.to_thread(bare.fan_ms, FAN, threads, cheap=True))
            ours.append(await from_post(there, shapes.fan(FAN)))
            cleared.append(await there.settled() * 1e3)
            lab.round("P2", number, bare=best[-1], floor=floor[-1], pupload=ours[-1], cleared=cleared[-1])
    note = (
        f"The engine's best: {threads} threads of {', '.join(map(str, bare.THREADS))}, removal included. "
        f"pupload removes when the end is told: {percentile(cleared, 50):.0f} ms later nothing is left."
    )
    return [
        compared("P2", "fan of 50 / the engine's best", ours, best, goal=0.5, note=note),
        compared("P2 floor", "the engine alone, its network left out / the same", floor, best),
        compared("P2 own", "fan of 50 / that floor", ours, floor),
    ]


async def processor(lab: Lab) -> list[Figure]:
    """CPU: what the server's process takes of the processors for each node, clearing up included."""
    per_node, store = list[float](), list[float]()
    async with house.opened() as there:
        await from_post(there, shapes.chain(CHAIN, upload=False))  # whatever is done once
        for number in range(lab.repeat):
            for order, nodes in ((shapes.chain(CHAIN, upload=False), CHAIN), (shapes.fan(FAN), FAN)):
                await there.settled()
                before, stored = there.processor_ms(), there.store_ms()
                await from_post(there, order)
                await there.settled()
                per_node.append((there.processor_ms() - before) / nodes)
                store.append((there.store_ms() - stored) / nodes)
            lab.say(f"CPU {number + 1}/{lab.repeat}: {per_node[-2]:.1f} and {per_node[-1]:.1f} ms for a node")
    each = (CHAIN * sum(per_node[::2]) + FAN * sum(per_node[1::2])) / (lab.repeat * (CHAIN + FAN))
    told = (
        f"In a chain {percentile(per_node[::2], 50):.1f} ms, in a fan {percentile(per_node[1::2], 50):.1f} ms, by "
        f"the kernel's clock of 10 ms; beside it the embedded store's process {percentile(store, 50):.1f} ms."
    )
    what = "processor time of the server for a node run"
    return [Figure(key="CPU", what=what, unit="ms", value=each, goal=15, runs=per_node, note=told)]


# ── Without pupload ──────────────────────────────────────────────────────────────────────────────────────────────


async def loop_alone(lab: Lab) -> list[Figure]:
    """The baseline of P1 and P1b."""
    took = [await asyncio.to_thread(bare.loop_ms, CHAIN) for _ in range(lab.repeat)]
    return [Figure(key="P1 bare", what=f"bare loop of {CHAIN}", unit="ms", value=percentile(took, 50), runs=took)]


async def best_alone(lab: Lab) -> list[Figure]:
    """The baseline of P2, by how many threads."""
    tried = [await asyncio.to_thread(bare.best_threads, FAN) for _ in range(lab.repeat)]
    return [
        Figure(
            key=f"P2 bare {threads}",
            what=f"{FAN} plain containers, {threads} at once",
            unit="ms",
            value=percentile([one[threads] for one in tried], 50),
            runs=[one[threads] for one in tried],
        )
        for threads in bare.THREADS
    ]
