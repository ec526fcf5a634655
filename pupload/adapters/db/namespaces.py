"""Namespaces in the database; sealed, for there may be secrets in their sketches."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from pupload.adapters.db import codec, sealed
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.tables import namespaces
from pupload.domain.namespace import Namespace

_ID = namespaces.c.id == bindparam("namespace")
_ROW = (namespaces.c.id, namespaces.c.revision, namespaces.c.blob)

_ADD = insert(namespaces).values({column.name: bindparam(column.name) for column in namespaces.columns})
_PUT = (
    update(namespaces)
    .where(_ID, namespaces.c.revision == bindparam("if_revision"))
    .values(revision=bindparam("new_revision"), blob=bindparam("new_blob"))
    .returning(namespaces.c.id)
)
_GET = select(*_ROW).where(_ID)
_ALL = select(*_ROW).order_by(namespaces.c.name, namespaces.c.account_id)
_CALLED = _ALL.where(namespaces.c.name == bindparam("name"))
_OF_ACCOUNT = _ALL.where(namespaces.c.account_id == bindparam("account"))
_REMOVE = delete(namespaces).where(_ID)


class Namespaces:
    """`namespace.Namespaces` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def put(self, this: Namespace) -> Namespace | None:
        """See `namespace.Namespaces.put`."""
        saved = replace(this, revision=this.revision + 1)
        key = sealed.owned(this.name, this.account)
        blob = self._seal.close(codec.NAMESPACE.encode(saved), sealed.namespace(key))

        def is_saved(session: Session) -> bool:
            """By an earlier try of the job whose answer was lost; no two blobs are the same."""
            row = session.run(_GET, {"namespace": key}).fetchone()
            return row is not None and row[2] == blob

        def add(session: Session) -> bool:
            if session.run(_GET, {"namespace": key}).fetchone() is not None:
                return is_saved(session)
            row = {"id": key, "name": this.name, "account_id": this.account or 0}
            session.run(_ADD, {**row, "revision": saved.revision, "blob": blob})
            return True

        def put(session: Session) -> bool:
            values = {"namespace": key, "if_revision": this.revision, "new_revision": saved.revision, "new_blob": blob}
            return bool(session.run(_PUT, values).fetchall()) or is_saved(session)

        return saved if await self._writer.do(put if this.revision else add) else None

    async def find(self, name: str) -> Sequence[Namespace]:
        """See `namespace.Namespaces.find`. Raises `errors.Damaged`."""
        return await self._read(_CALLED, {"name": name})

    async def list(self, *, account: int | None = None) -> Sequence[Namespace]:
        """See `namespace.Namespaces.list`. Raises `errors.Damaged`."""
        return await (self._read(_ALL, {}) if account is None else self._read(_OF_ACCOUNT, {"account": account}))

    async def remove(self, this: Namespace) -> None:
        """See `namespace.Namespaces.remove`."""
        key = sealed.owned(this.name, this.account)

        def remove(session: Session) -> None:
            session.run(_REMOVE, {"namespace": key})

        await self._writer.do(remove)

    async def _read(self, statement: Any, values: dict[str, Any]) -> Sequence[Namespace]:
        def read(session: Session) -> Sequence[Namespace]:
            return [self._namespace(row) for row in session.run(statement, values).fetchall()]

        return await self._readers.do(read)

    def _namespace(self, row: Sequence[Any]) -> Namespace:
        key, revision, blob = row
        what = sealed.namespace(key)
        return replace(codec.NAMESPACE.decode(self._seal.open(blob, what), what), revision=revision)
