"""
What pupload asks of the world.

Each class here is a promise that an adapter makes and the engine relies on; the contract is in the docstrings, and
one contract suite (`tests/contracts/`) proves it for every adapter, the in-memory ones included. Nothing in this
module does anything.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar, runtime_checkable

from pupload.domain import (
    delivery,
    events,
    facts,
    flow,
    memo,
    nodedef,
    places,
    run,
    saved,
    shares,
    tables,
    tiers,
    values,
    watermark,
)

T = TypeVar("T")

# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Clock(Protocol):
    """The time, and waiting for it. Tests give one that they turn by hand."""

    def now(self) -> datetime:
        """
        The time in UTC, time zone attached: what runs are told.

        It runs evenly. When somebody sets the wall clock it follows slowly, and never goes back.
        """

    def skew(self) -> timedelta:
        """
        How far the wall clock is ahead of `now`.

        Others' times (a store's, a sender's) are taken back by it before they are compared with ours, and ours put
        forward by it before others are to judge them.
        """

    def monotonic(self) -> float:
        """Seconds that never go back: for durations."""

    async def sleep_until(self, when: datetime) -> None:
        """Returns at `when`, at once if that has passed."""

    async def sleep(self, seconds: float) -> None:
        """Returns after so long, whatever somebody does to the wall clock meanwhile."""


# ── Runs and what happened in them ───────────────────────────────────────────────────────────────────────────────


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
    finished_at: datetime | None
    error: str
    flow_id: str = ""
    """The saved flow that it is of; empty where it is of none."""


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


class RunStore(Retention, Protocol):
    """Runs, durably. What was saved is there after a crash; what was not is as if it never happened."""

    async def create(self, decision: run.Decision, *, idempotency_key: str | None = None) -> run.Run:
        """
        Saves a new run with its plan and its first events, in one commit: version 1, owned by this controller, fence 1.

        Returns it; or, when a run was created with this key before, that earlier run and saves nothing.
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
        limit: int = 100,
        offset: int = 0,
    ) -> RunPage:
        """Newest first; `flow` is the name that the flow itself has, `flow_id` a saved flow."""

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

        Nothing happens to a run that is not over, is not there, or belongs to another controller.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something that happened in some run."""

    place: places.Place
    """Where whoever was told this goes on."""
    flow: str
    """The name of the run's flow."""
    flow_id: str
    """The saved flow's; empty where it is none."""
    what: Entry | LogRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsPage:
    """A part of the feed."""

    news: Sequence[News]
    place: places.Place
    """Where to go on; it moves on where there was nothing to tell, too."""
    held: bool = False
    """More was written that is not to be told before somebody else's commit."""


class Feed(Protocol):
    """
    What happens in all runs, in one order, which is the order of commits as far as anybody can tell.

    What one run's journal and logs hold comes in their own order. Nothing comes of a run that is doomed.
    """

    async def read(self, after: places.Place, *, logs: bool, limit: int = 1000) -> NewsPage:
        """
        What comes behind `after`, with log lines or without; some more than `limit`, or less, but not endlessly more.

        With no news, and `after` itself, there is nothing more as yet. Nothing is ever written before a place that was
        given out. Raises `errors.CursorExpired` where it cannot be known any more what came behind it.
        """

    async def end(self) -> places.Place:
        """Behind all that can be told now."""

    async def trim(self, *, keep: int) -> None:
        """Of the oldest commits nobody can be told any more: so many are kept, or more."""

    def subscribe(self) -> "Subscription":
        """Wakes whoever waits when there may be more, as `Journal.subscribe` does for one run."""


# ── Who owns which runs ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A server among those on one database."""

    id: str
    """Stable for a data folder, so that a server that comes back finds its own runs at once."""
    name: str
    """Host and process, for a person."""
    engine: str
    """The container engine it uses, by the engine's own id: two controllers on one engine share its room."""
    store: str
    """Its default store, as far as it can be told apart (endpoint and bucket): all controllers must have the same."""


