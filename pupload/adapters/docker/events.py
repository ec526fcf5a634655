"""
The engine's event stream, which wakes whoever waits for a container.

An event says "look again", and who waits inspects. So events that come twice or late do no harm; after every reconnect
everybody looks; and who waits looks now and then anyway, for events that were lost.

One thing is believed without a look: what the stream told of a container from its start on, without a gap. That it runs
then, or ended well, is as sure as an inspection would tell, which the engine only answers when it has cleaned up.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import aiohttp
import msgspec

from pupload import errors, ports
from pupload.adapters.docker import ends, streams

_log = logging.getLogger(__name__)

_ACTIONS = ["start", "die", "oom", "kill", "destroy"]
_IMAGE_ACTIONS = ["tag", "untag", "delete", "pull", "import", "load"]
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_LOOK_BACK_SECONDS = 5
_REMEMBERED = 10_000
"""Containers of which something is remembered, should their removal never be told."""


class About(msgspec.Struct, frozen=True):
    """What an event is about."""

    ID: str = ""
    Attributes: dict[str, str] = {}


class Event(msgspec.Struct, frozen=True, rename={"nanoseconds": "timeNano"}):
    """As the engine spells it."""

    Type: str = ""
    Action: str = ""
    Actor: About = About()
    time: int = 0
    nanoseconds: int = 0
    """The same, finer."""


_decode = msgspec.json.Decoder(Event).decode


@dataclass(slots=True)
class Life:
    """What was told of a container since its last start."""

    id: str
    whole: bool = False
    """Whether everything was: from its start on, on one stream."""
    started_ns: int = 0
    died_ns: int = 0
    code: int | None = None
    """Its exit code, once it has ended."""
    oom: bool = False
    """Whether the kernel was seen to kill something in it for memory."""
    signal: int | None = None
    """The last signal that the engine was asked to send."""

    @property
    def runs(self) -> bool:
        """For sure."""
        return self.whole and self.code is None

    @property
    def ended(self) -> bool:
        """For sure, however."""
        return self.whole and self.code is not None

    @property
    def ended_well(self) -> bool:
        """For sure: of itself, with nothing to remark."""
        return self.whole and self.code == 0 and not self.oom and self.signal is None


class Watch:
    """One waiter's view of one container."""

    def __init__(self) -> None:
        self.oom = False
        """Whether the kernel was seen to kill something in it for memory."""
        self._woken = False
        self._waiting: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Something may have happened."""
        self._woken = True
        self._end_wait()

    async def changed(self, *, within_seconds: float) -> bool:
        """Whether something may have happened since the last True; False after that time. For one waiter at a time."""
        if not self._woken:
            # Each container is waited for several times: a future and an alarm are a third of what a timeout takes.
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            alarm = loop.call_later(within_seconds, self._end_wait)
            try:
                await self._waiting
            finally:
                alarm.cancel()
                self._waiting = None
        woken, self._woken = self._woken, False
        return woken

    def _end_wait(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Events:
    """Wakes watches by container name."""

    def __init__(self, *, label: str, stream: streams.Streams, clock: ports.Clock) -> None:
        self._clock = clock
        self._watches: dict[str, set[Watch]] = {}
        self._lives: dict[str, Life] = {}
        containers = {"type": ["container"], "event": _ACTIONS, "label": [label]}
        self._containers = _Tap(stream, clock, containers, take=self._take, again=self._begin_anew)

    @contextmanager
    def watch(self, name: str) -> Iterator[Watch]:
        """While inside, events of that container wake the watch. Inspect after entering and nothing is missed."""
        self._containers.open()
        watch = Watch()
        self._watches.setdefault(name, set()).add(watch)
        try:
            yield watch
        finally:
            watches = self._watches[name]
            watches.discard(watch)
            if not watches:
                del self._watches[name]

    def life(self, name: str) -> Life | None:
        """What was told of that container since its last start; None where that is nothing."""
        return self._lives.get(name)

    def started(self, name: str, container: str) -> None:
        """The engine has answered that it started this one, which it does not always tell before."""
        life = self._lives.get(name)
        if self._containers.flows and (life is None or life.id != container):
            self._keep(name, Life(container, whole=True))

    def opened(self, name: str) -> None:
        """A container that was armed has begun its work now, and not when it was started."""
        if (life := self._lives.get(name)) is not None:
            life.started_ns = int(self._clock.now().timestamp() * 1e9)

    def signal(self, name: str) -> int | None:
        """The last signal that was seen to be sent to that container through the engine since its start."""
        life = self._lives.get(name)
        return life.signal if life is not None else None

    async def close(self) -> None:
        """Nothing is read any more."""
        await self._containers.close()

    def _take(self, event: Event) -> None:
        name = event.Actor.Attributes.get("name", "")
        self._note(name, event)
        for watch in self._watches.get(name, ()):
            watch.oom = watch.oom or event.Action == "oom"
            watch.wake()

    def _note(self, name: str, event: Event) -> None:
        life = self._lives.get(name)
        if event.Action == "destroy":
            if life is not None and life.id == event.Actor.ID:
                del self._lives[name]
            return
        if event.Action == "start":
            self._note_start(name, life, event)
            return
        if life is None or life.id != event.Actor.ID:
            if life is not None and life.whole:
                return  # of an earlier container of that name, told late
            life = self._keep(name, Life(event.Actor.ID))
        if event.Action == "die":
            told = event.Actor.Attributes.get("exitCode", "")
            life.code, life.died_ns = int(told) if told.isdecimal() else None, event.nanoseconds
            life.whole = life.whole and life.code is not None
        elif event.Action == "oom":
            life.oom = True
        elif event.Action == "kill":
            life.signal = ends.number_of(event.Actor.Attributes.get("signal", "")) or life.signal

    def _note_start(self, name: str, life: Life | None, event: Event) -> None:
        if life is not None and life.id == event.Actor.ID:
            if life.died_ns > event.nanoseconds:
                return  # told late: it has ended since
            if life.whole and life.code is None:
                life.started_ns = life.started_ns or event.nanoseconds
                return
        self._keep(name, Life(event.Actor.ID, whole=True, started_ns=event.nanoseconds))

    def _keep(self, name: str, life: Life) -> Life:
        self._lives.pop(name, None)
        while len(self._lives) >= _REMEMBERED:
            del self._lives[next(iter(self._lives))]
        self._lives[name] = life
        return life

    def _begin_anew(self) -> None:
        """A stream begins or has ended: between it and the next one anything may have happened."""
        for life in self._lives.values():
            life.whole = False
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()


class Images:
    """Knows how long nothing happened to the engine's images."""

    def __init__(self, stream: streams.Streams, clock: ports.Clock) -> None:
        self._tap = _Tap(
            stream,
            clock,
            {"type": ["image"], "event": _IMAGE_ACTIONS},
            take=lambda _: self._change(),
            again=self._change,
        )
        self._changes = 0

    @property
    def state(self) -> int | None:
        """A number that changes whenever an image might; None while that is not told."""
        self._tap.open()
        return self._changes if self._tap.flows else None

    def _change(self) -> None:
        self._changes += 1

    async def close(self) -> None:
        """Nothing is read any more."""
        await self._tap.close()


