"""
Runs, journals and projects in memory, with the manners of the database.

What the database would not save is not saved here either: a save writes the nodes and edges the decision names and no
others, and every load is a new value. `State` is four ports over one set of runs; it lasts as long as the process.
"""

import asyncio
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from datetime import datetime
from operator import attrgetter
from typing import Self

from pupload import errors, ports
from pupload.adapters.memory import (
    accounts,
    artifacts,
    batches,
    drawings,
    episodes,
    feed,
    following,
    knowledge,
    memos,
    namespaces,
    outbox,
    overview,
    retention,
    saved,
    schedules,
    threads,
)
from pupload.adapters.memory.books import Book, Me, Shelf, Subscription
from pupload.adapters.memory.credentials import Credentials
from pupload.adapters.memory.ownership import Ownership
from pupload.domain import events, queueing, run, values


class State:
    """`runs`, `journal`, `flows` and `ownership` over the same memory."""

    def __init__(self, *, clock: ports.Clock | None = None) -> None:
        """Leases are timed by the clock, the process's own where none is given."""
        self.shelf = Shelf(clock.monotonic if clock else time.monotonic)
        self.journal = Journal(self.shelf)
        self.feed = feed.Feed(self.shelf)
        self.flows = Flows()
        self.saved = saved.SavedFlows()
        self.outbox = outbox.Outbox(lambda run_id: run_id in self.shelf.books)
        self.memo = memos.Memos(lambda run_id: run_id in self.shelf.books)
        self.schedules = schedules.Schedules()
        self.namespaces = namespaces.Namespaces()
        self.accounts = accounts.Accounts()
        self.credentials = Credentials()
        self.drawings = drawings.Drawings()
        self.batches = batches.Batches()
        self.episodes = episodes.Episodes(
            lambda: (_summary(book) for book in self.shelf.books.values() if book.doomed_at is None)
        )
        self.knowledge = knowledge.Knowledge(lambda run_id: run_id in self.shelf.books)
        self.threads = threads.Threads()
        self._be(Me())

    def as_controller(self, controller_id: str) -> Self:
        """The same memory, as another controller on the same database sees it; `controller_id` is who it is."""
        other = copy(self)
        other._be(Me(controller_id))
        return other

    def _be(self, me: Me) -> None:
        self.runs = Runs(self.shelf, me)
        self.ownership = Ownership(self.shelf, me)


class Runs(retention.Retention, overview.Overview, artifacts.Artifacts, following.Following):
    """`ports.RunStore` in memory."""

    def __init__(self, shelf: Shelf, me: Me) -> None:
        self._shelf = shelf
        self._me = me

    async def create(self, decision: run.Decision, *, idempotency_key: str | None = None) -> run.Run:
        """See `ports.RunStore.create`. Raises `errors.Broken` when there is a run of this id."""
        await asyncio.sleep(0)  # a real store lets others go first, so must this one
        if idempotency_key is not None and idempotency_key in self._shelf.by_key:
            return self._shelf.books[self._shelf.by_key[idempotency_key]].whole()
        new = values.replace(decision.run, version=1, owner=self._me.id, fence=1)
        if new.id in self._shelf.books:
            raise errors.Broken(reason=f"run {new.id} is there already")
        family = self._adopt(new)
        book = Book(
            head=_bare(new),
            nodes=dict(new.nodes.items()),
            artifacts=dict(new.artifacts.items()),
            family=family,
            followed=new.plan.followed,
        )
        if new.plan.ephemeral:
            book.doomed_at, book.planned = new.created_at, True
        self._shelf.books[new.id] = book
        if idempotency_key is not None:
            self._shelf.by_key[idempotency_key] = new.id
        self._record(book, decision)
        return new

    async def load(self, run_id: str) -> run.Run:
        """See `ports.RunStore.load`."""
        await asyncio.sleep(0)
        return self._shelf.book(run_id).whole()

    async def save(self, decision: run.Decision, *, if_version: int) -> run.Run:
        """See `ports.RunStore.save`."""
        await asyncio.sleep(0)
        book = self._shelf.book(decision.run.id)
        if (book.head.owner, book.head.fence) != (self._me.id, decision.run.fence):
            raise errors.Fenced(run=decision.run.id)
        if book.head.version != if_version:
            raise errors.Stale(run=decision.run.id, version=if_version)
        new = values.replace(decision.run, version=if_version + 1, owner=self._me.id)
        book.head = _bare(new)
        book.nodes.update({node: new.nodes[node] for node in sorted(decision.changed_nodes)})
        book.artifacts.update({edge: new.artifacts[edge] for edge in decision.changed_edges})
        self._record(book, decision)
        return new

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
    ) -> ports.RunPage:
        """See `ports.RunStore.list`."""
        await asyncio.sleep(0)
        found = [
            book
            for book in self._shelf.books.values()
            if book.doomed_at is None
            and (status is None or book.head.status is status)
            and (flow is None or book.head.plan.flow.name == flow)
            and (flow_id is None or book.head.plan.flow_id == flow_id)
            and account in (None, book.head.plan.account)
            and (started is None or not book.head.status.terminal)
            and started in (None, book.started_at is not None)
        ]
        found.sort(key=lambda book: (book.head.created_at, book.head.id), reverse=True)
        return ports.RunPage(runs=[_summary(book) for book in found[offset : offset + limit]], total=len(found))

    async def unfinished(self) -> Sequence[str]:
        """See `ports.RunStore.unfinished`."""
        await asyncio.sleep(0)
        return [book.head.id for book in self._shelf.in_order() if not book.head.status.terminal]

    async def condemn(self, run_id: str, reason: str, at: datetime) -> None:
        """See `ports.RunStore.condemn`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        if book is None or book.head.status.terminal or book.head.owner != self._me.id:
            return
        self._close(book)
        version = book.head.version + 1
        book.head = values.replace(book.head, status=run.Status.ERROR, error=reason, finished_at=at, version=version)
        self._record(book, run.Decision(run=book.head, events=(events.RunFailed(error=reason),), at=at))

    async def close(self, run_id: str) -> None:
        """See `ports.RunStore.close`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        if book is not None and book.head.status.terminal and book.head.owner == self._me.id:
            self._close(book)

    def _close(self, book: Book) -> None:
        book.closed = True
        book.tidy_at = book.tidy_at or book.doomed_at
        self._shelf.remove_letters(book.head.id)

    async def delete(self, run_id: str) -> None:
        """See `ports.RunStore.delete`. Its idempotency key may be used again."""
        await asyncio.sleep(0)
        if self._shelf.books.pop(run_id, None) is not None:
            self._shelf.by_key = {key: owner for key, owner in self._shelf.by_key.items() if owner != run_id}
            self._shelf.remove_letters(run_id)
            self._shelf.wake(run_id)

    def _record(self, book: Book, decision: run.Decision) -> None:
        if book.started_at is None and queueing.starts(decision):
            book.started_at = decision.at
        for seq, event in enumerate(decision.events, start=len(book.entries) + 1):
            book.entries.append(ports.Entry(run=book.head.id, seq=seq, at=decision.at, event=event))
        self._shelf.feed(book.head.id, lines=False, upto=len(book.entries), count=len(decision.events))
        self._shelf.wake(book.head.id)