Share = shares.Share
"""So much of an engine's room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nudge:
    """Somebody says that the object of this edge is there."""

    edge: str


Letter = events.Report | Nudge
"""What a run's owner is told by a controller that does not own it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A letter in the post."""

    id: int
    run: str
    letter: Letter


class Ownership(Protocol):
    """
    Which controller owns which run, among those on one database.

    A controller holds a lease, which it renews. A run names its owner and a fencing token, which grows with every
    change of hands; whoever saves names both (`RunStore.save`), so that a controller that was frozen while its lease
    ran out cannot write over its successor. Leases are timed by one clock: the database server's, where there is one.
    """

    async def sign_in(self, controller: Controller, *, lease_seconds: float) -> None:
        """
        This controller holds a lease from now on; the runs it creates are its own.

        Where only one controller can be on the database (a file, which its process has locked), the leases of all
        others are over. Raises `errors.Misconfigured` when a live controller has another default store.
        """

    async def renew(self) -> Sequence[Controller]:
        """Renews the lease, also one that has run out. Returns the other controllers with a live lease."""

    async def sign_out(self) -> None:
        """The lease is over: others may take the runs over at once. Nothing happens twice."""

    async def take_over(self, *, limit: int = 1000) -> Sequence[str]:
        """
        Runs that are not over, or over and not closed, and whose owner has no live lease, or is this controller's own
        earlier self (before it signed in): they are its own now, with a new fencing token and a new version.

        Returns their ids, oldest first, at most `limit`; empty when there are none left. Two controllers never get
        the same.
        """

    async def owned(self) -> Sequence[str]:
        """The ids of all runs that this controller owns and that are not closed, oldest first."""

    async def claim(self, wanted: Share, *, held: Share, hungry: bool, of: Share) -> Share:
        """
        How much of its engine's room `of` this controller may hand out from now on.

        All of it for the only one on its engine. Else at least nothing and at most `wanted`, so that the claims of
        all live controllers on the engine never add up to more than `of`; `wanted` is never less than what its live
        attempts `held`, nor is what they hold ever more than the last claim. One that is not `hungry` keeps what it
        wants; among those that are, nobody gets more than an even part who does not hold it already. Nothing for one
        that has signed out. A lease that ran out took the claim with it, so claim again before handing out more; but
        when it is renewed, or another process signs in as the same controller, others leave that much alone until
        then: attempts may hold it still.
        """

    async def post(self, run_id: str, letter: Letter) -> int:
        """
        Leaves a letter for the run's owner, durably. Returns its id.

        Nothing happens where there is no such run, or it is closed: the id is of a letter that is taken.
        """

    async def letters(self) -> Sequence[Posted]:
        """Letters for the runs that this controller owns, oldest first."""

    async def take_letters(self, ids: Iterable[int]) -> None:
        """Removes letters that were worked in."""

    async def is_taken(self, letter_id: int) -> bool:
        """Whether nobody needs to work in the letter any more."""

    def news(self) -> "Subscription":
        """
        Wakes when a letter came or was taken, or a controller claimed room for the first time, or signed out.

        Wake-ups may be lost: look now and then, too.
        """


# ── Work that was done ───────────────────────────────────────────────────────────────────────────────────────────


class Memo(Protocol):
    """
    Work that was done, to be used again, durably.

    It is a memory, not a record: an entry may be gone at any time, and goes with the run whose objects it names. What
    is remembered in one scope is not known in another.
    """

    async def find(self, scope: str, key: str) -> memo.Entry | None:
        """The entry of this key; None where nobody did that work, or it is not remembered any more."""

    async def kin(self, scope: str, uses: str, *, limit: int = 8) -> Sequence[memo.Entry]:
        """The latest work of nodes of the type `uses`, latest first."""

    async def keep(self, scope: str, entries: Sequence[memo.Entry]) -> None:
        """Remembers them, each in place of an earlier one of its key, but those whose run is not there any more."""

    async def forget(self, scope: str, entry: memo.Entry) -> None:
        """It is not remembered any more. Nothing happens where another has come in its place."""

    async def tidy(self, before: datetime, *, most: int) -> None:
        """
        Entries neither made nor used since `before` are forgotten, and the longest unused of more than `most`.
        """


