"""
What happens in all runs, in one order, from the database.

Every commit that writes events or log lines writes beside them which these are: a row of the table `feed`. Reading on
is a range of its index, whatever the number of runs.

In a file one transaction is written at a time, so rows are numbered in the order of commits. On a PostgreSQL server
several are under way at once, and a row with a lower number may be seen later than one with a higher. So rows are read
in the order of their transactions' numbers, and only those of transactions below the oldest that is still under way
(`pg_snapshot_xmin`): a transaction takes its number before it writes, so whatever is committed later has a higher one.
Somebody else's long transaction that writes, in whatever database of the server, keeps news back until it has
ended; they come late then, and none is lost.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, and_, bindparam, delete, func, select, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from pupload import errors, ports
from pupload.adapters.db import journal as journals
from pupload.adapters.db import saves
from pupload.adapters.db.hub import Hub
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.statements import NOUGHT, ONE
from pupload.adapters.db.tables import feed, journal, log_batches, runs
from pupload.domain.places import Place

ROWS = 100
"""Rows of the feed that are read at a time: of many small commits, or few large ones."""

TRIMMED = 10_000
"""Rows that are removed at a time."""


class _Horizon(FunctionElement[int]):
    """The oldest transaction that is under way."""

    type = BigInteger()
    inherit_cache = True


@compiles(_Horizon, "postgresql")
def _of_the_server(_element: Any, _compiler: Any, **_: Any) -> str:
    return "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


@compiles(_Horizon, "sqlite")
def _of_a_file(_element: Any, _compiler: Any, **_: Any) -> str:
    return "1"


_c = feed.c
_AT, _UPTO = tuple_(_c.txid, _c.id), tuple_(bindparam("to_group"), bindparam("to_row"))
_FROM = tuple_(bindparam("group"), bindparam("row"))

ROWS_FROM = (
    select(_c.txid, _c.id, _c.run_id, _c.kind, _c.upto, _c.count, (_c.txid < _Horizon()).label("told"))
    .where(_AT >= _FROM)
    .order_by(_c.txid, _c.id)
    .limit(bindparam("limit"))
    .offset(NOUGHT)
)
"""From a row on, that row included: where it is not there any more, what came after it may not be either."""

END = (
    select(_c.txid, _c.id, _c.count)
    .where(_c.txid < _Horizon())
    .order_by(_c.txid.desc(), _c.id.desc())
    .limit(ONE)
    .offset(NOUGHT)
)

_range = and_(_AT >= _FROM, _AT <= _UPTO)
_there = feed.join(runs, and_(runs.c.id == _c.run_id, runs.c.doomed_at.is_(None)))
_first = _c.upto - _c.count
_run = (runs.c.flow, runs.c.flow_id, runs.c.account_id)
EVENTS = (
    select(_c.id, *_run, journal.c.seq, journal.c.at, journal.c.kind, journal.c.blob)
    .select_from(
        _there.join(journal, and_(journal.c.run_id == _c.run_id, journal.c.seq > _first, journal.c.seq <= _c.upto))
    )
    .where(_range, _c.kind == bindparam("of_kind"))
    .order_by(_c.txid, _c.id, journal.c.seq)
)
_logs = log_batches.c
LINES = (
    select(
        *(_c.id, *_run),
        *(_logs.last_cursor, _logs.count, _logs.node, _logs.attempt, _logs.last_number, _logs.blob),
    )
    .select_from(_there.join(log_batches, and_(_logs.run_id == _c.run_id, _logs.last_cursor == _c.upto)))
    .where(_range, _c.kind == bindparam("of_kind"))
    .order_by(_c.txid, _c.id)
)
TRIM = delete(feed).where(_c.id <= bindparam("last"))
SPAN = select(func.min(_c.id), func.max(_c.id))


class Feed:
    """`ports.Feed` in a database."""

    def __init__(self, writer: Writer, readers: Readers, hub: Hub) -> None:
        self._writer = writer
        self._readers = readers
        self._hub = hub

    async def read(self, after: Place, *, logs: bool, limit: int = 1000) -> ports.NewsPage:
        """See `ports.Feed.read`. Raises `errors.Damaged`."""
        return await self._readers.do(lambda session: _read(session, after, logs=logs, limit=limit))

    async def end(self) -> Place:
        """See `ports.Feed.end`."""
        found = await self._readers.do(lambda session: session.run(END, {}).fetchone())
        return Place() if found is None else Place(*found)

    async def trim(self, *, keep: int) -> None:
        """See `ports.Feed.trim`."""
        first, last = await self._readers.do(lambda session: session.run(SPAN, {}).fetchone())
        if first is None:
            return
        for upto in range(first + TRIMMED, last - max(keep, 1) + 1, TRIMMED):
            await self._writer.do(lambda session, upto=upto: session.run(TRIM, {"last": upto}).fetchall())  # type: ignore[misc]

    def subscribe(self) -> ports.Subscription:
        """See `ports.Feed.subscribe`."""
        return self._hub.subscribe_to_all()


def _read(session: Session, after: Place, *, logs: bool, limit: int) -> ports.NewsPage:
    values: dict[str, Any] = {"group": after.group, "row": after.row}
    found = session.run(ROWS_FROM, values | {"limit": ROWS + 1}).fetchall()
    if after.row and (not found or tuple(found[0][:2]) != (after.group, after.row)):
        raise errors.CursorExpired(place=after)
    rows, held = _some_of(found, after, limit)
    if not rows:
        return ports.NewsPage(news=(), place=after, held=held)
    news: dict[int, list[ports.News]] = {row.id: [] for row in rows}
    named = {row.id: row for row in rows}
    values = {"group": rows[0].txid, "row": rows[0].id, "to_group": rows[-1].txid, "to_row": rows[-1].id}
    kinds = {row.kind for row in rows}
    if saves.EVENTS in kinds:
        for row_id, flow, flow_id, account, *event in session.run(EVENTS, values | {"of_kind": saves.EVENTS}):
            entry = journals.entry(named[row_id].run, event)
            news[row_id].append(named[row_id].news((flow, flow_id, account), entry, entry.seq))
    if logs and saves.LINES in kinds:
        for row_id, flow, flow_id, account, *batch in session.run(LINES, values | {"of_kind": saves.LINES}):
            for record in next(journals.batches(named[row_id].run, [batch])):
                news[row_id].append(named[row_id].news((flow, flow_id, account), record, record.cursor))
    told = [each for some in news.values() for each in some if each.place > after]
    return ports.NewsPage(news=told, place=rows[-1].end, held=held)


class _Row(NamedTuple):
    """Of `ROWS_FROM`."""

    txid: int
    id: int
    run: str
    kind: int
    upto: int
    size: int

    @property
    def end(self) -> Place:
        return Place(self.txid, self.id, self.size)

    def news(
        self, run: tuple[str, str | None, int | None], what: ports.Entry | ports.LogRecord, number: int
    ) -> ports.News:
        """What is told; `run` is the name of its flow, its saved flow and its account."""
        place = Place(self.txid, self.id, number - self.upto + self.size)
        flow, flow_id, account = run
        return ports.News(place=place, flow=flow, flow_id=flow_id or "", what=what, account=account)


def _some_of(found: Sequence[Any], after: Place, limit: int) -> tuple[list[_Row], bool]:
    """The rows that are told now; and whether what comes next must wait for somebody else's commit."""
    rows: list[_Row] = []
    left = limit
    for *columns, visible in found:
        row = _Row(*columns)
        if not visible:
            return rows, True
        if row.end <= after:
            continue
        if left <= 0:
            break
        rows.append(row)
        left -= row.size
    return rows, False
