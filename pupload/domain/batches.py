"""
Batches: runs that are planned together, as tasks of which some come after others.

Nothing is run by itself. Somebody runs what a task is for and names the run in it; from then on the task goes as the
run goes. What waits for others is blocked until all of them are completed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pupload.domain.run import Status

MOST_TASKS = 1000
"""In one batch."""


class BatchStatus(StrEnum):
    """Of a batch, which whoever runs it sets."""

    PLANNING = "planning"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing more is expected."""
        return self in (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.CANCELLED)


class TaskStatus(StrEnum):
    """Of a task."""

    PENDING = "pending"
    BLOCKED = "blocked"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing more is expected."""
        return self in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Something that is to be run."""

    id: str
    batch: str
    title: str
    description: str = ""
    tags: tuple[str, ...] = ()
    status: TaskStatus = TaskStatus.PENDING
    priority: int = 2
    drawing: str = ""
    """The slug of what is to be run."""
    run: str = ""
    """The run that does it."""
    depends_on: tuple[str, ...] = ()
    """Tasks that come before it, there or not."""
    requirements: Mapping[str, Any] | None = None
    estimated_tokens: int | None = None
    max_retries: int = 2
    notes: tuple[Any, ...] = ()
    result: str | None = None
    error: str | None = None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many tasks a batch has, and what became of them."""

    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tasks that belong together."""

    id: str
    title: str
    description: str = ""
    tags: tuple[str, ...] = ()
    status: BatchStatus = BatchStatus.PLANNING
    priority: int = 2
    drawing: int | None = None
    """The number of what all of it is about."""
    budget_tokens: int | None = None
    budget_cost: float | None = None
    result: str | None = None
    account: int | None = None
    """Whose it is; None: nobody's."""
    revision: int = 0
    """Grows with every change, of its tasks too; 0: not saved yet."""
    counts: Counts = Counts()
    tasks: tuple[Task, ...] = field(default=())
    """Oldest first; none in lists of batches."""
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None

    def task(self, task_id: str) -> Task | None:
        """The task of this id."""
        return next((task for task in self.tasks if task.id == task_id), None)


def changed(batch: Batch, now: datetime, **said: Any) -> Batch:
    """
    The batch with what is said of it; where that is that it is cancelled, so is what is left of its tasks.

    It is completed at the moment at which it first has a status that ends it.
    """
    after = replace(batch, **said, updated_at=now)
    if after.status is BatchStatus.CANCELLED:
        after = replace(after, tasks=tuple(_cancelled(task, now) for task in after.tasks))
    ended = after.status.terminal
    return _counted(replace(after, completed_at=(batch.completed_at or now) if ended else None))


def added(batch: Batch, task: Task) -> Batch:
    """The batch with one task more, blocked as long as what it depends on is not completed."""
    task = replace(task, status=TaskStatus.PENDING if _free(task, batch.tasks) else TaskStatus.BLOCKED)
    return _counted(replace(batch, tasks=(*batch.tasks, task), updated_at=task.created_at))


def with_task(batch: Batch, task_id: str, now: datetime, **said: Any) -> Batch:
    """The batch with what is said of one of its tasks; those that waited for it go on where it is completed."""
    tasks = tuple(_changed(task, now, said) if task.id == task_id else task for task in batch.tasks)
    return _counted(replace(batch, tasks=_unblocked(tasks, task_id, now), updated_at=now))


def without(batch: Batch, task_ids: Sequence[str], now: datetime) -> Batch:
    """The batch without these tasks, which nobody depends on any more; who was blocked stays so."""
    gone = frozenset(task_ids)
    left = [
        replace(task, depends_on=tuple(each for each in task.depends_on if each not in gone))
        for task in batch.tasks
        if task.id not in gone
    ]
    return _counted(replace(batch, tasks=tuple(left), updated_at=now))


OF_RUNS: Mapping[Status, TaskStatus] = {
    Status.COMPLETE: TaskStatus.COMPLETED,
    Status.ERROR: TaskStatus.FAILED,
    Status.STOPPED: TaskStatus.CANCELLED,
}
"""What a task becomes when its run has ended."""


def followed(batch: Batch, run_id: str, status: Status, error: str, now: datetime) -> Batch:
    """The batch with the tasks of this run as the run is; those that are over stay as they are."""
    becomes = OF_RUNS.get(status, TaskStatus.RUNNING)
    for task in batch.tasks:
        if task.run == run_id and not task.status.terminal and task.status is not becomes:
            batch = with_task(batch, task.id, now, status=becomes, error=error or None)
    return batch


def linked(batch: Batch) -> Iterator[str]:
    """The runs of tasks that are cancelled."""
    return (task.run for task in batch.tasks if task.run and task.status is TaskStatus.CANCELLED)


def _changed(task: Task, now: datetime, said: Mapping[str, Any]) -> Task:
    after = replace(task, **said, updated_at=now)
    if after.status is TaskStatus.RUNNING:
        return replace(after, started_at=task.started_at or now, completed_at=None)
    if after.status.terminal:
        return replace(after, completed_at=task.completed_at or now)
    return replace(after, completed_at=None)


def _cancelled(task: Task, now: datetime) -> Task:
    return task if task.status.terminal else _changed(task, now, {"status": TaskStatus.CANCELLED})


def _free(task: Task, others: Sequence[Task]) -> bool:
    done = {each.id for each in others if each.status is TaskStatus.COMPLETED}
    return done.issuperset(task.depends_on)


def _unblocked(tasks: Sequence[Task], done: str, now: datetime) -> tuple[Task, ...]:
    return tuple(
        replace(task, status=TaskStatus.PENDING, updated_at=now)
        if task.status is TaskStatus.BLOCKED and done in task.depends_on and _free(task, tasks)
        else task
        for task in tasks
    )


def _counted(batch: Batch) -> Batch:
    statuses = [task.status for task in batch.tasks]
    counts = Counts(
        total=len(statuses),
        completed=statuses.count(TaskStatus.COMPLETED),
        failed=statuses.count(TaskStatus.FAILED),
    )
    return replace(batch, counts=counts)