# ── Callbacks ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What there is to send."""

    pending: int
    """Deliveries that are neither delivered nor given up."""
    due_at: datetime | None
    """When the next of them is due; None when there are none."""


class Outbox(Protocol):
    """
    Messages to those who want to be told of runs, and what became of them; durably.

    Several controllers may send from one outbox. Whoever tries a delivery saves it first as being tried
    (`delivery.claimed`): of those who do so at once, one succeeds.
    """

    async def add(self, deliveries: Sequence[delivery.Delivery]) -> None:
        """
        Saves those of a run that are not there yet, by their ids; those that are there stay as they are.

        Nothing happens where the run is not there (any more).
        """

    async def put(self, this: delivery.Delivery) -> delivery.Delivery | None:
        """
        Saves it in place of the one with the same version. Returns it with its new version.

        None, and nothing is saved, when somebody else saved it since, or it is not there any more.
        """

    async def get(self, run_id: str, delivery_id: str) -> delivery.Delivery:
        """Raises `errors.UnknownDelivery` when the run has none of this id."""

    async def of_run(self, run_id: str) -> Sequence[delivery.Delivery]:
        """All of a run, by their ids."""

    async def due(self, now: datetime, *, per_host: int, limit: int) -> Sequence[delivery.Delivery]:
        """
        Those that are due by `now`, the earliest first: at most `limit`, and at most `per_host` of each host.

        So a host with many that it does not take keeps nobody else's from being found.
        """

    async def outlook(self) -> Outlook:
        """What there is to send, by whichever controller."""


class Poster(Protocol):
    """Sends messages to receivers that others name."""

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, trusted: bool, timeout_seconds: float
    ) -> delivery.Reply:
        """
        POSTs the body, and returns what came back within the time, or why nothing did: nothing of that is raised.

        No redirect is followed, and little of the answer is read. Where the URL is not `trusted`, the address that is
        connected to is one that the operator lets flows reach: judged after the name was resolved.
        """

    async def close(self) -> None:
        """Gives up connections."""


# ── Room on disk ─────────────────────────────────────────────────────────────────────────────────────────────────


class Disks(Protocol):
    """The file systems that fill up when pupload works."""

    async def look(self) -> Sequence[watermark.Space]:
        """Each of them as it is now, that of the data folder first. One that cannot be seen is left out."""


# ── Projects ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Flows and node definitions that belong together, as pushed by `pup push`."""

    id: str
    """A UUID, lower case."""
    name: str = ""
    flows: tuple[flow.Flow, ...] = ()
    definitions: tuple[nodedef.NodeDef, ...] = ()
    stores: tuple[flow.Store, ...] = ()


class FlowStore(Protocol):
    """Projects, durably."""

    async def put_project(self, project: Project) -> None:
        """Saves it, in place of an earlier one of the same id."""

    async def get_project(self, project_id: str) -> Project:
        """Raises `errors.UnknownProject`."""


SavedFlows = saved.SavedFlows
"""Flows kept under a name with every version they had: promised beside what is kept, for here is no more room."""
SavedPage = saved.Page


