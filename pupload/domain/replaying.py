"""
A run that has ended, with something about it changed: what its flow then is, and what of it must run again.

Flags of nodes can be set otherwise, and parts of the definitions that nodes use; a definition is changed for every node
that uses it. What is affected are those nodes; what lies behind them `pupload.domain.resuming` tells.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pupload import errors
from pupload.domain import values
from pupload.domain.flow import FlagValue, Flow, Node
from pupload.domain.nodedef import NodeDef, bare
from pupload.domain.plan import NodePlan, Plan

PARTS: Mapping[str, str] = {
    "image": "Image",
    "command": "Command",
    "tier": "Tier",
    "timeout": "Timeout",
    "maxattempts": "MaxAttempts",
    "user": "User",
    "network": "Network",
    "transfer": "Transfer",
    "progress": "Progress",
}
"""What can be changed of a definition, by its name in small letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Something that is to have another value."""

    node: str
    """The node's id; where a part of a definition is meant, `Publisher/Name` will do as well."""
    name: str
    """The flag, or the part: one of `PARTS`, in whatever case."""
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What is to be otherwise in the new run."""

    from_nodes: tuple[str, ...] = ()
    """These run again, changed or not."""
    flags: tuple[Setting, ...] = ()
    parts: tuple[Setting, ...] = ()


def edited(flow: Flow, definitions: Sequence[NodeDef], edits: Edits) -> tuple[Flow, tuple[NodeDef, ...]]:
    """
    The flow and its definitions, changed. Whether they still make sense is validation's to say.

    Raises `errors.Malformed` for nodes that there are not, and for parts that cannot be changed.
    """
    nodes = {node.id: node for node in flow.nodes}
    _check_nodes((*edits.from_nodes, *(each.node for each in edits.flags)), nodes)
    for setting in edits.flags:
        nodes[setting.node] = _with_flag(nodes[setting.node], setting)
    changed = {definition.uses: definition for definition in reversed(definitions)}
    for setting in edits.parts:
        uses = nodes[setting.node].uses if setting.node in nodes else setting.node
        if uses not in changed or all(node.uses != uses for node in nodes.values()):
            _check_nodes((setting.node,), nodes)
            raise errors.Malformed(reason=f"the definition {uses} of node {setting.node} is not known any more")
        changed[uses] = _with_part(changed[uses], setting)
    return replace(flow, nodes=tuple(nodes.values())), tuple(changed[each.uses] for each in _once(definitions))


def affected(old: Plan, new: Plan, definitions: Sequence[NodeDef], edits: Edits) -> frozenset[str]:
    """
    The nodes that have to run again of themselves: those named, and those that would not do the same.

    `definitions` are those of before.
    """
    return frozenset((*edits.from_nodes, *_otherwise(old, new, definitions)))


def _otherwise(old: Plan, new: Plan, definitions: Sequence[NodeDef]) -> Iterator[str]:
    before = {definition.uses: bare(definition) for definition in reversed(definitions)}
    changed = {definition.uses for definition in new.definitions if before.get(definition.uses) != definition}
    for node, planned in new.nodes.items():
        if planned.uses in changed or _done(planned) != _done(old.nodes[node]):
            yield node


def _done(node: NodePlan) -> tuple[object, ...]:
    return node.image, node.command, node.flags


def anew(plan: Plan, nodes: Collection[str]) -> Plan:
    """The plan of a replay in which these nodes run: the same work of another run will not do in their place."""
    forced = {node: values.replace(plan.nodes[node], memoize=False) for node in nodes}
    return replace(plan, nodes={**plan.nodes, **forced}, replays=True)


def _check_nodes(named: Collection[str], nodes: Mapping[str, Node]) -> None:
    for node in named:
        if node not in nodes:
            known = ", ".join(list(nodes)[:20]) + (", ..." if len(nodes) > 20 else "")
            raise errors.Malformed(reason=f"the run has no node {node[:128]}; it has: {known}")


def _once(definitions: Sequence[NodeDef]) -> Sequence[NodeDef]:
    """Without those behind another of the same name, which are never looked at."""
    return tuple({definition.uses: definition for definition in definitions}.values())


def _with_flag(node: Node, setting: Setting) -> Node:
    others = tuple(flag for flag in node.flags if flag.name != setting.name)
    return replace(node, flags=(*others, FlagValue(name=setting.name, value=setting.value)))


def _with_part(definition: NodeDef, setting: Setting) -> NodeDef:
    part, value = setting.name.lower(), setting.value
    match part:
        case "image" | "tier" | "timeout" | "user" | "network" | "transfer" | "progress":
            return replace(definition, **{part: value})  # type: ignore[arg-type]
        case "command":
            return replace(definition, command=replace(definition.command, exec=value))
        case "maxattempts":
            if not (value.isascii() and value.isdecimal() and len(value) < 10):
                raise errors.Malformed(reason=f"MaxAttempts must be a whole number, not {value[:64]}")
            return replace(definition, max_attempts=int(value))
        case _:
            known = ", ".join(PARTS.values())
            raise errors.Malformed(reason=f"{setting.name[:64]} cannot be changed in a replay; what can is: {known}")
