"""The queue of runs over the wire."""

from typing import Any

import msgspec
from aiohttp import web

from pupload.api import web as shared
from pupload.api.flow import answering, models, queue_models, reading
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import priority, run
from pupload.domain.access import Permission

MOST = 1000
"""Runs of each kind in one answer."""


async def show(request: web.Request) -> web.Response:
    most = shared.whole_number(request, "limit", default=100, least=1, most=MOST)
    found = request.app[SERVICES].queue.standing(most=most)
    answer = queue_models.Queue(
        Slots=found.limit,
        Running=[_line(each) for each in found.running],
        Queued=[_line(each, position) for position, each in enumerate(found.queued, start=1)],
        RunningTotal=found.running_total,
        QueuedTotal=found.queued_total,
    )
    return answering.answer(answer)


async def prioritize(request: web.Request) -> web.Response:
    value = await shared.read_document(request, _read_priority)
    view = await request.app[SERVICES].queue.prioritize(request.match_info["flowRunID"], value)
    return await answering.run(request, view)


def _read_priority(document: Any) -> int:
    return reading.read(queue_models.SetPriority, document, warnings=[]).Priority


def _line(this: run.Run, position: int | None = None) -> queue_models.QueueLine:
    return queue_models.QueueLine(
        ID=this.id,
        Flow=this.plan.flow.name,
        Priority=priority.of(this),
        CreatedAt=this.created_at,
        QueuedAt=this.queued_at or msgspec.UNSET,
        Position=position or msgspec.UNSET,
    )


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/flow/queue",
        handler=show,
        needs=Permission.RUNS_VIEW,
        summary="The queue of runs: those with something under way, and those that wait for a slot, in order",
        answers=queue_models.Queue,
        parameters=(
            Parameter(name="limit", type="integer", about=f"So many of each kind: 1 to {MOST}, 100 when not given."),
        ),
    ),
    Route(
        method="POST",
        path="/api/v1/flow/priority/{flowRunID}",
        handler=prioritize,
        needs=Permission.FLOWS_RUN,
        summary="Let a run go before others, or after them, from now on",
        reads=queue_models.SetPriority,
        answers=models.FlowRun,
        optional_body=False,
    ),
)
