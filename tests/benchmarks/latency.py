"""
P3 and P4: how long a node waits that could run.

Nodes tell the time themselves in their first and last instruction. In between the engine's events and the server's
marks are seen from outside.
"""

import os
from itertools import pairwise

from tests.benchmarks import house, shapes
from tests.benchmarks.figures import Figure, percentile, spread
from tests.benchmarks.lab import Lab, ms, now
from tests.benchmarks.sightings import Engine, Openings

LENGTH = 10
"""Of the chains of P4."""

UPLOAD_BYTES = 1_000_000
AT_ONCE = 4
"""Runs of P3 that wait for their uploads at a time: few enough that each may prepare itself."""


async def handing_on(lab: Lab) -> list[Figure]:
    """P4: in chains behind an upload, from each node to the next."""
    by_engine, by_nodes, armed, unseen = list[float](), list[float](), 0, 0
    order = shapes.chain(LENGTH, upload=True, script=shapes.TOLD)
    chains = lab.samples(12)
    async with house.opened() as there:
        engine, openings = Engine(there.server.instance), Openings(there.server.data / "attempts")
        with engine.watching(), openings.watching():
            for number in range(chains):
                run = await there.start(order)
                await there.prepared()
                await there.put(run, "e0", b"an upload")
                await there.completed(run)
                done = await there.client.status(run["ID"])
                told = [shapes.when(await there.get(done, f"e{i + 1}")) for i in range(LENGTH)]
                by_nodes += [ms(one[-1], other[0]) for one, other in pairwise(told)]
                await there.settled()
                for i in range(LENGTH - 1):
                    here, following = (run["ID"], f"n{i}"), (run["ID"], f"n{i + 1}")
                    armed += following in openings.seen
                    sent = openings.seen.get(following, engine.started.get(following, 0.0))
                    if sent < engine.died.get(here, sent):
                        unseen += 1  # it was armed, and its mark was gone before it could be watched
                    elif here in engine.died:
                        by_engine.append(ms(engine.died[here], sent))
                lab.say(f"P4 {number + 1}/{chains}: {percentile(by_engine, 50) or 0:.1f} ms so far")
    note = (
        f"{armed} of {len(by_engine)} were armed: their start is the mark that their gate makes when it is let go, "
        "before it becomes the command. The others' is the engine's word that they run, the whole start later than it "
        f"was asked to. {unseen} more are not counted: neither was seen."
    )
    return [
        *spread("P4", "engine's word of a node's exit → start of the next sent", by_engine, p50=10, p99=50, note=note),
        *spread("P4 nodes", "a node's last instruction → the first of the next", by_nodes),
    ]


async def after_upload(lab: Lab) -> list[Figure]:
    """P3: from the answer to a PUT to the first instruction of the node that takes it."""
    took, puts = list[float](), list[float]()
    order = shapes.chain(1, upload=True, script=f'{shapes.CLOCK} > "$OUTPUT_OUT"')
    content = os.urandom(UPLOAD_BYTES)
    rounds = -(-lab.samples(100) // AT_ONCE)
    async with house.opened() as there:
        for number in range(rounds):
            waiting = [await there.start(order) for _ in range(AT_ONCE)]
            await there.prepared()
            for run in waiting:
                began = now()
                uploaded = await there.put(run, "e0", content)
                puts.append(ms(began, uploaded))
                await there.completed(run)
                done = await there.client.status(run["ID"])
                took.append(ms(uploaded, shapes.when(await there.get(done, "e1"))[0]))
            await there.settled()
            lab.say(f"P3 {number + 1}/{rounds}: {percentile(took, 50):.1f} ms so far")
    note = (
        f"From the store's answer to the PUT, which took {percentile(puts, 50):.1f} ms (p50). The node tells the time "
        "with a program of its own, which begins a millisecond or two after the node's first instruction."
    )
    return spread("P3", "end of a 1 MB upload → the node's command runs", took, p50=20, p99=60, note=note)
