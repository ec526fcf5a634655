"""Known facts in the database; what they say is sealed, for it is what somebody's files say."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from pupload import errors, ports
from pupload.adapters.db import codec, sealed
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.statements import ONE, all_of
from pupload.adapters.db.tables import known_facts as facts
from pupload.domain.knowledge import Fact, Scope, said_again

_ROW = (facts.c.id, facts.c.access_count, facts.c.blob)
_ID = facts.c.id == bindparam("fact")
_IN_PLACE = facts.c.place == bindparam("place")

_FIND = select(*_ROW).where(_IN_PLACE, facts.c.key == bindparam("key"))
_ADD = insert(facts).values({column.name: bindparam(column.name) for column in facts.columns})
_SAY = (
    update(facts)
    .where(_ID)
    .values(type=bindparam("new_type"), updated_at=bindparam("new_updated_at"), blob=bindparam("new_blob"))
)
_KNOWN = select(*_ROW).where(_IN_PLACE).order_by(facts.c.key)
_GIVEN = update(facts).where(_IN_PLACE).values(access_count=facts.c.access_count + ONE)
_GET = select(*_ROW).where(_ID)
_REMOVE = delete(facts).where(_ID)

_CONDITIONS = (
    facts.c.account_id == bindparam("account"),
    facts.c.scope == bindparam("scope"),
    facts.c.type == bindparam("type"),
)
_FILTERS = {given: all_of(*zip(given, _CONDITIONS, strict=True)) for given in product((False, True), repeat=3)}


def _page(condition: Any) -> Any:
    page = select(*_ROW).order_by(facts.c.updated_at.desc(), facts.c.id.desc())
    page = page.limit(bindparam("limit")).offset(bindparam("offset"))
    return page if condition is None else page.where(condition)


def _count(condition: Any) -> Any:
    every = select(func.count()).select_from(facts)
    return every if condition is None else every.where(condition)


_PAGES = {given: _page(condition) for given, condition in _FILTERS.items()}
_COUNTS = {given: _count(condition) for given, condition in _FILTERS.items()}


class Knowledge:
    """`ports.Knowledge` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def say(self, facts: Sequence[Fact]) -> None:
        """See `ports.Knowledge`."""

        def say(session: Session) -> None:
            for fact in sorted(facts, key=lambda each: (each.place, each.key)):  # of two who say one is first in all
                self._say(session, fact)

        await self._writer.do(say)

    def _say(self, session: Session, fact: Fact) -> None:
        row = session.run(_FIND, {"place": fact.place, "key": fact.key}).fetchone()
        if row is None:
            session.run(_ADD, self._row(fact))
            return
        before = self._fact(row)
        after = said_again(before, fact)
        if after != before:
            new = {f"new_{name}": value for name, value in self._row(after).items()}
            changed = {name: new[name] for name in ("new_type", "new_updated_at", "new_blob")}
            session.run(_SAY, {"fact": before.id, **changed})

    async def known(self, places: Sequence[str], *, count: bool = False) -> Sequence[Fact]:
        """See `ports.Knowledge`."""

        def known(session: Session) -> Sequence[Fact]:
            rows = [row for place in places for row in session.run(_KNOWN, {"place": place}).fetchall()]
            for place in sorted(places) if count and rows else ():
                session.run(_GIVEN, {"place": place})
            return [self._fact(row) for row in rows]

        return await (self._writer if count else self._readers).do(known)

    async def get(self, fact_id: str) -> Fact:
        """See `ports.Knowledge`."""
        row = await self._readers.do(lambda session: session.run(_GET, {"fact": fact_id}).fetchone())
        if row is None:
            raise errors.UnknownFact(name=fact_id[:64])
        return self._fact(row)

    async def list(
        self,
        *,
        account: int | None = None,
        scope: Scope | None = None,
        kind: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> ports.FactPage:
        """See `ports.Knowledge`. Raises `errors.Damaged`."""
        asked = {"account": account, "scope": None if scope is None else scope.value, "type": kind}
        given = tuple(value is not None for value in asked.values())
        values = {name: value for name, value in asked.items() if value is not None}

        def read(session: Session) -> ports.FactPage:
            total = session.run(_COUNTS[given], values).fetchone()[0]
            paged = {**values, "limit": max(limit, 0), "offset": max(offset, 0)}
            return ports.FactPage(
                facts=[self._fact(row) for row in session.run(_PAGES[given], paged).fetchall()], total=total
            )

        return await self._readers.do(read)

    async def remove(self, fact_ids: Sequence[str]) -> None:
        """See `ports.Knowledge`."""

        def remove(session: Session) -> None:
            for fact_id in sorted(fact_ids):
                session.run(_REMOVE, {"fact": fact_id})

        await self._writer.do(remove)

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _row(self, fact: Fact) -> dict[str, Any]:
        return {
            "id": fact.id,
            "place": fact.place,
            "key": fact.key,
            "account_id": fact.account,
            "run_id": fact.run or None,
            "scope": fact.scope.value,
            "type": fact.type,
            "access_count": fact.access_count,
            "updated_at": codec.micros(fact.updated_at),
            "blob": self._seal.close(codec.FACT.encode(fact), sealed.fact(fact.id)),
        }

    def _fact(self, row: Sequence[Any]) -> Fact:
        fact_id, given, blob = row
        what = sealed.fact(fact_id)
        return replace(codec.FACT.decode(self._seal.open(blob, what), what), access_count=given)
