"""Executions: listed, looked at, cancelled, removed. A run of no workflow is one, too."""

from aiohttp import web

from pupload import errors
from pupload.api.pipelit import bodies, executed, problems, wire
from pupload.api.pipelit.bodies import Body
from pupload.api.web import SERVICES, Parameter, Route, Services
from pupload.domain.access import Permission
from pupload.service.executions import State

_PATH = f"{wire.PREFIX}/executions"
_ONE = f"{_PATH}/{{execution_id}}"

STOP_SECONDS = 20.0
"""How long the removal of executions waits for those that it has to stop first."""

MOST_AT_ONCE = 1000


class ExecutionIds(Body):
    """Executions by their ids."""

    execution_ids: list[str]


async def list_executions(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    status, slug = request.query.get("status") or None, request.query.get("workflow_slug") or None
    if status is not None and status not in set(State):
        return wire.answer(executed.ExecutionPage(items=[], total=0))
    state = None if status is None else State(status)
    found, total = await request.app[SERVICES].executions.list(state=state, drawing=slug, limit=limit, offset=offset)
    return wire.answer(executed.ExecutionPage(items=[executed.line(each) for each in found], total=total))


async def get_execution(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    run, this = await services.executions.get(request.match_info["execution_id"])
    return wire.answer(await executed.detail(services, this, run))


async def get_status(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    run, this = await services.executions.get(request.match_info["execution_id"])
    return wire.answer(executed.status(this, await executed.final_output(services, run)))


async def cancel_execution(request: web.Request) -> web.Response:
    """One that is over stays as it is."""
    services = request.app[SERVICES]
    run = (await services.runs.cancel(request.match_info["execution_id"])).run
    if not run.status.terminal:
        await services.feed.wait(run.id, STOP_SECONDS)
    _, this = await services.executions.get(run.id)
    return wire.answer(executed.line(this))


async def delete_executions(request: web.Request) -> web.Response:
    """Those that go on are cancelled first; those that are not there are passed over."""
    asked = await bodies.read(request, ExecutionIds)
    if len(asked.execution_ids) > MOST_AT_ONCE:
        raise problems.unfit(f"body.execution_ids: {MOST_AT_ONCE} ids at most")
    services = request.app[SERVICES]
    for execution_id in dict.fromkeys(asked.execution_ids):
        await _remove(services, execution_id)
    return wire.nothing()


async def _remove(services: Services, execution_id: str) -> None:
    try:
        run = (await services.runs.cancel(execution_id)).run
        if not run.status.terminal and not await services.feed.wait(run.id, STOP_SECONDS):
            raise errors.TryLater(reason=f"execution {execution_id[:64]} is still being stopped: ask again in a moment")
        await services.runs.purge(run.id)
    except errors.UnknownRun:
        return


ROUTES = (
    Route(
        method="GET",
        path=_PATH,
        handler=list_executions,
        needs=Permission.RUNS_VIEW,
        summary="Executions, newest first, of all workflows and of none",
        answers=executed.ExecutionPage,
        parameters=(
            Parameter(name="workflow_slug", about="Only those of this workflow."),
            Parameter(name="status", about="Only those that are so; of one that there is not there are none."),
            *bodies.PAGE,
        ),
    ),
    Route(
        method="POST",
        path=f"{_PATH}/batch-delete",
        handler=delete_executions,
        needs=Permission.RUNS_CANCEL,
        summary="Remove executions with all that they made; those that go on are cancelled first",
        reads=ExecutionIds,
        status=204,
        optional_body=False,
        lasting=True,
    ),
    Route(
        method="GET",
        path=_ONE,
        handler=get_execution,
        needs=Permission.RUNS_VIEW,
        summary="An execution, with what came in, what came out and a row for each attempt of a node",
        answers=executed.ExecutionDetail,
    ),
    Route(
        method="GET",
        path=f"{_ONE}/status",
        handler=get_status,
        needs=Permission.RUNS_VIEW,
        summary="How far an execution is, and what came of it",
        answers=executed.ExecutionStatus,
    ),
    Route(
        method="POST",
        path=f"{_ONE}/cancel",
        handler=cancel_execution,
        needs=Permission.RUNS_CANCEL,
        summary="Cancel an execution; one that is over stays as it is",
        answers=executed.ExecutionLine,
        lasting=True,
    ),
)
