"""
What the service answers with: values of the domain, with what only the moment of asking can give (URLs, log tails).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pupload.domain import artifact, flow, nodedef, plan, run
from pupload.ports import LogRecord, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A request to run a flow."""

    flow: flow.Flow
    definitions: tuple[nodedef.NodeDef, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    """What is given to the run."""
    warnings: tuple[str, ...] = ()
    """What the surface noticed while reading, such as unknown fields."""
    provenance: plan.Provenance | None = None
    """The saved flow that it is."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the run is to be known by."""
    memoize: bool = True
    """Whether work that was done before may be used again; else every node does its own."""
    priority: int | None = None
    """None: the flow's."""
    account: int | None = None
    """Whose run it becomes."""
    parent: plan.Parent | None = None
    """On whose behalf the run is."""
    followed: bool = False
    """Whether something may follow from what becomes of the run, beside what its flow says."""
    timeout_seconds: float | None = None
    """How long the run may take at most; None: as its flow says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingUpload:
    """An edge that waits for its object."""

    edge: str
    store: str
    key: str
    """Where the sealed object will be."""
    url: str = field(repr=False)
    """A presigned PUT; for a webhook the path on this server that takes a POST."""
    expires_at: datetime
    deadline: datetime
    """When the run gives up waiting."""
    method: str = "PUT"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedApproval:
    """An edge on which a person is asked to say yes or no."""

    edge: str
    nodes: Sequence[str]
    """Those that wait for it."""
    deadline: datetime
    """When the run goes on without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedRun:
    """An edge that waits for the result of another flow's run."""

    edge: str
    flow: str
    run: str
    """Its id; empty where it was not started yet."""
    deadline: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PartTicket:
    """Where one part of a multipart upload goes."""

    number: int
    offset: int
    size: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTicket:
    """Leave to upload the object of an edge: one PUT, or parts."""

    waiting: WaitingUpload
    upload_id: str | None = None
    """Of the multipart upload; None where a single PUT does."""
    part_size: int | None = None
    parts: Sequence[PartTicket] = ()
    received: Sequence[Part] = ()
    """Parts that the store has already: an interrupted upload goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactView:
    """An artifact and how to get it."""

    artifact: artifact.Artifact
    url: str = field(repr=False)
    """A presigned GET; empty where the object was deleted."""
    deleted_at: datetime | None = None
    """Since when it is not kept any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Which items of a run are asked for: some of what a node runs for, or of what lies on an edge."""

    node: str = ""
    edge: str = ""
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which of how many there are."""

    offset: int
    limit: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run as it stands."""

    run: run.Run
    logs: Mapping[str, Sequence[LogRecord]]
    """The last lines of every node that wrote any."""
    waiting: Sequence[WaitingUpload]
    artifacts: Mapping[str, ArtifactView]
    """By edge."""
    nodes: Sequence[str]
    """Those to be shown: the flow's own, or those for some items."""
    warnings: Sequence[str] = ()
    approvals: Sequence[AwaitedApproval] = ()
    children: Sequence[AwaitedRun] = ()
    position: int | None = None
    """Which of those that wait for a slot it is, from 1; None where it is none, or another server's."""
    page: Page | None = None
    """Where items were asked for: nothing else is in `nodes`, `logs` and `artifacts` then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLine:
    """One thing the server needs, and whether it answers."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Numbers for the metrics page."""

    runs: Mapping[str, int]
    """Runs by status that this process knows of."""
    containers: int
    queued: int
    capacity: Mapping[str, float]
    used: Mapping[str, float]
    totals: Mapping[str, int]
    """Events since the start, by journal name."""
    runs_queued: int = 0
    """Runs that wait for a slot."""
    slots: int | None = None
    """How many runs may have something under way; None: any number."""
    slots_used: int = 0
    armed: int = 0
    """Containers that wait for their nodes."""
    standstills: int = 0
    """How often the process took no turns for seconds, since the start."""
    standstill_seconds: float = 0.0
    callbacks: Mapping[str, int] = field(default_factory=dict)
    """Deliveries brought to an end since the start, by how."""
    callbacks_pending: int = 0
    disk_free: Mapping[str, int] = field(default_factory=dict)
    """Bytes, by what is kept there."""
    deleted: Mapping[str, int] = field(default_factory=dict)
    """How much retention and purges deleted since the start, by kind."""