class Journal:
    """`ports.Journal` in memory."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def read(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[ports.Entry]:
        """See `ports.Journal.read`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        return book.entries[max(after, 0) :][:limit] if book else []

    async def write_logs(
        self, run_id: str, node: str, attempt: int, lines: Sequence[ports.LogLine], *, after: int | None = None
    ) -> None:
        """See `ports.Journal.write_logs`. Raises `errors.UnknownRun`: a run that was deleted gets no lines."""
        await asyncio.sleep(0)
        book = self._shelf.book(run_id)
        if after is not None and after != book.counts.get((node, attempt), 0):
            raise errors.Stale(run=run_id, version=book.head.version)
        for line in lines:
            number = book.counts[node, attempt] = book.counts.get((node, attempt), 0) + 1
            cursor = len(book.logs) + 1
            book.logs.append(
                ports.LogRecord(run=run_id, node=node, attempt=attempt, number=number, cursor=cursor, line=line)
            )
        if lines:
            self._shelf.feed(run_id, lines=True, upto=len(book.logs), count=len(lines))
            self._shelf.wake(run_id)

    async def count_logs(self, run_id: str, node: str, attempt: int) -> int:
        """See `ports.Journal.count_logs`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        return book.counts.get((node, attempt), 0) if book else 0

    async def read_logs(
        self, run_id: str, *, node: str | None = None, attempt: int | None = None, since: int = 0, limit: int = 1000
    ) -> Sequence[ports.LogRecord]:
        """See `ports.Journal.read_logs`."""
        await asyncio.sleep(0)
        logs = self._shelf.books[run_id].logs if run_id in self._shelf.books else []
        later = logs[bisect_right(logs, since, key=attrgetter("cursor")) :]
        wanted = [r for r in later if node in (None, r.node) and attempt in (None, r.attempt)]
        return wanted[:limit]

    async def log_tails(
        self, run_id: str, *, lines: int, nodes: Collection[str] | None = None
    ) -> Mapping[str, Sequence[ports.LogRecord]]:
        """See `ports.Journal.log_tails`."""
        await asyncio.sleep(0)
        by_node: dict[str, list[ports.LogRecord]] = defaultdict(list)
        for record in self._shelf.books[run_id].logs if run_id in self._shelf.books else []:
            if nodes is None or record.node in nodes:
                by_node[record.node].append(record)
        return {node: records[-lines:] for node, records in by_node.items()} if lines > 0 else {}

    def subscribe(self, run_id: str) -> ports.Subscription:
        """See `ports.Journal.subscribe`."""
        return Subscription(self._shelf.listeners, run_id)


class Flows:
    """`ports.FlowStore` in memory."""

    def __init__(self) -> None:
        self._projects: dict[tuple[str, int], ports.Project] = {}
        """By id and account, 0 where it is nobody's."""

    async def put_project(self, project: ports.Project) -> None:
        """See `ports.FlowStore.put_project`."""
        await asyncio.sleep(0)
        self._projects[project.id, project.account or 0] = project

    async def projects(self, project_id: str) -> Sequence[ports.Project]:
        """See `ports.FlowStore.projects`."""
        await asyncio.sleep(0)
        return [project for (name, _), project in sorted(self._projects.items(), key=_place) if name == project_id]


def _place(item: tuple[tuple[str, int], ports.Project]) -> tuple[str, int]:
    return item[0]


def _bare(whole: run.Run) -> run.Run:
    return values.replace(whole, nodes={}, artifacts={}, active=frozenset())


def _summary(book: Book) -> ports.RunSummary:
    return ports.RunSummary(
        id=book.head.id,
        flow=book.head.plan.flow.name,
        status=book.head.status,
        created_at=book.head.created_at,
        started_at=book.started_at,
        finished_at=book.head.finished_at,
        error=book.head.error,
        flow_id=book.head.plan.flow_id,
        account=book.head.plan.account,
    )
