"""Schedules and backfills over the wire."""

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import web as shared
from pupload.api.flow import answering, reading, schedule_models
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import duration, schedule, tables
from pupload.domain.access import Permission
from pupload.service import schedules

E = TypeVar("E", bound=StrEnum)


async def list_schedules(request: web.Request) -> web.Response:
    enabled = shared.flag(request, "enabled", default=True) if request.query.get("enabled") else None
    found = await request.app[SERVICES].schedules.list(flow=request.query.get("flow") or None, enabled=enabled)
    return answering.answer(schedule_models.ScheduleList(Schedules=[_view(each) for each in found]))


async def create_schedule(request: web.Request) -> web.Response:
    draft = await shared.read_document(request, read_draft)
    return answering.answer(_view(await request.app[SERVICES].schedules.create(draft)))


async def preview_schedule(request: web.Request) -> web.Response:
    asked = await shared.read_document(request, _read_preview)
    found = request.app[SERVICES].schedules.preview(
        cron=asked.Cron,
        interval_seconds=_seconds("Interval", asked.Interval, default=0),
        timezone=asked.Timezone,
        count=asked.Count,
    )
    return answering.answer(schedule_models.Fires(Fires=list(found)))


async def get_schedule(request: web.Request) -> web.Response:
    return answering.answer(_view(await request.app[SERVICES].schedules.get(_id(request))))


async def put_schedule(request: web.Request) -> web.Response:
    draft = await shared.read_document(request, read_draft)
    return answering.answer(_view(await request.app[SERVICES].schedules.replace(_id(request), draft)))


async def remove_schedule(request: web.Request) -> web.Response:
    await request.app[SERVICES].schedules.remove(_id(request))
    return web.Response(status=204)


async def pause_schedule(request: web.Request) -> web.Response:
    until = await shared.read_document(request, _read_pause, optional=True)
    return answering.answer(_view(await request.app[SERVICES].schedules.pause(_id(request), until=until)))


async def resume_schedule(request: web.Request) -> web.Response:
    return answering.answer(_view(await request.app[SERVICES].schedules.resume(_id(request))))


async def list_fires(request: web.Request) -> web.Response:
    count = shared.whole_number(request, "count", default=10, least=1, most=schedules.MOST_FIRES)
    found = await request.app[SERVICES].schedules.fires(_id(request), count=count)
    return answering.answer(schedule_models.Fires(Fires=list(found)))


async def start_backfill(request: web.Request) -> web.Response:
    key = answering.idempotency_key(request)
    asked = await shared.read_document(request, _read_backfill)
    batch = await request.app[SERVICES].backfill.start(
        request.match_info["flow"],
        asked.StartDate,
        asked.EndDate,
        params=dict(asked.Params),
        priority=asked.Priority,
        memoize=asked.Memoize,
        idempotency_key=key,
    )
    dates = [day.isoformat() for day in batch.dates]
    return answering.answer(
        schedule_models.Backfill(ID=batch.id, FlowID=batch.flow, Dates=dates, Runs=list(batch.runs))
    )


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def read_draft(document: Any) -> schedules.Draft:
    """What a schedule is to be. Raises `errors.Malformed`."""
    asked = reading.read(schedule_models.PutSchedule, document, warnings=[])
    return schedules.Draft(
        flow=asked.Flow,
        cron=asked.Cron,
        interval_seconds=_seconds("Interval", asked.Interval, default=0),
        timezone=asked.Timezone,
        enabled=asked.Enabled,
        paused_until=reading.moment("PausedUntil", asked.PausedUntil),
        catch_up=_one_of(schedule.CatchUp, "CatchUp", asked.CatchUp),
        window_seconds=_seconds("CatchUpWindow", asked.CatchUpWindow, default=schedule.DAY_SECONDS),
        overlap=_one_of(schedule.Overlap, "Overlap", asked.Overlap),
        params=dict(asked.Params),
        priority=asked.Priority,
        given="" if asked.Input is None else tables.compact(asked.Input),
    )


def _read_preview(document: Any) -> schedule_models.PreviewSchedule:
    return reading.read(schedule_models.PreviewSchedule, document, warnings=[])


def _read_pause(document: Any) -> datetime | None:
    return reading.moment("Until", reading.read(schedule_models.PauseSchedule, document, warnings=[]).Until)


def _read_backfill(document: Any) -> schedule_models.StartBackfill:
    return reading.read(schedule_models.StartBackfill, document, warnings=[])


def _id(request: web.Request) -> str:
    return request.match_info["scheduleID"]


