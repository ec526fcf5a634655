"""Runs of projects: started with an input or a file, waited for, looked up."""

from aiohttp import web

from pupload import errors
from pupload.api import waiting
from pupload.api.studio import bodies, files, models, problems, wire
from pupload.api.web import SERVICES, Route
from pupload.domain.access import Permission
from pupload.domain.run import Run, Status
from pupload.domain.saved import SavedFlow
from pupload.ports import RunSummary

MOST_RUNS = 1000
"""Of a project's history: the newest so many are told."""

PREFIX = "/api/projects/{name}"


# ── Routes ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def run(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.RunInput)
    try:
        this = await request.app[SERVICES].launches.flow((await pipeline(request)).id, asked.input)
    except errors.Invalid as error:
        return cannot_run(error)
    return await _answer_when_over(request, this)


async def run_async(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.RunInput)
    try:
        this = await request.app[SERVICES].launches.flow((await pipeline(request)).id, asked.input)
    except errors.Invalid as error:
        return cannot_run(error)
    return wire.answer(models.Started(execution_id=wire.execution_id(this.id), status=wire.RUNNING))


async def upload(request: web.Request) -> web.Response:
    flow = await pipeline(request)
    async with files.sent(request) as given:
        try:
            this = await request.app[SERVICES].launches.file(flow.id, given)
        except errors.Invalid as error:
            return cannot_run(error)
    return await _answer_when_over(request, this)


async def get_run(request: web.Request) -> web.Response:
    this = await _find(request)
    result = wire.NOTHING
    if this.status.terminal:
        result = await outcome(request, this) if this.status is Status.COMPLETE else wire.raw(wire.failure(this))
    return wire.answer(
        models.Execution(
            execution_id=wire.execution_id(this.id),
            status=wire.status(this.status),
            result=result,
            duration_ms=wire.duration(this),
        )
    )


async def list_runs(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    found = await services.namespaces.find(request.match_info["name"])
    runs: list[RunSummary] = []
    for flow in found.flows:
        runs += (await services.runs.list(flow_id=flow.id, limit=MOST_RUNS)).runs
    newest = sorted(runs, key=lambda each: (each.created_at, each.id))[-MOST_RUNS:]
    return wire.answer(models.History(executions=[wire.line(each) for each in newest]))


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def pipeline(request: web.Request) -> SavedFlow:
    """The flow that the project in the path runs. Raises `errors.UnknownNamespace`, `errors.UnknownSavedFlow`."""
    return (await request.app[SERVICES].namespaces.find(request.match_info["name"])).flow()


async def when_over(request: web.Request, this: Run) -> Run:
    """The run when it is over. Raises `errors.TryLater` where the server goes down before, or nobody waits any more."""
    await waiting.until_over(request, this.id, None)
    found = await request.app[SERVICES].runs.find(this.id)
    if not found.status.terminal:
        reason = f"the server goes down; execution {wire.execution_id(this.id)} goes on, ask for it later"
        raise errors.TryLater(reason=reason)
    return found


async def outcome(request: web.Request, this: Run) -> wire.Written:
    """What came of a run that completed."""
    results = request.app[SERVICES].results
    return wire.result(await results.of(this.id), await results.terminals(this.id))


def cannot_run(error: errors.Invalid) -> web.Response:
    """The answer where the pipeline itself is not what can be run, whatever it is given."""
    return problems.answer(500, why(error))


def why(error: errors.Invalid) -> str:
    """All that is wrong with the pipeline, in one sentence."""
    return "; ".join(f"{each.code} {each.description}" for each in error.findings if each.is_error) or error.message


async def _answer_when_over(request: web.Request, this: Run) -> web.Response:
    this = await when_over(request, this)
    if this.status is not Status.COMPLETE:
        return problems.answer(500, wire.failure(this))
    return wire.answer(
        models.Finished(
            result=await outcome(request, this),
            execution_id=wire.execution_id(this.id),
            duration_ms=wire.duration(this) or 0.0,
        )
    )


async def _find(request: web.Request) -> Run:
    """The run of the project. Raises `errors.UnknownRun` for another's, too."""
    services, run_id = request.app[SERVICES], request.match_info["execution_id"]
    found = await services.namespaces.find(request.match_info["name"])
    unknown = errors.UnknownRun(run=run_id[:64], namespace=found.name)
    try:
        this = await services.runs.find(run_id)
    except errors.UnknownRun as error:
        raise unknown from error
    if this.plan.flow_id not in {flow.id for flow in found.flows}:
        raise unknown
    return this


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

ROUTES = (
    Route(
        method="POST",
        path=f"{PREFIX}/run",
        handler=run,
        summary="Run a project's pipeline, and answer when it is over",
        needs=Permission.FLOWS_RUN,
        reads=models.RunInput,
        answers=models.Finished,
        optional_body=False,
        lasting=True,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/run/async",
        handler=run_async,
        summary="Run a project's pipeline, and answer at once",
        needs=Permission.FLOWS_RUN,
        reads=models.RunInput,
        answers=models.Started,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/runs/{{execution_id}}",
        handler=get_run,
        summary="A run as it stands, and what came of it",
        needs=Permission.RUNS_VIEW,
        answers=models.Execution,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/upload",
        handler=upload,
        summary="Run a project's pipeline on a file: a form with it in the field `file`; answers when it is over",
        needs=Permission.FLOWS_RUN,
        form=files.FIELD,
        answers=models.Finished,
        lasting=True,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/runtime/executions",
        handler=list_runs,
        summary=f"The runs of a project, the oldest first; of more than {MOST_RUNS} the newest",
        needs=Permission.RUNS_VIEW,
        answers=models.History,
    ),
)
