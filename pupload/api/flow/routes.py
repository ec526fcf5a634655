"""The native surface's table of routes. A route reads, asks the service, writes."""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from pupload import errors, ports
from pupload.api import exporting, streams
from pupload.api import web as shared
from pupload.api.flow import (
    accounts,
    answering,
    approving,
    asking,
    credentials,
    drawings,
    dry_runs,
    facts,
    feeding,
    happenings,
    models,
    overview,
    problems,
    queue,
    remembered,
    replaying,
    saved,
    schedules,
    secrets,
    sources,
    tables,
    telling,
    waiting,
    wire,
)
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import events, run
from pupload.domain.access import Permission
from pupload.service import uploads, views

PREFIX = "/api/v1"

MOST_RUNS = 1000
"""On one page of the list."""

MOST_ITEMS = 1000
"""On one page of a run's items."""

_run, _answer, _idempotency_key, _KEY = answering.run, answering.answer, answering.idempotency_key, answering.KEY


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def start_run(request: web.Request) -> web.Response:
    key = _idempotency_key(request)
    order = await shared.read_document(request, wire.read_order)
    at_most = waiting.seconds(request)
    view = await request.app[SERVICES].runs.start(order, idempotency_key=key)
    return await _run(request, view, wait_seconds=at_most)


async def validate(request: web.Request) -> web.Response:
    order = await shared.read_document(request, wire.read_order)
    found = await request.app[SERVICES].runs.validate(order)
    answer = models.Validation(
        Valid=not any(each.is_error for each in found),
        Findings=wire.write_findings(found),
        MoreFindings=wire.more_findings(found),
        Warnings=list(order.warnings),
    )
    return _answer(answer)


async def status(request: web.Request) -> web.Response:
    run_id, items = request.match_info["flowRunID"], _items(request)
    return await _run(request, await request.app[SERVICES].runs.status(run_id, items))


def _items(request: web.Request) -> views.Items | None:
    """Those that are asked for; None where none are."""
    node, edge = request.query.get("node", ""), request.query.get("edge", "")
    if not node and not edge:
        return None
    limit = shared.whole_number(request, "limit", default=100, least=1, most=MOST_ITEMS)
    return views.Items(node=node, edge=edge, offset=shared.whole_number(request, "offset", default=0), limit=limit)


async def list_runs(request: web.Request) -> web.Response:
    limit = shared.whole_number(request, "limit", default=100, least=1, most=MOST_RUNS)
    offset = shared.whole_number(request, "offset", default=0)
    page = await request.app[SERVICES].runs.list(
        status=_status(request.query.get("status", "")),
        flow=request.query.get("flow"),
        flow_id=await saved.of_query(request),
        limit=limit,
        offset=offset,
    )
    return _answer(wire.write_page(page, limit=limit, offset=offset))


async def cancel(request: web.Request) -> web.Response:
    mode = await shared.read_document(request, wire.read_cancel, optional=True)
    return await _run(request, await request.app[SERVICES].runs.cancel(request.match_info["flowRunID"], mode=mode))


async def resume(request: web.Request) -> web.Response:
    key, old = _idempotency_key(request), request.match_info["flowRunID"]
    node = await shared.read_document(request, wire.read_resume, optional=True)
    return await _run(request, await request.app[SERVICES].runs.resume(old, from_node=node, idempotency_key=key))


async def replay(request: web.Request) -> web.Response:
    key, old = _idempotency_key(request), request.match_info["flowRunID"]
    edits = await shared.read_document(request, replaying.read, optional=True)
    return await _run(request, await request.app[SERVICES].runs.replay(old, edits, idempotency_key=key))


async def why(request: web.Request) -> web.Response:
    run_id, node = request.match_info["flowRunID"], request.match_info["node"]
    return _answer(remembered.write_why(await request.app[SERVICES].runs.why(run_id, node)))


