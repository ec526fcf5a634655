"""
What happened in a run, in the past tense.

The first kind is reported by the world: `pupload.domain.decide.decide` takes it in. The second kind follows from a
decision. Both are written to the run's journal, in the order in which they happened; `TimePassed` alone is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pupload.domain import values
from pupload.domain.artifact import Artifact
from pupload.domain.memo import Missed, Source

# ── Reported by the world ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """The moment that `run.due` named is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSealed:
    """The object of an edge that no node produces is there, and recorded."""

    edge: str
    artifact: Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRefused:
    """The object of an edge that no node produces cannot be used, or did not come."""

    edge: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAdmitted:
    """There is room for the attempt: it holds its tier's resources from now on."""

    node: str
    attempt: int


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted:
    """The attempt's container runs."""

    node: str
    attempt: int
    image: str
    """The immutable id of the image."""
    missed: Missed | None = None
    """What came nearest to being used again instead; None where nobody looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProgressed:
    """The node told how far it is."""

    node: str
    attempt: int
    progress: float
    """0 to 1."""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSucceeded:
    """The attempt ended well, and its outputs are stored: this is what makes them visible."""

    node: str
    attempt: int
    exit_code: int
    artifacts: tuple[Artifact, ...] = ()
    peak_memory_bytes: int | None = None
    warning: str = ""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """The attempt ended badly, and nothing of it is left."""

    node: str
    attempt: int
    failure: str
    """A `run.Failure`."""
    reason: str
    exit_code: int | None = None
    """None when the command never ran."""
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """Somebody wants the run to stop."""

    mode: str
    """`kill`: at once; `drain`: what runs may finish, nothing starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQueued:
    """The run waits for a slot: as many others have begun as may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDequeued:
    """There is a slot for the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityChanged:
    """Somebody wants the run to come before others, or after them."""

    priority: int


# ── Following from a decision ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreated:
    """The run was accepted and saved."""

    flow: str
    """The flow's name."""
    nodes: int
    resumed_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWaiting:
    """Nothing runs, and nothing can start before these uploads arrive."""

    edges: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRunning:
    """At least one node is queued, staged, executing or between attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCompleted:
    """Every node succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """The run ended because something went wrong for good."""

    error: str
    """The first thing that did, for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopped:
    """The run was cancelled, and nothing of it runs any more."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReady:
    """All inputs of the node are there; it waits for room."""

    node: str
    attempt: int
    """The number of the attempt that will be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRetrying:
    """The node's last attempt failed, and there will be another."""

    node: str
    attempt: int
    """The attempt that failed."""
    failure: str
    reason: str
    exit_code: int | None
    retry_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFailed:
    """The node failed for good."""

    node: str
    attempt: int
    """The last attempt; 0 when there was none."""
    failure: str
    reason: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSkipped:
    """The node will not run."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeExpanded:
    """All inputs of the node are there; it runs once for each item, by nodes that are called after it."""

    node: str
    items: int
    reused: int = 0
    """How many of them need not run: the run that this one resumes has done them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGathered:
    """All that the node ran for its items has ended, well enough: what was made are collections now."""

    node: str
    items: int
    complete: int
    failed: int
    empty: int
    """Places at which there was nothing to run for."""
    artifacts: tuple[Artifact, ...] = ()
    """The collections, without their items."""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReused:
    """
    The node does not run, for its work was done before: by the run that this one resumes, or by any run, on the same
    inputs. Its artifacts are linked or copied.
    """

    node: str
    artifacts: tuple[Artifact, ...] = field(default_factory=tuple)
    attempt: int = 0
    """The attempt that is spared; 0 where the run was begun with it."""
    source: Source | None = None
    """Where the work was done; None for a run that was resumed by an earlier version."""


Report = (
    TimePassed
    | UploadSealed
    | UploadRefused
    | NodeAdmitted
    | NodeStarted
    | NodeProgressed
    | NodeSucceeded
    | NodeReused
    | AttemptFailed
    | CancelRequested
    | RunQueued
    | RunDequeued
    | PriorityChanged
)
"""What `decide` takes in."""

Event = (
    UploadSealed
    | UploadRefused
    | NodeAdmitted
    | NodeStarted
    | NodeProgressed
    | NodeSucceeded
    | AttemptFailed
    | CancelRequested
    | RunQueued
    | RunDequeued
    | PriorityChanged
    | RunCreated
    | RunWaiting
    | RunRunning
    | RunCompleted
    | RunFailed
    | RunStopped
    | NodeReady
    | NodeExpanded
    | NodeGathered
    | NodeRetrying
    | NodeFailed
    | NodeSkipped
    | NodeReused
)
"""What a journal holds."""

KINDS: Mapping[str, type[Event]] = {
    "upload.sealed": UploadSealed,
    "upload.refused": UploadRefused,
    "node.admitted": NodeAdmitted,
    "node.started": NodeStarted,
    "node.progressed": NodeProgressed,
    "node.succeeded": NodeSucceeded,
    "attempt.failed": AttemptFailed,
    "cancel.requested": CancelRequested,
    "run.queued": RunQueued,
    "run.dequeued": RunDequeued,
    "priority.changed": PriorityChanged,
    "run.created": RunCreated,
    "run.waiting": RunWaiting,
    "run.running": RunRunning,
    "run.completed": RunCompleted,
    "run.failed": RunFailed,
    "run.stopped": RunStopped,
    "node.ready": NodeReady,
    "node.expanded": NodeExpanded,
    "node.gathered": NodeGathered,
    "node.retrying": NodeRetrying,
    "node.failed": NodeFailed,
    "node.skipped": NodeSkipped,
    "node.reused": NodeReused,
}
"""The name of each kind, in the journal and on every wire. A name never changes its meaning."""

NAMES: Mapping[type[Event], str] = {kind: name for name, kind in KINDS.items()}


def name_of(event: Event) -> str:
    """The event's name in the journal, such as `node.started`."""
    return NAMES[type(event)]
