"""Logs, from the container to the journal."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory.clock import START, VirtualClock
from pupload.domain.run import AttemptRef
from pupload.engine import logs
from pupload.engine.logs import LogPump
from pupload.ports import LogLine

REF = AttemptRef(run="run_a", node="n", number=1)
AWAY = errors.DatabaseUnavailable(reason="it is locked")


def a_line(message: str, stream: str = "stdout", level: str = "") -> LogLine:
    return LogLine(at=START, stream=stream, message=message, level=level)  # type: ignore[arg-type]


class Container:
    """An executor that does nothing but talk."""

    def __init__(self, lines: Sequence[LogLine], *, breaks_after: int | None = None) -> None:
        self.lines = lines
        self.breaks_after = breaks_after
        self.told = 0
        self.more: asyncio.Event | None = None
        """Where set, it waits for this before the last line."""

    async def logs(self, attempt: AttemptRef, *, skip: int = 0) -> AsyncIterator[LogLine]:
        assert attempt == REF
        for number, line in enumerate(self.lines[skip:], skip):
            if number == self.breaks_after:
                self.breaks_after = None
                raise errors.ExecutorUnavailable(host="h", reason="gone")
            if self.more is not None and number == len(self.lines) - 1:
                await self.more.wait()
            self.told += 1
            yield line

    async def last_line(self, attempt: AttemptRef) -> LogLine | None:
        assert attempt == REF
        return self.lines[-1] if self.lines else None


class Book:
    """A journal of one attempt."""

    def __init__(self, *, written: int = 0) -> None:
        self.groups: list[list[LogLine]] = []
        self.written = written
        self.held: asyncio.Event | None = None
        self.broken = 0

    @property
    def lines(self) -> list[LogLine]:
        return [line for group in self.groups for line in group]

    @property
    def said(self) -> list[str]:
        return [line.message for line in self.lines]

    async def count_logs(self, run: str, node: str, attempt: int) -> int:
        return self.written + len(self.lines)

    async def write_logs(
        self, run: str, node: str, attempt: int, lines: Sequence[LogLine], *, after: int | None = None
    ) -> None:
        assert (run, node, attempt) == ("run_a", "n", 1)
        if self.broken:
            self.broken -= 1
            raise AWAY
        if self.held is not None:
            await self.held.wait()
        count = self.written + len(self.lines)
        if after is not None and after != count:
            raise errors.Stale(run=run, version=after)
        self.groups.append(list(lines))


def a_pump(container: Container, book: Book, *, limit: int = 1 << 30, parser: str = "", **rest: Any) -> LogPump:
    given: dict[str, Any] = {"clock": VirtualClock(), "on_progress": lambda progress: None, **rest}
    return LogPump(ref=REF, executor=container, journal=book, limit_bytes=limit, parser=parser, **given)  # type: ignore[arg-type]


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_every_line_is_written_in_its_order() -> None:
    book = Book()
    await a_pump(Container([a_line(str(number)) for number in range(10_000)]), book).run()
    assert book.said == [str(number) for number in range(10_000)]


async def test_a_quiet_node_is_heard_at_once() -> None:
    container, book = Container([a_line("first"), a_line("last")]), Book()
    container.more = asyncio.Event()
    pumping = asyncio.create_task(a_pump(container, book).run())
    await turns()
    assert book.said == ["first"]
    container.more.set()
    await pumping
    assert book.said == ["first", "last"]


async def test_lines_gather_while_others_become_durable() -> None:
    container, book = Container([a_line(str(number)) for number in range(500)]), Book()
    book.held = asyncio.Event()
    pumping = asyncio.create_task(a_pump(container, book).run())
    await turns()
    book.held.set()
    await pumping
    assert len(book.groups) <= 2
    assert len(book.lines) == 500


async def test_a_node_that_writes_faster_than_the_journal_is_held_back() -> None:
    container, book = Container([a_line(str(number)) for number in range(10 * logs.GATHERED)]), Book()
    book.held = asyncio.Event()
    pumping = asyncio.create_task(a_pump(container, book).run())
    await turns(500)
    assert container.told == logs.GATHERED
    book.held.set()
    await pumping
    assert len(book.lines) == 10 * logs.GATHERED


async def test_a_container_that_says_nothing_is_no_trouble() -> None:
    book = Book()
    await a_pump(Container([]), book).run()
    assert not book.groups


async def test_after_a_restart_it_goes_on_where_it_was() -> None:
    book = Book(written=2)
    await a_pump(Container([a_line(word) for word in ("a", "b", "c", "d")]), book).run()
    assert book.said == ["c", "d"]


@pytest.mark.parametrize("breaks_after", range(6))
async def test_when_the_engine_breaks_off_it_goes_on_without_gap_or_double(breaks_after: int) -> None:
    book, container = Book(), Container([a_line(word) for word in "abcde"], breaks_after=breaks_after)
    pump = a_pump(container, book)
    if breaks_after < 5:
        with pytest.raises(errors.ExecutorUnavailable):
            await pump.run()
    await pump.run()
    assert book.said == list("abcde")


@pytest.mark.parametrize("lines", [5, 3 * logs.GATHERED])
async def test_when_the_journal_is_away_it_says_so_and_can_be_asked_again(lines: int) -> None:
    book, container = Book(), Container([a_line(str(number)) for number in range(lines)])
    book.broken = 2
    pump = a_pump(container, book, limit=(logs.LINE_BYTES + 5) * lines)
    for _ in range(2):
        async with asyncio.timeout(5):
            with pytest.raises(errors.DatabaseUnavailable):
                await pump.run()
    await pump.run()
    assert book.said == [str(number) for number in range(lines)]


async def test_a_log_over_its_limit_keeps_its_last_line() -> None:
    book = Book()
    lines = [a_line("x" * 9) for _ in range(100)] + [a_line('{"level": "error", "message": "the end"}', "stderr")]
    pump = a_pump(Container(lines), book, limit=10 * (logs.LINE_BYTES + 9))
    container = Container(lines)
    pump = a_pump(container, book, limit=10 * (logs.LINE_BYTES + 9))
    await pump.run()
    assert container.told == 11, "a flood is not read to its end"
    assert book.said[:10] == ["x" * 9] * 10
    assert book.said[10:] == ["the log was longer than its limit: what follows is its last line", "the end"]
    assert (book.lines[-2].stream, book.lines[-2].level) == ("pupload", "WARN")
    assert (book.lines[-1].stream, book.lines[-1].level) == ("stderr", "ERROR")
    assert pump.last_line == "the end"


async def test_f22_who_is_in_a_hurry_gets_the_end_of_a_flood_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """F22: a node that was stopped has said more than anybody waits for."""
    monkeypatch.setattr(logs, "HURRIED_BYTES", 5 * (logs.LINE_BYTES + 4))
    book, container = Book(), Container([a_line("word") for _ in range(100)] + [a_line("the end")])
    pump = a_pump(container, book)
    pump.hurry()
    await pump.run()
    assert container.told == 7
    told = "the node was stopped in the midst of it: what follows is its last line"
    assert book.said == [*["word"] * 6, told, "the end"]


async def test_a_log_that_is_no_flood_is_whole_however_great_the_hurry() -> None:
    book, container = Book(), Container([a_line("word") for _ in range(100)])
    pump = a_pump(container, book)
    pump.hurry()
    await pump.run()
    assert book.said == ["word"] * 100


async def test_what_is_read_again_counts_once_against_the_limit() -> None:
    book = Book()
    book.broken = 5
    lines = [a_line(f'{{"message": "{number}", "level": "info"}}') for number in range(100)]
    pump = a_pump(Container(lines), book, limit=sum(len(line.message) + logs.LINE_BYTES for line in lines[:50]))
    for _ in range(5):
        with pytest.raises(errors.DatabaseUnavailable):
            await pump.run()
    await pump.run()
    assert book.said[:50] == [str(number) for number in range(50)]
    assert len(book.said) == 52
    assert book.said[-1] == "99"


async def test_progress_is_told_once_a_second() -> None:
    clock, told = VirtualClock(), list[float]()

    class Slow(Container):
        async def logs(self, attempt: AttemptRef, *, skip: int = 0) -> AsyncIterator[LogLine]:
            for line in self.lines:
                clock.advance(0.25)
                yield line

    lines = [a_line(f'{{"message": "on", "progress": {number / 40}}}') for number in range(1, 41)]
    await a_pump(Slow(lines), Book(), clock=clock, on_progress=told.append).run()
    assert told == [number / 40 for number in range(1, 41, 4)]


async def test_a_builtin_parser_reads_progress() -> None:
    told = list[float]()
    lines = [a_line("  Duration: 00:00:10.00, start: 0"), a_line("frame=1 time=00:00:05.00 bitrate=1", "stderr")]
    await a_pump(Container(lines), Book(), parser="ffmpeg", on_progress=told.append).run()
    assert told == [0.5]


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        ([a_line("a"), a_line("b")], "b"),
        ([a_line("a"), a_line("oh no", "stderr"), a_line("b")], "oh no"),
        ([a_line("a", "stderr"), a_line("  ", "stderr")], "a"),
        ([], ""),
    ],
)
async def test_the_last_words_are_those_on_stderr_if_any(lines: list[LogLine], last: str) -> None:
    pump = a_pump(Container(lines), Book())
    await pump.run()
    assert pump.last_line == last


async def test_times_are_those_of_the_lines() -> None:
    book = Book()
    late = LogLine(at=START + timedelta(hours=1), stream="stdout", message="late")
    await a_pump(Container([a_line("early"), late]), book).run()
    assert [line.at for line in book.lines] == [START, START + timedelta(hours=1)]
