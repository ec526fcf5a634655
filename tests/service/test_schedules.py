"""Schedules and backfills of saved flows, over a whole pupload in memory."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pupload import errors
from pupload.domain import nodedef, saved
from pupload.domain.schedule import Overlap
from pupload.service import flows as saving
from pupload.service.backfill import Backfill
from pupload.service.flows import Flows
from pupload.service.schedules import Draft, Schedules
from tests.bench import Bench, a_bench, copies
from tests.builders import a_flow, a_node, definitions_for

IMAGE = "pupload/resize:latest"
LATER = timedelta(hours=1)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image(IMAGE, copies("image", "resized"))
        yield found


@pytest.fixture
async def flows(bench: Bench) -> Flows:
    found = Flows(engine=bench.engine, runs=bench.runs)
    width = nodedef.FlagDef(name="width", type="integer", default="800")
    this = replace(
        a_flow(a_node("resize", flags={"width": "${param.width}"})), params=(width, nodedef.FlagDef(name="date"))
    )
    await found.save("shrink", saving.Draft(content=saved.Content(flow=this, definitions=definitions_for(this))))
    return found


@pytest.fixture
async def schedules(bench: Bench, flows: Flows) -> AsyncIterator[Schedules]:
    found = Schedules(engine=bench.engine, flows=flows)
    found.start()
    yield found
    await found.close()


@pytest.fixture
def backfill(bench: Bench, flows: Flows) -> Backfill:
    return Backfill(flows=flows, ids=bench.world.ids, most_dates=40)


async def passes(bench: Bench, seconds: float, *, step: float = 5.0) -> None:
    end = bench.clock.now() + timedelta(seconds=seconds)
    await bench.until(lambda: bench.clock.now() >= end, step=step)


# ── Schedules ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_schedule_starts_runs_of_the_flow_with_its_params(
    bench: Bench, flows: Flows, schedules: Schedules
) -> None:
    draft = Draft(flow="shrink", cron="*/10  * * * *", params={"width": "12"}, overlap=Overlap.ALLOW)
    this = await schedules.create(draft)
    assert this.id.startswith("sched_")
    assert this.flow_id == (await flows.find("shrink")).id
    assert await schedules.fires(this.id, count=2) == (
        bench.clock.now() + timedelta(minutes=10),
        bench.clock.now() + timedelta(minutes=20),
    )
    await passes(bench, 1201)
    page = await bench.runs.list()
    assert page.total == 2
    run = await bench.runs.find(page.runs[0].id)
    assert run.plan.params["width"] == "12"
    assert run.plan.labels["schedule"] == this.id
    assert run.plan.provenance is not None
    assert run.plan.provenance.flow == this.flow_id
    found = await schedules.get(this.id.removeprefix("sched_").lower())
    assert found.last_run == run.id
    assert found.cron == "*/10 * * * *"


async def test_the_run_before_is_under_way_until_it_has_ended(bench: Bench, schedules: Schedules) -> None:
    this = await schedules.create(Draft(flow="shrink", interval_seconds=60))
    await passes(bench, 185)
    (only,) = (await bench.runs.list()).runs
    assert (await schedules.get(this.id)).last_error == f"run {only.id} was still under way"
    await bench.runs.cancel(only.id)
    await passes(bench, 60)
    assert (await bench.runs.list()).total == 2
    await bench.runs.cancel((await schedules.get(this.id)).last_run)
    await passes(bench, 10)
    await bench.runs.purge((await schedules.get(this.id)).last_run)
    await passes(bench, 60)
    assert (await schedules.get(this.id)).last_error == ""


async def test_a_flow_that_is_disabled_or_gone_is_told_of(bench: Bench, flows: Flows, schedules: Schedules) -> None:
    this = await schedules.create(Draft(flow="shrink", interval_seconds=60))
    await flows.enable("shrink", enabled=False)
    await passes(bench, 65)
    assert (await schedules.get(this.id)).last_error == "flow default/shrink is not enabled"
    await flows.remove("shrink")
    await passes(bench, 60)
    assert "is not saved here" in (await schedules.get(this.id)).last_error
    assert (await bench.runs.list()).total == 0


async def test_params_that_the_flow_does_not_take_are_told_of(bench: Bench, schedules: Schedules) -> None:
    this = await schedules.create(Draft(flow="shrink", interval_seconds=60, params={"width": "wide"}))
    await passes(bench, 65)
    assert "invalid flow" in (await schedules.get(this.id)).last_error


async def test_paused_and_resumed(bench: Bench, schedules: Schedules) -> None:
    this = await schedules.create(Draft(flow="shrink", cron="0 * * * *", overlap=Overlap.ALLOW))
    paused = await schedules.pause(this.id)
    assert (paused.enabled, paused.next_at, await schedules.fires(this.id)) == (False, None, ())
    assert [one.id for one in await schedules.list(enabled=False)] == [this.id]
    await passes(bench, 2.5 * 3600, step=60)
    assert (await bench.runs.list()).total == 0
    resumed = await schedules.resume(this.id)
    assert resumed.next_at == this.created_at + 3 * LATER
    until = this.created_at + 4.5 * LATER
    assert (await schedules.pause(this.id, until=until)).next_at == this.created_at + 5 * LATER
    await passes(bench, 3 * 3600, step=60)
    assert (await bench.runs.list()).total == 1


async def test_one_that_is_changed_goes_by_what_it_says_now(bench: Bench, flows: Flows, schedules: Schedules) -> None:
    this = await schedules.create(Draft(flow="shrink", cron="0 * * * *"))
    changed = await schedules.replace(this.id, Draft(flow="default/shrink", interval_seconds=120))
    assert (changed.cron, changed.interval_seconds, changed.next_at) == ("", 120, this.created_at + LATER / 30)
    await passes(bench, 130)
    assert (await bench.runs.list()).total == 1
    assert [one.id for one in await schedules.list(flow="shrink")] == [this.id]
    await schedules.remove(this.id)
    assert await schedules.list() == []
    for asking in (schedules.get, schedules.remove, schedules.resume, schedules.pause, schedules.fires):
        with pytest.raises(errors.UnknownSchedule):
            await asking(this.id)
    with pytest.raises(errors.UnknownSchedule):
        await schedules.get("what")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "either a cron expression or an interval"),
        ({"cron": "* * * * *", "interval_seconds": 5}, "either"),
        ({"cron": "every day"}, "five fields"),
        ({"cron": f"{'1,' * 200}1 * * * *"}, "256 letters at most"),
        ({"cron": "61 * * * *"}, "cannot be read: Bad minute"),
        ({"cron": "0 0 * * *", "timezone": "Mars/Base"}, "no time zone"),
        ({"interval_seconds": -1}, "an interval is 1 second to 366 days"),
        ({"interval_seconds": 10**9}, "an interval is"),
        ({"interval_seconds": 60, "window_seconds": -1}, "window"),
    ],
)
async def test_what_cannot_be_is_refused(schedules: Schedules, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(errors.Malformed, match=said):
        await schedules.create(Draft(flow="shrink", **wrong))  # type: ignore[arg-type]
    assert await schedules.list() == []


async def test_a_flow_that_there_is_not_has_no_schedule(schedules: Schedules) -> None:
    with pytest.raises(errors.UnknownSavedFlow):
        await schedules.create(Draft(flow="grow", interval_seconds=60))
    with pytest.raises(errors.UnknownSavedFlow):
        await schedules.list(flow="grow")


async def test_moments_can_be_looked_at_before(bench: Bench, schedules: Schedules) -> None:
    found = schedules.preview(cron="0 6 * * *", timezone="Europe/Berlin", count=2)
    assert [f"{moment:%d %H:%M}" for moment in found] == ["04 05:00", "05 05:00"]
    assert len(schedules.preview(interval_seconds=60, count=10_000)) == 100
    with pytest.raises(errors.Malformed):
        schedules.preview(cron="x")


# ── Backfill ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_backfill_is_one_run_for_each_date_in_their_order(
    bench: Bench, flows: Flows, backfill: Backfill
) -> None:
    batch = await backfill.start("shrink", "2026-02-27", "2026-03-02", params={"width": "5"})
    assert [day.isoformat() for day in batch.dates] == ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
    assert list(batch.runs) == sorted(set(batch.runs))
    assert batch.flow == (await flows.find("shrink")).id
    for day, run_id in zip(batch.dates, batch.runs, strict=True):
        run = await bench.runs.find(run_id)
        assert run.plan.params == {"width": "5", "date": day.isoformat()}
        assert run.plan.labels == {"backfill": batch.id, "date": day.isoformat()}


async def test_a_backfill_with_a_key_is_done_once(bench: Bench, backfill: Backfill) -> None:
    first = await backfill.start("shrink", "2026-01-01", "2026-01-03", idempotency_key="jan")
    assert await backfill.start("shrink", "2026-01-01", "2026-01-03", idempotency_key="jan") == first
    longer = await backfill.start("shrink", "2026-01-01", "2026-01-04", idempotency_key="jan")
    assert longer.runs[:3] == first.runs
    assert (await bench.runs.list()).total == 4
    other = await backfill.start("shrink", "2026-01-01", "2026-01-01")
    assert other.id not in (first.id, (await backfill.start("shrink", "2026-01-01", "2026-01-01")).id)


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("", "2026-01-01", "is no date"),
        ("2026-01-01", "20260102", "is no date"),
        ("2026-02-30", "2026-03-01", "is no date"),
        ("2026-01-02", "2026-01-01", "is before the first"),
        ("2026-01-01", "2026-02-10", "are 41 dates; 40 are the most"),
        ("0001-01-01", "9999-12-31", "are the most"),
    ],
)
async def test_dates_that_cannot_be_are_refused(
    bench: Bench, backfill: Backfill, first: str, last: str, said: str
) -> None:
    with pytest.raises(errors.Malformed, match=said):
        await backfill.start("shrink", first, last)
    assert (await bench.runs.list()).total == 0


async def test_where_the_flow_cannot_be_run_none_is_started(bench: Bench, flows: Flows, backfill: Backfill) -> None:
    with pytest.raises(errors.Invalid):
        await backfill.start("shrink", "2026-01-01", "2026-01-03", params={"height": "5"})
    await flows.enable("shrink", enabled=False)
    with pytest.raises(errors.Conflict):
        await backfill.start("shrink", "2026-01-01", "2026-01-03")
    with pytest.raises(errors.UnknownSavedFlow):
        await backfill.start("grow", "2026-01-01", "2026-01-03")
    assert (await bench.runs.list()).total == 0
