"""
What happens in all runs, over the wire: server-sent events, and a WebSocket.

What is sent of an event is written once for all who follow. Neither keeps a queue for anybody: a slow reader of events
is given the rest as it takes it; a WebSocket that falls too far behind is closed, and says where to go on.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from aiohttp import web

from pupload import ports
from pupload.api import sockets, streams
from pupload.api import web as shared
from pupload.api.flow import happenings, models, wire
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import events
from pupload.domain.access import Permission
from pupload.service.feed import Group, Told, Wanted

PREFIX = "/api/v1"

_RETRY_MILLISECONDS = 2000

# ── What is written ──────────────────────────────────────────────────────────────────────────────────────────────


def write(news: ports.News) -> models.FeedEntry | models.FeedLine:
    """An event, or a log line, with the run and the flow that it is of."""
    what = news.what
    if isinstance(what, ports.LogRecord):
        line = wire.write_log(what)
        told = {name: getattr(line, name) for name in line.__struct_fields__}
        return models.FeedLine(Run=what.run, Flow=news.flow, FlowID=news.flow_id, **told)
    entry = happenings.write(what)
    return models.FeedEntry(
        Run=what.run,
        Flow=news.flow,
        FlowID=news.flow_id,
        Seq=entry.Seq,
        At=entry.At,
        Kind=entry.Kind,
        Data=entry.Data,
    )


def kind(news: ports.News) -> str:
    """The name of the event; `log` for a line."""
    return "log" if isinstance(news.what, ports.LogRecord) else events.name_of(news.what.event)


def frame(news: ports.News) -> bytes:
    """A server-sent event."""
    return b"id: %s\n%s" % (str(news.place).encode(), streams.frame(kind(news), wire.encode(write(news))))


def message(news: ports.News) -> bytes:
    """The text of a WebSocket's message."""
    return b'{"ID":"%s","Event":"%s","Data":%s}' % (
        *(str(news.place).encode(), kind(news).encode()),
        wire.encode(write(news)),
    )


# ── Server-sent events ───────────────────────────────────────────────────────────────────────────────────────────


async def all_events(request: web.Request) -> web.StreamResponse:
    after = request.headers.get("Last-Event-ID") or request.query.get("after", "")
    async with await _followed(request, after=after, logs=_logs(request, default=False), patient=True) as groups:
        first = await anext(groups)
        place = [first.cursor.encode()]

        async def batches() -> AsyncIterator[Sequence[Told]]:
            yield first.told
            async for group in groups:
                place[0] = group.cursor.encode()
                yield group.told

        async def ending() -> bytes:
            return streams.frame("end", wire.encode(models.StreamEnd(Status="CLOSED")))

        return await streams.events(
            request,
            batches(),
            write=lambda told: told.written(frame),
            ending=ending,
            hello=b"retry: %d\n%s: hello\n\n" % (_RETRY_MILLISECONDS, b"" if first.told else b"id: %s\n" % place[0]),
            alive=lambda: b"id: %s\n: still here\n\n" % place[0],
        )


async def _followed(request: web.Request, *, after: str, logs: bool, patient: bool) -> Any:
    wanted = await _wanted(request)
    groups = request.app[SERVICES].feed.follow(after=after, wanted=wanted, logs=logs, patient=patient)
    return aclosing(cast(AsyncGenerator[Group, None], groups))


async def _wanted(request: web.Request) -> Wanted | None:
    run_id, flow = request.query.get("run", ""), request.query.get("flow", "")
    if run_id:
        run_id = (await request.app[SERVICES].runs.find(run_id)).id
    if not run_id and not flow:
        return None

    def wanted(news: ports.News) -> bool:
        return run_id in ("", news.what.run) and flow in ("", news.flow, news.flow_id)

    return wanted


def _logs(request: web.Request, *, default: bool) -> bool:
    return shared.flag(request, "logs", default=default)


# ── WebSocket ────────────────────────────────────────────────────────────────────────────────────────────────────


async def socket(request: web.Request) -> web.StreamResponse:
    answer = sockets.upgrade(request)
    logs = _logs(request, default=True)
    async with await _followed(request, after=request.query.get("after", ""), logs=logs, patient=False) as groups:
        return await sockets.tell(request, answer, groups, lambda told: (told.written(message),))


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_WHICH = (
    Parameter(name="run", about="Only of this run."),
    Parameter(name="flow", about="Only of runs of the flow with this name, or this id."),
)
_AFTER = Parameter(name="after", about="Go on after the event with this `id`, in place of from now on.")

ROUTES = (
    Route(
        method="GET",
        path=f"{PREFIX}/flow/events",
        handler=all_events,
        needs=Permission.RUNS_VIEW,
        token_in_query=True,
        summary="Everything that happens in all runs from now on, as server-sent events named for their kind",
        answers=models.FeedEntry,
        media="text/event-stream",
        parameters=(
            *_WHICH,
            Parameter(name="logs", type="boolean", about="The lines that nodes write as well, as events named `log`."),
            _AFTER,
            Parameter(
                name="Last-Event-ID",
                place="header",
                about="The same, from a client that comes back; 410 where what came then is not known any more.",
            ),
        ),
        lasting=True,
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/flow/ws",
        handler=socket,
        needs=Permission.RUNS_VIEW,
        token_in_query=True,
        summary="The same as a WebSocket: messages of JSON with `ID`, `Event` and `Data`; lines unless `logs` is false",
        answers=models.FeedLine,
        parameters=(*_WHICH, Parameter(name="logs", type="boolean", about="Whether lines come, too."), _AFTER),
        lasting=True,
    ),
)
