"""
Credentials in the database.

All of one but whose it is, its name and its type is sealed, for the key that was made with it: a row cannot be put in
the place of another, and one that was added is known again when the answer was lost.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from pupload import errors, ports
from pupload.adapters.db import codec, sealed, statements
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.tables import credentials
from pupload.domain.credential import Credential

_NOBODY = 0
"""The column of those that are nobody's: no account has this number."""

_MOST = (1 << 63) - 1
"""A column holds no larger number."""

_AT_ONCE = 500
"""Removed in one transaction."""

_ID = credentials.c.id == bindparam("credential")
_ROW = (credentials.c.id, credentials.c.key, credentials.c.revision, credentials.c.blob)
_OF_ACCOUNT = credentials.c.account_id == bindparam("account")
_OF_TYPE = credentials.c.type == bindparam("type")

_ADD = (
    insert(credentials)
    .values({column.name: bindparam(column.name) for column in credentials.columns if column.name != "id"})
    .returning(credentials.c.id)
)
_PUT = (
    update(credentials)
    .where(_ID, credentials.c.revision == bindparam("if_revision"))
    .values(
        revision=credentials.c.revision + statements.ONE,
        account_id=bindparam("new_account_id"),
        name=bindparam("new_name"),
        blob=bindparam("new_blob"),
    )
    .returning(credentials.c.revision)
)
_GET = select(*_ROW).where(_ID)
_OF_KEY = select(*_ROW).where(credentials.c.key == bindparam("made"))
_ALL = select(*_ROW).order_by(credentials.c.id)
_OWNED = _ALL.where(_OF_ACCOUNT)
_NAMED = _OWNED.where(credentials.c.name == bindparam("name"))
_REMOVE = delete(credentials).where(_ID)


class Credentials:
    """`ports.Credentials` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def add(self, this: Credential) -> Credential:
        """See `ports.Credentials`. Raises `errors.Damaged`."""
        new = replace(this, revision=1)
        values = {
            "key": new.key,
            "account_id": new.account or _NOBODY,
            "name": new.name,
            "type": new.type,
            "revision": new.revision,
            "blob": self._closed(new),
        }

        def add(session: Session) -> Credential:
            row = session.run(_OF_KEY, {"made": new.key}).fetchone()
            if row is not None:
                return self._credential(row)
            return replace(new, id=session.run(_ADD, values).fetchone()[0])

        return await self._writer.do(add)

    async def save(self, this: Credential) -> Credential:
        """See `ports.Credentials`."""
        after = replace(this, revision=this.revision + 1)
        blob = self._closed(after)
        values = {
            "credential": this.id,
            "if_revision": this.revision,
            "new_account_id": this.account or _NOBODY,
            "new_name": this.name,
            "new_blob": blob,
        }

        def save(session: Session) -> None:
            if session.run(_PUT, values).fetchone() is None:
                row = session.run(_GET, {"credential": this.id}).fetchone()
                if row is None:
                    raise errors.UnknownCredential(name=this.id)
                if row[3] != blob:  # it is by an earlier try whose answer was lost: no two blobs are the same
                    raise errors.CredentialChanged(name=this.id)

        await self._writer.do(save)
        return after

    async def get(self, credential_id: int) -> Credential:
        """See `ports.Credentials`. Raises `errors.Damaged`."""
        found = await self._read(_GET, {"credential": credential_id}) if abs(credential_id) <= _MOST else []
        if not found:
            raise errors.UnknownCredential(name=credential_id)
        return found[0]

    async def list(
        self, *, account: int | None = None, type_: str | None = None, limit: int = 50, offset: int = 0
    ) -> ports.CredentialPage:
        """See `ports.Credentials`. Raises `errors.Damaged`."""
        conditions = [*([] if account is None else [_OF_ACCOUNT]), *([] if type_ is None else [_OF_TYPE])]
        values = {**({} if account is None else {"account": account}), **({} if type_ is None else {"type": type_})}
        count = select(func.count()).select_from(credentials).where(*conditions)
        page = _ALL.where(*conditions).limit(bindparam("limit")).offset(bindparam("offset"))

        def read(session: Session) -> ports.CredentialPage:
            total = session.run(count, values).fetchone()[0]
            rows = session.run(page, {**values, "limit": limit, "offset": offset}).fetchall()
            return ports.CredentialPage(credentials=[self._credential(row) for row in rows], total=total)

        return await self._readers.do(read)

    async def owned(self, account: int | None) -> Sequence[Credential]:
        """See `ports.Credentials`. Raises `errors.Damaged`."""
        return await self._read(_OWNED, {"account": account or _NOBODY})

    async def find(self, name: str, *, account: int | None) -> Credential | None:
        """See `ports.Credentials`. Raises `errors.Damaged`."""
        found = await self._read(_NAMED, {"account": account or _NOBODY, "name": name})
        return found[0] if found else None

    async def remove(self, credential_ids: Sequence[int]) -> None:
        """See `ports.Credentials`."""
        ids = sorted({each for each in credential_ids if abs(each) <= _MOST})
        for start in range(0, len(ids), _AT_ONCE):
            await self._writer.do(_removal(ids[start : start + _AT_ONCE]))

    async def _read(self, statement: Any, values: dict[str, Any]) -> Sequence[Credential]:
        return await self._readers.do(
            lambda session: [self._credential(row) for row in session.run(statement, values).fetchall()]
        )

    def _closed(self, this: Credential) -> bytes:
        """Raises `errors.Misconfigured` where there is no key."""
        if self._seal.sealer is None:
            raise errors.Misconfigured(reason="this database has no key, so it can keep no credentials")
        return self._seal.close(codec.CREDENTIAL.encode(this), sealed.credential(this.key))

    def _credential(self, row: Sequence[Any]) -> Credential:
        credential_id, key, revision, blob = row
        what = sealed.credential(key)
        opened = self._seal.open(blob, what)
        if opened is blob:
            raise errors.Damaged(what=what, reason="it is not encrypted")
        return replace(codec.CREDENTIAL.decode(opened, what), id=credential_id, revision=revision)


def _removal(ids: Sequence[int]) -> Any:
    def remove(session: Session) -> None:
        for credential_id in ids:
            session.run(_REMOVE, {"credential": credential_id})

    return remove
