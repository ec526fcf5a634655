"""
The HTTP server, assembled from the surfaces.

Here is what no surface should have to think of: every request gets an id, a line in the log and a place in the
metrics; whatever goes wrong is answered in the shape of the surface that owns the path, the framework's own refusals
included; nothing takes longer than it may. What to answer is told by the surfaces.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware

from pupload import errors
from pupload.api import access, limiting, metrics, origins, pages, surfaces
from pupload.api.web import (
    LIMIT,
    REQUEST_ID,
    SERVER,
    SERVICES,
    Entry,
    Handler,
    Route,
    Server,
    Services,
    Surface,
    Trouble,
)

_log = logging.getLogger(__name__)
_access = logging.getLogger("pupload.access")

_GIVEN_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_RETRY_SECONDS = "5"
_NO_ROUTE = "(none)"
_CLIENT_GONE = 499
"""What logs and metrics say of a request whose client did not wait for the answer."""


def _worth_telling(record: logging.LogRecord) -> bool:
    """What cannot be read as HTTP is answered with 400: no trace of it need fill the log, nor what was in its URL."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


logging.getLogger("aiohttp.server").addFilter(_worth_telling)


def make_app(
    services: Services,
    *,
    version: str,
    body_limit: int = 8 * 1024 * 1024,
    request_seconds: float = 30.0,
    body_seconds: float = 30.0,
    large_body_seconds: float = 600.0,
    heartbeat_seconds: float = 15.0,
    public_url: str = "",
    policy: origins.Policy | None = None,
    rate: limiting.Limits | None = None,
    entry: Entry = Entry(),  # noqa: B008 (a frozen value)
    served: Sequence[Surface] = (surfaces.NATIVE, *surfaces.OTHERS),
) -> web.Application:
    """
    The server's application.

    `body_limit` in bytes is for everything but what a webhook takes; `request_seconds` for everything but what lasts;
    a webhook's body must come within `large_body_seconds`, and never stand still for `body_seconds`;
    `public_url` is how users reach the server, where that is not how requests reach it. `policy` says who may come
    through a browser, by default nobody from elsewhere; `rate` how many requests a caller may make, None for
    any number; `entry` how people come in. Raises `errors.Misconfigured` when two surfaces claim one path.
    """
    numbers = metrics.Metrics(services.health.counts)
    own = pages.surface(numbers, served)
    gathered = [own, *served]
    every = in_order(
        access.guarded(route, always_asks=surface.always_asks) for surface in gathered for route in surface.routes
    )
    table = {(route.method, route.path): route for route in every}
    app = web.Application(
        client_max_size=body_limit,
        middlewares=[
            _observe(table, numbers),
            _answer_trouble(gathered),
            *([_limit_rate(table, rate)] if rate is not None else []),
            _keep_origins(policy or origins.Policy()),
            _limit_time(table, request_seconds),
        ],
    )
    app[SERVICES] = services
    app[SERVER] = Server(
        version=version,
        body_seconds=body_seconds,
        large_body_seconds=large_body_seconds,
        heartbeat_seconds=heartbeat_seconds,
        surfaces=tuple(surface.name for surface in served),
        public_url=public_url,
        entry=entry,
    )
    app.on_shutdown.append(_end_streams)
    app.on_response_prepare.append(_add_headers(policy or origins.Policy(), gathered))
    for route in every:
        _add(app, route)
    return app


IDLE_SECONDS = 75.0
"""A connection without a whole request's head for so long is closed: a little longer than proxies keep theirs."""


def make_runner(app: web.Application, *, shutdown_seconds: float, idle_seconds: float = IDLE_SECONDS) -> web.AppRunner:
    """
    What runs the application: packed bodies are not unpacked (few bytes could become many), and the access log is ours.

    A connection is closed after `idle_seconds` that brought no whole head of a request, be it that nothing comes or
    that it comes a byte at a time. At the end, requests under way get `shutdown_seconds` to finish.
    """
    return web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=shutdown_seconds,
        keepalive_timeout=idle_seconds,
        auto_decompress=False,
    )


MOST_CONNECTIONS = 4096