async def purge(request: web.Request) -> web.Response:
    await request.app[SERVICES].runs.purge(request.match_info["flowRunID"])
    return web.Response(status=204)


async def logs(request: web.Request) -> web.StreamResponse:
    run_id, query = request.match_info["flowRunID"], request.query
    follow = shared.flag(request, "follow", default=False)
    since = _since(request, "since")
    attempt = shared.whole_number(request, "attempt", default=0)
    runs = request.app[SERVICES].runs
    level, as_text = exporting.read_level(query.get("level", "")), _format(request) == "text"
    found = await runs.find(run_id)
    ended = found.status.terminal
    follow = follow and not as_text
    batches = runs.logs(run_id, node=query.get("node"), attempt=attempt or None, since=since, follow=follow)
    if as_text:
        return await exporting.download(request, batches, name=f"{found.id}-logs.txt", level=level)
    if not follow:
        return await streams.listing(
            request,
            batches,
            opening=b'{"Logs":[',
            write=lambda record: wire.encode(wire.write_log(record)),
            closing=lambda last: b'],"Next":%d}' % (last.cursor if last else since),
        )
    if ended and _comes_back(request):
        return await streams.events_or_nothing(request, batches, write=_log_frame, ending=_ending(request))
    return await streams.events(request, batches, write=_log_frame, ending=_ending(request))


async def journal(request: web.Request) -> web.StreamResponse:
    run_id = request.match_info["flowRunID"]
    after = _since(request, "after")
    follow = shared.flag(request, "follow", default=True)
    runs = request.app[SERVICES].runs
    ended = (await runs.find(run_id)).status.terminal
    batches = runs.events(run_id, after=after, follow=follow)
    if ended and _comes_back(request):
        return await streams.events_or_nothing(request, batches, write=_entry_frame, ending=_ending(request))
    return await streams.events(request, batches, write=_entry_frame, ending=_ending(request))


def _format(request: web.Request) -> str:
    form = request.query.get("format", "") or "json"
    if form not in ("json", "text"):
        raise errors.Malformed(reason='format must be "json" or "text"')
    return form


def _log_frame(record: ports.LogRecord) -> bytes:
    return streams.frame("log", wire.encode(wire.write_log(record)), cursor=record.cursor)


def _entry_frame(entry: ports.Entry) -> bytes:
    return streams.frame(events.name_of(entry.event), wire.encode(happenings.write(entry)), cursor=entry.seq)


def _ending(request: web.Request) -> Callable[[], Awaitable[bytes]]:
    async def end() -> bytes:
        try:
            status = str((await request.app[SERVICES].runs.find(request.match_info["flowRunID"])).status.value)
        except errors.UnknownRun:
            status = "PURGED"
        return streams.frame("end", wire.encode(models.StreamEnd(Status=status)))

    return end


def _since(request: web.Request, name: str) -> int:
    """Where to go on: a client that comes back says it in `Last-Event-ID`."""
    if _comes_back(request):
        return shared.check_whole_number(request.headers["Last-Event-ID"], "Last-Event-ID", default=0)
    return shared.whole_number(request, name, default=0)


def _comes_back(request: web.Request) -> bool:
    return "Last-Event-ID" in request.headers


def _status(text: str) -> run.Status | None:
    if not text:
        return None
    try:
        return run.Status(text.upper())
    except ValueError:
        raise errors.Malformed(reason=f"status must be one of {', '.join(run.Status)}") from None


# ── Uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def renew_upload(request: web.Request) -> web.Response:
    size = await shared.read_document(request, wire.read_upload_size, optional=True)
    ticket = await request.app[SERVICES].uploads.renew(*_edge(request), size=size)
    return _answer(wire.write_upload(ticket, origin=shared.origin(request)))


async def complete_upload(request: web.Request) -> web.Response:
    upload_id = await shared.read_document(request, wire.read_upload_complete, optional=True)
    return await _run(request, await request.app[SERVICES].uploads.complete(*_edge(request), upload_id=upload_id))


