"""
What will run: a valid flow with every name looked up, every default filled in and every key written out.

A plan is made once, when a run is accepted (`pupload.domain.planning`), saved with the run and never changed: a run
keeps the flow it was started with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pupload.domain import values
from pupload.domain.facts import Limits
from pupload.domain.flow import Flow, Store
from pupload.domain.tiers import Tier


class Origin(StrEnum):
    """Where the object on an edge comes from."""

    NODE = "node"
    UPLOAD = "upload"
    STATIC = "static"
    WEBHOOK = "webhook"


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class PortPlan:
    """A bound port of a node."""

    port: str
    edge: str
    types: tuple[str, ...] = ()
    """Media types that are accepted (an input) or promised (an output); empty: any."""
    required: bool = True
    many: bool = False
    extension: str = ""
    """Of the file in the container, with its dot; empty where the type is not known beforehand."""
    limits: Limits | None = None
    """What the file may hold at most; None: anything."""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class EdgePlan:
    """An edge: where its object comes from, and where it is kept."""

    name: str
    origin: Origin
    store: str
    key: str
    """Where the sealed object is kept."""
    upload_key: str = ""
    """Where an upload is put before it is sealed; no name anybody can guess."""
    producer: str | None = None
    consumers: tuple[str, ...] = ()
    """Ids of the nodes that take it, in the flow's order."""
    lifetime_seconds: float | None = None
    """How long the object is kept after the run has ended; None: until the run is purged."""
    intermediate: bool = False
    """Whether it only passes between nodes, so that it goes when nobody needs it any more."""
    secret: str = field(default="", repr=False)
    """The HMAC secret of a webhook, or a reference to one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan:
    """How a failed attempt is tried again."""

    delay_seconds: float = 1.0
    max_seconds: float = 60.0
    on_exit_codes: tuple[int, ...] = ()
    never_on_exit_codes: tuple[int, ...] = ()
    more_memory: tuple[Tier, ...] = ()
    """The tiers to climb after running out of memory, smallest first; empty: none."""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """A node with its definition worked in."""

    id: str
    uses: str
    image: str
    """The reference the definition names; an attempt records the immutable id it ran."""
    tier: Tier
    inputs: tuple[PortPlan, ...] = ()
    outputs: tuple[PortPlan, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    """Values by name, defaults filled in; unset optional flags are absent."""
    command: tuple[str, ...] = ()
    """The definition's arguments with variables still in them (`pupload.domain.command`); empty: the image's own."""
    max_attempts: int = 3
    retry: RetryPlan = RetryPlan()
    timeout_seconds: float = 3600.0
    user: str = ""
    network: str = "none"
    capabilities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    transfer: str = "files"
    progress: str = ""
    secrets: tuple[str, ...] = ()
    """Names of secrets that the node gets; where a flag named one, its value is the path of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of a run that never changes."""

    flow: Flow
    nodes: Mapping[str, NodePlan]
    edges: Mapping[str, EdgePlan]
    stores: Mapping[str, Store] = field(default_factory=dict)
    """Those the flow brings along, by name."""
    timeout_seconds: float | None = None
    """For the whole run."""
    upload_seconds: float = 86400.0
    """How long an upload is awaited."""
    queue_seconds: float = 86400.0
    """How long a node waits for room."""
    mishaps: int = 10
    """How often a node is started again for what it did not cause."""
    warnings: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    """What the run was given, and the defaults of what it was not."""