def connections_for(files: int) -> int:
    """How many connections there may be at once where `files` may be open: half of them, for the rest is needed."""
    return max(1, min(MOST_CONNECTIONS, files // 2))


def protocol_factory(runner: web.AppRunner, *, connections: int) -> Callable[[], asyncio.Protocol]:
    """
    What answers each new connection to a listening socket of the runner, once that is set up.

    One more than `connections` is told to come back and closed: a process without a file left could neither look into
    its database nor talk to the container engine.
    """
    server = runner.server
    assert server is not None, "the runner is not set up"
    return lambda: server() if len(server.connections) < connections else _Crowded()


class _Crowded(asyncio.Protocol):
    """Answers whatever comes, or nothing, in one way."""

    _ANSWER = (
        b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n"
        b"Retry-After: " + _RETRY_SECONDS.encode() + b"\r\nContent-Length: %d\r\n\r\n%s"
    )
    _SENTENCE = b'{"error":"there are too many connections at once"}'

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._ANSWER % (len(self._SENTENCE), self._SENTENCE))
        transport.close()


async def _end_streams(app: web.Application) -> None:
    app[SERVER].closing.set()


def _add_headers(
    policy: origins.Policy, surfaces: Sequence[Surface]
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What every answer says, streams included."""
    owner = _owner(surfaces)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server"] = "pupload"
        response.headers["X-Request-ID"] = request.get(REQUEST_ID, "")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.update(origins.headers(request, policy))
        unlimited = limiting.UNLIMITED if owner(request).rates else {}
        response.headers.update(request.get(limiting.HEADERS, unlimited))

    return add_headers


# ── Routes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def in_order(routes: Iterable[Route]) -> list[Route]:
    """The routes with literal steps before parameters. Raises `errors.Misconfigured` when two say the same."""
    found: dict[tuple[str, str], Route] = {}
    for route in routes:
        shape = (route.method, re.sub(r"\{[^}]*\}", "{}", route.path))
        if shape in found:
            raise errors.Misconfigured(reason=f"{route.method} {route.path} is claimed twice")
        found[shape] = route
    return sorted(found.values(), key=lambda route: [step.startswith("{") for step in route.path.split("/")])


def _add(app: web.Application, route: Route) -> None:
    """
    The route, with and without a slash at the end; GET answers HEAD too.

    A parameter that may have slashes within takes that at the end as well.
    """
    methods = (route.method, "HEAD") if route.method == "GET" else (route.method,)
    path = route.path.replace(f"{{{route.deep}}}", f"{{{route.deep}:.+}}") if route.deep else route.path
    for each in {path} if route.deep else {path, path.rstrip("/") + "/"}:
        resource = app.router.add_resource(each)
        for method in methods:
            resource.add_route(method, route.handler)


def _route_of(request: web.Request, table: Mapping[tuple[str, str], Route]) -> Route | None:
    resource = request.match_info.route.resource
    if resource is None:
        return None
    path = resource.canonical.rstrip("/") or "/"
    return table.get(("GET" if request.method == "HEAD" else request.method, path))


# ── What every request meets, outermost first ────────────────────────────────────────────────────────────────────


def _observe(table: Mapping[tuple[str, str], Route], numbers: metrics.Metrics) -> Middleware:
    """An id, a line in the log, a place in the metrics."""

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("X-Request-ID", "")
        request[REQUEST_ID] = given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        route = _route_of(request, table)
        began = time.perf_counter()
        status = _CLIENT_GONE
        try:
            response = await handler(request)
            status = response.status
        finally:
            seconds = time.perf_counter() - began
            lasting = route is not None and route.lasting
            numbers.observe(request.method, route.path if route else _NO_ROUTE, status, None if lasting else seconds)
            _access.info(
                "%s %s %d %.1f ms %s",
                request.method,
                _shown(request),
                status,
                seconds * 1000,
                request[REQUEST_ID],
            )
        return response

    return observe


def _shown(request: web.Request) -> str:
    """The path as the log shows it: never the query, which may hold a signature or a token."""
    return request.rel_url.raw_path[:500]


def _answer_trouble(surfaces: Sequence[Surface]) -> Middleware:
    """Whatever goes wrong becomes an answer in its owner's shape."""
    owner = _owner(surfaces)

    @web.middleware
    async def answer_trouble(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (errors.PuploadError, web.HTTPException) as error:
            trouble = _trouble(error, request)
        except ConnectionError:
            if request.transport is not None and not request.transport.is_closing():
                raise
            # The client went away in the middle: nobody reads the answer, and a log full of it tells nothing.
            return web.Response(status=_CLIENT_GONE)
        except Exception:  # noqa: BLE001 - the last one before the framework: a bug must not show its insides
            _log.exception("request %s failed", request[REQUEST_ID])
            trouble = Trouble(
                status=500,
                sentence="something went wrong here; the server's log tells more",
                request_id=request[REQUEST_ID],
            )
        response = owner(request).problem(replace(trouble, path=_shown(request)))
        if trouble.status in (408, 413, 415):
            # The rest of the body is not wanted: the connection cannot be used again.
            response.force_close()
        return response

    return answer_trouble


def _owner(surfaces: Sequence[Surface]) -> Callable[[web.Request], Surface]:
    """Says whose a request is: the surface with the longest prefix that its path is below."""
    owners = sorted(
        ((prefix, surface) for surface in surfaces for prefix in surface.prefixes),
        key=lambda owner: len(owner[0]),
        reverse=True,
    )
    return lambda request: next(surface for prefix, surface in owners if _below(prefix, request.path))


def _below(prefix: str, path: str) -> bool:
    return not prefix or path == prefix or path.startswith(f"{prefix}/")


def _keep_origins(policy: origins.Policy) -> Middleware:
    """Browsers come only from where they may."""

    @web.middleware
    async def keep_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
        origins.check(request, policy)
        return origins.preflight(request, policy) or await handler(request)

    return keep_origins


def _limit_rate(table: Mapping[tuple[str, str], Route], rate: limiting.Limits) -> Middleware:
    """Nobody asks more often than they may, but for what must always be answered."""

    @web.middleware
    async def limit_rate(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = _route_of(request, table)
        if route is None or not route.uncounted:
            rate.count(request)
        return await handler(request)

    return limit_rate


def _limit_time(table: Mapping[tuple[str, str], Route], request_seconds: float) -> Middleware:
    """Nothing but a stream takes longer than it may."""

    @web.middleware
    async def limit_time(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = _route_of(request, table)
        if route is None or route.lasting:
            return await handler(request)
        try:
            async with asyncio.timeout(request_seconds) as limit:
                request[LIMIT] = limit
                return await handler(request)
        except TimeoutError:
            if not limit.expired():
                raise
            raise web.HTTPServiceUnavailable(text=f"the answer took longer than {request_seconds:g} s") from None

    return limit_time


# ── What went wrong ──────────────────────────────────────────────────────────────────────────────────────────────

_STATUS: Sequence[tuple[type[errors.PuploadError], int]] = (
    (errors.Invalid, 400),
    (errors.Malformed, 400),
    (errors.Unknown, 404),
    (errors.NotAwaited, 409),
    (errors.Conflict, 409),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.CursorExpired, 410),
    (errors.TooManyRequests, 429),
    (errors.TooLarge, 413),
    (errors.Refused, 400),
    (errors.TryLater, 503),
    (errors.ObjectAbsent, 409),
    (errors.PreconditionFailed, 409),
    (errors.ObjectForbidden, 502),
    (errors.StoreRefused, 502),
)
"""The first that fits."""

_SENTENCES = {
    404: "there is nothing here; /api/openapi.json lists what there is",
    405: "this path does not take that method",
    413: "the body is larger than this server takes",
}


def _trouble(error: errors.PuploadError | web.HTTPException, request: web.Request) -> Trouble:
    request_id = request[REQUEST_ID]
    if isinstance(error, web.HTTPException):
        return _refusal(error, request_id)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    if status == 500:
        _log.error("request %s failed: %s", request_id, error.message, exc_info=error)
        sentence = "something went wrong here; the server's log tells more"
        return Trouble(status=500, sentence=sentence, request_id=request_id, error=error)
    headers = {"Retry-After": _RETRY_SECONDS} if status == 503 else {}
    if status == 401:
        headers = {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.TooManyRequests):
        headers = {"Retry-After": str(error.facts["seconds"])}
    return Trouble(status=status, sentence=error.message, request_id=request_id, error=error, headers=headers)


def _refusal(error: web.HTTPException, request_id: str) -> Trouble:
    """The framework's own no."""
    headers = {name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers}
    if error.status == 503:
        headers.setdefault("Retry-After", _RETRY_SECONDS)
    sentence = _SENTENCES.get(error.status) or error.text or error.reason
    return Trouble(status=error.status, sentence=sentence, request_id=request_id, headers=headers)
