"""The server's own pages: what it is, whether it is well, its numbers, and the description of its API."""

from collections.abc import Sequence

from aiohttp import web

from pupload.api import metrics, openapi
from pupload.api import web as shared
from pupload.api.flow import models, wire
from pupload.api.web import SERVER, SERVICES, Route, Surface, Trouble
from pupload.domain.access import Permission

NATIVE = "flow"
"""The surface whose description tells of these pages as well."""


def surface(numbers: metrics.Metrics, surfaces: Sequence[Surface]) -> Surface:
    """These pages, and a description of each of the surfaces."""
    own = routes(numbers, surfaces)
    return Surface(
        name="pages",
        about="The server's own pages.",
        prefixes=("",),
        routes=own,
        problem=problem,
        problem_model=models.Problem,
    )


def routes(numbers: metrics.Metrics, surfaces: Sequence[Surface]) -> tuple[Route, ...]:
    """The table."""
    own: list[Route] = []

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=numbers.render(), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def show_openapi(request: web.Request) -> web.Response:
        native = next(each for each in surfaces if each.name == NATIVE)
        return shared.json_bytes(openapi.render(native, version=request.app[SERVER].version, pages=tuple(own)))

    async def show_openapi_of(request: web.Request) -> web.Response:
        name = request.match_info["surface"].removesuffix(".json")
        found = next((each for each in surfaces if each.name == name), None)
        if found is None:
            raise web.HTTPNotFound
        return shared.json_bytes(openapi.render(found, version=request.app[SERVER].version))

    own += (
        Route(method="GET", path="/", handler=home, needs=None, summary="What this is", answers=dict),
        Route(
            method="GET",
            path="/healthz",
            handler=health,
            needs=None,
            summary="Whether all that the server needs answers; 503 where something does not",
            answers=models.Health,
            uncounted=True,
        ),
        Route(
            method="GET",
            path="/metrics",
            handler=show_metrics,
            needs=Permission.SETTINGS_VIEW,
            summary="Numbers for Prometheus",
            media="text/plain",
            uncounted=True,
        ),
        Route(
            method="GET",
            path="/api/openapi.json",
            handler=show_openapi,
            needs=None,
            summary="This API, described in OpenAPI 3.1",
            answers=dict,
        ),
        Route(
            method="GET",
            path="/api/openapi/{surface}",
            handler=show_openapi_of,
            needs=None,
            summary="The API of one surface, `NAME.json`, described in OpenAPI 3.1",
            answers=dict,
        ),
    )
    return tuple(own)


async def home(request: web.Request) -> web.Response:
    about = {
        "name": "pupload",
        "version": request.app[SERVER].version,
        "about": "Runs flows of containers on files. POST a flow to /api/v1/flow/test, then upload what it waits for.",
        "openapi": "/api/openapi.json",
        "health": "/healthz",
        "metrics": "/metrics",
    }
    return shared.json_bytes(wire.encode(about))


async def health(request: web.Request) -> web.Response:
    lines = await request.app[SERVICES].health.check()
    well = all(line.ok for line in lines)
    answer = models.Health(
        status="ok" if well else "unwell",
        version=request.app[SERVER].version,
        lines=[models.HealthLine(name=line.name, ok=line.ok, detail=line.detail) for line in lines],
    )
    return shared.json_bytes(wire.encode(answer), status=200 if well else 503)


def problem(trouble: Trouble) -> web.Response:
    """How everything outside the surfaces says no."""
    return shared.json_bytes(wire.encode({"error": trouble.sentence}), status=trouble.status, headers=trouble.headers)
