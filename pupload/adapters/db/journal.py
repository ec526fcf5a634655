"""
What happened in runs, in the database: events, written by `pupload.adapters.db.runs`, and log lines.

Log lines come and are kept in batches. A batch is found by the cursor of its last line, so numbering on and reading
on are each one step in an index, and no counter has to be kept right.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pupload import errors, ports
from pupload.adapters.db import codec, saves, statements
from pupload.adapters.db.hub import Hub
from pupload.adapters.db.session import Readers, Session, Writer

BATCH_LINES = 500
"""More lines than this become several rows, so that reading a few never decodes very many."""

FEW = 200
"""Nodes whose logs are looked for one by one; of more it is looked up first which there are."""

log = logging.getLogger(__name__)


class Journal:
    """`ports.Journal` in a database."""

    def __init__(self, writer: Writer, readers: Readers, hub: Hub) -> None:
        self._writer = writer
        self._readers = readers
        self._hub = hub

    async def read(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[ports.Entry]:
        """See `ports.Journal.read`. Raises `errors.Damaged`."""
        values = {"run": run_id, "after": after, "limit": max(limit, 0)}
        return await self._readers.do(
            lambda session: [entry(run_id, row) for row in session.run(statements.EVENTS, values)]
        )

    async def write_logs(
        self, run_id: str, node: str, attempt: int, lines: Sequence[ports.LogLine], *, after: int | None = None
    ) -> None:
        """See `ports.Journal.write_logs`. Raises `errors.UnknownRun`: a run that was deleted gets no lines."""
        if lines:
            lines = tuple(lines)
            await self._writer.do(
                lambda session: _write_logs(session, run_id, node, attempt, lines, after), run_id=run_id
            )

    async def count_logs(self, run_id: str, node: str, attempt: int) -> int:
        """See `ports.Journal.count_logs`."""
        values = {"run": run_id, "node": node, "attempt": attempt}
        return await self._readers.do(lambda session: _last(session, statements.LAST_NUMBER, values))

    async def read_logs(
        self, run_id: str, *, node: str | None = None, attempt: int | None = None, since: int = 0, limit: int = 1000
    ) -> Sequence[ports.LogRecord]:
        """See `ports.Journal.read_logs`. Raises `errors.Damaged`."""
        statement = statements.LOGS[node is not None, attempt is not None]
        values = {"run": run_id, "node": node, "attempt": attempt, "since": since}

        def read(session: Session) -> Sequence[ports.LogRecord]:
            found: list[ports.LogRecord] = []
            for batch in batches(run_id, session.walk(statement, values)):
                found += (record for record in batch if record.cursor > since)
                if len(found) >= limit:
                    break
            return found[: max(limit, 0)]

        return await self._readers.do(read)

    async def log_tails(
        self, run_id: str, *, lines: int, nodes: Collection[str] | None = None
    ) -> Mapping[str, Sequence[ports.LogRecord]]:
        """See `ports.Journal.log_tails`. Ends at what cannot be read: a run's status is wanted most when it is bad."""

        def read(session: Session) -> Mapping[str, Sequence[ports.LogRecord]]:
            if nodes is not None and len(nodes) <= FEW:
                tails = ((node, _tail(session, run_id, node, lines)) for node in nodes)
                return {node: tail for node, tail in tails if tail}
            found = [row[0] for row in session.run(statements.LOG_NODES, {"run": run_id}).fetchall()]
            wanted = found if nodes is None else [node for node in found if node in nodes]
            return {node: _tail(session, run_id, node, lines) for node in wanted}

        return await self._readers.do(read) if lines > 0 else {}

    def subscribe(self, run_id: str) -> ports.Subscription:
        """See `ports.Journal.subscribe`."""
        return self._hub.subscribe(run_id)


def entry(run_id: str, row: Sequence[Any]) -> ports.Entry:
    """What a row of `statements.EVENTS` holds."""
    seq, at, kind, blob = row
    event = codec.decode_event(kind, blob, f"event {seq} of run {run_id}")
    return ports.Entry(run=run_id, seq=seq, at=codec.moment(at), event=event)


def _write_logs(
    session: Session, run_id: str, node: str, attempt: int, lines: Sequence[ports.LogLine], after: int | None
) -> None:
    # Locked where others may write too: two that number on from the same line would take the same numbers.
    if session.run(statements.LOCK_RUN, {"run": run_id}).fetchone() is None:
        raise errors.UnknownRun(name=run_id)
    cursor = _last(session, statements.LAST_CURSOR, {"run": run_id})
    number = _last(session, statements.LAST_NUMBER, {"run": run_id, "node": node, "attempt": attempt})
    if after is not None and after != number:
        raise errors.Stale(run=run_id, version=after)
    rows, fed = [], []
    for start in range(0, len(lines), BATCH_LINES):
        batch = lines[start : start + BATCH_LINES]
        blob = codec.LINES.encode(batch)
        cursor += len(batch)
        number += len(batch)
        row = {"run_id": run_id, "node": node, "attempt": attempt, "last_cursor": cursor, "last_number": number}
        rows.append(row | {"count": len(batch), "bytes": len(blob), "blob": blob})
        fed.append({"run_id": run_id, "kind": saves.LINES, "upto": cursor, "count": len(batch)})
    session.run_many(statements.INSERT_LOGS, rows)
    session.run_many(statements.INSERT_FEED, fed)


def _last(session: Session, statement: Any, values: Mapping[str, Any]) -> int:
    """The number in the one row that is asked for, 0 when there is none."""
    row = session.run(statement, values).fetchone()
    return row[0] if row else 0


def batches(run_id: str, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[ports.LogRecord]]:
    """The records of each row of `statements.LOGS`."""
    for last_cursor, count, node, attempt, last_number, blob in rows:
        what = f"the log lines up to {last_cursor} of run {run_id}"
        lines = codec.LINES.decode(blob, what)
        if len(lines) != count:
            raise errors.Damaged(what=what, reason=f"they are {len(lines)}, not {count}")
        yield [
            ports.LogRecord(
                run=run_id, node=node, attempt=attempt, number=last_number - back, cursor=last_cursor - back, line=line
            )
            for back, line in zip(range(count - 1, -1, -1), lines, strict=True)
        ]


def _tail(session: Session, run_id: str, node: str, wanted: int) -> Sequence[ports.LogRecord]:
    found: list[ports.LogRecord] = []
    try:
        for batch in batches(run_id, session.walk(statements.LATEST_LOGS, {"run": run_id, "node": node})):
            found[:0] = batch[-(wanted - len(found)) :]
            if len(found) >= wanted:
                break
    except errors.Damaged:
        log.exception("the log lines of node %s of run %s end here", node, run_id)
    return found
