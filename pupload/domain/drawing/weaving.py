"""
The nodes and wells of a flow, as they come of the nodes of a drawing, one after the other.

Each node is added behind all that lead to it. What a node makes that nobody takes is not bound, but for its first
output: so nodes are made when all are added.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pupload.domain.drawing import joining, reach, routing, settings
from pupload.domain.drawing.component import HANDLES, Component, Kind
from pupload.domain.drawing.findings import Finding
from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode, EdgeType
from pupload.domain.drawing.outlets import Gate, Outlet, approval, asked_about, join, passage, way
from pupload.domain.drawing.ports import ComponentPort, DataType
from pupload.domain.flow import Binding, DataWell, FlagValue, Flow, ForEach, Node
from pupload.domain.nodedef import NodeDef

RELAY, SPLIT, GATHER = "pupload/merge", "pupload/loop", "pupload/aggregator"
"""The node types that hand on, that make a collection of a list, and a list of a collection."""

_THING = ComponentPort(name="output")
_LIST = ComponentPort(name="results", data_type=DataType.ARRAY)


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A node of the flow in the making."""

    id: str
    uses: str
    outputs: Sequence[tuple[ComponentPort, str]]
    """Its outputs, and the edges on which they lie where they are bound."""
    bindings: list[Binding] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    flags: tuple[FlagValue, ...] = ()
    timeout: str | None = None
    max_attempts: int = 0
    for_each: ForEach | None = None


