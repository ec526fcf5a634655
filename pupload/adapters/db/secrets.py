"""Secrets in the database, sealed; and the sealing anew of all that is."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from pupload import errors, ports
from pupload.adapters.db import codec, sealed, statements
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.tables import (
    accounts,
    batches,
    credentials,
    deliveries,
    drawings,
    known_facts,
    messages,
    namespaces,
    plans,
    projects,
    saved_versions,
    schedules,
    secrets,
    tasks,
)

_AT_ONCE = 200
"""Rows sealed anew in one transaction: others write in between."""

_SEALED = (
    (statements.Blobs(plans, plans.c.run_id), sealed.plan),
    (statements.Blobs(projects, projects.c.id), sealed.project),
    (statements.Blobs(schedules, schedules.c.id), sealed.schedule),
    (statements.Blobs(namespaces, namespaces.c.id), sealed.namespace),
    (statements.Blobs(secrets, secrets.c.id), sealed.secret),
    (statements.Blobs(saved_versions, saved_versions.c.id), sealed.flow_version),
    (statements.Blobs(deliveries, deliveries.c.id), sealed.delivery),
    (statements.Blobs(accounts, accounts.c.name), sealed.account),
    (statements.Blobs(credentials, credentials.c.key), sealed.credential),
    (statements.Blobs(drawings, drawings.c.id), sealed.drawing),
    (statements.Blobs(batches, batches.c.id), sealed.batch),
    (statements.Blobs(tasks, tasks.c.id), sealed.task),
    (statements.Blobs(known_facts, known_facts.c.id), sealed.fact),
    (statements.Blobs(messages, messages.c.key), sealed.message),
)
"""Every table whose blobs are sealed, and what they are for."""


class Secrets:
    """`ports.SecretStore` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def put(self, name: str, value: str, *, account: int | None = None, at: datetime) -> None:
        """See `ports.SecretStore.put`. Raises `errors.Misconfigured` where there is no key."""
        self._sealer()
        this = sealed.owned(name, account)
        blob = self._seal.close(value.encode(), sealed.secret(this))
        row = {"id": this, "changed_at": codec.micros(at), "blob": blob}

        def put(session: Session) -> None:
            session.run(statements.PUT_SECRET, row)

        await self._writer.do(put)

    async def reveal(self, name: str, *, account: int | None = None) -> str | None:
        """See `ports.SecretStore.reveal`. Raises `errors.Damaged`, `errors.Misconfigured`."""
        this = sealed.owned(name, account)

        def find(session: Session) -> object:
            row = session.run(statements.SECRET, {"secret": this}).fetchone()
            return None if row is None else row[0]

        what = sealed.secret(this)
        blob = await self._readers.do(find)
        if blob is None:
            return None
        value = self._seal.open(blob, what)
        if not isinstance(value, bytes) or value is blob:
            raise errors.Damaged(what=what, reason="it is not encrypted")
        return value.decode()

    async def list(self) -> Sequence[ports.SecretInfo]:
        """See `ports.SecretStore.list`."""

        def find(session: Session) -> Sequence[ports.SecretInfo]:
            rows = session.run(statements.SECRETS, {}).fetchall()
            return [
                ports.SecretInfo(name=sealed.name(row), changed_at=codec.moment(at), account=sealed.account_of(row))
                for row, at in rows
            ]

        return sorted(await self._readers.do(find), key=lambda info: (info.name, info.account or 0))

    async def remove(self, name: str, *, account: int | None = None) -> None:
        """See `ports.SecretStore.remove`."""

        def remove(session: Session) -> None:
            if session.run(statements.DELETE_SECRET, {"secret": sealed.owned(name, account)}).fetchone() is None:
                raise errors.UnknownSecret(name=name)

        await self._writer.do(remove)

    async def reseal(self, *, new_key: bool) -> str:
        """See `ports.SecretStore.reseal`. What was never sealed is, too."""
        key = self._sealer().renew(new_key=new_key)
        for blobs, about in _SEALED:
            after: Any = blobs.before
            while after is not None:
                after = await self._writer.do(self._some(blobs, about, after))
        await self._writer.do(self._seal.check_anew)
        return key

    def _sealer(self) -> ports.Sealer:
        if self._seal.sealer is None:
            raise errors.Misconfigured(reason="this database has no key, so it can keep no secrets")
        return self._seal.sealer

    def _some(self, blobs: statements.Blobs, about: Callable[[Any], str], after: Any) -> Callable[[Session], Any]:
        """Seals some rows behind the key `after` anew. Returns the last one's, None when there are no more."""

        def do(session: Session) -> Any:
            rows = session.run(blobs.some, {"after": after, "limit": _AT_ONCE}).fetchall()
            for key, blob in rows:
                opened = self._seal.open(blob, about(key))
                assert isinstance(opened, bytes), about(key)
                fresh = {"key": key, "old": blob, "fresh": self._seal.close(opened, about(key))}
                session.run(blobs.replace, fresh)
            return rows[-1][0] if rows else None

        return do
