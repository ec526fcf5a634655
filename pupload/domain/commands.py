"""
What to do, as orders to the engine.

Each may be carried out again after a crash without harm, and all can be had back from a saved run
(`pupload.domain.decide.outstanding`): that is what recovery does.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitUpload:
    """Watch for the object of this edge, and seal it when it is there."""

    edge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareNode:
    """The node will be needed: have its image at hand. A hint; nothing depends on it."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartNode:
    """Make this attempt as soon as there is room, and see it through to its end."""

    node: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopNode:
    """End this attempt: out of the queue, or TERM, grace, KILL. It reports its end like any other."""

    node: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRun:
    """The run is in a terminal state: give up all it holds."""


Command = AwaitUpload | PrepareNode | StartNode | StopNode | CloseRun
