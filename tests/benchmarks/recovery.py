"""
P10: the server is killed while many containers run, and started again.

What counts is the time from its start to its own word that it holds every one of them; that it really does is shown by
what follows: each goes on as the container it was, and ends its node.
"""

import asyncio
import re
import time

import aiohttp

from tests.benchmarks import house, planes
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.lab import Lab
from tests.system import flows

COUNT = 100
RECOVERED_SECONDS = 60.0


async def recovered(lab: Lab) -> list[Figure]:
    """P10."""
    took, ready, again = list[float](), list[float](), list[float]()
    nodes = [flows.a_node(f"n{i}", "held", outputs={"out": f"e{i}"}) for i in range(COUNT)]
    script = flows.HOLD + 'echo $word > "$OUTPUT_OUT"'
    async with house.opened(program=planes.ROOMY) as there:
        for number in range(lab.samples(2)):
            run = await there.start(flows.an_order(nodes, [flows.a_script("held", script)], name="held"))
            await planes.executing(there, run, COUNT)
            await asyncio.gather(*(flows.until_line(there.client, run, "held", node=name) for name in run["NodeState"]))
            before = await asyncio.to_thread(_containers, there)
            there.server.kill()
            began = time.monotonic()
            await asyncio.to_thread(there.server.start)
            ready.append(time.monotonic() - began)
            await _all_held(there, began)
            took.append(time.monotonic() - began)
            after = await asyncio.to_thread(_containers, there)
            await asyncio.gather(*(flows.let_go(there.server, run, name) for name in run["NodeState"]))
            done = await there.client.wait(run["ID"])
            if done["Status"] != "COMPLETE":
                raise house.Broken(f"after the restart: {done['Error']}")
            repeated = sum(state["Attempt"] > 1 for state in done["NodeState"].values())
            again.append(repeated + len(after.items() - before.items()))
            await there.settled()
            lab.say(f"P10 {number + 1}: {took[-1]:.2f} s, answering after {ready[-1]:.2f} s")
    note = f"From the start of the process, which answers after {percentile(ready, 50):.1f} s."
    what = f"kill -9 with {COUNT} live containers: start → all held again"
    return [
        Figure(key="P10", what=what, unit="s", value=percentile(took, 50), goal=5, runs=took, note=note),
        Figure(key="P10 again", what="of them run again, or in another container", unit="", value=max(again), goal=0),
    ]


def _containers(there: house.House) -> dict[str, str]:
    """The engine's id of each node's container, and when it was started."""
    return {
        each["Config"]["Labels"]["pupload.node"]: each["Id"] + each["State"]["StartedAt"]
        for each in there.server.containers()
    }


async def _all_held(there: house.House, began: float) -> None:
    async with aiohttp.ClientSession() as session:
        while time.monotonic() - began < RECOVERED_SECONDS:
            async with session.get(f"{there.server.url}/metrics") as response:
                found = re.search(r"^pupload_containers (\S+)$", await response.text(), re.MULTILINE)
            if found and float(found[1]) >= COUNT:
                return
            await asyncio.sleep(0.02)
    raise house.Broken(f"{RECOVERED_SECONDS:g} s after its start the server does not hold what runs")
