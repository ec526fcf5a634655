"""Epics and tasks: batches of runs that are planned together. Nothing else of this surface knows of them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from aiohttp import web

from pupload.api.pipelit import batch_models as models
from pupload.api.pipelit import bodies, problems, wire
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import ids
from pupload.domain.access import Permission
from pupload.domain.batches import Batch, BatchStatus, Task, TaskStatus
from pupload.service.batches import Batches, Kind, News

S = TypeVar("S", BatchStatus, TaskStatus)

_EPIC_FIELDS = {
    "tags": "tags",
    "budget_usd": "budget_cost",
    "workflow_id": "drawing",
    "result_summary": "result",
}
_TASK_FIELDS = {
    "workflow_slug": "drawing",
    "execution_id": "run",
    "result_summary": "result",
    "error_message": "error",
}
"""What fields are called in the core, where that is something else."""

_LISTS = ("tags", "depends_on", "notes")


def _batches(request: web.Request) -> Batches:
    found = request.app[SERVICES].batches
    assert found is not None, "these routes are only where there are batches"
    return found


# ── Epics ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_epics(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    page = await _batches(request).list(
        status=_status(request, BatchStatus), tags=_tags(request), limit=limit, offset=offset
    )
    return wire.answer(models.EpicPage(items=[epic(batch) for batch in page.batches], total=page.total))


async def create_epic(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.NewEpic)
    if asked.workflow_id is not None:
        await request.app[SERVICES].drawings.get(asked.workflow_id)
    said = _renamed(asked.model_dump(exclude={"title"}), _EPIC_FIELDS)
    return wire.answer(epic(await _batches(request).create(asked.title, **said)), status=201)


async def get_epic(request: web.Request) -> web.Response:
    return wire.answer(epic(await _batches(request).get(request.match_info["epic_id"])))


async def change_epic(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.EpicChange)
    said = _renamed(asked.said, _EPIC_FIELDS)
    return wire.answer(epic(await _batches(request).change(request.match_info["epic_id"], **said)))


async def delete_epic(request: web.Request) -> web.Response:
    found = await _batches(request).get(request.match_info["epic_id"])
    await _batches(request).remove([found.id])
    return wire.nothing()


async def delete_epics(request: web.Request) -> web.Response:
    await _batches(request).remove((await bodies.read(request, models.EpicIds)).epic_ids)
    return wire.nothing()


async def list_epic_tasks(request: web.Request) -> web.Response:
    found = await _batches(request).get(request.match_info["epic_id"])
    return await _tasks(request, found.id)


# ── Tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_tasks(request: web.Request) -> web.Response:
    return await _tasks(request, request.query.get("epic_id") or None)


async def create_task(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.NewTask)
    said = _renamed(asked.model_dump(exclude={"title", "epic_id"}), _TASK_FIELDS)
    return wire.answer(task(await _batches(request).add_task(asked.epic_id, asked.title, **said)), status=201)


async def get_task(request: web.Request) -> web.Response:
    return wire.answer(task(await _batches(request).task(request.match_info["task_id"])))


async def change_task(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.TaskChange)
    said = _renamed(asked.said, _TASK_FIELDS)
    return wire.answer(task(await _batches(request).change_task(request.match_info["task_id"], **said)))


async def delete_task(request: web.Request) -> web.Response:
    await _batches(request).remove_task(request.match_info["task_id"])
    return wire.nothing()


async def delete_tasks(request: web.Request) -> web.Response:
    await _batches(request).remove_tasks((await bodies.read(request, models.TaskIds)).task_ids)
    return wire.nothing()


# ── What is written ──────────────────────────────────────────────────────────────────────────────────────────────


def epic(batch: Batch) -> models.Epic:
    """The batch as it goes over the wire."""
    return models.Epic(
        id=batch.id,
        title=batch.title,
        description=batch.description,
        tags=list(batch.tags),
        workflow_id=batch.drawing,
        user_profile_id=batch.account,
        status=batch.status,
        priority=batch.priority,
        budget_tokens=batch.budget_tokens,
        budget_usd=batch.budget_cost,
        total_tasks=batch.counts.total,
        completed_tasks=batch.counts.completed,
        failed_tasks=batch.counts.failed,
        created_at=wire.moment(batch.created_at),
        updated_at=wire.moment(batch.updated_at),
        completed_at=wire.maybe_moment(batch.completed_at),
        result_summary=batch.result,
    )


def task(this: Task) -> models.EpicTask:
    """The task as it goes over the wire; its run as a UUID."""
    took = None if this.started_at is None else (this.completed_at or this.updated_at) - this.started_at
    return models.EpicTask(
        id=this.id,
        epic_id=this.batch,
        title=this.title,
        description=this.description,
        tags=list(this.tags),
        status=this.status,
        priority=this.priority,
        workflow_slug=this.drawing or None,
        execution_id=ids.uuid_of(this.run) if this.run else None,
        depends_on=list(this.depends_on),
        requirements=None if this.requirements is None else dict(this.requirements),
        estimated_tokens=this.estimated_tokens,
        duration_ms=0 if took is None else round(took.total_seconds() * 1000),
        created_at=wire.moment(this.created_at),
        updated_at=wire.moment(this.updated_at),
        started_at=wire.maybe_moment(this.started_at),
        completed_at=wire.maybe_moment(this.completed_at),
        result_summary=this.result,
        error_message=this.error,
        max_retries=this.max_retries,
        notes=list(this.notes),
    )


_TYPES: Mapping[Kind, str] = {
    Kind.BATCH_ADDED: "epic_created",
    Kind.BATCH_CHANGED: "epic_updated",
    Kind.BATCH_REMOVED: "epic_deleted",
    Kind.TASK_ADDED: "task_created",
    Kind.TASK_CHANGED: "task_updated",
    Kind.TASK_REMOVED: "task_deleted",
    Kind.TASKS_REMOVED: "tasks_deleted",
}


def event(news: News) -> tuple[str, Any]:
    """The type of the message that tells of it on the channel of its epic, and what that carries."""
    if news.kind is Kind.BATCH_REMOVED:
        return _TYPES[news.kind], {"id": news.batch.id}
    if news.kind is Kind.TASK_REMOVED:
        return _TYPES[news.kind], {"id": news.tasks[0].id}
    if news.kind is Kind.TASKS_REMOVED:
        return _TYPES[news.kind], {"task_ids": [each.id for each in news.tasks]}
    return _TYPES[news.kind], task(news.tasks[0]) if news.tasks else epic(news.batch)


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _tasks(request: web.Request, epic_id: str | None) -> web.Response:
    limit, offset = bodies.page(request)
    page = await _batches(request).tasks(
        batch_id=epic_id, status=_status(request, TaskStatus), tags=_tags(request), limit=limit, offset=offset
    )
    return wire.answer(models.TaskPage(items=[task(each) for each in page.tasks], total=page.total))


def _status(request: web.Request, kind: type[S]) -> S | None:
    """The status that is asked for. Raises what is answered with 422 where there is no such one."""
    asked = request.query.get("status", "")
    if not asked:
        return None
    try:
        return kind(asked)
    except ValueError:
        raise problems.unfit(f"query.status: one of {', '.join(kind)} is expected") from None


def _tags(request: web.Request) -> Sequence[str]:
    return [tag for each in request.query.get("tags", "").split(",") if (tag := each.strip())][:64]


def _renamed(said: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The fields as the core calls them, lists as tuples; what has no text has an empty one."""
    found = {names.get(name, name): tuple(value) if name in _LISTS else value for name, value in said.items()}
    for name in ("run", *(("drawing",) if names is _TASK_FIELDS else ())):
        if name in found:
            found[name] = found[name] or ""
    return found


