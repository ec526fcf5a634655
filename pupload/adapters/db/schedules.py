"""
Schedules in the database.

Their blobs are sealed: a parameter may be what lets somebody in somewhere.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from pupload import errors
from pupload.adapters.db import codec, sealed, statements
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.tables import schedules
from pupload.domain.schedule import Schedule

log = logging.getLogger(__name__)

_ID = schedules.c.id == bindparam("schedule")
_ROW = (schedules.c.id, schedules.c.version, schedules.c.blob)

_ADD = insert(schedules).values({column.name: bindparam(column.name) for column in schedules.columns})
_PUT = (
    update(schedules)
    .where(_ID, schedules.c.version == bindparam("if_version"))
    .values(
        version=schedules.c.version + statements.ONE,
        flow_id=bindparam("new_flow_id"),
        enabled=bindparam("new_enabled"),
        look_at=bindparam("new_look_at"),
        blob=bindparam("new_blob"),
        account_id=bindparam("new_account_id"),
    )
    .returning(schedules.c.version)
)
_GET = select(*_ROW).where(_ID)
_ALL = select(*_ROW).order_by(schedules.c.id)
_CONDITIONS = schedules.c.flow_id == bindparam("flow"), schedules.c.account_id == bindparam("account")
_SOME = {
    (of_flow, of_account): _ALL if condition is None else _ALL.where(condition)
    for of_flow, of_account in product((False, True), repeat=2)
    for condition in [statements.all_of((of_flow, _CONDITIONS[0]), (of_account, _CONDITIONS[1]))]
}
"""By whether a flow, and an account is asked for."""
_REMOVE = delete(schedules).where(_ID).returning(schedules.c.id)
_DUE = (
    select(*_ROW)
    .where(schedules.c.look_at <= bindparam("now"))
    .order_by(schedules.c.look_at, schedules.c.id)
    .limit(bindparam("limit"))
    .offset(statements.NOUGHT)
)
_NEXT = select(func.min(schedules.c.look_at))


class Schedules:
    """`schedule.Schedules` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal
        self._damaged: set[str] = set()
        """Those that were told of."""

    async def put(self, this: Schedule) -> Schedule | None:
        """See `schedule.Schedules.put`."""
        saved = replace(this, version=this.version + 1)
        blob = self._seal.close(codec.SCHEDULE.encode(saved), sealed.schedule(this.id))
        look_at = codec.maybe_micros(saved.look_at)

        def is_saved(session: Session) -> bool:
            """By an earlier try of the job whose answer was lost; no two blobs are the same."""
            row = session.run(_GET, {"schedule": this.id}).fetchone()
            return row is not None and row[2] == blob

        def add(session: Session) -> bool:
            if session.run(_GET, {"schedule": this.id}).fetchone() is not None:
                return is_saved(session)
            row = {"id": this.id, "flow_id": this.flow_id, "enabled": int(this.enabled), "look_at": look_at}
            session.run(_ADD, {**row, "version": saved.version, "blob": blob, "account_id": this.account})
            return True

        def put(session: Session) -> bool:
            values = {
                "schedule": this.id,
                "if_version": this.version,
                "new_flow_id": this.flow_id,
                "new_enabled": int(this.enabled),
                "new_look_at": look_at,
                "new_blob": blob,
                "new_account_id": this.account,
            }
            return bool(session.run(_PUT, values).fetchall()) or is_saved(session)

        return saved if await self._writer.do(put if this.version else add) else None

    async def get(self, schedule_id: str) -> Schedule:
        """See `schedule.Schedules.get`. Raises `errors.Damaged`."""

        def get(session: Session) -> Schedule:
            row = session.run(_GET, {"schedule": schedule_id}).fetchone()
            if row is None:
                raise errors.UnknownSchedule(name=schedule_id[:64])
            return self._schedule(row)

        return await self._readers.do(get)

    async def list(
        self, *, flow_id: str | None = None, enabled: bool | None = None, account: int | None = None
    ) -> Sequence[Schedule]:
        """See `schedule.Schedules.list`. One that cannot be read is left out, and told of in the log."""
        statement = _SOME[flow_id is not None, account is not None]
        found = await self._read(statement, {"flow": flow_id, "account": account})
        return [this for this in found if enabled is None or this.enabled is enabled]

    async def remove(self, schedule_id: str) -> None:
        """See `schedule.Schedules.remove`."""

        def remove(session: Session) -> None:
            if session.run(_REMOVE, {"schedule": schedule_id}).fetchone() is None:
                raise errors.UnknownSchedule(name=schedule_id[:64])

        await self._writer.do(remove)

    async def due(self, now: datetime, *, limit: int = 100) -> Sequence[Schedule]:
        """See `schedule.Schedules.due`. One that cannot be read is left out, and told of in the log."""
        return await self._read(_DUE, {"now": codec.micros(now), "limit": limit})

    async def next_look(self) -> datetime | None:
        """See `schedule.Schedules.next_look`."""
        return await self._readers.do(lambda session: codec.maybe_moment(session.run(_NEXT, {}).fetchone()[0]))

    async def _read(self, statement: Any, values: dict[str, Any]) -> Sequence[Schedule]:
        def read(session: Session) -> Sequence[Schedule]:
            rows = session.run(statement, values).fetchall()
            return [this for row in rows if (this := self._readable(row)) is not None]

        return await self._readers.do(read)

    def _schedule(self, row: Sequence[Any]) -> Schedule:
        schedule_id, version, blob = row
        what = sealed.schedule(schedule_id)
        return replace(codec.SCHEDULE.decode(self._seal.open(blob, what), what), version=version)

    def _readable(self, row: Sequence[Any]) -> Schedule | None:
        try:
            return self._schedule(row)
        except errors.Damaged as error:
            if row[0] not in self._damaged:
                log.warning("it starts no runs: %s", error)
            self._damaged.add(row[0])
            return None
