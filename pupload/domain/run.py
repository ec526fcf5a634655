"""
A run as it stands: its nodes, their attempts, the artifacts on its edges.

The states and the table of legal moves are here; which move is made, `pupload.domain.decide` says.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pupload.domain import values
from pupload.domain.artifact import Artifact
from pupload.domain.commands import Command
from pupload.domain.events import Event
from pupload.domain.memo import Missed, Source
from pupload.domain.plan import Plan


class Status(StrEnum):
    """Of a run."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    ERROR = "ERROR"
    STOPPED = "STOPPED"

    @property
    def terminal(self) -> bool:
        """Whether it never changes again."""
        return not RUN_MOVES[self]


class NodeStatus(StrEnum):
    """Of a node in a run."""

    IDLE = "IDLE"
    """Inputs are missing."""
    READY = "READY"
    """All inputs are there; waits for room."""
    RUNNING = "RUNNING"
    """An attempt holds resources: it is staged, executes, or its outputs are stored."""
    RETRYING = "RETRYING"
    """An attempt failed; the next one waits for its time."""
    COMPLETE = "COMPLETE"
    ERROR = "ERROR"
    SKIPPED = "SKIPPED"

    __hash__ = str.__hash__
    """That of an enumeration is written in Python, and asked for with every move of every node."""

    @property
    def terminal(self) -> bool:
        """Whether it never changes again."""
        return not NODE_MOVES[self]

    @property
    def active(self) -> bool:
        """Whether something of the node is under way: it waits for room, runs, or will be tried again."""
        return self in _ACTIVE


_ACTIVE = frozenset({NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.RETRYING})


RUN_MOVES: Mapping[Status, frozenset[Status]] = {
    Status.WAITING: frozenset({Status.RUNNING, Status.COMPLETE, Status.ERROR, Status.STOPPED}),
    Status.RUNNING: frozenset({Status.WAITING, Status.COMPLETE, Status.ERROR, Status.STOPPED}),
    Status.COMPLETE: frozenset(),
    Status.ERROR: frozenset(),
    Status.STOPPED: frozenset(),
}
"""The legal moves of a run."""

NODE_MOVES: Mapping[NodeStatus, frozenset[NodeStatus]] = {
    NodeStatus.IDLE: frozenset({NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.SKIPPED, NodeStatus.ERROR}),
    NodeStatus.READY: frozenset({NodeStatus.RUNNING, NodeStatus.COMPLETE, NodeStatus.ERROR, NodeStatus.SKIPPED}),
    NodeStatus.RUNNING: frozenset({NodeStatus.RETRYING, NodeStatus.COMPLETE, NodeStatus.ERROR}),
    NodeStatus.RETRYING: frozenset({NodeStatus.READY, NodeStatus.ERROR}),
    NodeStatus.COMPLETE: frozenset(),
    NodeStatus.ERROR: frozenset(),
    NodeStatus.SKIPPED: frozenset(),
}
"""The legal moves of a node."""