_OF_TAGS = Parameter(name="tags", about="Only what has one of these tags, with commas between them.")
_EPICS, _TASKS = f"{wire.PREFIX}/epics", f"{wire.PREFIX}/tasks"

ROUTES = (
    Route(
        method="GET",
        path=_EPICS,
        handler=list_epics,
        needs=Permission.FLOWS_VIEW,
        summary="Epics, the latest first",
        answers=models.EpicPage,
        parameters=(
            Parameter(name="status", about="Only those with this status.", choices=tuple(BatchStatus)),
            _OF_TAGS,
            *bodies.PAGE,
        ),
    ),
    Route(
        method="POST",
        path=_EPICS,
        handler=create_epic,
        needs=Permission.FLOWS_RUN,
        summary="Plan runs together: a new epic",
        reads=models.NewEpic,
        answers=models.Epic,
        status=201,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_EPICS}/batch-delete",
        handler=delete_epics,
        needs=Permission.FLOWS_RUN,
        summary="Remove epics with their tasks; those that are not there are passed over",
        reads=models.EpicIds,
        status=204,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{_EPICS}/{{epic_id}}",
        handler=get_epic,
        needs=Permission.FLOWS_VIEW,
        summary="An epic",
        answers=models.Epic,
    ),
    Route(
        method="PATCH",
        path=f"{_EPICS}/{{epic_id}}",
        handler=change_epic,
        needs=Permission.FLOWS_RUN,
        summary="Change an epic; with `cancelled` its tasks are, and their executions end",
        reads=models.EpicChange,
        answers=models.Epic,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{_EPICS}/{{epic_id}}",
        handler=delete_epic,
        needs=Permission.FLOWS_RUN,
        summary="Remove an epic with its tasks",
        status=204,
    ),
    Route(
        method="GET",
        path=f"{_EPICS}/{{epic_id}}/tasks",
        handler=list_epic_tasks,
        needs=Permission.FLOWS_VIEW,
        summary="The tasks of an epic, the latest first",
        answers=models.TaskPage,
        parameters=bodies.PAGE,
    ),
    Route(
        method="GET",
        path=_TASKS,
        handler=list_tasks,
        needs=Permission.FLOWS_VIEW,
        summary="Tasks, the latest first",
        answers=models.TaskPage,
        parameters=(
            Parameter(name="epic_id", about="Only those of this epic."),
            Parameter(name="status", about="Only those with this status.", choices=tuple(TaskStatus)),
            _OF_TAGS,
            *bodies.PAGE,
        ),
    ),
    Route(
        method="POST",
        path=_TASKS,
        handler=create_task,
        needs=Permission.FLOWS_RUN,
        summary="A new task, blocked while what it depends on is not completed",
        reads=models.NewTask,
        answers=models.EpicTask,
        status=201,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_TASKS}/batch-delete",
        handler=delete_tasks,
        needs=Permission.FLOWS_RUN,
        summary="Remove tasks; those that are not there are passed over",
        reads=models.TaskIds,
        status=204,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{_TASKS}/{{task_id}}",
        handler=get_task,
        needs=Permission.FLOWS_VIEW,
        summary="A task",
        answers=models.EpicTask,
    ),
    Route(
        method="PATCH",
        path=f"{_TASKS}/{{task_id}}",
        handler=change_task,
        needs=Permission.FLOWS_RUN,
        summary="Change a task; with `execution_id` it goes as that execution goes",
        reads=models.TaskChange,
        answers=models.EpicTask,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{_TASKS}/{{task_id}}",
        handler=delete_task,
        needs=Permission.FLOWS_RUN,
        summary="Remove a task",
        status=204,
    ),
)
