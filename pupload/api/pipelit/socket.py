"""
What happens to workflows, executions and epics, told over a WebSocket by channels.

A client subscribes to `workflow:<slug>`, `execution:<id>` and `epic:<id>`, whether there is such a thing or not: of
what is told it gets what it may see. Nothing is kept for who was not there. A client that is silent is asked for a
sign of life.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any, cast

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from pupload import errors, ports
from pupload.api import access, sockets
from pupload.api.pipelit import batches, drawn, happening, models
from pupload.api.web import SERVICES, Route, Services
from pupload.domain import ids
from pupload.domain.access import Caller, Permission
from pupload.service import asking, drawing_news
from pupload.service.batches import Batches
from pupload.service.feed import Group

PATH = "/ws"

SILENT_SECONDS, ANSWER_SECONDS = 30.0, 10.0
"""After so long without a word a client is asked for one, for which it has so long."""

MOST_CHANNELS = 1000
MOST_CHANNEL = 256
"""Letters of one."""

_MOST_SLUGS = 4096

_PING = b'{"type":"ping"}'


async def socket(request: web.Request) -> web.StreamResponse:
    """Who may not is told so by the reason with which the connection is closed, once it is one."""
    answer = sockets.upgrade(request)
    try:
        who = await access.admit(request, Permission.RUNS_VIEW, always_asks=True, token_in_query=True)
    except (errors.Unauthenticated, errors.NotAllowed) as error:
        reason = access.VOID if isinstance(error, errors.Unauthenticated) else error.message
        await answer.prepare(request)
        await answer.close(code=WSCloseCode.POLICY_VIOLATION, message=reason.encode()[:120])
        return answer
    with asking.asked_by(who):
        return await _Listener(request.app[SERVICES], answer, who).listen(request)


class _Listener:
    """One client."""

    def __init__(self, services: Services, answer: web.WebSocketResponse, who: Caller) -> None:
        self._services = services
        self._answer = answer
        self._who = who
        self._channels: dict[str, str] = {}
        """What is subscribed to, as the client calls it, by what it is called here."""
        self._slugs: dict[str, str] = {}
        """Of the drawings that flows are of, by the flows' ids."""
        self._heard = asyncio.Event()

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """Tells until either side goes."""
        groups = cast(AsyncGenerator[Group, None], self._services.feed.follow(logs=False, patient=False))
        async with aclosing(groups):
            await anext(groups)  # from here on nothing is missed
            await self._answer.prepare(request)
            talks = [self._tell_runs(groups), self._tell_drawings(), self._ask_for_signs_of_life()]
            if self._services.batches is not None:
                talks.append(self._tell_batches(self._services.batches))
            return await sockets.held(request, self._answer, sockets.together(*talks), self._hear)

    # ── What the client says ─────────────────────────────────────────────────────────────────────────────────────

    async def _hear(self, message: WSMessage) -> None:
        self._heard.set()
        said = _read(message)
        channel = said.get("channel")
        if not isinstance(channel, str) or not 0 < len(channel) <= MOST_CHANNEL:
            return
        if said.get("type") == "subscribe":
            if len(self._channels) >= MOST_CHANNELS:
                raise errors.TryLater(reason=f"a client has {MOST_CHANNELS} channels at most")
            self._channels[_canonical(channel)] = channel
            await self._send({"type": "subscribed", "channel": channel})
        elif said.get("type") == "unsubscribe":
            self._channels.pop(_canonical(channel), None)
            await self._send({"type": "unsubscribed", "channel": channel})

    async def _ask_for_signs_of_life(self) -> None:
        while True:
            self._heard.clear()
            if not await self._hears(SILENT_SECONDS):
                await sockets.send(self._answer, _PING)  # the answer may be there before this returns
                if not await self._hears(ANSWER_SECONDS):
                    await self._answer.close(code=WSCloseCode.GOING_AWAY, message=b"no sign of life")
                    return

    async def _hears(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        return self._heard.is_set()

    # ── What is told ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _tell_runs(self, groups: AsyncGenerator[Group, None]) -> None:
        async for group in groups:
            for told in group.told:
                if self._channels and isinstance(told.news.what, ports.Entry):
                    await self._tell_of_run(told.news, told.news.what)

    async def _tell_of_run(self, news: ports.News, entry: ports.Entry) -> None:
        execution = ids.uuid_of(entry.run)
        channels = self._among(f"execution:{execution}", f"workflow:{await self._slug(news.flow_id)}")
        if not channels:
            return
        for kind, data in await happening.told(self._services, entry):
            for channel in channels:
                await self._say(kind, channel, {"execution_id": execution, **data}, at=entry.at, of=execution)

    async def _tell_drawings(self) -> None:
        with self._services.drawings.news.follow() as follower:
            while True:
                news = await follower.next()
                self._slugs.clear()  # it may be called otherwise now
                there = self._who.sees(news.drawing.account, public=news.drawing.public)
                for channel in self._among(f"workflow:{news.slug}") if there else ():
                    await self._say(news.kind.value, channel, _of_drawing(news), at=news.drawing.updated_at)

    async def _tell_batches(self, kept: Batches) -> None:
        with kept.news.follow() as follower:
            while True:
                news = await follower.next()
                there = self._who.sees(news.batch.account)
                for channel in self._among(f"epic:{news.batch.id}") if there else ():
                    kind, data = batches.event(news)
                    await self._say(kind, channel, data, at=news.batch.updated_at)

    def _among(self, *channels: str) -> Sequence[str]:
        """Those that are subscribed to, as the client calls them."""
        return [self._channels[channel] for channel in channels if channel in self._channels]

    async def _slug(self, flow_id: str) -> str:
        if flow_id not in self._slugs:
            found = await self._services.executions.drawings([flow_id])
            if len(self._slugs) >= _MOST_SLUGS:
                self._slugs.clear()
            self._slugs[flow_id] = found.get(flow_id, "")
        return self._slugs[flow_id]

    async def _say(self, kind: str, channel: str, data: Any, *, at: datetime, of: str = "") -> None:
        message = {"type": kind, "channel": channel, "timestamp": at.timestamp(), "data": data}
        await self._send({**message, "execution_id": of} if of else message)

    async def _send(self, message: dict[str, Any]) -> None:
        await sockets.send(self._answer, msgspec.json.encode(message))


def _read(message: WSMessage) -> dict[str, Any]:
    """What the client says; nothing where it says nothing that is understood."""
    if message.type is not WSMsgType.TEXT:
        return {}
    try:
        said = json.loads(message.data)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _canonical(channel: str) -> str:
    """An execution's channel by its id as it is written here, in whatever spelling it is asked for."""
    kind, _, name = channel.partition(":")
    run_id = ids.canonical_run_id(name) if kind == "execution" else None
    return channel if run_id is None else f"execution:{ids.uuid_of(run_id)}"


def _of_drawing(news: drawing_news.News) -> models.Answer | dict[str, Any]:
    match news.kind:
        case drawing_news.Kind.NODE_REMOVED if news.node is not None:
            return {"node_id": news.node.node_id}
        case drawing_news.Kind.EDGE_REMOVED if news.edge is not None:
            return {"id": news.edge.id}
    if news.node is not None:
        return drawn.node(news.node)
    return drawn.workflow_line(news.drawing) if news.edge is None else drawn.edge(news.edge)


ROUTES = (
    Route(
        method="GET",
        path=PATH,
        handler=socket,
        needs=None,  # it says no by closing the connection, with a reason
        summary="A WebSocket that tells what happens on the channels that the client subscribes to",
        answers=dict,
        lasting=True,
        token_in_query=True,
    ),
)
