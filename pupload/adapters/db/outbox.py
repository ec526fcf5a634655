"""
Callbacks on their way, in the database.

Their blobs are sealed: a receiver's URL may let in whoever has it.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects import postgresql

from pupload import errors, ports
from pupload.adapters.db import codec, sealed, statements
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.tables import deliveries
from pupload.domain.delivery import Delivery

log = logging.getLogger(__name__)

_ID = deliveries.c.id == bindparam("delivery")
_RUN = deliveries.c.run_id == statements.RUN

_ADD = (
    postgresql.insert(deliveries)
    .values({column.name: bindparam(column.name) for column in deliveries.columns})
    .on_conflict_do_nothing()
)
_PUT = (
    update(deliveries)
    .where(_ID, deliveries.c.version == bindparam("if_version"))
    .values(version=deliveries.c.version + statements.ONE, due_at=bindparam("new_due_at"), blob=bindparam("new_blob"))
    .returning(deliveries.c.version)
)
_GET = select(deliveries.c.id, deliveries.c.blob).where(_ID, _RUN)
_OF_RUN = select(deliveries.c.id, deliveries.c.blob).where(_RUN).order_by(deliveries.c.id)
_OUTLOOK = select(func.count(), func.min(deliveries.c.due_at)).where(deliveries.c.due_at.is_not(None))

_ranked = (
    select(
        deliveries.c.id,
        deliveries.c.due_at,
        func.row_number()
        .over(partition_by=deliveries.c.host, order_by=(deliveries.c.due_at, deliveries.c.id))
        .label("place"),
    )
    .where(deliveries.c.due_at <= bindparam("now"))
    .subquery()
)
_DUE = (
    select(deliveries.c.id, deliveries.c.blob)
    .join(_ranked, _ranked.c.id == deliveries.c.id)
    .where(_ranked.c.place <= bindparam("per_host"))
    .order_by(_ranked.c.due_at, _ranked.c.id)
    .limit(bindparam("limit"))
    .offset(statements.NOUGHT)
)


class Outbox:
    """`ports.Outbox` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal
        self._damaged: set[str] = set()
        """Those that were told of."""

    async def add(self, deliveries: Sequence[Delivery]) -> None:
        """See `ports.Outbox.add`."""

        def add(session: Session) -> None:
            for run_id in sorted({one.run for one in deliveries}):
                if session.run(statements.LOCK_RUN, {"run": run_id}).fetchone() is not None:
                    session.run_many(_ADD, [self._row(one) for one in deliveries if one.run == run_id])

        await self._writer.do(add)

    async def put(self, this: Delivery) -> Delivery | None:
        """See `ports.Outbox.put`."""
        saved = replace(this, version=this.version + 1)

        def put(session: Session) -> bool:
            values = {
                "delivery": this.id,
                "if_version": this.version,
                "new_due_at": codec.maybe_micros(saved.due_at),
                "new_blob": self._blob(saved),
            }
            return bool(session.run(_PUT, values).fetchall())

        return saved if await self._writer.do(put) else None

    async def get(self, run_id: str, delivery_id: str) -> Delivery:
        """See `ports.Outbox.get`. Raises `errors.Damaged`."""

        def get(session: Session) -> Delivery:
            row = session.run(_GET, {"run": run_id, "delivery": delivery_id}).fetchone()
            if row is None:
                raise errors.UnknownDelivery(delivery=delivery_id[:64], run=run_id)
            return self._delivery(row)

        return await self._readers.do(get)

    async def of_run(self, run_id: str) -> Sequence[Delivery]:
        """See `ports.Outbox.of_run`. Raises `errors.Damaged`."""

        def read(session: Session) -> Sequence[Delivery]:
            return [self._delivery(row) for row in session.run(_OF_RUN, {"run": run_id})]

        return await self._readers.do(read)

    async def due(self, now: datetime, *, per_host: int, limit: int) -> Sequence[Delivery]:
        """See `ports.Outbox.due`. One that cannot be read is left out, and told of in the log."""
        values = {"now": codec.micros(now), "per_host": per_host, "limit": limit}

        def read(session: Session) -> Sequence[Delivery]:
            return [this for row in session.run(_DUE, values) if (this := self._readable(row)) is not None]

        return await self._readers.do(read)

    async def outlook(self) -> ports.Outlook:
        """See `ports.Outbox.outlook`."""

        def look(session: Session) -> ports.Outlook:
            pending, due_at = session.run(_OUTLOOK, {}).fetchone()
            return ports.Outlook(pending=pending, due_at=codec.maybe_moment(due_at))

        return await self._readers.do(look)

    def _row(self, this: Delivery) -> dict[str, Any]:
        return {
            "id": this.id,
            "run_id": this.run,
            "host": this.host,
            "due_at": codec.maybe_micros(this.due_at),
            "version": this.version,
            "blob": self._blob(this),
        }

    def _blob(self, this: Delivery) -> bytes:
        return self._seal.close(codec.DELIVERY.encode(this), sealed.delivery(this.id))

    def _delivery(self, row: Sequence[Any]) -> Delivery:
        delivery_id, blob = row
        what = sealed.delivery(delivery_id)
        return codec.DELIVERY.decode(self._seal.open(blob, what), what)

    def _readable(self, row: Sequence[Any]) -> Delivery | None:
        try:
            return self._delivery(row)
        except errors.Damaged as error:
            if row[0] not in self._damaged:
                log.warning("it is not sent: %s", error)
            self._damaged.add(row[0])
            return None
