"""What was said, in the database: sealed, for it is what people say."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, bindparam, case, cast, delete, func, select
from sqlalchemy.dialects import postgresql

from pupload import ports
from pupload.adapters.db import codec, sealed
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.statements import NOUGHT, ONE
from pupload.adapters.db.tables import messages
from pupload.domain.thread import Message, Role, Thread

NOBODY = 0
"""Whose account is none."""

_c = messages.c
_ROW = (_c.id, _c.key, _c.account_id, _c.flow, _c.run_id, _c.role, _c.at, _c.blob)
_THREAD = (_c.account_id == bindparam("account"), _c.flow == bindparam("flow"))

_SAY = (
    postgresql.insert(messages)
    .values({column.name: bindparam(column.name) for column in messages.columns if column.name != "id"})
    .on_conflict_do_nothing()
)
_SAID = select(*_ROW).where(_c.run_id == bindparam("run")).order_by(_c.id)
_LAST = (
    select(*_ROW)
    .where(*_THREAD, _c.at < bindparam("before"))
    .order_by(_c.at.desc(), _c.id.desc())
    .limit(bindparam("limit"))
    .offset(NOUGHT)
)
_CLEAR = delete(messages).where(*_THREAD)
_FORGET = delete(messages).where(_c.id == bindparam("message"))
_turns = func.sum(case((_c.role == bindparam("user"), ONE), else_=NOUGHT))
_threads = (
    select(
        *(_c.account_id, _c.flow, func.count().label("count"), _turns.label("turns")),
        *(func.sum(_c.size).label("size"), func.min(_c.at).label("first"), func.max(_c.at).label("last")),
    )
    .group_by(_c.account_id, _c.flow)
    .order_by(func.max(_c.at).desc(), _c.account_id.desc(), _c.flow.desc())
    .limit(bindparam("limit"))
    .offset(bindparam("offset"))
)
_some = select(_c.account_id, _c.flow).distinct()
_ONES = _c.account_id == bindparam("account")
_PAGES = {False: _threads, True: _threads.where(_ONES)}
_COUNTS = {
    given: select(cast(func.count(), Integer)).select_from(some.subquery())
    for given, some in ((False, _some), (True, _some.where(_ONES)))
}
"""By whether an account is asked for."""

_FOR_EVER = (1 << 63) - 1


class Threads:
    """`ports.Threads` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def say(self, message: Message) -> None:
        """See `ports.Threads.say`."""
        key = f"{message.run} {message.role}"
        row = {
            "key": key,
            "account_id": message.account or NOBODY,
            "flow": message.flow,
            "run_id": message.run,
            "role": message.role.value,
            "at": codec.micros(message.at),
            "size": len(message.text.encode()),
            "blob": self._seal.close(codec.TEXT.encode(message.text), sealed.message(key)),
        }
        await self._writer.do(lambda session: session.run(_SAY, row))

    async def said_in(self, run_id: str) -> Sequence[Message]:
        """See `ports.Threads.said_in`."""
        found = await self._readers.do(lambda session: session.run(_SAID, {"run": run_id}).fetchall())
        return sorted(map(self._message, found), key=lambda one: one.role is not Role.USER)

    async def read(
        self, account: int | None, flow: str, *, before: datetime | None = None, limit: int = 100
    ) -> ports.Said:
        """See `ports.Threads.read`. Raises `errors.Damaged`."""
        upto = _FOR_EVER if before is None else codec.micros(before)
        limit = max(limit, 0)
        wanted = {"account": account or NOBODY, "flow": flow, "before": upto, "limit": limit + 1}
        found = await self._readers.do(lambda session: session.run(_LAST, wanted).fetchall())
        return ports.Said(messages=[self._message(row) for row in reversed(found[:limit])], more=len(found) > limit)

    async def clear(self, account: int | None, flow: str) -> None:
        """See `ports.Threads.clear`."""
        await self._writer.do(lambda session: session.run(_CLEAR, {"account": account or NOBODY, "flow": flow}))

    async def forget(self, message_ids: Sequence[int], *, account: int | None = None) -> None:
        """See `ports.Threads.forget`."""
        statement, whose = (_FORGET, {}) if account is None else (_FORGET.where(_ONES), {"account": account})

        def forget(session: Session) -> None:
            for number in sorted(message_ids):
                session.run(statement, {"message": number, **whose})

        await self._writer.do(forget)

    async def list(self, *, account: int | None = None, limit: int = 100, offset: int = 0) -> ports.ThreadPage:
        """See `ports.Threads.list`."""
        ones = {} if account is None else {"account": account}
        wanted = {**ones, "user": Role.USER.value, "limit": max(limit, 0), "offset": max(offset, 0)}

        def read(session: Session) -> ports.ThreadPage:
            total = session.run(_COUNTS[bool(ones)], ones).fetchone()[0]
            rows = session.run(_PAGES[bool(ones)], wanted).fetchall()
            return ports.ThreadPage(threads=[_thread(row) for row in rows], total=total)

        return await self._readers.do(read)

    def _message(self, row: Sequence[Any]) -> Message:
        number, key, account, flow, run, role, at, blob = row
        what = sealed.message(key)
        return Message(
            id=number,
            account=account or None,
            flow=flow,
            run=run,
            role=Role(role),
            text=codec.TEXT.decode(self._seal.open(blob, what), what),
            at=codec.moment(at),
        )


def _thread(row: Sequence[Any]) -> Thread:
    account, flow, count, turns, size, first, last = row
    return Thread(
        account=account or None,
        flow=flow,
        messages=count,
        turns=int(turns),
        size=int(size),
        first_at=codec.moment(first),
        last_at=codec.moment(last),
    )
