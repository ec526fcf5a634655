"""
Drawings written down: a list of steps, each behind the one before it, begun by a trigger.

    name: Greeter
    trigger: chat
    model: {credential_id: 3, model_name: large}
    steps:
      - {id: greet, type: code, code: "…"}
      - {id: which, type: switch, routes: {yes: thank, no: ask}}
      - {id: thank, type: code}
      - {id: ask, type: human_confirmation, after: which}

`nodes` is another word for `steps`, `edges` may say what leads where instead. What a step says that is not said here is
its `extra_config`. A document with `based_on` and `patches` changes a drawing that there is, and is only looked at; so
is a flow (`pupload.domain.drawing.written`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pupload.domain import saved
from pupload.domain.drawing import components, joining, written
from pupload.domain.drawing.component import Component
from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode, EdgeType
from pupload.domain.flow import Flow
from pupload.domain.nodedef import NodeDef

TRIGGERS = ("chat", "telegram", "manual", "schedule", "workflow", "error", "none")

TYPES: Mapping[str, str] = {
    "http": "http_request",
    "human": "human_confirmation",
    "approval": "human_confirmation",
    "command": "run_command",
    "shell": "run_command",
    "python": "code",
    "subworkflow": "workflow",
    "model": "ai_model",
}
"""Other words for components."""

PATCHES = ("add_step", "remove_step", "update_step", "update_prompt", "add_tool", "remove_tool", "update_model")

MOST_STEPS = 1000

_SAID = frozenset(
    {"id", "node_id", "type", "component_type", "label", "name", "after", "routes", "model", "config", "prompt"}
)
"""What of a step is no setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a document says."""

    drawing: Drawing | None = None
    """None where it says none, or not enough of one."""
    flow: Flow | None = None
    """The flow that it is instead."""
    errors: tuple[str, ...] = ()
    """What is wrong with it."""

    @property
    def counts(self) -> tuple[int, int]:
        """How many nodes and edges it comes to."""
        if self.flow is not None:
            return len(self.flow.nodes), written.edges(self.flow)
        return (0, 0) if self.drawing is None else (len(self.drawing.nodes), len(self.drawing.edges))


class _Wrong(ValueError):
    """The document cannot be read on; the text is the sentence."""


def read(document: Any, definitions: Sequence[NodeDef], *, now: datetime) -> Read:
    """The drawing that plain values mean, made `now`, and what is wrong with its words, its nodes and its edges."""
    if not isinstance(document, Mapping):
        return Read(errors=("the document is a mapping with name and steps",))
    if written.is_flow(document):
        flow, wrong = written.read(document, definitions)
        return Read(flow=flow, errors=wrong)
    if "based_on" in document:
        return Read(errors=tuple(_patches(document)))
    try:
        drawing = _drawing(document, now)
    except _Wrong as error:
        return Read(errors=(str(error),))
    return Read(drawing=drawing, errors=tuple(_wrong(drawing, components.known(definitions))))


def _drawing(document: Mapping[str, Any], now: datetime) -> Drawing:
    name = document.get("name")
    if not isinstance(name, str) or not name.strip():
        raise _Wrong("name: a text is required")
    steps = document.get("steps", document.get("nodes"))
    if not isinstance(steps, Sequence) or isinstance(steps, str) or not steps:
        raise _Wrong("steps: a list with at least one step is required")
    if len(steps) > MOST_STEPS:
        raise _Wrong(f"steps: there are {MOST_STEPS} at most")
    scribe = _Scribe(document, now)
    for place, step in enumerate(steps):
        scribe.add(place, step)
    slug = document.get("slug") or _slug(name)
    tags = document.get("tags") or ()
    return Drawing(
        slug=str(slug),
        name=name,
        description=str(document.get("description") or ""),
        tags=tuple(map(str, tags)) if isinstance(tags, Sequence) and not isinstance(tags, str) else (),
        nodes=tuple(scribe.nodes),
        edges=tuple(replace(edge, id=place) for place, edge in enumerate(scribe.joined(), start=1)),
        created_at=now,
        updated_at=now,
    )


class _Scribe:
    """The nodes and edges that steps come to."""

    def __init__(self, document: Mapping[str, Any], now: datetime) -> None:
        self.nodes: list[DrawnNode] = []
        self._document = document
        self._now = now
        self._edges: list[DrawnEdge] = []
        self._before = self._trigger()
        """The node that the next step is behind, where it does not say."""
        self._model: str | None = None

    def _trigger(self) -> str | None:
        said = self._document.get("trigger", "none")
        kind = said.get("type", "") if isinstance(said, Mapping) else said
        if not isinstance(kind, str) or kind.removeprefix("trigger_") not in TRIGGERS:
            raise _Wrong(f"trigger: one of {', '.join(TRIGGERS)}")
        kind = kind.removeprefix("trigger_")
        return None if kind == "none" else self._node(f"trigger_{kind}", f"trigger_{kind}", {})

    def add(self, place: int, step: Any) -> None:
        """A step, behind what it says or behind the one before it. Raises `_Wrong`."""
        if not isinstance(step, Mapping):
            raise _Wrong(f"steps[{place}]: a mapping with type is required")
        kind = step.get("type", step.get("component_type"))
        if not isinstance(kind, str) or not kind:
            raise _Wrong(f"steps[{place}]: type is required")
        name = step.get("id", step.get("node_id")) or f"step_{place + 1}"
        config = {} if not isinstance(step.get("config"), Mapping) else dict(step["config"])
        extra = {key: value for key, value in step.items() if key not in _SAID}
        if extra:
            config["extra_config"] = {**(config.get("extra_config") or {}), **extra}
        if step.get("prompt"):
            config["system_prompt"] = str(step["prompt"])
        self._node(str(name), TYPES.get(kind, kind), config, label=str(step.get("label") or step.get("name") or ""))
        self._lend(str(name), TYPES.get(kind, kind), step)
        self._lead(str(name), step)

    def _node(self, name: str, component: str, config: dict[str, Any], *, label: str = "") -> str:
        if any(node.node_id == name for node in self.nodes):
            raise _Wrong(f"the id '{name}' is given twice")
        y = len(self.nodes)
        self.nodes.append(
            DrawnNode(node_id=name, component=component, label=label, y=100 * y, config=config, updated_at=self._now)
        )
        return name

    def _lend(self, name: str, component: str, step: Mapping[str, Any]) -> None:
        """The model that the step names, or else the document, to what needs one."""
        said = step.get("model") or self._document.get("model")
        if component not in ("agent", "categorizer", "router", "extractor") or not said:
            return
        if step.get("model"):
            lender = self._node(f"{name}_model", "ai_model", _model(said))
        else:
            self._model = self._model or self._node("model", "ai_model", _model(said))
            lender = self._model
        self._edges.append(DrawnEdge(source=lender, target=name, label="llm"))

    def _lead(self, name: str, step: Mapping[str, Any]) -> None:
        """What leads to the step, and by which ways it leads on."""
        if "edges" in self._document:
            return
        after = step.get("after")
        before = [self._before] if after is None else [after] if isinstance(after, str) else list(after or ())
        routed = {edge.target for edge in self._edges if edge.type is EdgeType.CONDITIONAL}
        if after is not None or name not in routed:
            self._edges.extend(DrawnEdge(source=str(each), target=name) for each in before if each)
        routes = step.get("routes")
        if isinstance(routes, Mapping):
            self._edges.extend(
                DrawnEdge(source=name, target=str(target), type=EdgeType.CONDITIONAL, condition=str(value))
                for value, target in routes.items()
            )
        self._before = None if routes else name

    def joined(self) -> Sequence[DrawnEdge]:
        """All edges: those of the steps, or those that the document lists. Raises `_Wrong`."""
        listed = self._document.get("edges")
        if listed is None:
            return self._edges
        if not isinstance(listed, Sequence) or isinstance(listed, str):
            raise _Wrong("edges: a list is required")
        return [*self._edges, *(_edge(place, each) for place, each in enumerate(listed))]


def _model(said: Any) -> dict[str, Any]:
    if not isinstance(said, Mapping):
        return {"model_name": str(said)}
    names = {"name": "model_name", "credential_id": "llm_credential_id"}
    return {names.get(str(key), str(key)): value for key, value in said.items()}


def _edge(place: int, said: Any) -> DrawnEdge:
    if not isinstance(said, Mapping):
        raise _Wrong(f"edges[{place}]: a mapping with source and target is required")

    def word(*names: str) -> str:
        return str(next((said[name] for name in names if said.get(name)), ""))

    condition = word("condition", "condition_value")
    conditional = bool(condition) or word("type", "edge_type") == EdgeType.CONDITIONAL
    return DrawnEdge(
        source=word("source", "from", "source_node_id"),
        target=word("target", "to", "target_node_id"),
        type=EdgeType.CONDITIONAL if conditional else EdgeType.DIRECT,
        label=word("label", "edge_label"),
        condition=condition,
    )


def _wrong(drawing: Drawing, known: Mapping[str, Component]) -> Iterator[str]:
    """What is wrong with the nodes and edges, whether or not anything runs them here."""
    if objection := saved.objection(saved.DEFAULT_NAMESPACE, drawing.slug):
        yield f"slug: {objection}"
    for node in drawing.nodes:
        if unnamed := joining.name_objection(node.node_id):
            yield unnamed.sentence
        if node.component not in known:
            yield f"step '{node.node_id}': unknown type '{node.component[:100]}'"
    for place, edge in enumerate(drawing.edges):
        found = joining.objection(replace(drawing, edges=drawing.edges[:place]), edge, known)
        if found is not None:
            yield f"Edge {edge.source} → {edge.target}: {found.sentence}"


def _patches(document: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(document["based_on"], str) or not document["based_on"]:
        yield "based_on: the slug of a workflow is required"
    patches = document.get("patches")
    if not isinstance(patches, Sequence) or isinstance(patches, str) or not patches:
        yield "patches: a list with at least one patch is required"
        return
    for place, patch in enumerate(patches):
        action = patch.get("action", patch.get("op")) if isinstance(patch, Mapping) else None
        if action not in PATCHES:
            yield f"patches[{place}]: action: one of {', '.join(PATCHES)}"


def _slug(name: str) -> str:
    plain = "".join(char if char.isascii() and char.isalnum() else "-" for char in name.lower())
    return "-".join(filter(None, plain.split("-")))[: saved.MOST_SEGMENT] or "workflow"
