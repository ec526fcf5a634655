"""
Batches: runs that are planned together, kept, changed, and brought up to date as their runs go.

Whatever names a batch raises `errors.UnknownBatch` where there is none for the caller, a task `errors.UnknownTask`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from typing import Any

from pupload import errors, ports
from pupload.domain import batches
from pupload.domain.batches import Batch, BatchStatus, Task, TaskStatus
from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.service import owned
from pupload.service.hub import Hub
from pupload.service.runs import Runs

BATCH_PREFIX, TASK_PREFIX = "ep-", "tk-"
"""Of ids, which have 12 hex digits behind: the Pipelit contract's epics and tasks."""
_DIGITS = 12

_TRIES = 8
"""How often a change is made again that somebody else's came before."""


class Kind(Enum):
    """What happened."""

    BATCH_ADDED = auto()
    BATCH_CHANGED = auto()
    BATCH_REMOVED = auto()
    TASK_ADDED = auto()
    TASK_CHANGED = auto()
    TASK_REMOVED = auto()
    TASKS_REMOVED = auto()
    """Many at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One change."""

    kind: Kind
    batch: Batch
    """As it is now, or was; its account says who may know."""
    tasks: Sequence[Task] = ()
    """Those that it is about."""


class Batches:
    """What can be asked about batches and their tasks."""

    def __init__(self, *, engine: Engine, runs: Runs) -> None:
        assert engine.world.batches is not None, "there is a place for them"
        self._kept = engine.world.batches
        self._follow = engine.consequences.follow
        self._clock = engine.world.clock
        self._ids = engine.world.ids
        self._runs = runs
        self.news: Hub[News] = Hub()
        """Tells of changes that are made here."""

    # ── Batches ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, title: str, **said: Any) -> Batch:
        """A new one, with these fields of `domain.batches.Batch`."""
        now = self._clock.now()
        new = Batch(
            id=BATCH_PREFIX + self._ids.token()[:_DIGITS],
            title=title,
            account=owned.mine(),
            created_at=now,
            updated_at=now,
            **said,
        )
        saved = await self._kept.put(new)
        self.news.tell(News(kind=Kind.BATCH_ADDED, batch=saved))
        return saved

    async def get(self, batch_id: str) -> Batch:
        """The batch with its tasks."""
        found = await self._kept.get(batch_id)
        if not owned.sees(found):
            raise errors.UnknownBatch(name=batch_id[:64])
        return found

    async def list(
        self, *, status: BatchStatus | None = None, tags: Sequence[str] = (), limit: int = 100, offset: int = 0
    ) -> ports.BatchPage:
        """The caller's, the latest first, without their tasks."""
        return await self._kept.list(account=owned.shown(), status=status, tags=tags, limit=limit, offset=offset)

    async def change(self, batch_id: str, **said: Any) -> Batch:
        """The batch with what is said of it. Where it is cancelled now, so are its tasks, and their runs end."""
        before = await self.get(batch_id)
        saved = await self._change(batch_id, lambda batch: batches.changed(batch, self._clock.now(), **said))
        self.news.tell(News(kind=Kind.BATCH_CHANGED, batch=saved))
        if saved.status is BatchStatus.CANCELLED and before.status is not BatchStatus.CANCELLED:
            for run_id in batches.linked(saved):
                with suppress(errors.UnknownRun):
                    await self._runs.cancel(run_id)
        return saved

    async def remove(self, batch_ids: Sequence[str]) -> None:
        """They and their tasks are gone; those that are not there for the caller are passed over."""
        for batch_id in batch_ids:
            with suppress(errors.UnknownBatch):
                found = await self.get(batch_id)
                await self._kept.remove(batch_id)
                self.news.tell(News(kind=Kind.BATCH_REMOVED, batch=found))

    # ── Tasks ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_task(self, batch_id: str, title: str, **said: Any) -> Task:
        """A new one, with these fields of `domain.batches.Task`. Raises `errors.Malformed` for one too many."""
        await self.get(batch_id)
        now = self._clock.now()
        task_id = TASK_PREFIX + self._ids.token()[:_DIGITS]
        new = Task(id=task_id, batch=batch_id, title=title, created_at=now, updated_at=now, **said)

        def add(batch: Batch) -> Batch:
            if len(batch.tasks) >= batches.MOST_TASKS:
                raise errors.Malformed(reason=f"a batch has {batches.MOST_TASKS} tasks at most")
            return batches.added(batch, new)

        return self._told(Kind.TASK_ADDED, await self._change(batch_id, add), task_id)

    async def task(self, task_id: str) -> Task:
        """The task of this id."""
        return _task(await self._of_task(task_id), task_id)

    async def tasks(
        self,
        *,
        batch_id: str | None = None,
        status: TaskStatus | None = None,
        tags: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> ports.TaskPage:
        """The caller's, the latest first."""
        shown = owned.shown()
        return await self._kept.tasks(
            account=shown, batch=batch_id, status=status, tags=tags, limit=limit, offset=offset
        )

    async def change_task(self, task_id: str, **said: Any) -> Task:
        """
        The task with what is said of it; those that wait for it go on where it is completed now.

        A `run` that does it is followed, and the task goes as it goes. Raises `errors.UnknownRun`.
        """
        batch = await self._of_task(task_id)
        run = await self._runs.find(said["run"]) if said.get("run") else None
        if run is not None:
            said["run"] = run.id
            await self._follow(run.id)

        def change(before: Batch) -> Batch:
            if before.task(task_id) is None:
                raise errors.UnknownTask(name=task_id[:64])
            after = batches.with_task(before, task_id, self._clock.now(), **said)
            return after if run is None else self._with_run(after, run)

        return self._told(Kind.TASK_CHANGED, await self._change(batch.id, change), task_id)

    async def remove_task(self, task_id: str) -> None:
        """It is gone, and nobody depends on it any more."""
        batch = await self._of_task(task_id)
        saved = await self._change(batch.id, lambda before: batches.without(before, [task_id], self._clock.now()))
        self.news.tell(News(kind=Kind.TASK_REMOVED, batch=saved, tasks=(_task(batch, task_id),)))

    async def remove_tasks(self, task_ids: Sequence[str]) -> None:
        """They are gone; those that are not there for the caller are passed over."""
        found: dict[str, list[Task]] = {}
        for task_id in dict.fromkeys(task_ids):
            with suppress(errors.UnknownTask):
                batch = await self._of_task(task_id)
                found.setdefault(batch.id, []).append(_task(batch, task_id))
        for batch_id, gone in found.items():
            without = partial(batches.without, task_ids=[task.id for task in gone], now=self._clock.now())
            self.news.tell(News(kind=Kind.TASKS_REMOVED, batch=await self._change(batch_id, without), tasks=gone))

    # ── Their runs ───────────────────────────────────────────────────────────────────────────────────────────────

    async def follow(self, run: Run) -> None:
        """Tasks that this run does go as it goes. It may be said any number of times."""
        for batch_id in await self._kept.of_run(run.id):
            with suppress(errors.UnknownBatch):
                before = await self._kept.get(batch_id)
                saved = await self._change(batch_id, lambda batch: self._with_run(batch, run))
                was = {task.id: task.status for task in before.tasks}
                moved = [task for task in saved.tasks if was.get(task.id) is not task.status]
                for task in moved:
                    self.news.tell(News(kind=Kind.TASK_CHANGED, batch=saved, tasks=(task,)))

    def _with_run(self, batch: Batch, run: Run) -> Batch:
        return batches.followed(batch, run.id, run.status, run.error, run.finished_at or self._clock.now())

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _of_task(self, task_id: str) -> Batch:
        found = await self._kept.of_task(task_id)
        if not owned.sees(found):
            raise errors.UnknownTask(name=task_id[:64])
        return found

    async def _change(self, batch_id: str, change: Callable[[Batch], Batch]) -> Batch:
        """The batch as `change` makes it, whoever else changes it meanwhile; it is left alone where that is nothing."""
        for _ in range(_TRIES):
            before = await self._kept.get(batch_id)
            after = change(before)
            if replace(after, updated_at=before.updated_at) == before:
                return before
            with suppress(errors.BatchChanged):
                return await self._kept.put(after)
        raise errors.BatchChanged(batch=batch_id)

    def _told(self, kind: Kind, saved: Batch, task_id: str) -> Task:
        task = _task(saved, task_id)
        self.news.tell(News(kind=kind, batch=saved, tasks=(task,)))
        return task


def _task(batch: Batch, task_id: str) -> Task:
    found = batch.task(task_id)
    if found is None:
        raise errors.UnknownTask(name=task_id[:64])
    return found


class Followed:
    """Tasks go as their runs go."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def concerns(self, run: Run) -> bool:  # noqa: ARG002 - which runs do tasks no plan tells
        """See `engine.consequences.Consequence`."""
        return True

    async def see_to(self, run: Run) -> None:
        """See `engine.consequences.Consequence`."""
        await self._batches.follow(run)
