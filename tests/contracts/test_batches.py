"""What `ports.Batches` promises."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pupload import errors
from pupload.domain import batches
from pupload.domain.batches import Batch, BatchStatus, Counts, Task, TaskStatus
from tests.contracts.states import NOON, Bench, state

__all__ = ["state"]


def a_batch(number: int, *tasks: Task, **others: Any) -> Batch:
    at = NOON + timedelta(minutes=number)
    batch = Batch(id=f"ep-{number:012x}", title=f"batch {number}", created_at=at, updated_at=at, **others)
    for task in tasks:
        batch = batches.added(batch, replace(task, batch=batch.id))
    return batch


def a_task(number: int, *after: str, **others: Any) -> Task:
    at = NOON + timedelta(minutes=number)
    return Task(
        id=f"tk-{number:012x}",
        batch="",
        title=f"task {number}",
        depends_on=after,
        created_at=at,
        updated_at=at,
        **others,
    )


async def test_a_batch_reads_back_with_its_tasks_after_a_restart(state: Bench) -> None:
    task = a_task(1, tags=("a", "b"), requirements={"cpu": [1, None]}, notes=("note", {"n": 1}), run="run_1")
    made = await state.batches.put(a_batch(1, task, a_task(2, task.id), account=7, budget_cost=1.5, tags=("x",)))
    assert made.revision == 1
    await state.again()
    assert await state.batches.get(made.id) == made
    assert await state.batches.of_task(task.id) == made
    assert await state.batches.of_run("run_1") == [made.id]
    assert await state.batches.of_run("run_2") == []
    with pytest.raises(errors.UnknownBatch):
        await state.batches.get("ep-none")
    with pytest.raises(errors.UnknownTask):
        await state.batches.of_task("tk-none")


async def test_a_change_counts_once_and_writes_what_is_otherwise(state: Bench) -> None:
    before = await state.batches.put(a_batch(1, a_task(1), a_task(2), a_task(3)))
    first, second, third = before.tasks
    wanted = batches.with_task(before, first.id, NOON, status=TaskStatus.COMPLETED)
    after = await state.batches.put(batches.without(wanted, [second.id], NOON))
    assert (after.revision, after.counts) == (2, Counts(total=2, completed=1))
    assert [task.id for task in (await state.batches.get(before.id)).tasks] == [first.id, third.id]
    with pytest.raises(errors.BatchChanged):
        await state.batches.put(replace(before, title="late"))
    with pytest.raises(errors.UnknownTask):
        await state.batches.of_task(second.id)
    tries = [state.batches.put(replace(after, title=f"{number}")) for number in range(5)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(each, Batch) for each in done) == 1


async def test_lists_are_of_an_account_a_status_or_tags(state: Bench) -> None:
    mine = await state.batches.put(a_batch(1, a_task(1, tags=("50%",)), account=1, tags=("red", "a_b")))
    other = await state.batches.put(
        a_batch(2, a_task(2, tags=("505",)), a_task(3), account=2, status=BatchStatus.ACTIVE, tags=("reddish", "axb"))
    )
    page = await state.batches.list()
    assert [each.id for each in page.batches] == [other.id, mine.id]
    assert (page.batches[0].tasks, page.batches[0].counts.total) == ((), 2)
    assert [each.id for each in (await state.batches.list(account=1)).batches] == [mine.id]
    assert (await state.batches.list(status=BatchStatus.ACTIVE)).total == 1
    assert [each.id for each in (await state.batches.list(tags=("red",))).batches] == [mine.id]
    assert [each.id for each in (await state.batches.list(tags=("a_b",))).batches] == [mine.id]
    assert (await state.batches.list(tags=("axb", "red"))).total == 2
    assert ((await state.batches.list(limit=0)).batches, (await state.batches.list(limit=0)).total) == ([], 2)
    assert [each.title for each in (await state.batches.tasks(account=2)).tasks] == ["task 3", "task 2"]
    assert (await state.batches.tasks(batch=mine.id, status=TaskStatus.PENDING)).total == 1
    assert [each.title for each in (await state.batches.tasks(tags=("50%",))).tasks] == ["task 1"]
    assert [each.title for each in (await state.batches.tasks(limit=1, offset=1)).tasks] == ["task 2"]


async def test_what_is_removed_takes_its_tasks_along(state: Bench) -> None:
    made = await state.batches.put(a_batch(1, a_task(1)))
    await state.batches.remove(made.id)
    await state.batches.remove(made.id)
    assert (await state.batches.tasks()).total == 0
    with pytest.raises(errors.UnknownBatch):
        await state.batches.put(made)
