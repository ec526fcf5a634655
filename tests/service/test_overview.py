"""All runs and flows at a glance."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pupload import errors
from pupload.domain import flow, nodedef, saved
from pupload.domain.run import Run, Status
from pupload.service.flows import Draft, Flows
from pupload.service.outlines import Outlines
from pupload.service.overview import Overview
from tests.bench import PNG, Bench, NoCatalogue, a_bench, copies, ends
from tests.builders import a_chain, a_flow, a_node, a_store, definitions_for

IMAGE = "pupload/resize:latest"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image(IMAGE, copies("image", "resized"))
        yield found


@pytest.fixture
def flows(bench: Bench) -> Flows:
    return Flows(engine=bench.engine, runs=bench.runs)


@pytest.fixture
def overview(bench: Bench) -> Overview:
    return Overview(engine=bench.engine, outlines=Outlines(bench.engine, NoCatalogue()))


def content(this: flow.Flow) -> saved.Content:
    return saved.Content(flow=this, definitions=definitions_for(this))


async def a_saved(flows: Flows, name: str, this: flow.Flow | None = None, **more: object) -> saved.SavedFlow:
    draft = Draft(content=content(this or a_flow(*a_chain(1))), **more)  # type: ignore[arg-type]
    return (await flows.save(name, draft)).flow


async def a_run(bench: Bench, flows: Flows, name: str, *, fails: bool = False) -> Run:
    bench.image(IMAGE, ends(code=1) if fails else copies("image", "resized"))
    run = (await flows.start(name)).run
    await bench.upload(run, "e0", PNG)
    return await bench.ended(run, step=1)


async def pass_days(bench: Bench, days: float) -> None:
    bench.clock.advance(days * 86400)


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_calendar_has_every_day_and_today_at_the_end(bench: Bench, flows: Flows, overview: Overview) -> None:
    await a_saved(flows, "good")
    await a_run(bench, flows, "good")
    await pass_days(bench, 2)
    await a_run(bench, flows, "good", fails=True)
    await a_run(bench, flows, "good")
    started = await bench.start(a_flow(*a_chain(1)))  # never starts, for nothing is uploaded
    today = bench.clock.now().date()
    found = await overview.calendar(days=4)
    assert [(today - day.date).days for day in found] == [3, 2, 1, 0]
    assert [day.total for day in found] == [0, 1, 0, 2]
    assert (found[-1].success, found[-1].failed, found[-1].cancelled, found[-1].running) == (1, 1, 0, 0)
    assert started.status is Status.WAITING
    assert len(await overview.calendar()) == 90
    assert len(await overview.calendar(days=365)) == 365
    assert [day.total for day in await overview.calendar(days=1)] == [2]
    for days in (0, -1, 366):
        with pytest.raises(errors.Malformed, match="1 to 365"):
            await overview.calendar(days=days)


async def test_a_dashboard_tells_what_goes_on_and_what_goes_wrong(
    bench: Bench, flows: Flows, overview: Overview
) -> None:
    good, bad = await a_saved(flows, "good", a_flow(*a_chain(3))), await a_saved(flows, "a/bad")
    gone = await a_saved(flows, "gone")
    await a_run(bench, flows, "a/bad", fails=True)
    await pass_days(bench, 8)
    for _ in range(2):
        await a_run(bench, flows, "a/bad", fails=True)
    await a_run(bench, flows, "gone", fails=True)
    await flows.remove("gone")
    await pass_days(bench, 1)
    bench.image(IMAGE, copies("image", "resized", seconds=3600))
    going = (await flows.start("good")).run
    await bench.upload(going, "e0", PNG)
    await bench.until(lambda: bool(bench.engine.driver.live[going.id].active), step=1)
    found = await overview.dashboard()
    assert [(each.flow.id, each.nodes, each.edges) for each in found.flows] == [(bad.id, 1, 0), (good.id, 3, 2)]
    assert found.flows_total == 2
    assert [each.flow_id for each in found.recent] == [good.id, gone.id, bad.id, bad.id, bad.id]
    assert [(each.flow_id, each.name, each.count) for each in found.failing] == [(bad.id, "a/bad", 2)]
    assert (len(found.trends), found.runs_today, found.runs_yesterday) == (7, 1, 3)
    assert found.running == [going.id]
    assert (found.day_total, found.day_success, found.day_failed) == (1, 0, 0)
    system = await overview.system()
    assert (system.flows, system.active_runs, system.queued_runs, system.max_concurrent_runs) == (2, 1, 0, 64)


async def test_a_purge_looks_back_so_many_days(bench: Bench, flows: Flows, overview: Overview) -> None:
    await a_saved(flows, "good")
    old = await a_run(bench, flows, "good")
    await pass_days(bench, 2)
    young = await a_run(bench, flows, "good")
    assert await overview.purge() == 0
    assert await overview.purge(days=2) == 1
    assert await overview.purge(days=2) == 0
    with pytest.raises(errors.UnknownRun):
        await bench.runs.status(old.id)
    assert (await bench.runs.status(young.id)).run.status is Status.COMPLETE
    assert sum(day.total for day in await overview.calendar()) == 1
    for days in (0, -3, 36_501):
        with pytest.raises(errors.Malformed, match="Days"):
            await overview.purge(days=days)


# ── Searching ────────────────────────────────────────────────────────────────────────────────────────────────────


def names(hits: Sequence[object]) -> list[tuple[str, str]]:
    return [(hit.kind, hit.name) for hit in hits]  # type: ignore[attr-defined]


async def test_a_search_finds_flows_then_stores_then_variables(bench: Bench, flows: Flows, overview: Overview) -> None:
    first, second = a_chain(2)
    with_photos = replace(
        a_flow(replace(first, flags=(flow.FlagValue(name="k", value="${secret.photo_key}"),)), second),
        stores=(a_store("photos", AccessKey="AKIA-photo", SecretKey="photo-s3cr3t"),),
        params=(nodedef.FlagDef(name="photo_width", description="in pixels", default="photo-default"),),
    )
    await bench.world.secrets.put("photo_key", "photo-value", at=bench.clock.now())
    one = await a_saved(flows, "a/photos", with_photos, description="Grüße an ÄRZTE", tags=("50%_off",))
    two = await a_saved(flows, "b/other", replace(with_photos, name="other"))
    hits = await overview.search("PHOTO")
    assert names(hits) == [
        ("flow", "a/photos"),
        ("store", "photos"),
        ("variable", "photo_width"),
        ("variable", "photo_key"),
    ]
    assert [hit.id for hit in hits] == [
        one.id,
        "store:photos@https://s3.example.org/media",
        "param.photo_width",
        "secret.photo_key",
    ]
    assert [list(hit.flows) for hit in hits] == [[one.id], *[[one.id, two.id]] * 3]
    assert not [value for value in ("AKIA", "s3cr3t", "photo-default", "photo-value") if value in repr(hits)]
    assert names(await overview.search("photo", limit=2)) == [("flow", "a/photos"), ("store", "photos")]
    assert names(await overview.search(" grüsse AN ärzte ")) == [("flow", "a/photos")]
    assert names(await overview.search("50%_")) == [("flow", "a/photos")]
    assert names(await overview.search("5_%")) == []
    assert names(await overview.search("s3.example.org")) == [("store", "photos")]
    assert names(await overview.search("PIXELS")) == [("variable", "photo_width")]
    assert names(await overview.search(one.id.upper())) == [("flow", "a/photos")]
    assert names(await overview.search("Secret.photo_key")) == [("variable", "photo_key")]
    assert ("store", "default") in names(await overview.search("default"))


async def test_a_search_is_for_something_and_has_an_end(overview: Overview) -> None:
    for text in ("", "  "):
        with pytest.raises(errors.Malformed, match="what to search for"):
            await overview.search(text)
    for limit in (0, 101):
        with pytest.raises(errors.Malformed, match="1 to 100"):
            await overview.search("x", limit=limit)


# ── Outlines ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Counting:
    """Saved flows, with how often their contents were read."""

    def __init__(self, real: saved.SavedFlows) -> None:
        self.real = real
        self.reads = 0

    def __getattr__(self, name: str) -> object:
        self.reads += name in ("version", "latest")
        return getattr(self.real, name)


@pytest.mark.parametrize("count", [2, 25, 230])
async def test_only_what_changed_is_read_again(bench: Bench, flows: Flows, count: int) -> None:
    engine = bench.engine
    counting = Counting(engine.world.saved)
    engine.world = replace(engine.world, saved=counting)  # type: ignore[arg-type]
    outlines = Outlines(engine, NoCatalogue())
    for number in range(count):
        await a_saved(flows, f"flow-{number:03}")
    assert [each.flow.name for each in (await outlines.all()).values()] == [f"flow-{n:03}" for n in range(count)]
    counting.reads, generation = 0, outlines.generation
    await outlines.all()
    assert (counting.reads, outlines.generation) == (0, generation)
    await a_saved(flows, "flow-001", a_flow(*a_chain(2)))
    await flows.remove("flow-000")
    await a_saved(flows, "added")
    found = await outlines.all()
    assert [each.flow.name for each in found.values()] == ["added", *(f"flow-{n:03}" for n in range(1, count))]
    assert next(each for each in found.values() if each.flow.name == "flow-001").nodes == 2
    assert outlines.generation == generation + 1


async def test_a_flow_whose_content_is_damaged_is_still_there(bench: Bench, flows: Flows, overview: Overview) -> None:
    await a_saved(flows, "whole")
    damaged = await a_saved(flows, "damaged")
    real = bench.engine.world.saved.version

    async def version(flow_id: str, number: int) -> object:
        if flow_id == damaged.id:
            raise errors.Damaged(what="a version", reason="of course")
        return await real(flow_id, number)

    bench.engine.world.saved.version = version  # type: ignore[method-assign, assignment]
    assert [(each.flow.name, each.nodes) for each in (await overview.dashboard()).flows] == [
        ("damaged", 0),
        ("whole", 1),
    ]


async def test_secrets_that_node_types_of_the_catalogue_name_are_told_of(bench: Bench, flows: Flows) -> None:
    class Known(NoCatalogue):
        async def all(self) -> Sequence[nodedef.NodeDef]:
            return [nodedef.NodeDef(publisher="p", name="known", secrets=("token",))]

    this = a_flow(a_node("a", uses="p/known", inputs={"i": "x"}))
    now = bench.clock.now()
    flow_id = "flow_01JD0000000000000000000001"
    await bench.world.saved.put(
        saved.SavedFlow(id=flow_id, namespace="a", name="b", created_at=now, updated_at=now),
        saved.FlowVersion(flow=flow_id, number=1, label="1", at=now),
        saved.Content(flow=this),
    )
    overview = Overview(engine=bench.engine, outlines=Outlines(bench.engine, Known()))
    (hit,) = await overview.search("token")
    assert (hit.id, list(hit.flows)) == ("secret.token", [flow_id])