class _Tap:
    """Reads the engine's events of one kind, on and on."""

    def __init__(
        self,
        stream: streams.Streams,
        clock: ports.Clock,
        filters: dict[str, list[str]],
        *,
        take: Callable[[Event], None],
        again: Callable[[], None],
    ) -> None:
        """`take` gets every event; `again` is called before a stream begins and when it has ended."""
        self._stream = stream
        self._clock = clock
        self._filters = json.dumps(filters)
        self._take = take
        self._again = again
        self._task: asyncio.Task[None] | None = None
        self._last: int | None = None
        self.flows = False
        """Whether a stream is there, as far as one can tell."""

    def open(self) -> None:
        """Reads from now on, until closed."""
        if self._task is None:
            self._task = asyncio.create_task(self._read_on(), name="engine events")

    async def close(self) -> None:
        """Reads no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _read_on(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._read()
                pause = _FIRST_PAUSE
            except errors.PuploadError as error:
                _log.warning("the engine's event stream broke: %s", error)
            except Exception:  # noqa: BLE001 - whatever broke it, waiters need the next stream
                # Half a line of JSON when the engine dies.
                _log.warning("the engine's event stream broke", exc_info=True)
            self.flows = False
            self._again()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _read(self) -> None:
        """Reads until the stream ends. It begins a little in the past, so that no event falls into the gap."""
        since = self._last or int(self._clock.now().timestamp()) - _LOOK_BACK_SECONDS
        query = {"since": str(since), "filters": self._filters}
        async with self._stream.open("GET", "/events", query=query) as body:
            self._again()
            self.flows = True
            async for event in _events(body):
                self._last = event.time or self._last
                self._take(event)


async def _events(body: aiohttp.StreamReader) -> AsyncIterator[Event]:
    """One to a line, however long: an image's labels are in them."""
    rest = bytearray()
    while data := await body.readany():
        *lines, last = data.split(b"\n")
        for line in lines:
            rest += line
            if rest.strip():
                yield _decode(rest)
            rest.clear()
        rest += last
