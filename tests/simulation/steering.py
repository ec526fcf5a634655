"""Conditions and handlers for some of the flows that are played, drawn without disturbing what else is drawn."""

import random
from collections.abc import Sequence
from dataclasses import replace

from pupload.domain.flow import HANDLERS, Binding, Node
from pupload.domain.nodedef import NodeDef, Port

CONDITIONS = (
    "input.in0.size > 0",
    "input.in0.size > 20",
    "input.in0.type == 'image/png'",
    "input.in0.type startswith 'image/' and input.in0.width == null",
    "not input.in0.present",
    "json(input.in0) == null",
)
"""Met or not; of the last it cannot be told, for what nodes write is no JSON."""


def steered(
    chance: random.Random, name: str, nodes: Sequence[Node], definitions: Sequence[NodeDef]
) -> tuple[tuple[Node, ...], tuple[NodeDef, ...]]:
    """The nodes with conditions, and handlers behind them; and the definitions that those need."""
    made = {binding.edge: node.id for node in nodes for binding in node.outputs}
    changed = [_with_condition(chance, node, made) for node in nodes]
    many = {(one.uses, port.name) for one in definitions for port in one.outputs if port.many}
    single = (binding.edge for node in nodes for binding in (*node.inputs, *node.outputs))
    collections = {
        binding.edge
        for node in nodes
        for binding in node.outputs
        if node.for_each is not None or (node.uses, binding.name) in many
    }
    # Not what is uploaded: it may come after all else has ended, and what a handler finds is a matter of time then.
    edges = sorted((set(single) & set(made)) - collections)
    handlers, more = list[Node](), list[NodeDef]()
    for number in range(chance.choice((0, 1, 1, 2, 3))):
        taken = chance.sample(edges, min(len(edges), chance.choice((0, 0, 1, 2))))
        handlers.append(
            Node(
                id=f"h{number}",
                uses=f"sim/{name}-h{number}",
                inputs=tuple(Binding(name=f"in{place}", edge=edge) for place, edge in enumerate(taken)),
                outputs=(Binding(name="out0", edge=f"h{number}-0"),),
                runs=chance.choice(HANDLERS),
            )
        )
        more.append(_definition(chance, f"{name}-h{number}", len(taken)))
    return (*changed, *handlers), tuple(more)


def _with_condition(chance: random.Random, node: Node, made: dict[str, str]) -> Node:
    if not node.inputs or chance.random() < 0.5:
        return node
    asked = [f"node.{made[node.inputs[0].edge]}.status == 'COMPLETE'"] if node.inputs[0].edge in made else []
    return replace(node, when=chance.choice([*CONDITIONS, *asked]))


def _definition(chance: random.Random, name: str, inputs: int) -> NodeDef:
    return NodeDef(
        publisher="sim",
        name=name,
        image=f"sim/{name}:latest",
        inputs=tuple(Port(name=f"in{port}", required=chance.random() < 0.3) for port in range(inputs)),
        outputs=(Port(name="out0"),),
        tier="c-nano",
        max_attempts=chance.choice((1, 2, 3)),
        timeout="24h",  # so long handlers may take together: whether there is room for them must not decide
    )
