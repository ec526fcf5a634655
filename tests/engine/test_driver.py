"""One run at a time, many runs at once: decided, saved, then done."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

import pytest

from pupload import errors
from pupload.adapters.memory import clock, ids, state
from pupload.domain import commands, events
from pupload.domain.artifact import Artifact
from pupload.domain.decide import begin, decide, decide_all
from pupload.domain.run import Decision, NodeStatus, Run, Status
from pupload.engine import driver as drivers
from pupload.engine.aside import aside
from pupload.engine.driver import Driver
from tests.builders import a_chain, a_flow, a_node, a_plan
from tests.engine.worlds import Faulty, Gate, raises

T = TypeVar("T")

AWAY = errors.DatabaseUnavailable(reason="it is locked")


@dataclass
class Desk:
    """A driver, what it saved, and what it ordered."""

    clock: clock.VirtualClock
    kept: state.State
    runs: Faulty
    driver: Driver
    log: list[object] = field(default_factory=list)
    """Saves and orders, as they came."""

    async def begin(self, name: str = "run_01HZX3K9T8Q2B7M4N6P5R1S0VW", *, key: str | None = None) -> Run:
        return await self.driver.begin(self.new(name), idempotency_key=key)

    def new(self, name: str) -> Decision:
        return begin(name, a_plan(a_flow(*a_chain(2)), run_id=name), now=self.clock.now())

    def sealed(self, edge: str = "e0") -> events.UploadSealed:
        made = Artifact(
            edge=edge, store="default", key=edge, size=1, content_type="image/png", sha256="0" * 64, etag="e",
            created_at=self.clock.now(),
        )  # fmt: skip
        return events.UploadSealed(edge=edge, artifact=made)

    def orders(self, kind: type[object] = object) -> list[object]:
        return [one for one in self.log if isinstance(one, kind) and not isinstance(one, str)]

    def another(self) -> "Desk":
        """Another process on the same database."""
        return a_desk(self.clock, self.kept)


def a_desk(turned: clock.VirtualClock, kept: state.State) -> Desk:
    runs = Faulty(kept.runs)
    made = Desk(turned, kept, runs, Driver(runs=runs, clock=turned, ids=ids.SeededIds(1)))

    async def saved(*_: object, **__: object) -> None:
        made.log.append("saved")

    runs.after["save"] = runs.after["create"] = saved
    made.driver.connect(lambda run, command: made.log.append(command), lambda event: None)
    made.driver.start()
    return made


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = a_desk(clock.VirtualClock(), state.State())
    yield made
    await made.driver.close()


async def test_orders_are_given_only_when_the_decision_is_saved(desk: Desk) -> None:
    run = await desk.begin()
    assert desk.log[0] == "saved"
    assert commands.AwaitUpload(edge="e0") in desk.log
    desk.log.clear()
    gate = desk.runs.before["save"] = Gate()
    telling = asyncio.create_task(desk.driver.report(run.id, desk.sealed()))
    await gate.reached.wait()
    assert not desk.log
    assert (await desk.driver.look(run.id)).status is Status.WAITING, "what is not saved did not happen"
    gate.opened.set()
    assert await telling
    assert desk.log == ["saved", commands.StartNode(node="n0", attempt=1)]


async def test_what_came_meanwhile_is_saved_together(desk: Desk) -> None:
    run = await desk.begin()
    gate = desk.runs.before["save"] = Gate()
    first = asyncio.create_task(desk.driver.report(run.id, desk.sealed()))
    await gate.reached.wait()
    desk.log.clear()
    rest = [
        asyncio.create_task(desk.driver.report(run.id, report))
        for report in (
            events.NodeAdmitted(node="n0", attempt=1),
            events.NodeStarted(node="n0", attempt=1, image="i"),
            events.NodeStarted(node="n0", attempt=1, image="again"),
            events.NodeProgressed(node="n0", attempt=1, progress=0.5),
        )
    ]
    await asyncio.sleep(0)
    gate.opened.set()
    assert await first
    assert [await one for one in rest] == [True, True, False, True]
    assert desk.log.count("saved") == 2
    entries = await desk.kept.journal.read(run.id)
    assert [type(entry.event).__name__ for entry in entries[-3:]] == ["NodeAdmitted", "NodeStarted", "NodeProgressed"]


async def test_a_database_that_is_away_is_waited_for_and_nothing_is_lost(desk: Desk) -> None:
    run = await desk.begin()
    desk.runs.before["save"] = raises(AWAY)
    telling = asyncio.create_task(desk.driver.report(run.id, desk.sealed()))
    await desk.clock.run_for(300)
    assert not telling.done()
    tries = desk.runs.calls.count("save")
    assert 60 <= tries <= 80, "every five seconds in the end"
    del desk.runs.before["save"]
    await desk.clock.run_for(6)
    assert await telling
    assert desk.orders(commands.StartNode)


async def test_a_stale_run_is_read_anew_and_decided_again(desk: Desk) -> None:
    run = await desk.begin()
    elsewhere = decide(run, events.NodeProgressed(node="n0", attempt=1, progress=0.1), now=desk.clock.now())
    await desk.kept.runs.save(elsewhere, if_version=1)
    telling = asyncio.create_task(desk.driver.report(run.id, desk.sealed()))
    await desk.clock.run_for(1)
    assert await telling
    assert (await desk.kept.runs.load(run.id)).version == 3
    assert commands.StartNode(node="n0", attempt=1) in desk.log


async def test_a_commit_whose_answer_was_lost_still_has_its_orders_carried_out(desk: Desk) -> None:
    run = await desk.begin()
    desk.runs.after["save"] = raises(AWAY, times=1)
    telling = asyncio.create_task(desk.driver.report(run.id, desk.sealed()))
    await desk.clock.run_for(1)
    await telling
    assert desk.orders(commands.StartNode) == [commands.StartNode(node="n0", attempt=1)]
    assert run.id in desk.driver.live


async def test_a_beginning_whose_answer_was_lost_goes_on_when_it_is_asked_for_again(desk: Desk) -> None:
    desk.runs.after["create"] = raises(AWAY, times=1)
    with pytest.raises(errors.DatabaseUnavailable):
        await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VA", key="k")
    run = await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VB", key="k")
    assert run.id == "run_01HZX3K9T8Q2B7M4N6P5R1S0VA"
    assert desk.log == [commands.AwaitUpload(edge="e0")]


async def test_a_beginning_whose_answer_was_lost_goes_on_though_nobody_asks_again(desk: Desk) -> None:
    # Found by the simulation: the run was there, and nobody took it up before the next restart.
    desk.runs.after["create"] = raises(AWAY, times=1)
    desk.runs.before["load"] = raises(AWAY, times=2)
    with pytest.raises(errors.DatabaseUnavailable):
        await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VA")
    await desk.clock.run_for(5)
    assert desk.log == [commands.AwaitUpload(edge="e0")]
    assert set(desk.driver.live) == {"run_01HZX3K9T8Q2B7M4N6P5R1S0VA"}


async def test_a_beginning_that_was_not_saved_is_not_gone_on_with(desk: Desk) -> None:
    desk.runs.before["create"] = raises(AWAY, times=1)
    with pytest.raises(errors.DatabaseUnavailable):
        await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VA")
    await desk.clock.run_for(5)
    assert not desk.log
    assert not desk.driver.live


async def test_an_end_whose_answer_was_lost_still_closes_the_run(desk: Desk) -> None:
    # Found by the simulation: what was put for the run and never sealed stayed.
    run = await desk.begin()
    desk.runs.after["save"] = raises(AWAY, times=1)
    telling = asyncio.create_task(desk.driver.report(run.id, events.CancelRequested(mode="kill")))
    await desk.clock.run_for(1)
    await telling
    assert desk.orders(commands.CloseRun) == [commands.CloseRun()]
    assert not desk.driver.live


async def test_one_key_begins_one_run(desk: Desk) -> None:
    first = await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VA", key="k")
    before = list(desk.log)
    assert (await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VB", key="k")).id == first.id
    assert (await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VC", key="l")).id != first.id
    assert desk.orders(commands.AwaitUpload) == [commands.AwaitUpload(edge="e0")] * 2
    assert before
    assert set(desk.driver.live) == {"run_01HZX3K9T8Q2B7M4N6P5R1S0VA", "run_01HZX3K9T8Q2B7M4N6P5R1S0VC"}


async def test_a_run_goes_on_though_whoever_asked_for_it_went_away(desk: Desk) -> None:
    gate = desk.runs.before["create"] = Gate()
    asking = asyncio.create_task(desk.begin())
    await gate.reached.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    gate.opened.set()
    await desk.clock.run_for(1)
    assert len(desk.driver.live) == 1
    assert desk.orders(commands.AwaitUpload)


async def test_an_alarm_rings_when_a_run_is_due(desk: Desk) -> None:
    run = await desk.begin()
    await desk.clock.run_for(86400 + 1)
    over = await desk.driver.look(run.id)
    assert over.status is Status.ERROR
    assert "did not arrive within" in over.error
    assert desk.log[-1] == commands.CloseRun()
    assert not desk.driver.live


async def test_a_report_on_what_is_over_or_unknown_means_nothing(desk: Desk) -> None:
    run = await desk.begin()
    assert await desk.driver.report(run.id, events.CancelRequested(mode="kill"))
    assert not await desk.driver.report(run.id, desk.sealed())
    with pytest.raises(errors.UnknownRun):
        await desk.driver.report("run_none", desk.sealed())
    desk.driver.tell("run_none", desk.sealed())
    await desk.clock.run_for(1)


async def test_a_bug_in_one_run_hangs_neither_it_nor_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ill, well = await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VA"), await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VB")

    def decide_or_die(run: Run, reports: list[events.Report], **rest: object) -> tuple[Decision, list[bool]]:
        if run.id == ill.id and broken:
            raise errors.Broken(reason="a bug")
        return decide_all(run, reports, **rest)  # type: ignore[arg-type]

    broken = True
    monkeypatch.setattr(drivers, "decide_all", decide_or_die)
    with pytest.raises(errors.Broken):
        await desk.driver.report(ill.id, desk.sealed())
    assert await desk.driver.report(well.id, desk.sealed())
    assert "could not take in ['UploadSealed']" in caplog.text
    await desk.clock.run_for(90_000)  # its alarm rings, and it cannot take that in either
    broken = False
    await desk.clock.run_for(drivers.SECOND_LOOK_SECONDS + 1)
    assert (await desk.driver.look(ill.id)).status is Status.ERROR, "it was looked at again, and ended"


async def test_recovery_gives_every_outstanding_order_again(desk: Desk) -> None:
    first, second = (
        await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VA"),
        await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VB"),
    )
    await desk.driver.report(second.id, desk.sealed())
    await desk.driver.report(second.id, events.NodeAdmitted(node="n0", attempt=1))
    await desk.driver.report(second.id, events.CancelRequested(mode="kill"))
    await desk.driver.close()
    other = desk.another()
    runs = await other.driver.take_up([first.id, second.id])
    assert [run.id for run in runs] == [first.id, second.id]
    assert runs[1].nodes["n0"].status is NodeStatus.RUNNING
    assert other.log == [
        commands.AwaitUpload(edge="e0"),
        commands.StartNode(node="n0", attempt=1),
        commands.StopNode(node="n0", attempt=1),
    ]
    await other.clock.run_for(86400 + 1)
    assert (await other.driver.look(first.id)).status is Status.ERROR, "its alarm was set"
    await other.driver.close()


async def test_a_damaged_run_is_condemned_and_stops_no_other(desk: Desk) -> None:
    ill, well = await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VA"), await desk.begin("run_01HZX3K9T8Q2B7M4N6P5R1S0VB")
    other = desk.another()

    async def damaged(run_id: str) -> None:
        if run_id == ill.id:
            raise errors.Damaged(what="the run", reason="it is noise")

    other.runs.before["load"] = damaged
    assert [run.id for run in await other.driver.take_up([ill.id, well.id])] == [well.id]
    (summary,) = (await desk.kept.runs.list(status=Status.ERROR)).runs
    assert summary.id == ill.id
    assert summary.error == "internal: the run cannot be read back: it is noise"
    assert await desk.kept.runs.unfinished() == [well.id]
    await other.driver.close()


async def test_ten_thousand_waiting_runs_have_no_tasks(desk: Desk) -> None:
    before = len(asyncio.all_tasks())
    plan = a_plan(a_flow(a_node()))
    for number in range(10_000):
        await desk.driver.begin(begin(f"run_{number:026}", plan, now=desk.clock.now()))
    await desk.clock.run_for(1)
    assert len(desk.driver.live) == 10_000
    assert len(asyncio.all_tasks()) <= before + 3


async def test_only_so_many_finished_runs_are_kept_in_memory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "FINISHED_KEPT", 3)
    names = [f"run_{number:026}" for number in range(5)]
    for name in names:
        await desk.begin(name)
        await desk.driver.report(name, events.CancelRequested(mode="kill"))
    assert await held(desk, names) == names[2:]
    desk.driver.forget(names[3])
    desk.driver.forget("run_none")
    assert await held(desk, names) == [names[2], names[4]]
    monkeypatch.setattr(drivers, "FINISHED_NODES_KEPT", 3)
    await desk.begin("run_last")
    await desk.driver.report("run_last", events.CancelRequested(mode="kill"))
    assert await held(desk, [*names, "run_last"]) == ["run_last"], "each has two nodes"


async def held(desk: Desk, names: list[str]) -> list[str]:
    found = []
    for name in names:
        desk.runs.calls.clear()
        await desk.driver.look(name)
        if "load" not in desk.runs.calls:
            found.append(name)
    return found


async def test_closing_answers_whoever_waits(desk: Desk) -> None:
    run = await desk.begin()
    gate = desk.runs.before["save"] = Gate()
    waiting = [asyncio.create_task(desk.driver.report(run.id, desk.sealed())) for _ in range(2)]
    await gate.reached.wait()
    late = asyncio.create_task(desk.driver.report(run.id, events.CancelRequested(mode="kill")))
    unstarted = asyncio.create_task(desk.driver.report("run_none", desk.sealed()))
    await asyncio.sleep(0)
    await desk.driver.close()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*waiting, late, unstarted, return_exceptions=True)
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers)


async def test_a_report_that_changes_nothing_is_not_saved_but_its_alarm_is_set_again(desk: Desk) -> None:
    run = await desk.begin()
    desk.log.clear()
    assert not await desk.driver.report(run.id, events.TimePassed())
    assert not desk.log
    await desk.clock.run_for(timedelta(days=1).total_seconds() + 1)
    assert (await desk.driver.look(run.id)).status is Status.ERROR


async def test_a_run_saved_elsewhere_is_taken_as_it_is_there(desk: Desk) -> None:
    run = await desk.begin()
    stopped = decide(run, events.CancelRequested(mode="kill"), now=desk.clock.now())
    await desk.kept.runs.save(replace(stopped), if_version=1)
    telling = asyncio.create_task(desk.driver.report(run.id, desk.sealed()))
    await desk.clock.run_for(1)
    assert not await telling
    assert run.id not in desk.driver.live


# ── Large runs ───────────────────────────────────────────────────────────────────────────────────────────────────

MANY = 5 * drivers.STEPS_AT_ONCE


def a_wide_run(desk: Desk, name: str = "run_01HZX3K9T8Q2B7M4N6P5R1S0VC") -> Decision:
    """Of nodes that need nothing: they start at once."""
    nodes = (a_node(f"n{i}", inputs={}, outputs={"resized": f"e{i}"}) for i in range(MANY))
    return begin(name, a_plan(a_flow(*nodes), run_id=name), now=desk.clock.now())


async def first_orders(desk: Desk) -> None:
    """Returns when some orders were given, and not all."""
    for _ in range(1000):
        if desk.orders(commands.StartNode):
            return
        await asyncio.sleep(0)
    raise AssertionError("no order was given")


async def test_others_have_their_turn_between_the_orders_of_a_large_run(desk: Desk) -> None:
    beginning = asyncio.create_task(desk.driver.begin(a_wide_run(desk)))
    seen: set[int] = set()
    while not beginning.done():
        await asyncio.sleep(0)
        seen.add(len(desk.orders(commands.StartNode)))
    assert len(seen) > MANY / drivers.STEPS_AT_ONCE
    assert len(desk.orders(commands.StartNode)) == MANY


async def test_nothing_is_decided_before_all_orders_of_the_last_decision_are_given(desk: Desk) -> None:
    decision = a_wide_run(desk)
    beginning = asyncio.create_task(desk.driver.begin(decision))
    await first_orders(desk)
    assert not beginning.done()
    assert await desk.driver.report(decision.run.id, events.CancelRequested(mode="kill"))
    orders = desk.orders()
    assert [type(one) for one in orders[-MANY - 1 :]] == [commands.StopNode] * MANY + [commands.CloseRun]
    assert len(desk.orders(commands.StartNode)) == MANY
    assert (await beginning).status is Status.RUNNING


async def test_a_run_that_is_let_go_of_gets_no_more_orders(desk: Desk) -> None:
    decision = a_wide_run(desk)
    beginning = asyncio.create_task(desk.driver.begin(decision))
    await first_orders(desk)
    desk.driver.let_go(decision.run.id)
    await beginning
    assert 0 < len(desk.orders(commands.StartNode)) < MANY


async def test_a_report_that_reaches_far_is_thought_about_beside_the_loop(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "FAR", MANY)
    told: list[bool] = []

    async def noted(work: Callable[[], T], *, large: bool) -> T:
        told.append(large)
        return await aside(work, large=large)

    monkeypatch.setattr(drivers, "aside", noted)
    decision = a_wide_run(desk)
    await desk.driver.begin(decision)
    await desk.driver.report(decision.run.id, events.NodeAdmitted(node="n0", attempt=1))
    await desk.driver.report(decision.run.id, events.CancelRequested(mode="drain"))
    # The new run's alarm; the first report and what it does to the alarm; the second, which leaves one node as it was.
    assert told == [True, False, False, True, False]
    assert desk.driver.live[decision.run.id].unfinished == 1


async def test_a_large_run_is_taken_up_in_steps_but_for_what_holds_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "FAR", MANY)
    run_id = (await desk.driver.begin(a_wide_run(desk))).id
    await desk.driver.report(run_id, events.NodeAdmitted(node=f"n{MANY - 1}", attempt=1))
    await desk.driver.close()
    other = desk.another()
    assert [run.id for run in await other.driver.take_up([run_id])] == [run_id]
    assert other.orders() == [commands.StartNode(node=f"n{MANY - 1}", attempt=1)]
    telling = asyncio.create_task(other.driver.report(run_id, events.CancelRequested(mode="kill")))
    seen: set[int] = set()
    while not telling.done():
        await asyncio.sleep(0)
        seen.add(len(other.orders(commands.StartNode)))
    assert len(seen) >= MANY / drivers.STEPS_AT_ONCE
    assert sorted(map(str, other.orders(commands.StartNode))) == sorted(map(str, desk.orders(commands.StartNode)))
    assert not other.orders(commands.StartNode)[MANY:]
    stops = [type(one) is commands.StopNode for one in other.orders()]
    assert stops == [False] * MANY + [True] * MANY, "decided when all was given"
    await other.driver.close()


async def test_a_large_run_that_is_let_go_of_while_it_is_taken_up_gets_no_more_orders(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "FAR", MANY)
    run_id = (await desk.driver.begin(a_wide_run(desk))).id
    await desk.driver.close()
    other = desk.another()
    await other.driver.take_up([run_id])
    await first_orders(other)
    other.driver.let_go(run_id)
    for _ in range(100):
        await asyncio.sleep(0)
    assert 0 < len(other.orders(commands.StartNode)) < MANY
    assert await other.driver.report(run_id, events.CancelRequested(mode="kill")), "taken up anew where it is ours"
    await other.driver.close()


async def test_a_run_that_moved_on_with_another_is_let_go_of(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go: list[str] = []
    desk.driver.connect(lambda run, command: None, lambda event: None, on_let_go=let_go.append)
    run = await desk.begin()
    load = desk.kept.runs.load

    async def elsewhere(run_id: str) -> Run:
        return replace(await load(run_id), owner="another")

    # A save's answer was lost; when it is tried again somebody else had the run, and has saved it since.
    desk.runs.before["save"] = raises(errors.Stale(reason="it is at another version"))
    monkeypatch.setattr(desk.kept.runs, "load", elsewhere)
    telling = asyncio.create_task(desk.driver.report(run.id, desk.sealed()))
    await desk.clock.run_for(1)
    assert telling.done()
    assert not await telling
    assert let_go == [run.id]
    assert run.id not in desk.driver.live


async def test_runs_that_wait_write_nothing(desk: Desk) -> None:
    for number in range(100):
        await desk.begin(f"run_{number:026}")
    desk.runs.calls.clear()
    await desk.clock.run_for(timedelta(hours=23).total_seconds())
    assert not desk.runs.calls
