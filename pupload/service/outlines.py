"""
What all saved flows are made of, held in memory and kept up with what is saved.

Every question begins by asking the database for the revisions of all flows; only flows that are otherwise than when
they were last seen are read, whoever changed them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from pupload import errors
from pupload.domain import outline, saved
from pupload.domain.nodedef import NodeDef
from pupload.engine import aside
from pupload.engine.engine import Engine
from pupload.ports import Catalogue
from pupload.service import owned

_FEW = 20
"""So many changed flows are read one by one; of more, all are gone through."""

_PAGE = 200
_LARGE = 200
"""A flow of so many nodes takes some milliseconds."""


class Outlines:
    """The outlines of all saved flows."""

    def __init__(self, engine: Engine, catalogue: Catalogue) -> None:
        self._flows = owned.SavedFlows(engine).everybodys
        self._catalogue = catalogue
        self._default = engine.config.me.store
        self._known: dict[str, outline.Outline] = {}
        self._revisions: Mapping[str, int] = {}
        self._lock = asyncio.Lock()
        self.generation = 0
        """Grows whenever anything is otherwise."""

    async def all(self) -> Mapping[str, outline.Outline]:
        """
        The outlines as they are now of the flows that are there for the caller, by the flows' ids; in the order of
        their full names.
        """
        known = await self.everybodys()
        if owned.shown() is None:
            return known
        return {flow_id: each for flow_id, each in known.items() if owned.sees(each.flow)}

    async def everybodys(self) -> Mapping[str, outline.Outline]:
        """Those of all flows."""
        async with self._lock:
            revisions = await self._flows.revisions()
            if revisions != self._revisions:
                await self._catch_up(revisions)
            return self._known

    async def _catch_up(self, revisions: Mapping[str, int]) -> None:
        known = {flow_id: each for flow_id, each in self._known.items() if flow_id in revisions}
        changed = [flow_id for flow_id, revision in revisions.items() if self._revisions.get(flow_id) != revision]
        definitions = await self._catalogue.all() if changed else ()
        if len(changed) <= _FEW:
            for flow_id in changed:
                known.pop(flow_id, None)
                with suppress(errors.UnknownSavedFlow, errors.UnknownVersion, errors.Damaged):
                    flow = await self._flows.get(flow_id)
                    known[flow_id] = outline.Outline(flow=flow)  # of one whose content is damaged there is that
                    _, content = await self._flows.version(flow_id, flow.version)
                    known.update(await self._outlined(flow, content, definitions))
        else:
            await self._read_all(known, frozenset(changed), definitions)
        names = sorted(known.values(), key=lambda each: (each.flow.namespace, each.flow.name))
        self._known = {each.flow.id: each for each in names}
        self._revisions = revisions
        self.generation += 1

    async def _read_all(
        self, known: dict[str, outline.Outline], changed: frozenset[str], definitions: Sequence[NodeDef]
    ) -> None:
        """Goes through all flows, a page at a time."""
        page = await self._flows.latest(limit=_PAGE)
        while page:
            found = [(flow, content) for flow_id, flow, content in page if flow_id in changed and flow is not None]
            for flow_id, _, _ in page:
                if flow_id in changed:
                    known.pop(flow_id, None)
            known.update(await aside.aside(partial(self._read, found, definitions), large=len(found) > _FEW))
            page = await self._flows.latest(after=page[-1][0], limit=_PAGE)

    async def _outlined(
        self, flow: saved.SavedFlow, content: saved.Content, definitions: Sequence[NodeDef]
    ) -> Mapping[str, outline.Outline]:
        large = len(content.flow.nodes) > _LARGE
        return await aside.aside(partial(self._read, [(flow, content)], definitions), large=large)

    def _read(
        self, flows: Sequence[tuple[saved.SavedFlow, saved.Content | None]], definitions: Sequence[NodeDef]
    ) -> Mapping[str, outline.Outline]:
        return {flow.id: outline.of(flow, content, definitions, default=self._default) for flow, content in flows}
