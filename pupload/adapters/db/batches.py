"""Batches of tasks in the database: a row for each, so that a change of one task writes that one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, bindparam, delete, func, insert, or_, select, update

from pupload import errors, ports
from pupload.adapters.db import codec, sealed
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.statements import ONE
from pupload.adapters.db.tables import batches, tasks
from pupload.domain.batches import Batch, BatchStatus, Task, TaskStatus

_BATCH = batches.c.id == bindparam("batch")
_OF_BATCH = tasks.c.batch_id == bindparam("batch")

_ADD = insert(batches).values({column.name: bindparam(column.name) for column in batches.columns})
_MOVE = (
    update(batches)
    .where(_BATCH, batches.c.revision == bindparam("if_revision"))
    .values(
        revision=batches.c.revision + ONE,
        status=bindparam("new_status"),
        tags=bindparam("new_tags"),
        blob=bindparam("new_blob"),
    )
    .returning(batches.c.id)
)
_GET = select(batches.c.id, batches.c.revision, batches.c.blob).where(_BATCH)
_REMOVE = delete(batches).where(_BATCH)

_TASKS = select(tasks.c.id, tasks.c.batch_id, tasks.c.blob).where(_OF_BATCH).order_by(tasks.c.created_at, tasks.c.id)
_ADD_TASK = insert(tasks)
_REMOVE_TASK = delete(tasks).where(tasks.c.id == bindparam("task"))
_BATCH_OF = select(tasks.c.batch_id).where(tasks.c.id == bindparam("task"))
_BATCHES_OF = select(tasks.c.batch_id).where(tasks.c.run_id == bindparam("run")).distinct().order_by(tasks.c.batch_id)


class Batches:
    """`ports.Batches` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def put(self, batch: Batch) -> Batch:
        """See `ports.Batches`."""
        after = replace(batch, revision=batch.revision + 1)
        row = self._row(after)

        def put(session: Session) -> None:
            found = session.run(_GET, {"batch": batch.id}).fetchone()
            if found is not None and found[2] == row["blob"]:
                return  # by an earlier try whose answer was lost: no two blobs are the same
            if batch.revision and found is None:
                raise errors.UnknownBatch(name=batch.id[:64])
            if batch.revision != (0 if found is None else found[1]):
                raise errors.BatchChanged(batch=batch.id)
            if found is None:
                session.run(_ADD, row)
            else:
                new = {f"new_{name}": row[name] for name in ("status", "tags", "blob")}
                moved = session.run(_MOVE, {"batch": batch.id, "if_revision": batch.revision, **new}).fetchone()
                if moved is None:
                    raise errors.BatchChanged(batch=batch.id)
            self._put_tasks(session, after)

        await self._writer.do(put)
        return after

    def _put_tasks(self, session: Session, batch: Batch) -> None:
        """Those that are otherwise than they are there."""
        there = {row[0]: self._task(row) for row in session.run(_TASKS, {"batch": batch.id}).fetchall()}
        for task_id in there.keys() - {task.id for task in batch.tasks}:
            session.run(_REMOVE_TASK, {"task": task_id})
        rows = []
        for task in batch.tasks:
            if there.get(task.id) == task:
                continue
            if task.id in there:
                session.run(_REMOVE_TASK, {"task": task.id})
            rows.append(self._task_row(batch, task))
        if rows:
            session.run_many(_ADD_TASK, rows)

    async def get(self, batch_id: str) -> Batch:
        """See `ports.Batches`."""
        return await self._readers.do(lambda session: self._get(session, batch_id))

    async def of_task(self, task_id: str) -> Batch:
        """See `ports.Batches`."""

        def find(session: Session) -> Batch:
            row = session.run(_BATCH_OF, {"task": task_id}).fetchone()
            if row is None:
                raise errors.UnknownTask(name=task_id[:64])
            return self._get(session, row[0])

        return await self._readers.do(find)

    async def of_run(self, run_id: str) -> Sequence[str]:
        """See `ports.Batches`."""
        return await self._readers.do(
            lambda session: [row[0] for row in session.run(_BATCHES_OF, {"run": run_id}).fetchall()]
        )

    async def list(
        self,
        *,
        account: int | None = None,
        status: BatchStatus | None = None,
        tags: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> ports.BatchPage:
        """See `ports.Batches`. Raises `errors.Damaged`."""
        asked = _Asked(batches, account=account, status=status, tags=tags)
        rows, total = await asked.read(self._readers, (batches.c.id, batches.c.revision, batches.c.blob), limit, offset)
        return ports.BatchPage(batches=[self._batch(row) for row in rows], total=total)

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
        """See `ports.Batches`. Raises `errors.Damaged`."""
        asked = _Asked(tasks, account=account, status=status, tags=tags, batch=batch)
        rows, total = await asked.read(self._readers, (tasks.c.id, tasks.c.batch_id, tasks.c.blob), limit, offset)
        return ports.TaskPage(tasks=[self._task(row) for row in rows], total=total)

    async def remove(self, batch_id: str) -> None:
        """See `ports.Batches`."""

        def remove(session: Session) -> None:
            session.run(_REMOVE, {"batch": batch_id})

        await self._writer.do(remove)

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _get(self, session: Session, batch_id: str) -> Batch:
        row = session.run(_GET, {"batch": batch_id}).fetchone()
        if row is None:
            raise errors.UnknownBatch(name=batch_id[:64])
        found = session.run(_TASKS, {"batch": batch_id}).fetchall()
        return replace(self._batch(row), tasks=tuple(self._task(each) for each in found))

    def _row(self, batch: Batch) -> Mapping[str, Any]:
        blob = codec.BATCH.encode(replace(batch, tasks=()))
        return {
            "id": batch.id,
            "account_id": batch.account,
            "status": batch.status.value,
            "tags": _written(batch.tags),
            "revision": batch.revision,
            "created_at": codec.micros(batch.created_at),
            "blob": self._seal.close(blob, sealed.batch(batch.id)),
        }

    def _batch(self, row: Sequence[Any]) -> Batch:
        batch_id, revision, blob = row
        what = sealed.batch(batch_id)
        return replace(codec.BATCH.decode(self._seal.open(blob, what), what), revision=revision)

    def _task_row(self, batch: Batch, task: Task) -> Mapping[str, Any]:
        return {
            "id": task.id,
            "batch_id": batch.id,
            "account_id": batch.account,
            "status": task.status.value,
            "tags": _written(task.tags),
            "run_id": task.run or None,
            "created_at": codec.micros(task.created_at),
            "blob": self._seal.close(codec.TASK.encode(task), sealed.task(task.id)),
        }

    def _task(self, row: Sequence[Any]) -> Task:
        task_id, _, blob = row
        what = sealed.task(task_id)
        return codec.TASK.decode(self._seal.open(blob, what), what)


class _Asked:
    """What of a table is asked for."""

    def __init__(
        self, table: Table, *, account: int | None, status: str | None, tags: Sequence[str], batch: str | None = None
    ) -> None:
        self._table = table
        self._values: dict[str, Any] = {}
        self._conditions: list[ColumnElement[bool]] = []
        wanted = {"account_id": account, "status": None if status is None else str(status), "batch_id": batch}
        for name, value in wanted.items():
            if value is not None:
                self._conditions.append(table.c[name] == bindparam(name))
                self._values[name] = value
        if tags:
            likes = [table.c.tags.like(bindparam(f"tag{n}"), escape="\\") for n in range(len(tags))]
            self._conditions.append(or_(*likes))
            self._values |= {f"tag{n}": _pattern(tag) for n, tag in enumerate(tags)}

    async def read(
        self, readers: Readers, columns: Sequence[ColumnElement[Any]], limit: int, offset: int
    ) -> tuple[Sequence[Any], int]:
        """Rows of a page, the latest first, and how many there are in all."""
        conditions, values = self._conditions, self._values
        count: Select[Any] = select(func.count()).select_from(self._table).where(*conditions)
        page: Select[Any] = select(*columns).where(*conditions)
        page = page.order_by(self._table.c.created_at.desc(), self._table.c.id.desc())
        page = page.limit(bindparam("limit")).offset(bindparam("offset"))
        read: Callable[[Session], tuple[Sequence[Any], int]] = lambda session: (  # noqa: E731 - two of one moment
            session.run(page, {**values, "limit": max(limit, 0), "offset": max(offset, 0)}).fetchall(),
            session.run(count, values).fetchone()[0],
        )
        return await readers.do(read)


def _written(tags: Sequence[str]) -> str:
    """Each in a line of its own, so that one can be looked for whole."""
    return "\n" + "".join(f"{tag}\n" for tag in tags) if tags else ""


def _pattern(tag: str) -> str:
    for special in "\\%_":
        tag = tag.replace(special, f"\\{special}")
    return f"%\n{tag}\n%"
