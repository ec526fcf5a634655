"""
The lines of a run in the order of their times, with one where an attempt begins and one where it ends.

Lines come from the journal in the order in which they were written, those of several nodes some at a time. They are
put in order on the way by holding back a bounded number of them; an attempt's own lines stay between its beginning and
its end, whatever clock they were stamped by.
"""

import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

from pupload.api.runs import wire
from pupload.domain.run import NodeRun, Run
from pupload.ports import LogLine, LogRecord

HELD_SECONDS = 5.0
"""A line is held back until one comes that is so much younger."""
HELD_LINES = 5000
GROUP = 500

_SPAN = timedelta(seconds=HELD_SECONDS)

_END, _BEGIN, _LINE, _END_AT_ONCE = range(4)
"""At one moment what ends makes room for what begins, unless it is the same."""

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True)
class _Placed:
    """A line in its order."""

    at: datetime
    rank: int
    place: int
    record: LogRecord = field(compare=False)


async def in_order(
    run: Run, batches: AsyncIterator[Sequence[LogRecord]], rows: Mapping[str, int], *, node: str = ""
) -> AsyncIterator[Sequence[LogRecord]]:
    """The batches' lines and those about attempts, of all nodes or of this one; `rows` are what nodes made."""
    own = [each for each in _own_lines(run, rows) if node in ("", each.record.node)]
    spans = _spans(own)
    held, most = list(own), HELD_LINES + len(own)
    heapq.heapify(held)
    ready: list[LogRecord] = []
    count = len(own)
    async with aclosing(cast(AsyncGenerator[Sequence[LogRecord], None], batches)) as given:
        async for batch in given:
            for record in batch:
                count += 1
                at = _within(record, spans)
                heapq.heappush(held, _Placed(at, _LINE, count, record))
                while held and (held[0].at <= at - _SPAN or len(held) > most):
                    ready.append(_stamped(heapq.heappop(held)))
            if len(ready) >= GROUP:
                yield ready
                ready = []
    while held:
        ready.append(_stamped(heapq.heappop(held)))
        if len(ready) >= GROUP:
            yield ready
            ready = []
    if ready:
        yield ready


def _stamped(placed: _Placed) -> LogRecord:
    line = placed.record.line
    if abs(line.at - placed.at) <= _TICK:
        return placed.record
    return replace(placed.record, line=replace(line, at=placed.at))


_Spans = Mapping[tuple[str, int], tuple[datetime | None, datetime | None]]


def _spans(own: Sequence[_Placed]) -> _Spans:
    """When each attempt began and ended, as far as it has."""
    found: dict[tuple[str, int], tuple[datetime | None, datetime | None]] = {}
    for each in own:
        key = (each.record.node, each.record.attempt)
        began, ended = found.get(key, (None, None))
        found[key] = (each.at, ended) if each.rank == _BEGIN else (began, each.at)
    return found


def _within(record: LogRecord, spans: _Spans) -> datetime:
    began, ended = spans.get((record.node, record.attempt), (None, None))
    at = record.line.at if ended is None else min(record.line.at, ended - _TICK)
    return at if began is None else max(at, began)


# ── About attempts ───────────────────────────────────────────────────────────────────────────────────────────────


def _own_lines(run: Run, rows: Mapping[str, int]) -> Iterator[_Placed]:
    for place, (name, node) in enumerate(run.nodes.items()):
        if node.items is None:
            yield from _of_node(run, name, node, rows.get(name, 0), place)


def _of_node(run: Run, name: str, node: NodeRun, rows: int, place: int) -> Iterator[_Placed]:
    for attempt in wire.of_node(node, run):
        if attempt.began_at is not None and not attempt.reused:
            text = f"Starting node: {name} ({run.plan.nodes[name].uses})"
            yield _own(run, attempt, attempt.began_at, _BEGIN, text, place=place)
        if attempt.finished_at is None:
            continue
        end = _END_AT_ONCE if attempt.finished_at == attempt.began_at else _END
        if attempt.status == wire.FAILED:
            text = f"Node failed: {attempt.error}"
            yield _own(run, attempt, attempt.finished_at, end, text, place=place, level="ERROR")
        elif attempt.reused:
            text = f"Node completed: {rows} rows, made before and used again"
            yield _own(run, attempt, attempt.finished_at, end, text, place=place)
        else:
            rate = f"{wire.per_second(rows, attempt.seconds):.0f} rows/sec"
            text = f"Node completed: {rows} rows in {took(attempt.seconds)} ({rate})"
            yield _own(run, attempt, attempt.finished_at, end, text, place=place)


def took(seconds: float) -> str:
    """As people say it: `450ms`, `2.3s`."""
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"


def _own(
    run: Run, attempt: wire.Attempted, at: datetime, rank: int, text: str, *, place: int, level: str = "INFO"
) -> _Placed:
    line = LogLine(at=at, stream="pupload", message=text, level=level)
    record = LogRecord(run=run.id, node=attempt.node, attempt=attempt.number, number=0, cursor=0, line=line)
    return _Placed(at, rank, place, record)
