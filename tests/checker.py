"""
Whether what pupload promises was kept, told from what is left: database, journal, stores, engine, directories.

The invariants are those of `docs/explanation/simulation.md`. A `Checker` reads through the ports and nothing else, so
it serves the adapters in memory as it does SQLite, the embedded store and Docker. It changes nothing, knows no test
framework, and may be asked at any time; `ended` says whether everything should be over by now.

    checker = Checker(runs=..., journal=..., stores=..., executor=..., clock=...)
    for violation in await checker.judge(ended=True):
        print(violation)
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from pupload import errors, ports
from pupload.domain import callbacks, collection, deadlines, delivery, events, retry
from pupload.domain.artifact import Artifact
from pupload.domain.plan import NodePlan, Origin
from pupload.domain.run import Failure, NodeStatus, Run, Status
from pupload.domain.tiers import Tier

LATE = timedelta(minutes=5)
"""How long after a deadline something must have been done about it."""

SIGNED = r"X-Amz-(?:Signature|Credential|Security-Token)=|[?&](?:Signature|AWSAccessKeyId|token)=|memory://\S+\?"
"""What a presigned query string looks like."""

PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was not kept."""

    invariant: str
    run: str
    sentence: str
    evidence: str = ""

    def __str__(self) -> str:
        evidence = f"\n      {self.evidence}" if self.evidence else ""
        return f"{self.invariant:4} {self.run}: {self.sentence}{evidence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a run came to, without what differs from one time to the next."""

    status: Status
    nodes: Mapping[str, str]
    artifacts: Mapping[str, str]
    """The SHA-256 by edge."""


def results(run: Run) -> Results:
    """What the run came to."""
    return Results(
        status=run.status,
        nodes={name: str(node.status) for name, node in sorted(run.nodes.items()) if _is_certain(run, name)},
        artifacts={edge: found.sha256 for edge, found in sorted(run.artifacts.items()) if _counts(run, edge)},
    )


def _counts(run: Run, edge: str) -> bool:
    """An upload that nobody used may or may not have been awaited any more when it came."""
    plan = run.plan.edges[edge]
    if plan.origin is Origin.NODE:
        return plan.producer is None or _is_certain(run, plan.producer)
    return any(run.nodes[consumer].status is NodeStatus.COMPLETE for consumer in plan.consumers)


def _is_certain(run: Run, node: str) -> bool:
    """Where an item failed that must not, it is chance which of the others were done before."""
    if node in run.plan.nodes:
        return True
    whole, _ = collection.part_of(node) or ("", 0)
    return run.nodes[whole].status is NodeStatus.COMPLETE


def compare(run_id: str, found: Results, wanted: Results) -> list[Violation]:
    """I12: a run with faults comes to what the same run comes to without them."""

    def differ(what: str, here: Mapping[str, str], there: Mapping[str, str]) -> Iterable[Violation]:
        for name in sorted({*here, *there}):
            if here.get(name) != there.get(name):
                sentence = f"{what} {name} is {here.get(name)}, and without faults it is {there.get(name)}"
                yield Violation(invariant="I12", run=run_id, sentence=sentence)

    broken = [*differ("node", found.nodes, wanted.nodes), *differ("artifact", found.artifacts, wanted.artifacts)]
    if found.status is not wanted.status:
        sentence = f"it is {found.status}, and without faults it is {wanted.status}"
        broken.append(Violation(invariant="I12", run=run_id, sentence=sentence))
    return broken


