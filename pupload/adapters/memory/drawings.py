"""`ports.Drawings` in memory."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pupload import errors, ports
from pupload.domain.drawing.model import Drawing


class Drawings:
    """Lasts as long as the process."""

    def __init__(self) -> None:
        self._drawings: dict[int, Drawing] = {}
        self._given: Counter[str] = Counter()
        """How many numbers, by what they are of."""

    async def create(self, this: Drawing) -> Drawing:
        """See `ports.Drawings`."""
        await asyncio.sleep(0)
        self._check_slug(this)
        return self._put(replace(this, id=self._number("drawing", 0), revision=1))

    async def save(self, this: Drawing) -> Drawing:
        """See `ports.Drawings`."""
        await asyncio.sleep(0)
        before = self._drawings.get(this.id)
        if before is None:
            raise errors.UnknownDrawing(name=this.slug)
        if before.revision != this.revision:
            raise errors.DrawingChanged(slug=this.slug)
        self._check_slug(this)
        return self._put(replace(this, revision=this.revision + 1))

    async def get(self, drawing_id: int) -> Drawing:
        """See `ports.Drawings`."""
        await asyncio.sleep(0)
        if drawing_id not in self._drawings:
            raise errors.UnknownDrawing(name=drawing_id)
        return self._drawings[drawing_id]

    async def find(self, slug: str, *, account: int | None = None, first: int | None = None) -> Drawing:
        """See `ports.Drawings`."""
        await asyncio.sleep(0)
        found = [each for each in self._seen(account) if each.slug == slug]
        if not found:
            raise errors.UnknownDrawing(name=slug)
        return min(found, key=lambda each: (each.account != first, each.id))

    async def list(self, *, account: int | None = None, limit: int = 100, offset: int = 0) -> ports.DrawingPage:
        """See `ports.Drawings`."""
        await asyncio.sleep(0)
        found = [
            ports.DrawingLine(drawing=replace(each, nodes=(), edges=()), nodes=len(each.nodes), edges=len(each.edges))
            for each in self._seen(account)
        ]
        return ports.DrawingPage(drawings=found[offset : offset + limit], total=len(found))

    async def remove(self, drawing_id: int, *, at: datetime) -> None:  # noqa: ARG002 (nobody looks at what is gone)
        """See `ports.Drawings`."""
        await self.get(drawing_id)
        del self._drawings[drawing_id]

    def _seen(self, account: int | None) -> Sequence[Drawing]:
        """By number."""
        return [each for each in self._drawings.values() if account is None or each.public or each.account == account]

    def _check_slug(self, this: Drawing) -> None:
        if any(
            (each.account, each.slug) == (this.account, this.slug) and each.id != this.id
            for each in self._drawings.values()
        ):
            raise errors.DrawingTaken(slug=this.slug)

    def _put(self, this: Drawing) -> Drawing:
        if this.default:
            for each in self._drawings.values():
                if each.default and each.account == this.account and each.id != this.id:
                    self._drawings[each.id] = replace(each, default=False, revision=each.revision + 1)
        nodes = tuple(replace(node, id=self._number("node", node.id)) for node in this.nodes)
        edges = tuple(replace(edge, id=self._number("edge", edge.id)) for edge in this.edges)
        self._drawings[this.id] = replace(this, nodes=nodes, edges=edges)
        return self._drawings[this.id]

    def _number(self, kind: str, given: int) -> int:
        """The number that it has, or the next one."""
        if given:
            return given
        self._given[kind] += 1
        return self._given[kind]