class Failure(StrEnum):
    """Why an attempt failed; docs/reference/errors.md tells what each means for the user."""

    EXIT = "exit"
    OOM = "oom"
    TIMEOUT = "timeout"
    IMAGE_MISSING = "image_missing"
    IMAGE_RATE_LIMITED = "image_rate_limited"
    WRONG_TYPE = "wrong_type"
    OUTPUT_MISSING = "output_missing"
    NOT_STARTABLE = "not_startable"
    STORE = "store"
    STORAGE = "storage"
    """The node wrote more than its tier's storage, or more files than it may."""
    DISK_FULL = "disk_full"
    RUNTIME = "runtime"
    CANCELLED = "cancelled"
    QUEUE = "queue"
    """There was no room for longer than a node may wait."""
    ITEMS = "items"
    """The collection has more items than the node may run for."""
    CONDITION = "condition"
    """It could not be told whether the node's condition is met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRef:
    """Names one attempt, in labels, paths and logs."""

    run: str
    node: str
    number: int
    """From 1, growing with every start of the node, whoever caused it."""
    id: str = field(init=False, compare=False, repr=False)
    """Unique; letters, digits, `_`, `.` and `-` only (node ids are held to that)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"{self.run}.{self.node}.{self.number}")


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One start of a node."""

    number: int
    ready_at: datetime
    """Since when it waits for room."""
    admitted_at: datetime | None = None
    """Since when it holds resources."""
    executing_at: datetime | None = None
    """Since when its container runs."""
    finished_at: datetime | None = None
    image: str = ""
    exit_code: int | None = None
    failure: str = ""
    """A `Failure`; empty while it goes on and when it ended well."""
    reason: str = ""
    """Why it failed, for a person."""
    stopping: str = ""
    """The `Failure` for which it is being ended; its own end is then told as that."""
    stopping_at: datetime | None = None
    """When it was last told to stop."""
    peak_memory_bytes: int | None = None
    missed: Missed | None = None
    """What came nearest to being used again instead; None where nobody looked."""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """How far a node is that runs once for each item of a collection."""

    total: int
    begun: int = 0
    """How many places had their turn: they have nodes of their own, or nothing lay there, or nothing is begun more."""
    complete: int = 0
    failed: int = 0
    cancelled: int = 0
    """How many ended badly after the run was told to end."""
    skipped: int = 0
    """How many did not run because others failed, or because the run was told to end."""
    empty: int = 0
    """How many places there was nothing at."""
    failure: str = ""
    """The `Failure` of the first that failed."""
    begun_at: datetime | None = None
    """When the first had its turn."""
    ended_at: datetime | None = None
    """When the last was over."""

    @property
    def ended(self) -> int:
        """How many are over."""
        return self.complete + self.failed + self.cancelled + self.skipped + self.empty

    @property
    def under_way(self) -> int:
        """How many have a node in no terminal state."""
        return self.begun - self.ended


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun:
    """A node in a run."""

    id: str
    status: NodeStatus = NodeStatus.IDLE
    attempts: tuple[Attempt, ...] = ()
    """In order; the last may be under way."""
    charged: int = 0
    """Failed attempts that the node itself caused."""
    mishaps: int = 0
    """Failed attempts that it did not."""
    climbed: int = 0
    """Steps up the ladder of tiers after running out of memory."""
    retry_at: datetime | None = None
    error: str = ""
    progress: float | None = None
    warning: str = ""
    reused: bool = False
    """It did not run: its artifacts are those of earlier work."""
    source: Source | None = None
    """Where that was done."""
    items: Items | None = None
    """Where it runs once for each item, from when its inputs are there; it has no attempts itself."""
    unmet: bool = False
    """It was skipped because a condition was not met, its own or one of what it needs: that is no failure."""

    @property
    def last(self) -> Attempt | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The run is to end so, as soon as nothing of it runs any more."""

    status: Status
    reason: str
    drain: bool = False
    """What runs may finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to without its handlers, which run from then on."""

    status: Status
    reason: str
    """What went wrong, or why it was stopped; empty where it is COMPLETE."""
    at: datetime


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A flow being executed."""

    id: str
    plan: Plan = field(repr=False)
    status: Status
    created_at: datetime
    version: int = 0
    """How often it was saved."""
    owner: str = ""
    """The controller that may save it; empty before it was saved first."""
    fence: int = 0
    """Grows with every change of owners: the token that a save must name."""
    finished_at: datetime | None = None
    nodes: Mapping[str, NodeRun] = field(default_factory=dict, repr=False)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict, repr=False)
    """By edge."""
    gone: Mapping[str, datetime] = field(default_factory=dict)
    """Edges whose object was deleted since the run ended, and when: their artifacts only tell what there was."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Edges that will never have an object: the reason, by edge."""
    active: AbstractSet[str] = frozenset()
    """Nodes that are READY, RUNNING or RETRYING: an index into `nodes`, so that big flows need no search."""
    unfinished: int = 0
    """How many nodes are in no terminal state: an index likewise."""
    ending: Ending | None = None
    error: str = ""
    """The first thing that went wrong for good."""
    resumed_from: str | None = None
    outcome: Outcome | None = None
    """None while other nodes than handlers have not ended, and where there are no handlers."""
    queued_at: datetime | None = None
    """Since when it waits for a slot; None: it does not."""
    slot_at: datetime | None = None
    """When it last waited long enough for one; None: it never had to wait."""
    priority: int | None = None
    """What was made of it since the run was begun; None: it is that of the plan (`pupload.domain.priority.of`)."""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A run as it now is, what happened to it, and what must be done about it."""

    run: Run
    events: tuple[Event, ...] = ()
    commands: tuple[Command, ...] = ()
    changed_nodes: frozenset[str] = frozenset()
    changed_edges: frozenset[str] = frozenset()
    """Edges that have an artifact now and had none before."""
    changed_head: bool = False
    """Whether the run itself is another, beside its nodes and artifacts: it is to end, say."""
    at: datetime

    @property
    def idle(self) -> bool:
        """Whether nothing changed, so that there is nothing to save."""
        return not self.events and not self.commands and not self.changed_head
