"""
Accounts and their keys in the database.

Accounts are sealed: the secret of a second factor opens what it is the second factor of. Keys are not: a digest of 256
bits of chance tells nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from pupload import errors, ports
from pupload.adapters.db import codec, sealed, statements
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.tables import accounts, api_keys
from pupload.domain.account import Key, User

_FIRST = "first_account"
"""The row of `meta` that only one account can write."""

_ROW = (accounts.c.id, accounts.c.name, accounts.c.revision, accounts.c.blob)
_ID = accounts.c.id == bindparam("account")
_NAME = accounts.c.name == bindparam("name")
_KIND = accounts.c.service == bindparam("kind")

_ADD = (
    insert(accounts)
    .values(
        name=bindparam("name"),
        service=bindparam("service"),
        revision=bindparam("revision"),
        blob=bindparam("blob"),
    )
    .returning(accounts.c.id)
)
_PUT = (
    update(accounts)
    .where(_ID, accounts.c.revision == bindparam("if_revision"))
    .values(revision=accounts.c.revision + statements.ONE, service=bindparam("new_service"), blob=bindparam("new_blob"))
    .returning(accounts.c.revision)
)
_GET = select(*_ROW).where(_ID)
_FIND = select(*_ROW).where(_NAME)
_ANY = select(accounts.c.id).limit(statements.ONE).offset(statements.NOUGHT)
_PAGE = select(*_ROW).order_by(accounts.c.id).limit(bindparam("limit")).offset(bindparam("offset"))
_PAGE_OF_KIND = _PAGE.where(_KIND)
_COUNT = select(func.count()).select_from(accounts)
_COUNT_OF_KIND = _COUNT.where(_KIND)

_KEY_ROW = (api_keys.c.id, api_keys.c.account_id, api_keys.c.used_at, api_keys.c.revoked_at, api_keys.c.blob)
_ADD_KEY = insert(api_keys).values({column.name: bindparam(column.name) for column in api_keys.columns})
_KEY = select(*_KEY_ROW).where(api_keys.c.id == bindparam("key"))
_BY_DIGEST = select(*_KEY_ROW).where(api_keys.c.digest == bindparam("digest"))
_OF_ACCOUNT = select(*_KEY_ROW).where(api_keys.c.account_id == bindparam("account")).order_by(api_keys.c.id.desc())
_REMOVE_LOGIN = delete(api_keys).where(
    api_keys.c.account_id == bindparam("account"), api_keys.c.name == bindparam("no_name")
)
_STILL = api_keys.c.revoked_at.is_(None)
_REVOKE = update(api_keys).where(api_keys.c.id == bindparam("key"), _STILL).values(revoked_at=bindparam("at"))
_REVOKE_ALL = (
    update(api_keys).where(api_keys.c.account_id == bindparam("account"), _STILL).values(revoked_at=bindparam("at"))
)
_USED = update(api_keys).where(api_keys.c.id == bindparam("key")).values(used_at=bindparam("at"))


class Accounts:
    """`ports.Accounts` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def any(self) -> bool:
        """See `ports.Accounts`."""
        return await self._readers.do(lambda session: session.run(_ANY, {}).fetchone() is not None)

    async def create(self, user: User, key: Key | None = None, *, first: bool = False) -> User:
        """See `ports.Accounts`. It is known again by its blob, which no other one is like."""
        blob = self._closed(user)

        def create(session: Session) -> User:
            if first:
                # Of two who try at once the second waits for the first's commit, and reads that here.
                session.run(statements.INSERT_META, {"key": _FIRST, "value": user.name})
                row = session.run(statements.META, {"name": _FIRST}).fetchone()
                if row is None or row[0] != user.name:
                    raise errors.AlreadySetUp
            taken = session.run(_FIND, {"name": user.name}).fetchone()
            if taken is not None:
                if taken[3] == blob:
                    return replace(user, id=taken[0])  # by an earlier try whose answer was lost
                raise errors.AlreadySetUp if first else errors.AccountTaken(name=user.name)
            if first and session.run(_ANY, {}).fetchone() is not None:
                raise errors.AlreadySetUp
            values = {"name": user.name, "service": int(user.service), "revision": user.revision, "blob": blob}
            new = replace(user, id=session.run(_ADD, values).fetchone()[0])
            if key is not None:
                _add_key(session, replace(key, user=new.id))
            return new

        return await self._writer.do(create)

    async def save(self, user: User) -> User:
        """See `ports.Accounts`."""
        after = replace(user, revision=user.revision + 1)
        blob = self._closed(after)

        def save(session: Session) -> None:
            values = {
                "account": user.id,
                "if_revision": user.revision,
                "new_service": int(user.service),
                "new_blob": blob,
            }
            if session.run(_PUT, values).fetchone() is None:
                row = session.run(_GET, {"account": user.id}).fetchone()
                if row is None:
                    raise errors.UnknownAccount(name=user.id)
                if row[3] != blob:
                    raise errors.AccountChanged(name=user.name)

        await self._writer.do(save)
        return after

    async def get(self, user_id: int) -> User:
        """See `ports.Accounts`. Raises `errors.Damaged`."""

        def get(session: Session) -> User:
            row = session.run(_GET, {"account": user_id}).fetchone()
            if row is None:
                raise errors.UnknownAccount(name=user_id)
            return self._user(row)

        return await self._readers.do(get)

    async def find(self, name: str) -> User | None:
        """See `ports.Accounts`. Raises `errors.Damaged`."""

        def find(session: Session) -> User | None:
            row = session.run(_FIND, {"name": name}).fetchone()
            return None if row is None else self._user(row)

        return await self._readers.do(find)

    async def list(self, *, service: bool | None = None, limit: int = 100, offset: int = 0) -> ports.UserPage:
        """See `ports.Accounts`. Raises `errors.Damaged`."""
        kind = {} if service is None else {"kind": int(service)}
        page, count = (_PAGE, _COUNT) if service is None else (_PAGE_OF_KIND, _COUNT_OF_KIND)

        def read(session: Session) -> ports.UserPage:
            total = session.run(count, kind).fetchone()[0]
            rows = session.run(page, {**kind, "limit": limit, "offset": offset}).fetchall()
            return ports.UserPage(users=[self._user(row) for row in rows], total=total)

        return await self._readers.do(read)

    # ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def put_key(self, key: Key) -> None:
        """See `ports.Accounts`."""

        def put(session: Session) -> None:
            if session.run(_KEY, {"key": key.id}).fetchone() is not None:
                return  # by an earlier try whose answer was lost
            if session.run(_GET, {"account": key.user}).fetchone() is None:
                raise errors.UnknownAccount(name=key.user)
            if not key.name:
                session.run(_REMOVE_LOGIN, {"account": key.user, "no_name": ""})
            _add_key(session, key)

        await self._writer.do(put)

    async def open(self, digest: str) -> tuple[Key, User] | None:
        """See `ports.Accounts`. Raises `errors.Damaged`."""

        def open_(session: Session) -> tuple[Key, User] | None:
            row = session.run(_BY_DIGEST, {"digest": digest}).fetchone()
            if row is None:
                return None
            key = _key(row)
            return key, self._user(session.run(_GET, {"account": key.user}).fetchone())

        return await self._readers.do(open_)

    async def keys(self, user_id: int) -> Sequence[Key]:
        """See `ports.Accounts`. Raises `errors.Damaged`."""
        return await self._readers.do(
            lambda session: [_key(row) for row in session.run(_OF_ACCOUNT, {"account": user_id}).fetchall()]
        )

    async def revoke(self, user_id: int, key_id: str, at: datetime) -> None:
        """See `ports.Accounts`."""

        def revoke(session: Session) -> None:
            row = session.run(_KEY, {"key": key_id}).fetchone()
            if row is None or row[1] != user_id:
                raise errors.UnknownKey(key=key_id[:64])
            session.run(_REVOKE, {"key": key_id, "at": codec.micros(at)})

        await self._writer.do(revoke)

    async def revoke_all(self, user_id: int, at: datetime) -> None:
        """See `ports.Accounts`."""

        def revoke(session: Session) -> None:
            session.run(_REVOKE_ALL, {"account": user_id, "at": codec.micros(at)})

        await self._writer.do(revoke)

    async def used(self, key_ids: Sequence[str], at: datetime) -> None:
        """See `ports.Accounts`."""
        rows = [{"key": key_id, "at": codec.micros(at)} for key_id in sorted(key_ids)]

        def write(session: Session) -> None:
            for row in rows:
                session.run(_USED, row)

        await self._writer.do(write)

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _closed(self, user: User) -> bytes:
        return self._seal.close(codec.USER.encode(user), sealed.account(user.name))

    def _user(self, row: Sequence[Any]) -> User:
        user_id, name, revision, blob = row
        what = sealed.account(name)
        return replace(codec.USER.decode(self._seal.open(blob, what), what), id=user_id, revision=revision)


def _add_key(session: Session, key: Key) -> None:
    row = {
        "id": key.id,
        "account_id": key.user,
        "digest": key.digest,
        "name": key.name,
        "used_at": codec.maybe_micros(key.used_at),
        "revoked_at": codec.maybe_micros(key.revoked_at),
        "blob": codec.KEY.encode(key),
    }
    session.run(_ADD_KEY, row)


def _key(row: Sequence[Any]) -> Key:
    key_id, account_id, used_at, revoked_at, blob = row
    return replace(
        codec.KEY.decode(blob, f"key {key_id}"),
        user=account_id,
        used_at=codec.maybe_moment(used_at),
        revoked_at=codec.maybe_moment(revoked_at),
    )
