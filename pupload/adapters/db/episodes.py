"""What runs that are over were; a row says of a run that it is forgotten."""

from collections.abc import Sequence
from itertools import product
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects import postgresql

from pupload import ports
from pupload.adapters.db.runs import summary
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.statements import SUMMARY, all_of
from pupload.adapters.db.tables import forgotten_runs, runs

_OVER = (
    runs.c.finished_at.is_not(None),
    runs.c.doomed_at.is_(None),
    ~select(forgotten_runs.c.run_id).where(forgotten_runs.c.run_id == runs.c.id).exists(),
)
_CONDITIONS = (runs.c.account_id == bindparam("account"), runs.c.flow_id == bindparam("flow_id"))
_FILTERS = {given: all_of(*zip(given, _CONDITIONS, strict=True)) for given in product((False, True), repeat=2)}

_OWN = select(runs.c.account_id).where(runs.c.id == bindparam("run"), runs.c.doomed_at.is_(None))
_FORGET = postgresql.insert(forgotten_runs).values(run_id=bindparam("run")).on_conflict_do_nothing()


def _page(condition: Any) -> Any:
    page = select(*SUMMARY).where(*_OVER).order_by(runs.c.created_at.desc(), runs.c.id.desc())
    page = page.limit(bindparam("limit")).offset(bindparam("offset"))
    return page if condition is None else page.where(condition)


def _count(condition: Any) -> Any:
    every = select(func.count()).select_from(runs).where(*_OVER)
    return every if condition is None else every.where(condition)


_PAGES = {given: _page(condition) for given, condition in _FILTERS.items()}
_COUNTS = {given: _count(condition) for given, condition in _FILTERS.items()}


class Episodes:
    """`ports.Episodes` in a database."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def list(
        self, *, account: int | None = None, flow_id: str | None = None, limit: int = 100, offset: int = 0
    ) -> ports.RunPage:
        """See `ports.Episodes`."""
        asked = {"account": account, "flow_id": flow_id}
        given = tuple(value is not None for value in asked.values())
        values = {name: value for name, value in asked.items() if value is not None}

        def read(session: Session) -> ports.RunPage:
            total = session.run(_COUNTS[given], values).fetchone()[0]
            paged = {**values, "limit": max(limit, 0), "offset": max(offset, 0)}
            return ports.RunPage(runs=[summary(row) for row in session.run(_PAGES[given], paged)], total=total)

        return await self._readers.do(read)

    async def forget(self, run_ids: Sequence[str], *, account: int | None = None) -> None:
        """See `ports.Episodes`."""

        def forget(session: Session) -> None:
            for run_id in sorted(run_ids):
                row = session.run(_OWN, {"run": run_id}).fetchone()
                if row is not None and account in (None, row[0]):
                    session.run(_FORGET, {"run": run_id})

        await self._writer.do(forget)