async def abort_upload(request: web.Request) -> web.Response:
    upload_id = await shared.read_document(request, wire.read_upload_abort)
    await request.app[SERVICES].uploads.abort(*_edge(request), upload_id=upload_id)
    return web.Response(status=204)


async def receive(request: web.Request) -> web.Response:
    view = await request.app[SERVICES].uploads.receive(
        *_edge(request),
        shared.pieces(request),
        size=request.content_length,
        signed=_signed(request),
        token=request.query.get("token", ""),
    )
    return await _run(request, view)


def _signed(request: web.Request) -> uploads.Signed:
    return uploads.Signed(
        plain=request.headers.get("X-Pupload-Signature", ""),
        message_id=request.headers.get("webhook-id", ""),
        timestamp=request.headers.get("webhook-timestamp", ""),
        signatures=request.headers.get("webhook-signature", ""),
    )


def _edge(request: web.Request) -> tuple[str, str]:
    return request.match_info["flowRunID"], request.match_info["edge"]


# ── Callbacks ────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_callbacks(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].callbacks.of_run(request.match_info["flowRunID"])
    return _answer(telling.write_deliveries(found))


async def send_callback_again(request: web.Request) -> web.Response:
    run_id, delivery_id = request.match_info["flowRunID"], request.match_info["deliveryID"]
    return _answer(telling.write_delivery(await request.app[SERVICES].callbacks.send_again(run_id, delivery_id)))


# ── Projects ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def get_project(request: web.Request) -> web.Response:
    project_id = wire.read_project_id(request.match_info["projectID"])
    return _answer(wire.write_project(await request.app[SERVICES].projects.get(project_id)))


async def put_project(request: web.Request) -> web.Response:
    project_id = wire.read_project_id(request.match_info["projectID"])
    project = await shared.read_document(request, partial(wire.read_project, project_id=project_id))
    await request.app[SERVICES].projects.put(project)
    return _answer(wire.write_project(project))


async def start_project_flow(request: web.Request) -> web.Response:
    project_id = wire.read_project_id(request.match_info["projectID"])
    key = _idempotency_key(request)
    params = await shared.read_document(request, wire.read_params, optional=True)
    view = await request.app[SERVICES].projects.start(
        project_id, request.match_info["flowName"], params=params, idempotency_key=key
    )
    return await _run(request, view)


async def list_nodes(request: web.Request) -> web.Response:
    known = await request.app[SERVICES].nodes.all()
    return _answer(models.NodeDefList(NodeDefs=[wire.write_definition(each) for each in known]))


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_LAST = Parameter(
    name="Last-Event-ID", place="header", type="integer", about="The id of the last event received: go on after it."
)

