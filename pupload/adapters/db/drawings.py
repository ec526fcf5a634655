"""
Drawings in the database.

What is listed of a drawing is its head; its nodes and edges are one blob beside that, sealed, for a node may be given
a secret in plain words. Their numbers are taken first, in a commit of their own: what is written with them does not
change then, however often it is tried.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Executable, bindparam, case, func, or_, select, update
from sqlalchemy.dialects import postgresql

from pupload import errors, ports
from pupload.adapters.db import codec, sealed
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.adapters.db.statements import NOUGHT, ONE
from pupload.adapters.db.tables import drawings, sequences
from pupload.domain.drawing.model import Drawing

NOBODY = 0
"""The account of drawings that are nobody's."""

_ID = drawings.c.id == bindparam("drawing")
_THERE = drawings.c.deleted_at.is_(None)
_OWN = drawings.c.account_id == bindparam("account")
_SEEN = or_(_OWN, drawings.c.public == ONE)
_CHANGED = ("account_id", "slug", "public", "is_default", "nodes", "edges", "head", "blob")
"""Columns that a save writes, beside the revision."""

_new = postgresql.insert(sequences).values(name=bindparam("name"), last=bindparam("many"))
_TAKE = _new.on_conflict_do_update(
    index_elements=["name"], set_={"last": sequences.c.last + _new.excluded.last}
).returning(sequences.c.last)
"""The last of so many numbers that are ours now; of none, it locks out others who take any."""

_ADD = (
    postgresql.insert(drawings)
    .values({column.name: bindparam(column.name) for column in drawings.columns if column.name != "deleted_at"})
    .on_conflict_do_nothing()
)
_SAVE = (
    update(drawings)
    .where(_ID, _THERE, drawings.c.revision == bindparam("if_revision"))
    .values(
        revision=drawings.c.revision + ONE,
        **{name: bindparam(f"new_{name}") for name in _CHANGED},
    )
    .returning(drawings.c.id)
)
_NO_DEFAULT = (
    update(drawings)
    .where(_OWN, drawings.c.is_default == ONE, drawings.c.id != bindparam("drawing"), _THERE)
    .values(is_default=NOUGHT, revision=drawings.c.revision + ONE)
)
_REMOVE = update(drawings).where(_ID, _THERE).values(deleted_at=bindparam("at")).returning(drawings.c.id)
_BLOB = select(drawings.c.blob).where(_ID, _THERE)
_TAKEN = select(drawings.c.id).where(
    drawings.c.slug == bindparam("slug"), _OWN, drawings.c.id != bindparam("drawing"), _THERE
)

_HEAD = (drawings.c.id, drawings.c.is_default, drawings.c.revision, drawings.c.head)
_WHOLE = (*_HEAD, drawings.c.blob)
_GET = select(*_WHOLE).where(_ID, _THERE)


def _find(*conditions: ColumnElement[bool]) -> Executable:
    first = case((drawings.c.account_id == bindparam("first"), NOUGHT), else_=ONE)
    named = select(*_WHOLE).where(drawings.c.slug == bindparam("slug"), _THERE, *conditions)
    return named.order_by(first, drawings.c.id).limit(ONE).offset(NOUGHT)


def _page(*conditions: ColumnElement[bool]) -> Executable:
    lines = select(*_HEAD, drawings.c.nodes, drawings.c.edges).where(_THERE, *conditions)
    return lines.order_by(drawings.c.id).limit(bindparam("limit")).offset(bindparam("offset"))


def _count(*conditions: ColumnElement[bool]) -> Executable:
    return select(func.count()).select_from(drawings).where(_THERE, *conditions)


_FIND, _FIND_SEEN = _find(), _find(_SEEN)
_PAGE, _PAGE_SEEN = _page(), _page(_SEEN)
_COUNT, _COUNT_SEEN = _count(), _count(_SEEN)


