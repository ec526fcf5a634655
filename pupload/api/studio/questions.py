"""
The GraphQL endpoint: what there is to ask, and how it is asked.

What a query may cost is bounded before any of it is carried out: how deep it goes, how many names it makes up, how
long it is.
"""

import logging
from collections.abc import Sequence
from html import escape
from typing import Any, cast

import msgspec
import strawberry
from aiohttp import hdrs, web
from graphql import GraphQLError
from strawberry.extensions import MaxAliasesLimiter, MaxTokensLimiter, QueryDepthLimiter
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionContext, Info
from strawberry.types.graphql import OperationType

from pupload import errors
from pupload.api import access, documents
from pupload.api.studio import bodies, models, problems, projects, running, wire
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain.access import Permission
from pupload.domain.run import Status
from pupload.service.namespaces import MAIN, NamespaceView

_log = logging.getLogger(__name__)

PATH = "/api/graphql"

MOST_DEPTH = 12
MOST_ALIASES = 20
MOST_TOKENS = 2000

ERROR = "error"
"""The status of what was not run."""


@strawberry.type(description="Flows that belong together.")
class Project:
    """See the schema."""

    name: str
    description: str
    created_at: str


@strawberry.type(description="What a project does by itself.")
class RuntimeStatus:
    """See the schema."""

    project: str
    status: str
    trigger_type: str | None
    consumers: int
    scheduler_active: bool


@strawberry.type(description="What came of a run: running, completed, failed, or error where nothing ran.")
class ExecutionResult:
    """See the schema."""

    execution_id: str
    status: str
    result: str | None
    duration_ms: float | None


# ── What can be asked ────────────────────────────────────────────────────────────────────────────────────────────


async def _projects(info: Info[Any, Any]) -> list[Project]:
    request = _allowed(info, Permission.FLOWS_VIEW)
    return [_project(each) for each in await request.app[SERVICES].namespaces.list()]


async def _one_project(info: Info[Any, Any], name: str) -> Project | None:
    request = _allowed(info, Permission.FLOWS_VIEW)
    try:
        return _project(await request.app[SERVICES].namespaces.find(name))
    except errors.UnknownNamespace:
        return None


async def _runtime(info: Info[Any, Any], project: str) -> RuntimeStatus:
    request = _allowed(info, Permission.SCHEDULES_VIEW)
    try:
        told = await projects.runtime(request.app[SERVICES], project)
    except errors.UnknownNamespace:
        return RuntimeStatus(
            project=project, status=wire.STOPPED, trigger_type=None, consumers=0, scheduler_active=False
        )
    return RuntimeStatus(**msgspec.structs.asdict(told))


async def _run_pipeline(info: Info[Any, Any], project: str, input: str) -> ExecutionResult:  # noqa: A002 (its name)
    request = _allowed(info, Permission.FLOWS_RUN)
    services = request.app[SERVICES]
    try:
        try:
            flow = (await services.namespaces.find(project)).flow()
        except errors.UnknownNamespace as error:
            raise errors.UnknownSavedFlow(flow=MAIN, namespace=project) from error
        this = await services.launches.flow(flow.id, input)
    except errors.Refused as error:
        said = running.why(error) if isinstance(error, errors.Invalid) else problems.sentence(error) or error.message
        return ExecutionResult(execution_id="", status=ERROR, result=said, duration_ms=None)
    this = await running.when_over(request, this)
    done = this.status is Status.COMPLETE
    return ExecutionResult(
        execution_id=wire.execution_id(this.id),
        status=wire.status(this.status),
        result=wire.text(await running.outcome(request, this)) if done else wire.failure(this),
        duration_ms=wire.duration(this),
    )


def _project(this: NamespaceView) -> Project:
    return Project(name=this.name, description=this.description, created_at=wire.moment(this.created_at))


def _allowed(info: Info[Any, Any], permission: Permission) -> web.Request:
    """The request. Raises `errors.Forbidden` unless whoever asks may do that."""
    request = cast(web.Request, info.context)
    access.check(request, permission)
    return request


@strawberry.type(description="What can be looked at.")
class Query:
    """See the schema."""

    projects: list[Project] = strawberry.field(resolver=_projects, description="All projects, by their names.")
    project: Project | None = strawberry.field(resolver=_one_project, description="One; null where there is none.")
    runtime_status: RuntimeStatus = strawberry.field(
        resolver=_runtime, description="What a project does by itself; one that is not there does nothing."
    )


