"""What the state in memory is made of: one book per run, on a shelf that several controllers may share."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from pupload import errors, ports
from pupload.domain import artifact, run, shares

FED = 500
"""More than so many things are fed in several rows."""

NEWS = ""
"""What those listen to who wait for letters: no run is called so."""


@dataclass(slots=True)
class Book:
    """All that is known of one run."""

    head: run.Run
    """Without its nodes and artifacts."""
    nodes: dict[str, run.NodeRun]
    artifacts: dict[str, artifact.Artifact]
    started_at: datetime | None = None
    closed: bool = False
    entries: list[ports.Entry] = field(default_factory=list)
    logs: list[ports.LogRecord] = field(default_factory=list)
    counts: dict[tuple[str, int], int] = field(default_factory=dict)
    """Log lines by node and attempt."""
    family: str = ""
    """The first of the runs that it resumes; empty for one that resumes none."""
    gone: dict[str, datetime] = field(default_factory=dict)
    planned: bool = False
    """Whether `tidy_at` was said, be it never."""
    tidy_at: datetime | None = None
    doomed_at: datetime | None = None
    followed: bool = False
    """Whether something may follow from it that was not done yet."""

    @property
    def unclosed(self) -> bool:
        """Whether something may be left to do for it."""
        return not self.closed and self.known

    @property
    def known(self) -> bool:
        """Whether whoever drives it may find it: a dry run is doomed from the beginning, and due when it was closed."""
        return self.doomed_at is None or self.tidy_at is None

    def whole(self) -> run.Run:
        """The run as last saved."""
        active = frozenset(n.id for n in self.nodes.values() if n.status.active)
        unfinished = sum(not n.status.terminal for n in self.nodes.values())
        return replace(
            self.head,
            nodes=dict(self.nodes),
            artifacts=dict(self.artifacts),
            gone=dict(self.gone),
            active=active,
            unfinished=unfinished,
        )


@dataclass(slots=True)
class Lease:
    """What is known of a controller that signed in and not out."""

    controller: ports.Controller
    until: float
    """A time of `Shelf.seconds`."""
    claim: shares.Claim = field(default_factory=shares.Claim)


@dataclass(frozen=True, slots=True)
class Fed:
    """Which part of a run's journal, or log, was written at once: so many that end with `upto`."""

    run: str
    lines: bool
    upto: int
    count: int


@dataclass(slots=True)
class Shelf:
    """All that controllers on one database share."""

    seconds: Callable[[], float]
    """The clock of leases."""
    books: dict[str, Book] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    """Runs by the keys that they were created with."""
    leases: dict[str, Lease] = field(default_factory=dict)
    letters: dict[int, ports.Posted] = field(default_factory=dict)
    terms: str = ""
    """What was agreed on about how long ended runs are kept."""
    posted: int = 0
    """Letters so far."""
    listeners: dict[str, set[asyncio.Event]] = field(default_factory=dict)
    listeners_to_all: dict[str, set[asyncio.Event]] = field(default_factory=dict)
    fed: list[Fed] = field(default_factory=list)
    """What was written, in all runs."""
    forgotten: int = 0
    """So much of the beginning of that is not known any more."""

    def book(self, run_id: str) -> Book:
        """Raises `errors.UnknownRun`, also for a run that is doomed."""
        book = self.books.get(run_id)
        if book is None or not book.known:
            raise errors.UnknownRun(name=run_id)
        return book

    def in_order(self) -> list[Book]:
        """All of them, oldest first."""
        return sorted(self.books.values(), key=lambda book: (book.head.created_at, book.head.id))

    def remove_letters(self, run_id: str) -> None:
        """Nobody needs to work them in any more."""
        self.letters = {number: one for number, one in self.letters.items() if one.run != run_id}

    def feed(self, run_id: str, *, lines: bool, upto: int, count: int) -> None:
        """The last `count` up to there were written now."""
        for left in range(count, 0, -FED):
            part = min(left, FED)
            self.fed.append(Fed(run_id, lines, upto - left + part, part))

    def wake(self, run_id: str) -> None:
        """Whoever listens to this run looks again."""
        for listeners in (self.listeners.get(run_id, ()), self.listeners_to_all.get("", ())):
            for written in listeners:
                written.set()


@dataclass(slots=True)
class Me:
    """Which controller it is that looks at the shelf."""

    id: str = ""
    """Empty for one that is nobody in particular."""
    controller: ports.Controller | None = None
    """None before it signed in."""
    out: bool = False
    """Whether it signed out."""

    def signed_in(self) -> ports.Controller:
        """Raises `errors.Broken` when it never did."""
        if self.controller is None:
            raise errors.Broken(reason="a controller must sign in before it asks for runs or room")
        return self.controller


class Subscription:
    """`ports.Subscription` to what is written for one run."""

    def __init__(self, listeners: dict[str, set[asyncio.Event]], run_id: str) -> None:
        self._listeners = listeners
        self._run_id = run_id
        self._written = asyncio.Event()

    def __enter__(self) -> Self:
        self._listeners.setdefault(self._run_id, set()).add(self._written)
        return self

    def __exit__(self, *exc: object) -> None:
        others = self._listeners.get(self._run_id, set())
        others.discard(self._written)
        if not others:
            self._listeners.pop(self._run_id, None)

    async def wait(self) -> None:
        """See `ports.Subscription.wait`."""
        await self._written.wait()
        self._written.clear()
