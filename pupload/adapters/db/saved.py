"""Saved flows in the database; what they hold is sealed, for there may be secrets in it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pupload import errors, ports
from pupload.adapters.db import codec, saved_statements, sealed
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.domain import saved


class SavedFlows:
    """`ports.SavedFlows` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def put(
        self, this: saved.SavedFlow, version: saved.FlowVersion | None = None, content: saved.Content | None = None
    ) -> None:
        """See `ports.SavedFlows.put`."""
        row = _row(this)
        versions = [] if version is None or content is None else [self._version_row(version, content)]

        def put(session: Session) -> None:
            if this.revision == 1:
                if not session.run(saved_statements.INSERT, row).fetchall():
                    raise errors.NameTaken(flow=this.full_name)
            else:
                moved = {f"new_{name}": value for name, value in row.items() if name != "id"}
                moved |= {"flow": this.id, "if_revision": this.revision - 1}
                if not session.run(saved_statements.MOVE, moved).fetchall():
                    if session.run(saved_statements.BY_ID, {"flow": this.id}).fetchone() is None:
                        raise errors.UnknownSavedFlow(flow=this.id)
                    raise errors.FlowChanged(flow=this.full_name)
            session.run_many(saved_statements.INSERT_VERSION, versions)

        await self._writer.do(put)

    async def get(self, flow_id: str) -> saved.SavedFlow:
        """See `ports.SavedFlows.get`. Raises `errors.Damaged`."""

        def get(session: Session) -> saved.SavedFlow:
            row = session.run(saved_statements.BY_ID, {"flow": flow_id}).fetchone()
            if row is None:
                raise errors.UnknownSavedFlow(flow=flow_id)
            return codec.SAVED_FLOW.decode(row[0], f"flow {flow_id}")

        return await self._readers.do(get)

    async def called(self, namespace: str, name: str) -> Sequence[saved.SavedFlow]:
        """See `ports.SavedFlows.called`. Raises `errors.Damaged`."""

        def find(session: Session) -> Sequence[saved.SavedFlow]:
            rows = session.run(saved_statements.BY_NAME, {"namespace": namespace, "name": name}).fetchall()
            return [codec.SAVED_FLOW.decode(row[0], f"flow {namespace}/{name}") for row in rows]

        return await self._readers.do(find)

    async def list(
        self,
        *,
        namespace: str | None = None,
        source: str | None = None,
        text: str = "",
        enabled: bool | None = None,
        account: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> ports.SavedPage:
        """See `ports.SavedFlows.list`. Raises `errors.Damaged`."""
        given = namespace is not None, source is not None, bool(text), enabled is not None, account is not None
        wanted = {"namespace": namespace, "source": source, "text": _like(text), "enabled": int(bool(enabled))}
        wanted |= {"account": account, "limit": max(limit, 0), "offset": max(offset, 0)}

        def page(session: Session) -> ports.SavedPage:
            rows = session.run(saved_statements.PAGES[given], wanted).fetchall()
            found = [codec.SAVED_FLOW.decode(blob, f"flow {flow_id}") for flow_id, blob in rows]
            (total,) = session.run(saved_statements.COUNTS[given], wanted).fetchone()
            return ports.SavedPage(flows=found, total=total)

        return await self._readers.do(page)

    async def versions(self, flow_id: str, *, limit: int = 100, offset: int = 0) -> Sequence[saved.FlowVersion]:
        """See `ports.SavedFlows.versions`. Raises `errors.Damaged`."""
        wanted = {"flow": flow_id, "limit": max(limit, 0), "offset": max(offset, 0)}

        def find(session: Session) -> Sequence[saved.FlowVersion]:
            rows = session.run(saved_statements.VERSIONS, wanted).fetchall()
            return [codec.FLOW_VERSION.decode(about, f"version {version}") for version, about in rows]

        return await self._readers.do(find)

    async def version(self, flow_id: str, number: int) -> tuple[saved.FlowVersion, saved.Content]:
        """See `ports.SavedFlows.version`."""

        def find(session: Session) -> Any:
            return session.run(saved_statements.VERSION, {"flow": flow_id, "number": number}).fetchone()

        row = await self._readers.do(find)
        if row is None:
            raise errors.UnknownVersion(flow=flow_id, number=number)
        version_id, about, blob = row
        what = sealed.flow_version(version_id)
        content = codec.FLOW_CONTENT.decode(self._seal.open(blob, what), what)
        return codec.FLOW_VERSION.decode(about, what), content

    async def revisions(self) -> Mapping[str, int]:
        """See `ports.SavedFlows.revisions`."""

        def look(session: Session) -> Mapping[str, int]:
            return {row[0]: row[1] for row in session.run(saved_statements.REVISIONS, {})}

        return await self._readers.do(look)

    async def latest(
        self, *, after: str = "", limit: int = 200
    ) -> Sequence[tuple[str, saved.SavedFlow | None, saved.Content | None]]:
        """See `ports.SavedFlows.latest`."""
        wanted = {"after": after, "limit": max(limit, 0)}

        def find(session: Session) -> Sequence[tuple[str, saved.SavedFlow | None, saved.Content | None]]:
            rows = session.run(saved_statements.LATEST, wanted).fetchall()
            return [(flow_id, _readable(flow_id, flow), self._content(*version)) for flow_id, flow, *version in rows]

        return await self._readers.do(find)

    def _content(self, version_id: str, blob: object) -> saved.Content | None:
        what = sealed.flow_version(version_id)
        with suppress(errors.Damaged):
            return codec.FLOW_CONTENT.decode(self._seal.open(blob, what), what)
        return None

    async def remove(self, flow_id: str) -> None:
        """See `ports.SavedFlows.remove`."""

        def remove(session: Session) -> None:
            if not session.run(saved_statements.REMOVE, {"flow": flow_id}).fetchall():
                raise errors.UnknownSavedFlow(flow=flow_id)

        await self._writer.do(remove)

    def _version_row(self, version: saved.FlowVersion, content: saved.Content) -> dict[str, Any]:
        version_id = f"{version.flow}/{version.number}"
        blob = self._seal.close(codec.FLOW_CONTENT.encode(content), sealed.flow_version(version_id))
        about = codec.FLOW_VERSION.encode(version)
        return {"id": version_id, "flow_id": version.flow, "number": version.number, "about": about, "blob": blob}


def _readable(flow_id: str, blob: object) -> saved.SavedFlow | None:
    with suppress(errors.Damaged):
        return codec.SAVED_FLOW.decode(blob, f"flow {flow_id}")
    return None


def _row(this: saved.SavedFlow) -> dict[str, Any]:
    return {
        "id": this.id,
        "namespace": this.namespace,
        "name": this.name,
        "source": this.source,
        "enabled": int(this.enabled),
        "revision": this.revision,
        "words": saved.words(this),
        "blob": codec.SAVED_FLOW.encode(this),
        "account_id": this.account or 0,
        "public": int(this.public),
    }


def _like(text: str) -> str:
    """A pattern of whatever has the text in it."""
    plain = text.casefold().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{plain}%"
