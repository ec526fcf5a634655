"""
Namespaces: the flows that belong together by their names, and what is kept of them as a whole.

A flow in the default namespace is one of its own, which has its name: so every flow can be found this way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pupload import errors
from pupload.domain import namespace, saved
from pupload.domain.namespace import Namespace, Sketch
from pupload.domain.saved import SavedFlow
from pupload.domain.schedule import Schedule
from pupload.engine.engine import Engine
from pupload.service import owned
from pupload.service.flows import MAX_PAGE, MOST_WORDS, Draft, Flows
from pupload.service.schedules import Schedules

MAIN = "main"
"""The flow that is meant where none is named."""

_PATIENCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceView:
    """A namespace with its flows."""

    name: str
    flows: Sequence[SavedFlow] = ()
    """By their names."""
    kept: Namespace | None = None
    """None: it is there because its flows are."""
    created_at: datetime

    @property
    def description(self) -> str:
        """What is said of it, else of the only flow that is its own."""
        if self.kept is not None and self.kept.description:
            return self.kept.description
        return self.flows[0].description if len(self.flows) == 1 else ""

    def flow(self, name: str = MAIN) -> SavedFlow:
        """The flow of this name; for `MAIN` the only one, too. Raises `errors.UnknownSavedFlow`."""
        for each in self.flows:
            if each.name == name:
                return each
        if name == MAIN and len(self.flows) == 1:
            return self.flows[0]
        raise errors.UnknownSavedFlow(flow=name[: saved.MOST_SEGMENT], namespace=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What a namespace does by itself."""

    running: bool
    """Whether that was asked for, or a schedule starts runs."""
    schedules: Sequence[Schedule] = field(default=())
    """Those that start runs."""


