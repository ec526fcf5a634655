"""What is worth knowing of a saved flow without its content: what it is made of, and what it names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pupload.domain import graph, lineage, saved
from pupload.domain.flow import DEFAULT_STORE
from pupload.domain.nodedef import NodeDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Something that a flow has: a store, or a parameter."""

    name: str
    about: str = ""
    """Where a store is, what a parameter means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A saved flow, outlined."""

    flow: saved.SavedFlow
    nodes: int = 0
    edges: int = 0
    """Pairs of nodes of which one takes what the other makes."""
    stores: Sequence[Named] = ()
    params: Sequence[Named] = ()
    secrets: Sequence[str] = ()
    ways: lineage.Graph = lineage.EMPTY
    """Where its data comes from, and goes."""


def of(
    flow: saved.SavedFlow, content: saved.Content | None, known: Iterable[NodeDef] = (), *, default: str = ""
) -> Outline:
    """
    The outline of the flow; without a content, of its name only.

    Definitions that its content does not have are those `known`; `default` is where the server's own store is.
    """
    if content is None:
        return Outline(flow=flow)
    own = {definition.uses for definition in content.definitions}
    definitions = (*content.definitions, *(definition for definition in known if definition.uses not in own))
    links = graph.links(content.flow)
    makers, takers = graph.producers(content.flow, links), graph.consumers(content.flow, links)
    pairs = {(maker, taker) for edge, made in makers.items() for maker in made for taker in takers.get(edge, ())}
    return Outline(
        flow=flow,
        nodes=len(content.flow.nodes),
        edges=len(pairs),
        stores=tuple(
            Named(name=store.name, about=lineage.place(store, default=default))
            for store in content.flow.stores
            if store.name != DEFAULT_STORE
        ),
        params=tuple(Named(name=param.name, about=param.description) for param in content.flow.params),
        secrets=tuple(dict.fromkeys(lineage.named_secrets(content.flow, definitions))),
        ways=lineage.of_flow(flow.id, content.flow, definitions, default=default),
    )
