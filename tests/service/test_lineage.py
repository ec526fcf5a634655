"""Where data comes from, and who uses it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pupload import errors
from pupload.domain import saved
from pupload.domain.flow import DataWell, Flow
from pupload.domain.plan import Origin
from pupload.domain.replaying import Edits
from pupload.domain.run import NodeStatus, Run, Status
from pupload.service.flows import Draft, Flows
from pupload.service.lineage import Lineage
from pupload.service.outlines import Outlines
from tests.bench import PNG, Bench, NoCatalogue, a_bench, copies, ends
from tests.builders import a_chain, a_flow, definitions_for

IMAGE = "pupload/resize:latest"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path, memoize=True) as found:
        found.image(IMAGE, copies("image", "resized"))
        yield found


@pytest.fixture
def flows(bench: Bench) -> Flows:
    return Flows(engine=bench.engine, runs=bench.runs)


@pytest.fixture
def lineage(bench: Bench, flows: Flows) -> Lineage:
    return Lineage(engine=bench.engine, runs=bench.runs, flows=flows, outlines=Outlines(bench.engine, NoCatalogue()))


async def a_saved(flows: Flows, name: str, this: Flow) -> str:
    content = saved.Content(flow=this, definitions=definitions_for(this))
    return (await flows.save(name, Draft(content=content))).flow.id


def writes(key: str) -> Flow:
    return a_flow(*a_chain(1), wells=(DataWell(edge="e1", key=key),))


def reads(key: str) -> Flow:
    return a_flow(*a_chain(1), wells=(DataWell(edge="e0", source="static", key=key),))


async def test_flows_that_touch_the_same_object_meet_there(flows: Flows, lineage: Lineage) -> None:
    writer, reader = (
        await a_saved(flows, "w", writes("daily/$DATE.png")),
        await a_saved(flows, "r", reads("daily/2026-03-03.png")),
    )
    other = await a_saved(flows, "o", reads("another.png"))
    links = {(each.source, each.target, each.kind) for each in (await lineage.graph()).edges}
    written, taken = "store:default/daily/${DATE}.png", "store:default/daily/2026-03-03.png"
    assert (f"proc:{writer}:n0", written, "writes") in links
    assert (written, taken, "feeds") in links
    assert (taken, f"proc:{reader}:n0", "reads") in links
    around = {each.id for each in (await lineage.graph(flow="w")).nodes}
    assert f"proc:{reader}:n0" in around
    assert f"proc:{other}:n0" not in around
    with pytest.raises(errors.UnknownSavedFlow):
        await lineage.graph(flow="nobody")


async def test_the_graph_is_that_of_the_latest_versions(flows: Flows, lineage: Lineage) -> None:
    await a_saved(flows, "w", writes("one/$DATE"))
    first = await lineage.graph()
    assert await lineage.graph() is first
    await a_saved(flows, "w", writes("two/$DATE"))
    objects = [each.name for each in (await lineage.graph()).nodes if each.kind == "object"]
    assert objects == ["two/${DATE}"]
    await flows.remove("w")
    assert (await lineage.graph()).nodes == ()


# ── Of an artifact ───────────────────────────────────────────────────────────────────────────────────────────────


async def a_run(bench: Bench, *, broken: bool = False) -> Run:
    first, second = a_chain(2)
    bench.image("p/second:latest", ends(code=1) if broken else copies("image", "resized"))
    run = await bench.start(a_flow(first, replace(second, uses="p/second")))
    await bench.upload(run, "e0", PNG)
    return await bench.ended(run, step=1)


async def test_an_artifact_comes_from_what_it_was_made_of(bench: Bench, lineage: Lineage) -> None:
    run = await a_run(bench)
    found = await lineage.of_artifact(run.id, "e2")
    assert [(each.edge, each.node, each.origin, list(each.inputs)) for each in found.upstream] == [
        ("e2", "n1", Origin.NODE, ["e1"]),
        ("e1", "n0", Origin.NODE, ["e0"]),
        ("e0", "", Origin.UPLOAD, []),
    ]
    assert [each.artifact for each in found.upstream] == [run.artifacts[edge] for edge in ("e2", "e1", "e0")]
    assert (found.downstream, found.shared, found.resumed_from) == ((), [], None)
    source = await lineage.of_artifact(run.id, "e0")
    assert [(each.node, list(each.inputs), list(each.outputs)) for each in source.downstream] == [
        ("n0", ["e0"], ["e1"]),
        ("n1", ["e1"], ["e2"]),
    ]


async def test_runs_that_took_it_over_are_told_and_whose_work_it_is(bench: Bench, lineage: Lineage) -> None:
    old = await a_run(bench, broken=True)
    assert old.status is Status.ERROR
    bench.image("p/second:latest", copies("image", "resized"))
    resumed = await bench.ended((await bench.runs.resume(old.id)).run, step=1)
    replayed = await bench.ended((await bench.runs.replay(old.id, Edits(from_nodes=("n1",)))).run, step=1)
    shared = (await lineage.of_artifact(old.id, "e1")).shared
    assert [(each.run, each.replays, each.resumed_from) for each in shared] == [
        (resumed.id, False, old.id),
        (replayed.id, True, old.id),
    ]
    found = await lineage.of_artifact(resumed.id, "e2")
    own, taken, _ = found.upstream
    assert own.source is None
    assert taken.source is not None
    assert (taken.source.run, taken.source.node) == (old.id, "n0")
    assert found.resumed_from == old.id
    assert (await lineage.of_artifact(resumed.id, "e2")).shared == []  # each made its own
    await bench.runs.purge(old.id)
    assert [each.run for each in (await lineage.of_artifact(resumed.id, "e1")).shared] == [replayed.id]


async def test_work_that_was_used_again_is_told_to_be_so(bench: Bench, lineage: Lineage) -> None:
    first, second = await a_run(bench), await a_run(bench)
    step = (await lineage.of_artifact(second.id, "e1")).upstream[0]
    assert step.source is not None
    assert step.source.run == first.id


async def test_what_is_not_there_yet_can_be_asked_for_and_what_never_is_cannot(bench: Bench, lineage: Lineage) -> None:
    run = await bench.start(a_flow(*a_chain(1)))
    found = await lineage.of_artifact(run.id.lower(), "e1")
    assert [(each.artifact, each.status) for each in found.upstream] == [(None, NodeStatus.IDLE), (None, None)]
    with pytest.raises(errors.Malformed, match="no edge e9"):
        await lineage.of_artifact(run.id, "e9")
    with pytest.raises(errors.UnknownRun):
        await lineage.of_artifact("run_01JD0000000000000000000001", "e1")
