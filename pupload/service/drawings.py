"""
Drawings: kept, and changed piece by piece.

Whoever sees a drawing may look at it and run it (`pupload.service.drawn_runs`); only its owner, and an administrator,
changes it. What one may not see is not there.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from pupload import errors
from pupload.domain.drawing import components, editing, joining, steps
from pupload.domain.drawing.component import Component
from pupload.domain.drawing.findings import Finding, Wrong
from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode
from pupload.domain.nodedef import NodeDef
from pupload.engine import aside
from pupload.engine.engine import Engine
from pupload.ports import Catalogue, DrawingPage
from pupload.service import owned
from pupload.service.credentials import Credentials
from pupload.service.drawing_news import Kind, News
from pupload.service.hub import Hub

MOST_PAGE = 1000
"""Drawings in one answer."""

_TRIES = 8
"""How often a change is begun anew when another server was quicker."""

CREDENTIALS = ("llm_credential_id", "credential_id")
"""What in a node's `config` names a credential."""

_MANY = 100
"""So many edges take a while to judge."""

Said = Mapping[str, Any]
"""Fields of a drawing, a node or an edge, by their names here; what is not said stays as it is."""


class Drawings:
    """What can be asked about drawings; where one is asked for, by its slug, it raises `errors.UnknownDrawing`."""

    def __init__(self, *, engine: Engine, catalogue: Catalogue) -> None:
        assert engine.world.drawings is not None, "there is a place for drawings"
        self._drawings = engine.world.drawings
        self._catalogue = catalogue
        self._credentials = None if engine.world.credentials is None else Credentials(engine=engine)
        self._changing = WeakValueDictionary[int, asyncio.Lock]()
        self._clock = engine.world.clock
        self._ids = engine.world.ids
        self.news: Hub[News] = Hub()
        """Tells of changes that are made here."""

    async def list(self, *, limit: int = 50, offset: int = 0) -> DrawingPage:
        """The caller's and public ones, by number; `limit` is at most 1 000."""
        limit, offset = min(max(limit, 0), MOST_PAGE), max(offset, 0)
        return await self._drawings.list(account=owned.shown(), limit=limit, offset=offset)

    async def find(self, slug: str) -> Drawing:
        """The caller's own drawing of this slug, else a public one."""
        if editing.slug_objection(slug):
            raise errors.UnknownDrawing(name=slug[:64])
        return await self._drawings.find(slug, account=owned.shown(), first=owned.mine())

    async def own(self, slug: str) -> Drawing:
        """The drawing, which the caller may change. Raises `errors.Forbidden` where it is somebody else's."""
        found = await self.find(slug)
        if not owned.changes(found):
            raise errors.Forbidden(reason=f"{slug} is somebody else's: it can be looked at and run, not changed")
        return found

    async def get(self, drawing_id: int) -> Drawing:
        """The drawing of this number."""
        found = await self._drawings.get(drawing_id)
        if not owned.sees(found):
            raise errors.UnknownDrawing(name=drawing_id)
        return found

    async def components(self) -> Mapping[str, Component]:
        """What nodes can be here, by type."""
        return components.known(await self._catalogue.all())

    async def definitions(self) -> Sequence[NodeDef]:
        """The node definitions that drawings run."""
        return await self._catalogue.all()

    async def read_steps(self, document: Any) -> steps.Read:
        """The drawing that plain values mean, which is not kept, and what is wrong with it."""
        return steps.read(document, await self.definitions(), now=self._clock.now())

    async def own_node(self, slug: str, node_id: str) -> DrawnNode:
        """A node that the caller may change. Raises `errors.UnknownDrawnNode`, `errors.Forbidden`."""
        return editing.known_node(await self.own(slug), node_id)

    # ── The whole ────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, said: Said) -> Drawing:
        """
        A new drawing of the caller's, without nodes where none are said.

        Raises `errors.DrawingTaken`, `errors.Malformed` for words that cannot be, as `editing.checked` does.
        """
        now = self._clock.now()
        facts: dict[str, Any] = {"account": owned.mine(), "created_at": now, "updated_at": now, **said}
        new = editing.checked(Drawing(**facts))
        await self._check_error_handler(new)
        return await self._drawings.create(new)

    async def put(
        self, slug: str, said: Said, nodes: Sequence[Said], edges: Sequence[Said], *, if_revision: int | None = None
    ) -> tuple[Drawing, Drawing]:
        """
        The drawing before and after it is this, new or in place of what it was.

        What is not said of it is as new ones have it.

        Raises `errors.Conflict` where it is at another revision than `if_revision` (0: where it is there at all), and
        all that `create`, `add_node` and `add_edge` raise: nothing is changed then.
        """
        for each in nodes:
            await self._check_node(each)
        now, known = self._clock.now(), await self.components()
        parts = [DrawnNode(**each, updated_at=now) for each in nodes], [DrawnEdge(**each) for each in edges]
        usual = {"account": owned.mine(), "slug": slug, "created_at": now, "updated_at": now}
        fresh = editing.redrawn(editing.checked(Drawing(**{**usual, **said})), *parts)
        await self._check_error_handler(fresh)
        await aside.aside(partial(_check_edges, fresh, known), large=len(edges) > _MANY)

        def edit(before: Drawing | None) -> Drawing:
            there = 0 if before is None else before.revision
            if if_revision not in (None, there):
                raise errors.Conflict(reason=f"drawing {slug} is at revision {there}, not {if_revision}")
            if before is None:
                return fresh
            same = {name: getattr(before, name) for name in ("id", "account", "revision", "created_at", "updated_at")}
            return editing.redrawn(replace(fresh, **same, nodes=before.nodes, edges=before.edges), *parts)

        return await self._put(slug, edit)

    async def _put(self, slug: str, edit: Callable[[Drawing | None], Drawing]) -> tuple[Drawing, Drawing]:
        """The drawing of this slug that the caller's saving changes, changed; or a new one."""
        there = await self._kept(slug)
        if there is None:
            new = await self._drawings.create(edit(None))
            return new, new
        before, after = await self._change_this(there, edit)
        if after is not before:
            self._tell(Kind.CHANGED, before, after)
        return before, after

    async def _kept(self, slug: str) -> Drawing | None:
        """The caller's own, else for administrators nobody's, as from before there were accounts; None for neither."""
        for account in dict.fromkeys((owned.mine(), None)):
            try:
                found = await self._drawings.find(slug, account=owned.shown(), first=account)
            except errors.UnknownDrawing:
                return None
            if found.account == account and owned.changes(found):
                return found
        return None

    async def change(self, slug: str, said: Said) -> tuple[Drawing, Drawing]:
        """
        The drawing before and after it has these fields.

        Raises as `create` does, and `errors.Forbidden` where it is not the caller's.
        """

        def edit(before: Drawing) -> Drawing:
            return editing.checked(replace(before, **said))

        if said.get("error_handler") is not None:
            await self._check_error_handler(edit(await self.own(slug)))
        before, after = await self._change(slug, edit)
        if after is not before:
            self._tell(Kind.CHANGED, before, after)
        return before, after

    async def remove(self, slug: str) -> Drawing:
        """It is not there any more; returns it as it was. Raises `errors.Forbidden` where it is not the caller's."""
        found = await self.own(slug)
        await self._drawings.remove(found.id, at=self._clock.now())
        return found

    # ── Nodes ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_node(self, slug: str, said: Said) -> DrawnNode:
        """
        A new node, under a name that is made up where none is said.

        Raises `errors.DrawnNodeTaken`, `errors.Malformed` for a component that is not there, a name that cannot be or
        more than anybody draws, `errors.UnknownCredential`, `errors.Forbidden`.
        """
        await self._check_node(said)
        node_id = said.get("node_id") or self._node_id(str(said["component"]))
        new = DrawnNode(**{**said, "node_id": node_id}, updated_at=self._clock.now())
        before, after = await self._change(slug, lambda drawing: editing.with_node(drawing, new))
        added = editing.known_node(after, node_id)
        self._tell(Kind.NODE_ADDED, before, after, node=added)
        return added

    async def change_node(self, slug: str, node_id: str, said: Said) -> DrawnNode:
        """
        The node with these fields; what `config` says is said beside what it is set to, None takes a key away.

        Where it is called otherwise its edges go with it. Raises `errors.UnknownDrawnNode`, and as `add_node` does.
        """
        if not said:
            return await self.own_node(slug, node_id)
        await self._check_node(said)
        now = self._clock.now()
        before, after = await self._change(
            slug, lambda drawing: editing.with_changed_node(drawing, node_id, said, at=now)
        )
        changed = editing.known_node(after, said.get("node_id", node_id))
        self._tell(Kind.NODE_CHANGED, before, after, node=changed)
        return changed

    async def remove_node(self, slug: str, node_id: str) -> DrawnNode:
        """The node and its edges are gone. Raises `errors.UnknownDrawnNode`, `errors.Forbidden`."""
        before, after = await self._change(slug, lambda drawing: editing.without_node(drawing, node_id))
        gone = editing.known_node(before, node_id)
        self._tell(Kind.NODE_REMOVED, before, after, node=gone)
        return gone

    # ── Edges ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_edge(self, slug: str, said: Said) -> DrawnEdge:
        """
        A new edge.

        Raises `errors.UnfitEdge` with the first rule of `pupload.domain.drawing.joining` that it breaks,
        `errors.UnknownDrawnNode` and `errors.DrawnEdgeTaken` where that is what is wrong, `errors.Forbidden`.
        """
        new, known = DrawnEdge(**said), await self.components()

        def edit(drawing: Drawing) -> Drawing:
            _refuse(drawing, new, joining.objection(drawing, new, known))
            return editing.with_edge(drawing, new)

        before, after = await self._change(slug, edit)
        added = after.edges[-1]
        self._tell(Kind.EDGE_ADDED, before, after, edge=added)
        return added

    async def change_edge(self, slug: str, edge_id: int, said: Said) -> DrawnEdge:
        """The edge with these fields. Raises `errors.UnknownDrawnEdge`, and as `add_edge` does."""
        known = await self.components()

        def edit(drawing: Drawing) -> Drawing:
            old = editing.known_edge(drawing, edge_id)
            new = replace(old, **said)
            if new == old:
                return drawing
            _refuse(drawing, new, joining.objection(drawing, new, known))
            return editing.with_changed_edge(drawing, new)

        before, after = await self._change(slug, edit)
        changed = editing.known_edge(after, edge_id)
        if after is not before:
            self._tell(Kind.EDGE_CHANGED, before, after, edge=changed)
        return changed

    async def remove_edge(self, slug: str, edge_id: int) -> DrawnEdge:
        """The edge is gone. Raises `errors.UnknownDrawnEdge`, `errors.Forbidden`."""
        before, after = await self._change(slug, lambda drawing: editing.without_edge(drawing, edge_id))
        gone = editing.known_edge(before, edge_id)
        self._tell(Kind.EDGE_REMOVED, before, after, edge=gone)
        return gone

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _change(self, slug: str, edit: Callable[[Drawing], Drawing]) -> tuple[Drawing, Drawing]:
        """The drawing before and after, the same where nothing is otherwise."""
        return await self._change_this(await self.own(slug), edit)

    async def _change_this(self, this: Drawing, edit: Callable[[Drawing], Drawing]) -> tuple[Drawing, Drawing]:
        """
        See `_change`. Here one change comes after the other, for who draws may ask for many at once; where another
        server is quicker, it is begun anew.
        """
        async with self._changing.setdefault(this.id, asyncio.Lock()):
            for left in reversed(range(_TRIES)):
                before = await self._drawings.get(this.id)
                after = edit(before)
                if after == before:
                    return before, before
                try:
                    return before, await self._drawings.save(replace(after, updated_at=self._clock.now()))
                except errors.DrawingChanged:
                    if not left:
                        raise
        raise AssertionError("the last try returns or raises")

    async def _check_node(self, said: Said) -> None:
        component, other = said.get("component"), said.get("subdrawing")
        if component is not None and component not in await self.components():
            raise errors.Malformed(reason=f"there is no component {component[:128]!r}")
        if other is not None:
            await self._check_there(other)
        config = said.get("config") or {}
        for credential in filter(None, (config.get(name) for name in CREDENTIALS)):
            if self._credentials is not None:
                await self._credentials.get(credential)

    async def _check_error_handler(self, this: Drawing) -> None:
        if this.error_handler is None:
            return
        if this.error_handler == this.id:
            raise errors.Malformed(reason="a drawing does not handle its own errors")
        await self._check_there(this.error_handler)

    async def _check_there(self, drawing_id: int) -> None:
        try:
            await self.get(drawing_id)
        except errors.UnknownDrawing:
            raise errors.Malformed(reason=f"there is no drawing of the number {drawing_id}") from None

    def _node_id(self, component: str) -> str:
        name = component.rpartition("/")[2].replace(".", "_")[: editing.MOST_NODE_ID - 9]
        return f"{name}_{int(self._ids.fraction() * 0x100000000):08x}"

    def _tell(
        self,
        kind: Kind,
        before: Drawing,
        after: Drawing,
        *,
        node: DrawnNode | None = None,
        edge: DrawnEdge | None = None,
    ) -> None:
        self.news.tell(News(kind=kind, slug=before.slug, drawing=after, node=node, edge=edge))


def _check_edges(drawing: Drawing, known: joining.Known) -> None:
    """Raises what the first edge is that cannot be drawn beside those before it."""
    for place, edge in enumerate(drawing.edges):
        before = replace(drawing, edges=drawing.edges[:place])
        _refuse(before, edge, joining.objection(before, edge, known))


def _refuse(drawing: Drawing, edge: DrawnEdge, found: Finding | None) -> None:
    """Raises what the finding says."""
    if found is None:
        return
    if found.kind is Wrong.ABSENT:
        missing = edge.target if drawing.node(edge.source) is not None else edge.source
        raise errors.UnknownDrawnNode(drawing=drawing.slug, node=missing[: editing.MOST_NODE_ID])
    if found.kind is Wrong.TAKEN:
        raise errors.DrawnEdgeTaken(reason=found.sentence)
    raise errors.UnfitEdge(reason=found.sentence)
