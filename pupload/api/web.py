"""
What all surfaces share: the services they call, how a route is written down, how a body is read.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web

from pupload import errors
from pupload.api import documents, limiting
from pupload.domain.access import Permission
from pupload.engine import aside
from pupload.service import (
    approvals,
    artifacts,
    backfill,
    callbacks,
    callers,
    chat,
    consequences,
    counted,
    credentials,
    drawings,
    drawn_runs,
    dry_runs,
    episodes,
    executions,
    feed,
    flows,
    health,
    inputs,
    knowledge,
    launching,
    lineage,
    namespaces,
    nodes,
    overview,
    projects,
    questions,
    queue,
    results,
    runs,
    schedules,
    secrets,
    sources,
    tables,
    threads,
    uploads,
)
from pupload.service.batches import Batches

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

T = TypeVar("T")

SMALL_BYTES = 32 * 1024
"""A body up to here is read in a few milliseconds, and so at once; others beside the event loop."""

LARGE_BYTES = 256 * 1024
PIECE_BYTES = 256 * 1024
"""Of a body that is not held in memory, this much is."""

LARGE_AT_ONCE = 16
"""So many bodies above `LARGE_BYTES` may be under way; the next is asked to come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What pupload can be asked to do."""

    callers: callers.Callers
    approvals: approvals.Approvals
    threads: threads.Threads
    chat: chat.Chat
    questions: questions.Questions
    consequences: consequences.Consequences
    runs: runs.Runs
    uploads: uploads.Uploads
    callbacks: callbacks.Callbacks
    flows: flows.Flows
    feed: feed.Feed
    schedules: schedules.Schedules
    backfill: backfill.Backfill
    projects: projects.Projects
    nodes: nodes.Nodes
    secrets: secrets.Secrets
    credentials: credentials.Credentials
    counted: counted.Counted
    health: health.Health
    tables: tables.Tables
    sources: sources.Sources
    dry_runs: dry_runs.DryRuns
    overview: overview.Overview
    lineage: lineage.Lineage
    inputs: inputs.Inputs
    launches: launching.Launches
    namespaces: namespaces.Namespaces
    drawings: drawings.Drawings
    drawn_runs: drawn_runs.DrawnRuns
    executions: executions.Executions
    knowledge: knowledge.Knowledge
    episodes: episodes.Episodes
    queue: queue.Queue
    artifacts: artifacts.Artifacts
    results: results.Results
    batches: Batches | None = None
    """None: no runs are planned together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How people come in, as the operator has it."""

    insecure: bool = False
    """Whether anybody may do everything as long as there are no accounts, wherever they call from."""
    local_resets: bool = True
    """Whether who calls from this machine itself counts as somebody who sits at it."""
    proxies: Sequence[limiting.Network] = ()
    """Whose word on where somebody calls from is taken, where it is counted who tries what."""
    setup_token: str = field(default="", repr=False)
    """What lets somebody elsewhere make the first account; empty where nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a handler may want to know of the server it runs in."""

    version: str
    body_seconds: float
    """In so long a body must have arrived; of a large one, something more."""
    large_body_seconds: float = 600.0
    """In so long a body must have arrived that is not held in memory."""
    heartbeat_seconds: float
    """After so long without news a stream says that it lives."""
    surfaces: tuple[str, ...] = ()
    """The names of those that are served."""
    began: float = field(default_factory=time.monotonic)
    """When the server came up, on the process's own clock."""
    public_url: str = ""
    """How users reach the server, where a proxy stands before it: no slash at its end."""
    entry: Entry = field(default_factory=Entry)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server goes down: streams end then."""
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE))
    """For large bodies, which are in memory until they were read."""


SERVICES = web.AppKey("services", Services)
SERVER = web.AppKey("server", Server)

LIMIT = web.RequestKey("limit", asyncio.Timeout)
"""The key under which a request carries the end of its time."""

REQUEST_ID = web.RequestKey("request_id", str)
"""The key under which a request carries its id."""


# ── Routes ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Something a route reads beside its body: of the query (the default), or a header."""

    name: str
    about: str
    type: str = "string"
    """Of JSON Schema: `string`, `integer`, `boolean`."""
    choices: tuple[str, ...] = ()
    place: str = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A method and a path, who answers, and what a reader of the API wants to know of it."""

    method: str
    path: str
    """With `{name}` for a parameter; no slash at the end."""
    deep: str = ""
    """The parameter, at the end of the path, that may have slashes within; the handler takes one off its end."""
    handler: Handler
    needs: Permission | None
    """What its caller must be allowed; None: it is open to everybody, and whatever it asks for it asks itself."""
    token_in_query: bool = False
    """Whether `?token=` does, for what a browser opens, which sends no headers of ours: sockets, event streams."""
    summary: str
    reads: type | None = None
    """The model of the body."""
    form: str = ""
    """The field of a form that has a file, where such a form is the body."""
    answers: type | None = None
    """The model of the answer, as `list[Model]` where it is a list of them; `dict` for what is described in words."""
    status: int = 200
    """Of the answer, where there is a body."""
    media: str = "application/json"
    """Of the answer."""
    refusal: str = ""
    """Of a 400 that is not told as the surface tells others."""
    parameters: tuple[Parameter, ...] = ()
    lasting: bool = False
    """Goes on for as long as there is something to send, to take or to hash: no time limit."""
    optional_body: bool = True
    uncounted: bool = False
    """Answered however often it is asked for: whether the server is well must always be found out."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters in the path."""
        return tuple(step[1:-1] for step in self.path.split("/") if step.startswith("{"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A request that is not answered as it hoped."""

    status: int
    sentence: str
    request_id: str
    path: str = ""
    """As the request names it, without its query."""
    error: errors.PuploadError | None = None
    """None where the framework or a bug is the cause."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Routes that belong together, and how they say no."""

    name: str
    about: str
    """A sentence, for its description."""
    prefixes: tuple[str, ...]
    """Whatever goes wrong below these paths is told in this surface's shape; the longest prefix decides."""
    routes: Sequence[Route]
    problem: Callable[[Trouble], web.Response]
    problem_model: type
    """What `problem` writes."""
    problem_media: str = "application/json"
    rates: bool = False
    """Whether every answer tells of a rate, be there none to keep to."""
    also: tuple[type, ...] = ()
    """Models that no route names, such as what is sent in streams."""
    always_asks: bool = False
    """Whether a token is needed even while there are no accounts, when others are open to this machine."""


# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def read_document(request: web.Request, meaning: Callable[[Any], T], *, optional: bool = False) -> T:
    """
    What `meaning` makes of the JSON value of the body; where the body is `optional`, none is an empty object.

    Raises `errors.Malformed` and what `meaning` raises; `web.HTTPException` for a body that is too large, too slow or
    packed, or one large body too many at a time.
    """
    refuse_packed(request)
    async with AsyncExitStack() as held:
        body = await _read(request, held)
        if optional and not body.strip():
            return meaning({})
        return await aside.aside(lambda: meaning(documents.parse_json(body)), large=len(body) > SMALL_BYTES)


async def _read(request: web.Request, held: AsyncExitStack) -> bytes:
    """The body, and in `held` the place that a large one takes."""
    _check_size(request, 0)
    body = bytearray()
    try:
        async with asyncio.timeout(request.app[SERVER].body_seconds):
            async for piece in request.content.iter_any():
                _check_size(request, len(body) + len(piece))
                if len(body) <= LARGE_BYTES < len(body) + len(piece):
                    await held.enter_async_context(_place(request.app[SERVER].places))
                body += piece
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text="the body did not arrive in time") from error
    return bytes(body)


async def pieces(request: web.Request) -> AsyncIterator[bytes]:
    """
    The body as it comes in, for what is not held in memory.

    Raises `web.HTTPException` where it is packed, comes to a halt, or takes too long as a whole.
    """
    refuse_packed(request)
    server, loop = request.app[SERVER], asyncio.get_running_loop()
    last = loop.time() + server.large_body_seconds
    coming = request.content.iter_chunked(PIECE_BYTES)
    while True:
        try:
            async with asyncio.timeout_at(min(last, loop.time() + server.body_seconds)):
                piece = await anext(coming, b"")
        except TimeoutError as error:
            raise web.HTTPRequestTimeout(text="the body did not arrive in time") from error
        if not piece:
            return
        yield piece


def _check_size(request: web.Request, so_far: int) -> None:
    """Raises 413 as soon as it is known."""
    size = max(so_far, request.content_length or 0)
    if size > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(max_size=request.client_max_size, actual_size=size)


@asynccontextmanager
async def _place(places: asyncio.Semaphore) -> AsyncIterator[None]:
    if places.locked():
        raise web.HTTPServiceUnavailable(text="too many large requests at once")
    async with places:
        yield


def refuse_packed(request: web.Request) -> None:
    """Raises 415 for a compressed body: few bytes could become many."""
    packing = request.headers.get("Content-Encoding", "identity").strip().lower()
    if packing != "identity":
        raise web.HTTPUnsupportedMediaType(text="compressed bodies are not read: send it as it is")


def whole_number(request: web.Request, name: str, *, default: int, least: int = 0, most: int = 2**63 - 1) -> int:
    """A number of the query. Raises `errors.Malformed` outside the bounds."""
    return check_whole_number(request.query.get(name), name, default=default, least=least, most=most)


def check_whole_number(text: str | None, name: str, *, default: int, least: int = 0, most: int = 2**63 - 1) -> int:
    """The number in the text, the default where there is none. Raises `errors.Malformed` outside the bounds."""
    if text is None or text == "":
        return default
    if text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    upto = f" to {most}" if most < 2**63 - 1 else " or more"
    raise errors.Malformed(reason=f"{name} must be a whole number, {least}{upto}")


def flag(request: web.Request, name: str, *, default: bool) -> bool:
    """A yes or no of the query. Raises `errors.Malformed` for anything else."""
    text = request.query.get(name, "").lower()
    if not text:
        return default
    if text in ("true", "1", "yes"):
        return True
    if text in ("false", "0", "no"):
        return False
    raise errors.Malformed(reason=f"{name} must be true or false")


def allow(request: web.Request, seconds: float) -> None:
    """The answer may take so much longer than others."""
    limit = request.get(LIMIT)
    when = limit.when() if limit is not None else None
    if limit is not None and when is not None:
        limit.reschedule(when + seconds)


def origin(request: web.Request) -> str:
    """How the caller reaches this server: `http://host:port`, or what the operator says."""
    return request.app[SERVER].public_url or f"{request.scheme}://{request.host}"


def json_bytes(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer of JSON that is encoded already."""
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8", headers=headers)