class Drawings:
    """`ports.Drawings` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def create(self, this: Drawing) -> Drawing:
        """See `ports.Drawings`."""
        new = await self._numbered(replace(this, id=0, revision=1))
        row = {**self._row(new), "id": new.id, "revision": 1}

        def create(session: Session) -> None:
            self._check_slug(session, new)
            session.run(_ADD, row)
            _only_default(session, new)

        await self._writer.do(create)
        return new

    async def save(self, this: Drawing) -> Drawing:
        """See `ports.Drawings`."""
        new = await self._numbered(replace(this, revision=this.revision + 1))
        row = self._row(new)
        values = {f"new_{name}": row[name] for name in _CHANGED}
        values |= {"drawing": this.id, "if_revision": this.revision}

        def save(session: Session) -> None:
            self._check_slug(session, new)
            if session.run(_SAVE, values).fetchone() is None:
                found = session.run(_BLOB, {"drawing": this.id}).fetchone()
                if found is None:
                    raise errors.UnknownDrawing(name=this.slug)
                if found[0] != row["blob"]:  # else an earlier try, whose answer was lost
                    raise errors.DrawingChanged(slug=this.slug)
            _only_default(session, new)

        await self._writer.do(save)
        return new

    async def get(self, drawing_id: int) -> Drawing:
        """See `ports.Drawings`."""
        row = await self._readers.do(lambda session: session.run(_GET, {"drawing": drawing_id}).fetchone())
        if row is None:
            raise errors.UnknownDrawing(name=drawing_id)
        return self._whole(row)

    async def find(self, slug: str, *, account: int | None = None, first: int | None = None) -> Drawing:
        """See `ports.Drawings`."""
        wanted = {"slug": slug, "first": _owner(first)}
        statement = _FIND
        if account is not None:
            statement, wanted["account"] = _FIND_SEEN, account
        row = await self._readers.do(lambda session: session.run(statement, wanted).fetchone())
        if row is None:
            raise errors.UnknownDrawing(name=slug)
        return self._whole(row)

    async def list(self, *, account: int | None = None, limit: int = 100, offset: int = 0) -> ports.DrawingPage:
        """See `ports.Drawings`. Raises `errors.Damaged`."""
        seen = {} if account is None else {"account": account}
        page, count = (_PAGE, _COUNT) if account is None else (_PAGE_SEEN, _COUNT_SEEN)

        def read(session: Session) -> ports.DrawingPage:
            total = session.run(count, seen).fetchone()[0]
            rows = session.run(page, {**seen, "limit": max(limit, 0), "offset": max(offset, 0)}).fetchall()
            lines = [ports.DrawingLine(drawing=_head(row), nodes=row[4], edges=row[5]) for row in rows]
            return ports.DrawingPage(drawings=lines, total=total)

        return await self._readers.do(read)

    async def remove(self, drawing_id: int, *, at: datetime) -> None:
        """See `ports.Drawings`."""

        def remove(session: Session) -> None:
            if session.run(_REMOVE, {"drawing": drawing_id, "at": codec.micros(at)}).fetchone() is None:
                raise errors.UnknownDrawing(name=drawing_id)

        await self._writer.do(remove)

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _numbered(self, this: Drawing) -> Drawing:
        """The drawing with a number for it and each of its parts that has none."""
        wanted = {
            "drawing": int(not this.id),
            "node": sum(not node.id for node in this.nodes),
            "edge": sum(not edge.id for edge in this.edges),
        }
        if not any(wanted.values()):
            return this

        def take(session: Session) -> dict[str, int]:
            asked = {name: many for name, many in wanted.items() if many}
            return {
                name: session.run(_TAKE, {"name": name, "many": many}).fetchone()[0] - many + 1
                for name, many in asked.items()
            }

        first = await self._writer.do(take)
        nodes = iter(range(first.get("node", 0), first.get("node", 0) + wanted["node"]))
        edges = iter(range(first.get("edge", 0), first.get("edge", 0) + wanted["edge"]))
        return replace(
            this,
            id=this.id or first["drawing"],
            nodes=tuple(node if node.id else replace(node, id=next(nodes)) for node in this.nodes),
            edges=tuple(edge if edge.id else replace(edge, id=next(edges)) for edge in this.edges),
        )

    def _check_slug(self, session: Session, this: Drawing) -> None:
        """Raises `errors.DrawingTaken`."""
        session.run(_TAKE, {"name": "drawing", "many": 0})  # of two who want a slug at once the second waits here
        asked = {"slug": this.slug, "account": _owner(this.account), "drawing": this.id}
        if session.run(_TAKEN, asked).fetchone() is not None:
            raise errors.DrawingTaken(slug=this.slug)

    def _row(self, this: Drawing) -> dict[str, Any]:
        return {
            "account_id": _owner(this.account),
            "slug": this.slug,
            "public": int(this.public),
            "is_default": int(this.default),
            "nodes": len(this.nodes),
            "edges": len(this.edges),
            "head": codec.DRAWING.encode(replace(this, nodes=(), edges=())),
            "blob": self._seal.close(codec.PARTS.encode((this.nodes, this.edges)), sealed.drawing(this.id)),
        }

    def _whole(self, row: Sequence[Any]) -> Drawing:
        what = sealed.drawing(row[0])
        nodes, edges = codec.PARTS.decode(self._seal.open(row[4], what), what)
        return replace(_head(row), nodes=nodes, edges=edges)


def _only_default(session: Session, this: Drawing) -> None:
    """No other drawing of its account is the default, where this one is."""
    if this.default:
        session.run(_NO_DEFAULT, {"account": _owner(this.account), "drawing": this.id})


def _owner(account: int | None) -> int:
    return NOBODY if account is None else account


def _head(row: Sequence[Any]) -> Drawing:
    head = codec.DRAWING.decode(row[3], f"drawing {row[0]}")
    return replace(head, id=row[0], default=bool(row[1]), revision=row[2])