@strawberry.type(description="What can be done.")
class Mutation:
    """See the schema."""

    run_pipeline: ExecutionResult = strawberry.field(
        resolver=_run_pipeline, description="Runs a project's pipeline on a text, and answers when it is over."
    )


class _Schema(strawberry.Schema):
    """Says nothing of what went wrong but to whoever asked."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:  # noqa: ARG002
        """Logs what nobody expects."""
        for error in errors:
            if _is_bug(error):
                _log.error("a GraphQL request failed", exc_info=error.original_error)


SCHEMA = _Schema(
    query=Query,
    mutation=Mutation,
    extensions=[
        lambda: QueryDepthLimiter(max_depth=MOST_DEPTH),
        lambda: MaxAliasesLimiter(max_alias_count=MOST_ALIASES),
        lambda: MaxTokensLimiter(max_token_count=MOST_TOKENS),
    ],
)


# ── How it is asked ──────────────────────────────────────────────────────────────────────────────────────────────


async def ask(request: web.Request) -> web.Response:
    try:
        asked = await bodies.read(request, models.Question)
    except errors.Malformed as error:
        return web.Response(status=400, text=f"{_NO_QUERY}: {error.message}")
    return await _answer(request, asked, (OperationType.QUERY, OperationType.MUTATION))


async def ask_in_url(request: web.Request) -> web.Response:
    query = request.query.get("query", "")
    if not query and "text/html" in request.headers.get(hdrs.ACCEPT, ""):
        return web.Response(body=_PAGE, content_type="text/html", charset="utf-8", headers=_PAGE_HEADERS)
    if not query:
        return web.Response(status=400, text=_NO_QUERY)
    try:
        given = documents.parse_json(request.query.get("variables", "null").encode())
        asked = bodies.understood(
            {"query": query, "variables": given, "operationName": request.query.get("operationName")}, models.Question
        )
    except errors.Malformed as error:
        return web.Response(status=400, text=error.message)
    return await _answer(request, asked, (OperationType.QUERY,))


async def _answer(request: web.Request, asked: models.Question, allowed: Sequence[OperationType]) -> web.Response:
    """Always 200: what went wrong is told in `errors`."""
    try:
        result = await SCHEMA.execute(
            asked.query,
            variable_values=asked.variables,
            operation_name=asked.operation_name,
            context_value=request,
            allowed_operation_types=allowed,
        )
    except (CannotGetOperationTypeError, InvalidOperationTypeError):
        return wire.answer({"data": None, "errors": [{"message": _OTHERWISE}]})
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_told(error) for error in result.errors]
    return wire.answer(answer)


def _told(error: GraphQLError) -> dict[str, Any]:
    """The error as its asker hears of it."""
    told: dict[str, Any] = {"message": _BUG if _is_bug(error) else error.message}
    if error.locations:
        told["locations"] = [{"line": each.line, "column": each.column} for each in error.locations]
    if error.path:
        told["path"] = error.path
    return told


def _is_bug(error: GraphQLError) -> bool:
    cause = error.original_error
    return cause is not None and not isinstance(cause, GraphQLError | errors.Refused | errors.TryLater)


_NO_QUERY = "No GraphQL query found in the request"

_OTHERWISE = "a query is asked for by GET or POST, a mutation by POST; there is no subscription"

_BUG = "something went wrong here; the server's log tells more"

_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}

_PAGE = f"""<!doctype html>
<title>GraphQL</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em }}</style>
<h1>GraphQL</h1>
<p>POST <code>{{"query": "{{ projects {{ name description }} }}"}}</code> here, or GET <code>?query=…</code>. Any
GraphQL client reads the schema from here, too:</p>
<pre>{escape(SCHEMA.as_str())}</pre>
""".encode()
"""For who opens the endpoint in a browser. Nothing in it comes from elsewhere, and nothing in it runs."""


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

ROUTES = (
    Route(
        method="POST",
        path=PATH,
        handler=ask,
        summary="A GraphQL request; answered with 200, be it with errors",
        needs=Permission.FLOWS_VIEW,
        reads=models.Question,
        answers=dict,
        refusal="text/plain",
        optional_body=False,
        lasting=True,
    ),
    Route(
        method="GET",
        path=PATH,
        handler=ask_in_url,
        summary="A GraphQL query in the URL; to a browser a page that shows the schema",
        needs=Permission.FLOWS_VIEW,
        answers=dict,
        refusal="text/plain",
        parameters=(
            Parameter(name="query", about="The query; mutations are sent by POST."),
            Parameter(name="variables", about="Its variables, as JSON."),
            Parameter(name="operationName", about="Which of several operations."),
        ),
    ),
)
