"""
The stores of state that the contract suite is held over, and the runs it saves in them.

A further database joins by one more entry in `OPENERS`; everything else is asked through the ports.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pupload import ports
from pupload.adapters.db.database import Database
from pupload.adapters.memory.secrets import Secrets
from pupload.adapters.memory.state import State
from pupload.adapters.sealing.sealer import FileSealer
from pupload.domain import artifact, events, flow, namespace, plan, run, schedule, tiers
from tests import postgres

NOON = datetime(2026, 3, 3, 12, 0, 0, 123456, tzinfo=UTC)


async def _stay_open() -> None:
    """Memory has nothing to close."""


@dataclass
class Ports:
    """The ports of a state, and how to close and open it again."""

    runs: ports.RunStore
    journal: ports.Journal
    flows: ports.FlowStore
    secrets: ports.SecretStore
    outbox: ports.Outbox
    ownership: ports.Ownership
    memo: ports.Memo
    feed: ports.Feed
    schedules: schedule.Schedules
    namespaces: namespace.Namespaces
    saved: ports.SavedFlows
    accounts: ports.Accounts
    credentials: ports.Credentials
    drawings: ports.Drawings
    batches: ports.Batches
    knowledge: ports.Knowledge
    episodes: ports.Episodes
    threads: ports.Threads
    lasts: bool
    """Whether what was saved outlives the process."""
    close: Callable[[], Awaitable[None]]
    reopen: Callable[[], Awaitable["Ports"]]


async def _open_memory(folder: Path) -> Ports:
    state = State()

    async def reopen() -> Ports:
        return found

    found = Ports(
        state.runs,
        state.journal,
        state.flows,
        Secrets(),
        state.outbox,
        state.ownership,
        state.memo,
        state.feed,
        state.schedules,
        state.namespaces,
        state.saved,
        state.accounts,
        state.credentials,
        state.drawings,
        state.batches,
        state.knowledge,
        state.episodes,
        state.threads,
        lasts=False,
        close=_stay_open,
        reopen=reopen,
    )
    return found


async def _open_sqlite(folder: Path) -> Ports:
    database = await Database.open(folder / "pupload.db", sealer=FileSealer(folder / "secret.key"))

    async def reopen() -> Ports:
        await database.close()
        return await _open_sqlite(folder)

    return _ports(database, reopen)


async def _open_postgresql(folder: Path) -> Ports:
    return await _open_url(await postgres.shared().emptied(), folder)


async def _open_url(url: str, folder: Path) -> Ports:
    database = await Database.open(url, sealer=FileSealer(folder / "secret.key"))

    async def reopen() -> Ports:
        await database.close()
        return await _open_url(url, folder)

    return _ports(database, reopen)


def _ports(database: Database, reopen: Callable[[], Awaitable[Ports]]) -> Ports:
    return Ports(
        database.runs,
        database.journal,
        database.flows,
        database.secrets,
        database.outbox,
        database.ownership,
        database.memo,
        database.feed,
        database.schedules,
        database.namespaces,
        database.saved,
        database.accounts,
        database.credentials,
        database.drawings,
        database.batches,
        database.knowledge,
        database.episodes,
        database.threads,
        lasts=True,
        close=database.close,
        reopen=reopen,
    )


OPENERS: dict[str, Callable[[Path], Awaitable[Ports]]] = {
    "memory": _open_memory,
    "sqlite": _open_sqlite,
    "postgresql": _open_postgresql,
}


class Bench:
    """A state under test; `again` is what a restart leaves of it."""

    def __init__(self, now: Ports) -> None:
        self._now = now

    @property
    def runs(self) -> ports.RunStore:
        return self._now.runs

    @property
    def journal(self) -> ports.Journal:
        return self._now.journal

    @property
    def flows(self) -> ports.FlowStore:
        return self._now.flows

    @property
    def ownership(self) -> ports.Ownership:
        return self._now.ownership

    @property
    def accounts(self) -> ports.Accounts:
        return self._now.accounts

    @property
    def credentials(self) -> ports.Credentials:
        return self._now.credentials

    @property
    def threads(self) -> ports.Threads:
        return self._now.threads

    @property
    def knowledge(self) -> ports.Knowledge:
        return self._now.knowledge

    @property
    def episodes(self) -> ports.Episodes:
        return self._now.episodes

    @property
    def batches(self) -> ports.Batches:
        return self._now.batches

    @property
    def drawings(self) -> ports.Drawings:
        return self._now.drawings

    @property
    def secrets(self) -> ports.SecretStore:
        return self._now.secrets

    @property
    def outbox(self) -> ports.Outbox:
        return self._now.outbox

    @property
    def memo(self) -> ports.Memo:
        return self._now.memo

    @property
    def feed(self) -> ports.Feed:
        return self._now.feed

    @property
    def saved(self) -> ports.SavedFlows:
        return self._now.saved

    @property
    def namespaces(self) -> namespace.Namespaces:
        return self._now.namespaces

    @property
    def schedules(self) -> schedule.Schedules:
        return self._now.schedules

    @property
    def lasts(self) -> bool:
        return self._now.lasts

    async def again(self) -> None:
        """Closed and opened again."""
        self._now = await self._now.reopen()

    async def close(self) -> None:
        await self._now.close()


@asynccontextmanager
async def bench(kind: str, folder: Path) -> AsyncIterator[Bench]:
    found = Bench(await OPENERS[kind](folder))
    try:
        yield found
    finally:
        await found.close()


@pytest.fixture(params=list(OPENERS))
async def state(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(request.param, tmp_path) as found:
        yield found


# ── Builders ─────────────────────────────────────────────────────────────────────────────────────────────────────


def a_plan(name: str = "shrink", nodes: tuple[str, ...] = ("resize", "label")) -> plan.Plan:
    tier = tiers.Tier(name="c-small", cpus=1.0, memory_bytes=1 << 30, storage_bytes=1 << 32)
    return plan.Plan(
        flow=flow.Flow(name=name, nodes=tuple(flow.Node(id=node, uses="pupload/resize") for node in nodes)),
        nodes={node: plan.NodePlan(id=node, uses="pupload/resize", image="resize:1", tier=tier) for node in nodes},
        edges={"photo": plan.EdgePlan(name="photo", origin=plan.Origin.UPLOAD, store="default", key="photo")},
    )


def a_run(run_id: str = "run_a", *, of: plan.Plan | None = None, created_at: datetime = NOON) -> run.Run:
    of = of or a_plan()
    return run.Run(
        id=run_id,
        plan=of,
        status=run.Status.WAITING,
        created_at=created_at,
        nodes={node: run.NodeRun(id=node) for node in of.nodes},
        unfinished=len(of.nodes),
    )


def created(new: run.Run) -> run.Decision:
    """The decision that begins a run."""
    began = events.RunCreated(flow=new.plan.flow.name, nodes=len(new.nodes))
    return run.Decision(run=new, events=(began, events.RunWaiting(edges=("photo",))), at=new.created_at)


def moved(old: run.Run, node: str, status: run.NodeStatus, *, at: datetime | None = None) -> run.Decision:
    """A decision in which one node changed and the run goes on."""
    when = at or old.created_at + timedelta(seconds=old.version)
    number = len(old.nodes[node].attempts) + 1
    attempt = run.Attempt(number=number, ready_at=when)
    changed = replace(old.nodes[node], status=status, attempts=(*old.nodes[node].attempts, attempt))
    nodes = {**old.nodes, node: changed}
    active = {run.NodeStatus.READY, run.NodeStatus.RUNNING, run.NodeStatus.RETRYING}
    new = replace(
        old,
        status=run.Status.RUNNING,
        nodes=nodes,
        active=frozenset(n.id for n in nodes.values() if n.status in active),
        unfinished=sum(not n.status.terminal for n in nodes.values()),
    )
    return run.Decision(
        run=new, events=(events.NodeReady(node=node, attempt=number),), changed_nodes=frozenset({node}), at=when
    )


def arrived(old: run.Run, edge: str = "photo", *, at: datetime = NOON) -> run.Decision:
    """A decision in which an edge got its object."""
    found = an_artifact(edge)
    new = replace(old, artifacts={**old.artifacts, edge: found})
    return run.Decision(
        run=new, events=(events.UploadSealed(edge=edge, artifact=found),), changed_edges=frozenset({edge}), at=at
    )


def ended(old: run.Run, status: run.Status = run.Status.COMPLETE, *, at: datetime = NOON) -> run.Decision:
    """A decision that ends the run."""
    return run.Decision(run=replace(old, status=status, finished_at=at), events=(events.RunCompleted(),), at=at)


def an_artifact(edge: str = "photo") -> artifact.Artifact:
    return artifact.Artifact(
        edge=edge,
        store="default",
        key=f"runs/a/{edge}",
        size=3,
        content_type="image/png",
        sha256="ab" * 32,
        etag="e",
        created_at=NOON,
    )


def a_line(message: str, *, at: datetime = NOON) -> ports.LogLine:
    return ports.LogLine(at=at, stream="stdout", message=message)
