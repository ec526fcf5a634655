"""Consequences over a pupload in memory."""

from dataclasses import replace

from pupload.domain import flow as flows
from pupload.domain import saved
from pupload.domain.run import Run
from pupload.service import flows as saving
from pupload.service.children import Children
from pupload.service.consequences import Consequences
from pupload.service.flows import Flows
from pupload.service.handing import Hands
from pupload.service.results import Results
from pupload.service.threads import Threads
from tests.bench import Bench
from tests.builders import a_flow, a_node, a_well, definitions_for


def started(bench: Bench) -> Bench:
    """The bench, where what follows from runs does from now on."""
    hands = Hands(engine=bench.engine, uploads=bench.uploads)
    children = Children(engine=bench.engine, flows=flows_of(bench), hands=hands)
    Consequences(bench.engine, children, threads_of(bench)).start()
    return bench


async def restarted(bench: Bench) -> Bench:
    """Another process on the same world, likewise."""
    return started(await bench.restarted())


def flows_of(bench: Bench) -> Flows:
    return Flows(engine=bench.engine, runs=bench.runs)


def threads_of(bench: Bench) -> Threads:
    results = Results(engine=bench.engine, runs=bench.runs)
    return Threads(engine=bench.engine, kept=bench.kept.threads, results=results)


async def save(bench: Bench, name: str, this: flows.Flow) -> str:
    """The id of the flow, saved."""
    content = saved.Content(flow=this, definitions=definitions_for(this))
    return (await flows_of(bench).save(name, saving.Draft(content=content))).flow.id


def waits_for_a_run(inner: str = "inner", *, given: str = "text", **fields: object) -> flows.Flow:
    """`text`, an upload, is given to a run of the flow; what that makes is copied to `result`."""
    well = replace(a_well("made", source="run"), flow=inner, given=given)
    return a_flow(a_node("last", inputs={"image": "made"}, outputs={"resized": "result"}), wells=[well], **fields)


def copies_to_result() -> flows.Flow:
    return a_flow(a_node("copy", inputs={"image": "said"}, outputs={"resized": "result"}), name="inner")


async def children(bench: Bench) -> list[Run]:
    """The runs on behalf of others, in the order in which they began."""
    page = await bench.world.runs.list(limit=1000)
    found = [await bench.engine.driver.look(each.id) for each in reversed(page.runs)]
    return [run for run in found if run.plan.parent is not None]