@dataclass(slots=True)
class _Book:
    """All there is about one run."""

    run: Run
    entries: Sequence[ports.Entry]
    logs: Sequence[ports.LogRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Reads what is left, and tells what is wrong with it."""

    runs: ports.RunStore
    journal: ports.Journal
    stores: ports.Stores
    executor: ports.Executor
    clock: ports.Clock
    attempts_root: Path | None = None
    """Where the attempts' directories are; None: they are not looked at."""
    room: Mapping[str, float] = field(default_factory=dict)
    """What there is of `memory_bytes`, `cpus` and `attempts`; what is not named is not limited."""
    secrets: Collection[str] = ()
    outbox: ports.Outbox | None = None
    """None: callbacks are not looked at."""
    operator_url: str = ""
    """Who is told of every run."""
    received: Collection[str] | None = None
    """The ids of all messages that receivers got; None: nobody knows."""
    signed: str = SIGNED
    """A pattern of what must not be told to anybody it was not made for."""

    async def judge(
        self,
        *,
        ended: bool,
        steady_clock: bool = True,
        said: Mapping[str, Sequence[str]] | None = None,
        output: Iterable[str] = (),
    ) -> list[Violation]:
        """
        All violations of I1 to I11; I12 is `compare`'s.

        `ended`: every run must be over, and nothing be left of it. `steady_clock`: nobody set the wall clock, so that
        the journals of all runs can be laid side by side. `said`: every line of each attempt's container, by the
        attempt's id, where that is known. `output`: what the process itself logged.
        """
        broken: list[Violation] = []
        books = []
        async for run_id in self._all():
            try:
                books.append(await self._read(run_id))
            except errors.Damaged as error:
                broken.append(Violation(invariant="I5", run=run_id, sentence="it cannot be read", evidence=str(error)))
        for book in books:
            broken += self._lives(book, ended=ended)
            broken += _history(book)
            broken += _starts(book)
            broken += _order(book)
            broken += _handled(book)
            broken += _numbers(book, said or {})
            broken += self._secrets(book)
            broken += await self._objects(book)
            if book.run.status.terminal:
                broken += await self._uploads(book.run)
                broken += await self._callbacks(book.run, ended=ended)
        if steady_clock and self.room:
            broken += self._room(books)
        broken += self._leaks("", "the server's own log", output)
        broken += await self._left(books, ended=ended)
        return broken

    async def _all(self) -> AsyncIterator[str]:
        offset = 0
        while True:
            page = await self.runs.list(limit=PAGE, offset=offset)
            for summary in page.runs:
                yield summary.id
            offset += len(page.runs)
            if not page.runs or offset >= page.total:
                return

    async def _read(self, run_id: str) -> _Book:
        run = await self.runs.load(run_id)
        entries = list[ports.Entry]()
        while page := await self.journal.read(run_id, after=entries[-1].seq if entries else 0, limit=PAGE):
            entries += page
        logs = list[ports.LogRecord]()
        while lines := await self.journal.read_logs(run_id, since=logs[-1].cursor if logs else 0, limit=PAGE):
            logs += lines
        return _Book(run, entries, logs)

    # ── I1 ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _lives(self, book: _Book, *, ended: bool) -> Iterable[Violation]:
        run = book.run
        if run.status.terminal:
            return
        due, now = deadlines.due(run), self.clock.now()
        standing = ", ".join(f"{name} {node.status}" for name, node in sorted(run.nodes.items()))
        if ended:
            yield Violation(
                invariant="I1", run=run.id, sentence=f"it is {run.status} and never ended", evidence=standing
            )
        if due is None and run.queued_at is not None:
            return  # it waits for a slot, and whoever has one has a deadline
        if due is None:
            yield Violation(
                invariant="I1", run=run.id, sentence="it waits for nothing and has not ended", evidence=standing
            )
        elif due + LATE < now:
            sentence = f"its deadline was {due.isoformat()}, now it is {now.isoformat()}"
            yield Violation(invariant="I1", run=run.id, sentence=sentence, evidence=standing)

    # ── I5: objects ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _objects(self, book: _Book) -> list[Violation]:
        broken = []
        run, committed = book.run, _committed(book.entries)
        for edge, artifact in run.artifacts.items():
            if committed.get(edge) != artifact and not _is_item_of_committed(run, edge, committed):
                sentence = f"artifact {edge} is visible, but no event committed it"
                broken.append(Violation(invariant="I5", run=run.id, sentence=sentence, evidence=repr(artifact)))
            problem = await self._problem(run, artifact)
            if problem:
                broken.append(Violation(invariant="I5", run=run.id, sentence=f"artifact {edge}: {problem}"))
        for edge in committed:
            if edge not in run.artifacts:
                sentence = f"artifact {edge} was committed, but is not in the run"
                broken.append(Violation(invariant="I5", run=run.id, sentence=sentence))
        return broken

    async def _problem(self, run: Run, artifact: Artifact) -> str:
        if artifact.items is not None:
            found = _hash(run, artifact)
            return "" if found == artifact.sha256 else f"its items have SHA-256 {found}, recorded is {artifact.sha256}"
        digest = sha256()
        try:
            async for piece in self._store(run, artifact.store).stream(artifact.key):
                digest.update(piece)
        except errors.PuploadError as error:
            return str(error)
        found = digest.hexdigest()
        return "" if found == artifact.sha256 else f"its bytes have SHA-256 {found}, recorded is {artifact.sha256}"

    def _store(self, run: Run, name: str) -> ports.ObjectStore:
        described = run.plan.stores.get(name)
        return self.stores.default() if described is None else self.stores.open(described)

    # ── I7 ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _room(self, books: list[_Book]) -> list[Violation]:
        """Lays the journals side by side: what ended in a moment makes room for what was admitted in it."""
        moves: list[tuple[datetime, int, int, str, Tier]] = []
        for book in books:
            for name, number, tier, since, until in _held(book):
                if since == until:
                    continue  # within one moment nobody can tell what came first
                moves.append((since, 1, len(moves), f"{book.run.id}.{name}.{number}", tier))
                if until is not None:
                    moves.append((until, 0, len(moves), f"{book.run.id}.{name}.{number}", tier))
        holding: dict[str, Tier] = {}
        broken = []
        for at, comes, _, attempt, tier in sorted(moves, key=lambda move: move[:3]):
            if comes:
                holding[attempt] = tier
            else:
                holding.pop(attempt, None)
            used = {
                "memory_bytes": float(sum(one.memory_bytes for one in holding.values())),
                "cpus": sum(one.cpus for one in holding.values()),
                "attempts": float(len(holding)),
            }
            for what, there in self.room.items():
                if comes and used[what] > there:
                    sentence = f"at {at.isoformat()} {used[what]:g} {what} were held where there are {there:g}"
                    broken.append(
                        Violation(invariant="I7", run=attempt, sentence=sentence, evidence=", ".join(sorted(holding)))
                    )
        return broken

    # ── I8 ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _uploads(self, run: Run) -> list[Violation]:
        """Nothing that was put for the run and not sealed is left."""
        broken = []
        outside = [edge for edge in run.plan.edges.values() if edge.origin is not Origin.NODE and edge.upload_key]
        for name in dict.fromkeys(edge.store for edge in run.plan.edges.values()):
            store, prefix = self._store(run, name), f"uploads/{run.id}/"
            broken += [f"object {found.key} is left" async for found in store.list(prefix)]
            broken += [f"multipart upload {found.upload_id} is left" async for found in store.multiparts(prefix)]
        evidence = f"it awaited {len(outside)} uploads" if broken else ""
        return [Violation(invariant="I8", run=run.id, sentence=one, evidence=evidence) for one in broken]

    async def _left(self, books: list[_Book], *, ended: bool) -> list[Violation]:
        wanted = {
            f"{book.run.id}.{name}.{node.last.number}"
            for book in books
            for name, node in book.run.nodes.items()
            if node.last is not None and node.status in (NodeStatus.READY, NodeStatus.RUNNING)
        }
        over = {book.run.id for book in books if book.run.status.terminal}
        broken = []
        for container in await self.executor.recover():
            ref = container.attempt
            if ref.run in over or (ended and ref.id not in wanted):
                sentence = f"the container of {ref.id} is left, running: {container.running}"
                broken.append(Violation(invariant="I8", run=ref.run, sentence=sentence))
        if self.attempts_root is not None and self.attempts_root.is_dir():
            for path in sorted(self.attempts_root.iterdir()):
                owner = path.name.partition(".")[0]
                if owner in over or (ended and path.name not in wanted):
                    broken.append(Violation(invariant="I8", run=owner, sentence=f"directory {path.name} is left"))
        return broken

    # ── I10 ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _callbacks(self, run: Run, *, ended: bool) -> list[Violation]:
        """Whoever wants to know of the run was told, will be, or stands there as one who could not be."""
        if self.outbox is None:
            return []
        wanted = {one.id: one for one in callbacks.made(run, operator_url=self.operator_url)}
        kept = {one.id: one for one in await self.outbox.of_run(run.id)}
        told = [f"callback {name} is not what the run makes" for name in sorted(kept.keys() - wanted.keys())]
        if ended:
            told += [f"callback {name} was never made" for name in sorted(wanted.keys() - kept.keys())]
        told += [f"callback {name} {wrong}" for name, one in sorted(kept.items()) if (wrong := self._wrong(one))]
        return [Violation(invariant="I10", run=run.id, sentence=one) for one in told]

    def _wrong(self, this: delivery.Delivery) -> str:
        """What is wrong with what became of a callback; empty when nothing is."""
        last = this.tries[-1].error if this.tries else "no try"
        if this.state is delivery.State.PENDING:
            if this.due_at is None or this.due_at + LATE < self.clock.now():
                return f"was due at {this.due_at and this.due_at.isoformat()}, and nobody sends it"
            return ""
        if this.due_at is not None:
            return f"is {this.state} and due at {this.due_at.isoformat()}"
        if this.state is delivery.State.FAILED:
            return "" if last else "was given up after a try that went well"
        if last:
            return f"is DELIVERED, but its last try says: {last}"
        if self.received is not None and this.id not in self.received:
            return "is DELIVERED, but no receiver got it"
        return ""

    # ── I11 ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _secrets(self, book: _Book) -> list[Violation]:
        run = book.run
        told = [run.error, run.ending.reason if run.ending else "", *run.absent.values()]
        told += [text for node in run.nodes.values() for text in (node.error, node.warning)]
        told += [attempt.reason for node in run.nodes.values() for attempt in node.attempts]
        return [
            *self._leaks(run.id, "its status", told),
            *self._leaks(run.id, "its journal", (repr(entry.event) for entry in book.entries)),
            *self._leaks(run.id, "its logs", (record.line.message for record in book.logs)),
        ]

    def _leaks(self, run: str, where: str, texts: Iterable[str]) -> list[Violation]:
        broken, pattern = [], re.compile(self.signed)
        for text in texts:
            if any(secret in text for secret in self.secrets):
                broken.append(Violation(invariant="I11", run=run, sentence=f"a secret is in {where}"))
            if found := pattern.search(text):
                sentence = f"a presigned query string is in {where}"
                broken.append(
                    Violation(invariant="I11", run=run, sentence=sentence, evidence=text[: found.end()][-200:])
                )
        return broken


# ── I2, I6: what may happen once ─────────────────────────────────────────────────────────────────────────────────


def _history(book: _Book) -> list[Violation]:
    """At most one success per node, and nothing after an end; the run's row says what its journal says."""
    run, broken = book.run, list[Violation]()
    finished: dict[str, str] = {}
    over = ""
    for entry in book.entries:
        event, name = entry.event, events.name_of(entry.event)
        if over:
            broken.append(
                Violation(invariant="I6", run=run.id, sentence=f"{name} came after {over}", evidence=repr(event))
            )
        node = getattr(event, "node", "")
        if node and node in finished:
            twice = isinstance(event, events.NodeSucceeded | events.NodeReused) and finished[node] == "COMPLETE"
            sentence = f"{name} of node {node} came after it was {finished[node]}"
            broken.append(
                Violation(invariant="I2" if twice else "I6", run=run.id, sentence=sentence, evidence=repr(event))
            )
        match event:
            case events.NodeSucceeded() | events.NodeReused() | events.NodeGathered():
                finished[node] = "COMPLETE"
            case events.NodeFailed():
                finished[node] = "ERROR"
            case events.NodeSkipped():
                finished[node] = "SKIPPED"
            case events.RunCompleted() | events.RunFailed() | events.RunStopped():
                over = name
    for node, state in run.nodes.items():
        if _is_spared(run, node):
            continue  # its node's expansion says how many there are of these
        if finished.get(node, "") != (str(state.status) if state.status.terminal else ""):
            sentence = f"node {node} is {state.status}, its journal says {finished.get(node) or 'that it goes on'}"
            broken.append(Violation(invariant="I6", run=run.id, sentence=sentence))
    ends = {"run.completed": Status.COMPLETE, "run.failed": Status.ERROR, "run.stopped": Status.STOPPED}
    if (ends.get(over) or None) is not (run.status if run.status.terminal else None):
        sentence = f"it is {run.status}, its journal says {over or 'that it goes on'}"
        broken.append(Violation(invariant="I6", run=run.id, sentence=sentence))
    return broken


# ── I3 ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _starts(book: _Book) -> Iterable[Violation]:
    run, plan = book.run, book.run.plan
    ready = Counter(entry.event.node for entry in book.entries if isinstance(entry.event, events.NodeReady))
    for name, node in run.nodes.items():
        allowed = plan.nodes[name].max_attempts + plan.mishaps
        failed = Counter(Failure(attempt.failure) in retry.MISHAPS for attempt in node.attempts if attempt.failure)
        if ready[name] > allowed or len(node.attempts) > allowed:
            yield Violation(
                invariant="I3", run=run.id, sentence=f"node {name} was started {ready[name]} times, not {allowed}"
            )
        if failed[False] > plan.nodes[name].max_attempts:
            sentence = (
                f"node {name} failed {failed[False]} times of itself, of {plan.nodes[name].max_attempts} attempts"
            )
            yield Violation(invariant="I3", run=run.id, sentence=sentence)
        if [attempt.number for attempt in node.attempts] != list(range(1, ready[name] + 1)):
            sentence = f"node {name} has {len(node.attempts)} attempts, its journal {ready[name]}"
            yield Violation(invariant="I3", run=run.id, sentence=sentence)


# ── I4 ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _order(book: _Book) -> Iterable[Violation]:
    """Nothing of a node is in the journal before what it needs."""
    run = book.run
    there: set[str] = set()
    for entry in book.entries:
        event = entry.event
        if isinstance(event, events.NodeReady | events.NodeAdmitted | events.NodeStarted):
            for port in run.plan.nodes[event.node].inputs:
                if port.edge in there or _is_item(port.edge, there):
                    continue
                if port.required or not is_done_without(run, event.node, port.edge):
                    sentence = f"{events.name_of(event)} of node {event.node} came before its input {port.edge}"
                    yield Violation(invariant="I4", run=run.id, sentence=sentence, evidence=f"seq {entry.seq}")
        there.update(artifact.edge for artifact in _made(event))


def is_done_without(run: Run, node: str, edge: str) -> bool:
    """Whether the node may begin without what lies on the edge, which it can do without."""
    producer = run.plan.edges[edge].producer
    left_out = producer is not None and run.nodes[producer].unmet
    return edge in run.absent or left_out or bool(run.plan.nodes[node].runs)


def _handled(book: _Book) -> Iterable[Violation]:
    """Handlers begin when the others have ended, in their order; and none is forgotten that runs in any case."""
    run, plans = book.run, book.run.plan.nodes
    if not run.plan.handlers:
        return
    turns = {"": 0, "OnFailure": 1, "Finally": 2}
    ended = set[str]()
    for entry in book.entries:
        event = entry.event
        if isinstance(event, events.NodeReady) and event.node in plans:
            turn = turns[plans[event.node].runs]
            early = [one for one in plans if turns[plans[one].runs] < turn and one not in ended]
            if early:
                sentence = f"handler {event.node} began before {', '.join(early)} ended"
                yield Violation(invariant="I4", run=run.id, sentence=sentence, evidence=f"seq {entry.seq}")
        if isinstance(event, _ENDS):
            ended.add(event.node)
    for name in run.plan.handlers if run.status.terminal and run.ending is None else ():
        lacks = [port.edge for port in plans[name].inputs if port.required and port.edge not in run.artifacts]
        wanted = plans[name].runs == "Finally" or _failed_before(run)
        began = run.nodes[name].attempts or run.nodes[name].items is not None
        if wanted and not lacks and not plans[name].when and not began:
            yield Violation(invariant="I4", run=run.id, sentence=f"handler {name} never ran")


_ENDS = events.NodeSucceeded | events.NodeReused | events.NodeGathered | events.NodeFailed | events.NodeSkipped


def _failed_before(run: Run) -> bool:
    return run.outcome is not None and run.outcome.status is Status.ERROR


def _made(event: events.Event) -> Sequence[Artifact]:
    if isinstance(event, events.UploadSealed):
        return (event.artifact,)
    if isinstance(event, events.NodeSucceeded | events.NodeReused | events.NodeGathered):
        return event.artifacts
    return ()


def _is_item(edge: str, there: Collection[str]) -> bool:
    """Whether it is an item of a collection that is there: which items that has, its hash tells."""
    part = collection.part_of(edge)
    return part is not None and part[0] in there


def _is_spared(run: Run, node: str) -> bool:
    """Whether it is for an item that need not run, because the run that this one resumes has done it."""
    found = run.nodes.get(node)
    return found is not None and node not in run.plan.nodes and found.reused and not found.attempts


def _is_item_of_committed(run: Run, edge: str, committed: Mapping[str, Artifact]) -> bool:
    producer = run.plan.edges[edge].producer
    if producer is not None and _is_spared(run, producer):
        return True
    part = collection.part_of(edge)
    whole = committed.get(part[0]) if part else None
    return whole is not None and whole.items is not None and whole.sha256 == _hash(run, whole)


def _hash(run: Run, whole: Artifact) -> str:
    """Of a collection, made of its items."""
    names = (collection.item(whole.edge, place) for place in range(whole.items or 0))
    there = [run.artifacts.get(name) for name in names]
    return collection.whole(there, edge="", store="", key="", created_at=whole.created_at).sha256


def _committed(entries: Iterable[ports.Entry]) -> dict[str, Artifact]:
    return {artifact.edge: artifact for entry in entries for artifact in _made(entry.event)}


# ── I7: who holds what ───────────────────────────────────────────────────────────────────────────────────────────


def _held(book: _Book) -> list[tuple[str, int, Tier, datetime, datetime | None]]:
    """Node, attempt, tier, since and until when, for every attempt that was admitted."""
    since: dict[tuple[str, int], tuple[Tier, datetime]] = {}
    climbed: dict[str, int] = defaultdict(int)
    held = []
    for entry in book.entries:
        match entry.event:
            case events.NodeAdmitted(node=node, attempt=number):
                since[node, number] = (_tier(book.run.plan.nodes[node], climbed[node]), entry.at)
            case (
                events.NodeSucceeded(node=node, attempt=number)
                | events.NodeReused(node=node, attempt=number)
                | events.AttemptFailed(node=node, attempt=number)
            ):
                if (node, number) in since:
                    tier, began = since.pop((node, number))
                    held.append((node, number, tier, began, entry.at))
            case events.NodeRetrying(node=node, failure=failure):
                climbed[node] += failure == Failure.OOM
    return [*held, *((node, number, tier, at, None) for (node, number), (tier, at) in since.items())]


def _tier(node: NodePlan, climbed: int) -> Tier:
    return node.retry.more_memory[climbed - 1] if climbed else node.tier


# ── I9 ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _numbers(book: _Book, said: Mapping[str, Sequence[str]]) -> Iterable[Violation]:
    """The journal and the logs have no gap and no double, and the log is what the container said."""
    run = book.run
    if [entry.seq for entry in book.entries] != list(range(1, len(book.entries) + 1)):
        yield Violation(invariant="I9", run=run.id, sentence="its journal is not numbered from 1 without gaps")
    cursors = [record.cursor for record in book.logs]
    if any(later <= earlier for earlier, later in pairwise(cursors)):
        yield Violation(invariant="I9", run=run.id, sentence="the cursors of its log do not grow")
    logs: dict[tuple[str, int], list[ports.LogRecord]] = defaultdict(list)
    for record in book.logs:
        logs[record.node, record.attempt].append(record)
    for (node, attempt), records in logs.items():
        if [record.number for record in records] != list(range(1, len(records) + 1)):
            sentence = f"the log of attempt {attempt} of node {node} is not numbered from 1 without gaps"
            yield Violation(invariant="I9", run=run.id, sentence=sentence)
    for name, node_run in run.nodes.items():
        for tried in node_run.attempts:
            lines = [r.line.message for r in logs[name, tried.number] if r.line.stream != "pupload"]
            yield from _as_said(run, name, tried.number, lines, said, whole=tried.exit_code == 0)


def _as_said(
    run: Run, node: str, attempt: int, lines: list[str], said: Mapping[str, Sequence[str]], *, whole: bool
) -> Iterable[Violation]:
    wanted = said.get(f"{run.id}.{node}.{attempt}")
    if wanted is None:
        return
    if lines != list(wanted)[: len(lines)] or (whole and len(lines) != len(wanted)):
        sentence = f"the log of attempt {attempt} of node {node} is not what its container said"
        yield Violation(invariant="I9", run=run.id, sentence=sentence, evidence=json.dumps({"log": lines[:5]}))


def describe(violations: Sequence[Violation]) -> str:
    """All of them, for a person."""
    if not violations:
        return "every promise was kept"
    counts: Mapping[str, int] = Counter(violation.invariant for violation in violations)
    head = ", ".join(f"{invariant}: {count}" for invariant, count in sorted(counts.items()))
    return "\n".join([f"{len(violations)} violations ({head}):", *(f"  {violation}" for violation in violations)])


def as_json(violations: Sequence[Violation]) -> list[dict[str, Any]]:
    """All of them, for a program."""
    return [
        {"invariant": one.invariant, "run": one.run, "sentence": one.sentence, "evidence": one.evidence}
        for one in violations
    ]
