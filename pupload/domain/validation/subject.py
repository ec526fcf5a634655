"""What the rules look at: a flow, its definitions, what the deployment allows, and look-ups made once for all."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pupload.domain import graph
from pupload.domain.flow import DEFAULT_STORE, Binding, DataWell, Flow, Node
from pupload.domain.nodedef import FlagDef, NodeDef, Port
from pupload.domain.validation import findings
from pupload.domain.validation.limits import Limits

FLOW = "/Flow"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A definition that at least one node uses."""

    definition: NodeDef
    path: str
    nodes: tuple[Node, ...]
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    flags: Mapping[str, FlagDef]

    def at(self, *tokens: str | int) -> str:
        """The pointer to a part of the definition."""
        return findings.pointer(self.path, *tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One flow to be judged."""

    flow: Flow
    definitions: Sequence[NodeDef]
    paths: Sequence[str]
    """The pointer of each definition."""
    limits: Limits
    given: Mapping[str, str] | None
    """Parameters; None where nobody asks for a run."""
    nodes: Sequence[tuple[str, Node]]
    """Every node and its pointer."""
    inputs: Sequence[tuple[str, Node, Binding]]
    """Every bound input: its pointer, its node, itself."""
    outputs: Sequence[tuple[str, Node, Binding]]
    """Every bound output likewise."""
    uses: Mapping[str, Use]
    """By `Publisher/Name`, in the flow's order; the first definition where there are several."""
    wells: Mapping[str, DataWell]
    """By edge; the first where there are several."""
    stores: frozenset[str]
    links: graph.Links
    producers: Mapping[str, tuple[str, ...]]
    consumers: Mapping[str, tuple[str, ...]]


def make(
    flow: Flow,
    definitions: Sequence[NodeDef],
    limits: Limits,
    pointers: Sequence[str] | None,
    given: Mapping[str, str] | None = None,
) -> Subject:
    """The subject; `pointers` says where each definition stands, by default in the request's NodeDefs."""
    paths = [f"/NodeDefs/{position}" for position in range(len(definitions))] if pointers is None else pointers
    nodes = [(f"{FLOW}/Nodes/{position}", node) for position, node in enumerate(flow.nodes)]
    links = graph.links(flow)
    own = {DEFAULT_STORE} if limits.default_store else set()
    return Subject(
        flow=flow,
        definitions=definitions,
        paths=paths,
        limits=limits,
        given=given,
        nodes=nodes,
        inputs=[
            (f"{path}/Inputs/{index}", node, binding)
            for path, node in nodes
            for index, binding in enumerate(node.inputs)
        ],
        outputs=[
            (f"{path}/Outputs/{index}", node, binding)
            for path, node in nodes
            for index, binding in enumerate(node.outputs)
        ],
        uses=_uses(flow, definitions, paths),
        wells={well.edge: well for well in reversed(flow.wells)},
        stores=frozenset(own.union(store.name for store in flow.stores)),
        links=links,
        producers=graph.producers(flow, links),
        consumers=graph.consumers(flow, links),
    )


def _uses(flow: Flow, definitions: Sequence[NodeDef], paths: Sequence[str]) -> dict[str, Use]:
    nodes: dict[str, list[Node]] = {}
    for node in flow.nodes:
        nodes.setdefault(node.uses, []).append(node)
    first: dict[str, tuple[NodeDef, str]] = {}
    for definition, path in zip(definitions, paths, strict=True):
        first.setdefault(definition.uses, (definition, path))
    return {
        uses: Use(
            definition=first[uses][0],
            path=first[uses][1],
            nodes=tuple(using),
            inputs={port.name: port for port in reversed(first[uses][0].inputs)},
            outputs={port.name: port for port in reversed(first[uses][0].outputs)},
            flags={flag.name: flag for flag in reversed(first[uses][0].flags)},
        )
        for uses, using in nodes.items()
        if uses in first
    }


def shown(text: str) -> str:
    """The user's words in a sentence: cut when long, with nothing in them that would break the line."""
    cut = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return cut if cut.isprintable() else ascii(cut)[1:-1]


def is_name(text: str) -> bool:
    """Whether a port or flag may be called so."""
    return _NAME.fullmatch(text) is not None


def utf8_length(text: str) -> int:
    """Bytes of the text in UTF-8, where halves of pairs count too."""
    return len(text.encode(errors="surrogatepass"))
