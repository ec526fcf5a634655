"""Work that was done, in the database."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql

from pupload import errors
from pupload.adapters.db import codec, statements
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.tables import memos
from pupload.domain import memo

log = logging.getLogger(__name__)

_SCOPE = memos.c.scope == bindparam("in_scope")
_KEY = memos.c.key == bindparam("of_key")

_FIND = select(memos.c.blob).where(_SCOPE, _KEY)
_KIN = (
    select(memos.c.blob)
    .where(_SCOPE, memos.c.uses == bindparam("type"))
    .order_by(memos.c.at.desc())
    .limit(bindparam("limit"))
    .offset(statements.NOUGHT)
)
_insert = postgresql.insert(memos).values({column.name: bindparam(column.name) for column in memos.columns})
_KEEP = _insert.on_conflict_do_update(
    index_elements=["scope", "key"],
    set_={name: getattr(_insert.excluded, name) for name in ("uses", "run_id", "at", "blob")},
)
_FORGET = delete(memos).where(_SCOPE, _KEY, memos.c.run_id == statements.RUN)
_TOO_OLD = delete(memos).where(memos.c.at < bindparam("before"))
_AGE_OF = select(memos.c.at).order_by(memos.c.at.desc()).limit(statements.ONE).offset(bindparam("most"))


class Memos:
    """`ports.Memo` in a database."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def find(self, scope: str, key: str) -> memo.Entry | None:
        """See `ports.Memo.find`. What cannot be read was never remembered."""
        values = {"in_scope": scope, "of_key": key}
        found = await self._readers.do(lambda session: _read(session, _FIND, values))
        return found[0] if found else None

    async def kin(self, scope: str, uses: str, *, limit: int = 8) -> Sequence[memo.Entry]:
        """See `ports.Memo.kin`."""
        values = {"in_scope": scope, "type": uses, "limit": limit}
        return await self._readers.do(lambda session: _read(session, _KIN, values))

    async def keep(self, scope: str, entries: Sequence[memo.Entry]) -> None:
        """See `ports.Memo.keep`."""
        rows = [
            {
                "scope": scope,
                "key": entry.key,
                "uses": entry.uses,
                "run_id": entry.run,
                "at": codec.micros(entry.at),
                "blob": codec.MEMO.encode(entry),
            }
            # In one order, so that two that keep the same wait for each other and not crosswise.
            for entry in sorted(entries, key=lambda one: (one.run, one.key))
        ]

        def keep(session: Session) -> None:
            for row in rows:
                if session.run(statements.LOCK_RUN, {"run": row["run_id"]}).fetchone() is not None:
                    session.run(_KEEP, row)

        await self._writer.do(keep)

    async def forget(self, scope: str, entry: memo.Entry) -> None:
        """See `ports.Memo.forget`."""
        values = {"in_scope": scope, "of_key": entry.key, "run": entry.run}

        def forget(session: Session) -> None:
            session.run(_FORGET, values)

        await self._writer.do(forget)

    async def tidy(self, before: datetime, *, most: int) -> None:
        """See `ports.Memo.tidy`."""

        def tidy(session: Session) -> None:
            session.run(_TOO_OLD, {"before": codec.micros(before)})
            if (youngest := session.run(_AGE_OF, {"most": most}).fetchone()) is not None:
                session.run(_TOO_OLD, {"before": youngest[0] + 1})

        await self._writer.do(tidy)


def _read(session: Session, statement: Any, values: dict[str, Any]) -> list[memo.Entry]:
    found = []
    for (blob,) in session.run(statement, values).fetchall():
        try:
            found.append(codec.MEMO.decode(blob, "work that was done"))
        except errors.Damaged as error:
            log.warning("it is not used again: %s", error)
    return found
