"""
What happens in all runs, over the wire: server-sent events, and a WebSocket.

What is sent of an event is written once for all who follow. Neither keeps a queue for anybody: a slow reader of events
is given the rest as it takes it; a WebSocket that falls too far behind is closed, and says where to go on.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Any, cast

from aiohttp import WSCloseCode, WSMsgType, web

from pupload import errors, ports
from pupload.api import web as shared
from pupload.api.flow import happenings, models, stream, wire
from pupload.api.web import SERVER, SERVICES, Parameter, Route
from pupload.domain import events
from pupload.service.feed import Group, Told, Wanted

PREFIX = "/api/v1"

PING_SECONDS = 30.0
"""How often a WebSocket is asked whether it lives; half of that it has for an answer."""

_RETRY_MILLISECONDS = 2000
_MOST_BYTES = 4096
"""Of a message from a client, all of which are passed over."""

log = logging.getLogger(__name__)


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
    return b"id: %s\n%s" % (str(news.place).encode(), stream.frame(kind(news), wire.encode(write(news))))


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

        async def ending() -> str:
            return "CLOSED"

        return await stream.events(
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
    answer = web.WebSocketResponse(heartbeat=PING_SECONDS, compress=False, max_msg_size=_MOST_BYTES)
    if not answer.can_prepare(request):
        raise errors.Malformed(reason="this path speaks WebSocket: ask for an upgrade of the connection")
    logs = _logs(request, default=True)
    async with await _followed(request, after=request.query.get("after", ""), logs=logs, patient=False) as groups:
        first = await anext(groups)
        await answer.prepare(request)
        telling = asyncio.ensure_future(_tell(answer, first, groups))
        listening = asyncio.ensure_future(_listen(answer))
        closing = asyncio.ensure_future(request.app[SERVER].closing.wait())
        tasks: set[asyncio.Future[Any]] = {telling, listening, closing}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            code, reason = _why(telling, closing)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await _say_good_bye(request, answer, code, reason)
    return answer


async def _tell(answer: web.WebSocketResponse, first: Group, groups: AsyncIterator[Group]) -> None:
    """Sends whatever happens. Ends only by an error."""
    group = first
    while True:
        for told in group.told:
            async with asyncio.timeout(stream.STALLED_SECONDS):
                await answer.send_frame(told.written(message), WSMsgType.TEXT)
        group = await anext(groups)


async def _listen(answer: web.WebSocketResponse) -> None:
    """Passes over what the client says, until it says no more."""
    async for _ in answer:
        pass


def _why(telling: "asyncio.Future[None]", closing: "asyncio.Future[Any]") -> tuple[int, str]:
    """With what code a socket is closed, and why; 0 for a client that is gone."""
    if closing.done():
        return WSCloseCode.GOING_AWAY, "the server goes down"
    if not telling.done():
        return WSCloseCode.OK, ""
    error = telling.exception()
    if isinstance(error, errors.FellBehind | errors.CursorExpired):
        return WSCloseCode.TRY_AGAIN_LATER, error.message
    if isinstance(error, ConnectionError | TimeoutError):
        return 0, ""
    log.error("a WebSocket broke", exc_info=error)
    return WSCloseCode.INTERNAL_ERROR, "something went wrong here; the server's log tells more"


async def _say_good_bye(request: web.Request, answer: web.WebSocketResponse, code: int, reason: str) -> None:
    if code:
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(1.0):
                await answer.close(code=code, message=reason.encode()[:120], drain=False)
                return
    if request.transport is not None:
        request.transport.abort()


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
        summary="The same as a WebSocket: messages of JSON with `ID`, `Event` and `Data`; lines unless `logs` is false",
        answers=models.FeedLine,
        parameters=(*_WHICH, Parameter(name="logs", type="boolean", about="Whether lines come, too."), _AFTER),
        lasting=True,
    ),
)
