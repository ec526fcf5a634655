"""
The artifacts of all runs, in the order of their primary key: no index of their own.

A run's id begins with the moment of its making, so that the newest runs' rows are the last ones.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, or_, select

from pupload import errors, ports
from pupload.adapters.db import codec
from pupload.adapters.db.session import Readers
from pupload.adapters.db.statements import NOUGHT
from pupload.adapters.db.tables import artifacts, runs

_run: Any = bindparam("run")
_edge: Any = bindparam("edge")
_there = artifacts.join(runs, runs.c.id == artifacts.c.run_id)

_row = select(artifacts.c.run_id, artifacts.c.edge, artifacts.c.blob, artifacts.c.gone_at).select_from(_there)
PAGE = (
    _row.where(
        artifacts.c.run_id <= _run,
        or_(artifacts.c.run_id < _run, artifacts.c.edge > _edge),
        runs.c.doomed_at.is_(None),
    )
    .order_by(artifacts.c.run_id.desc(), artifacts.c.edge)
    .limit(bindparam("limit"))
    .offset(NOUGHT)
)
PAGE_OF_ACCOUNT = (
    _row.where(
        runs.c.account_id == bindparam("account"),
        runs.c.id <= _run,
        or_(runs.c.id < _run, artifacts.c.edge > _edge),
        runs.c.doomed_at.is_(None),
    )
    .order_by(runs.c.id.desc(), artifacts.c.edge)
    .limit(bindparam("limit"))
    .offset(NOUGHT)
)
"""Written so that the runs are gone through in their order, and the artifacts of each looked up."""
EDGES = (
    select(artifacts.c.run_id, artifacts.c.edge)
    .select_from(_there)
    .where(
        artifacts.c.run_id >= bindparam("first"),
        artifacts.c.run_id <= bindparam("last"),
        runs.c.doomed_at.is_(None),
    )
)

_BEHIND_ALL = "~"
"""No run's id is behind this."""


class Artifacts:
    """`ports.ArtifactIndex` in a database."""

    _readers: Readers

    async def artifacts(
        self, *, after: tuple[str, str] | None = None, account: int | None = None, limit: int = 100
    ) -> Sequence[ports.Kept]:
        """See `ports.ArtifactIndex.artifacts`."""
        run, edge = after or (_BEHIND_ALL, "")
        wanted: dict[str, Any] = {"run": run, "edge": edge, "limit": limit, "account": account}
        page = PAGE if account is None else PAGE_OF_ACCOUNT
        return await self._readers.do(lambda session: [_kept(row) for row in session.run(page, wanted)])

    async def edges(self, first: str, last: str) -> Sequence[tuple[str, str]]:
        """See `ports.ArtifactIndex.edges`."""
        wanted = {"first": first, "last": last}
        return await self._readers.do(lambda session: [(run, edge) for run, edge in session.run(EDGES, wanted)])


def _kept(row: Sequence[Any]) -> ports.Kept:
    run, edge, blob, gone_at = row
    try:
        found = codec.ARTIFACT.decode(blob, f"artifact {edge} of run {run}")
    except errors.Damaged:
        found = None
    return ports.Kept(run=run, edge=edge, artifact=found, gone_at=codec.maybe_moment(gone_at))