class Namespaces:
    """
    What can be asked about namespaces.

    Whatever names one raises `errors.UnknownNamespace` where there is none.
    """

    def __init__(self, *, engine: Engine, flows: Flows, schedules: Schedules) -> None:
        assert engine.world.namespaces is not None, "there is a place for namespaces"
        self._kept = engine.world.namespaces
        self._flows = flows
        self._schedules = schedules
        self._clock = engine.world.clock

    async def list(self) -> Sequence[NamespaceView]:
        """All of them, by name."""
        kept: dict[str, list[Namespace]] = {}
        for each in await self._kept.list(account=owned.shown()):
            kept.setdefault(each.name, []).append(each)
        flows: dict[str, list[SavedFlow]] = {}
        for flow in await self._every_flow():
            flows.setdefault(flow.name if flow.namespace == saved.DEFAULT_NAMESPACE else flow.namespace, []).append(
                flow
            )
        return [_view(name, flows.get(name, ()), kept.get(name, ())) for name in sorted({*kept, *flows})]

    async def find(self, name: str) -> NamespaceView:
        """The namespace, or the flow of this name (`namespace/name`, its id) as one of its own."""
        kept = await self._kept.find(name)
        flows = (await self._flows.list(namespace=name, limit=MAX_PAGE)).flows if name.strip("/") else ()
        if not flows:
            try:
                flows = (await self._flows.find(name),)
            except errors.UnknownSavedFlow:
                if owned.chosen(kept) is None:
                    raise errors.UnknownNamespace(name=name[: saved.MOST_NAME]) from None
        return _view(name, flows, kept)

    # ── Changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, name: str, description: str = "") -> NamespaceView:
        """A new one, empty. Raises `errors.Malformed` for a name that none can have, `errors.NamespaceTaken`."""
        _check(name, description)
        await self._check_free(name)
        new = Namespace(
            name=name,
            account=owned.mine(),
            description=description,
            created_at=self._clock.now(),
        )
        if await self._kept.put(new) is None:
            raise errors.NamespaceTaken(name=name)
        return await self.find(name)

    async def change(self, name: str, *, new_name: str | None = None, description: str | None = None) -> NamespaceView:
        """
        The namespace with another name, for all its flows, or another description.

        Raises as `create` does, and `errors.Conflict` where a flow of it is another source's; nothing is changed then.
        """
        found = await self.find(name)
        _check(found.name if new_name is None else new_name, description or "")
        if new_name is not None and new_name != name:
            await self._check_free(new_name)
            for flow in found.flows:
                if flow.source != saved.API:
                    raise errors.Conflict(
                        reason=f"flow {flow.full_name} is kept in source {flow.source}: move it there"
                    )
            for flow in found.flows:
                own = flow.namespace == name
                await self._flows.move(flow.id, f"{new_name}/{flow.name}" if own else new_name)
        to = name if new_name is None else new_name
        if found.kept is not None and to != name:
            await self._kept.remove(found.kept)
            moved = replace(found.kept, name=to, revision=0)
            if await self._kept.put(moved) is None:
                raise errors.NamespaceTaken(name=to)
        if description is not None:
            await self._keep(to, lambda kept: replace(kept, description=description))
        return await self.find(to)

    async def remove(self, name: str) -> None:
        """The namespace and its flows are gone; runs go on. Raises `errors.Conflict` where a flow is a source's."""
        found = await self.find(name)
        for flow in found.flows:
            if flow.source != saved.API and not flow.gone:
                raise errors.Conflict(reason=f"flow {flow.full_name} is kept in source {flow.source}: remove it there")
        for flow in found.flows:
            for each in await self._schedules.list(flow=flow.id):
                await self._schedules.remove(each.id)
            await self._flows.remove(flow.id)
        if found.kept is not None:
            await self._kept.remove(found.kept)

    # ── Sketches ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def save(self, name: str, flow: str, content: saved.Content, graph: str) -> SavedFlow:
        """
        The flow in the namespace, made of the sketch, which is kept with it.

        Raises `errors.TooLarge` for more sketches than are kept, and as `Flows.save` does.
        """
        found = await self.find(name)
        kept = {} if found.kept is None else {each: one for each, one in found.kept.sketches.items() if each != flow}
        size = len(graph.encode()) + sum(len(one.graph.encode()) for one in kept.values())
        if size > namespace.MOST_BYTES or len(kept) >= namespace.MOST_SKETCHES:
            raise errors.TooLarge(what=f"all that is kept of {name}", limit=namespace.MOST_BYTES)
        alone = [each for each in found.flows if each.namespace != name and each.name == flow]
        view = await self._flows.save(alone[0].id if alone else f"{name}/{flow}", Draft(content=content))
        sketch = Sketch(version=view.version.number, graph=graph)
        await self._keep(name, lambda this: replace(this, sketches={**this.sketches, flow: sketch}))
        return view.flow

    async def sketch(self, name: str, flow: str) -> str | None:
        """
        The sketch that the flow was made of; None where it was made of none, or was changed otherwise since.

        Raises `errors.UnknownSavedFlow`.
        """
        found = await self.find(name)
        this = found.flow(flow)
        kept = found.kept.sketches.get(this.name) if found.kept is not None else None
        return kept.graph if kept is not None and kept.version == this.version else None

    # ── Schedules ────────────────────────────────────────────────────────────────────────────────────────────────

    async def runtime(self, name: str) -> Runtime:
        """What it does by itself just now."""
        return await self._runtime(await self.find(name))

    async def start(self, name: str) -> None:
        """All schedules of its flows start runs from now on. Raises `errors.UnknownSavedFlow` where it has no flow."""
        found = await self.find(name)
        if not found.flows:
            raise errors.UnknownSavedFlow(flow=MAIN, namespace=name)
        for flow in found.flows:
            for each in await self._schedules.list(flow=flow.id, enabled=False):
                await self._schedules.resume(each.id)
        await self._keep(name, lambda kept: replace(kept, running=True))

    async def stop(self, name: str) -> None:
        """None of them does, until it is started again."""
        found = await self.find(name)
        for flow in found.flows:
            for each in await self._schedules.list(flow=flow.id, enabled=True):
                await self._schedules.pause(each.id)
        if found.kept is not None and found.kept.running:
            await self._keep(name, lambda kept: replace(kept, running=False))

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _runtime(self, found: NamespaceView) -> Runtime:
        active = [each for flow in found.flows for each in await self._schedules.list(flow=flow.id, enabled=True)]
        running = bool(active) or (found.kept is not None and found.kept.running)
        return Runtime(running=running, schedules=active)

    async def _every_flow(self) -> Sequence[SavedFlow]:
        found: list[SavedFlow] = []
        while True:
            page = await self._flows.list(limit=MAX_PAGE, offset=len(found))
            found += page.flows
            if not page.flows or len(found) >= page.total:
                return found

    async def _check_free(self, name: str) -> None:
        try:
            await self.find(name)
        except errors.UnknownNamespace:
            return
        raise errors.NamespaceTaken(name=name)

    async def _keep(self, name: str, change: Callable[[Namespace], Namespace]) -> None:
        """Saves what is kept of it, changed, whoever else saves it meanwhile."""
        for _ in range(_PATIENCE):
            new = Namespace(name=name, account=owned.mine(), created_at=self._clock.now())
            if await self._kept.put(change(owned.chosen(await self._kept.find(name)) or new)) is not None:
                return
        raise errors.Conflict(reason=f"namespace {name} is changed by others all the time")


def _view(name: str, flows: Sequence[SavedFlow], found: Sequence[Namespace]) -> NamespaceView:
    """Of what several accounts call alike the caller's own counts."""
    kept, called = owned.chosen(found), dict[str, list[SavedFlow]]()
    for flow in flows:
        called.setdefault(flow.name, []).append(flow)
    flows = [this for those in called.values() if (this := owned.chosen(those)) is not None]
    times = [kept.created_at] if kept is not None else [flow.created_at for flow in flows]
    return NamespaceView(name=name, flows=flows, kept=kept, created_at=min(times))


def _check(name: str, description: str) -> None:
    if objection := saved.objection(name, MAIN):
        raise errors.Malformed(reason=objection)
    if "/" in name:
        raise errors.Malformed(reason=f"{name[: saved.MOST_SEGMENT]!r} has a slash: that is between names")
    if name == saved.DEFAULT_NAMESPACE:
        raise errors.Malformed(reason=f"{name} is where flows without a namespace are")
    if len(description) > MOST_WORDS:
        raise errors.Malformed(reason=f"a description has {MOST_WORDS} letters at most")
