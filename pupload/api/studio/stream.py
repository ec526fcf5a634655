"""
Graphs that are run over a WebSocket: what is asked, and frame by frame what happens.

A client asks for one run after the other on one connection. What cannot be run is answered with an `error` frame, and
the connection goes on; a run goes on when its client is gone.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, cast

from aiohttp import WSMessage, WSMsgType, web

from pupload import errors, ports
from pupload.api import documents, sockets
from pupload.api.studio import bodies, graphs, models, projects, running, wire
from pupload.api.web import SERVICES, Route, Services
from pupload.domain import events
from pupload.domain.access import Permission
from pupload.domain.run import Run, Status
from pupload.engine import aside
from pupload.service.views import Order

MOST_BYTES = 4 * 1024 * 1024
"""Of a request."""

_log = logging.getLogger(__name__)

_BUG = "something went wrong here; the server's log tells more"


async def socket(request: web.Request) -> web.StreamResponse:
    answer = sockets.upgrade(request, most_bytes=MOST_BYTES)

    async def reply(said: WSMessage) -> None:
        try:
            async for frame in _frames(request, said):
                await sockets.send(answer, wire.encode(frame))
        except (ConnectionError, TimeoutError):
            raise
        except errors.PuploadError as error:
            await sockets.send(answer, wire.encode(_error(_sentence(error))))
        except Exception:  # noqa: BLE001 - the socket goes on, and only its client can be told
            _log.exception("a request over a WebSocket failed")
            await sockets.send(answer, wire.encode(_error(_BUG)))

    return await sockets.converse(request, answer, reply)


async def _frames(request: web.Request, said: WSMessage) -> AsyncIterator[models.Frame]:
    """What is answered to a message. Raises `errors.Refused`."""
    services = request.app[SERVICES]
    asked = await _read(said)
    if asked.action != "run":
        raise errors.Malformed(reason=f"Unknown action: {asked.action[:64]}")
    if asked.graph is None:
        raise errors.Malformed(reason="No graph provided")
    compiled = graphs.compiled(asked.graph, await projects.known(services, asked.graph), given=asked.inputs is not None)
    content = compiled.content
    order = Order(flow=content.flow, definitions=content.definitions, memoize=False)
    this = await services.launches.order(order, asked.inputs)
    telling = _Telling(services, this, compiled)
    async for frame in telling.frames():
        yield frame
    yield await telling.result(request)


async def _read(said: WSMessage) -> models.SocketRequest:
    if said.type is not WSMsgType.TEXT:
        raise errors.Malformed(reason="Invalid JSON")
    text: str = said.data

    def read() -> models.SocketRequest:
        try:
            value = documents.parse_json(text.encode())
        except (errors.Malformed, UnicodeEncodeError) as error:
            raise errors.Malformed(reason="Invalid JSON") from error
        return bodies.understood(value, models.SocketRequest)

    return await aside.aside(read, large=len(text) > bodies.SMALL)


def _sentence(error: errors.PuploadError) -> str:
    return running.why(error) if isinstance(error, errors.Invalid) else error.message


def _error(message: str) -> models.Frame:
    return models.Frame(type="error", message=message)


class _Telling:
    """A run, as it is told."""

    def __init__(self, services: Services, this: Run, compiled: graphs.Compiled) -> None:
        self._services = services
        self._run = this
        self._ends = compiled.boundaries
        self._name = compiled.name
        self._began: dict[str, datetime] = {}
        """When the last attempt of each node did."""

    async def frames(self) -> AsyncIterator[models.Frame]:
        """Those of the nodes, until the run is over; then that of the pipeline."""
        for node in self._ends.inputs:
            yield self._node("node_start", node)
            yield self._node("node_complete", node, latency_ms=0.0)
        entries = self._services.runs.events(self._run.id, follow=True)
        async with aclosing(cast(AsyncGenerator[Sequence[ports.Entry], None], entries)) as batches:
            async for batch in batches:
                for entry in batch:
                    for frame in self._of(entry):
                        yield frame
        self._run = await self._services.runs.find(self._run.id)
        if self._done:
            for node in self._ends.outputs:
                yield self._node("node_start", node)
                yield self._node("node_complete", node, latency_ms=0.0)
        yield models.Frame(
            type="pipeline_complete", pipeline_name=self._name, success=self._done, duration_ms=self._duration
        )

    async def result(self, request: web.Request) -> models.Frame:
        """The last frame."""
        return models.Frame(
            type="pipeline_result",
            pipeline_name=self._name,
            success=self._done,
            output=wire.text(await running.outcome(request, self._run)) if self._done else None,
            duration_ms=self._duration,
        )

    def _of(self, entry: ports.Entry) -> Sequence[models.Frame]:
        match entry.event:
            case events.NodeStarted(node=node):
                first = node not in self._began
                self._began[node] = entry.at
                return [self._node("node_start", node)] if first else []
            case events.NodeSucceeded(node=node):
                took = wire.milliseconds(self._began.get(node, entry.at), entry.at) or 0.0
                return [*self._start(node, entry.at), self._node("node_complete", node, latency_ms=took)]
            case events.NodeFailed(node=node, reason=reason):
                return [*self._start(node, entry.at), self._node("node_error", node, error=reason)]
            case events.NodeSkipped(node=node, reason=reason):
                return [self._node("node_skip", node, reason=reason)]
        return []

    def _start(self, node: str, at: datetime) -> Sequence[models.Frame]:
        """What is told of a node that ended without a container: it began, too."""
        if node in self._began:
            return ()
        self._began[node] = at
        return [self._node("node_start", node)]

    def _node(self, kind: str, node: str, **facts: Any) -> models.Frame:
        return models.Frame(type=kind, node_id=node, pipeline_name=self._name, **facts)

    @property
    def _done(self) -> bool:
        return self._run.status is Status.COMPLETE

    @property
    def _duration(self) -> float:
        return wire.duration(self._run) or 0.0


ROUTES = (
    Route(
        method="GET",
        path="/ws/execution",
        handler=socket,
        summary="A WebSocket over which graphs are run, and told frame by frame",
        needs=Permission.RUNS_START,
        token_in_query=True,
        answers=models.Frame,
        lasting=True,
    ),
)
