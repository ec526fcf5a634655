"""Runs, what happened in them, and what their nodes wrote."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, Self

from pupload.domain import events, run, values
from pupload.ports.artifacts import ArtifactIndex
from pupload.ports.following import Following
from pupload.ports.overview import Overview


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a run's journal."""

    run: str
    seq: int
    """From 1, without gaps, per run."""
    at: datetime
    event: events.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run as lists show it."""

    id: str
    flow: str
    status: run.Status
    created_at: datetime
    started_at: datetime | None
    """When something of it first had room (`pupload.domain.queueing.starts`)."""
    finished_at: datetime | None
    error: str
    flow_id: str = ""
    """The saved flow that it is of; empty where it is of none."""
    account: int | None = None
    """Whose it is; None: nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Some of the runs that match, newest first."""

    runs: Sequence[RunSummary]
    total: int
    """Of all runs that match, not of this page."""


class Retention(Protocol):
    """
    What is still kept of runs that are over, and when it is looked at next.

    Deleting is in two steps. First the database says that it is gone (`tidied`, `doom`): from then on nobody is
    shown it and nobody builds on it. Then the objects go. Whatever happens between, the run stays due and the second
    step comes again.
    """

    async def untidied(self, *, limit: int = 1000) -> Sequence[str]:
        """The ids of ended runs of which nobody has said yet when something is due (`plan_tidying`)."""

    async def plan_tidying(self, moments: Mapping[str, datetime | None], *, doomed: bool = False) -> None:
        """
        Says when each of these runs is looked at next; None: never.

        Nothing happens to one that is doomed, or that is not where `doomed` is said, nor where there is no such run.
        """

    async def next_tidying(self) -> datetime | None:
        """The earliest moment planned, that of a doomed run included; None when there is none."""

    async def due_for_tidying(self, now: datetime, *, limit: int = 100) -> Sequence[str]:
        """The ids of runs whose moment has come, the longest overdue first. Doomed ones are not among them."""

    async def tidied(self, run_id: str, *, gone: Iterable[str] = (), at: datetime) -> None:
        """The objects on these edges are gone since `at`, for whoever loads the run. What was gone before stays so."""

    async def kept_by_kin(self, run_id: str) -> frozenset[tuple[str, str]]:
        """
        Store and key of every object that is not gone in another run of the family, which is not doomed.

        A family is a run and all that resumed it, and all that resumed those: they share objects.
        """

    async def doom(self, run_id: str, at: datetime) -> None:
        """
        The run does not exist any more, but for `doomed`, `load_doomed` and `erase`; its moment is `at`.

        Its idempotency key may be used again. Raises `errors.UnknownRun`, `errors.Conflict` when it is not over.
        """

    async def doom_older(self, before: datetime, at: datetime, *, limit: int = 100) -> Sequence[str]:
        """
        As `doom` does, runs that are over and started before, the oldest first. Returns the ids of those it is done to:
        fewer than `limit` where there are no more.
        """

    async def doomed(self, now: datetime, *, limit: int = 100) -> Sequence[str]:
        """The ids of doomed runs whose moment has come, the longest overdue first."""

    async def load_doomed(self, run_id: str) -> run.Run:
        """As `RunStore.load`, for a doomed run. Raises `errors.UnknownRun`, also for any other, `errors.Damaged`."""

    async def erase(self, run_id: str, *, rows: int = 1000) -> bool:
        """
        Removes so many rows of a doomed run, so that nobody waits long for the writer. Returns whether all are gone.
        """

    async def agree_on_terms(self, terms: str) -> bool:
        """
        Whether these are the terms that were last agreed on. If not they are now, and all moments are open again.

        Doomed runs stay due.
        """


class RunStore(Retention, Overview, ArtifactIndex, Following, Protocol):
    """Runs, durably. What was saved is there after a crash; what was not is as if it never happened."""

    async def create(self, decision: run.Decision, *, idempotency_key: str | None = None) -> run.Run:
        """
        Saves a new run with its plan and its first events, in one commit: version 1, owned by this controller, fence 1.

        Returns it; or, when a run was created with this key before, that earlier run and saves nothing. One whose plan
        is ephemeral is doomed from the beginning: who drives it can `load`, `save` and take it over until it is closed;
        nobody else is shown it, and then it is due to be erased.
        """

    async def load(self, run_id: str) -> run.Run:
        """
        The run as last saved. Raises `errors.UnknownRun`, `errors.Damaged`.

        One that ended in ERROR is given back as far as it can be read, so that whoever asks why gets an answer.
        """

    async def save(self, decision: run.Decision, *, if_version: int) -> run.Run:
        """
        Saves `decision.run` and appends `decision.events` to its journal, in one durable commit.

        Returns the run with its new version, `if_version + 1`. Only nodes and edges named in `decision.changed_nodes`
        and `decision.changed_edges` are written. Nothing is saved where it raises: `errors.Fenced` when this
        controller does not own the run (any more), or owns it with another token than `decision.run.fence`;
        `errors.Stale` when the version is another one. Commits of many callers may be grouped; each returns when its
        own is durable.
        """

    async def list(
        self,
        *,
        status: run.Status | None = None,
        flow: str | None = None,
        flow_id: str | None = None,
        started: bool | None = None,
        account: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> RunPage:
        """
        Newest first; `flow` is the name that the flow itself has, `flow_id` a saved flow, `account` whose they are.

        Where `started` is said, only runs that are not over: those that have started, or those that have not.
        """

    async def unfinished(self) -> Sequence[str]:
        """The ids of all runs that are not in a terminal state, oldest first."""

    async def condemn(self, run_id: str, reason: str, at: datetime) -> None:
        """
        Ends a run that cannot be read back: it is ERROR from now on, for this reason, and its journal says so.

        Nothing else of it is touched, so that what can be read still can. Nothing happens to a run that is over.
        """

    async def close(self, run_id: str) -> None:
        """
        The run is over and has given up all it held: it is not taken up any more (`Ownership.take_over`).

        Nothing happens to a run that is not over, is not there, or belongs to another controller. One that is ephemeral
        is `doomed` afterwards, and due.
        """

    async def delete(self, run_id: str) -> None:
        """Removes the run, its journal and its logs. Nothing happens where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line that a node's container wrote, or that pupload says about the attempt."""

    at: datetime
    stream: Literal["stdout", "stderr", "pupload"]
    message: str
    level: str = ""
    """DEBUG, INFO, WARN, ERROR; empty where the line names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """A log line in its place."""

    run: str
    node: str
    attempt: int
    number: int
    """From 1, without gaps, per attempt."""
    cursor: int
    """Grows with every line of the run: what `since` takes."""
    line: LogLine


class Journal(Protocol):
    """Everything that happened in a run: its events, and the log lines of its nodes."""

    async def read(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """Entries with `seq > after`, in order. Empty when there are none (an unknown run has none)."""

    async def write_logs(
        self, run_id: str, node: str, attempt: int, lines: Sequence[LogLine], *, after: int | None = None
    ) -> None:
        """
        Appends the lines, numbered on from those of this attempt already written. Durable when it returns.

        `after` is how many the caller takes for written. Raises `errors.Stale`, and writes nothing, when it is not so:
        another controller that has the run has written on.
        """

    async def count_logs(self, run_id: str, node: str, attempt: int) -> int:
        """How many lines of this attempt were written: where to go on after a crash."""

    async def read_logs(
        self, run_id: str, *, node: str | None = None, attempt: int | None = None, since: int = 0, limit: int = 1000
    ) -> Sequence[LogRecord]:
        """Records with `cursor > since`, in order of the cursor."""

    async def log_tails(
        self, run_id: str, *, lines: int, nodes: Collection[str] | None = None
    ) -> Mapping[str, Sequence[LogRecord]]:
        """The last `lines` of every node that wrote any, or of those of these nodes, by node, in order."""

    def subscribe(self, run_id: str) -> "Subscription":
        """
        Wakes whoever waits when the run's journal or logs grew, by this process or (where the adapter can) another.

        It carries no data: the reader reads on from its own cursor, so a lost or doubled wake-up loses nothing.
        """


class Subscription(Protocol):
    """A context manager; leaving it ends the subscription."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    async def wait(self) -> None:
        """Returns when something was written since the last return (or since entering)."""
