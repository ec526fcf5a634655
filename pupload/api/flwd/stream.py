"""
What happens, as server-sent events: in one run from its beginning on, in all runs or those of a job from now on.

The `id` of an event of one run is where it stands in the run's journal and its log, so that a client may come back
however late; that of others is a place of the feed, which is not known for ever (410).
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar, cast

from aiohttp import web

from pupload import errors, ports
from pupload.api import streams
from pupload.api.flwd import events, jobs
from pupload.api.web import SERVICES
from pupload.domain import events as happened
from pupload.domain.run import Run
from pupload.service.feed import Group, Told, Wanted

T = TypeVar("T")

HELLO = b"retry: 2000\n%s:connected\n\n"

_BATCH = 200
_POSITION = re.compile(r"(\d{1,15})-(\d{1,15})", re.ASCII)
_LAST = (happened.RunCompleted, happened.RunFailed, happened.RunStopped)
_ENDS = (*_LAST, happened.NodeSucceeded, happened.NodeFailed, happened.AttemptFailed)


def last_id(request: web.Request) -> str:
    """The `id` of the last event that the client was told; empty where it does not come back."""
    return request.headers.get("Last-Event-ID") or request.query.get("last_event_id", "")


async def run_events(request: web.Request) -> web.StreamResponse:
    """Streams them."""
    run_id, job_id = request.query.get("run_id", ""), request.query.get("job_id", "").strip("/")
    flow_id = (await jobs.find(request, job_id)).flow.id if job_id else ""
    if not run_id:
        return await _of_all(request, flow_id)
    found = await request.app[SERVICES].runs.find(run_id)
    if flow_id and found.plan.flow_id != flow_id:
        raise errors.Malformed(reason=f"run {found.id} is not of the job {job_id!r}")
    return await _of_one(request, found)


# ── All runs ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def _of_all(request: web.Request, flow_id: str) -> web.StreamResponse:
    services = request.app[SERVICES]
    telling = events.telling(services)
    wanted: Wanted | None = (lambda news: news.flow_id == flow_id) if flow_id else None
    following = services.feed.follow(after=last_id(request), wanted=wanted, logs=True, patient=True)
    async with aclosing(cast(AsyncGenerator[Group, None], following)) as groups:
        first = await anext(groups)
        place = [first.cursor.encode()]

        async def batches() -> AsyncIterator[Sequence[bytes]]:
            yield await _written(telling, first.told)
            async for group in groups:
                told = await _written(telling, group.told)
                place[0] = group.cursor.encode()
                yield told

        return await streams.events(
            request,
            batches(),
            write=bytes,
            hello=HELLO % (b"" if first.told else b"id: %s\n" % place[0]),
            alive=lambda: b"id: %s\n: still here\n\n" % place[0],
        )


async def _written(telling: events.Telling, told: Sequence[Told]) -> list[bytes]:
    await telling.prepare(told)
    return [frames for one in told if (frames := one.written(telling.write))]


# ── One run ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _of_one(request: web.Request, found: Run) -> web.StreamResponse:
    seq, cursor = _position(last_id(request))
    batches = _Following(request, found, seq, cursor).batches()
    if found.status.terminal and last_id(request):
        return await streams.events_or_nothing(request, batches, write=bytes, hello=HELLO % b"")
    return await streams.events(request, batches, write=bytes, hello=HELLO % b"")


def _position(text: str) -> tuple[int, int]:
    """How far the journal and the log were told. Raises `errors.Malformed`."""
    found = _POSITION.fullmatch(text)
    if text and found is None:
        raise errors.Malformed(reason=f"{text[:64]!r} is no id of an event of one run")
    return (int(found[1]), int(found[2])) if found else (0, 0)


class _Following:
    """Somebody follows a run: first what was written of it, then what is."""

    def __init__(self, request: web.Request, this: Run, seq: int, cursor: int) -> None:
        self._services = request.app[SERVICES]
        self._telling = events.telling(self._services)
        self._run = this
        self._seq = seq
        self._cursor = cursor
        self._job_id = ""
        self._over = False

    async def batches(self) -> AsyncIterator[Sequence[bytes]]:
        """Frames; none of these groups is empty. Comes to an end with the run."""
        run_id = self._run.id
        self._job_id = await self._telling.job_of(self._run.plan.flow_id, run_id)

        def wanted(news: ports.News) -> bool:
            return news.what.run == run_id

        following = self._services.feed.follow(wanted=wanted, logs=True, patient=True)
        async with aclosing(cast(AsyncGenerator[Group, None], following)) as groups:
            await anext(groups)  # whatever is written from here on comes there
            self._run = await self._services.runs.find(run_id)
            async for whats in self._replay():
                if frames := await self._frames(whats):
                    yield frames
            while not (self._over or self._run.status.terminal):
                group = await anext(groups)
                if frames := await self._frames([one.news.what for one in group.told]):
                    yield frames

    async def _frames(self, whats: Sequence[ports.Entry | ports.LogRecord]) -> list[bytes]:
        """Of what was not told yet."""
        found: list[bytes] = []
        for what in whats:
            first = False
            if isinstance(what, ports.LogRecord):
                if what.cursor <= self._cursor:
                    continue
                self._cursor = what.cursor
            else:
                if what.seq <= self._seq:
                    continue
                self._seq = what.seq
                self._over = isinstance(what.event, _LAST)
                first = events.starts(what.event) and await self._telling.first_of(what.run) == what.seq
            made = list(events.of(what, self._job_id, first=first))
            found.append(events.frames(made, f"{self._seq}-{self._cursor}"))
        return [frames for frames in found if frames]

    async def _replay(self) -> AsyncIterator[Sequence[ports.Entry | ports.LogRecord]]:
        """The journal and the log, each in its order, as they came after each other."""
        runs, run_id = self._services.runs, self._run.id
        entries = _Ahead(runs.events(run_id, after=self._seq))
        lines = _Ahead(runs.logs(run_id, since=self._cursor))
        batch: list[ports.Entry | ports.LogRecord] = []
        while True:
            entry, line = await entries.look(), await lines.look()
            if len(batch) >= _BATCH or (batch and entry is None and line is None):
                yield batch
                batch = []
            if entry is None and line is None:
                return
            first = line is None or (entry is not None and self._comes_before(entry, line))
            batch.append(entries.take() if first else lines.take())

    def _comes_before(self, entry: ports.Entry, line: ports.LogRecord) -> bool:
        """A line comes after its attempt's beginning and before its end, whatever the clocks say."""
        if isinstance(entry.event, _LAST):
            return False
        at = line.line.at
        node = self._run.nodes.get(line.node)
        attempt = next((each for each in node.attempts if each.number == line.attempt), None) if node else None
        if attempt is not None and attempt.executing_at is not None:
            at = max(at, attempt.executing_at)
        if attempt is not None and attempt.finished_at is not None:
            at = min(at, attempt.finished_at)
        return entry.at < at or (entry.at == at and not isinstance(entry.event, _ENDS))


class _Ahead(Generic[T]):
    """Things that come in groups, of which the next is looked at before it is taken."""

    def __init__(self, groups: AsyncIterator[Sequence[T]]) -> None:
        self._groups = groups
        self._group: Sequence[T] = ()
        self._place = 0

    async def look(self) -> T | None:
        """The next; None where there is none."""
        while self._place >= len(self._group):
            group = await anext(self._groups, None)
            if group is None:
                return None
            self._group, self._place = group, 0
        return self._group[self._place]

    def take(self) -> T:
        """The one that was looked at."""
        self._place += 1
        return self._group[self._place - 1]
