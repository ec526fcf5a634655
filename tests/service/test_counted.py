"""Schedules that count, over a whole pupload in memory: runs of drawings, and what comes of them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.containers import Outcome, Script
from pupload.domain import schedule
from pupload.domain.access import Caller, Role
from pupload.domain.account import User
from pupload.domain.counting import Count
from pupload.domain.drawing.model import Drawing
from pupload.domain.run import Run, Status
from pupload.domain.schedule import Schedule
from pupload.service import counted
from pupload.service.asking import asked_by
from pupload.service.counted import Counted
from pupload.service.drawings import Drawings
from pupload.service.drawn_runs import DrawnRuns
from pupload.service.flows import Flows
from pupload.service.inputs import Inputs
from pupload.service.schedules import Draft, Schedules
from tests.api.house import SHOUT, Shouting, shout
from tests.bench import Bench, a_bench

ANN = Caller(user=1, name="ann", role=Role.EDITOR)
BEN = Caller(user=2, name="ben", role=Role.EDITOR)

MINUTE = 60


@dataclass
class Desk:
    """What is needed to draw, to schedule, and to see what comes of it."""

    bench: Bench
    drawings: Drawings
    drawn: DrawnRuns
    schedules: Schedules
    counted: Counted

    async def draw(self, slug: str = "greet", **extra: Any) -> Drawing:
        """A drawing that makes loud what it is told when it is begun by hand; `clock` is to begin it, too."""
        await self.drawings.create({"slug": slug, "name": slug.title()})
        await self.drawings.add_node(slug, {"node_id": "ask", "component": "trigger_chat"})
        await self.drawings.add_node(slug, {"node_id": "say", "component": "acme/shout"})
        await self.drawings.add_edge(slug, {"source": "ask", "target": "say"})
        config = {"extra_config": extra} if extra else {}
        await self.drawings.add_node(slug, {"node_id": "clock", "component": counted.TRIGGER, "config": config})
        return await self.drawings.find(slug)

    async def create(self, drawing: Drawing, **more: Any) -> Schedule:
        said = {"name": "hourly", "drawing": drawing.id, "trigger": "ask", **more}
        return await self.counted.create(said, interval_seconds=MINUTE)

    async def passes(self, seconds: float) -> None:
        end = self.bench.clock.now() + timedelta(seconds=seconds)
        await self.bench.until(lambda: self.bench.clock.now() >= end, step=0.5)

    async def runs(self) -> list[Run]:
        page = await self.bench.runs.list()
        return [await self.bench.runs.find(each.id) for each in reversed(page.runs)]

    async def count(self, this: Schedule) -> Count:
        found = (await self.counted.get(this.id)).count
        assert found is not None
        return found


@asynccontextmanager
async def a_desk(root: Path, script: Script = shout) -> AsyncIterator[Desk]:
    catalogue = Shouting()
    async with a_bench(root, catalogue=catalogue) as bench:
        bench.image(SHOUT, script)
        assert bench.world.accounts is not None
        for caller in (ANN, BEN):
            await bench.world.accounts.create(User(name=caller.name, role=caller.role, created_at=bench.clock.now()))
        flows = Flows(engine=bench.engine, runs=bench.runs)
        schedules = Schedules(engine=bench.engine, flows=flows)
        drawings = Drawings(engine=bench.engine, catalogue=catalogue)
        inputs = Inputs(engine=bench.engine, runs=bench.runs, uploads=bench.uploads)
        drawn = DrawnRuns(engine=bench.engine, drawings=drawings, flows=flows, inputs=inputs)
        found = Counted(engine=bench.engine, schedules=schedules, drawings=drawings, drawn=drawn)
        bench.engine.consequences.start([found])
        schedules.start()
        try:
            yield Desk(bench, drawings, drawn, schedules, found)
        finally:
            await schedules.close()


async def test_runs_are_the_owners_and_told_of_which_schedule_they_are(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        with asked_by(ANN):
            this = await desk.create(await desk.draw(), most_runs=2, payload={"a": 1}, timeout_seconds=30)
        await desk.passes(3.5 * MINUTE)
        first, second = await desk.runs()
        for run in (first, second):
            assert run.status is Status.COMPLETE, run.error
            assert (run.plan.account, run.plan.timeout_seconds) == (1, 30)
            assert (run.plan.labels["schedule"], run.plan.labels["drawing"]) == (this.id, "greet")
        with asked_by(ANN):
            count = await desk.count(this)
            assert (count.runs, count.repeat, count.failures) == (2, 2, 0)
            assert counted.status(await desk.counted.get(this.id)) == "done"


async def test_the_trigger_is_told_of_the_schedule_and_given_its_payload(tmp_path: Path) -> None:
    told: list[Any] = []

    def listen(order: Any) -> Outcome:
        told.append(json.loads(next(order.inputs.iterdir()).read_text()))
        return shout(order)

    async with a_desk(tmp_path, listen) as desk:
        with asked_by(ANN):
            this = await desk.create(await desk.draw(), payload={"a": 1})
        await desk.passes(1.5 * MINUTE)
    (given,) = told
    moment = given.pop("timestamp")
    assert moment.startswith("2026-03-03T12:01:00")
    assert given == {
        "scheduled_job_id": schedule.uuid_of(this.id),
        "scheduled_job_name": "hourly",
        "repeat_number": 1,
        "payload": {"a": 1},
    }


async def test_a_run_that_fails_counts_as_a_failure_and_too_many_make_it_dead(tmp_path: Path) -> None:
    async with a_desk(tmp_path, lambda order: Outcome(code=64)) as desk:
        with asked_by(ANN):
            this = await desk.create(await desk.draw(), most_retries=1)
        await desk.passes(20 * MINUTE)
        with asked_by(ANN):
            count = await desk.count(this)
            assert (count.runs, count.failures, count.retry) == (0, 2, 2)
            assert "exit code 64" in count.error
            assert counted.status(await desk.counted.get(this.id)) == "dead"
        assert len(await desk.runs()) == 2
        with pytest.raises(errors.Conflict):
            await desk.schedules.resume(this.id)


async def test_a_drawing_that_cannot_run_is_a_failure_that_says_why(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        with asked_by(ANN):
            this = await desk.create(await desk.draw(), most_retries=0)
            await desk.drawn.change("greet", {"active": False})
        await desk.passes(2 * MINUTE)
        with asked_by(ANN):
            assert (await desk.count(this)).error == "greet is not active"
        assert not await desk.runs()


async def test_paused_it_starts_nothing_and_resumed_it_begins_with_a_whole_interval(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        with asked_by(ANN):
            this = await desk.create(await desk.draw())
            paused = await desk.counted.pause(this.id)
            assert (counted.status(paused), paused.next_at) == ("paused", None)
            with pytest.raises(errors.Malformed, match="Cannot pause job with status 'paused'"):
                await desk.counted.pause(this.id)
        await desk.passes(3.5 * MINUTE)
        assert not await desk.runs()
        with asked_by(ANN):
            resumed = await desk.counted.resume(this.id)
            assert resumed.next_at == resumed.base_at + timedelta(minutes=1) if resumed.base_at else False
            with pytest.raises(errors.Malformed, match="Cannot resume job with status 'active'"):
                await desk.counted.resume(this.id)
        await desk.passes(1.2 * MINUTE)
        assert len(await desk.runs()) == 1


async def test_another_interval_is_counted_from_now(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        with asked_by(ANN):
            this = await desk.create(await desk.draw())
            now = desk.schedules.scheduler.now()
            after = await desk.counted.change(this.id, {"name": "rarely"}, interval_seconds=3600)
            assert after.count is not None
            assert (after.count.name, after.next_at) == ("rarely", now + timedelta(hours=1))


async def test_they_are_their_owners_and_not_what_native_schedules_are(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        with asked_by(ANN):
            drawing = await desk.draw()
            this = await desk.create(drawing)
            with pytest.raises(errors.Conflict):
                await desk.schedules.replace(this.id, Draft(flow="drawn/greet/ask", interval_seconds=5))
            assert not await desk.schedules.list()
        with asked_by(BEN):
            for asked in (
                desk.counted.get(this.id),
                desk.counted.change(this.id, {}),
                desk.counted.pause(this.id),
                desk.counted.remove(this.id),
            ):
                with pytest.raises(errors.UnknownSchedule):
                    await asked
            with pytest.raises(errors.UnknownDrawing):
                await desk.create(drawing)
            await desk.counted.remove_all([this.id, "nothing"])
            assert (await desk.counted.list()).total == 0
        with asked_by(ANN):
            assert [each.id for each in (await desk.counted.list(drawing=drawing.id)).schedules] == [this.id]
            await desk.counted.remove_all([this.id, this.id])
            assert (await desk.counted.list()).total == 0


async def test_who_may_not_run_flows_any_more_has_nothing_started(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        with asked_by(ANN):
            this = await desk.create(await desk.draw(), most_retries=0)
        assert desk.bench.world.accounts is not None
        ann = await desk.bench.world.accounts.get(1)
        await desk.bench.world.accounts.save(replace(ann, role=Role.VIEWER))
        await desk.passes(2 * MINUTE)
        assert not await desk.runs()
        assert "may not run flows" in (await desk.count(this)).error


# ── Of nodes ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_node_is_started_as_it_says_paused_and_stopped(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        with asked_by(ANN):
            drawing = await desk.draw(interval_seconds=120, total_repeats=4, max_retries=1, trigger_payload={"x": 1})
            this = await desk.counted.start_node("greet", "clock")
            assert this.count is not None
            assert (this.interval_seconds, this.count.most_runs, this.count.most_retries) == (120, 4, 1)
            assert this.count.payload == {"x": 1}
            assert (await desk.counted.start_node("greet", "clock")).id == this.id
            assert counted.status(await desk.counted.pause_node("greet", "clock")) == "paused"
            again = await desk.counted.start_node("greet", "clock")
            assert (again.id, counted.status(again)) == (this.id, "active")
            assert {node: each.id for node, each in (await desk.counted.of_nodes(drawing)).items()} == {
                "clock": this.id
            }
            await desk.counted.stop_node("greet", "clock")
            with pytest.raises(errors.NoSchedule):
                await desk.counted.stop_node("greet", "clock")


async def test_one_that_is_over_begins_anew_when_its_node_is_started(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        with asked_by(ANN):
            await desk.draw(interval_seconds=60, max_retries=0)
            this = await desk.counted.start_node("greet", "clock")
        await desk.passes(2 * MINUTE)
        with asked_by(ANN):
            assert counted.status(await desk.counted.get(this.id)) == "dead"  # what the clock gives is no text
            again = await desk.counted.start_node("greet", "clock")
            assert again.count is not None
            assert (counted.status(again), again.count.retry, again.count.failures) == ("active", 0, 1)


@pytest.mark.parametrize("extra", [{"interval_seconds": 0}, {"interval_seconds": "60"}, {"max_retries": -1}])
async def test_what_is_no_interval_is_told(tmp_path: Path, extra: dict[str, Any]) -> None:
    async with a_desk(tmp_path) as desk:
        with asked_by(ANN):
            await desk.draw(**extra)
            with pytest.raises(errors.Malformed, match="extra_config"):
                await desk.counted.start_node("greet", "clock")
            with pytest.raises(errors.Malformed, match="Node is not a trigger_schedule"):
                await desk.counted.start_node("greet", "say")
            with pytest.raises(errors.UnknownDrawnNode):
                await desk.counted.start_node("greet", "nobody")


async def test_with_a_node_or_its_drawing_go_all_their_schedules(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        with asked_by(ANN):
            drawing = await desk.draw(interval_seconds=60)
            await desk.counted.start_node("greet", "clock")
            other = await desk.create(drawing)
            await desk.counted.forget(drawing, "clock")
            assert [each.id for each in (await desk.counted.list()).schedules] == [other.id]
            await desk.counted.forget(drawing)
            assert (await desk.counted.list()).total == 0
