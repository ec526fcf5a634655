"""Batches over a pupload in memory: tasks go as their runs go, and are whose they are."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pupload import errors
from pupload.domain.access import Caller, Role
from pupload.domain.batches import BatchStatus, Counts, TaskStatus
from pupload.domain.run import Run, Status
from pupload.service.asking import asked_by
from pupload.service.batches import Batches, Followed, Kind, News
from pupload.service.hub import Follower
from tests.bench import Bench, a_bench, copies, ends
from tests.builders import a_flow, a_node

ANN, BOB = (Caller(user=number, name=name, role=Role.EDITOR) for number, name in ((1, "ann"), (2, "bob")))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image("pupload/resize:latest", copies("image", "resized"))
        found.image("pupload/bad:latest", ends(code=3))
        yield found


def started(bench: Bench) -> Batches:
    """Tasks go as their runs go from now on."""
    found = Batches(engine=bench.engine, runs=bench.runs)
    bench.engine.consequences.start([Followed(found)])
    return found


async def a_run(bench: Bench, uses: str = "pupload/resize") -> Run:
    """One that waits for an upload."""
    return await bench.start(a_flow(a_node("one", uses=uses, inputs={"image": "photo"}, outputs={"resized": "done"})))


async def over(bench: Bench, run: Run) -> Run:
    await bench.upload(run, "photo", b"a photo")
    return await bench.ended(run, step=5.0)


async def _two(follower: Follower[News]) -> list[News]:
    return [await follower.next() for _ in range(2)]


async def test_a_task_goes_as_its_run_goes_and_lets_others_go(bench: Bench) -> None:
    batches = started(bench)
    batch = await batches.create("spring")
    first = await batches.add_task(batch.id, "first")
    second = await batches.add_task(batch.id, "second", depends_on=(first.id,))
    run = await a_run(bench)
    linked = await batches.change_task(first.id, run=run.id)
    assert linked.status is TaskStatus.RUNNING
    with batches.news.follow() as follower:
        hearing = asyncio.ensure_future(_two(follower))
        await over(bench, run)
        await bench.until(hearing.done)
        told = await hearing
    assert {(news.kind, news.tasks[0].id) for news in told} == {
        (Kind.TASK_CHANGED, first.id),
        (Kind.TASK_CHANGED, second.id),
    }
    done = await batches.get(batch.id)
    assert [task.status for task in done.tasks] == [TaskStatus.COMPLETED, TaskStatus.PENDING]
    assert done.counts == Counts(total=2, completed=1)


async def test_a_run_that_is_over_already_is_looked_at(bench: Bench) -> None:
    batches = started(bench)
    batch = await batches.create("spring")
    task = await batches.add_task(batch.id, "first")
    run = await over(bench, await a_run(bench, "pupload/bad"))
    assert run.status is Status.ERROR
    failed = await batches.change_task(task.id, run=run.id)
    assert (failed.status, failed.error) == (TaskStatus.FAILED, run.error)
    with pytest.raises(errors.UnknownRun):
        await batches.change_task(task.id, run="run_00000000000000000000000000")


async def test_cancelling_a_batch_ends_the_runs_of_its_tasks(bench: Bench) -> None:
    batches = started(bench)
    batch = await batches.create("spring")
    task = await batches.add_task(batch.id, "first")
    run = await a_run(bench)
    await batches.change_task(task.id, run=run.id)
    await batches.change(batch.id, status=BatchStatus.CANCELLED)
    assert (await bench.ended(run)).status is Status.STOPPED
    assert (await batches.task(task.id)).status is TaskStatus.CANCELLED


async def test_a_batch_is_there_for_its_own_account_alone(bench: Bench) -> None:
    batches = started(bench)
    with asked_by(ANN):
        batch = await batches.create("ann's")
        task = await batches.add_task(batch.id, "first")
        run = await a_run(bench)
    with asked_by(BOB):
        for asked in (
            batches.get(batch.id),
            batches.change(batch.id, title="bob's"),
            batches.add_task(batch.id, "second"),
        ):
            with pytest.raises(errors.UnknownBatch):
                await asked
        for about in (batches.task(task.id), batches.change_task(task.id, title="bob's"), batches.remove_task(task.id)):
            with pytest.raises(errors.UnknownTask):
                await about
        await batches.remove([batch.id])
        await batches.remove_tasks([task.id])
        mine = await batches.add_task((await batches.create("bob's")).id, "first")
        with pytest.raises(errors.UnknownRun):
            await batches.change_task(mine.id, run=run.id)
    with asked_by(ANN):
        assert (await batches.get(batch.id)).tasks == (task,)


async def test_many_who_change_a_batch_at_once_all_do(bench: Bench) -> None:
    batches = started(bench)
    batch = await batches.create("spring")
    await asyncio.gather(*(batches.add_task(batch.id, f"task {number}") for number in range(5)))
    assert (await batches.get(batch.id)).counts.total == 5
