"""Scheduled jobs: runs of workflows at an interval, so many, tried again after failures."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from pupload.api.pipelit import bodies, drawn, models, problems, wire
from pupload.api.pipelit.bodies import Body
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import counting, schedule
from pupload.domain.access import Permission
from pupload.domain.schedule import Schedule
from pupload.service import counted

Words = Annotated[str, Field(max_length=16_384)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Seconds = Annotated[int, Field(ge=1, le=schedule.MOST_SECONDS)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]

STATUSES = (counted.ACTIVE, counted.PAUSED, *counting.Over)

_FIELDS = {
    "workflow_id": "drawing",
    "trigger_node_id": "trigger",
    "total_repeats": "most_runs",
    "max_retries": "most_retries",
    "trigger_payload": "payload",
}
"""What fields are called in the core, where that is something else."""

# ── What requests hold ───────────────────────────────────────────────────────────────────────────────────────────


class ScheduleChange(Body):
    """What is to be otherwise. Another interval is counted from now; status and workflow stay."""

    name: Name = "-"
    description: Words = ""
    interval_seconds: Seconds = 1
    total_repeats: Count = 0
    max_retries: Count = 3
    timeout_seconds: Seconds = 600
    trigger_payload: drawn.Object | None = None


class NewSchedule(ScheduleChange):
    """A scheduled job, active at once; its first run comes an interval from now. `total_repeats` 0: without an end."""

    name: Name
    workflow_id: Annotated[int, Field(ge=0, lt=2**63)]
    interval_seconds: Seconds
    trigger_node_id: str | None = None


class ScheduleIds(Body):
    """Which are meant."""

    schedule_ids: list[str]


# ── What answers hold ────────────────────────────────────────────────────────────────────────────────────────────


class ScheduledJob(models.Answer, frozen=True, kw_only=True):
    """
    A scheduled job. `run_count` and `error_count` are runs that succeeded and failed, ever; `current_repeat` those that
    succeeded since it began, `current_retry` failures in a row. `status` is `active`, `paused`, `done` or `dead`.
    """

    id: str
    name: str
    description: str
    workflow_id: int
    trigger_node_id: str | None
    user_profile_id: int | None
    interval_seconds: int
    total_repeats: int
    max_retries: int
    timeout_seconds: int
    trigger_payload: Any
    status: str
    current_repeat: int
    current_retry: int
    last_run_at: models.Moment | None
    next_run_at: models.Moment | None
    run_count: int
    error_count: int
    last_error: str
    created_at: models.Moment
    updated_at: models.Moment


class SchedulePage(models.Answer, frozen=True, kw_only=True):
    """Some of the scheduled jobs, the latest first."""

    items: list[ScheduledJob]
    total: int


# ── Routes ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_schedules(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    status = request.query.get("status", "")
    if status and status not in STATUSES:
        raise problems.unfit(f"query.status: one of {', '.join(STATUSES)} is expected")
    asked = "workflow_id" in request.query
    drawing = bodies.whole_number(request, "workflow_id", default=0) if asked else None
    page = await request.app[SERVICES].counted.list(status_=status, drawing=drawing, limit=limit, offset=offset)
    return wire.answer(SchedulePage(items=[view(each) for each in page.schedules], total=page.total))


async def create_schedule(request: web.Request) -> web.Response:
    asked = await bodies.read(request, NewSchedule)
    said = _renamed({**asked.model_dump(exclude={"interval_seconds"}), "trigger_node_id": asked.trigger_node_id or ""})
    made = await request.app[SERVICES].counted.create(said, interval_seconds=asked.interval_seconds)
    return wire.answer(view(made), status=201)


async def get_schedule(request: web.Request) -> web.Response:
    return wire.answer(view(await request.app[SERVICES].counted.get(_id(request))))


async def change_schedule(request: web.Request) -> web.Response:
    asked = await bodies.read(request, ScheduleChange)
    said = _renamed(asked.said)
    interval = said.pop("interval_seconds", None)
    after = await request.app[SERVICES].counted.change(_id(request), said, interval_seconds=interval)
    return wire.answer(view(after))


async def remove_schedule(request: web.Request) -> web.Response:
    await request.app[SERVICES].counted.remove(_id(request))
    return wire.nothing()


async def pause_schedule(request: web.Request) -> web.Response:
    return wire.answer(view(await request.app[SERVICES].counted.pause(_id(request))))


async def resume_schedule(request: web.Request) -> web.Response:
    return wire.answer(view(await request.app[SERVICES].counted.resume(_id(request))))


async def remove_schedules(request: web.Request) -> web.Response:
    await request.app[SERVICES].counted.remove_all((await bodies.read(request, ScheduleIds)).schedule_ids)
    return wire.nothing()


# ── What is read and written ─────────────────────────────────────────────────────────────────────────────────────


def view(this: Schedule) -> ScheduledJob:
    """The schedule as it goes over the wire; it is one that counts."""
    count = this.count
    assert count is not None
    return ScheduledJob(
        id=schedule.uuid_of(this.id),
        name=count.name,
        description=count.description,
        workflow_id=count.drawing,
        trigger_node_id=count.trigger or None,
        user_profile_id=this.account,
        interval_seconds=this.interval_seconds,
        total_repeats=count.most_runs,
        max_retries=count.most_retries,
        timeout_seconds=count.timeout_seconds,
        trigger_payload=count.payload,
        status=counted.status(this),
        current_repeat=count.repeat,
        current_retry=count.retry,
        last_run_at=wire.maybe_moment(count.ran_at),
        next_run_at=wire.maybe_moment(this.next_at),
        run_count=count.runs,
        error_count=count.failures,
        last_error=count.error,
        created_at=wire.moment(this.created_at),
        updated_at=wire.moment(count.updated_at),
    )


def _id(request: web.Request) -> str:
    return request.match_info["job_id"]


def _renamed(said: dict[str, Any]) -> dict[str, Any]:
    return {_FIELDS.get(name, name): value for name, value in said.items()}


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_SCHEDULES = f"{wire.PREFIX}/schedules"
_ONE = f"{_SCHEDULES}/{{job_id}}"

ROUTES = (
    Route(
        method="GET",
        path=_SCHEDULES,
        handler=list_schedules,
        needs=Permission.SCHEDULES_VIEW,
        summary="The caller's scheduled jobs, the latest first; an administrator's everybody's",
        answers=SchedulePage,
        parameters=(
            Parameter(name="status", about="Only those with this status.", choices=STATUSES),
            Parameter(name="workflow_id", type="integer", about="Only those of this workflow."),
            *bodies.PAGE,
        ),
    ),
    Route(
        method="POST",
        path=_SCHEDULES,
        handler=create_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Run a workflow at an interval from now on",
        reads=NewSchedule,
        answers=ScheduledJob,
        status=201,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_SCHEDULES}/batch-delete",
        handler=remove_schedules,
        needs=Permission.SCHEDULES_EDIT,
        summary="Remove scheduled jobs; those that are not there are passed over",
        reads=ScheduleIds,
        status=204,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=_ONE,
        handler=get_schedule,
        needs=Permission.SCHEDULES_VIEW,
        summary="A scheduled job",
        answers=ScheduledJob,
    ),
    Route(
        method="PATCH",
        path=_ONE,
        handler=change_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Change a scheduled job",
        reads=ScheduleChange,
        answers=ScheduledJob,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=_ONE,
        handler=remove_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Remove a scheduled job; the executions that it started stay",
        status=204,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/pause",
        handler=pause_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Start nothing until the job is resumed",
        answers=ScheduledJob,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/resume",
        handler=resume_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Go on: the next run comes an interval from now",
        answers=ScheduledJob,
    ),
)