class Catalogue(Protocol):
    """Node definitions known by name, whoever's flow uses them."""

    async def find(self, uses: str) -> nodedef.NodeDef | None:
        """The definition `Publisher/Name`, or None."""

    async def all(self) -> Sequence[nodedef.NodeDef]:
        """All of them, by name."""


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Sealer(Protocol):
    """Encrypts what a database keeps, with keys that are kept elsewhere. Quick: microseconds for kilobytes."""

    def seal(self, data: bytes, *, about: str) -> bytes:
        """The data, unreadable and unchangeable. `about` says what it is for: it opens for nothing else."""

    def open(self, sealed: bytes, *, about: str) -> bytes:
        """
        The data of `seal`.

        Raises `errors.Misconfigured` when it was sealed with a key that is not there, `errors.Damaged` when it was
        changed, or sealed for something else.
        """

    def renew(self, *, new_key: bool) -> str:
        """
        Looks at the keys again; with `new_key` there is one more, which seals from now on. All others still open.

        Returns the id of the key that seals. Raises `errors.Misconfigured`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretInfo:
    """What may be told of a secret."""

    name: str
    changed_at: datetime


class SecretStore(Protocol):
    """Values that flows name and nobody reads, durably and sealed."""

    async def put(self, name: str, value: str, *, at: datetime) -> None:
        """Saves it, in place of an earlier one of the name. What it may be is told by `pupload.domain.secret`."""

    async def reveal(self, name: str) -> str | None:
        """The value; None when there is no such secret."""

    async def list(self) -> Sequence[SecretInfo]:
        """All of them, by name, without their values."""

    async def remove(self, name: str) -> None:
        """Raises `errors.UnknownSecret`."""

    async def reseal(self, *, new_key: bool) -> str:
        """
        Everything that the database keeps sealed, secrets and else, is sealed with the newest key afterwards.

        `new_key` and what is returned are those of `Sealer.renew`.
        """


# ── Objects ──────────────────────────────────────────────────────────────────────────────────────────────────────

Audience = Literal["user", "server", "node"]
"""Who will use a URL: SigV4 signs the host, so it is signed for the name its user will use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStat:
    """What a store knows of an object."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Without quotes. It is no hash."""
    content_type: str
    modified_at: datetime
    sha256: str | None = None
    """Lower-case hex, where the store computed it from the bytes itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a multipart upload that the store has."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipartUpload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLine:
    """One thing that was tried on a store."""

    what: str
    ok: bool
    warning: bool = False
    """Whether what works so could be better, or safer; with `ok` only."""
    detail: str = ""
    """What is lacking and what it costs, or how to mend it."""


class ObjectStore(Protocol):
    """
    One bucket of an S3-compatible store.

    Every method that asks the store raises `errors.StoreUnavailable` after its own retries when it cannot be reached,
    `errors.ObjectForbidden` when it says no, `errors.StoreRefused` for other refusals. Absent is `errors.ObjectAbsent`
    and nothing else is: an error is never read as "absent".
    """

    name: str
    """The flow's name for it, such as `default`."""
    notifies: bool
    """Whether `arrivals` tells of every object put: else the engine looks for itself."""
    single_put_limit: int
    """Bytes; above it an object is put in parts."""

    def presign_put(
        self,
        key: str,
        *,
        expires_seconds: int,
        content_type: str | None = None,
        size: int | None = None,
        audience: Audience = "user",
    ) -> str:
        """A URL that takes one PUT of this key. Local arithmetic, no network. A given type or size is signed in."""

    def presign_get(
        self,
        key: str,
        *,
        expires_seconds: int,
        filename: str | None = None,
        content_type: str | None = None,
        audience: Audience = "user",
    ) -> str:
        """A URL that gives the object; with `filename` as an attachment of that name, with `content_type` as that."""

    def presign_part(
        self, key: str, upload_id: str, number: int, *, expires_seconds: int, audience: Audience = "user"
    ) -> str:
        """A URL that takes one part of a multipart upload."""

    async def ensure_ready(self) -> None:
        """The bucket exists afterwards (made where the store lets us), with the CORS rules that browsers need."""

    async def stat(self, key: str) -> ObjectStat:
        """What the store knows of the object. Raises `errors.ObjectAbsent`."""

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of the object from `start`, fewer where it ends; for small pieces. Raises `errors.ObjectAbsent`."""

    def stream(self, key: str, *, if_etag: str | None = None) -> AsyncIterator[bytes]:
        """The object's bytes in pieces. Raises `errors.ObjectAbsent`, `errors.PreconditionFailed`."""

    async def fetch(self, key: str, path: Path, *, if_etag: str | None = None, size: int | None = None) -> str | None:
        """
        Makes the object a new file at `path` (its parent exists), readable by everybody. Constant memory.

        Whoever says `size` knows how many bytes it has: then a large one may come in several ranges at a time.

        The file may share its bytes with the store (a hard link): nobody may write to it. Returns the SHA-256 hex of
        the bytes written where they passed through our hands, None where they were linked (and were hashed when they
        came in). Raises `errors.ObjectAbsent`, `errors.PreconditionFailed`, `errors.DiskFull`.
        """

    async def put_file(self, key: str, path: Path, *, content_type: str) -> ObjectStat:
        """
        Makes the file the object, in place of an earlier one. Constant memory; multipart above the limit.

        The file is given away: a store on this machine may move it. Returns the new object's stat with `sha256` set.
        `path` must be a regular file that nobody writes to any more.
        """

    async def put_bytes(self, key: str, data: bytes, *, content_type: str) -> ObjectStat:
        """Makes the bytes the object. Returns its stat with `sha256` set."""

    async def copy(self, source: str, target: str, *, if_etag: str, content_type: str | None = None) -> ObjectStat:
        """
        Makes a copy inside the store; `content_type` replaces the source's.

        Raises `errors.ObjectAbsent`, `errors.PreconditionFailed` when the source has another ETag by now.
        """

    async def delete(self, key: str) -> None:
        """The object is not there afterwards; nothing happens where it was not."""

    def list(self, prefix: str = "") -> AsyncIterator[ObjectStat]:
        """All objects whose key starts so, in order of their keys."""

    async def begin_multipart(self, key: str, *, content_type: str | None = None) -> str:
        """Returns the upload's id."""

    async def parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """The parts received so far. Raises `errors.ObjectAbsent` when there is no such upload."""

    async def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectStat:
        """Makes the parts the object."""

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Throws the parts away; nothing happens where there is no such upload."""

    def multiparts(self, prefix: str = "") -> AsyncIterator[MultipartUpload]:
        """All unfinished multipart uploads whose key starts so."""

    def arrivals(self) -> AsyncIterator[str]:
        """
        Keys of objects put by anybody, as they arrive; an empty string when arrivals may have been missed.

        So it comes first, when listening has begun, and after a reconnect: "look at everything". Never ends; a store
        that does not notify yields nothing.
        """

    async def probe(self) -> Sequence[ProbeLine]:
        """Tries what pupload needs of the store under a scratch key; every line says what works and what does not."""

    async def close(self) -> None:
        """Gives up connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A copy that sealing made."""

    stat: ObjectStat
    """With `sha256` set."""
    head: bytes
    """Its first bytes."""


@runtime_checkable
class SealsAtOnce(Protocol):
    """An `ObjectStore` that does in one step what sealing an upload takes of any other: look, copy, look, read."""

    async def seal(self, source: str, target: str, *, head_bytes: int, most_bytes: int) -> Sealed | None:
        """
        Makes a copy inside the store, of the object as it is at this moment. Returns it with so many of its bytes.

        None where it cannot be done so just now: whoever asks takes the steps one by one. Raises as
        `ObjectStore.copy`; `errors.TooLarge`, and makes no copy, of an object of more than `most_bytes`.
        """


@runtime_checkable
class Lends(Protocol):
    """An `ObjectStore` on this machine, whose objects are files here."""

    async def lend(self, key: str, path: Path) -> bool:
        """
        Whether the object is a new file at `path` now, without its bytes having been moved; nobody may write to it.

        The parent exists, and nothing is at `path`. Raises as `ObjectStore.fetch`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A file that is given away to a store."""

    key: str
    path: Path
    content_type: str


@runtime_checkable
class TakesMany(Protocol):
    """An `ObjectStore` that takes many files in one step, where each alone takes as long as all together."""

    async def put_files(self, files: Sequence[Given]) -> Sequence[ObjectStat]:
        """
        As `ObjectStore.put_file` for each; their stats in the same order.

        Some may be objects where it raises.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An object that is to become a file."""

    key: str
    path: Path
    if_etag: str | None = None
    size: int | None = None


@runtime_checkable
class GivesMany(Protocol):
    """An `ObjectStore` that gives many objects in one step: to ask for each takes longer than to give it."""

    async def fetch_files(self, wanted: Sequence[Wanted]) -> Sequence[str | None]:
        """
        As `ObjectStore.fetch` for each; what it returns for them in the same order.

        Some may be files where it raises.
        """


class Stores(Protocol):
    """Makes the stores that flows name."""

    def default(self) -> ObjectStore:
        """The server's own store, named `default`."""

    def open(self, store: flow.Store) -> ObjectStore:
        """
        The store that a flow describes; one object for equal descriptions, kept open. No network.

        Raises `errors.Refused` when the description cannot be used.
        """

    async def prepare(self, store: flow.Store) -> None:
        """
        Has the keys at hand that the description names as secrets, so that its store can sign URLs at once.

        Where one is not set, signing raises `errors.StoreUnavailable` as everything else does. Raises as `open` does.
        """


