"""
What is kept of ended runs, in the database.

`tidy_at` is when something of a run is due next: empty until somebody worked it out, `FOREVER` where that is never.
`doomed_at` takes a run out of everybody's sight; `family` names the first of the runs that it goes back to, so that
those who share objects find each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, Table, bindparam, delete, func, not_, null, select, update
from sqlalchemy.dialects import postgresql

from pupload import errors
from pupload.adapters.db import codec, statements
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.statements import NOUGHT, RUN
from pupload.adapters.db.tables import artifacts, journal, log_batches, meta, node_runs, runs
from pupload.domain import run

FOREVER = (1 << 63) - 1
"""A moment that never comes."""

_TERMS = "retention"
"""Where the terms are kept among what is true of the whole database."""

# ── The statements ───────────────────────────────────────────────────────────────────────────────────────────────

_NOW: Any = bindparam("now")
_LIMIT: Any = bindparam("limit")
_over, _doomed = runs.c.finished_at.is_not(None), runs.c.doomed_at.is_not(None)
_due = runs.c.tidy_at <= _NOW
_by_moment = select(runs.c.id).where(_due).order_by(runs.c.tidy_at, runs.c.id).limit(_LIMIT).offset(NOUGHT)

UNTIDIED = select(runs.c.id).where(runs.c.tidy_at.is_(None), _over).limit(_LIMIT).offset(NOUGHT)
DUE = _by_moment.where(~_doomed)
DOOMED = _by_moment.where(_doomed)
NEXT = select(func.min(runs.c.tidy_at))
_plan = update(runs).where(runs.c.id == RUN).values(tidy_at=bindparam("new_tidy_at"))
PLAN_TIDYING, PUT_OFF = _plan.where(~_doomed), _plan.where(_doomed)
OPEN_AGAIN = update(runs).where(runs.c.tidy_at.is_not(None), ~_doomed).values(tidy_at=null())
GONE = (
    update(artifacts)
    .where(artifacts.c.run_id == RUN, artifacts.c.edge == bindparam("of_edge"), artifacts.c.gone_at.is_(None))
    .values(gone_at=bindparam("new_gone_at"))
)
DOOM = (
    update(runs)
    .where(runs.c.id == RUN, _over, ~_doomed)
    .values(doomed_at=bindparam("new_at"), tidy_at=bindparam("new_at"), idempotency_key=null())
    .returning(runs.c.id)
)
_old = (
    select(runs.c.id)
    .where(runs.c.started_at < bindparam("before"), _over, ~_doomed)
    .order_by(runs.c.started_at)
    .limit(_LIMIT)
    .offset(NOUGHT)
)
DOOM_OLDER = (
    update(runs)
    .where(runs.c.id.in_(_old), _over, ~_doomed)
    .values(doomed_at=bindparam("new_at"), tidy_at=bindparam("new_at"), idempotency_key=null())
    .returning(runs.c.id)
)
"""What another controller dooms at the same time is done once: the row is looked at again when it is free."""
STATUS = select(runs.c.status).where(runs.c.id == RUN, ~_doomed)
IS_DOOMED = select(runs.c.id).where(runs.c.id == RUN, _doomed)
IS_ERASABLE = select(runs.c.id).where(runs.c.id == RUN, not_(statements.IS_KNOWN))
PUT_TERMS = (
    postgresql.insert(meta)
    .values(key=bindparam("name"), value=bindparam("terms"))
    .on_conflict_do_update(index_elements=["key"], set_={"value": bindparam("terms")})
)

FAMILY = select(func.coalesce(runs.c.family, runs.c.id)).where(runs.c.id == RUN)
ADOPT = update(runs).where(runs.c.id == RUN).values(family=bindparam("new_family"))
GONE_EDGES = select(artifacts.c.edge, artifacts.c.blob).where(
    artifacts.c.run_id == RUN, artifacts.c.gone_at.is_not(None)
)
_kept = (
    select(artifacts.c.blob)
    .select_from(runs.join(artifacts, artifacts.c.run_id == runs.c.id))
    .where(runs.c.id != RUN, ~_doomed, artifacts.c.gone_at.is_(None))
)
KEPT = (_kept.where(runs.c.id == bindparam("family")), _kept.where(runs.c.family == bindparam("family")))
"""By the first of the family, and by all others: each finds its rows by an index."""


def _some_of(table: Table, column: str) -> Executable:
    """Removes so many rows of a run."""
    key = table.c[column]
    some = select(key).where(table.c.run_id == RUN).limit(_LIMIT).offset(NOUGHT)
    return delete(table).where(table.c.run_id == RUN, key.in_(some)).returning(key)


ERASE = tuple(_some_of(*each) for each in ((journal, "seq"), (log_batches, "last_cursor"), (node_runs, "node_id")))

# ── The port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Retention:
    """`ports.Retention` in a database."""

    _writer: Writer
    _readers: Readers

    async def untidied(self, *, limit: int = 1000) -> Sequence[str]:
        """See `ports.Retention.untidied`."""
        return await self._readers.do(lambda session: _ids(session, UNTIDIED, {"limit": limit}))

    async def plan_tidying(self, moments: Mapping[str, datetime | None], *, doomed: bool = False) -> None:
        """See `ports.Retention.plan_tidying`."""
        rows = [
            {"run": run_id, "new_tidy_at": FOREVER if moment is None else codec.micros(moment)}
            for run_id, moment in moments.items()
        ]
        if rows:
            await self._writer.do(lambda session: session.run_many(PUT_OFF if doomed else PLAN_TIDYING, rows))

    async def next_tidying(self) -> datetime | None:
        """See `ports.Retention.next_tidying`."""
        (found,) = await self._readers.do(lambda session: session.run(NEXT, {}).fetchone())
        return None if found is None or found == FOREVER else codec.moment(found)

    async def due_for_tidying(self, now: datetime, *, limit: int = 100) -> Sequence[str]:
        """See `ports.Retention.due_for_tidying`."""
        values = {"now": codec.micros(now), "limit": limit}
        return await self._readers.do(lambda session: _ids(session, DUE, values))

    async def doomed(self, now: datetime, *, limit: int = 100) -> Sequence[str]:
        """See `ports.Retention.doomed`."""
        values = {"now": codec.micros(now), "limit": limit}
        return await self._readers.do(lambda session: _ids(session, DOOMED, values))

    async def tidied(self, run_id: str, *, gone: Iterable[str] = (), at: datetime) -> None:
        """See `ports.Retention.tidied`."""
        rows = [{"run": run_id, "of_edge": edge, "new_gone_at": codec.micros(at)} for edge in gone]

        def mark(session: Session) -> None:
            # Whoever resumes the run at this moment locks it, too: either sees what the other wrote.
            session.run(statements.LOCK_RUN, {"run": run_id}).fetchone()
            session.run_many(GONE, rows)

        if rows:
            await self._writer.do(mark, run_id=run_id)

    async def kept_by_kin(self, run_id: str) -> frozenset[tuple[str, str]]:
        """See `ports.Retention.kept_by_kin`. Raises `errors.Damaged`."""

        def look(session: Session) -> frozenset[tuple[str, str]]:
            values = {"run": run_id, "family": family(session, run_id)}
            kept = [
                codec.ARTIFACT.decode(blob, f"an artifact of a run that shares objects with {run_id}")
                for statement in KEPT
                for (blob,) in session.run(statement, values)
            ]
            return frozenset((artifact.store, artifact.key) for artifact in kept)

        return await self._readers.do(look)

    async def doom(self, run_id: str, at: datetime) -> None:
        """See `ports.Retention.doom`."""

        def doom(session: Session) -> None:
            if session.run(DOOM, {"run": run_id, "new_at": codec.micros(at)}).fetchall():
                return
            found = session.run(STATUS, {"run": run_id}).fetchone()
            if found is None:
                raise errors.UnknownRun(name=run_id)
            raise errors.NotOver(run=run_id, status=found[0])

        await self._writer.do(doom, run_id=run_id)

    async def doom_older(self, before: datetime, at: datetime, *, limit: int = 100) -> Sequence[str]:
        """See `ports.Retention.doom_older`."""
        values = {"before": codec.micros(before), "new_at": codec.micros(at), "limit": limit}
        return await self._writer.do(lambda session: _ids(session, DOOM_OLDER, values))

    async def erase(self, run_id: str, *, rows: int = 1000) -> bool:
        """See `ports.Retention.erase`."""

        def erase(session: Session) -> bool:
            if session.run(IS_ERASABLE, {"run": run_id}).fetchone() is None:
                return session.run(statements.RUN_EXISTS, {"run": run_id}).fetchone() is None
            left = rows
            for statement in ERASE:
                left -= len(session.run(statement, {"run": run_id, "limit": left}).fetchall())
                if left <= 0:
                    return False
            session.run(statements.DELETE_RUN, {"run": run_id})
            return True

        return await self._writer.do(erase, run_id=run_id)

    async def agree_on_terms(self, terms: str) -> bool:
        """See `ports.Retention.agree_on_terms`."""

        def agree(session: Session) -> bool:
            found = session.run(statements.META, {"name": _TERMS}).fetchone()
            if found is not None and found[0] == terms:
                return True
            session.run(PUT_TERMS, {"name": _TERMS, "terms": terms})
            session.run(OPEN_AGAIN, {})
            return False

        return await self._writer.do(agree)


def adopt(session: Session, new: run.Run) -> None:
    """
    A new run that resumes another joins its family.

    Raises `errors.NotResumable` when what it takes over is not there any more: it may have gone since it was looked at.
    """
    old = new.resumed_from
    if old is None:
        return
    if session.run(statements.LOCK_RUN, {"run": old}).fetchone() is None or _ids(session, IS_DOOMED, {"run": old}):
        raise errors.NotResumable(run=old, reason="it was purged")
    for edge, blob in session.run(GONE_EDGES, {"run": old}):
        taken = new.artifacts.get(edge)
        if taken is not None and taken.key == codec.ARTIFACT.decode(blob, f"artifact {edge} of run {old}").key:
            raise errors.NotResumable(run=old, reason=f"its artifact {edge} was deleted")
    session.run(ADOPT, {"run": new.id, "new_family": family(session, old)})


def family(session: Session, run_id: str) -> str:
    """The first of the runs that this one goes back to by being resumed; itself where it resumes none."""
    found = session.run(FAMILY, {"run": run_id}).fetchone()
    return run_id if found is None else str(found[0])


def _ids(session: Session, statement: Executable, values: Mapping[str, Any]) -> list[str]:
    return [row[0] for row in session.run(statement, values)]
