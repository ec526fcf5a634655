"""Containers armed ahead for the items of a collection, before they have their turn."""

from pathlib import Path

import pytest

from pupload import ports
from pupload.adapters.memory import containers
from pupload.domain.run import Run, Status
from pupload.engine import arming
from tests.bench import Bench, assemble, copies, ends
from tests.engine.test_arming import an_arming_one, done, nodes_of, nothing_left
from tests.engine.test_foreach import PACK, SHRINK, SPLIT, a_packing_flow, packs, shrinks_but, splits
from tests.engine.test_ownership import another, silenced

DEFINITIONS = [SPLIT, SHRINK, PACK]


async def begun(bench: Bench, count: int = 12, *, shrink: containers.Script | None = None, concurrency: int = 1) -> Run:
    """A run whose items take a while."""
    bench.image("pupload/split:latest", splits(count))
    bench.image("pupload/shrink:latest", shrink or copies("image", "small", seconds=30))
    bench.image("pupload/pack:latest", packs)
    return await bench.start(a_packing_flow(concurrency=concurrency), DEFINITIONS)


def items(bench: Bench) -> list[str]:
    """Those for which a container waits."""
    return sorted(name for name in nodes_of(bench.executor.armed) if name.startswith("shrink."))


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_while_items_run_the_next_are_armed_and_each_is_let_go_in_its_turn(
    tmp_path: Path, concurrency: int
) -> None:
    async with an_arming_one(tmp_path) as bench:
        run = await begun(bench, concurrency=concurrency)
        ahead = [f"shrink.{place}" for place in range(concurrency, concurrency + 4)]
        await bench.until(lambda: items(bench) == ahead, step=0.1)
        assert not any(name in bench.engine.driver.live[run.id].nodes for name in ahead), "and the run knows nothing"
        run = await bench.ended(run, step=0.1)
        assert run.status is Status.COMPLETE, run.error
        assert len((await bench.download(run, "list")).decode().split()) == 12
        assert set(bench.executor.armings.values()) == set(bench.executor.starts.values()) == {1}
        assert {f"shrink.{place}" for place in range(concurrency, 12)} <= set(nodes_of(bench.executor.armings))
        await nothing_left(bench, run)


async def test_where_many_are_under_way_none_is_armed(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as bench:
        run = await begun(bench, concurrency=4)
        run = await bench.ended(run, step=0.1)
        assert run.status is Status.COMPLETE, run.error
        assert not [name for name in nodes_of(bench.executor.armings) if name.startswith("shrink.")]
        await nothing_left(bench, run)


async def test_no_more_wait_than_the_budget_allows(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path, nodes=4) as bench:
        run = await begun(bench)
        await bench.until(lambda: len(items(bench)) == 2, step=0.1)
        await done(bench)
        assert len(items(bench)) == 2, "half of what the others leave"
        await bench.ended(run, step=0.5)
        await nothing_left(bench, run)


async def test_of_work_that_was_done_before_nothing_is_armed(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path, memoize=True) as bench:
        run = await bench.ended(await begun(bench), step=0.5)
        await nothing_left(bench, run)
        armed = len(bench.executor.armings)
        assert armed > 8
        run = await bench.ended(await begun(bench), step=0.5)
        assert run.nodes["shrink.7"].reused
        assert not any(ref.run == run.id and ref.node.startswith("shrink.") for ref in bench.executor.armings)
        await nothing_left(bench, run)


async def test_what_no_item_needs_any_more_is_disarmed(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path, seconds=1e6) as bench:
        waits = shrinks_but("0")

        def fails_late(order: ports.ContainerOrder) -> containers.Outcome:
            outcome = waits(order)
            return containers.Outcome(code=outcome.code, seconds=30)

        run = await begun(bench, shrink=fails_late)
        await bench.until(lambda: len(items(bench)) == 4, step=0.1)
        run = await bench.ended(run, step=0.5)
        assert run.status is Status.ERROR
        assert not [name for name in run.nodes if name.startswith("shrink.")][1:]
        await nothing_left(bench, run)


@pytest.mark.parametrize("mode", ["kill", "drain"])
async def test_nothing_stays_armed_of_a_run_that_is_ended(tmp_path: Path, mode: str) -> None:
    async with an_arming_one(tmp_path, seconds=1e6) as bench:
        run = await begun(bench)
        await bench.until(lambda: len(items(bench)) == 4, step=0.1)
        await bench.runs.cancel(run.id, mode=mode)
        run = await bench.ended(run, step=0.5)
        assert run.status is Status.STOPPED
        await nothing_left(bench, run)


async def test_nothing_is_left_of_a_process_that_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arming, "CLOSING_SECONDS", 0.0)
    async with an_arming_one(tmp_path) as bench:
        bench.executor.caller = lambda: "first"
        run = await begun(bench)
        await bench.until(lambda: len(items(bench)) == 4, step=0.1)
        bench.executor.down = True
        await bench.engine.close()
        bench.executor.down = False
        bench.executor.died("first")
        bench.executor.caller = lambda: "second"
        again = assemble(bench.world, bench.config, bench)
        await again.engine.start()
        run = await again.ended(run, step=0.1)
        assert run.status is Status.COMPLETE, run.error
        assert {len(node.attempts) for name, node in run.nodes.items() if name != "shrink"} == {1}
        await nothing_left(again, run)
        await again.engine.close()


async def test_what_another_controller_armed_for_an_item_is_left_to_it_while_it_lives(tmp_path: Path) -> None:
    async with an_arming_one(tmp_path) as nobody:
        await nobody.engine.close()
        one, other = await another(nobody, "one"), await another(nobody, "two")
        run = await begun(one, shrink=ends(hangs=True))
        await one.until(lambda: len(items(one)) == 4, step=0.1)
        other.engine.sweep.ask()
        await other.clock.run_for(100)
        await done(other)
        assert len(items(one)) == 4
        assert set(one.executor.armings.values()) == {1}
        await silenced(one)
        one.executor.died()
        await other.until(lambda: run.id in other.engine.driver.live, step=1)
        await other.runs.cancel(run.id)
        await other.until(lambda: not other.kept.shelf.books[run.id].unclosed, step=0.5)
        await other.clock.run_for(120)
        await other.until(lambda: not other.executor.left)
        for bench in (other, one):
            await bench.engine.close()
