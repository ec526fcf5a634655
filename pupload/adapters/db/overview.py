"""
What all runs in the database look like together.

Runs that have ended are counted from the index `runs_ended` alone: a run is put into it once, at its end, so that it
costs nothing while the run goes on. Those that go on are few, and found by their status.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Executable, Text, bindparam, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from pupload.adapters.db import codec, retention, sqlite
from pupload.adapters.db.session import Readers, Session
from pupload.adapters.db.statements import NOUGHT, RUN
from pupload.adapters.db.tables import runs
from pupload.domain.run import Status

# ── The statements ───────────────────────────────────────────────────────────────────────────────────────────────


class _Size(FunctionElement[int]):
    """Bytes of the database where it is kept."""

    type = BigInteger()
    inherit_cache = True


@compiles(_Size, "postgresql")
def _of_the_server(_element: Any, _compiler: Any, **_: Any) -> str:
    return "pg_database_size(current_database())"


@compiles(_Size, "sqlite")
def _of_the_files(_element: Any, _compiler: Any, **_: Any) -> str:
    return f"{sqlite.SIZE}()"


SIZE = select(_Size())

ENDED, GOING = (Status.COMPLETE, Status.ERROR, Status.STOPPED), (Status.WAITING, Status.RUNNING)

_DAY: Any = literal_column("86400000000", BigInteger)
_LIMIT: Any = bindparam("limit")
_day = runs.c.started_at.op("/")(_DAY)  # of whole numbers, both databases give a whole one
_count = func.count()
_there = runs.c.doomed_at.is_(None)
_of_account = runs.c.account_id == bindparam("account")
_of_account_beside = func.coalesce(runs.c.account_id, NOUGHT) == bindparam("account")
"""Where another index leaves few rows, that of accounts is not to be taken."""
_since = runs.c.started_at >= bindparam("since")
_over = runs.c.finished_at.is_not(None)
_going = runs.c.status.in_([bindparam(status.value) for status in GOING])


_NOTHING: Any = literal_column("''", Text)
_flow, _status = (func.coalesce(column, _NOTHING) for column in (runs.c.flow_id, runs.c.status))
"""Written so that no index of flows or states is taken for it: that of ended runs is quicker, for it needs no rows."""


def _counts(statuses: Sequence[Status]) -> tuple[Any, ...]:
    """How many are in each: one column for each is quicker than a row, for which runs have to be sorted."""
    return tuple(_count.filter(runs.c.status == bindparam(status.value)) for status in statuses)


class _Statements:
    """All that are asked, of everybody's runs, or of those of an account."""

    def __init__(self, *, of_account: bool) -> None:
        there = (_there, _of_account) if of_account else (_there,)
        beside = (_there, _of_account_beside) if of_account else (_there,)
        self.days = (
            select(_day, *_counts(ENDED)).where(_over, _since, *there).group_by(_day),
            select(_day, *_counts(GOING)).where(_going, _since, *beside).group_by(_day),
        )
        self.statuses = (
            select(NOUGHT, *_counts(ENDED)).where(_over, _since, *there),
            select(NOUGHT, *_counts(GOING)).where(_going, _since, *beside),
        )
        """Of those that have ended, and of those that go on: each finds its rows by an index."""
        self.failing = (
            select(_flow, _count)
            .where(_over, _since, _status == bindparam("status"), *there)
            .group_by(_flow)
            .having(_flow != _NOTHING)
            .order_by(_count.desc(), _flow)
            .limit(_LIMIT)
            .offset(NOUGHT)
        )
        self.under_way = (
            select(runs.c.id)
            .where(_going, runs.c.started_at.is_not(None), *beside)
            .order_by(runs.c.created_at.desc(), runs.c.id.desc())
            .limit(_LIMIT)
            .offset(NOUGHT)
        )
        self.active = select(_count).where(
            runs.c.status == bindparam("status"), runs.c.started_at.is_not(None), *beside
        )
        self.kin = tuple(
            select(runs.c.created_at, runs.c.id)
            .where(column == bindparam("family"), runs.c.id != RUN, *beside)
            .order_by(runs.c.created_at, runs.c.id)
            .limit(_LIMIT)
            .offset(NOUGHT)
            for column in (runs.c.id, runs.c.family)
        )
        """The first of the family, and all others."""


EVERYBODYS, ONES = _Statements(of_account=False), _Statements(of_account=True)

_GOING = {status.value: status.value for status in GOING}
_ENDED = {status.value: status.value for status in ENDED}
_EPOCH = date(1970, 1, 1)

# ── The port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Overview:
    """`ports.Overview` in a database."""

    _readers: Readers

    async def days(self, since: datetime, *, account: int | None = None) -> Mapping[date, Mapping[Status, int]]:
        """See `ports.Overview.days`."""
        found = await self._counted(_of(account).days, since, account)
        return {_EPOCH + timedelta(days=day): counts for day, counts in found.items()}

    async def statuses(self, since: datetime, *, account: int | None = None) -> Mapping[Status, int]:
        """See `ports.Overview.statuses`."""
        return (await self._counted(_of(account).statuses, since, account)).get(0, {})

    async def failing(
        self, since: datetime, *, account: int | None = None, limit: int = 100
    ) -> Sequence[tuple[str, int]]:
        """See `ports.Overview.failing`."""
        wanted = {"since": codec.micros(since), "status": Status.ERROR.value, "limit": limit, "account": account}
        rows = await self._readers.do(lambda session: session.run(_of(account).failing, wanted).fetchall())
        return [(flow_id, count) for flow_id, count in rows]

    async def under_way(self, *, account: int | None = None, limit: int = 1000) -> Sequence[str]:
        """See `ports.Overview.under_way`."""
        wanted = {**_GOING, "limit": limit, "account": account}
        return await self._readers.do(lambda session: [row[0] for row in session.run(_of(account).under_way, wanted)])

    async def active(self, *, account: int | None = None) -> int:
        """See `ports.Overview.active`."""
        wanted = {"status": Status.RUNNING.value, "account": account}
        return int((await self._readers.do(lambda session: session.run(_of(account).active, wanted).fetchone()))[0])

    async def size(self) -> int:
        """See `ports.Overview.size`."""
        return int((await self._readers.do(lambda session: session.run(SIZE, {}).fetchone()))[0])

    async def kin(self, run_id: str, *, account: int | None = None, limit: int = 100) -> Sequence[str]:
        """See `ports.Overview.kin`."""

        def find(session: Session) -> list[str]:
            wanted: dict[str, Any] = {"run": run_id, "family": retention.family(session, run_id), "limit": limit}
            wanted["account"] = account
            found = sorted(tuple(row) for statement in _of(account).kin for row in session.run(statement, wanted))
            return [other for _, other in found[:limit]]

        return await self._readers.do(find)

    async def _counted(
        self, statements: Sequence[Executable], since: datetime, account: int | None
    ) -> Mapping[int, Mapping[Status, int]]:
        """By the first column of the rows; where there are none, nothing is told."""
        ended, going = statements
        wanted: dict[str, Any] = {"since": codec.micros(since), "account": account}

        def count(session: Session) -> Mapping[int, Mapping[Status, int]]:
            found: dict[int, dict[Status, int]] = {}
            for statement, statuses, given in ((ended, ENDED, _ENDED), (going, GOING, _GOING)):
                for first, *counts in session.run(statement, wanted | given):
                    there = {status: number for status, number in zip(statuses, counts, strict=True) if number}
                    if there:
                        found.setdefault(first, {}).update(there)
            return found

        return await self._readers.do(count)


def _of(account: int | None) -> _Statements:
    return EVERYBODYS if account is None else ONES
