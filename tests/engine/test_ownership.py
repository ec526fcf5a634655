"""Two controllers on one database, one engine and one store; and what is left when a database forgets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from pupload import errors, ports
from pupload.adapters.memory import clock, containers
from pupload.domain import ids
from pupload.domain.run import AttemptRef, Run, Status
from pupload.engine.lease import Lease
from pupload.engine.orders import FENCE
from tests.bench import PNG, ROOM, Bench, a_bench, assemble, copies, ends
from tests.builders import a_flow, a_node
from tests.engine.worlds import Faulty, raises

AWAY = errors.DatabaseUnavailable(reason="it cannot be reached")
LEASE_SECONDS = 15.0
IMAGE = "pupload/resize:latest"


async def another(bench: Bench, name: str, **more: Any) -> Bench:
    """A controller on the same world, started."""
    view = bench.kept.as_controller(name)
    world = replace(bench.world, runs=view.runs, ownership=Faulty(view.ownership))
    me = ports.Controller(id=name, name=f"process of {name}", engine="engine", store="store")
    root = bench.config.attempts_root.parent / name
    made = assemble(world, replace(bench.config, attempts_root=root, me=me, lease_seconds=LEASE_SECONDS, **more), bench)
    await made.engine.start()
    return made


@asynccontextmanager
async def two(tmp_path: Path, **more: Any) -> AsyncIterator[tuple[Bench, Bench]]:
    """The benches of two controllers, each with attempts' directories of its own."""
    async with a_bench(tmp_path, **more) as nobody, AsyncExitStack() as stack:
        await nobody.engine.close()
        made = []
        for name in ("one", "two"):
            made.append(await another(nobody, name))
            stack.push_async_callback(made[-1].engine.close)
        yield made[0], made[1]


async def silenced(bench: Bench) -> None:
    """The controller dies: whatever it was about is not gone on with, and nobody is told."""
    await bench.engine.leases.close()
    bench.engine.lease.give_up()
    for run_id in list(bench.engine.driver.live):
        bench.engine.driver.let_go(run_id)


def cut_off(bench: Bench) -> Faulty:
    """Its lease cannot be renewed until `before` is emptied; it goes on otherwise."""
    ownership: Any = bench.world.ownership
    ownership.before["renew"] = raises(AWAY)
    return cast(Faulty, ownership)


def lone(**node: Any) -> Any:
    """A flow of one node without inputs: it starts at once."""
    return a_flow(a_node(inputs={}, **node))


def writes(data: bytes = b"made", **outcome: Any) -> containers.Script:
    """A node that writes its output."""

    def run(order: ports.ContainerOrder) -> containers.Outcome:
        (order.outputs / "resized").write_bytes(data)
        return containers.Outcome(**outcome)

    return run


async def finished(bench: Bench, run: Run) -> Run:
    """The run when it is over and closed, as the bench's controller sees it."""
    await bench.until(lambda: not bench.kept.shelf.books[run.id].unclosed, step=0.5)
    return await bench.engine.driver.look(run.id)


async def test_the_lease_ends_here_before_it_ends_there() -> None:
    turned = clock.VirtualClock()
    lease = Lease(turned, seconds=10)
    seen = [lease.valid]
    began = turned.monotonic()
    turned.advance(4)  # so long the renewal took
    lease.renew(began)
    turned.advance(5.9)
    seen.append(lease.valid)
    turned.step(-3600)
    turned.advance(0.2)
    assert [*seen, lease.valid] == [False, True, False]
    waiting = asyncio.ensure_future(lease.sure())
    lease.renew(began)
    await asyncio.sleep(0)
    assert not waiting.done(), "a renewal that was begun before it was frozen is none"
    lease.renew(turned.monotonic())
    await waiting


