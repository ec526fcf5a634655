"""
What a node of a drawing hands on: the edges of a flow, and what must hold before somebody takes what lies on them.

Nodes that only let through have no place in a flow: what they are given they hand on, behind a gate. A gate is an input
of the node that takes it, and a condition on that.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pupload.domain.drawing import routing
from pupload.domain.drawing.model import DrawnEdge, DrawnNode
from pupload.domain.drawing.ports import ComponentPort, DataType, fit
from pupload.domain.flow import Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Something that must hold for a node to take what it is handed."""

    name: str
    """The input by which a node has what the gate asks about, unless it takes that anyway."""
    channel: str
    """The edge of the flow that it asks about."""
    ask: Callable[[str], str]
    """The condition, by the name of that input."""
    approves: bool = False
    """Whether a person says what lies there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """Something that is handed on."""

    port: ComponentPort
    """What it is."""
    channel: str
    """The edge of the flow on which it lies."""
    gates: tuple[Gate, ...] = ()

    def behind(self, *gates: Gate) -> "Outlet":
        """The same behind these gates as well."""
        return replace(self, gates=(*self.gates, *gates)) if gates else self


APPROVED = "json(input.{}).approved == true"


def approval(node_id: str, *, after: bool = False) -> Gate:
    """That a person says yes to the node before it begins, or after it has ended."""
    channel = f"{node_id}.approval-after" if after else f"{node_id}.approval"
    return Gate(name=channel, channel=channel, ask=APPROVED.format, approves=True)


def way(switch: DrawnNode, edge: DrawnEdge, channel: str) -> Gate:
    """That the switch lets through along this edge what lies on the channel. Asking may raise `routing.Unusable`."""
    return Gate(
        name=f"{switch.node_id}.route",
        channel=channel,
        ask=lambda name: routing.ask(switch, edge.condition, name),
    )


def asked_about(switch: DrawnNode, outlets: Sequence[Outlet]) -> Outlet:
    """What of that which the switch is given its rules ask about: the first that has fields, where they name some."""
    plain = (DataType.STRING, DataType.TEXT, DataType.IMAGE, DataType.FILE)
    deep = [outlet for outlet in outlets if outlet.port.data_type not in plain]
    return deep[0] if deep and routing.asks_for_fields(switch) else outlets[0]


def join(
    outlets: Sequence[Outlet], inputs: Sequence[ComponentPort], taken: Iterable[str]
) -> tuple[Outlet, ComponentPort] | None:
    """The first of what is handed on, and the first input that is free and takes it; None where there are none."""
    busy = set(taken)
    free = [each for each in inputs if each.name not in busy]
    # One file may go where many are taken, too; but first where one is.
    ordered = sorted(free, key=lambda each: each.many)
    for outlet in outlets:
        for target in ordered:
            if (target.many or not outlet.port.many) and fit(outlet.port, target):
                return outlet, target
    return None


def passage(bindings: Sequence[Binding], gates: Iterable[Gate]) -> tuple[tuple[Binding, ...], str | None]:
    """
    What the node binds besides to ask what its gates ask about, and the condition of them all; None without gates.

    Raises `routing.Unusable`.
    """
    bound = {binding.edge: binding.name for binding in reversed(bindings)}
    more = list[Binding]()
    asked = dict[str, None]()
    for gate in gates:
        if gate.channel not in bound:
            bound[gate.channel] = gate.name
            more.append(Binding(name=gate.name, edge=gate.channel))
        asked[gate.ask(bound[gate.channel])] = None
    if not asked:
        return (), None
    parts = [f"({each})" if " or " in each and len(asked) > 1 else each for each in asked]
    return tuple(more), " and ".join(parts)
