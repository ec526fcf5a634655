"""
Reading what a container says.

A container that ends soon is read once, when it has ended: its log lies there then, all of it. One that runs on is
followed. What is followed is not all of it with every engine: those before 23 leave a follower, when the container
ends, without what it had not read yet, by chance (they choose between "there is more" and "it is over"). So what was
followed is compared with what is kept, by its last line.

A container that said nothing is not asked, where the engine's files are to be seen: the engine writes the log before it
tells of the end, so that an empty file says so, some ten milliseconds sooner than the engine, which then still takes
down mounts.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from pupload import ports
from pupload.adapters.docker import calls, containers, events, logs, streams
from pupload.adapters.docker.watching import LOOK_AGAIN_SECONDS

_ENDS_SOON_SECONDS = 0.25
"""How much later than it was written the first line may be told: it saves most short containers a second reading."""

_GLANCES = 8
"""
How many times so much later one that still said nothing is let be: to look at an empty file takes some microseconds,
to follow a log, and to ask then for what was not told, takes two questions.
"""


class Reading:
    """Reads logs, of however many containers."""

    def __init__(
        self,
        there: containers.Containers,
        happened: events.Events,
        stream: streams.Streams,
        asks: calls.Calls,
        *,
        idle_seconds: float,
    ) -> None:
        """`idle_seconds`: how long a container may say nothing before the engine is asked whether it is there."""
        self._containers = there
        self._events = happened
        self._streams = stream
        self._calls = asks
        self._idle_seconds = max(idle_seconds, LOOK_AGAIN_SECONDS)
        self.files: Path | None = None
        """The engine's folder with a folder for each container, where it is on this machine."""

    async def lines(self, name: str, skip: int) -> AsyncIterator[ports.LogLine]:
        """
        As `ports.Executor.logs`.

        Counting with `skip` is exact until several times the order's `log_bytes` were written (as the engine stores
        them: some 80 bytes more per line); then its oldest lines are gone.
        """
        while (state := await self._state(name)) is not None:
            if state == "ended" and self._said_nothing(name):
                return
            passed, last = 0, None
            async for line in self._stream(name, **({} if state == "ended" else _FOLLOW)):
                passed, last = passed + 1, line
                if passed > skip:
                    yield line
            if state == "ended":
                return
            if not (has_ended := self._has_ended(name)):
                found = await self._containers.inspect(name)
                if found is None:
                    return
                has_ended = containers.has_ended(found)
            if has_ended:
                async for line in self._untold(name, passed, last):
                    passed += 1
                    if passed > skip:
                        yield line
                return
            skip = max(skip, passed)

    async def last_line(self, name: str) -> ports.LogLine | None:
        """As `ports.Executor.last_line`."""
        with self._events.watch(name) as watch:
            while (found := await self._containers.inspect(name)) is not None and not containers.has_ended(found):
                await watch.changed(within_seconds=LOOK_AGAIN_SECONDS)
        last = None
        async for line in self._stream(name, tail="1"):
            last = line
        return last

    async def _state(self, name: str) -> str | None:
        """
        Whether it has `ended` or `runs` on, waiting for that while it is being started, or is about to end.

        None when there is nothing to be read, or never will be.
        """
        with self._events.watch(name) as watch:
            while (life := self._events.life(name)) is None or not life.whole:
                found = await self._containers.inspect(name)
                if found is None or (containers.has_ended(found) and not containers.was_started(found)):
                    return None
                if containers.has_ended(found):
                    return "ended"
                if containers.was_started(found):
                    break
                await watch.changed(within_seconds=LOOK_AGAIN_SECONDS)
            for _ in range(_GLANCES):
                until = asyncio.get_running_loop().time() + _ENDS_SOON_SECONDS
                while not self._has_ended(name) and (left := until - asyncio.get_running_loop().time()) > 0:
                    await watch.changed(within_seconds=left)
                if self._has_ended(name) or not self._said_nothing(name):
                    break
            return "ended" if self._has_ended(name) else "runs"

    def _has_ended(self, name: str) -> bool:
        """Whether that is known without asking."""
        life = self._events.life(name)
        return life is not None and life.ended

    def _said_nothing(self, name: str) -> bool:
        """Whether its log is an empty file; False for one that cannot be seen. Some microseconds."""
        life = self._events.life(name)
        if self.files is None or life is None or not life.id:
            return False
        try:
            return Path(f"{self.files}/{life.id}/{life.id}-json.log").stat().st_size == 0
        except OSError:
            return False

    async def _untold(self, name: str, passed: int, last: ports.LogLine | None) -> AsyncIterator[ports.LogLine]:
        """What the engine keeps beyond the `passed` lines that it told who followed, `last` at the end."""
        if self._has_ended(name) and self._said_nothing(name):
            return
        kept = [line async for line in self._stream(name, tail="1")]
        if not kept or kept[-1] == last:
            return
        count = 0
        async for line in self._stream(name):
            count += 1
            if count > passed:
                yield line
        if count <= passed:  # what is kept begins later than what was told: then the end alone
            for line in kept:
                yield line

    async def _stream(self, name: str, **which: str) -> AsyncIterator[ports.LogLine]:
        """
        All lines from the first, or of the entries that the engine's parameters `which` choose.

        Followed, until the engine ends the stream: the container ended, or the engine did.
        """
        parser = logs.Parser()
        query = {"stdout": "1", "stderr": "1", "timestamps": "1", **which}
        try:
            async with self._streams.open("GET", f"/containers/{name}/logs", query=query) as body:
                while not body.at_eof():
                    try:
                        async with asyncio.timeout(self._idle_seconds):
                            data = await body.readany()
                    except TimeoutError:
                        # Nothing to say, or nobody there any more? Asking tells.
                        await self._containers.inspect(name)
                        continue
                    for line in parser.feed(data):
                        yield line
        except logs.NotALog:
            raise self._calls.unavailable("its log stream makes no sense") from None
        except calls.Refusal as refusal:
            if refusal.status not in (containers.NOT_FOUND, containers.CONFLICT):
                raise


_FOLLOW = {"follow": "1"}