ROUTES = (
    Route(
        method="POST",
        path=f"{PREFIX}/flow/test",
        handler=start_run,
        needs=Permission.RUNS_START,
        summary="Run a flow, and answer at once",
        reads=models.TestFlow,
        answers=models.FlowRun,
        parameters=(_KEY, *waiting.PARAMETERS),
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/flow/validate",
        handler=validate,
        needs=Permission.FLOWS_VIEW,
        summary="Say what is wrong with a flow; run nothing",
        reads=models.TestFlow,
        answers=models.Validation,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/flow/status/{{flowRunID}}",
        handler=status,
        needs=Permission.RUNS_VIEW,
        summary="A run as it stands",
        answers=models.FlowRun,
        parameters=(
            Parameter(name="node", about="Only the items that this node runs for, a page of them."),
            Parameter(name="edge", about="Only the items of the collection on this edge, a page of them."),
            Parameter(name="limit", type="integer", about=f"So many items at most: 1 to {MOST_ITEMS}, else 100."),
            Parameter(name="offset", type="integer", about="How many items to pass over."),
        ),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/flow/list",
        handler=list_runs,
        needs=Permission.RUNS_VIEW,
        summary="Runs, newest first",
        answers=models.RunList,
        parameters=(
            Parameter(name="status", about="Only runs with this status.", choices=tuple(run.Status)),
            Parameter(name="flow", about="Only runs of flows that have this name themselves."),
            Parameter(name="saved", about="Only runs of the saved flow with this id, or `namespace/name`."),
            Parameter(name="limit", type="integer", about=f"So many at most: 1 to {MOST_RUNS}, 100 when not given."),
            Parameter(name="offset", type="integer", about="How many to pass over."),
        ),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/flow/cancel/{{flowRunID}}",
        handler=cancel,
        needs=Permission.RUNS_CANCEL,
        summary="Stop a run; one that has ended is answered as it is",
        reads=models.Cancel,
        answers=models.FlowRun,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/flow/resume/{{flowRunID}}",
        handler=resume,
        needs=Permission.RUNS_RESUME,
        summary="A new run that goes on where a failed or stopped one ended",
        reads=models.Resume,
        answers=models.FlowRun,
        parameters=(_KEY,),
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/flow/replay/{{flowRunID}}",
        handler=replay,
        needs=Permission.RUNS_START,
        summary="A new run of an ended one's flow with changes: only what they concern runs, the rest is taken over",
        reads=models.Replay,
        answers=models.FlowRun,
        parameters=(_KEY,),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/flow/why/{{flowRunID}}/{{node}}",
        handler=why,
        needs=Permission.RUNS_VIEW,
        summary="Why a node ran, or did not: whether its work was done before, and what was otherwise",
        answers=models.Why,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/flow/purge/{{flowRunID}}",
        handler=purge,
        needs=Permission.RUNS_PURGE,
        summary="Delete a run that has ended, with its objects, its journal and its logs; 409 for one that goes on",
    ),
    *saved.ROUTES,
    *schedules.ROUTES,
    *credentials.ROUTES,
    *drawings.ROUTES,
    *sources.ROUTES,
    Route(
        method="GET",
        path=f"{PREFIX}/flow/logs/{{flowRunID}}",
        handler=logs,
        needs=Permission.RUNS_VIEW,
        token_in_query=True,
        summary="The lines that a run's nodes wrote: a list, or live as server-sent events",
        answers=models.LogPage,
        parameters=(
            Parameter(name="node", about="Only lines of this node."),
            Parameter(name="attempt", type="integer", about="Only lines of this attempt."),
            Parameter(name="since", type="integer", about="Only lines after this cursor."),
            Parameter(name="follow", type="boolean", about="Server-sent events (`log`), until the run has ended."),
            Parameter(
                name="format",
                about="With `text` a file: a time, level, node and message in each line.",
                choices=("json", "text"),
            ),
            Parameter(name="level", about="Of such a file, only lines of this level.", choices=exporting.LEVELS),
            _LAST,
        ),
        lasting=True,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/flow/events/{{flowRunID}}",
        handler=journal,
        needs=Permission.RUNS_VIEW,
        token_in_query=True,
        summary="Everything that happens in a run, as server-sent events named for their kind",
        answers=models.JournalEntry,
        media="text/event-stream",
        parameters=(
            Parameter(name="after", type="integer", about="Only events after this number."),
            Parameter(name="follow", type="boolean", about="With false the stream ends when all so far was told."),
            _LAST,
        ),
        lasting=True,
    ),
    *feeding.ROUTES,
    Route(
        method="GET",
        path=f"{PREFIX}/flow/callbacks/{{flowRunID}}",
        handler=list_callbacks,
        needs=Permission.RUNS_VIEW,
        summary="Who was told that a run is over, and who could not be",
        answers=models.DeliveryList,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/flow/callbacks/{{flowRunID}}/{{deliveryID}}/resend",
        handler=send_callback_again,
        needs=Permission.RUNS_RESUME,
        summary="Send a callback again at once, whatever became of it",
        answers=models.Delivery,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/upload/{{flowRunID}}/{{edge}}",
        handler=renew_upload,
        needs=Permission.RUNS_UPLOAD,
        summary="A fresh URL for an edge that waits, or a plan for an upload in parts",
        reads=models.UploadRequest,
        answers=models.Upload,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/upload/{{flowRunID}}/{{edge}}/complete",
        handler=complete_upload,
        needs=Permission.RUNS_UPLOAD,
        summary="The object is there: look at once",
        reads=models.UploadComplete,
        answers=models.FlowRun,
        lasting=True,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/upload/{{flowRunID}}/{{edge}}/abort",
        handler=abort_upload,
        needs=Permission.RUNS_UPLOAD,
        summary="Give up an upload in parts",
        reads=models.UploadAbort,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/upload/{{flowRunID}}/{{edge}}/receive",
        handler=receive,
        needs=None,
        summary="The object of an edge whose source is a webhook: the body, as it is",
        reads=bytes,
        answers=models.FlowRun,
        parameters=(
            Parameter(name="token", about="As in the URL that the run's `WaitingURLs` gave out."),
            Parameter(
                name="X-Pupload-Signature",
                place="header",
                about="`sha256=` and the HMAC-SHA256 of the body, where the well has a secret.",
            ),
            *(
                Parameter(
                    name=name, place="header", about="In place of it: as Standard Webhooks sign, not older than 5 min."
                )
                for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
            ),
        ),
        lasting=True,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/project/{{projectID}}",
        handler=get_project,
        needs=Permission.FLOWS_VIEW,
        summary="A stored project, its secrets masked",
        answers=models.ProjectAnswer,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/project/{{projectID}}",
        handler=put_project,
        needs=Permission.FLOWS_EDIT,
        summary="Store a project, in place of an earlier one",
        reads=models.Project,
        answers=models.ProjectAnswer,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/project/{{projectID}}/flows/{{flowName}}",
        handler=start_project_flow,
        needs=Permission.FLOWS_RUN,
        summary="Run a flow of a stored project",
        reads=models.RunParams,
        answers=models.FlowRun,
        parameters=(_KEY,),
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/node/list",
        handler=list_nodes,
        needs=Permission.FLOWS_VIEW,
        summary="The node definitions that every flow may use",
        answers=models.NodeDefList,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/secret/list",
        handler=secrets.list_secrets,
        needs=Permission.CREDENTIALS_VIEW,
        summary="The names of the secrets that flows may name, and when each was set; never a value",
        answers=models.SecretList,
    ),
    Route(
        method="POST",
        path=f"{PREFIX}/secret/rotate",
        handler=secrets.rotate_secrets,
        needs=Permission.SETTINGS_EDIT,
        summary="Encrypt everything that is kept secret anew, with a new key unless `NewKey` is false",
        reads=models.Rotation,
        answers=models.Rotated,
        lasting=True,
    ),
    Route(
        method="PUT",
        path=f"{PREFIX}/secret/{{name}}",
        handler=secrets.put_secret,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Set a secret, in place of an earlier one of the name",
        reads=models.SecretValue,
        answers=models.SecretLine,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{PREFIX}/secret/{{name}}",
        handler=secrets.remove_secret,
        needs=Permission.CREDENTIALS_EDIT,
        summary="Remove a secret",
    ),
    *tables.ROUTES,
    *dry_runs.ROUTES,
    *overview.ROUTES,
    *queue.ROUTES,
    *approving.ROUTES,
    *asking.ROUTES,
    *facts.ROUTES,
    *accounts.ROUTES,
)

SURFACE = shared.Surface(
    name="flow",
    about="Runs flows of containers on files.",
    prefixes=tuple(f"{PREFIX}/{step}" for step in ("flow", "node", "project", "secret", "upload")),
    routes=ROUTES,
    problem=problems.write,
    problem_model=models.Problem,
    also=(models.StreamEnd,),
)
