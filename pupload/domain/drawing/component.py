"""
What a node of a drawing can be, said as a value.

Some components the engine does itself, some run a node type, some only lend another node what they are set to; and
some nobody can run here until an operator gives a node definition for them, `operator/NAME`. All can be drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pupload.domain.drawing.ports import ComponentPort

OPERATOR = "operator"
"""The publisher of definitions by which operators have components run that nothing comes along for."""


class Kind(StrEnum):
    """How a component does what it does."""

    TRIGGER = "trigger"
    """Begins a run with what somebody gives."""
    CONTAINER = "container"
    """A node type."""
    SWITCH = "switch"
    """Lets through, each way on its condition."""
    CONFIRMATION = "confirmation"
    """Lets through when a person says yes."""
    SUBFLOW = "subflow"
    """Runs another drawing."""
    LOOP = "loop"
    """Has one node run for each item."""
    ERROR_HANDLER = "error_handler"
    """Says which drawing runs when a run fails."""
    LENDER = "lender"
    """Only lends what it is set to."""
    FOREIGN = "foreign"
    """Nothing comes along for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """What a node can be."""

    type: str
    """Its name, such as `switch`, or `Publisher/Name`."""
    label: str
    category: str
    description: str = ""
    icon: str = "box"
    color: str = "#64748b"
    inputs: tuple[ComponentPort, ...] = ()
    outputs: tuple[ComponentPort, ...] = ()
    sub_inputs: tuple[ComponentPort, ...] = ()
    """What it can be lent, each under the name of the handle."""
    config_schema: Mapping[str, Any] = field(default_factory=dict)
    """Of `extra_config`, a JSON Schema."""
    kind: Kind = Kind.FOREIGN
    uses: str = ""
    """`Publisher/Name` of the node definition that it runs; empty where none."""
    executable: bool = True
    """Whether it can run here."""
    remembers: bool = False
    """Whether its input `facts` is given what is remembered."""

    def requires(self, handle: str) -> bool:
        """Whether it cannot do without being lent this."""
        return any(port.name == handle and port.required for port in self.sub_inputs)

    def given(self) -> tuple[ComponentPort, ...]:
        """The outputs on which files lie."""
        return tuple(port for port in self.outputs if not port.is_lent)


HANDLES: Mapping[str, str] = {
    "llm": "model",
    "tool": "tools",
    "memory": "memory",
    "output_parser": "output_parser",
    "skill": "skills",
}
"""By label of an edge, what it is lent to its target as."""
