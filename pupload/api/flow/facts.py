"""Known facts over the wire: listed, said and forgotten."""

from typing import Any

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import web as shared
from pupload.api.flow import answering, fact_models, reading
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import knowledge
from pupload.domain.access import Permission
from pupload.domain.knowledge import Fact, Scope

MOST = 1000
"""On one page."""


async def list_facts(request: web.Request) -> web.Response:
    scope = request.query.get("scope", "")
    if scope and scope not in tuple(Scope):
        raise errors.Malformed(reason=f"scope must be one of {', '.join(Scope)}")
    page = await request.app[SERVICES].knowledge.list(
        scope=Scope(scope) if scope else None,
        kind=request.query.get("type") or None,
        limit=shared.whole_number(request, "limit", default=100, most=MOST),
        offset=shared.whole_number(request, "offset", default=0),
    )
    return answering.answer(fact_models.FactList(Facts=[_view(fact) for fact in page.facts], Total=page.total))


async def say_fact(request: web.Request) -> web.Response:
    asked = await shared.read_document(request, _read)
    said = {"key": request.match_info["key"], "value": asked.Value, "scope": asked.Scope, "fact_type": asked.Type}
    try:
        saying = knowledge.checked({**said, "confidence": asked.Confidence})
    except ValueError as error:
        raise errors.Malformed(reason=str(error)) from None
    return answering.answer(_view(await request.app[SERVICES].knowledge.say(saying)))


async def forget_fact(request: web.Request) -> web.Response:
    found = await request.app[SERVICES].knowledge.get(request.match_info["fact"])
    await request.app[SERVICES].knowledge.forget([found.id])
    return web.Response(status=204)


def _read(document: Any) -> fact_models.SayFact:
    return reading.read(fact_models.SayFact, document, warnings=[])


def _view(fact: Fact) -> fact_models.Fact:
    return fact_models.Fact(
        ID=fact.id,
        Scope=fact.scope,
        Key=fact.key,
        Value=msgspec.Raw(fact.written.encode()),
        Type=fact.type,
        Confidence=fact.confidence,
        TimesConfirmed=fact.times_confirmed,
        AccessCount=fact.access_count,
        Account=fact.account,
        Flow=fact.flow or msgspec.UNSET,
        Run=fact.run or msgspec.UNSET,
        CreatedAt=fact.created_at,
        UpdatedAt=fact.updated_at,
    )


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_FACTS = "/api/v1/flow/facts"

ROUTES = (
    Route(
        method="GET",
        path=_FACTS,
        handler=list_facts,
        needs=Permission.RUNS_VIEW,
        summary="What runs left behind for later ones, the last said first",
        answers=fact_models.FactList,
        parameters=(
            Parameter(name="scope", about="Only those of this scope.", choices=tuple(Scope)),
            Parameter(name="type", about="Only those of this type.", choices=knowledge.TYPES),
            Parameter(name="limit", type="integer", about=f"So many at most, 100 when not given, {MOST} at most."),
            Parameter(name="offset", type="integer", about="How many to pass over."),
        ),
    ),
    Route(
        method="PUT",
        path=f"{_FACTS}/{{key}}",
        handler=say_fact,
        needs=Permission.FLOWS_RUN,
        summary="Say what runs know from now on",
        reads=fact_models.SayFact,
        answers=fact_models.Fact,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{_FACTS}/{{fact}}",
        handler=forget_fact,
        needs=Permission.FLOWS_RUN,
        summary="Forget a fact, by its id",
    ),
)
