"""
Graphs as Studio draws them, made flows.

A node of type `input` or `output` is where the graph begins and ends: what lies there is brought, or taken away, and
nothing runs for it. Whatever carries `image` or `uses` in its data is a container. An edge of the graph is one of the
flow, named after the node and the handle that it comes from.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pupload import errors
from pupload.api import documents
from pupload.api.studio import models, problems
from pupload.domain import flow, nodedef, saved, tables

INPUT, OUTPUT = "input", "output"
"""Types of nodes; also what the handles of a container are called where an edge does not say."""

TRIGGERS = ("manual", "http", "queue", "schedule", "file_upload")

PUBLISHER = "studio"
"""Of the definitions that are made of nodes with an image."""

UNNAMED = "studio-pipeline"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundaries:
    """What the `input` and the `output` nodes of a graph say."""

    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    trigger_type: str | None = None
    cron: str = ""
    timezone: str = "UTC"
    payload: str = ""
    """What a run on schedule is given, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A graph made a flow."""

    name: str
    content: saved.Content
    boundaries: Boundaries


def uses(graph: models.Graph) -> Sequence[str]:
    """The node types that its containers name."""
    return list(dict.fromkeys(text for node in graph.nodes if (text := _text(node, "uses"))))


def boundaries(graph: models.Graph) -> Boundaries:
    """Those of the graph. Raises `errors.Malformed` for a trigger that there is not."""
    first = next((node for node in graph.nodes if node.type == INPUT), None)
    last = next((node for node in graph.nodes if node.type == OUTPUT), None)
    trigger = None if first is None else first.data.get("trigger_type", TRIGGERS[0])
    if trigger is not None and trigger not in TRIGGERS:
        raise _wrong(f"Unknown trigger type '{str(trigger)[:64]}'; there are {', '.join(TRIGGERS)}")
    config = (first.data.get("schedule_config") or {}) if first is not None and trigger == "schedule" else {}
    if trigger == "schedule" and not (isinstance(config, dict) and isinstance(config.get("cron_expression"), str)):
        raise _wrong("A schedule trigger needs a cron_expression in its schedule_config")
    return Boundaries(
        inputs=[node.id for node in graph.nodes if node.type == INPUT],
        outputs=[node.id for node in graph.nodes if node.type == OUTPUT],
        input_schema=_schema(first),
        output_schema=_schema(last),
        trigger_type=trigger,
        cron=config.get("cron_expression", ""),
        timezone=str(config.get("timezone") or "UTC"),
        payload=tables.compact(config.get("payload") or {}),
    )


def compiled(graph: models.Graph, known: Iterable[nodedef.NodeDef], *, given: bool = False) -> Compiled:
    """
    The flow that the graph means; `known` are the definitions that it names.

    Where an input is `given` and the graph has no node for it, containers that nothing leads to take it. Raises
    `errors.Malformed` with a sentence for what cannot be run; what the flow itself lacks is told when that is judged.
    """
    ends = boundaries(graph)
    nodes = {node.id: node for node in graph.nodes}
    _check(graph, nodes, ends)
    definitions = {definition.uses: definition for definition in known}
    drawing = _Drawing(graph, nodes, definitions, given=given and not ends.inputs, ended=bool(ends.outputs))
    made = [drawing.node(node) for node in graph.nodes if node.type not in (INPUT, OUTPUT)]
    name = graph.metadata.get("name")
    title = name if isinstance(name, str) and name else UNNAMED
    return Compiled(
        name=title,
        content=saved.Content(
            flow=flow.Flow(name=title[: saved.MOST_SEGMENT], nodes=tuple(made)),
            definitions=tuple(drawing.definitions),
        ),
        boundaries=ends,
    )


def _check(graph: models.Graph, nodes: Mapping[str, models.GraphNode], ends: Boundaries) -> None:
    """Raises for what makes no graph."""
    if len(nodes) < len(graph.nodes):
        raise _wrong("Two nodes have the same id")
    if not any(node.type not in (INPUT, OUTPUT) for node in graph.nodes):
        raise _wrong("The graph has no node that runs")
    if len(ends.inputs) > 1:
        raise _wrong(f"The graph has {len(ends.inputs)} input nodes; there may be one")
    for node in graph.nodes:
        if not _ID.fullmatch(node.id):
            raise _wrong(f"The id {node.id[:64]!r} is none: letters, digits, '.', '_' and '-', at most 128 of them")
        if node.type not in (INPUT, OUTPUT) and not (_text(node, "image") or _text(node, "uses")):
            raise _wrong(f"Unknown node type '{node.type}' of node '{node.id}': its data has neither image nor uses")
    for edge in graph.edges:
        for end in (edge.source, edge.target):
            if end not in nodes:
                raise _wrong(f"An edge names the node '{end[:64]}', which the graph has not")
        if nodes[edge.source].type == OUTPUT or nodes[edge.target].type == INPUT:
            raise _wrong(
                f"The edge from '{edge.source}' to '{edge.target}' leads out of the end, or into the beginning"
            )


class _Drawing:
    """What is known while nodes are made."""

    def __init__(
        self,
        graph: models.Graph,
        nodes: Mapping[str, models.GraphNode],
        known: Mapping[str, nodedef.NodeDef],
        *,
        given: bool,
        ended: bool,
    ) -> None:
        """`given` where containers that nothing leads to take the input; `ended` where the graph says what it gives."""
        self._nodes = nodes
        self._known = known
        self._given = given
        self._ended = ended
        self._into: dict[str, list[models.GraphEdge]] = {}
        self._out_of: dict[str, list[models.GraphEdge]] = {}
        for edge in graph.edges:
            self._into.setdefault(edge.target, []).append(edge)
            self._out_of.setdefault(edge.source, []).append(edge)
        self.definitions: list[nodedef.NodeDef] = []
        """Those of nodes with an image."""

    def node(self, node: models.GraphNode) -> flow.Node:
        """The container."""
        known = self._known.get(_text(node, "uses"))
        inputs = self._inputs(node, known)
        outputs = self._outputs(node, known)
        named = _text(node, "uses")
        if not named:
            definition = _definition(node, inputs, outputs, needed=node.id in self._out_of)
            self.definitions.append(definition)
            named = definition.uses
        return flow.Node(
            id=node.id,
            uses=named,
            inputs=tuple(flow.Binding(name=port, edge=edge) for port, edge in inputs.items()),
            outputs=tuple(flow.Binding(name=port, edge=edge) for port, edge in outputs.items()),
            flags=_flags(node),
            timeout=_text(node, "timeout") or None,
        )

    def _inputs(self, node: models.GraphNode, known: nodedef.NodeDef | None) -> dict[str, str]:
        """Edges by port."""
        found: dict[str, str] = {}
        for edge in self._into.get(node.id, ()):
            port = _port(edge.target_handle, INPUT, known.inputs if known else ())
            if port in found:
                raise _wrong(f"Two edges lead to '{port}' of node '{node.id}': give them handles of their own")
            found[port] = self._edge(edge)
        if self._given and not found and (known is None or known.inputs):
            found[_port(None, INPUT, known.inputs if known else ())] = INPUT
        return found

    def _outputs(self, node: models.GraphNode, known: nodedef.NodeDef | None) -> dict[str, str]:
        leading = self._out_of.get(node.id, ())
        found = {self._made(node, edge): self._edge(edge) for edge in leading}
        if not found and not self._ended and (known is None or known.outputs):
            port = _port(None, OUTPUT, known.outputs if known else ())
            found[port] = f"{node.id}.{port}"
        return found

    def _edge(self, edge: models.GraphEdge) -> str:
        """What it is called in the flow: the same of all that comes from there."""
        source = self._nodes[edge.source]
        handle = edge.source_handle or OUTPUT if source.type == INPUT else self._made(source, edge)
        return f"{source.id}.{handle}"

    def _made(self, node: models.GraphNode, edge: models.GraphEdge) -> str:
        known = self._known.get(_text(node, "uses"))
        return _port(edge.source_handle, OUTPUT, known.outputs if known else ())


def _port(handle: str | None, usual: str, ports: Sequence[nodedef.Port]) -> str:
    """The port of the handle; of one that is not told, or told in general, the only one that the definition has."""
    if handle in (None, "", usual) and len(ports) == 1:
        return ports[0].name
    return handle or usual


def _definition(
    node: models.GraphNode, inputs: Mapping[str, str], outputs: Mapping[str, str], *, needed: bool
) -> nodedef.NodeDef:
    """That of a node with an image of its own; its outputs must be written where they are `needed`."""
    command = node.data.get("command", "")
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        command = tuple(command)
    elif not isinstance(command, str):
        raise _wrong(f"The command of node '{node.id}' is a text, or a list of texts")
    return nodedef.NodeDef(
        publisher=PUBLISHER,
        name=node.id,
        image=_text(node, "image"),
        inputs=tuple(nodedef.Port(name=port) for port in inputs),
        outputs=tuple(nodedef.Port(name=port, required=None if needed else False) for port in outputs),
        flags=tuple(nodedef.FlagDef(name=flag.name) for flag in _flags(node)),
        command=nodedef.Command(exec=command, entrypoint=node.data.get("entrypoint") is not False),
        tier=_text(node, "tier"),
        max_attempts=_number(node, "maxAttempts", "max_attempts"),
        timeout=_text(node, "timeout") or None,
    )


def _flags(node: models.GraphNode) -> tuple[flow.FlagValue, ...]:
    given = node.data.get("flags") or {}
    if not isinstance(given, dict):
        raise _wrong(f"The flags of node '{node.id}' are an object of values by name")
    found = {name: value if isinstance(value, str) else documents.spelling(value) for name, value in given.items()}
    for name, value in found.items():
        if value is None:
            raise _wrong(f"Flag '{name[:64]}' of node '{node.id}' is a text, a number, true or false")
    return tuple(flow.FlagValue(name=name, value=value or "") for name, value in found.items())


def _text(node: models.GraphNode, name: str) -> str:
    given = node.data.get(name) or ""
    if not isinstance(given, str):
        raise _wrong(f"The {name} of node '{node.id}' is a text")
    return given


def _number(node: models.GraphNode, *names: str) -> int:
    given = next((node.data[name] for name in names if node.data.get(name) is not None), 0)
    if not isinstance(given, int) or isinstance(given, bool):
        raise _wrong(f"{names[0]} of node '{node.id}' is a whole number")
    return given


def _schema(node: models.GraphNode | None) -> dict[str, Any] | None:
    found = None if node is None else node.data.get("schema")
    return found if isinstance(found, dict) else None


def _wrong(sentence: str) -> errors.Malformed:
    place: list[str | int] = ["body", "graph"]
    return problems.malformed(models.Wrong(type=problems.GRAPH, loc=place, msg=sentence))