async def test_what_a_dead_controller_had_goes_on_with_another(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        one.image(IMAGE, writes(seconds=60.0))
        run = await one.start(lone())
        await one.until(lambda: bool(one.executor.alive))
        assert one.executor.order(AttemptRef(run=run.id, node="resize", number=1)).labels[FENCE] == "1"
        await silenced(one)
        await other.clock.run_for(LEASE_SECONDS / 2)
        assert run.id not in other.engine.driver.live, "it may be alive"
        await other.until(lambda: run.id in other.engine.driver.live, step=1)
        done = await finished(other, run)
        assert done.status is Status.COMPLETE
        assert (done.owner, done.fence) == ("two", 2)
        assert set(one.executor.starts.values()) == {1}
        assert not one.executor.left
        for bench in (one, other):
            assert not list(bench.config.attempts_root.glob("*")), "the outputs lay with the other"


async def test_one_that_is_closed_hands_over_at_once(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        one.image(IMAGE, writes(seconds=60.0))
        run = await one.start(lone())
        await one.until(lambda: bool(one.executor.alive))
        await one.engine.close()
        await other.clock.run_for(0.5)
        assert run.id in other.engine.driver.live
        assert (await finished(other, run)).status is Status.COMPLETE
        assert set(one.executor.starts.values()) == {1}


async def test_one_that_lost_its_lease_starts_nothing_and_lets_go(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        one.image(IMAGE, writes(seconds=60.0))
        run = await one.start(lone())
        await one.until(lambda: bool(one.executor.alive))
        ownership = cut_off(one)
        await other.until(lambda: run.id in other.engine.driver.live, step=1)
        assert not one.engine.lease.valid
        waits = await one.start(lone())
        await one.until(lambda: bool(one.executor.starts[AttemptRef(run=waits.id, node="resize", number=1)]), step=1)
        order = one.executor.order(AttemptRef(run=waits.id, node="resize", number=1))
        assert other.config.attempts_root in order.outputs.parents, "it was not started here, but by the next"
        assert (await one.engine.driver.look(run.id)).owner == "two", "it tells what the database says"
        done = await finished(other, run)
        assert done.status is Status.COMPLETE
        ownership.before.clear()
        await one.until(lambda: one.engine.lease.valid)
        assert run.id not in one.engine.driver.live
        assert (await finished(other, waits)).status is Status.COMPLETE
        assert not len(one.engine.attempts)
        assert (await one.engine.driver.look(run.id)) == done


async def test_whoever_is_asked_to_cancel_a_run_the_owner_does(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        one.image(IMAGE, ends(hangs=True))
        run = await one.start(lone())
        await one.until(lambda: bool(one.executor.alive))
        asking = asyncio.create_task(other.runs.cancel(run.id))
        await other.until(asking.done)
        assert (await finished(other, run)).status is Status.STOPPED
        assert (await other.engine.driver.look(run.id)).owner == "one"


async def test_a_cancel_waits_for_whoever_takes_the_run_over(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        one.image(IMAGE, ends(hangs=True))
        run = await one.start(lone())
        await one.until(lambda: bool(one.executor.alive))
        await silenced(one)
        asking = asyncio.create_task(other.runs.cancel(run.id))
        await other.until(asking.done)
        assert asking.result().run.status is Status.RUNNING, "nobody has it now"
        assert (await finished(other, run)).status is Status.STOPPED


async def test_whoever_is_told_of_an_upload_the_owner_looks(tmp_path: Path) -> None:
    async with two(tmp_path, notifies=False) as (one, other):
        one.image(IMAGE, copies("image", "resized"))
        run = await one.start(a_flow())
        await one.clock.run_for(30)  # by now it looks rarely
        await other.upload(run, "resize-in", PNG)
        telling = asyncio.create_task(other.uploads.complete(run.id, "resize-in"))
        await other.until(telling.done, step=0.1)
        assert "resize-in" in telling.result().run.artifacts
        assert (await finished(other, run)).status is Status.COMPLETE


@pytest.mark.parametrize("attempts", [1, 3])
async def test_what_needs_more_than_an_even_part_gets_it_in_the_end(tmp_path: Path, attempts: int) -> None:
    async with two(tmp_path, room=replace(ROOM, attempts=attempts)) as (one, other):
        one.image(IMAGE, writes(seconds=5.0))
        # When the other gives back what it needs no more, there must still be something that wants it.
        runs = [await bench.start(lone()) for bench in (one, other, one, other, *[one] * 8)]
        most = 0

        def over() -> bool:
            nonlocal most
            most = max(most, len(one.executor.alive))
            return all(not one.kept.shelf.books[run.id].unclosed for run in runs)

        await one.until(over, step=0.5)
        assert most == attempts


async def test_a_later_attempt_stores_under_a_key_of_its_own(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        made: list[int] = []

        def second_time(order: ports.ContainerOrder) -> containers.Outcome:
            made.append(order.attempt.number)
            (order.outputs / "resized").write_bytes(PNG)
            return containers.Outcome(code=0 if order.attempt.number == 2 else 1)

        bench.image(IMAGE, second_time)
        run = await finished(bench, await bench.start(lone()))
        assert made == [1, 2]
        (artifact,) = run.artifacts.values()
        assert artifact.key == f"{run.id}/{artifact.edge}@2"
        assert [found.key async for found in bench.store.list()] == [artifact.key]


async def test_a_run_that_was_over_and_not_closed_is_closed_by_the_next(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        run = await bench.start(a_flow())
        await bench.store.begin_multipart(run.plan.edges["resize-in"].upload_key)
        bench.engine._effects._closing.add(run.id)  # it gets no further than the last save
        await bench.runs.cancel(run.id)
        assert bench.kept.shelf.books[run.id].unclosed
        again = await bench.restarted()
        await finished(again, run)
        assert [upload async for upload in bench.store.multiparts()] == []
        await again.engine.close()


# ── F14 ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_f14_what_the_database_does_not_know_is_told_and_only_results_are_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, writes(hangs=True))
        known = await bench.start(lone())
        await bench.until(lambda: bool(bench.executor.alive))
        (ref,) = bench.executor.alive
        order = bench.executor.order(ref)
        now = ids.milliseconds_of(known.id)
        younger, older = (ids.run_id((now + shift) << ids.RANDOM_BITS) for shift in (3_600_000, -3_600_000))
        for run_id in (younger, older):
            lost = AttemptRef(run=run_id, node="resize", number=1)
            await bench.executor.ensure_started(replace(order, attempt=lost))
            for key in (f"{run_id}/e0", f"uploads/{run_id}/e1/token"):
                await bench.store.put_bytes(key, b"left", content_type="text/plain")
        await bench.store.put_bytes("somebody/else", b"theirs", content_type="text/plain")
        bench.config = replace(bench.config, own_store=True)
        again = await bench.restarted()
        await again.until(lambda: "restored from a backup" in caplog.text)
        assert again.executor.left == {ref}
        left = [f"{older}/e0", f"{younger}/e0", "somebody/else"]
        assert [found.key async for found in bench.store.list()] == sorted(left)
        assert younger in caplog.text
        assert set(again.executor.starts.values()) == {1}, "nothing is run again"
        assert (await again.runs.list()).total == 1
        await again.engine.close()


async def test_what_another_has_is_not_swept(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        one.image(IMAGE, writes(hangs=True))
        run = await one.start(lone())
        await one.until(lambda: bool(one.executor.alive))
        alive = one.executor.alive
        await other.engine.close()
        again = await another(other, "two")
        await again.clock.run_for(120)
        assert again.executor.alive == alive
        assert (one.config.attempts_root / f"{run.id}.resize.1").is_dir()
        await again.engine.close()
