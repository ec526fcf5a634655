"""
Sources: what is in them is saved, as versions of flows, whenever they are looked at.

A flow that a source has no more is not removed, for that could be a mistake, or a disk that is not there: it is shut,
and opened again when it is found again. What cannot be read, or breaks rules, stays as it was, and is told.

Nothing is remembered but in the flows themselves: whoever is stopped half-way, or looks at the same time, saves each
flow once. Which flows were known is looked up before a source is read: what somebody else saved since then may be
newer than what was read, and so all is read anew.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from pupload import errors
from pupload.domain import saved, sources
from pupload.domain.access import ANYBODY
from pupload.domain.sources import Found, Problem, Source, Tree
from pupload.engine import aside
from pupload.engine.tasks import Tasks
from pupload.engine.timers import sleep
from pupload.ports import Clock, SourceReader
from pupload.service import asking
from pupload.service.flows import MAX_PAGE, Draft, Flows

log = logging.getLogger(__name__)

AGAIN_SECONDS = 30.0
"""When a source is looked at again that could not be read when the server started."""

PATIENCE = 10
"""How often a source is read anew because somebody else saved flows of it meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceView:
    """A source, and what this server knows of it."""

    name: str
    type: str
    """`fs`, `git`, or `api` for the API itself."""
    path: str = ""
    """Its folder or URL."""
    ref: str = ""
    folder: str = ""
    namespace: str = ""
    interval_seconds: float = 0.0
    commit: str = ""
    """Of a git repository, that was looked at last."""
    synced_at: datetime | None = None
    """When it was read last."""
    flows: int = 0
    """Found in it then, and saved here."""
    problems: Sequence[Problem] = ()
    error: str = ""
    """Why it could not be read when that was tried last; empty where it could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What came of looking at a source. Flows are told by their full names, in order."""

    source: str
    commit: str = ""
    at: datetime
    flows: int = 0
    """Found, and saved now or before."""
    created: Sequence[str] = ()
    changed: Sequence[str] = ()
    """With a new version, or found again."""
    gone: Sequence[str] = ()
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()
    error: str = ""
    """Why it could not be read."""


Meaning = Callable[[bool], sources.Interpreter]
"""Makes what tells the meaning of one tree, which is a project's or not."""

READ_SECONDS = 120.0
"""For the meaning of all files: small ones that take long are bombs."""


class _Moved(Exception):
    """Somebody else saved a flow of the source since it was looked up."""


@dataclass
class _State:
    """What is remembered of a source, for whoever asks, and to have less to do."""

    report: SyncReport | None = None
    error: str = ""
    last: "_Last | None" = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class _Done:
    """The names of the flows that were saved or shut, however often it was begun anew."""

    created: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    def told(self) -> dict[str, Any]:
        """As a report has them."""
        changed = self.changed - self.created
        return {"created": sorted(self.created), "changed": sorted(changed), "gone": sorted(self.gone)}


@dataclass
class _Last:
    """The files as they were read last, and what became of them."""

    tree: Tree
    """Without the files."""
    project: bool
    reading: sources.Reading | None = None
    """What they mean, for as long as there is something to do about it."""
    refusal: str = ""
    """Why they cannot be read."""
    flows: Mapping[str, int] | None = None
    """The revisions of the source's flows, once all was done."""


