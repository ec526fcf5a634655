"""Containers armed ahead: which, how many, how long, and that nothing is left of them."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory import containers
from pupload.adapters.memory.disks import MemoryDisks
from pupload.domain import events
from pupload.domain.run import AttemptRef, NodeStatus, Run, Status
from pupload.engine import arming, lull
from pupload.engine.admission import Room
from pupload.engine.arming import Budget
from pupload.service.health import Health
from tests.bench import PNG, ROOM, TEXT, Bench, a_bench, assemble, copies, ends
from tests.builders import a_chain, a_definition, a_flow, a_node, a_port
from tests.engine.test_ownership import another, silenced
from tests.engine.worlds import Faulty, Gate, raises

IMAGE = "pupload/resize:latest"
AWAY = errors.ExecutorUnavailable(host="memory", reason="it does not answer")


def nodes_of(refs: Any) -> list[str]:
    """The nodes of these attempts, in their order."""
    return [ref.node for ref in refs]


async def settled(bench: Bench) -> None:
    """Whatever would follow has followed."""
    for _ in range(50):
        await bench.clock.run_for(2 * lull.QUIET_SECONDS / 50)
        await asyncio.to_thread(int)


async def done(bench: Bench) -> None:
    """All that was begun is done, and whatever would follow has followed."""
    await settled(bench)
    await bench.until(lambda: not len(bench.engine.arming._works))
    await settled(bench)


def left(bench: Bench) -> list[str]:
    """What there is of containers and directories."""
    there = [ref.id for ref in bench.executor.left]
    return sorted({*there, *(path.name for path in bench.config.attempts_root.iterdir())})


async def nothing_left(bench: Bench, run: Run) -> None:
    """The run is closed, and nothing of it is there any more."""
    await bench.until(lambda: not bench.kept.shelf.books[run.id].unclosed, step=0.5)
    assert not bench.executor.left
    await bench.until(lambda: not list(bench.config.attempts_root.iterdir()))
    assert not bench.engine.arming.armed


@asynccontextmanager
async def a_faulty_one(
    tmp_path: Path, *, nodes: int = 16, seconds: float = 600.0, **more: Any
) -> AsyncIterator[tuple[Bench, Faulty]]:
    """A bench, and its engine of containers, whose calls can be held up and spoilt."""
    async with a_bench(tmp_path, armed=Budget(nodes=nodes, seconds=seconds), **more) as plain:
        await plain.engine.close()
        faulty = Faulty(plain.executor)
        bench = assemble(replace(plain.world, executor=faulty), plain.config, plain)
        bench.image(IMAGE, copies("image", "resized"))
        await bench.engine.start()
        try:
            yield bench, faulty
        finally:
            await bench.engine.close()


@asynccontextmanager
async def an_arming_one(
    tmp_path: Path, *, nodes: int = 16, seconds: float = 600.0, **more: Any
) -> AsyncIterator[Bench]:
    async with a_faulty_one(tmp_path, nodes=nodes, seconds=seconds, **more) as (bench, _):
        yield bench


async def story(bench: Bench, run: Run) -> tuple[list[str], list[str]]:
    """What a user can read of the run: its events and its log."""
    entries = await bench.world.journal.read(run.id)
    lines = await bench.world.journal.read_logs(run.id)
    return (
        [f"{events.name_of(entry.event)} {getattr(entry.event, 'node', '')}" for entry in entries],
        [f"{record.node} {record.line.message}" for record in lines],
    )


# ── Armed, and let go ────────────────────────────────────────────────────────────────────────────────────────────


async def test_behind_an_upload_all_nodes_are_armed_and_each_is_let_go_in_its_turn(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        run = await bench.start(a_flow(*a_chain(5)))
        await bench.until(lambda: len(bench.executor.armed) == 5)
        assert sorted(nodes_of(bench.executor.armings)) == ["n0", "n1", "n2", "n3", "n4"]
        assert Health(bench.engine).counts().armed == 5
        assert not bench.engine.admission.holders, "what waits holds no room"
        assert bench.engine.driver.live[run.id] == run, "and the run knows nothing of it"
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "e5") == PNG
        assert set(bench.executor.starts.values()) == {1}
        assert set(bench.executor.armings.values()) == {1}
        await nothing_left(bench, run)


async def test_a_node_passed_over_while_something_is_removed_is_armed_afterwards(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        run = await bench.start(a_flow(*a_chain(2)))
        kept_off = AttemptRef(run=run.id, node="n0", number=1)
        async with bench.engine.arming.kept_off(kept_off.id):
            await bench.until(lambda: nodes_of(bench.executor.armed) == ["n1"])
            await done(bench)
            assert nodes_of(bench.executor.armed) == ["n1"]
        await bench.until(lambda: len(bench.executor.armed) == 2)


async def test_the_directory_of_what_waits_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with an_arming_one(tmp_path) as bench:
        made, make = list[str](), bench.engine.staging.make_folder

        async def counted(ref: AttemptRef, *given: Any, **more: Any) -> Any:
            made.append(ref.node)
            return await make(ref, *given, **more)

        monkeypatch.setattr(bench.engine.staging, "make_folder", counted)
        run = await bench.start(a_flow(*a_chain(3)))
        await bench.until(lambda: bench.engine.arming.armed == 3)
        await bench.upload(run, "e0", PNG)
        assert (await bench.ended(run)).status is Status.COMPLETE
        assert sorted(made) == ["n0", "n1", "n2"]
        await nothing_left(bench, run)


async def test_a_directory_that_somebody_took_away_is_made_again(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        run = await bench.start(a_flow(*a_chain(2)))
        await bench.until(lambda: bench.engine.arming.armed == 2)
        await asyncio.to_thread(
            shutil.rmtree, bench.engine.staging.folder(AttemptRef(run=run.id, node="n0", number=1)).path
        )
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert [len(node.attempts) for node in run.nodes.values()] == [1, 1]
        await nothing_left(bench, run)


async def test_a_user_sees_no_difference(tmp_path: Path) -> None:
    stories = []
    for nodes in (0, 16):
        async with an_arming_one(tmp_path / str(nodes), nodes=nodes) as bench:
            run = await bench.start(a_flow(*a_chain(3)))
            await done(bench)
            assert len(bench.executor.armed) == min(nodes, 3)
            await bench.upload(run, "e0", PNG)
            run = await bench.ended(run)
            stories.append((await story(bench, run), [len(node.attempts) for node in run.nodes.values()]))
            await nothing_left(bench, run)
    assert stories[0] == stories[1]


async def test_while_a_node_runs_those_behind_it_are_armed(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        bench.image(IMAGE, lambda order: copies("image", "resized", seconds=60)(order))
        first = a_node("first", uses="made/up", inputs={}, outputs={"out": "e0"})
        bench.image("made/up:latest", _writes("out"))
        run = await bench.start(a_flow(first, *a_chain(3)))
        await bench.until(lambda: len(bench.executor.armed) == 3)
        assert bench.executor.armings[AttemptRef(run=run.id, node="first", number=1)] == 0
        assert (await bench.ended(run, step=1)).status is Status.COMPLETE
        await nothing_left(bench, run)


def _writes(name: str, **outcome: Any) -> containers.Script:
    def run(order: Any) -> containers.Outcome:
        (order.outputs / name).write_bytes(PNG)
        return containers.Outcome(seconds=60, **outcome)

    return run


async def test_a_node_that_is_ready_while_it_is_being_armed_waits_for_that(tmp_path: Path) -> None:
    async with a_faulty_one(tmp_path) as (bench, engine):
        gate = engine.before["arm"] = Gate()
        run = await bench.start(a_flow(*a_chain(1)))
        await bench.until(gate.reached.is_set)
        await bench.upload(run, "e0", PNG)
        await bench.until(lambda: bool(bench.engine.admission.holders))
        await settled(bench)
        assert "ensure_started" not in engine.calls
        gate.opened.set()
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert (sum(bench.executor.armings.values()), sum(bench.executor.starts.values())) == (1, 1)
        await nothing_left(bench, run)


async def test_a_node_that_is_ready_before_it_is_being_armed_starts_at_once(tmp_path: Path) -> None:
    async with a_faulty_one(tmp_path) as (bench, engine):
        gate = engine.before["arm"] = Gate()
        run = await bench.start(a_flow(*a_chain(arming.AT_ONCE)))
        await bench.until(lambda: engine.calls.count("arm") == arming.AT_ONCE)
        late = await bench.start(a_flow(a_node("late")))
        await bench.upload(late, "late-in", PNG)
        assert (await bench.ended(late)).status is Status.COMPLETE
        assert engine.calls.count("arm") == arming.AT_ONCE, "no more at a time"
        gate.opened.set()
        await bench.until(lambda: len(bench.executor.armed) == arming.AT_ONCE)
        await bench.upload(run, "e0", PNG)
        await nothing_left(bench, await bench.ended(run))


async def test_nothing_is_armed_for_what_waits_while_new_runs_keep_coming_but_not_for_ever(tmp_path: Path) -> None:
    async with a_faulty_one(tmp_path, nodes=64) as (bench, engine):
        for _ in range(9):
            first = await bench.start(a_flow(a_node("first")))
            await bench.clock.run_for(lull.QUIET_SECONDS * 0.9)
        assert "arm" not in engine.calls
        await bench.clock.run_for(lull.QUIET_SECONDS)
        await done(bench)
        assert engine.calls.count("arm") == len(bench.executor.armed) == 9, "when it is quiet"
        for _ in range(13):
            await bench.start(a_flow(a_node("next")))
            await bench.clock.run_for(lull.QUIET_SECONDS * 0.9)
        assert 9 < len(bench.engine.arming._places) < 13, "what has waited for long"
        assert first.status is Status.WAITING


async def test_what_runs_is_armed_at_once_however_many_new_runs_come(tmp_path: Path) -> None:
    async with a_faulty_one(tmp_path) as (bench, engine):
        first = a_node("first", uses="made/up", inputs={}, outputs={"out": "e0"})
        bench.image("made/up:latest", _writes("out"))
        await bench.start(a_flow(first, *a_chain(1)))
        while "arm" not in engine.calls:
            assert bench.clock.monotonic() < lull.QUIET_SECONDS
            await bench.clock.run_for(0.001)
            await asyncio.to_thread(int)


async def test_no_more_is_made_at_a_time_than_the_engine_is_good_for(tmp_path: Path) -> None:
    async with a_faulty_one(tmp_path) as (bench, engine):
        gate = engine.before["arm"] = Gate()
        started = engine.before["ensure_started"] = Gate()
        run = await bench.start(a_flow(*(a_node(f"n{n}", inputs={}, outputs={"resized": f"e{n}"}) for n in range(3))))
        await bench.until(lambda: engine.calls.count("ensure_started") == 3)
        waiting = await bench.start(a_flow(*a_chain(5)))
        await settled(bench)
        assert engine.calls.count("arm") == arming.AT_ONCE - 3
        started.opened.set()
        bench.image(IMAGE, copies("image", "resized"))
        await bench.until(lambda: engine.calls.count("arm") == arming.AT_ONCE)
        gate.opened.set()
        await bench.until(lambda: len(bench.executor.armed) == 5)
        for one in (run, waiting):
            await bench.runs.cancel(one.id)
            await nothing_left_of(bench, one)


# ── How many ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_run_has_more_than_half_of_what_the_others_leave_and_all_have_no_more_than_the_budget(
    tmp_path: Path,
) -> None:
    async with a_faulty_one(tmp_path, nodes=9) as (bench, engine):
        most = 0

        async def count(*_: object) -> None:
            nonlocal most
            most = max(most, len(bench.executor.armed))

        engine.after["arm"] = count
        runs = []
        for expected in (4, 2, 1, 1, 1, 0, 0):
            run = await bench.start(a_flow(*a_chain(10)))
            await done(bench)
            assert [ref.run for ref in bench.executor.armed].count(run.id) == expected
            runs.append(run)
        assert len(bench.executor.armed) == 9
        await bench.runs.cancel(runs[1].id)
        await nothing_armed_of(bench, runs[1])
        await done(bench)
        assert [ref.run for ref in bench.executor.armed].count(runs[5].id) == 1, "whoever had none is next"
        assert most == 9
        for run in runs:
            if run is not runs[1]:
                await bench.upload(run, "e0", PNG)
        for run in runs:
            await nothing_left_of(bench, await bench.ended(run))
        assert not bench.executor.left


async def nothing_armed_of(bench: Bench, run: Run) -> None:
    await bench.until(lambda: run.id not in {ref.run for ref in bench.executor.armed})


async def nothing_left_of(bench: Bench, run: Run) -> None:
    await bench.until(lambda: not bench.kept.shelf.books[run.id].unclosed, step=0.5)
    assert run.id not in {ref.run for ref in bench.executor.left}


async def test_where_there_is_place_for_one_it_is_the_one_that_is_needed_first(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path, nodes=1) as bench:
        bench.image(IMAGE, copies("image", "resized", seconds=5))
        run = await bench.start(a_flow(*reversed(a_chain(4))))
        await done(bench)
        assert nodes_of(bench.executor.armed) == ["n0"]
        await bench.upload(run, "e0", PNG)
        await bench.ended(run)
        assert nodes_of(bench.executor.armings) == ["n0", "n1", "n2", "n3"], "each while the one before runs"
        await nothing_left(bench, run)


async def test_what_runs_goes_before_what_waits(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path, nodes=2) as bench:
        full = [await bench.start(a_flow(*a_chain(4))) for _ in range(2)]
        await settled(bench)
        waiting = await bench.start(a_flow(*a_chain(2)))
        bench.image(IMAGE, copies("image", "resized", seconds=1000))
        moving = await bench.start(a_flow(*a_chain(2)))
        await bench.upload(moving, "e0", PNG)
        await bench.until(lambda: bool(bench.executor.alive))
        await done(bench)
        assert {ref.run for ref in bench.executor.armings} == {run.id for run in full}
        for run in full:
            await bench.runs.cancel(run.id)
            await nothing_armed_of(bench, run)
            await done(bench)
        assert [ref.run for ref in bench.executor.armings][2:] == [moving.id, waiting.id]
        for run in (waiting, moving):
            await bench.runs.cancel(run.id)
            await nothing_left_of(bench, run)


async def test_nothing_is_armed_while_attempts_wait_for_room(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path, room=replace(ROOM, attempts=1)) as bench:
        bench.image("made/up:latest", _writes("out", hangs=True))
        lone = a_flow(a_node("lone", uses="made/up", inputs={}, outputs={"out": "made"}))
        busy = [await bench.start(lone) for _ in range(2)]
        await bench.until(lambda: bench.engine.admission.crowded)
        waiting = await bench.start(a_flow(*a_chain(3)))
        await done(bench)
        assert not bench.executor.armings
        for run in busy:
            await bench.runs.cancel(run.id)
        await bench.until(lambda: len(bench.executor.armed) == 3, step=1)
        await bench.upload(waiting, "e0", PNG)
        assert (await bench.ended(waiting)).status is Status.COMPLETE


async def test_nothing_is_armed_while_the_disk_is_full(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as plain:
        await plain.engine.close()
        disks = MemoryDisks(free_bytes=10)
        bench = assemble(replace(plain.world, disks=disks), replace(plain.config, disk_reserve_bytes=30), plain)
        await bench.engine.start()
        await bench.start(a_flow(*a_chain(3)))
        await done(bench)
        assert not bench.executor.armings
        disks.free_bytes = 100
        await bench.until(lambda: len(bench.executor.armed) == 3, step=1)
        await bench.engine.close()


# ── How long ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_waited_too_long_goes_and_comes_again_only_when_the_run_comes_forward(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path, seconds=30.0) as bench:
        run = await bench.start(a_flow(*a_chain(3)))
        await bench.until(lambda: len(bench.executor.armed) == 3)
        await bench.clock.run_for(29)
        assert len(bench.executor.armed) == 3
        await bench.clock.run_for(2)
        await bench.until(lambda: not left(bench))
        await bench.clock.run_for(10_000)
        assert sum(bench.executor.armings.values()) == 3
        bench.image(IMAGE, copies("image", "resized", seconds=20))
        await bench.upload(run, "e0", PNG)
        assert (await bench.ended(run, step=1)).status is Status.COMPLETE
        again = {ref.node: count for ref, count in bench.executor.armings.items()}
        assert again == {"n0": 1, "n1": 2, "n2": 2}
        await nothing_left(bench, run)


async def test_thousands_of_runs_that_wait_make_no_work(tmp_path: Path) -> None:
    async with a_faulty_one(tmp_path, nodes=8, seconds=60.0) as (bench, engine):
        for _ in range(400):
            await bench.start(a_flow(*a_chain(2)))
        await done(bench)
        assert len(bench.executor.armed) == 8
        await bench.clock.run_for(61)
        await bench.until(lambda: not bench.executor.left)
        engine.calls.clear()
        await bench.clock.run_for(36_000)
        await done(bench)
        assert engine.calls == []
        assert len(bench.engine.arming._moving) == len(bench.engine.arming._waiting) == 0
        for run_id in list(bench.engine.driver.live):
            await bench.runs.cancel(run_id)
        await bench.until(lambda: not bench.engine.driver.live)
        assert not bench.engine.arming._outlooks, "nothing is remembered of runs that are over"


# ── The end of a run ─────────────────────────────────────────────────────────────────────────────────────────────


async def _cancelled(bench: Bench, run: Run) -> None:
    await bench.runs.cancel(run.id)


async def _drained(bench: Bench, run: Run) -> None:
    await bench.runs.cancel(run.id, mode="drain")


async def _refused(bench: Bench, run: Run) -> None:
    await bench.upload(run, "e0", TEXT)


async def _never_put(bench: Bench, run: Run) -> None:
    await bench.clock.run_for(86400 + 60)


async def _failing(bench: Bench, run: Run) -> None:
    bench.image(IMAGE, ends(code=3))
    await bench.upload(run, "e0", PNG)


async def _hanging(bench: Bench, run: Run) -> None:
    bench.image(IMAGE, ends(hangs=True))
    await bench.upload(run, "e0", PNG)
    await bench.until(lambda: bool(bench.executor.alive))
    await bench.runs.cancel(run.id)


@pytest.mark.parametrize("happens", [_cancelled, _drained, _refused, _never_put, _failing, _hanging])
async def test_however_a_run_ends_nothing_of_it_stays_armed(
    tmp_path: Path, happens: Callable[[Bench, Run], Awaitable[None]]
) -> None:
    async with an_arming_one(tmp_path, seconds=1e6) as bench:
        picture = a_definition(inputs=[a_port("image", "image/*")], outputs=[a_port("resized")], max_attempts=1)
        run = await bench.start(a_flow(*a_chain(4)), [picture])
        await bench.until(lambda: len(bench.executor.armed) == 4)
        await happens(bench, run)
        run = await bench.ended(run, step=0.5)
        assert run.status is not Status.COMPLETE
        await nothing_left(bench, run)


async def test_what_is_skipped_is_disarmed_while_the_run_goes_on(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path, seconds=1e6) as bench:
        picture = a_definition(inputs=[a_port("image", "image/*")], outputs=[a_port("resized")])
        other = a_node("other", inputs={"image": "b0"}, outputs={"resized": "b1"})
        run = await bench.start(a_flow(*a_chain(2), other), [picture])
        await bench.until(lambda: len(bench.executor.armed) == 3)
        await bench.upload(run, "e0", TEXT)
        await bench.until(lambda: len(bench.executor.left) == 1)
        assert nodes_of(bench.executor.armed) == ["other"]
        assert bench.engine.driver.live[run.id].nodes["n1"].status is NodeStatus.SKIPPED
        await bench.upload(run, "b0", PNG)
        await nothing_left(bench, await bench.ended(run))


async def test_a_run_does_not_count_as_closed_while_the_engine_is_away_and_something_is_armed(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        run = await bench.start(a_flow(*a_chain(2)))
        await bench.until(lambda: len(bench.executor.armed) == 2)
        bench.executor.down = True
        await bench.runs.cancel(run.id)
        await bench.ended(run)
        await bench.clock.run_for(2 * 3600)
        assert bench.kept.shelf.books[run.id].unclosed
        bench.executor.down = False
        await nothing_left(bench, run)


# ── What goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_arming_that_fails_costs_no_attempt_and_is_not_tried_again(tmp_path: Path) -> None:
    for error in (errors.ContainerRefused(reason="no"), errors.ImageMissing(image=IMAGE, reason="no"), None):
        async with a_faulty_one(tmp_path / type(error).__name__) as (bench, engine):
            if error is None:
                bench.executor.unarmable.add(IMAGE)
            else:
                engine.before["arm"] = raises(error)
            run = await bench.start(a_flow(*a_chain(3)))
            await done(bench)
            assert engine.calls.count("arm") <= arming.AT_ONCE
            await bench.until(lambda: not left(bench))
            tried = engine.calls.count("arm")
            await bench.upload(run, "e0", PNG)
            run = await bench.ended(run)
            assert run.status is Status.COMPLETE
            assert {len(node.attempts) for node in run.nodes.values()} == {1}
            assert engine.calls.count("arm") == tried, "once is enough for a run"
            await nothing_left(bench, run)


async def test_an_engine_that_is_away_while_it_arms_delays_nothing_afterwards(tmp_path: Path) -> None:
    async with a_faulty_one(tmp_path) as (bench, engine):
        engine.after["arm"] = raises(AWAY, times=arming.AT_ONCE)  # it was done, and nobody heard of it
        run = await bench.start(a_flow(*a_chain(3)))
        await done(bench)
        tried = engine.calls.count("arm")
        await bench.clock.run_for(3600)
        assert engine.calls.count("arm") == tried, "not again before the run comes forward"
        await bench.until(lambda: not left(bench))
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert {len(node.attempts) for node in run.nodes.values()} == {1}
        await nothing_left(bench, run)


async def test_a_container_that_ended_while_it_waited_is_replaced(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        run = await bench.start(a_flow(*a_chain(2)))
        await bench.until(lambda: len(bench.executor.armed) == 2)
        await bench.executor.stop(AttemptRef(run=run.id, node="n0", number=1), grace_seconds=0)
        bench.executor.lose(AttemptRef(run=run.id, node="n1", number=1))
        await bench.upload(run, "e0", PNG)
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert {len(node.attempts) for node in run.nodes.values()} == {1}
        await nothing_left(bench, run)


async def test_what_a_node_is_given_at_its_start_keeps_it_from_being_armed(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        await bench.world.secrets.put("KEY", "a value", at=bench.clock.now())
        secretive = a_definition("made/secretive", secrets=("KEY",), inputs=[a_port()], outputs=[a_port("resized")])
        plain = a_definition(inputs=[a_port()], outputs=[a_port("resized")])
        nodes = (a_node("a", uses="made/secretive"), a_node("b"))
        bench.image("made/secretive:latest", copies("image", "resized"))
        run = await bench.start(a_flow(*nodes), [secretive, plain])
        await settled(bench)
        assert nodes_of(bench.executor.armed) == ["b"]
        await bench.upload(run, "a-in", PNG)
        await bench.upload(run, "b-in", PNG)
        assert (await bench.ended(run)).status is Status.COMPLETE


async def test_an_image_that_is_still_to_be_pulled_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        pull = containers.Pull(script=copies("image", "resized"), seconds=300)
        bench.executor.registry["made/slow:latest"] = pull
        slow = await bench.start(a_flow(a_node("slow", uses="made/slow")))
        quick = await bench.start(a_flow(a_node("quick")))
        await settled(bench)
        assert nodes_of(bench.executor.armed) == ["quick"]
        await bench.clock.run_for(301)
        await bench.until(lambda: len(bench.executor.armed) == 2)
        assert sum(bench.executor.pulls.values()) == 1
        for run in (slow, quick):
            await bench.runs.cancel(run.id)
            await nothing_left_of(bench, run)


async def test_where_nothing_can_be_armed_nothing_is_got_ready_for_it(tmp_path: Path) -> None:
    async with a_faulty_one(tmp_path, nodes=0) as (bench, engine):
        bench.executor.arms = True
        await bench.start(a_flow(*a_chain(3)))
        await done(bench)
        assert "arm" not in engine.calls
        assert not bench.engine.arming._outlooks
    async with a_faulty_one(tmp_path / "other") as (bench, engine):
        bench.executor.arms = False
        await bench.start(a_flow(*a_chain(3)))
        await done(bench)
        assert "arm" not in engine.calls
        assert not bench.engine.arming._outlooks


# ── Before and after ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_waits_is_removed_when_the_server_goes_down(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        run = await bench.start(a_flow(*a_chain(3)))
        await bench.until(lambda: len(bench.executor.armed) == 3)
        again = await bench.restarted()
        assert set(bench.executor.armings.values()) <= {1, 2}
        await again.until(lambda: len(again.executor.armed) == 3)
        await again.upload(run, "e0", PNG)
        await nothing_left(again, await again.ended(run))
        await again.engine.close()


async def test_what_an_engine_that_is_away_keeps_is_swept_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arming, "CLOSING_SECONDS", 0.0)
    async with an_arming_one(tmp_path) as bench:
        run = await bench.start(a_flow(*a_chain(3)))
        await bench.until(lambda: len(bench.executor.armed) == 3)
        bench.executor.down = True
        await bench.engine.close()
        bench.executor.down = False
        bench.executor.died()
        assert len(left(bench)) == 3
        again = assemble(bench.world, replace(bench.config, armed=Budget()), bench)
        await again.engine.start()
        await again.until(lambda: not left(again))
        await again.upload(run, "e0", PNG)
        run = await again.ended(run)
        assert {len(node.attempts) for node in run.nodes.values()} == {1}
        await nothing_left(again, run)
        await again.engine.close()


async def test_what_a_process_that_died_had_armed_is_armed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arming, "CLOSING_SECONDS", 0.0)
    async with an_arming_one(tmp_path) as bench:
        bench.executor.caller = lambda: "first"
        run = await bench.start(a_flow(*a_chain(3)))
        await bench.until(lambda: len(bench.executor.armed) == 3)
        bench.executor.down = True
        await bench.engine.close()
        bench.executor.down = False
        bench.executor.died("first")
        bench.executor.caller = lambda: "second"
        again = assemble(bench.world, bench.config, bench)
        await again.engine.start()
        await again.until(lambda: len(again.executor.armed_by("second")) == 3)
        await again.upload(run, "e0", PNG)
        await nothing_left(again, await again.ended(run))
        assert set(again.executor.armings.values()) == {2}
        await again.engine.close()


async def test_what_a_process_that_died_had_armed_goes_also_where_its_attempt_waits_for_room_and_never_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arming, "CLOSING_SECONDS", 0.0)
    async with an_arming_one(tmp_path, room=replace(ROOM, attempts=1)) as bench:
        bench.image("made/up:latest", _writes("out", hangs=True))
        run = await bench.start(a_flow(*a_chain(1)))
        await bench.until(lambda: len(bench.executor.armed) == 1)
        busy = await bench.start(a_flow(a_node("lone", uses="made/up", inputs={}, outputs={"out": "made"})))
        await bench.until(lambda: bool(bench.executor.alive))
        await bench.upload(run, "e0", PNG)
        await bench.until(lambda: bench.engine.admission.crowded)
        assert len(bench.executor.armed) == 1, "it waits on while its attempt does"
        bench.executor.down = True
        await bench.engine.close()
        bench.executor.down = False
        bench.executor.died()
        again = assemble(bench.world, replace(bench.config, armed=Budget()), bench)
        await again.engine.start()
        await again.until(lambda: len(left(again)) == 1)
        assert again.engine.driver.live[run.id].nodes["n0"].status is NodeStatus.READY
        await again.runs.cancel(run.id)
        await nothing_left_of(again, run)
        assert nodes_of(again.executor.left) == ["lone"]
        await again.runs.cancel(busy.id)
        await nothing_left(again, busy)
        await again.engine.close()


async def test_a_sweep_leaves_what_waits_here(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        await bench.start(a_flow(*a_chain(3)))
        await bench.until(lambda: len(bench.executor.armed) == 3)
        bench.engine.sweep.ask()
        await bench.clock.run_for(200)
        await settled(bench)
        assert len(bench.executor.armed) == 3
        assert sum(bench.executor.armings.values()) == 3
        assert len(left(bench)) == 3


async def test_an_attempt_waits_until_what_was_left_of_it_is_swept(tmp_path: Path) -> None:
    """Else the sweep might take its container, which has the same name."""
    async with a_faulty_one(tmp_path) as (bench, engine):
        run = await bench.start(a_flow(*a_chain(1)))
        await bench.until(lambda: len(bench.executor.armed) == 1)
        bench.engine.arming.let_go(run.id)
        gate = engine.before["remove"] = Gate()
        bench.engine.sweep.ask()
        await bench.until(gate.reached.is_set)
        await bench.upload(run, "e0", PNG)
        await bench.until(lambda: bool(bench.engine.admission.holders))
        await done(bench)
        assert "ensure_started" not in engine.calls
        gate.opened.set()
        run = await bench.ended(run)
        assert run.status is Status.COMPLETE
        assert len(run.nodes["n0"].attempts) == 1


async def test_what_another_controller_armed_is_left_to_it_while_it_lives(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as nobody:
        await nobody.engine.close()
        one, other = await another(nobody, "one"), await another(nobody, "two")
        one.image(IMAGE, copies("image", "resized"))
        run = await one.start(a_flow(*a_chain(3)))
        await one.until(lambda: len(one.executor.armed) == 3)
        other.engine.sweep.ask()
        await other.clock.run_for(200)
        await done(other)
        assert sum(one.executor.armings.values()) == len(one.executor.armed) == 3
        await silenced(one)
        one.executor.died()
        await other.until(lambda: run.id in other.engine.driver.live, step=1)
        await other.upload(run, "e0", PNG)
        await other.until(lambda: not other.kept.shelf.books[run.id].unclosed, step=0.5)
        ended = await other.engine.driver.look(run.id)
        assert (ended.status, ended.owner) == (Status.COMPLETE, "two")
        assert {len(node.attempts) for node in ended.nodes.values()} == {1}
        await other.clock.run_for(120)
        await other.until(lambda: not other.executor.left)
        for bench in (other, one):
            await bench.engine.close()


async def test_a_node_is_admitted_before_it_is_let_go(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path, room=Room(cpus=64, memory_bytes=64 << 30, gpus={}, attempts=64)) as bench:
        seen = []

        def look(order: Any) -> containers.Outcome:
            node = bench.kept.shelf.books[order.attempt.run].nodes[order.attempt.node]
            seen.append(node.attempts[-1].admitted_at is not None)
            return copies("image", "resized")(order)

        bench.image(IMAGE, look)
        run = await bench.start(a_flow(*a_chain(3)))
        await bench.until(lambda: len(bench.executor.armed) == 3)
        await bench.upload(run, "e0", PNG)
        await nothing_left(bench, await bench.ended(run))
        assert seen == [True, True, True]
