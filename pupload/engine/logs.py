"""
The log of an attempt, from its container to the journal.

Lines are written in groups: while one group becomes durable the next one gathers, so that a talkative node costs few
commits and a quiet one is heard at once. What a node may write is bounded; what it wrote last is always kept.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from pupload import errors
from pupload.domain import logline
from pupload.domain.masking import without_signatures
from pupload.domain.run import AttemptRef
from pupload.engine.tasks import all_of
from pupload.ports import Clock, Executor, Journal, LogLine

log = logging.getLogger(__name__)

GATHERED = 2000
"""Lines that are not yet in the journal at most; a node that writes faster is held back."""

LINE_BYTES = 80
"""What a line takes beside its text, here and in the engine: its time, its stream, its place."""

HURRIED_BYTES = 1 << 20
"""So much of a log is read however great the hurry: only a flood is cut short."""

PROGRESS_SECONDS = 1.0
"""How often progress is told at most."""


class LogPump:
    """Pumps one attempt's log."""

    def __init__(
        self,
        *,
        ref: AttemptRef,
        executor: Executor,
        journal: Journal,
        clock: Clock,
        limit_bytes: int,
        parser: str,
        on_progress: Callable[[float], None],
        mask: Callable[[str], str] = without_signatures,
        is_new: bool = False,
    ) -> None:
        """
        `mask` takes out of each message what is not to be kept. `is_new`: nobody can have written a line of it, so
        the journal need not be asked how many there are.
        """
        self._is_new = is_new
        self.last_line = ""
        """What the node said last on stderr, else on stdout: for the sentence that says why it failed."""
        self._last_stream = ""
        self._ref = ref
        self._executor = executor
        self._journal = journal
        self._clock = clock
        self._left = limit_bytes
        self._least_left = limit_bytes - HURRIED_BYTES
        self._cut: LogLine | None = None
        self._parse = logline.PARSERS[parser]() if parser in logline.PARSERS else None
        self._on_progress = on_progress
        self._mask = mask
        self._told_at = float("-inf")
        self._gathered: deque[tuple[LogLine, int]] = deque()
        """With what each counts against the limit."""
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False
        self._hurried = False

    def hurry(self) -> None:
        """What is not read yet of a flood is left out, but for the last line: nobody waits for more."""
        self._hurried = True

    async def run(self) -> None:
        """
        Pumps until the container has ended and all it wrote is in the journal.

        Raises what the executor and the journal raise; asked again, it goes on after the last line that was written.
        """
        while True:
            try:
                return await self._run()
            except errors.Stale:
                # Another controller has the run by now, or had it: neither writes a line that the other has written.
                log.info("the log of %s was written by another", self._ref.id)

    async def _run(self) -> None:
        ref = self._ref
        self._left += sum(size for _, size in self._gathered)  # they will be read again
        self._gathered.clear()
        self._cut, self._ended = None, False
        self._more.clear()
        # What was written before is there already, and how much of the limit it took hardly matters.
        new, self._is_new = self._is_new, False  # asked again, it goes on after what it wrote itself
        skip = 0 if new else await self._journal.count_logs(ref.run, ref.node, ref.number)
        async with aclosing(self._lines(skip)) as lines:
            # Most nodes say nothing: then nobody is needed to write it down.
            if (first := await anext(lines, None)) is not None:
                await all_of([self._read(first, lines), self._write(skip)])

    async def _read(self, line: LogLine | None, lines: AsyncGenerator[LogLine, None]) -> None:
        while line is not None:
            self._take(line)
            if self._cut is not None:
                break
            while len(self._gathered) >= GATHERED:
                self._room.clear()
                await self._room.wait()
            line = await anext(lines, None)
        if self._cut is not None:
            # A flood is not read to its end: only the end is.
            self._cut = await self._executor.last_line(self._ref) or self._cut
        self._finish()

    def _lines(self, skip: int) -> AsyncGenerator[LogLine, None]:
        """The executor's stream, which is to be closed by whoever does not read it to its end."""
        return cast(AsyncGenerator[LogLine, None], self._executor.logs(self._ref, skip=skip))

    def _take(self, line: LogLine) -> None:
        size = len(line.message) + LINE_BYTES
        if size > self._left or (self._hurried and self._left < self._least_left):
            self._cut = line
            return
        self._left -= size
        self._gather(line, size)
        self._more.set()

    def _gather(self, line: LogLine, size: int = 0) -> None:
        text = logline.read(line.message)
        message = self._mask(text.message)
        progress = text.progress if self._parse is None else self._parse(line.message)
        if progress is not None:
            self._tell(progress)
        if message.strip() and (line.stream == "stderr" or self._last_stream != "stderr"):
            self.last_line, self._last_stream = message.strip(), line.stream
        self._gathered.append((replace(line, message=message, level=text.level or line.level), size))

    def _tell(self, progress: float) -> None:
        now = self._clock.monotonic()
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            self._on_progress(progress)

    def _finish(self) -> None:
        if self._cut is not None:
            why = "the node was stopped in the midst of it" if self._hurried else "the log was longer than its limit"
            said = f"{why}: what follows is its last line"
            self._gathered.append((LogLine(at=self._cut.at, stream="pupload", message=said, level="WARN"), 0))
            self._gather(self._cut)
        self._ended = True
        self._more.set()

    async def _write(self, written: int) -> None:
        ref = self._ref
        while True:
            await self._more.wait()
            self._more.clear()
            group = [line for line, _ in self._gathered]
            if group:
                await self._journal.write_logs(ref.run, ref.node, ref.number, group, after=written)
                written += len(group)
            for _ in group:
                self._gathered.popleft()
            self._room.set()
            if self._ended and not self._gathered:
                return
