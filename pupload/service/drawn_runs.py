"""
Drawings run: what is drawn becomes saved flows, and runs of those.

Each trigger begins another part of a drawing, so each has a saved flow: `drawn/SLUG/TRIGGER`, or, without any trigger,
`drawn/SLUG/all.nodes`. It belongs to the drawing's owner, whoever runs it. Every run is of the drawing as it is when it
is started, and of that for good: what is drawn is held against the latest version first, and makes a new one where it
comes to something else; so it is whoever starts the run, be it a schedule or another run.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from pupload import errors
from pupload.domain import saved
from pupload.domain.drawing import compiling, judging, reach, schemas
from pupload.domain.drawing.compiling import Compiled
from pupload.domain.drawing.component import Component
from pupload.domain.drawing.model import Drawing
from pupload.domain.drawing.ports import DataType
from pupload.engine import aside
from pupload.engine.engine import Engine
from pupload.service import asking, behalf, inputs
from pupload.service.drawings import Drawings, Said
from pupload.service.flows import Draft, Flows, FlowView
from pupload.service.inputs import Inputs
from pupload.service.views import RunView

T = TypeVar("T")

NAMESPACE = "drawn"
"""Of the saved flows that drawings come to, each in one of its slug."""

WHOLE = "all.nodes"
"""What the flow is called that no trigger begins; no node is called so."""

MOST_OTHERS = 32
"""Drawings that one needs to run, those that they need included."""

BY_HAND = ("trigger_manual", "trigger_chat", "trigger_workflow")
CALLED = ("trigger_workflow", "trigger_manual", "trigger_chat")
AFTER_ERROR = ("trigger_error", *CALLED)
"""Which trigger begins where none is named: the first of the first of these components that is there, else any."""

_TRIES = 8

_LARGE = 200
"""So many nodes and edges take a while."""


class DrawnRuns:
    """Judges and runs drawings; where one is asked for, by its slug, it raises `errors.UnknownDrawing`."""

    def __init__(self, *, engine: Engine, drawings: Drawings, flows: Flows, inputs: Inputs) -> None:
        self._accounts = engine.world.accounts
        self._drawings = drawings
        self._flows = flows
        self._inputs = inputs
        flows.follow_drawings(self._redraw)

    async def validate(self, slug: str) -> Sequence[str]:
        """Why the drawing cannot run, sentence by sentence; empty where it can."""
        found = await self._drawings.find(slug)
        flows: dict[int | str, str] = {}
        for each in await self._others(found):
            flows[each.id] = flows[each.slug] = f"{_namespace(each)}/{WHOLE}"  # it need not be there yet
        definitions = await self._drawings.definitions()
        judged = await aside.aside(partial(judging.judge, found, definitions, flows=flows), large=_is_large(found))
        return [each.sentence for each in judged]

    async def execute(
        self,
        slug: str,
        *,
        trigger: str | None = None,
        value: Any = None,
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        timeout_seconds: float | None = None,
        followed: bool = False,
    ) -> RunView:
        """
        A run of the drawing as it is now, begun by this trigger and given the value: as text, and with all that came.

        Without a trigger it is begun by hand, as `BY_HAND` says. Its labels tell the drawing, the trigger and its kind.
        Every node does its work. Raises `errors.UnknownDrawnNode`, `errors.UnfitDrawing` with all that is wrong,
        `errors.UnfitInput` where the value is not what its `input_schema` says, `errors.Malformed` where the drawing is
        not active, `errors.TooLarge`, and as `Flows.start` does.
        """
        drawing = await self._drawings.find(slug)
        if not drawing.active:
            raise errors.Malformed(reason=f"{slug} is not active")
        if trigger is not None and drawing.node(trigger) is None:
            raise errors.UnknownDrawnNode(drawing=slug, node=trigger[:64])
        known = await self._drawings.components()
        begin = trigger or first_trigger(drawing, known, BY_HAND)
        view, compiled = await self._kept(drawing, begin)
        node = None if begin is None else drawing.node(begin)
        kind = node.component.removeprefix("trigger_") if node is not None else "manual"
        given = {} if node is None else _given(compiled.entries.get(node.node_id, {}), known.get(node.component), value)
        _check_value(drawing, kind, value)
        for edge, each in given.items():
            inputs.write(each, edge)  # nothing is begun that could not be given it
        run = await self._flows.start(
            view.flow.id,
            version=view.version.number,
            labels={"drawing": drawing.slug, "trigger": begin or "", "kind": kind, **(labels or {})},
            memoize=False,
            idempotency_key=idempotency_key,
            timeout_seconds=timeout_seconds,
            followed=followed,
        )
        return await self._inputs.give_each(run.run.id, given) if given else run

    async def flow(self, slug: str, trigger: str) -> FlowView:
        """
        The saved flow that the drawing is when this trigger begins it, for what starts it later on.

        Raises `errors.UnknownDrawnNode`, `errors.UnfitDrawing`.
        """
        drawing = await self._drawings.find(slug)
        if drawing.node(trigger) is None:
            raise errors.UnknownDrawnNode(drawing=slug, node=trigger[:64])
        return (await self._kept(drawing, trigger))[0]

    # ── What happens to the drawing happens to its flows ─────────────────────────────────────────────────────────

    async def change(self, slug: str, said: Said) -> Drawing:
        """See `Drawings.change`; its flows are called as it is, and are seen and may be run as it may."""
        return await self._followed(*await self._drawings.change(slug, said))

    async def put(
        self, slug: str, said: Said, nodes: Sequence[Said], edges: Sequence[Said], *, if_revision: int | None = None
    ) -> Drawing:
        """See `Drawings.put`; and as `change`."""
        return await self._followed(*await self._drawings.put(slug, said, nodes, edges, if_revision=if_revision))

    async def _followed(self, before: Drawing, after: Drawing) -> Drawing:
        if (before.slug, before.active, before.public) != (after.slug, after.active, after.public):
            for flow in await self.flows(before):
                await self._follow(flow, after)
        return after

    async def remove(self, slug: str) -> Drawing:
        """See `Drawings.remove`; its flows go with it, and runs of them go on."""
        gone = await self._drawings.remove(slug)
        for flow in await self.flows(gone):
            with suppress(errors.UnknownSavedFlow):
                await self._flows.remove(flow.id, source=saved.DRAWN)
        return gone

    async def _follow(self, flow: saved.SavedFlow, drawing: Drawing) -> None:
        to = f"{_namespace(drawing)}/{flow.name}"
        with suppress(errors.UnknownSavedFlow, errors.NameTaken):  # where that name is another's, the next run saves it
            if flow.full_name != to:
                await self._until_saved(lambda: self._flows.move(flow.id, to, source=saved.DRAWN))
        with suppress(errors.UnknownSavedFlow):
            await self._until_saved(
                lambda: self._flows.enable(flow.id, enabled=drawing.active, public=drawing.public, source=saved.DRAWN)
            )

    async def _until_saved(self, save: Callable[[], Awaitable[T]]) -> T:
        """What is saved, begun anew where somebody else saves at the same moment."""
        for left in reversed(range(_TRIES)):
            try:
                return await save()
            except (errors.FlowChanged, errors.NameTaken):
                if not left:
                    raise
        raise AssertionError("the last try returns or raises")

    async def flows(self, drawing: Drawing) -> Sequence[saved.SavedFlow]:
        """The saved flows that it came to, one for each trigger that it was begun by."""
        page = await self._flows.list(namespace=_namespace(drawing), source=saved.DRAWN, limit=1000)
        return [flow for flow in page.flows if flow.drawing == drawing.id]

    # ── From a drawing to a version of a saved flow ──────────────────────────────────────────────────────────────

    async def _redraw(self, view: FlowView) -> FlowView:
        """See `Flows.follow_drawings`."""
        assert view.flow.drawing is not None
        with asking.asked_by(await behalf.of(view.flow.account, self._accounts)):
            drawing = await self._drawings.get(view.flow.drawing)
        if not drawing.active:
            raise errors.Conflict(reason=f"drawing {drawing.slug} is not active")
        trigger = None if view.flow.name == WHOLE else view.flow.name
        return (await self._kept(drawing, trigger))[0]

    async def _kept(self, drawing: Drawing, trigger: str | None) -> tuple[FlowView, Compiled]:
        """The latest version of the flow, which is what is drawn. Raises `errors.UnfitDrawing`."""
        with asking.asked_by(await behalf.of(drawing.account, self._accounts)):
            return await self._keep(drawing, trigger, {}, ())

    async def _keep(
        self, drawing: Drawing, trigger: str | None, kept: dict[int, str], above: tuple[Drawing, ...]
    ) -> tuple[FlowView, Compiled]:
        """With those that it needs, `kept` by their numbers, for those `above` which need it."""
        if any(each.id == drawing.id for each in above):
            way = " → ".join(each.slug for each in (*above, drawing))
            raise errors.UnfitDrawing(slug=drawing.slug, reason=f"drawings run each other: {way}")
        flows: dict[int | str, str] = {}
        for each in await self._others(drawing):
            if each.id not in kept:
                if len(kept) >= MOST_OTHERS:
                    raise errors.UnfitDrawing(slug=drawing.slug, reason=f"it needs more than {MOST_OTHERS} others")
                wanted = AFTER_ERROR if each.id == drawing.error_handler else CALLED
                begin = first_trigger(each, await self._drawings.components(), wanted)
                view, _ = await self._keep(each, begin, kept, (*above, drawing))
                kept[each.id] = view.flow.id
            flows[each.id] = flows[each.slug] = kept[each.id]
        definitions = await self._drawings.definitions()
        compile_ = partial(compiling.compile_drawing, drawing, definitions, trigger=trigger, flows=flows)
        compiled = await aside.aside(compile_, large=_is_large(drawing))
        if compiled.findings:
            told = tuple(dict.fromkeys(each.sentence for each in compiled.findings))
            raise errors.UnfitDrawing(slug=drawing.slug, reason="; ".join(told), sentences=told)
        return await self._save(drawing, trigger, compiled), compiled

    async def _save(self, drawing: Drawing, trigger: str | None, compiled: Compiled) -> FlowView:
        draft = Draft(
            content=compiled.content,
            description=drawing.description,
            enabled=drawing.active,
            public=drawing.public,
            drawing=drawing.id,
            message=f"as drawn in revision {drawing.revision}",
        )
        name = f"{_namespace(drawing)}/{trigger or WHOLE}"
        view = await self._until_saved(lambda: self._flows.save(name, draft, source=saved.DRAWN))
        now = await self._drawings.get(drawing.id)
        if (now.slug, now.active, now.public) != (drawing.slug, drawing.active, drawing.public):
            await self._follow(view.flow, now)  # who changed the drawing meanwhile may have looked for its flows before
        return view

    async def _others(self, drawing: Drawing) -> Sequence[Drawing]:
        """The drawings that it names and that are there; of too many one too many."""
        found: dict[int, Drawing] = {}
        for name in islice(dict.fromkeys(_named(drawing)), MOST_OTHERS + 1):
            with suppress(errors.UnknownDrawing):
                other = await (self._drawings.get(name) if isinstance(name, int) else self._drawings.find(name))
                found[other.id] = other
        return list(found.values())


def _is_large(drawing: Drawing) -> bool:
    """Whether it takes more than some milliseconds to judge, or to compile."""
    return len(drawing.nodes) + len(drawing.edges) > _LARGE


def first_trigger(drawing: Drawing, known: Mapping[str, Component], wanted: Sequence[str]) -> str | None:
    """The trigger that begins, of the first of these components that there is, else any; None where there is none."""
    there = [node for name in reach.triggers(drawing, known) if (node := drawing.node(name)) is not None]
    places = {component: place for place, component in enumerate(wanted)}
    ordered = sorted(there, key=lambda node: (places.get(node.component, len(places)), not node.is_entry_point))
    return ordered[0].node_id if ordered else None


def _named(drawing: Drawing) -> Iterator[int | str]:
    """The drawings that it runs, by number or slug."""
    if drawing.error_handler is not None:
        yield drawing.error_handler
    for node in drawing.nodes:
        if node.subdrawing is not None:
            yield node.subdrawing
        slug = (node.config.get("extra_config") or {}).get("workflow_slug")
        if isinstance(slug, str) and slug:
            yield slug


def _given(entries: Mapping[str, str], component: Component | None, value: Any) -> dict[str, Any]:
    """What lies on each edge of a trigger that is given this: on `text` the text, on the others all that came."""
    ports = {} if component is None else {port.name: port for port in component.outputs}
    found: dict[str, Any] = {}
    for name, edge in entries.items():
        port = ports.get(name)
        if name == "text":
            found[edge] = _text(value)
        elif name == "payload" and (port is None or port.data_type is DataType.OBJECT):
            found[edge] = value if isinstance(value, dict) else {"text": _text(value)}
        elif name != "file":
            found[edge] = value
    return found


def _check_value(drawing: Drawing, kind: str, value: Any) -> None:
    """Raises `errors.UnfitInput` where the value is not what the drawing says that it is given."""
    if drawing.input_schema is None:
        return
    told = value.get("payload") if kind == "schedule" and isinstance(value, dict) else value
    if drawing.input_schema.get("type") == "string":
        told = _text(told)
    elif not isinstance(told, dict):
        told = {"text": _text(told)}
    if found := schemas.objections(drawing.input_schema, told):
        raise errors.UnfitInput(slug=drawing.slug, reason="; ".join(found), sentences=found)


def _text(value: Any) -> str:
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return str(value["text"])
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _namespace(drawing: Drawing) -> str:
    return f"{NAMESPACE}/{drawing.slug}"
