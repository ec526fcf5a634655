"""
Runs in the database.

How a decision is written is in `pupload.adapters.db.saves`. A node to which nothing happened yet has no row, so a big
flow costs no more than what moves.
"""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from pupload import errors, ports
from pupload.adapters.db import (
    artifacts,
    codec,
    following,
    overview,
    plans,
    reading,
    retention,
    saves,
    sealed,
    statements,
)
from pupload.adapters.db.me import Me
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.domain import events, run, values


class Runs(retention.Retention, overview.Overview, artifacts.Artifacts, following.Following):
    """`ports.RunStore` in a database."""

    def __init__(self, writer: Writer, readers: Readers, me: Me, seal: sealed.Seal = sealed.OPEN) -> None:
        self._writer = writer
        self._readers = readers
        self._me = me
        self._seal = seal

    async def create(self, decision: run.Decision, *, idempotency_key: str | None = None) -> run.Run:
        """See `ports.RunStore.create`. Raises `errors.Broken` when there is a run of this id."""
        new = values.replace(decision, run=values.replace(decision.run, version=1, owner=self._me.id, fence=1))
        return await self._writer.do(
            lambda session: _create(session, self._seal, new, idempotency_key), run_id=decision.run.id
        )

    async def load(self, run_id: str) -> run.Run:
        """See `ports.RunStore.load`."""
        return await self._readers.do(lambda session: reading.load(session, self._seal, run_id))

    async def load_doomed(self, run_id: str) -> run.Run:
        """See `ports.Retention.load_doomed`."""
        return await self._readers.do(
            lambda session: reading.load(session, self._seal, run_id, head=statements.DOOMED_HEAD)
        )

    async def save(self, decision: run.Decision, *, if_version: int) -> run.Run:
        """See `ports.RunStore.save`."""
        new = values.replace(decision, run=values.replace(decision.run, version=if_version + 1, owner=self._me.id))
        return await self._writer.do(saves.Save(new), run_id=decision.run.id)

    async def list(
        self,
        *,
        status: run.Status | None = None,
        flow: str | None = None,
        flow_id: str | None = None,
        started: bool | None = None,
        account: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> ports.RunPage:
        """See `ports.RunStore.list`."""
        sought = (account, status, flow, flow_id)
        given = *(each is not None for each in sought), started is True, started is False
        wanted: dict[str, Any] = {"status": status and status.value, "flow": flow, "flow_id": flow_id}
        wanted["account"] = account
        wanted |= {"limit": max(limit, 0), "offset": max(offset, 0), **({} if started is None else _GOING)}

        def page(session: Session) -> ports.RunPage:
            rows = session.run(statements.PAGES[given], wanted)
            found = [summary(row) for row in rows]
            (total,) = session.run(statements.COUNTS[given], wanted).fetchone()
            return ports.RunPage(runs=found, total=total)

        return await self._readers.do(page)

    async def unfinished(self) -> Sequence[str]:
        """See `ports.RunStore.unfinished`."""
        return await self._readers.do(lambda session: [row[0] for row in session.run(statements.UNFINISHED, _GOING)])

    async def condemn(self, run_id: str, reason: str, at: datetime) -> None:
        """See `ports.RunStore.condemn`."""

        mine = {"run": run_id, "me": self._me.id}
        new = {"new_status": run.Status.ERROR.value, "new_finished_at": codec.micros(at), "new_error": reason}

        def condemn(session: Session) -> None:
            for (seq,) in session.run(statements.CONDEMN_RUN, _GOING | mine | new).fetchall():
                saves.append_one(session, run_id, seq, at, events.RunFailed(error=reason))
                session.run(statements.REMOVE_LETTERS, mine)
                session.run(statements.RELEASE_RUN, mine)

        await self._writer.do(condemn, run_id=run_id)

    async def close(self, run_id: str) -> None:
        """See `ports.RunStore.close`."""
        mine = {"run": run_id, "me": self._me.id}

        def close(session: Session) -> None:
            if session.run(statements.CLOSE_RUN, _GOING | mine).fetchall():
                session.run(statements.REMOVE_LETTERS, mine)
                session.run(statements.RELEASE_RUN, mine)

        await self._writer.do(close)

    async def delete(self, run_id: str) -> None:
        """See `ports.RunStore.delete`. Its idempotency key may be used again."""

        def delete(session: Session) -> None:
            session.run(statements.DELETE_RUN, {"run": run_id})

        await self._writer.do(delete, run_id=run_id)


_GOING = {"one": run.Status.WAITING.value, "other": run.Status.RUNNING.value}

_state = attrgetter(*(each.name for each in fields(run.NodeRun) if each.name != "id"))
"""All of a node but its id."""
_AT_FIRST = _state(run.NodeRun(id=""))
"""Of most nodes when their run begins: no row says so."""

# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _create(session: Session, seal: sealed.Seal, decision: run.Decision, key: str | None) -> run.Run:
    if key is not None:
        earlier = session.run(statements.RUN_OF_KEY, {"key": key}).fetchone()
        if earlier is not None:
            return reading.load(session, seal, earlier[0])
    new = decision.run
    inserted = session.run(
        statements.INSERT_RUN,
        {
            "id": new.id,
            "flow": new.plan.flow.name,
            "status": new.status.value,
            "version": new.version,
            "created_at": codec.micros(new.created_at),
            "started_at": saves.started_at(decision),
            "finished_at": codec.maybe_micros(new.finished_at),
            "error": new.error,
            "idempotency_key": key,
            "last_seq": len(decision.events),
            "head": codec.encode_head(new),
            "owner": new.owner,
            "fence": new.fence,
            "flow_id": new.plan.provenance and new.plan.provenance.flow,
            "account_id": new.plan.account,
        },
    ).fetchall()
    if not inserted:
        return _earlier(session, seal, new.id, key)
    retention.adopt(session, new)
    following.begin(session, new)
    if new.plan.ephemeral:
        session.run(statements.HIDE_RUN, {"run": new.id})
    plan = seal.close(plans.PLAN.encode(new.plan), sealed.plan(new.id))
    session.run_many(statements.INSERT_PLAN, [{"run_id": new.id, "blob": plan}])
    saves.put_nodes(session, new, [name for name, node in new.nodes.items() if _state(node) != _AT_FIRST])
    saves.put_artifacts(session, new, new.artifacts)
    saves.append(session, decision, after=0)
    return new


def _earlier(session: Session, seal: sealed.Seal, run_id: str, key: str | None) -> run.Run:
    """The run that another process created with this key since we looked."""
    found = session.run(statements.RUN_OF_KEY, {"key": key}).fetchone() if key is not None else None
    if found is None:
        raise errors.Broken(reason=f"run {run_id} is there already")
    return reading.load(session, seal, found[0])


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def summary(row: Sequence[Any]) -> ports.RunSummary:
    """The columns of `statements.SUMMARY`, read."""
    run_id, flow, status, created_at, started_at, finished_at, error, flow_id, account = row
    return ports.RunSummary(
        id=run_id,
        flow=flow,
        status=run.Status(status),
        created_at=codec.moment(created_at),
        started_at=codec.maybe_moment(started_at),
        finished_at=codec.maybe_moment(finished_at),
        error=error,
        flow_id=flow_id or "",
        account=account,
    )
