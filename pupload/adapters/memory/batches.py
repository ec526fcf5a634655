"""`ports.Batches` in memory."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pupload import errors, ports
from pupload.domain.batches import Batch, BatchStatus, Task, TaskStatus


class Batches:
    """Lasts as long as the process."""

    def __init__(self) -> None:
        self._batches: dict[str, Batch] = {}

    async def put(self, batch: Batch) -> Batch:
        """See `ports.Batches`."""
        await asyncio.sleep(0)
        before = self._batches.get(batch.id)
        if batch.revision and before is None:
            raise errors.UnknownBatch(name=batch.id[:64])
        if batch.revision != (0 if before is None else before.revision):
            raise errors.BatchChanged(batch=batch.id)
        after = self._batches[batch.id] = replace(batch, revision=batch.revision + 1)
        return after

    async def get(self, batch_id: str) -> Batch:
        """See `ports.Batches`."""
        await asyncio.sleep(0)
        if batch_id not in self._batches:
            raise errors.UnknownBatch(name=batch_id[:64])
        return self._batches[batch_id]

    async def of_task(self, task_id: str) -> Batch:
        """See `ports.Batches`."""
        await asyncio.sleep(0)
        found = next((batch for batch in self._batches.values() if batch.task(task_id) is not None), None)
        if found is None:
            raise errors.UnknownTask(name=task_id[:64])
        return found

    async def of_run(self, run_id: str) -> Sequence[str]:
        """See `ports.Batches`."""
        await asyncio.sleep(0)
        return sorted(batch.id for batch in self._batches.values() if any(task.run == run_id for task in batch.tasks))

    async def list(
        self,
        *,
        account: int | None = None,
        status: BatchStatus | None = None,
        tags: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> ports.BatchPage:
        """See `ports.Batches`."""
        await asyncio.sleep(0)
        found = [
            replace(batch, tasks=())
            for batch in self._seen(account)
            if status in (None, batch.status) and (not tags or set(tags) & set(batch.tags))
        ]
        found.sort(key=lambda batch: (batch.created_at, batch.id), reverse=True)
        return ports.BatchPage(batches=found[offset : offset + limit], total=len(found))

    async def tasks(
        self,
        *,
        account: int | None = None,
        batch: str | None = None,
        status: TaskStatus | None = None,
        tags: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> ports.TaskPage:
        """See `ports.Batches`."""
        await asyncio.sleep(0)
        found: list[Task] = [
            task
            for each in self._seen(account)
            for task in each.tasks
            if batch in (None, each.id) and status in (None, task.status) and (not tags or set(tags) & set(task.tags))
        ]
        found.sort(key=lambda task: (task.created_at, task.id), reverse=True)
        return ports.TaskPage(tasks=found[offset : offset + limit], total=len(found))

    async def remove(self, batch_id: str) -> None:
        """See `ports.Batches`."""
        await asyncio.sleep(0)
        self._batches.pop(batch_id, None)

    def _seen(self, account: int | None) -> Iterator[Batch]:
        return (batch for batch in self._batches.values() if account is None or batch.account == account)