class Weaver:
    """A flow in the making."""

    def __init__(
        self,
        drawing: Drawing,
        known: Mapping[str, Component],
        definitions: Mapping[str, NodeDef],
        flows: Mapping[int | str, str],
        part: frozenset[str],
    ) -> None:
        self.entries: dict[str, dict[str, str]] = {}
        """By trigger, by its output: the edge on which that lies."""
        self.findings: list[Finding] = []
        self.remarks: list[Finding] = []
        self._drawing = drawing
        self._known = known
        self._definitions = definitions
        self._flows = flows
        self._by_id = {node.node_id: node for node in drawing.nodes}
        self._into: dict[str, list[DrawnEdge]] = {}
        self._lenders: dict[str, list[DrawnEdge]] = {}
        for edge in sorted(drawing.edges, key=lambda each: (not each.mapping, each.priority, each.id)):
            if edge.label == "loop_body" and self._kind(edge.source) is not Kind.LOOP:
                self.findings.append(joining.not_a_loop(edge.label))
            elif edge.source in part and edge.target in part and reach.carries(edge):
                self._into.setdefault(edge.target, []).append(edge)
            elif edge.label in HANDLES and edge.source in self._by_id:
                self._lenders.setdefault(edge.target, []).append(edge)
        self._drafts: list[_Draft] = []
        self._wells: dict[str, DataWell] = {}
        self._outlets: dict[str, tuple[Outlet, ...]] = {}
        self._handed: set[str] = set()
        """Nodes of the drawing of which something is taken."""
        self._loops: dict[str, _Loop] = {}
        self._on_error = flows.get(drawing.error_handler, "") if drawing.error_handler is not None else ""

    # ── Adding ───────────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, node_id: str) -> None:
        """What the node is in the flow; all that lead to it are added already."""
        node = self._by_id[node_id]
        component = self._known.get(node.component)
        if objection := joining.name_objection(node_id):
            self.findings.append(objection)
        if component is not None:
            self._check_lent(node, component)
        if component is None or not component.executable:
            self._object(node, _no_image(node, component))
            outputs = component.given() if component is not None else ()
            self._outlets[node_id] = tuple(Outlet(port=port, channel=f"{node_id}.{port.name}") for port in outputs)
            return
        made = {
            Kind.TRIGGER: self._trigger,
            Kind.CONTAINER: self._container,
            Kind.SWITCH: self._through,
            Kind.CONFIRMATION: self._through,
            Kind.SUBFLOW: self._subflow,
            Kind.LOOP: self._loop,
            Kind.ERROR_HANDLER: self._handler,
        }[component.kind](node, component)
        after = (approval(node_id, after=True),) if node.interrupt_after else ()
        self._outlets.setdefault(node_id, tuple(outlet.behind(*after) for outlet in made))

    def _trigger(self, node: DrawnNode, component: Component) -> Sequence[Outlet]:
        channels = {port.name: f"{node.node_id}.{port.name}" for port in component.given()}
        self.entries[node.node_id] = channels
        gates = self._before(node)
        return [Outlet(port=port, channel=channels[port.name], gates=gates) for port in component.given()]

    def _container(self, node: DrawnNode, component: Component) -> Sequence[Outlet]:
        definition = self._definitions.get(component.uses)
        outputs = [(port, f"{node.node_id}.{port.name}") for port in component.given()]
        draft = _Draft(id=node.node_id, uses=component.uses, outputs=outputs, gates=[*self._before(node)])
        self._set(draft, node, definition)
        if component.remembers:
            channel = f"{node.node_id}.facts"
            self._wells[channel] = DataWell(edge=channel, source="facts")
            draft.bindings.append(Binding(name="facts", edge=channel))
        for edge in self._into.get(node.node_id, ()):
            self._bind(draft, edge, node, component)
        self._drafts.append(draft)
        repeated = draft.for_each is not None
        made = [Outlet(port=replace(port, many=port.many or repeated), channel=edge) for port, edge in outputs]
        self._close_loops(node, made)
        return made

    def _set(self, draft: _Draft, node: DrawnNode, definition: NodeDef | None) -> None:
        """What the node is set to."""
        lenders = [self._by_id[edge.source] for edge in self._lenders.get(node.node_id, ())]
        if definition is not None:
            draft.flags = settings.flags(definition, node, lenders)
            for name in settings.left_out(definition, node):
                self._remark(node, f"'{name[:100]}' is no flag of {definition.uses}, and left out")
        seconds = settings.seconds(node, definition)
        draft.timeout = None if seconds is None else f"{seconds:g}s"
        retries = settings.retries(node, definition)
        draft.max_attempts = 0 if retries is None else max(0, retries) + 1

    def _bind(self, draft: _Draft, edge: DrawnEdge, node: DrawnNode, component: Component) -> None:
        """What comes along the edge, on an input of the node."""
        outlets = self._coming(edge)
        if outlets is None:
            return
        said = edge.mapping or {}
        inputs = [port for port in component.inputs if said.get("input", port.name) == port.name]
        found = join(outlets, inputs, [binding.name for binding in draft.bindings])
        if found is None:
            if join(outlets, inputs, ()) is not None:
                self._object(node, f"has no input left for what node '{edge.source}' gives: put a 'merge' node between")
            elif outlets:
                handle = inputs[0].name if inputs else str(said.get("input", ""))
                source = self._by_id[edge.source]
                self.findings.append(joining.mismatch(source, outlets[0].port.name, handle))
            return
        outlet, port = found
        draft.bindings.append(Binding(name=port.name, edge=outlet.channel))
        draft.gates.extend(outlet.gates)
        if edge.label == "loop_body":
            draft.for_each = self._loops[edge.source].for_each(port.name)

    # ── What becomes no node ─────────────────────────────────────────────────────────────────────────────────────

    def _through(self, node: DrawnNode, component: Component) -> Sequence[Outlet]:
        """A switch or a confirmation: what it is given it hands on."""
        gates = self._before(node)
        if component.kind is Kind.CONFIRMATION and not gates:
            gates = (approval(node.node_id),)
        return [outlet.behind(*gates) for outlet in self._only(node)]

    def _subflow(self, node: DrawnNode, component: Component) -> Sequence[Outlet]:
        del component
        name = self._flow_of(node)
        if not name:
            self._object(node, "names no workflow that it could run")
        given, edges = "", self._into.get(node.node_id, ())
        gates = self._before(node)
        if edges or gates:
            outlet = next(iter(self._only(node)), None)
            if outlet is not None:
                outlet = outlet.behind(*gates)
                # Only a node can be left out: where something must hold, one hands on what the run is given.
                given = self._relay(node.node_id, f"{node.node_id}.input", outlet) if outlet.gates else outlet.channel
        channel = f"{node.node_id}.output"
        self._wells[channel] = DataWell(edge=channel, source="run", flow=name, given=given)
        return [Outlet(port=_THING, channel=channel)]

    def _flow_of(self, node: DrawnNode) -> str:
        """The full name of the saved flow that the node names; empty where there is none."""
        if node.subdrawing is not None:
            return self._flows.get(node.subdrawing, "")
        slug = (node.config.get("extra_config") or {}).get("workflow_slug")
        return self._flows.get(slug, "") if isinstance(slug, str) else ""

    def _handler(self, node: DrawnNode, component: Component) -> Sequence[Outlet]:
        del component
        name = self._flow_of(node) or self._on_error
        if not name:
            self._object(node, "names no workflow that could run when a run fails")
        self._on_error = name
        return ()

    def _loop(self, node: DrawnNode, component: Component) -> Sequence[Outlet]:
        del component
        inner = [edge for edge in self._drawing.edges if edge.source == node.node_id and edge.label == "loop_body"]
        back = {
            edge.source for edge in self._drawing.edges if edge.target == node.node_id and edge.label == "loop_return"
        }
        bodies = {edge.target for edge in inner}
        if len(bodies) != 1 or not back <= bodies or self._kind(*bodies) is not Kind.CONTAINER:
            self._object(node, "has to have a body of one node, which runs a node type")
        outlet = next(iter(self._only(node)), None)
        items = None
        if outlet is not None:
            items = outlet.behind(*self._before(node))
            if not outlet.port.many:
                dealt = (ComponentPort(name="items", many=True), f"{node.node_id}.items")
                draft = _Draft(id=node.node_id, uses=SPLIT, outputs=[dealt])
                draft.bindings.append(Binding(name="input", edge=items.channel))
                draft.gates.extend(items.gates)
                self._drafts.append(draft)
                items = Outlet(port=_THING, channel=dealt[1])
        self._loops[node.node_id] = _Loop(node=node, items=items, files=outlet is not None and outlet.port.many)
        return [Outlet(port=_LIST, channel=f"{node.node_id}.results")]

    def _close_loops(self, body: DrawnNode, made: Sequence[Outlet]) -> None:
        """What comes of the loops whose body this node is: of a list a list, of a collection a collection."""
        for edge in self._into.get(body.node_id, ()):
            if edge.label != "loop_body" or not made:
                continue
            loop = self._loops[edge.source]
            self._handed.add(body.node_id)
            after = (approval(edge.source, after=True),) if loop.node.interrupt_after else ()
            if loop.files:
                self._outlets[edge.source] = tuple(outlet.behind(*after) for outlet in made)
                continue
            channel = f"{edge.source}.results"
            draft = _Draft(id=channel, uses=GATHER, outputs=[(ComponentPort(name="output"), channel)])
            draft.bindings.append(Binding(name="items", edge=made[0].channel))
            self._drafts.append(draft)
            self._outlets[edge.source] = (Outlet(port=_LIST, channel=channel, gates=after),)

    # ── Finishing ────────────────────────────────────────────────────────────────────────────────────────────────

    def finished(self) -> Flow:
        """The flow, when all nodes are added."""
        for node_id in list(self._outlets):
            if node_id not in self._handed:
                self._end(self._by_id[node_id])
        used = self._used()
        for node_id, outlets in self._outlets.items():
            # Handed to a switch that leads nowhere, it is not taken either.
            if self._kind(node_id) is Kind.SUBFLOW and outlets and outlets[0].channel not in used:
                made = {draft.id for draft in self._drafts}
                name = f"{node_id}.result"
                self._relay(name if node_id in made else node_id, name, outlets[0])
        used = self._used()
        nodes = tuple(self._node(draft, used) for draft in self._drafts)
        channels = [edge for edges in self.entries.values() for edge in edges.values()]
        approvals = {gate.channel for draft in self._drafts for gate in draft.gates if gate.approves}
        return Flow(
            name=self._drawing.name,
            nodes=nodes,
            wells=(
                *(DataWell(edge=edge, source="upload") for edge in channels if edge in used),
                *(DataWell(edge=edge, source="approval") for edge in sorted(approvals)),
                *self._wells.values(),
            ),
            timeout=f"{self._drawing.max_seconds}s",
            on_error=self._on_error,
        )

    def _used(self) -> set[str]:
        """The edges that somebody takes."""
        bound = {binding.edge for draft in self._drafts for binding in draft.bindings}
        asked = {gate.channel for draft in self._drafts for gate in draft.gates}
        return bound | asked | {well.given for well in self._wells.values()}

    def _end(self, node: DrawnNode) -> None:
        """Nobody takes what the node hands on: where that is no node's output, one makes it."""
        kind, outlets = self._kind(node.node_id), self._outlets[node.node_id]
        if kind is Kind.SWITCH:
            self._remark(node, "leads nowhere")
        if not outlets:
            return
        if kind is Kind.CONFIRMATION:
            self._relay(node.node_id, f"{node.node_id}.output", outlets[0])
        elif node.interrupt_after and kind in (Kind.CONTAINER, Kind.LOOP):
            self._relay(f"{node.node_id}.held", f"{node.node_id}.held", outlets[0])

    def _relay(self, node_id: str, channel: str, outlet: Outlet) -> str:
        """A node that hands on what is handed to it; returns the edge on which that lies then."""
        draft = _Draft(id=node_id, uses=RELAY, outputs=[(_THING, channel)], gates=[*outlet.gates])
        draft.bindings.append(Binding(name="input", edge=outlet.channel))
        self._drafts.append(draft)
        return channel

    def _node(self, draft: _Draft, used: set[str]) -> Node:
        try:
            asked, when = passage(draft.bindings, draft.gates)
        except routing.Unusable as error:
            self.findings.append(Finding(sentence=str(error), node=draft.id))
            asked, when = (), None
        outputs = [
            Binding(name=port.name, edge=edge)
            for place, (port, edge) in enumerate(draft.outputs)
            if place == 0 or port.required or edge in used
        ]
        return Node(
            id=draft.id,
            uses=draft.uses,
            inputs=(*draft.bindings, *asked),
            outputs=tuple(outputs),
            flags=draft.flags,
            timeout=draft.timeout,
            max_attempts=draft.max_attempts,
            for_each=draft.for_each,
            when=when,
        )

    # ── What leads to a node ─────────────────────────────────────────────────────────────────────────────────────

    def _coming(self, edge: DrawnEdge) -> Sequence[Outlet] | None:
        """What comes along the edge; None where that is said already."""
        self._handed.add(edge.source)
        if edge.label == "loop_body":
            items = self._loops[edge.source].items
            return None if items is None else [replace(items, port=replace(items.port, many=False))]
        wanted = (edge.mapping or {}).get("output")
        every = self._outlets.get(edge.source, ())
        found = [outlet for outlet in every if wanted in (None, outlet.port.name)]
        if edge.type is EdgeType.CONDITIONAL and every:
            switch = self._by_id[edge.source]
            gate = way(switch, edge, asked_about(switch, every).channel)
            found = [outlet.behind(gate) for outlet in found]
        return found or None

    def _only(self, node: DrawnNode) -> Iterable[Outlet]:
        """What comes along the only edge that leads to the node."""
        edges = self._into.get(node.node_id, ())
        if not edges:
            self._object(node, "is given nothing")
        elif len(edges) > 1:
            self._object(node, "takes one connection: put a 'merge' node before it")
        elif edges[0].label == "loop_body":
            self._handed.add(edges[0].source)
        else:
            return self._coming(edges[0]) or ()
        return ()

    def _before(self, node: DrawnNode) -> tuple[Gate, ...]:
        return (approval(node.node_id),) if node.interrupt_before else ()

    def _check_lent(self, node: DrawnNode, component: Component) -> None:
        lent = {HANDLES[edge.label] for edge in self._lenders.get(node.node_id, ())}
        for port in component.sub_inputs:
            if port.required and port.name not in lent:
                self._object(node, f"is missing required '{port.name}' connection")

    def _kind(self, node_id: str) -> Kind | None:
        node = self._by_id.get(node_id)
        found = self._known.get(node.component) if node is not None else None
        return None if found is None else found.kind

    def _object(self, node: DrawnNode, words: str) -> None:
        self.findings.append(Finding(sentence=f"Node '{node.node_id}' {words}", node=node.node_id))

    def _remark(self, node: DrawnNode, words: str) -> None:
        self.remarks.append(Finding(sentence=f"Node '{node.node_id}': {words}", node=node.node_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loop:
    """A loop whose body is still to come."""

    node: DrawnNode
    items: Outlet | None
    """What the body takes one of at a time."""
    files: bool
    """Whether it is given a collection, and not a list."""

    def for_each(self, port: str) -> ForEach:
        """How the body runs."""
        extra = self.node.config.get("extra_config") or {}
        return ForEach(
            input=port,
            concurrency=_whole(extra.get("concurrency")) or 0,
            max_items=_whole(extra.get("max_iterations")),
            partial_failure="Keep" if extra.get("on_error") in ("continue", "skip", "keep") else "",
        )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _no_image(node: DrawnNode, component: Component | None) -> str:
    """Why the node cannot run."""
    if component is None:
        return f"has the type '{node.component[:100]}', which is not known here"
    if component.kind is Kind.LENDER:
        return f"cannot run: a '{component.type}' only lends what it is set to"
    return f"cannot run: nothing runs '{component.type}' here until there is a node definition {component.uses}"
