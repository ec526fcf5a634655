"""Batches of tasks: what blocks what, and what follows from what becomes of a run."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import batches
from pupload.domain.batches import Batch, BatchStatus, Counts, Task, TaskStatus
from pupload.domain.run import Status

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)


def a_task(task_id: str, *after: str, **others: Any) -> Task:
    return Task(id=task_id, batch="ep-1", title=task_id, depends_on=after, created_at=NOON, updated_at=NOON, **others)


def a_batch(*tasks: Task) -> Batch:
    batch = Batch(id="ep-1", title="a batch", created_at=NOON, updated_at=NOON)
    for task in tasks:
        batch = batches.added(batch, task)
    return batch


def statuses(batch: Batch) -> dict[str, str]:
    return {task.id: task.status.value for task in batch.tasks}


def test_a_task_is_blocked_by_what_is_not_completed_be_it_there_or_not() -> None:
    batch = a_batch(a_task("a"), a_task("b", "a"), a_task("c", "nowhere"))
    assert statuses(batch) == {"a": "pending", "b": "blocked", "c": "blocked"}
    assert batch.counts == Counts(total=3)


def test_the_last_of_those_that_it_waits_for_lets_a_task_go() -> None:
    batch = a_batch(a_task("a"), a_task("b"), a_task("c", "a", "b"))
    batch = batches.with_task(batch, "a", LATER, status=TaskStatus.COMPLETED)
    assert statuses(batch)["c"] == "blocked"
    batch = batches.with_task(batch, "b", LATER, status=TaskStatus.COMPLETED)
    assert statuses(batch)["c"] == "pending"
    assert batch.counts == Counts(total=3, completed=2)


def test_a_task_that_goes_unblocks_nobody_and_is_not_waited_for() -> None:
    batch = batches.without(a_batch(a_task("a"), a_task("b", "a")), ["a"], LATER)
    assert statuses(batch) == {"b": "blocked"}
    assert batch.tasks[0].depends_on == ()


def test_cancelling_a_batch_cancels_what_is_left() -> None:
    batch = a_batch(a_task("a"), a_task("b", "a"), a_task("c", run="run_1"))
    batch = batches.with_task(batch, "a", LATER, status=TaskStatus.COMPLETED)
    after = batches.changed(batch, LATER, status=BatchStatus.CANCELLED)
    assert statuses(after) == {"a": "completed", "b": "cancelled", "c": "cancelled"}
    assert list(batches.linked(after)) == ["run_1"]
    assert after.completed_at == LATER
    assert batches.changed(after, LATER, status=BatchStatus.ACTIVE).completed_at is None


def test_a_task_goes_as_its_run_does() -> None:
    batch = a_batch(a_task("a", run="run_1"), a_task("b", "a"))
    running = batches.followed(batch, "run_1", Status.RUNNING, "", NOON)
    assert (running.tasks[0].status, running.tasks[0].started_at) == (TaskStatus.RUNNING, NOON)
    done = batches.followed(running, "run_1", Status.COMPLETE, "", LATER)
    assert statuses(done) == {"a": "completed", "b": "pending"}
    assert done.tasks[0].completed_at == LATER
    failed = batches.followed(running, "run_1", Status.ERROR, "it broke", LATER)
    assert (failed.tasks[0].error, failed.counts.failed) == ("it broke", 1)
    assert batches.followed(done, "run_1", Status.ERROR, "late", LATER) is done


@given(st.data())
def test_nothing_pending_waits_and_nothing_that_may_go_is_blocked(data: st.DataObject) -> None:
    names = [f"t{number}" for number in range(data.draw(st.integers(1, 6)))]
    batch = a_batch()
    for number, name in enumerate(names):
        before = data.draw(st.lists(st.sampled_from(names[:number]), unique=True)) if number else []
        batch = batches.added(batch, a_task(name, *before))
    for name in data.draw(st.permutations(names)):
        batch = batches.with_task(batch, name, LATER, status=TaskStatus.COMPLETED)
        done = {task.id for task in batch.tasks if task.status is TaskStatus.COMPLETED}
        for task in batch.tasks:
            if task.status is TaskStatus.PENDING:
                assert done.issuperset(task.depends_on)
            if task.status is TaskStatus.BLOCKED:
                assert not done.issuperset(task.depends_on)
        assert batch.counts == Counts(total=len(names), completed=len(done))
    assert replace(batch, tasks=()).counts.completed == len(names)
