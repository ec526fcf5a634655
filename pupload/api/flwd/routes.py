"""The flwd surface's table of routes. A route reads, asks the service, writes."""

import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec
from aiohttp import web

from pupload import errors, ports
from pupload.api import idempotency, streams, waiting
from pupload.api import web as shared
from pupload.api.flwd import args, downloads, jobs, models, problems, stream, wire
from pupload.api.web import REQUEST_ID, SERVER, SERVICES, Parameter, Route
from pupload.domain import run, saved, tables
from pupload.domain.access import Permission

PREFIX = "/api/v1"

MOST = 1000
"""On one page of a list."""

CANCEL_SECONDS = 15.0
"""So long it is waited until a cancelled run has ended: containers have 10 s to do so by themselves."""

ONCE = "flwd.request"
"""The label of a run that was asked for with a key: what was asked, and by which request."""


# ── Jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_jobs(request: web.Request) -> web.StreamResponse:
    source, namespace = request.query.get("source") or None, request.query.get("namespace") or None
    return await streams.listing(
        request,
        jobs.every(request, source=source, namespace=namespace),
        opening=b'{"jobs":[',
        write=lambda one: wire.encode(wire.job(one)),
        closing=lambda _: b"]}",
    )


async def get_job(request: web.Request) -> web.StreamResponse:
    job_id = request.match_info["job_id"].strip("/")
    if not job_id:
        return await list_jobs(request)
    return _answer(wire.job_details(await jobs.find(request, job_id)))


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def create_run(request: web.Request) -> web.Response:
    key = idempotency.key_of(request)
    asked = await shared.read_document(request, args.read_new_run)
    found = await jobs.find(request, asked.job_id)
    params, job_id = args.texts(asked.args), found.flow.full_name
    args.check(found.content.flow, params)
    if not found.flow.enabled:
        return _refuse(request, 409, "job-disabled", f"The job '{job_id}' is not enabled")
    labels = {"tenant": asked.tenant}
    words = _digest(job_id, params, asked.tenant)
    told = f"{words} {secrets.token_hex(8)}"
    if key is not None:
        labels[ONCE] = told
    services = request.app[SERVICES]
    view = await services.flows.start(
        found.flow.id, params=params, labels=labels, memoize=False, idempotency_key=key, key_of="flwd"
    )
    earlier = view.run.plan.labels.get(ONCE, told)
    if not earlier.startswith(words):
        said = f"run {view.run.id} was started with this key, and other words"
        return _refuse(request, 409, "idempotency-key-conflict", said)
    replayed = {"Idempotent-Replay": "true"} if earlier != told else {}
    this = view.run
    if not asked.in_background and not this.status.terminal:
        await waiting.until_over(request, this.id, None)
        this = await services.runs.find(this.id)
    if not asked.in_background and this.status is run.Status.ERROR:
        said = f"run {this.id} failed: {this.error}"
        return _refuse(request, 500, "execution-error", said, run_id=this.id, headers=replayed)
    return _answer(wire.started_run(this, job_id), status=201, headers=replayed)


async def list_runs(request: web.Request) -> web.Response:
    limit, offset = _page(request)
    status, services = request.query.get("status", ""), request.app[SERVICES]
    if status and status not in wire.STATUSES:
        raise errors.Malformed(reason=f"status must be one of {', '.join(wire.STATUSES)}")
    try:
        flow_id = await _flow_id(request)
    except errors.UnknownSavedFlow:
        return _answer(models.RunList(runs=[], total=0))
    page = await services.runs.list(
        status=next((core for core, word in wire.ENDS.items() if word == status), None),
        started={"pending": False, "running": True}.get(status),
        flow_id=flow_id,
        limit=limit,
        offset=offset,
    )
    if flow_id is not None and not page.total and (only := await services.runs.of_no_flow(flow_id)) is not None:
        fits = status in ("", wire.status_of(only))
        lines = [wire.run_of_none(only)] if fits and not offset else []
        return _answer(models.RunList(runs=lines, total=int(fits)))
    names = await services.flows.names(one.flow_id for one in page.runs if one.flow_id)
    lines = [wire.run_line(one, jobs.id_of(names, one.flow_id, one.id)) for one in page.runs]
    return _answer(models.RunList(runs=lines, total=page.total))


async def _flow_id(request: web.Request) -> str | None:
    """Of the job whose runs are asked for; None where it is all runs. Raises `errors.UnknownSavedFlow`."""
    job_id = request.query.get("job_id", "").strip("/")
    if not job_id:
        return None
    removed = saved.canonical_id(job_id)  # one that was removed has runs, too
    return removed or (await request.app[SERVICES].flows.find(job_id)).id


