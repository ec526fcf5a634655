"""
What happens in all runs, as messages of a WebSocket.

Most messages follow from the event alone and are written once for all who listen. What an event does not hold (how
many rows were made, of how many tries this is one, whether something of the run had room before) is looked up while
the next listener's turn comes, and kept for a while, too.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

import msgspec
from aiohttp import web

from pupload import errors, ports
from pupload.api import exporting, sockets
from pupload.api.runs import models, rows, wire
from pupload.api.web import SERVICES, Services
from pupload.domain import events
from pupload.engine.tasks import each_of
from pupload.service.feed import Feed, Group, Told

KEPT = 4096
"""Messages that were looked up for, kept for the next listener."""

COUNTING_SECONDS = 5.0
"""What comes later waits for so long for the number of rows that a node made."""

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was looked up in one feed."""

    messages: OrderedDict[str, tuple[bytes, ...]] = field(default_factory=OrderedDict)
    """By the place of what they tell."""
    started: OrderedDict[str, int] = field(default_factory=OrderedDict)
    """The number of the entry with which each run started."""
    locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)


_kept: WeakKeyDictionary[Feed, _Kept] = WeakKeyDictionary()


async def socket(request: web.Request) -> web.StreamResponse:
    """Every event of every run from now on, until either side goes."""
    answer, services = sockets.upgrade(request), request.app[SERVICES]
    ready: dict[str, tuple[bytes, ...]] = {}
    groups = services.feed.follow(logs=True, patient=False)
    async with aclosing(cast(AsyncGenerator[Group, None], groups)) as following:

        async def looked_up() -> AsyncIterator[Group]:
            async for group in following:
                lacking = [told for told in group.told if _lacks_something(told.news.what)]
                await each_of(lacking, look_up, at_once=_AT_ONCE)
                yield group

        async def look_up(told: Told) -> None:
            ready[told.cursor] = await _looked_up(services, told)

        def messages(told: Told) -> Iterable[bytes]:
            found = ready.pop(told.cursor, None)
            return (told.written(write),) if found is None else found

        return await sockets.tell(request, answer, looked_up(), lambda told: filter(None, messages(told)))


# ── What follows from the event alone ────────────────────────────────────────────────────────────────────────────


def write(news: ports.News) -> bytes:
    """The message; empty for what is none of this surface's."""
    event = _event(news)
    return b"" if event is None else wire.encode(event)


def _event(news: ports.News) -> models.Event | None:
    what = news.what
    if isinstance(what, ports.LogRecord):
        level, line = exporting.level_of(what.line), what.line
        facts = {"node_id": what.node, "level": level, "message": line.message}
        return _made(news, "log", line.at, **facts)
    match what.event:
        case events.NodeStarted(node=node):
            return _made(news, "node.started", what.at, node_id=node)
        case events.NodeFailed(node=node, reason=reason):
            return _made(news, "node.failed", what.at, node_id=node, error=reason)
        case events.RunCompleted():
            return _made(news, "run.completed", what.at, status=wire.SUCCESS)
        case events.RunFailed(error=error):
            return _made(news, "run.failed", what.at, status=wire.FAILED, error=error)
        case events.RunStopped():
            return _made(news, "run.failed", what.at, status=wire.CANCELLED, error=wire.CANCELLED_BY)
    return None


def _made(news: ports.News, kind: str, at: Any, **facts: Any) -> models.Event:
    pipeline = wire.pipeline_of(news.what.run, news.flow_id)
    return models.Event(type=kind, run_id=news.what.run, pipeline_id=pipeline, timestamp=wire.moment(at), **facts)


# ── What has to be looked up ─────────────────────────────────────────────────────────────────────────────────────


def _lacks_something(what: ports.Entry | ports.LogRecord) -> bool:
    return isinstance(what, ports.Entry) and isinstance(
        what.event,
        events.NodeAdmitted | events.NodeRetrying | events.NodeSucceeded | events.NodeGathered | events.NodeReused,
    )


async def _looked_up(services: Services, told: Told) -> tuple[bytes, ...]:
    """The messages; whoever asks for the same meanwhile waits for them."""
    kept = _kept.setdefault(services.feed, _Kept())
    async with kept.locks.setdefault(told.cursor, asyncio.Lock()):
        found = kept.messages.get(told.cursor)
        if found is None:
            assert isinstance(told.news.what, ports.Entry)
            made = [event async for event in _events(services, told.news, told.news.what)]
            found = kept.messages[told.cursor] = tuple(wire.encode(event) for event in made)
            while len(kept.messages) > KEPT:
                kept.messages.popitem(last=False)
        return found


async def _events(services: Services, news: ports.News, entry: ports.Entry) -> AsyncIterator[models.Event]:
    event = entry.event
    if isinstance(event, events.NodeAdmitted | events.NodeReused) and await _is_first(services, entry):
        yield _made(news, "run.started", entry.at)
    if isinstance(event, events.NodeRetrying):
        tries = await _tries(services, entry.run, event)
        yield _made(news, "node.started", entry.at, node_id=event.node, status="retrying", error=tries)
    elif isinstance(event, events.NodeSucceeded | events.NodeGathered) or (
        isinstance(event, events.NodeReused) and event.attempt
    ):
        facts = await _done(services, entry.run, event.node)
        yield _made(news, "node.completed", entry.at, node_id=event.node, **facts)


async def _is_first(services: Services, entry: ports.Entry) -> bool:
    """Whether nothing of the run had room before this entry: then the run starts with it."""
    known = _kept.setdefault(services.feed, _Kept()).started
    if entry.run not in known:
        known[entry.run] = await _first(services, entry.run)
        while len(known) > KEPT:
            known.popitem(last=False)
    return known[entry.run] == entry.seq


async def _first(services: Services, run_id: str) -> int:
    """The number of that entry; 0 where there is none."""
    try:
        async with aclosing(cast(AsyncGenerator[Sequence[ports.Entry], None], services.runs.events(run_id))) as batches:
            async for batch in batches:
                for entry in batch:
                    if _starts(entry.event):
                        return entry.seq
    except errors.PuploadError:
        pass  # the run has gone, or cannot be read: it is told without
    return 0


def _starts(event: events.Event) -> bool:
    return isinstance(event, events.NodeAdmitted) or (isinstance(event, events.NodeReused) and event.attempt > 0)


async def _tries(services: Services, run_id: str, event: events.NodeRetrying) -> str:
    """Which retry comes of how many."""
    try:
        most = (await services.runs.find(run_id)).plan.nodes[event.node].max_attempts
    except (errors.PuploadError, KeyError):
        return f"retry {event.attempt}"
    return f"retry {event.attempt}/{max(most - 1, event.attempt)}"


async def _done(services: Services, run_id: str, node: str) -> dict[str, Any]:
    """How many rows a node made and how long it took; nothing where the run has gone meanwhile."""
    try:
        run = await services.runs.find(run_id)
        state = run.nodes[node]
    except (errors.PuploadError, KeyError):
        return {}
    counted = (
        await rows.of_run(services, run, nodes=(node,), seconds=COUNTING_SECONDS) if node in run.plan.nodes else {}
    )
    last = [each for each in wire.of_node(state, run) if each.status == wire.SUCCESS][-1:]
    took = round(last[0].seconds * 1000) if last else msgspec.UNSET
    return {"row_count": counted.get(node, 0), "duration_ms": took}
