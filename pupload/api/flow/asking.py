"""Saved flows asked over the wire: a value in, and what comes of it out."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import web as shared
from pupload.api.flow import answering, models, reading, waiting
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import thread
from pupload.domain.access import Permission
from pupload.domain.run import Run
from pupload.service import results
from pupload.service.threads import MOST_MESSAGES

# ── What requests and answers hold ───────────────────────────────────────────────────────────────────────────────


class Question(models.Request):
    """
    What the flow is given: any JSON, or nothing. Where it waits for several uploads that is an object, with their edges
    as keys. With `Thread` the question and its answer are kept.
    """

    Input: Any = None
    Thread: bool = False


class Result(models.Answer, frozen=True, kw_only=True):
    """
    What came of a run. `Kind` is `none`, `text` (`Value` is that), `json` (what it says) or `reference`: it is to be
    had at `URL`.
    """

    Kind: str
    Edge: str
    Value: Any = None
    URL: str | msgspec.UnsetType = msgspec.UNSET
    ContentType: str | msgspec.UnsetType = msgspec.UNSET
    Size: int | msgspec.UnsetType = msgspec.UNSET


TheResult = Result


class FlowAnswer(models.Answer, frozen=True, kw_only=True):
    """How the run stands that a question has started, and what came of it once that is there."""

    ID: str
    Status: str
    Error: str
    Result: TheResult


class ThreadMessage(models.Answer, frozen=True, kw_only=True):
    """Something that was said, by `user` or `assistant`, and the run that it started or that came to it."""

    Role: str
    Text: str
    At: datetime
    Run: str


class ThreadHistory(models.Answer, frozen=True, kw_only=True):
    """The last that was said, the oldest first, and whether there was something before."""

    Messages: list[ThreadMessage]
    More: bool


# ── Routes ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def ask(request: web.Request) -> web.Response:
    at_most = waiting.seconds(request)
    asked = await shared.read_document(request, _read, optional=True)
    run = await request.app[SERVICES].questions.ask(_flow(request), asked.Input, kept=asked.Thread)
    if at_most:
        await waiting.until_over(request, run.id, at_most)
    return await _answer(request, run.id)


async def result(request: web.Request) -> web.Response:
    return await _answer(request, request.match_info["flowRunID"])


async def history(request: web.Request) -> web.Response:
    limit = shared.whole_number(request, "limit", default=100, least=0, most=MOST_MESSAGES)
    before = _moment(request.query.get("before", ""))
    said = await request.app[SERVICES].questions.history(_flow(request), before=before, limit=limit)
    return answering.answer(ThreadHistory(Messages=[_message(each) for each in said.messages], More=said.more))


async def forget(request: web.Request) -> web.Response:
    await request.app[SERVICES].questions.forget(_flow(request))
    return web.Response(status=204)


async def _answer(request: web.Request, run_id: str) -> web.Response:
    services = request.app[SERVICES]
    run = await services.runs.find(run_id)
    came = await services.results.of(run.id) if run.status.terminal else results.Result()
    return answering.answer(_written(run, came))


def _written(run: Run, came: results.Result) -> FlowAnswer:
    found = Result(Kind=came.kind.value, Edge=came.edge, Value=came.value)
    if came.kind is results.Kind.JSON:
        found = Result(Kind=came.kind.value, Edge=came.edge, Value=msgspec.Raw(came.written))
    elif isinstance(came.value, results.Reference):
        there, kind = came.value, came.kind.value
        found = Result(Kind=kind, Edge=came.edge, URL=there.url, ContentType=there.content_type, Size=there.size)
    return FlowAnswer(ID=run.id, Status=run.status.value, Error=run.error, Result=found)


def _message(this: thread.Message) -> ThreadMessage:
    return ThreadMessage(Role=this.role.value, Text=this.text, At=this.at, Run=this.run)


def _read(document: Any) -> Question:
    return reading.read(Question, document, warnings=[])


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise errors.Malformed(reason="before is no time: write it as 2026-03-03T12:00:00Z") from None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)


def _flow(request: web.Request) -> str:
    return request.match_info["flow"]


_SAVED = "/api/v1/flow/saved/{flow}"

ROUTES = (
    Route(
        method="POST",
        path=f"{_SAVED}/ask",
        handler=ask,
        needs=Permission.FLOWS_RUN,
        summary="Ask a saved flow: run it on a value, and answer with what came of it when it is over",
        reads=Question,
        answers=FlowAnswer,
        parameters=waiting.PARAMETERS,
    ),
    Route(
        method="GET",
        path="/api/v1/flow/result/{flowRunID}",
        handler=result,
        needs=Permission.RUNS_VIEW,
        summary="What came of a run, as a value: text and JSON themselves where they are small, else where they are",
        answers=FlowAnswer,
    ),
    Route(
        method="GET",
        path=f"{_SAVED}/thread",
        handler=history,
        needs=Permission.RUNS_VIEW,
        summary="What the caller and a saved flow said to each other",
        answers=ThreadHistory,
        parameters=(
            Parameter(name="limit", type="integer", about=f"So many messages at most: 100, up to {MOST_MESSAGES}."),
            Parameter(name="before", about="Only what was said before this time."),
        ),
    ),
    Route(
        method="DELETE",
        path=f"{_SAVED}/thread",
        handler=forget,
        needs=Permission.FLOWS_RUN,
        summary="Forget what the caller and a saved flow said to each other",
        status=204,
    ),
)