async def get_run(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    this = await services.runs.find(request.match_info["run_id"])
    came = await services.results.of(this.id) if this.status.terminal else None
    flow_id = this.plan.flow_id
    names = await services.flows.names([flow_id] if flow_id else [])
    return _answer(wire.run_details(this, jobs.id_of(names, flow_id, this.id), came))


async def cancel_run(request: web.Request) -> web.Response:
    services = request.app[SERVICES]
    this = await services.runs.find(request.match_info["run_id"])
    if not this.status.terminal:
        await services.runs.cancel(this.id, mode="kill")
        shared.allow(request, CANCEL_SECONDS)
        await waiting.until_over(request, this.id, CANCEL_SECONDS)
        this = await services.runs.find(this.id)
    status = wire.status_of(this) if this.status.terminal else "cancelled"
    return _answer(models.CancelledRun(run_id=this.id, status=status))


async def run_logs(request: web.Request) -> web.StreamResponse:
    follow = shared.flag(request, "follow", default=False)
    since = args.read_moment(request.query.get("since", ""), "since")
    runs, told = request.app[SERVICES].runs, stream.last_id(request) if follow else ""
    cursor = shared.check_whole_number(told, "Last-Event-ID", default=0)
    this = await runs.find(request.match_info["run_id"])
    groups = runs.logs(this.id, since=cursor, follow=follow)
    if not follow:
        return await streams.listing(
            request,
            _since(groups, since),
            opening=b'{"logs":[',
            write=lambda record: wire.encode(wire.log_line(record)),
            closing=lambda _: b"]}",
        )
    frames = _log_frames(_since(groups, since))
    if this.status.terminal and told:
        return await streams.events_or_nothing(request, frames, write=bytes, hello=stream.HELLO % b"")
    return await streams.events(request, frames, write=bytes, hello=stream.HELLO % b"id: %d\n" % cursor)


async def _since(
    groups: AsyncIterator[Sequence[ports.LogRecord]], since: datetime | None
) -> AsyncIterator[Sequence[ports.LogRecord]]:
    """Lines of that time or later; no group is empty."""
    async for group in groups:
        if wanted := [one for one in group if since is None or one.line.at >= since]:
            yield wanted


async def _log_frames(groups: AsyncIterator[Sequence[ports.LogRecord]]) -> AsyncIterator[Sequence[bytes]]:
    async for group in groups:
        yield [streams.frame("log", wire.encode(wire.log_line(one)), cursor=one.cursor) for one in group]


# ── Artifacts ────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_artifacts(request: web.Request) -> web.Response:
    limit, offset = _page(request)
    found = await request.app[SERVICES].artifacts.list(
        run_id=request.query.get("run_id") or None, limit=limit, offset=offset
    )
    return _answer(models.ArtifactList(artifacts=[wire.artifact(one) for one in found]))


async def get_artifact(request: web.Request) -> web.StreamResponse:
    contents = await request.app[SERVICES].artifacts.open(request.match_info["artifact_id"])
    return await downloads.give(request, contents)


# ── The server ───────────────────────────────────────────────────────────────────────────────────────────────────


async def health(request: web.Request) -> web.Response:
    server = request.app[SERVER]
    wrong = [f"{line.name}: {line.detail}" for line in await request.app[SERVICES].health.check() if not line.ok]
    answer = models.Health(
        status="unhealthy" if wrong else "healthy",
        version=server.version,
        uptime_seconds=int(time.monotonic() - server.began),
        problems=wrong or msgspec.UNSET,
    )
    return _answer(answer, status=503 if wrong else 200)


async def system_info(request: web.Request) -> web.Response:
    server = request.app[SERVER]
    sources = request.app[SERVICES].sources.list()
    answer = models.SystemInfo(
        version=server.version,
        sources=[models.Source(name=one.name, type=one.type, path=one.path) for one in sources],
        extensions=[name for name in server.surfaces if name != SURFACE.name],
    )
    return _answer(answer)


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _answer(this: models.Answer, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return shared.json_bytes(wire.encode(this), status=status, headers=headers)


def _refuse(
    request: web.Request,
    status: int,
    slug: str,
    detail: str,
    *,
    run_id: str = "",
    headers: dict[str, str] | None = None,
) -> web.Response:
    return problems.answer(
        status,
        slug,
        detail,
        instance=request.rel_url.raw_path,
        run_id=run_id,
        request_id=request[REQUEST_ID] if status >= 500 else "",
        headers=headers,
    )


def _page(request: web.Request) -> tuple[int, int]:
    limit = shared.whole_number(request, "limit", default=100, least=1, most=MOST)
    return limit, shared.whole_number(request, "offset", default=0)


def _digest(job_id: str, params: dict[str, str], tenant: str) -> str:
    """Another where anything else is asked for."""
    asked = tables.compact([job_id, sorted(params.items()), tenant])
    return hashlib.sha256(asked.encode(errors="surrogatepass")).hexdigest()


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_LIMIT = Parameter(name="limit", type="integer", about=f"So many at most: 1 to {MOST}, 100 when not given.")
_OFFSET = Parameter(name="offset", type="integer", about="How many to pass over.")
_COMES_BACK = (
    Parameter(name="Last-Event-ID", place="header", about="The `id` of the last event received: go on after it."),
    Parameter(name="last_event_id", about="The same, where no header can be set."),
)

ROUTES = (
    Route(
        method="GET",
        path=f"{PREFIX}/jobs",
        handler=list_jobs,
        needs=Permission.FLOWS_VIEW,
        summary="All jobs of all sources: the saved flows",
        answers=models.JobList,
        parameters=(
            Parameter(name="source", about="Only jobs of this source."),
            Parameter(name="namespace", about="Only jobs in this namespace."),
        ),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/jobs/{{job_id}}",
        deep="job_id",
        handler=get_job,
        needs=Permission.FLOWS_VIEW,
        summary="A job, and what a run of it takes; `namespace/name` with its slash as it is, or as `%2F`",
        answers=models.JobDetails,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/runs",
        handler=create_run,
        needs=Permission.FLOWS_RUN,
        summary="Run a job; with `async` false the answer comes when the run is over",
        reads=models.NewRun,
        answers=models.StartedRun,
        status=201,
        parameters=(
            Parameter(
                name="Idempotency-Key",
                place="header",
                about="A repeated request with the same key answers with the first run, and `Idempotent-Replay: true`.",
            ),
        ),
        optional_body=False,
        lasting=True,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/runs",
        handler=list_runs,
        needs=Permission.RUNS_VIEW,
        summary="Runs, newest first",
        answers=models.RunList,
        parameters=(
            Parameter(name="job_id", about="Only runs of this job."),
            Parameter(name="status", about="Only runs with this status.", choices=wire.STATUSES),
            _LIMIT,
            _OFFSET,
        ),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/runs/{{run_id}}",
        handler=get_run,
        needs=Permission.RUNS_VIEW,
        summary="A run as it stands, with what it was given and what came of it",
        answers=models.RunDetails,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/runs/{{run_id}}/logs",
        handler=run_logs,
        needs=Permission.RUNS_VIEW,
        token_in_query=True,
        summary="The lines that a run's steps wrote: a list, or live as server-sent events named `log`",
        answers=models.LogList,
        parameters=(
            Parameter(name="follow", type="boolean", about="Server-sent events, until the run has ended."),
            Parameter(name="since", about="Only lines of this time or later, as RFC 3339 writes it."),
            *_COMES_BACK,
        ),
        lasting=True,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/runs/{{run_id}}/cancel",
        handler=cancel_run,
        needs=Permission.RUNS_CANCEL,
        summary="Stop a run at once; one that is over is answered as it is",
        answers=models.CancelledRun,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/artifacts",
        handler=list_artifacts,
        needs=Permission.RUNS_VIEW,
        summary="What steps made and is still kept, the newest run's first",
        answers=models.ArtifactList,
        parameters=(Parameter(name="run_id", about="Only of this run."), _LIMIT, _OFFSET),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/artifacts/{{artifact_id}}",
        handler=get_artifact,
        needs=Permission.RUNS_VIEW,
        summary="An artifact's bytes, or a range of them; of a collection the list of its items as JSON",
        media="application/octet-stream",
        lasting=True,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/health",
        handler=health,
        needs=None,
        summary="Whether all that the server needs answers; 503 where something does not",
        answers=models.Health,
        uncounted=True,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/system/info",
        handler=system_info,
        needs=Permission.SETTINGS_VIEW,
        summary="What this server is, and where its jobs come from",
        answers=models.SystemInfo,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/events/runs",
        handler=stream.run_events,
        needs=Permission.RUNS_VIEW,
        token_in_query=True,
        summary="What happens in runs, as server-sent events: in one from its beginning, in all from now on",
        answers=models.Event,
        media="text/event-stream",
        parameters=(
            Parameter(name="run_id", about="Only of this run, from its beginning to its end."),
            Parameter(name="job_id", about="Only of runs of this job."),
            *_COMES_BACK,
        ),
        lasting=True,
    ),
)

SURFACE = shared.Surface(
    name="flwd",
    about="Jobs, runs, artifacts and events, as flwd's REST API describes them.",
    prefixes=tuple(f"{PREFIX}/{step}" for step in ("jobs", "runs", "artifacts", "health", "system", "events")),
    routes=ROUTES,
    problem=problems.write,
    problem_model=models.ProblemDetails,
    problem_media=problems.MEDIA,
    rates=True,
    also=(models.RunEvent, models.StepStarted, models.StepFinished, models.Output, models.LogLine),
)
"""Under `/api/v1`, beside the native surface."""
