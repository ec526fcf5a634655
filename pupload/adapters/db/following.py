"""Runs from which something follows, in the database: columns of the runs' rows that most of them leave empty."""

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, null, select, update

from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.statements import NOUGHT, ONE, RUN
from pupload.adapters.db.tables import runs
from pupload.domain import run

_known, _over = runs.c.doomed_at.is_(None), runs.c.finished_at.is_not(None)

BEGIN = (
    update(runs)
    .where(runs.c.id == RUN)
    .values(followed=ONE, parent_id=bindparam("new_parent"), parent_edge=bindparam("new_parent_edge"))
)
FOLLOW = update(runs).where(runs.c.id == RUN, _known).values(followed=ONE)
SETTLE = update(runs).where(runs.c.id == RUN, _over, runs.c.followed.is_not(None)).values(followed=null())
UNSETTLED = (
    select(runs.c.id)
    .where(runs.c.followed.is_not(None), _over, _known, runs.c.id > bindparam("after"))
    .order_by(runs.c.id)
    .limit(bindparam("limit"))
    .offset(NOUGHT)
)
CHILDREN = (
    select(runs.c.parent_edge, runs.c.id)
    .where(runs.c.parent_id == RUN, runs.c.parent_edge.is_not(None), _known)
    .order_by(runs.c.id)
)


class Following:
    """`ports.Following` in a database."""

    _writer: Writer
    _readers: Readers

    async def follow(self, run_id: str) -> None:
        """See `ports.Following.follow`."""
        await self._writer.do(lambda session: session.run(FOLLOW, {"run": run_id}))

    async def unsettled(self, *, after: str = "", limit: int = 100) -> Sequence[str]:
        """See `ports.Following.unsettled`."""
        wanted = {"after": after, "limit": limit}
        return await self._readers.do(lambda session: [row[0] for row in session.run(UNSETTLED, wanted).fetchall()])

    async def settle(self, run_id: str) -> None:
        """See `ports.Following.settle`."""
        await self._writer.do(lambda session: session.run(SETTLE, {"run": run_id}))

    async def children(self, run_id: str) -> Mapping[str, str]:
        """See `ports.Following.children`."""
        found = await self._readers.do(lambda session: session.run(CHILDREN, {"run": run_id}).fetchall())
        return {row[0]: row[1] for row in found}


def begin(session: Session, new: run.Run) -> None:
    """With a new run: that it is followed, and whose child it is; nothing where it is neither."""
    if not new.plan.followed:
        return
    parent = new.plan.parent
    given = (None, None) if parent is None else (parent.run, parent.edge or None)
    session.run(BEGIN, {"run": new.id, "new_parent": given[0], "new_parent_edge": given[1]})