def _seconds(name: str, text: str | None, *, default: int) -> int:
    """Whole seconds: runs are not started more often."""
    if not text:
        return default
    try:
        found = duration.seconds(text)
    except ValueError as error:
        raise errors.Malformed(reason=f'{name} "{text[:32]}" is not a valid duration: {error}') from error
    if found < 0 or found != int(found) or (found == 0 and not default):
        raise errors.Malformed(reason=f'{name} "{text[:32]}" is not a number of whole seconds')
    return int(found)


def _one_of(kind: type[E], name: str, text: str) -> E:
    try:
        return kind(text)
    except ValueError:
        said = ", ".join(f'"{each}"' for each in kind)
        raise errors.Malformed(reason=f'{name} is one of {said}, not "{text[:32]}"') from None


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _view(this: schedule.Schedule) -> schedule_models.Schedule:
    return schedule_models.Schedule(
        ID=this.id,
        FlowID=this.flow_id,
        Cron=this.cron,
        Interval=duration.text(this.interval_seconds) if this.interval_seconds else "",
        Timezone=this.timezone,
        Enabled=this.enabled,
        PausedUntil=this.paused_until,
        CatchUp=this.catch_up.value,
        CatchUpWindow=duration.text(this.window_seconds),
        Overlap=this.overlap.value,
        Params=dict(this.params),
        Priority=this.priority,
        Input=msgspec.Raw(this.given.encode()) if this.given else None,
        CreatedAt=this.created_at,
        NextAt=this.next_at,
        LastAt=this.last_at,
        LastRun=this.last_run,
        LastError=this.last_error,
    )


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_SCHEDULES = "/api/v1/flow/schedules"
_ONE = f"{_SCHEDULES}/{{scheduleID}}"

ROUTES = (
    Route(
        method="GET",
        path=_SCHEDULES,
        handler=list_schedules,
        needs=Permission.SCHEDULES_VIEW,
        summary="Schedules: when runs of saved flows are started",
        answers=schedule_models.ScheduleList,
        parameters=(
            Parameter(name="flow", about="Only schedules of the saved flow with this id, or `namespace/name`."),
            Parameter(
                name="enabled", type="boolean", about="Only schedules that are enabled, or only those that are not."
            ),
        ),
    ),
    Route(
        method="POST",
        path=_SCHEDULES,
        handler=create_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Start runs of a saved flow from now on, by a cron expression or at an interval",
        reads=schedule_models.PutSchedule,
        answers=schedule_models.Schedule,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_SCHEDULES}/preview",
        handler=preview_schedule,
        needs=Permission.SCHEDULES_VIEW,
        summary="The next moments of a schedule that need not be there",
        reads=schedule_models.PreviewSchedule,
        answers=schedule_models.Fires,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=_ONE,
        handler=get_schedule,
        needs=Permission.SCHEDULES_VIEW,
        summary="A schedule: when it starts a run next, and what came of the last moment",
        answers=schedule_models.Schedule,
    ),
    Route(
        method="PUT",
        path=_ONE,
        handler=put_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Let a schedule be otherwise, from now on",
        reads=schedule_models.PutSchedule,
        answers=schedule_models.Schedule,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=_ONE,
        handler=remove_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Remove a schedule; the runs that it started stay as they are",
    ),
    Route(
        method="POST",
        path=f"{_ONE}/pause",
        handler=pause_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Start no runs until a time, or until the schedule is resumed; none is caught up",
        reads=schedule_models.PauseSchedule,
        answers=schedule_models.Schedule,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/resume",
        handler=resume_schedule,
        needs=Permission.SCHEDULES_EDIT,
        summary="Start runs again, from the next moment on",
        answers=schedule_models.Schedule,
    ),
    Route(
        method="GET",
        path=f"{_ONE}/fires",
        handler=list_fires,
        needs=Permission.SCHEDULES_VIEW,
        summary="The next moments at which a schedule starts runs",
        answers=schedule_models.Fires,
        parameters=(
            Parameter(
                name="count",
                type="integer",
                about=f"So many at most: 1 to {schedules.MOST_FIRES}, 10 when not given.",
            ),
        ),
    ),
    Route(
        method="POST",
        path="/api/v1/flow/saved/{flow}/backfill",
        handler=start_backfill,
        needs=Permission.RUNS_BACKFILL,
        summary="Run a saved flow once for each of many dates",
        reads=schedule_models.StartBackfill,
        answers=schedule_models.Backfill,
        parameters=(answering.KEY,),
        lasting=True,
        optional_body=False,
    ),
)
