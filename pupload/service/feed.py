"""
What happens in all runs, told to whoever follows.

The database is read once for all followers: what was read last is kept for a while, each follower goes through it at
its own pace, and a bounded part of it is held however many they are. Whoever comes back at an earlier place, or takes
longer than that is kept, reads on from the database by itself until it has caught up; so nobody holds up anybody, and
nothing is left out.
"""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from pupload import errors, ports
from pupload.domain import places
from pupload.engine.tasks import Tasks
from pupload.ports import LogRecord, News
from pupload.service import asking
from pupload.service.runs import Runs

log = logging.getLogger(__name__)

Wanted = Callable[[News], bool]

KEPT_BYTES = 16 << 20
"""What was read last and is kept, about."""

GATHER_SECONDS = 0.01
"""How long news gather until they are read: many small commits are read at once."""

_EVENT_BYTES, _LINE_BYTES = 1000, 300
"""What an event, and what a line beside its text takes, about."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
"""Seconds until it is looked again for what another's commit holds back, or a database that is away."""

_CATCHING_UP = 4
"""So many followers read for themselves at a time."""


class Told:
    """News, and what was made of them: what is written for one follower is not written again for the next."""

    __slots__ = ("_made", "news")

    def __init__(self, news: News) -> None:
        self.news = news
        self._made: dict[Callable[[News], bytes], bytes] = {}

    @property
    def cursor(self) -> str:
        """Where to go on behind this."""
        return str(self.news.place)

    def written(self, write: Callable[[News], bytes]) -> bytes:
        """What `write`, a function of a module, makes of it."""
        made = self._made.get(write)
        if made is None:
            made = self._made[write] = write(self.news)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is told at once, in its order; nothing, where nothing of it was wanted."""

    told: Sequence[Told]
    place: places.Place

    @property
    def cursor(self) -> str:
        """Where to go on behind this group."""
        return str(self.place)


class Feed:
    """Follows all runs, and waits for one."""

    def __init__(self, source: ports.Feed, runs: Runs) -> None:
        self._runs = runs
        self._source = source
        self._tails = {logs: _Tail(source, logs=logs) for logs in (False, True)}
        self._catching_up = asyncio.Semaphore(_CATCHING_UP)

    async def follow(
        self, *, after: str = "", wanted: Wanted | None = None, logs: bool = True, patient: bool = True
    ) -> AsyncIterator[Group]:
        """
        What happens from now on, or behind the cursor `after`; the first group is told at once, be it empty.

        Of runs that are not there for whoever asks at the first step, nothing is told.

        Never ends. Raises `errors.Malformed` for what is no cursor and `errors.CursorExpired` for one that is too old,
        at the first step; that one later, too, for a follower that takes far too long. Who is not `patient` would
        rather have `errors.FellBehind` than read for itself what was not kept for it.
        """
        wanted = _for_the_caller(wanted)
        place = places.read(after) if after else None
        if after and place is None:
            raise errors.Malformed(reason=f"{after[:64]!r} is no place to go on from")
        tail = self._tails[logs]
        async with tail.followed():
            if place is None:
                place = tail.place
                yield Group(told=(), place=place)
            else:
                page = await self._read(place, logs=logs)
                place = page.place
                yield Group(told=_of([Told(news) for news in page.news], wanted), place=place)
            while True:
                part = tail.behind(place)
                if part is not None:
                    told = part.told if part.before >= place else [one for one in part.told if one.news.place > place]
                    place = part.place
                    yield Group(told=_of(told, wanted), place=place)
                elif place >= tail.place:
                    await tail.wait(place)
                elif patient or place < tail.begun_at:
                    page = await self._read(place, logs=logs)
                    if page.place == place:
                        await asyncio.sleep(_FIRST_PAUSE)
                    place = page.place
                    yield Group(told=_of([Told(news) for news in page.news], wanted), place=place)
                else:
                    raise errors.FellBehind(place=place)

    async def wait(self, run_id: str, seconds: float | None) -> bool:
        """
        Returns when the run is over, or gone, or so much time has passed (None: any): whether it is over.

        Raises `errors.UnknownRun`.
        """
        async with aclosing(cast(AsyncGenerator[Any, None], self._runs.events(run_id, follow=True))) as events:
            try:
                async with asyncio.timeout(seconds) as limit:
                    async for _ in events:
                        pass
            except TimeoutError:
                if not limit.expired():
                    raise
                return False
        return True

    async def _read(self, place: places.Place, *, logs: bool) -> ports.NewsPage:
        async with self._catching_up:
            return await self._source.read(place, logs=logs)


def _for_the_caller(wanted: Wanted | None) -> Wanted | None:
    """What of the news is wanted that are there for whoever asks; None: everything."""
    who = asking.caller()
    if who.sees_all:
        return wanted
    if wanted is None:
        return lambda news: who.sees(news.account)
    return lambda news: who.sees(news.account) and wanted(news)


def _of(told: Sequence[Told], wanted: Wanted | None) -> Sequence[Told]:
    return told if wanted is None else [one for one in told if wanted(one.news)]


@dataclass(frozen=True, slots=True)
class _Part:
    """What was read in one go."""

    before: places.Place
    place: places.Place
    told: Sequence[Told]
    bytes: int


@dataclass(slots=True)
class _Tail:
    """What was read last, and who reads on: nobody while nobody follows."""

    source: ports.Feed
    logs: bool = field(kw_only=True)
    place: places.Place = field(default_factory=places.Place)
    """So far it was read."""
    begun_at: places.Place = field(default_factory=places.Place)
    """Where reading began, with the first follower."""
    _parts: list[_Part] = field(default_factory=list)
    _bytes: int = 0
    _followers: int = 0
    _tasks: Tasks = field(default_factory=Tasks)
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _grown: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """It is read on inside."""
        self._followers += 1
        try:
            if self._followers == 1:
                self._begun.clear()
                self._tasks.start(self._go_on(), name="read what happens in all runs")
            await self._begun.wait()
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                await self._stop()

    def behind(self, place: places.Place) -> _Part | None:
        """What was read in one go and goes on behind the place, or with it inside; None where that is not kept."""
        if not self._parts or place < self._parts[0].before or place >= self.place:
            return None
        return self._parts[bisect_right(self._parts, place, key=lambda part: part.place)]

    async def wait(self, place: places.Place) -> None:
        """Returns when more was read than up to there."""
        while place >= self.place:
            await self._grown.wait()

    async def _stop(self) -> None:
        tasks, self._tasks = self._tasks, Tasks()
        self._parts, self._bytes = [], 0
        await tasks.close()

    async def _go_on(self) -> None:
        pause = _FIRST_PAUSE
        with self.source.subscribe() as written:
            while True:
                try:
                    if not self._begun.is_set():
                        self.place = self.begun_at = await self.source.end()
                        self._begun.set()
                    held = await self._read_all()
                    if not held:
                        pause = _FIRST_PAUSE
                        await written.wait()
                        await asyncio.sleep(GATHER_SECONDS)
                        continue
                except errors.CursorExpired:
                    log.warning("what happens in all runs came faster than it could be read: followers catch up")
                    self._parts, self._bytes = [], 0
                    self._begun.clear()
                except errors.PuploadError as error:
                    log.warning("what happens in all runs cannot be read just now: %s", error.message)
                except Exception:
                    log.exception("what happens in all runs could not be read")
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _read_all(self) -> bool:
        """Reads to the end. Returns whether what comes next is held back."""
        while True:
            page = await self.source.read(self.place, logs=self.logs)
            if page.place == self.place:
                return page.held
            self._keep(page)
            grown, self._grown = self._grown, asyncio.Event()
            grown.set()

    def _keep(self, page: ports.NewsPage) -> None:
        size = sum(
            _LINE_BYTES + len(one.what.line.message) if isinstance(one.what, LogRecord) else _EVENT_BYTES
            for one in page.news
        )
        told = [Told(news) for news in page.news]
        self._parts.append(_Part(before=self.place, place=page.place, told=told, bytes=size))
        self.place = page.place
        self._bytes += size
        gone = 0
        while self._bytes > KEPT_BYTES and gone < len(self._parts) - 1:
            self._bytes -= self._parts[gone].bytes
            gone += 1
        del self._parts[:gone]