class TypeTeller(Protocol):
    """Tells media types from bytes."""

    head_bytes: int
    """How many bytes from the beginning of a file it wants."""

    async def tell(self, head: bytes, *, size: int) -> str:
        """
        The media type (lower case, no parameters) of a file that begins with `head` and has `size` bytes in all.

        `application/octet-stream` when nothing better is known; `application/x-empty` for no bytes.
        """

    async def tell_all(self, files: Sequence[tuple[bytes, int]]) -> Sequence[str]:
        """The same for many files, each with its beginning and its size; in the same order."""


Content = Path | Sequence[tuple[int, bytes]]
"""A regular file of this machine; or pieces of one, each with the place where it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A file that is to be looked into."""

    content: Content
    content_type: str
    size: int


class Inspector(Protocol):
    """
    Looks into files, beside the event loop, with an end to what it reads and how long it takes.

    No file can break it: where a parser does not answer, nothing can be told of that file, and that is the answer.
    """

    def looks_into(self, content_type: str) -> bool:
        """Whether there may be anything to tell of files of this type. For text and plain bytes there is not."""

    async def look(self, content: Content, *, content_type: str, size: int) -> facts.Inspection:
        """
        What is in a file of `size` bytes that looks like `content_type`, as far as its headers and `content` tell.

        Raises `errors.InspectorUnavailable` where that is not the file's fault.
        """

    async def look_all(self, files: Sequence[Inspected]) -> Sequence[facts.Inspection]:
        """As `look` for each, which has the same time and may read as much; in the same order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """A regular file that holds a table of `size` bytes, or of it as much as was brought here."""

    path: Path
    kind: tables.Kind
    size: int
    head: int
    """So many bytes of the beginning are in the file."""
    tail: int
    """From here on its bytes are in the file as well; `size` where they are not."""


class Tables(Protocol):
    """
    Reads strangers' files as tables, beside the event loop, with an end to how long that takes and what memory.

    No file can break it, nor reach anything but itself. Where none can be read all raise `errors.NoPreview`, which
    says why; `errors.InspectorUnavailable` where that is not the file's fault.
    """

    async def preview(self, file: TableFile, *, rows: int) -> tables.Table:
        """The first `rows`, fewer where they are very long; never half of one."""

    async def profile(self, file: TableFile) -> tables.Profile:
        """What is told of the columns, by as many rows as time allows."""

    async def count(self, file: TableFile) -> int | None:
        """How many rows it has; None for plain text, and where that takes too long."""


# ── Containers ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOrder:
    """Everything about the container of one attempt. Nothing in it is a secret but what is in `secrets`."""

    attempt: run.AttemptRef
    image: str
    """As `resolve_image` returned it: an immutable id, never a tag."""
    reference: str = ""
    """The name that `resolve_image` was given: what the operator's policy judges."""
    uses: str = ""
    """The node type, which it judges as well."""
    argv: tuple[str, ...] | None
    """Arguments after the image's own entry point; None: the image's own command."""
    entrypoint: bool = True
    """Whether the image's entry point runs them; if not, the first of them is the program."""
    environment: Mapping[str, str]
    inputs: Path
    """A directory of this machine, mounted read-only at /pupload/in."""
    outputs: Path
    """A directory of this machine, mounted at /pupload/out."""
    secrets: Path | None = None
    """A directory of this machine, in memory, mounted read-only at /run/secrets; None: nothing is."""
    user: str
    """`uid:gid`."""
    network: str
    """`none`, `bridge`, or a network of the engine's by name."""
    memory_bytes: int
    """Memory and swap together."""
    cpus: float
    pids: int
    tmp_bytes: int
    """The size of the tmpfs at /tmp."""
    file_bytes: int
    """No file may grow larger."""
    log_bytes: int
    """What is read of the log at most: so much of its beginning the engine must keep until the attempt ends."""
    gpus: int = 0
    gpu_vendor: str = ""
    capabilities: tuple[str, ...] = ()
    """Added back, without `CAP_`; all others are dropped."""
    devices: tuple[str, ...] = ()
    """Paths of device files."""
    runtime: str = ""
    """The engine's runtime by name; empty: its own choice."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Beside those that every container of an attempt carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a container ended, as its engine tells."""

    code: int
    oom: bool
    """The kernel killed it (or a process in it) for memory."""
    started_at: datetime | None
    finished_at: datetime | None
    peak_memory_bytes: int | None = None
    """None where the engine's host does not tell."""
    error: str = ""
    """What the engine says when the command could not even be started."""
    signalled: str = ""
    """The signal that it was sent through the engine, such as `SIGTERM`: by `Executor.stop`, or by anybody else."""
    engine_restarted: bool = False
    """It ended with the engine, which went down or came back: by the engine's own times, not by the code alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveContainer:
    """A container of ours that exists, running or not."""

    attempt: run.AttemptRef
    running: bool


Capacity = tiers.Capacity
"""What the engine's machine has in all."""


