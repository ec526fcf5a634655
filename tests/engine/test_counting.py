"""Schedules that count start one run after another, and count each once, whoever notices and whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pupload import errors
from pupload.adapters.cron.calendar import CronCalendar
from pupload.adapters.memory.clock import START, VirtualClock
from pupload.adapters.memory.schedules import Schedules
from pupload.domain import schedule
from pupload.domain.counting import Count, Over
from pupload.domain.schedule import CatchUp, Schedule
from pupload.engine.counting import AGAIN_SECONDS, Counter
from pupload.engine.schedules import Scheduler


@dataclass
class Runner:
    """Starts runs, once for each key, as the real one does."""

    clock: VirtualClock
    runs: dict[str, str] = field(default_factory=dict)
    """By their keys."""
    at: list[float] = field(default_factory=list)
    """When they were started, in seconds after the start."""
    ends: dict[str, str] = field(default_factory=dict)
    """Why those failed that are over; nothing where they succeeded."""
    ending: str | None = ""
    """What new runs come to at once; None: they go on until somebody ends them."""
    troubles: list[Exception] = field(default_factory=list)
    labels: Mapping[str, str] = field(default_factory=dict)

    async def begin(self, this: Schedule, fire: datetime, *, labels: Mapping[str, str], idempotency_key: str) -> str:
        await asyncio.sleep(0)
        assert this.pending[-1] == fire
        self.labels = labels
        if self.troubles:
            raise self.troubles.pop(0)
        if idempotency_key not in self.runs:
            run = self.runs[idempotency_key] = f"run_{len(self.runs) + 1:03}"
            self.at.append((self.clock.now() - START).total_seconds())
            if self.ending is not None:
                self.ends[run] = self.ending
        return self.runs[idempotency_key]

    async def ended(self, run_id: str) -> str | None:
        await asyncio.sleep(0)
        return self.ends.get(run_id)


async def no_run(*_: object, **__: object) -> str:
    raise AssertionError("it counts, so another starts its runs")


async def never(_: str) -> bool:
    raise AssertionError("it counts, so another knows")


@dataclass
class Bench:
    clock: VirtualClock
    kept: Schedules
    runner: Runner
    counter: Counter
    scheduler: Scheduler

    async def put(self, every: int = 60, **more: object) -> None:
        now = self.clock.now()
        count = Count(**{"name": "n", "drawing": 1, "updated_at": now, **more})  # type: ignore[arg-type]
        this = Schedule(
            id="sched_a",
            flow_id=schedule.of_drawing(1),
            interval_seconds=every,
            catch_up=CatchUp.NONE,
            window_seconds=0,
            created_at=now,
            base_at=now,
            count=count,
        )
        assert await self.kept.put(schedule.set_going(this, now, schedule.of_interval(this))) is not None
        self.scheduler.moved()

    async def count(self) -> Count:
        found = (await self.kept.get("sched_a")).count
        assert found is not None
        return found

    async def tell(self, run: str, error: str = "") -> None:
        """The run is over, and somebody noticed."""
        self.runner.ends[run] = error
        await self.counter.count("sched_a", run, account=None, error=error, now=self.clock.now())
        self.scheduler.moved()


@asynccontextmanager
async def a_bench(*, start: bool = True) -> AsyncIterator[Bench]:
    clock, kept = VirtualClock(), Schedules()
    runner = Runner(clock)
    counter = Counter(schedules=kept, runner=runner)
    scheduler = Scheduler(schedules=kept, calendar=CronCalendar(), clock=clock, start=no_run, is_over=never)
    scheduler.count_with(counter)
    if start:
        scheduler.start()
    try:
        yield Bench(clock, kept, runner, counter, scheduler)
    finally:
        await scheduler.close()


async def test_the_first_run_comes_an_interval_later_and_the_last_when_there_were_enough() -> None:
    async with a_bench() as bench:
        await bench.put(most_runs=3)
        await bench.clock.run_for(600)
        assert bench.runner.at == [60, 120, 180]
        count = await bench.count()
        assert (count.runs, count.repeat, count.over) == (3, 3, Over.DONE)
        assert count.ran_at == START + timedelta(seconds=180)
        assert bench.runner.labels == {"schedule": "sched_a", "scheduled_at": "2026-03-03T12:03:00Z"}


async def test_while_a_run_is_under_way_fires_pass_and_count_nothing() -> None:
    async with a_bench() as bench:
        bench.runner.ending = None
        await bench.put()
        await bench.clock.run_for(250)
        assert bench.runner.at == [60]
        count = await bench.count()
        assert (count.runs, count.failures, (await bench.kept.get("sched_a")).last_error) == (0, 0, "")
        await bench.tell("run_001")
        await bench.clock.run_for(60)
        assert bench.runner.at == [60, 300]
        assert (await bench.count()).runs == 1


async def test_failures_make_pauses_longer_until_it_is_dead() -> None:
    async with a_bench() as bench:
        bench.runner.ending = None
        await bench.put(most_retries=2)
        await bench.clock.run_for(70)
        await bench.tell("run_001", "no")  # at 70, and again a minute later
        await bench.clock.run_for(70)
        await bench.tell("run_002", "no")  # at 140, and again two minutes later
        await bench.clock.run_for(130)
        assert bench.runner.at == [60, 130, 260]
        await bench.tell("run_003", "still no")
        await bench.clock.run_for(3600)
        count = await bench.count()
        assert bench.runner.at == [60, 130, 260]
        assert (count.failures, count.retry, count.over, count.error) == (3, 3, Over.DEAD, "still no")


async def test_a_run_that_cannot_be_started_is_a_failure() -> None:
    async with a_bench() as bench:
        bench.runner.troubles = [errors.Refused(reason="the drawing is gone")]
        await bench.put()
        await bench.clock.run_for(65)
        count = await bench.count()
        assert (count.failures, count.retry, count.error) == (1, 1, "Refused: the drawing is gone")
        await bench.clock.run_for(60)
        assert len(bench.runner.at) == 1
        await bench.clock.run_for(60)
        assert ((await bench.count()).retry, (await bench.count()).runs) == (0, 1)


async def test_what_cannot_be_started_for_now_is_asked_for_again() -> None:
    async with a_bench() as bench:
        bench.runner.troubles = [errors.TryLater(), errors.TryLater()]
        await bench.put(every=300)
        await bench.clock.run_for(300 + AGAIN_SECONDS * 2 + 1)
        assert bench.runner.at == [300 + AGAIN_SECONDS * 2]
        assert (await bench.count()).failures == 0


async def test_a_run_that_nobody_told_of_is_counted_at_the_next_fire() -> None:
    async with a_bench() as bench:
        bench.runner.ending = "no"
        await bench.put()
        await bench.clock.run_for(121)
        assert bench.runner.at == [60]
        count = await bench.count()
        assert (count.failures, count.retry) == (1, 1)
        await bench.clock.run_for(60)
        assert bench.runner.at == [60, 180]


async def test_a_run_is_counted_once_however_often_it_is_told_of() -> None:
    async with a_bench() as bench:
        bench.runner.ending = None
        await bench.put()
        await bench.clock.run_for(61)
        bench.runner.ends["run_001"] = "no"
        now = bench.clock.now()
        await asyncio.gather(
            *(bench.counter.count("sched_a", "run_001", account=None, error="no", now=now) for _ in range(8))
        )
        assert (await bench.count()).failures == 1


async def test_a_run_that_is_over_before_it_was_noted_is_counted_and_not_forgotten() -> None:
    async with a_bench() as bench:
        begin = bench.runner.begin

        async def begin_and_tell(this: Schedule, fire: datetime, **more: object) -> str:
            run = await begin(this, fire, **more)  # type: ignore[arg-type]
            await bench.tell(run)
            return run

        bench.runner.begin = begin_and_tell  # type: ignore[method-assign]
        await bench.put(most_runs=2)
        await bench.clock.run_for(600)
        assert bench.runner.at == [60, 120]
        count = await bench.count()
        assert (count.runs, count.over) == (2, Over.DONE)
        assert count.ran_at == START + timedelta(seconds=120)


async def test_nothing_is_caught_up_after_a_while_without_a_server() -> None:
    async with a_bench(start=False) as bench:
        await bench.put(every=600)
        await bench.clock.run_for(3 * 3600 + 120)
        bench.scheduler.start()
        await bench.clock.run_for(400)
        assert bench.runner.at == []
        await bench.clock.run_for(100)
        assert len(bench.runner.at) == 1


async def test_of_many_fires_at_once_one_counts() -> None:
    async with a_bench(start=False) as bench:
        await bench.put(every=5)
        await bench.clock.run_for(42)
        bench.scheduler.start()
        await bench.clock.run_for(0.5)
        assert len(bench.runner.at) == 1


async def test_one_that_is_gone_or_does_not_count_is_passed_over() -> None:
    async with a_bench() as bench:
        await bench.counter.count("sched_absent", "run_001", account=None, error="", now=bench.clock.now())
        await bench.put()
        this = await bench.kept.get("sched_a")
        assert await bench.kept.put(replace(this, count=None, enabled=False, look_at=None)) is not None
        await bench.counter.count("sched_a", "run_001", account=None, error="", now=bench.clock.now())
        assert (await bench.kept.get("sched_a")).count is None


async def test_the_last_run_that_nobody_told_of_is_the_last() -> None:
    async with a_bench() as bench:
        await bench.put(most_runs=1)
        await bench.clock.run_for(600)
        assert bench.runner.at == [60]
        assert (await bench.count()).over is Over.DONE


async def test_runs_that_say_they_are_anothers_are_not_counted_nor_any_after_the_end() -> None:
    async with a_bench() as bench:
        await bench.put(most_retries=0)
        await bench.counter.count("sched_a", "run_900", account=7, error="", now=bench.clock.now())
        assert (await bench.count()).runs == 0
        await bench.tell("run_001", "no")
        await bench.tell("run_002")
        count = await bench.count()
        assert (count.runs, count.failures, count.over) == (0, 1, Over.DEAD)