class Sources:
    """What can be asked about sources, and the one that looks at them."""

    def __init__(
        self,
        *,
        known: Sequence[Source] = (),
        readers: Mapping[sources.Kind, SourceReader],
        meaning: Meaning,
        flows: Flows,
        clock: Clock,
    ) -> None:
        self._known = {source.name: source for source in known}
        self._readers = readers
        self._meaning = meaning
        self._flows = flows
        self._clock = clock
        self._states = {source.name: _State() for source in known}
        self._tasks = Tasks()

    def start(self) -> None:
        """Looks at all of them from now on, as often as each says."""
        self._tasks.start(self._shut_others(), name="shut the flows of sources that are no more")
        for source in self._known.values():
            self._tasks.start(self._for_ever(source), name=f"look at source {source.name}")

    async def close(self) -> None:
        """Looks no more. What was saved is saved."""
        await self._tasks.close()

    def list(self) -> Sequence[SourceView]:
        """The API, and then all sources in the order that the operator names them in."""
        own = SourceView(name=saved.API, type=saved.API)
        return (own, *(self._view(source) for source in self._known.values()))

    def get(self, name: str) -> SourceView:
        """Raises `errors.UnknownSource`."""
        for view in self.list():
            if view.name == name:
                return view
        raise errors.UnknownSource(name=name[: saved.MOST_SEGMENT])

    async def sync(self, name: str | None = None) -> Sequence[SyncReport]:
        """
        What came of looking now at this source, or at each of them.

        Raises `errors.UnknownSource`; that one cannot be read is told in its report.
        """
        if name is not None and name not in self._known:
            raise errors.UnknownSource(name=name[: saved.MOST_SEGMENT])
        asked = self._known.values() if name is None else (self._known[name],)
        with asking.asked_by(ANYBODY):  # whoever asks for it, the flows are nobody's
            return [await self._sync(source) for source in asked]

    async def _shut_others(self) -> None:
        """Shuts the flows of sources that are not named any more: nobody would ever look after them."""
        while True:
            try:
                return await self._shut_all_others()
            except errors.TryLater as error:
                log.warning("shutting the flows of sources that are no more is put off: %s", error)
                await sleep(self._clock, AGAIN_SECONDS)

    async def _shut_all_others(self) -> None:
        seen = 0
        while True:
            page = await self._flows.list(limit=MAX_PAGE, offset=seen)
            for this in page.flows:
                if not this.gone and this.source != saved.API and this.source not in self._known:
                    log.warning("flow %s is shut: source %s is not named any more", this.full_name, this.source)
                    with suppress(errors.FlowChanged, errors.UnknownSavedFlow):
                        await self._flows.retire(this)
            seen += len(page.flows)
            if len(page.flows) < MAX_PAGE:
                return

    # ── One source ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _for_ever(self, source: Source) -> None:
        while True:
            try:
                wrong = (await self._sync(source)).error
            except Exception as error:  # nobody else would ever look at it again
                expected = isinstance(error, errors.PuploadError)
                log.warning("source %s is put off: %s", source.name, error, exc_info=None if expected else error)
                wrong = str(error)
            if not source.interval_seconds and not wrong:
                return
            await sleep(self._clock, source.interval_seconds or AGAIN_SECONDS)

    async def _sync(self, source: Source) -> SyncReport:
        state = self._states[source.name]
        async with state.turn:
            try:
                report = await self._patiently(source, state)
            except errors.SourceUnavailable as error:
                if state.error != str(error):
                    log.warning("%s", error)
                state.error = str(error)
                return SyncReport(source=source.name, at=self._clock.now(), error=str(error))
            _log(report, state.report)
            state.error, state.report = "", report
            return report

    async def _patiently(self, source: Source, state: _State) -> SyncReport:
        done = _Done()
        for _ in range(PATIENCE):
            try:
                return await self._round(source, state, done)
            except _Moved:
                continue
        raise errors.SourceUnavailable(source=source.name, reason="others save its flows all the time")

    async def _round(self, source: Source, state: _State, so_far: _Done) -> SyncReport:
        before = await self._saved(source)
        last = state.last
        done = last is not None and last.flows == {name: this.revision for name, this in before.items()}
        usable = last is not None and (done or last.reading is not None or last.refusal)
        known = last.tree.revision if last is not None and usable else ""
        tree = await self._readers[source.type].read(source, known=known)
        if tree is not None:
            last = state.last = await self._read(tree)
        assert last is not None, "what is known was read"
        if last.refusal:
            raise errors.SourceUnavailable(source=source.name, reason=last.refusal)
        if last.reading is None:
            assert state.report is not None, "it was read, and all of it was done"
            return replace(state.report, at=self._clock.now(), **so_far.told())
        work = _Work(source, last, last.reading, before, self._flows, so_far)
        await work.save_all()
        await work.retire_rest()
        if work.is_done:
            last.reading = None
            last.flows = {name: this.revision for name, this in work.after.items()}
        return work.report(self._clock.now())

    async def _read(self, tree: Tree) -> _Last:
        """What the files mean: read one by one, that whoever else has long reckonings gets a turn between them."""
        last = _Last(tree=replace(tree, files=()), project=sources.is_project([file.path for file in tree.files]))
        interpreter = self._meaning(last.project)
        try:
            async with asyncio.timeout(READ_SECONDS):
                for file in tree.files:
                    await aside.aside(partial(interpreter.take, file), large=True)
                last.reading = await aside.aside(interpreter.reading, large=True)
        except TimeoutError:
            last.refusal = f"its files take longer than {READ_SECONDS:g} s to read; name a folder in it"
        return last

    async def _saved(self, source: Source) -> dict[str, saved.SavedFlow]:
        """The flows of the source, by their full names."""
        found: dict[str, saved.SavedFlow] = {}
        while True:
            page = await self._flows.list(source=source.name, limit=MAX_PAGE, offset=len(found))
            found |= {this.full_name: this for this in page.flows}
            if len(page.flows) < MAX_PAGE:
                return found

    def _view(self, source: Source) -> SourceView:
        state = self._states[source.name]
        report = state.report
        return SourceView(
            name=source.name,
            type=source.type,
            path=source.path,
            ref=source.ref if source.type is sources.Kind.GIT else "",
            folder=source.folder,
            namespace=source.namespace,
            interval_seconds=source.interval_seconds,
            commit=report.commit if report else "",
            synced_at=report.at if report else None,
            flows=report.flows if report else 0,
            problems=report.problems if report else (),
            error=state.error,
        )


