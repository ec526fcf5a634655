"""Where batches of tasks are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pupload.domain.batches import Batch, BatchStatus, Task, TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPage:
    """Some of the batches that match, the latest first."""

    batches: Sequence[Batch]
    """Without their tasks."""
    total: int
    """Of all that match, not of this page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """Some of the tasks that match, the latest first."""

    tasks: Sequence[Task]
    total: int


class Batches(Protocol):
    """
    Batches with their tasks, durably: a batch is saved whole, in one commit.

    Where an `account` is said, what is not its own is not there. `tags` ask for what has any of them.
    """

    async def put(self, batch: Batch) -> Batch:
        """
        Saves it in place of the revision that it says, or as new for 0; returns it as it is then.

        Raises `errors.BatchChanged` when somebody else changed it since, `errors.UnknownBatch` when it is gone.
        """

    async def get(self, batch_id: str) -> Batch:
        """Raises `errors.UnknownBatch`, `errors.Damaged`."""

    async def of_task(self, task_id: str) -> Batch:
        """The batch of this task. Raises `errors.UnknownTask`, `errors.Damaged`."""

    async def of_run(self, run_id: str) -> Sequence[str]:
        """The ids of batches with a task that this run does."""

    async def list(
        self,
        *,
        account: int | None = None,
        status: BatchStatus | None = None,
        tags: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> BatchPage:
        """The latest first."""

    async def tasks(
        self,
        *,
        account: int | None = None,
        batch: str | None = None,
        status: TaskStatus | None = None,
        tags: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> TaskPage:
        """The latest first."""

    async def remove(self, batch_id: str) -> None:
        """It and its tasks are gone. Nothing happens where there is none."""
