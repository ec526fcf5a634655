"""What is scheduled is started: once, in time, and again after whatever happened between."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from pupload import errors
from pupload.adapters.cron.calendar import CronCalendar
from pupload.adapters.memory.clock import START, VirtualClock
from pupload.adapters.memory.schedules import Schedules
from pupload.domain import schedule
from pupload.domain.schedule import CatchUp, Overlap, Schedule
from pupload.engine import schedules as engine


class Died(BaseException):
    """The process is gone."""


@dataclass
class Service:
    """Starts runs, once for each key, as the real one does."""

    clock: VirtualClock
    runs: dict[str, str] = field(default_factory=dict)
    """By their keys."""
    at: dict[str, datetime] = field(default_factory=dict)
    going: set[str] = field(default_factory=set)
    stay: bool = False
    """Whether runs go on until somebody ends them."""
    troubles: list[Exception] = field(default_factory=list)
    """What the next ones come to."""
    asked: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int | None = None
    account: int | None = None

    async def start(
        self,
        flow_id: str,
        *,
        params: Mapping[str, str],
        labels: Mapping[str, str],
        priority: int | None,
        account: int | None,
        given: str,
        idempotency_key: str,
    ) -> str:
        await asyncio.sleep(0)
        self.asked += 1
        self.labels, self.priority, self.account = labels, priority, account
        if self.troubles:
            raise self.troubles.pop(0)
        if idempotency_key not in self.runs:
            run = self.runs[idempotency_key] = f"run_{len(self.runs) + 1}"
            self.at[run] = self.clock.now()
            if self.stay:
                self.going.add(run)
        return self.runs[idempotency_key]

    async def is_over(self, run: str) -> bool:
        await asyncio.sleep(0)
        return run not in self.going


@dataclass
class Bench:
    clock: VirtualClock
    kept: Schedules
    service: Service
    scheduler: engine.Scheduler

    def another(self) -> engine.Scheduler:
        """Another controller on the same database."""
        return a_scheduler(self.kept, self.service, self.clock)

    async def put(self, every: int = 0, cron: str = "", **more: object) -> Schedule:
        this = Schedule(
            **{  # type: ignore[arg-type]
                "id": "sched_a",
                "flow_id": "flow_a",
                "interval_seconds": every,
                "cron": cron,
                "created_at": self.clock.now(),
                **more,
            },
        )
        this = schedule.set_going(this, self.clock.now(), engine.following(this, CronCalendar()))
        saved = await self.kept.put(this)
        assert saved is not None
        self.scheduler.moved()
        return saved

    async def found(self) -> Schedule:
        return await self.kept.get("sched_a")

    @property
    def seconds(self) -> list[float]:
        """When runs were started, after the start."""
        return [(at - START).total_seconds() for at in self.service.at.values()]


def a_scheduler(kept: Schedules, service: Service, clock: VirtualClock) -> engine.Scheduler:
    return engine.Scheduler(
        schedules=kept, calendar=CronCalendar(), clock=clock, start=service.start, is_over=service.is_over
    )


@asynccontextmanager
async def a_bench(*, start: bool = True) -> AsyncIterator[Bench]:
    clock, kept = VirtualClock(), Schedules()
    service = Service(clock)
    bench = Bench(clock, kept, service, a_scheduler(kept, service, clock))
    if start:
        bench.scheduler.start()
    try:
        yield bench
    finally:
        await bench.scheduler.close()


async def test_runs_are_started_at_the_moments_and_say_of_what_they_are() -> None:
    async with a_bench() as bench:
        await bench.put(cron="*/15 * * * *")
        await bench.clock.run_for(3600)
        assert bench.seconds == [900, 1800, 2700, 3600]
        assert bench.service.labels == {"schedule": "sched_a", "scheduled_at": "2026-03-03T13:00:00Z"}
        this = await bench.found()
        assert (this.last_run, this.last_error, this.pending) == ("run_4", "", ())
        assert this.last_at == START + timedelta(hours=1)
        assert this.next_at == this.look_at == START + timedelta(hours=1, minutes=15)
        assert bench.scheduler.started == 4


async def test_what_was_put_or_changed_by_another_controller_is_found_soon() -> None:
    async with a_bench() as bench:
        await bench.clock.run_for(5)  # it sleeps, for there is nothing
        other = Bench(bench.clock, bench.kept, bench.service, bench.another())
        await other.put(every=10)
        await bench.clock.run_for(engine.LOOK_SECONDS + 1)
        assert bench.seconds


async def test_one_run_makes_up_for_all_that_were_missed() -> None:
    async with a_bench(start=False) as bench:
        await bench.put(cron="0 * * * *")
        await bench.clock.run_for(5.5 * 3600)
        bench.scheduler.start()
        await bench.clock.run_for(10)
        assert list(bench.service.runs) == ["sched:sched_a:2026-03-03T17:00:00.000000Z"]
        await bench.clock.run_for(1800)
        assert len(bench.service.runs) == 2


async def test_where_all_are_caught_up_they_come_one_after_another() -> None:
    async with a_bench(start=False) as bench:
        bench.service.stay = True
        await bench.put(cron="0 * * * *", catch_up=CatchUp.ALL)
        await bench.clock.run_for(3.5 * 3600)
        bench.scheduler.start()
        await bench.clock.run_for(20)
        assert bench.service.going == {"run_1"}
        bench.service.going.clear()
        await bench.clock.run_for(20)
        assert bench.service.going == {"run_2"}
        bench.service.going.clear()
        await bench.clock.run_for(20)
        assert list(bench.service.runs) == [f"sched:sched_a:2026-03-03T1{hour}:00:00.000000Z" for hour in (3, 4, 5)]


async def test_while_the_run_before_is_under_way_none_is_started() -> None:
    async with a_bench() as bench:
        bench.service.stay = True
        await bench.put(every=60)
        await bench.clock.run_for(250)
        this = await bench.found()
        assert bench.seconds == [60]
        assert this.last_error == "run run_1 was still under way"
        assert this.last_run == "run_1"
        bench.service.going.clear()
        await bench.clock.run_for(60)
        assert bench.seconds == [60, 300]
        assert (await bench.found()).last_error == ""


async def test_a_queued_fire_waits_for_the_run_before() -> None:
    async with a_bench() as bench:
        bench.service.stay = True
        await bench.put(every=60, overlap=Overlap.QUEUE)
        await bench.clock.run_for(130)
        assert bench.seconds == [60]
        bench.service.going.clear()
        await bench.clock.run_for(engine.WAIT_SECONDS)
        assert bench.seconds == [60, 130 + engine.WAIT_SECONDS]
        bench.service.going.clear()
        bench.service.stay = False
        await bench.clock.run_for(600)
        assert len(bench.seconds) == 12  # none was lost


async def test_where_overlap_is_allowed_runs_do_not_wait() -> None:
    async with a_bench() as bench:
        bench.service.stay = True
        await bench.put(every=60, overlap=Overlap.ALLOW)
        await bench.clock.run_for(180)
        assert bench.seconds == [60, 120, 180]


async def test_a_flow_that_is_gone_is_told_of_and_asked_for_at_the_next_fire_only() -> None:
    async with a_bench() as bench:
        bench.service.troubles = [errors.UnknownSavedFlow(flow="flow_a")]
        await bench.put(every=600)
        await bench.clock.run_for(1199)
        assert bench.service.asked == 1
        assert (await bench.found()).last_error == "Flow flow_a is not saved here"
        await bench.clock.run_for(1)
        assert bench.seconds == [1200]
        assert (await bench.found()).last_error == ""


async def test_what_cannot_be_started_for_now_is_started_later() -> None:
    async with a_bench() as bench:
        bench.service.troubles = [errors.DiskFull(path="/data"), RuntimeError("what?")]
        await bench.put(every=600)
        await bench.clock.run_for(610)
        assert bench.service.runs == {}
        assert "is full" in (await bench.found()).last_error
        await bench.clock.run_for(60)
        assert list(bench.service.runs) == ["sched:sched_a:2026-03-03T12:10:00.000000Z"]
        assert (await bench.found()).last_error == ""


async def test_what_cannot_be_started_in_time_is_given_up() -> None:
    async with a_bench() as bench:
        bench.service.troubles = [errors.DiskFull(path="/data")] * 1000
        await bench.put(cron="0 13 * * *", window_seconds=600)
        await bench.clock.run_for(2 * 3600)
        this = await bench.found()
        assert this.pending == ()
        assert "could not be started in time: The disk holding /data is full." in this.last_error
        assert bench.service.asked < 30


async def test_a_run_that_cannot_be_looked_at_keeps_no_other_schedule_waiting() -> None:
    async with a_bench() as bench:

        async def is_over(run: str) -> bool:
            raise errors.Damaged(what=run, reason="it is no run")

        bench.scheduler._is_over = is_over
        await bench.put(every=60, last_run="run_x")
        await bench.put(every=60, id="sched_b")
        await bench.clock.run_for(61)
        assert [key.split(":")[1] for key in bench.service.runs] == ["sched_b"]


async def test_a_change_while_a_run_is_started_stays_and_the_run_is_known() -> None:
    async with a_bench() as bench:
        begin = bench.service.start

        async def start(flow_id: str, **more: object) -> str:
            bench.scheduler._start = begin
            this = replace(await bench.found(), params={"changed": "yes"})
            assert await bench.kept.put(schedule.set_going(this, bench.clock.now(), schedule.of_interval(this)))
            return await begin(flow_id, **more)  # type: ignore[arg-type]

        bench.scheduler._start = start
        await bench.put(every=60)
        await bench.clock.run_for(60)
        this = await bench.found()
        assert (this.params, this.last_run, this.pending) == ({"changed": "yes"}, "run_1", ())
        await bench.clock.run_for(60)
        assert bench.seconds == [60, 120]


async def test_one_that_is_removed_while_a_run_is_started_is_gone() -> None:
    async with a_bench() as bench:
        begin = bench.service.start

        async def start(flow_id: str, **more: object) -> str:
            await bench.kept.remove("sched_a")
            return await begin(flow_id, **more)  # type: ignore[arg-type]

        bench.scheduler._start = start
        await bench.put(every=60)
        await bench.clock.run_for(300)
        assert bench.seconds == [60]
        assert await bench.kept.list() == []


async def test_of_two_controllers_one_starts_each_fire() -> None:
    async with a_bench() as bench:
        other = bench.another()
        other.start()
        try:
            await bench.put(every=45, overlap=Overlap.ALLOW)
            await bench.clock.run_for(450)
            assert bench.seconds == [45 * number for number in range(1, 11)]
            assert bench.service.asked == 10
            assert other.started + bench.scheduler.started == 10
        finally:
            await other.close()


async def test_when_the_wall_clock_is_put_back_nothing_is_run_again() -> None:
    async with a_bench() as bench:
        await bench.put(cron="0 13 * * *")
        await bench.clock.run_for(3700)
        bench.clock.step(-1800)
        await bench.clock.run_for(3600)
        assert len(bench.seconds) == 1


@pytest.mark.parametrize("seed", range(30))
async def test_whoever_dies_wherever_no_fire_is_lost_and_none_is_run_twice(seed: int) -> None:
    chance = random.Random(seed)
    async with a_bench(start=False) as bench:
        kept, put, begin = bench.kept, bench.kept.put, bench.service.start
        deaths = Counter[str]()

        async def fragile_put(this: Schedule) -> Schedule | None:
            if chance.random() < 0.15:
                deaths["before a save"] += 1
                raise Died
            saved = await put(this)
            if chance.random() < 0.15:
                deaths["after a save"] += 1
                raise Died
            return saved

        async def fragile_start(flow_id: str, **more: object) -> str:
            run = await begin(flow_id, **more)  # type: ignore[arg-type]
            if chance.random() < 0.2:
                deaths["after a start"] += 1
                raise Died
            return run

        await bench.put(every=37, overlap=Overlap.ALLOW, catch_up=CatchUp.ALL)
        kept.put = fragile_put  # type: ignore[method-assign]
        for _ in range(400):
            bench.clock.advance(chance.choice([0.5, 5.0, 20.0, 31.0, 200.0]))
            controllers = [bench.another() for _ in range(chance.randint(1, 3))]
            for controller in controllers:
                controller._start = fragile_start
            await asyncio.gather(*(_survived(controller) for controller in controllers))
        kept.put = put  # type: ignore[method-assign]
        while (look_at := await kept.next_look()) is not None and look_at <= bench.clock.now() + timedelta(seconds=31):
            bench.clock.advance(max((look_at - bench.clock.now()).total_seconds(), 0))
            await bench.another().round()
        this = await bench.found()
        assert this.next_at is not None
        expected, fire = [], this.created_at + timedelta(seconds=37)
        while fire < this.next_at:
            expected.append(schedule.key_of(this, fire))
            fire += timedelta(seconds=37)
        assert sorted(bench.service.runs) == expected
        assert len(deaths) == 3


async def _survived(controller: engine.Scheduler) -> None:
    try:
        await controller.round()
    except Died:
        return