class Executor(Protocol):
    """
    Runs containers, one per attempt, idempotent by the attempt's id.

    Every method raises `errors.ExecutorUnavailable` when the engine does not answer within its time limit. What an
    attempt came to is read from the engine, never remembered: any method may be called by a process that did not
    make the container.
    """

    @property
    def arms(self) -> bool:
        """Whether `arm` may say yes at all; where it cannot, nothing is got ready for it."""

    async def resolve_image(self, reference: str) -> str:
        """
        The immutable id of the image, pulled first when it is not on this machine.

        Many callers of one reference share one pull. Raises `errors.ImageMissing`, `errors.ImageRateLimited`,
        `errors.DiskFull`.
        """

    async def ensure_started(self, order: ContainerOrder) -> None:
        """
        The attempt's container exists and was started: made now, or found. Twice makes one container.

        Raises `errors.ContainerRefused` when the engine will never start it, `errors.ImageMissing`.
        """

    async def arm(self, order: ContainerOrder) -> bool:
        """
        The attempt's container is made and started ahead of time, and its command waits: `ensure_started` lets it go.

        That takes next to no time then. `argv` and `environment` mean nothing yet: those that `ensure_started` is given
        count. Returns whether one waits; False, and nothing is left, where engine, image or order do not allow it. A
        container that waits ends by itself when this process does, and never counts as one that ran; `remove` removes
        it, and `ensure_started` makes another in its place where it is not as the attempt is ordered by then. Raises as
        `ensure_started` does.
        """

    async def ceased(self, attempt: run.AttemptRef) -> None:
        """
        Returns when nothing of the attempt's container writes any more: `wait` knows how it ended a moment later.

        It may be as late as `wait` where the engine's host does not tell sooner. Returns at once where there is no
        container, and raises only `errors.ExecutorUnavailable`.
        """

    async def wait(self, attempt: run.AttemptRef) -> Exit:
        """
        Returns when the attempt's container has ended, at once when it has already.

        Raises `errors.ContainerLost` when there is none (any more). Never hangs on a container that is gone.
        """

    def logs(self, attempt: run.AttemptRef, *, skip: int = 0) -> AsyncIterator[LogLine]:
        """
        Every line of stdout and stderr with its time, live, until the container has ended; the first `skip` left out.

        A line longer than 16 KiB comes in pieces; bytes that are no UTF-8 are replaced. The order within a stream is
        the order of writing. Ends quietly when the container is gone.
        """

    async def last_line(self, attempt: run.AttemptRef) -> LogLine | None:
        """
        The last line of stdout and stderr, when the container has ended; None where there is none (any more).

        For a log that is read no further: what came between is not looked at.
        """

    async def stop(self, attempt: run.AttemptRef, *, grace_seconds: float) -> None:
        """TERM, `grace_seconds`, KILL. Returns when the engine says it does not run; at once when there is none."""

    async def remove(self, attempt: run.AttemptRef) -> None:
        """The container and all it made (volumes, networks) are gone afterwards; killed first if need be."""

    async def outputs(self, attempt: run.AttemptRef) -> Path | None:
        """
        The directory of this machine that the attempt's container has as `ContainerOrder.outputs`.

        It may lie with another controller, which made the container. None when there is no container.
        """

    async def recover(self) -> Sequence[LiveContainer]:
        """All containers of this instance that exist, by label."""

    async def identity(self) -> str:
        """Names the engine, the same for everybody who uses it: two with one engine share its room."""

    async def capacity(self) -> Capacity:
        """What there is in all, not what is free."""

    async def data_folder(self) -> Path | None:
        """Where the engine keeps its data; None when that is not on this machine."""

    async def probe(self) -> Sequence[ProbeLine]:
        """For `pup doctor`: versions, runtime, cgroups, user namespaces; each line ok or how to mend it."""

    async def close(self) -> None:
        """Gives up connections and threads. Containers go on."""


# ── The process ──────────────────────────────────────────────────────────────────────────────────────────────────


class Pulse(Protocol):
    """Whether this process takes its turns, or stood still."""

    standstills: int
    """How often since the start it did nothing for seconds."""
    seconds: float
    """How long in all."""

    def complaint(self) -> str:
        """A sentence about a standstill of a moment ago; empty where there was none."""


class Hands(Protocol):
    """Who does what may block, beside the event loop."""

    async def do(self, work: Callable[..., T], /, *given: Any) -> T:
        """
        What `work` returns or raises. It must be short, a few calls on small files: others may wait behind it.

        Whoever is cancelled while waiting here does not know whether it was done.
        """


# ── Chance ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Ids(Protocol):
    """New ids and other chance, so that tests and simulations can repeat themselves."""

    def new_run_id(self) -> str:
        """`run_` and a new ULID."""

    def token(self) -> str:
        """At least 128 unguessable bits in letters and digits."""

    def fraction(self) -> float:
        """Evenly between 0 and 1: for jitter."""


Report = Callable[[str, Iterable[events.Event]], None]
"""How adapters tell the engine: a run's id and what happened."""
