"""Too little room on disk holds back what is new, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pupload import errors, ports
from pupload.adapters.memory.containers import Outcome
from pupload.adapters.memory.disks import MemoryDisks
from pupload.domain.run import Failure, NodeRun, NodeStatus, Status
from pupload.service.health import Health
from tests.bench import PNG, Bench, a_bench, assemble, copies
from tests.builders import a_definition, a_flow

IMAGE = "pupload/resize:latest"
MIB = 1 << 20
RESERVE = 1000 * MIB


@asynccontextmanager
async def on_disk(bench: Bench, disks: MemoryDisks) -> AsyncIterator[Bench]:
    await bench.engine.close()
    config = replace(bench.config, disk_reserve_bytes=RESERVE)
    other = assemble(replace(bench.world, disks=disks), config, bench)
    await other.engine.start()
    try:
        yield other
    finally:
        await other.engine.close()


async def test_below_the_reserve_nodes_wait_and_go_on_by_themselves_when_there_is_room(tmp_path: Path) -> None:
    disks = MemoryDisks()
    async with a_bench(tmp_path) as plain, on_disk(plain, disks) as bench:
        bench.image(IMAGE, copies("image", "resized", seconds=60))
        running = await bench.start(a_flow())
        await bench.upload(running, "resize-in", PNG)
        await bench.until(lambda: bool(bench.executor.alive))
        disks.free_bytes = RESERVE - 1
        await bench.clock.run_for(5)
        waiting = await bench.start(a_flow())
        await bench.upload(waiting, "resize-in", PNG)
        await bench.until(lambda: running.id not in bench.engine.driver.live, step=1)
        assert (await bench.engine.driver.look(running.id)).status is Status.COMPLETE, "what runs goes on"
        await bench.clock.run_for(600)
        found = await bench.engine.driver.look(waiting.id)
        assert found.nodes["resize"].status is NodeStatus.READY
        lines = {line.name: line for line in await Health(bench.engine).check()}
        assert not lines["disk"].ok
        assert lines["disk"].detail == (
            "no node is started: the disk of the data folder has 999 MiB free, 1000 MiB are kept free"
        )
        assert Health(bench.engine).counts().disk_free == {"the data folder": RESERVE - 1}
        disks.free_bytes = RESERVE
        assert (await bench.ended(waiting, step=1)).status is Status.COMPLETE
        assert all(line.ok for line in await Health(bench.engine).check())


async def test_nearly_full_no_run_is_taken_until_there_is_room(tmp_path: Path) -> None:
    disks = MemoryDisks(free_bytes=RESERVE // 4)
    async with a_bench(tmp_path) as plain, on_disk(plain, disks) as bench:
        await bench.start(a_flow())
        disks.free_bytes = RESERVE // 4 - 1
        await bench.clock.run_for(5)
        with pytest.raises(errors.DiskFull, match="holding the data folder is full"):
            await bench.start(a_flow())
        assert (await bench.runs.list()).total == 1
        disks.free_bytes = RESERVE // 4
        await bench.clock.run_for(5)
        await bench.start(a_flow())


async def test_a_node_that_fails_on_a_full_disk_is_not_blamed(tmp_path: Path) -> None:
    """F24: what it wrote is discarded, and it is tried again when there is room."""
    disks = MemoryDisks()
    fills = True

    def script(order: ports.ContainerOrder) -> Outcome:
        if not fills:
            return copies("image", "resized")(order)
        (order.outputs / "resized").write_bytes(b"half")
        disks.free_bytes = 0
        return Outcome(code=1, said=["No space left on device"])

    async with a_bench(tmp_path) as plain, on_disk(plain, disks) as bench:
        bench.image(IMAGE, script)
        run = await bench.start(a_flow(), [a_definition(max_attempts=1)])
        await bench.upload(run, "resize-in", PNG)

        def node() -> NodeRun:
            return bench.engine.driver.live[run.id].nodes["resize"]

        await bench.until(lambda: len(node().attempts) == 2)
        failed = node().attempts[0]
        assert failed.failure == Failure.DISK_FULL
        assert failed.reason == (
            "the disk was full: the disk of the data folder has 0 MiB free, 1000 MiB are kept free; "
            "exit code 1: No space left on device"
        )
        assert node().charged == 0
        assert list((tmp_path / "attempts").iterdir()) == []
        fills = False
        await bench.clock.run_for(120)
        assert node().status is NodeStatus.READY
        disks.free_bytes = disks.total_bytes
        run = await bench.ended(run, step=1)
        assert run.status is Status.COMPLETE
        assert await bench.download(run, "resize-out") == PNG


async def test_a_node_that_fails_of_itself_while_the_disk_fills_up_is_told_as_that(tmp_path: Path) -> None:
    disks = MemoryDisks()

    def script(order: ports.ContainerOrder) -> Outcome:
        disks.free_bytes = RESERVE // 2
        return Outcome(code=3)

    async with a_bench(tmp_path) as plain, on_disk(plain, disks) as bench:
        bench.image(IMAGE, script)
        run = await bench.start(a_flow(), [a_definition(max_attempts=1)])
        await bench.upload(run, "resize-in", PNG)
        assert (await bench.ended(run)).error.endswith("exit code 3")