class _Work:
    """Saving what was found in one source."""

    def __init__(
        self,
        source: Source,
        last: _Last,
        reading: sources.Reading,
        before: Mapping[str, saved.SavedFlow],
        flows: Flows,
        done: _Done,
    ) -> None:
        self._source = source
        self._tree = last.tree
        self._reading = reading
        self._before = before
        self._flows = flows
        self._problems = [*last.tree.problems, *reading.problems]
        self._warnings: list[Problem] = []
        self._project = last.project
        self.after = dict(before)
        self._there: set[str] = set()
        self._done = done

    async def save_all(self) -> None:
        """Saves each flow that was found; what keeps one from it is a problem. Raises `_Moved`."""
        named = [(sources.full_name(self._source, found.name), found) for found in self._reading.flows]
        count = Counter(name for name, _ in named)
        for name, found in sorted(named, key=lambda each: (each[0], each[1].path)):
            self._there.add(name)
            if count[name] > 1:
                others = ", ".join(other.path for each, other in named if each == name and other is not found)
                self._problems.append(Problem(path=found.path, text=f"{others} is the flow {name} as well"))
            else:
                await self._save(name, found)

    async def retire_rest(self) -> None:
        """Shuts the flows that were not found, unless it may be that they could not be. Raises `_Moved`."""
        unread = [problem.path for problem in self._problems]
        for name, this in self._before.items():
            if name in self._there or this.gone:
                continue
            if sources.concerned(self._source, name, unread, project=self._project):
                continue
            if passed := self._passed(name):
                self._problems.append(Problem(path=passed, text=f"it holds no flow any more: {name} stays as it was"))
                continue
            try:
                self.after[name] = await self._flows.retire(this)
            except (errors.FlowChanged, errors.UnknownSavedFlow) as error:
                raise _Moved from error
            self._done.gone.add(name)

    @property
    def is_done(self) -> bool:
        """Whether nothing would come of doing it again, as long as the files are the same."""
        return len(self._problems) == len(self._tree.problems) + len(self._reading.problems)

    def report(self, now: datetime) -> SyncReport:
        """What came of it."""
        return SyncReport(
            source=self._source.name,
            commit=self._tree.commit,
            at=now,
            flows=sum(not this.gone for this in self.after.values()),
            **self._done.told(),
            problems=_few(self._problems),
            warnings=_few(self._warnings),
        )

    def _passed(self, name: str) -> str:
        """The file that the flow was in, which holds something else by now; empty where it is not there."""
        for path in self._reading.passed:
            if sources.concerned(self._source, name, [path], project=self._project):
                return path
        return ""

    async def _save(self, name: str, found: Found) -> None:
        before = self._before.get(name)
        path = "/".join(filter(None, (self._source.folder, found.path)))
        origin = f"{path}@{self._tree.commit}" if self._tree.commit else path
        draft = Draft(
            content=found.content,
            description=found.description,
            tags=found.tags,
            enabled=found.enabled,
            public=True,
            label=found.label,
            message=self._tree.message[:_MOST_MESSAGE],
            origin=origin,
            if_version=before.version if before else 0,
            warnings=found.warnings,
        )
        try:
            view = await self._flows.save(name, draft, source=self._source.name)
        except errors.Invalid as error:
            self._problems += [self._finding(found, each.path, each.description) for each in error.findings]
        except errors.Conflict as error:
            await self._conflict(name, found, error)
        except (errors.Refused, errors.Damaged) as error:
            self._problems.append(Problem(path=found.path, text=str(error)))
        else:
            self._note(name, before, view.flow)
            self._warnings += [Problem(path=found.path, text=text) for text in view.warnings]

    def _note(self, name: str, before: saved.SavedFlow | None, now: saved.SavedFlow) -> None:
        self.after[name] = now
        if before is None:
            self._done.created.add(name)
        elif before != now:
            self._done.changed.add(name)

    async def _conflict(self, name: str, found: Found, error: errors.Conflict) -> None:
        """Tells whose the name is. Raises `_Moved` where it is our own, or nobody's any more."""
        try:
            there = await self._flows.find(name)
        except errors.UnknownSavedFlow:
            raise _Moved from error
        if there.source == self._source.name:
            raise _Moved from error
        whose = "saved through the API" if there.source == saved.API else f"of source {there.source}"
        gone = ", which has it no more: remove it there" if there.gone else ""
        self._problems.append(Problem(path=found.path, text=f"there is a flow {name} already, {whose}{gone}"))

    def _finding(self, found: Found, pointer: str, text: str) -> Problem:
        path, line = found.place(pointer)
        return Problem(path=path, line=line, text=f"{text} (flow {found.name})" if path != found.path else text)


_MOST_MESSAGE = 1000


def _few(problems: Sequence[Problem]) -> Sequence[Problem]:
    most = sources.MOST_PROBLEMS
    if len(problems) <= most:
        return tuple(problems)
    return (*problems[:most], Problem(path="", text=f"and {len(problems) - most} more"))


def _log(report: SyncReport, before: SyncReport | None) -> None:
    """What is new, once."""
    if report.created or report.changed or report.gone:
        log.info(
            "source %s: %d flows, %d of them new, %d changed; %d gone",
            *(report.source, report.flows, len(report.created), len(report.changed), len(report.gone)),
        )
    told = before.problems if before else ()
    for problem in report.problems:
        if problem not in told:
            log.warning("source %s: %s: %s", report.source, problem.place or "all of it", problem.text)
