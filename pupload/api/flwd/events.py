"""What happens in runs, as this surface tells it: which of its events a line of a journal, or of a log, makes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from pupload import errors, ports
from pupload.api import exporting, streams
from pupload.api.flwd import jobs, models, wire
from pupload.api.web import Services
from pupload.domain import events, run
from pupload.service.feed import Feed, Told

MOST_REMEMBERED = 20_000
"""Names of jobs, and beginnings of runs, that are remembered."""

_Facts = Mapping[str, Any]

Event = tuple[str, models.Event]
"""Its name and what it says."""


def starts(event: events.Event) -> bool:
    """Whether the run has started with this, if it had not before: what was taken over when it was made does not."""
    return isinstance(event, events.NodeAdmitted) or (isinstance(event, events.NodeReused) and event.attempt > 0)


def of(what: ports.Entry | ports.LogRecord, job_id: str, *, first: bool = False) -> Iterator[Event]:
    """The events that this makes, in order; `first` says that the run starts with it."""
    if isinstance(what, ports.LogRecord):
        yield from _output(what, job_id)
        return
    every: _Facts = {"run_id": what.run, "job_id": job_id, "timestamp": wire.moment(what.at)}
    if first:
        yield "run.started", models.RunEvent(**every, status="running")
    yield from _of_run(what.event, every)
    yield from _of_step(what.event, every)


def _of_run(event: events.Event, every: _Facts) -> Iterator[Event]:
    match event:
        case events.RunCreated():
            yield "run.created", models.RunEvent(**every, status="pending")
        case events.RunCompleted():
            yield _finished(every, "success", "")
        case events.RunFailed(error=error):
            yield _finished(every, "failed", error)
        case events.RunStopped(reason=reason):
            yield _finished(every, "cancelled", reason)


def _finished(every: _Facts, status: str, error: str) -> Event:
    at = every["timestamp"]
    return "run.finished", models.RunEvent(**every, status=status, finished_at=at, error=error or msgspec.UNSET)


def _of_step(event: events.Event, every: _Facts) -> Iterator[Event]:
    finished = "step.finished"
    match event:
        case events.NodeStarted(node=node, attempt=attempt):
            yield "step.started", models.StepStarted(**every, step_id=node, attempt=attempt)
        case events.NodeExpanded(node=node):
            yield "step.started", models.StepStarted(**every, step_id=node, attempt=1)
        case events.NodeSucceeded(node=node, exit_code=code):
            yield finished, models.StepFinished(**every, step_id=node, status="success", exit_code=code)
        case events.NodeReused(node=node) | events.NodeGathered(node=node):
            yield finished, models.StepFinished(**every, step_id=node, status="success")
        case events.NodeSkipped(node=node, reason=said):
            yield finished, models.StepFinished(**every, step_id=node, status="skipped", error=said)
        case events.NodeFailed(node=node, failure=failure, reason=said, exit_code=code):
            status = "cancelled" if failure == run.Failure.CANCELLED else "failed"
            yield finished, models.StepFinished(**every, step_id=node, status=status, exit_code=code, error=said)


def _output(record: ports.LogRecord, job_id: str) -> Iterator[Event]:
    said = models.Output(
        run_id=record.run,
        job_id=job_id,
        timestamp=wire.moment(record.line.at),
        step_id=record.node,
        level=exporting.level_of(record.line),
        message=record.line.message,
    )
    yield "step.output", said
    yield "run.output", said


def frames(made: Sequence[Event], place: str) -> bytes:
    """Server-sent events. The last has the place: who was told only some of them is told all of them again."""
    written = [streams.frame(name, wire.encode(said)) for name, said in made]
    if written:
        written[-1] = b"id: %s\n%s" % (place.encode(), written[-1])
    return b"".join(written)


class Telling:
    """What is to be known of runs and jobs to tell what happens in them: looked up once for all who follow."""

    def __init__(self, services: Services) -> None:
        self._flows = services.flows
        self._runs = services.runs
        self._names: dict[str, str] = {}
        self._firsts: dict[str, int] = {}

    async def job_of(self, flow_id: str, run_id: str) -> str:
        """The id of the job that the run is of: `jobs.id_of`."""
        if flow_id and flow_id not in self._names:
            named = (await self._flows.names([flow_id])).get(flow_id)
            if named is not None:
                _make_room(self._names)
                self._names[flow_id] = named
        return jobs.id_of(self._names, flow_id, run_id)

    async def first_of(self, run_id: str) -> int:
        """The number of the journal's entry with which the run started; 0 where it has not."""
        if run_id not in self._firsts:
            found = 0
            with suppress(errors.UnknownRun):
                found = await self._look(run_id)
            if not found:
                return 0
            _make_room(self._firsts)
            self._firsts[run_id] = found
        return self._firsts[run_id]

    async def prepare(self, told: Sequence[Told]) -> None:
        """All that `write` needs to know of these."""
        for one in told:
            await self.job_of(one.news.flow_id, one.news.what.run)
            if isinstance(one.news.what, ports.Entry) and starts(one.news.what.event):
                await self.first_of(one.news.what.run)

    def write(self, news: ports.News) -> bytes:
        """The frames of news, for which this was prepared; nothing where this surface tells nothing of it."""
        what = news.what
        job_id = jobs.id_of(self._names, news.flow_id, what.run)
        first = isinstance(what, ports.Entry) and self._firsts.get(what.run) == what.seq and starts(what.event)
        return frames(list(of(what, job_id, first=first)), str(news.place))

    async def _look(self, run_id: str) -> int:
        async for entries in self._runs.events(run_id):
            for entry in entries:
                if starts(entry.event):
                    return entry.seq
        return 0


def telling(services: Services) -> Telling:
    """The one of this server."""
    found = _of_servers.get(services.feed)
    if found is None:
        found = _of_servers[services.feed] = Telling(services)
    return found


_of_servers = WeakKeyDictionary[Feed, Telling]()


def _make_room(known: dict[str, str] | dict[str, int]) -> None:
    if len(known) >= MOST_REMEMBERED:
        del known[next(iter(known))]
