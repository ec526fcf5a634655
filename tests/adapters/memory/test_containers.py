import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pupload import errors, ports
from pupload.adapters.memory import clock, containers
from pupload.domain import run

HOUR = 3600.0


class Bench:
    """An executor on a clock turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = clock.VirtualClock()
        self.executor = containers.MemoryExecutor(clock=self.clock)
        self._folder = folder
        self._made = 0

    def order(self, outcome: containers.Outcome) -> ports.ContainerOrder:
        """An order of an image that does this."""
        self._made += 1
        image = f"image-{self._made}"
        self.executor.images[image] = lambda order: outcome
        return ports.ContainerOrder(
            attempt=run.AttemptRef(run="run_a", node="node", number=self._made),
            image=containers.image_id(image),
            argv=None,
            environment={},
            inputs=self._folder,
            outputs=self._folder,
            user="1:1",
            network="none",
            memory_bytes=1,
            cpus=1,
            pids=1,
            tmp_bytes=1,
            file_bytes=1,
            log_bytes=1,
        )

    async def started(self, outcome: containers.Outcome) -> ports.ContainerOrder:
        order = self.order(outcome)
        await self.executor.ensure_started(order)
        return order


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_an_hour_passes_when_the_clock_says_so(bench: Bench) -> None:
    order = await bench.started(containers.Outcome(seconds=HOUR, code=4))
    waiting = asyncio.create_task(bench.executor.wait(order.attempt))
    await bench.clock.run_for(HOUR - 1)
    assert not waiting.done()
    assert bench.executor.alive == {order.attempt}
    await bench.clock.run_for(1)
    ended = await waiting
    assert ended.code == 4
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert (ended.finished_at - ended.started_at).total_seconds() == HOUR
    assert bench.executor.alive == frozenset()
    assert bench.executor.left == {order.attempt}


async def test_lines_come_at_their_time_and_not_after_the_end(bench: Bench) -> None:
    said: list[containers.Said | str] = [
        containers.Said(text="late", after_seconds=50),
        "early",
        containers.Said(text="never", after_seconds=90),
    ]
    order = await bench.started(containers.Outcome(hangs=True, said=said))
    got: list[str] = []

    async def read() -> None:
        got.extend([line.message async for line in bench.executor.logs(order.attempt)])

    reading = asyncio.create_task(read())
    await bench.clock.run_for(60)
    bench.executor.end(order.attempt, code=1)
    await reading
    assert got == ["early", "late"]
    assert [line.message async for line in bench.executor.logs(order.attempt, skip=1)] == ["late"]


async def test_what_ignores_term_takes_the_whole_grace(bench: Bench) -> None:
    order = await bench.started(containers.Outcome(hangs=True, ignores_term=True))
    stopping = asyncio.create_task(bench.executor.stop(order.attempt, grace_seconds=10))
    await bench.clock.run_for(9)
    assert not stopping.done()
    await bench.clock.run_for(1)
    await stopping
    assert (await bench.executor.wait(order.attempt)).code == 137


async def test_an_end_stays_an_end_when_the_clock_is_set_back(bench: Bench) -> None:
    order = await bench.started(containers.Outcome(seconds=5))
    await bench.clock.run_for(5)
    await bench.executor.wait(order.attempt)
    bench.clock.step(-HOUR)
    assert (await bench.executor.wait(order.attempt)).code == 0


async def test_a_container_that_vanishes_is_lost(bench: Bench) -> None:
    order = await bench.started(containers.Outcome(seconds=5, vanishes=True))
    waiting = asyncio.create_task(bench.executor.wait(order.attempt))
    await bench.clock.run_for(5)
    with pytest.raises(errors.ContainerLost):
        await waiting
    assert bench.executor.left == frozenset()


async def test_a_container_can_be_lost_at_any_moment(bench: Bench) -> None:
    order = await bench.started(containers.Outcome(hangs=True))
    waiting = asyncio.create_task(bench.executor.wait(order.attempt))
    await bench.clock.run_for(1)
    bench.executor.lose(order.attempt)
    with pytest.raises(errors.ContainerLost):
        await waiting


async def test_an_engine_that_goes_down_tells_who_waits(bench: Bench) -> None:
    order = await bench.started(containers.Outcome(seconds=5))
    waiting = asyncio.create_task(bench.executor.wait(order.attempt))
    await bench.clock.run_for(1)
    bench.executor.down = True
    with pytest.raises(errors.ExecutorUnavailable):
        await waiting
    bench.executor.down = False
    await bench.clock.run_for(4)
    assert (await bench.executor.wait(order.attempt)).code == 0


async def test_starts_are_counted_and_two_orders_for_one_attempt_are_a_bug(bench: Bench) -> None:
    order = await bench.started(containers.Outcome())
    await bench.executor.ensure_started(order)
    assert bench.executor.starts[order.attempt] == 1
    with pytest.raises(errors.Broken, match="ordered twice"):
        await bench.executor.ensure_started(replace(order, memory_bytes=2))
    await bench.executor.remove(order.attempt)
    await bench.executor.ensure_started(order)
    assert bench.executor.starts[order.attempt] == 2


async def test_many_share_one_pull(bench: Bench) -> None:
    bench.executor.registry["far"] = containers.Pull(script=lambda order: containers.Outcome(), seconds=30)
    asking = [asyncio.create_task(bench.executor.resolve_image("far")) for _ in range(5)]
    await bench.clock.run_for(30)
    assert set(await asyncio.gather(*asking)) == {containers.image_id("far")}
    assert bench.executor.pulls["far"] == 1


async def test_a_pull_fails_as_the_registry_says(bench: Bench) -> None:
    limited = errors.ImageRateLimited(image="far", reason="429")
    bench.executor.registry["far"] = containers.Pull(error=limited)
    with pytest.raises(errors.ImageRateLimited):
        await bench.executor.resolve_image("far")
    with pytest.raises(errors.ImageMissing, match="no registry"):
        await bench.executor.resolve_image("nowhere")


async def test_running_out_of_memory_is_told(bench: Bench) -> None:
    order = await bench.started(containers.Outcome(code=137, oom=True, peak_memory_bytes=7))
    ended = await bench.executor.wait(order.attempt)
    assert (ended.oom, ended.peak_memory_bytes) == (True, 7)
