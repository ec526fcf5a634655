"""
Which runs may have attempts admitted, and in which order they come.

A run has a slot from its first attempt that gets room for as long as it has anything under way. Where there are only
so many slots, what is free is kept for those who come next: by priority, then in the order of creation. The others
wait, and so do their attempts, whatever room there is. Among those who may go, higher priorities come first and equal
ones take turns.

Who has a slot is told by who holds room, and by which runs were saved with something under way since they did: it is
never counted up and down. After a restart there may be more of them than slots; then nobody else gets one.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from pupload.domain import priority, queueing
from pupload.domain.run import Run


class Rank(NamedTuple):
    """A run's place among others; the least comes first."""

    after: int
    """Its priority, negative."""
    created_at: datetime
    run: str

    @classmethod
    def of(cls, run: Run) -> "Rank":
        """The run's, as it is now."""
        return cls(-priority.of(run), run.created_at, run.id)


class Slots:
    """The runs that have something in the queue, and those that have slots."""

    def __init__(self, most: int | None = None, *, holders: Callable[[], Iterable[str]]) -> None:
        """`most` runs may have a slot, None: any number. `holders` tells the ids of the attempts that hold room."""
        self.most = most
        self._holders = holders
        self._holding: frozenset[str] | None = None
        """Runs whose attempts hold room; None where that is to be told anew."""
        self._begun: set[str] = set()
        """Runs that were saved with something under way since an attempt of theirs held room."""
        self._ranks: dict[str, Rank] = {}
        """Of the runs that have something in the queue."""
        self._turns: dict[int, OrderedDict[str, None]] = {}
        """Those of them that may go, by rank (`Rank.after`)."""
        self._next: list[Rank] = []
        """Those of them that have no slot, but for which one is kept; in order."""
        self._waiting: list[Rank] = []
        """Those that may not go; in order."""
        self._told: set[str] = set()
        """Runs that are known to wait: it was told, or they were saved so."""
        self._moved: set[str] = set()
        """Runs of which it is to be looked at whether they have a slot."""
        self._to_tell: set[str] = set()
        """Runs that began to wait, or ceased to."""
        self.on_change: Callable[[str, bool], None] = _nobody
        """Told (by the run's id) of a run that waits for a slot from now on, or does not any more."""

    # ── Who comes and goes ───────────────────────────────────────────────────────────────────────────────────────

    def come(self, rank: Rank) -> None:
        """The run has something in the queue from now on."""
        if rank.run in self._ranks:
            return
        self._ranks[rank.run] = rank
        if self.most is None or self.has(rank.run):
            self._let_go_ahead(rank)
        else:
            insort(self._waiting, rank)
        if self.most is not None:
            self._to_tell.add(rank.run)

    def leave(self, run: str) -> None:
        """The run has nothing in the queue any more."""
        if (rank := self._ranks.pop(run, None)) is not None:
            self._take_out(rank)

    def gone(self, run: str) -> None:
        """The run has nothing under way any more, or is another's by now."""
        self._begun.discard(run)
        self._told.discard(run)
        if self.most is not None:
            self._moved.add(run)

    def see(self, run: Run) -> bool:
        """The run was saved, and is so now. Returns whether anybody may have become able to go by that."""
        changed = self._prioritize(run)
        if self.most is None:
            if run.queued_at is not None:
                self.on_change(run.id, False)  # there were only so many when it was saved
            return changed
        if run.queued_at is not None:
            self._told.add(run.id)
            self._to_tell.add(run.id)
        else:
            self._told.discard(run.id)
        if run.status.terminal or not run.active:
            had = run.id in self._begun
            self.gone(run.id)
            return had or changed
        if run.id in self._held():
            self._begun.add(run.id)
        return changed

    def take_up(self, run: Run) -> None:
        """The run was begun by an earlier process, perhaps: then it has its slot."""
        if self.most is not None and queueing.has_begun(run):
            self._begun.add(run.id)
            self._moved.add(run.id)

    def moved(self, run: str) -> None:
        """An attempt of the run holds room now, or does not any more."""
        if self.most is not None:
            self._holding = None
            self._moved.add(run)

    def _prioritize(self, run: Run) -> bool:
        rank = self._ranks.get(run.id)
        if rank is None or rank.after == -priority.of(run):
            return False
        self._take_out(rank)
        del self._ranks[run.id]
        self.come(Rank.of(run))
        return True

    # ── Who may go ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def any_may_go(self) -> bool:
        """Whether anything in the queue waits for room alone."""
        return bool(self._turns)

    def in_order(self) -> Iterator[str]:
        """The runs that may go, and have something in the queue, as their turns are."""
        for level in sorted(self._turns) if len(self._turns) > 1 else self._turns:
            yield from self._turns[level]

    def had_its_turn(self, run: str) -> None:
        """The others of its priority come first now."""
        if (rank := self._ranks.get(run)) is not None:
            self._turns[rank.after].move_to_end(run)

    def may_begin(self, run: str) -> bool:
        """Whether the run has a slot, or there is one that nobody waits for."""
        return self.most is None or self.has(run) or (not self._waiting and self._free() > len(self._next))

    def has(self, run: str) -> bool:
        """Whether the run has a slot, where there are only so many."""
        return run in self._begun or run in self._held()

    def settle(self) -> None:
        """Keeps what is free for those who come next. To be done before anybody is let go."""
        if self.most is None:
            return
        for run in [run for run in self._moved if run in self._ranks] if self._moved else ():
            rank = self._ranks[run]
            is_next, waits = _is_in(self._next, rank), _is_in(self._waiting, rank)
            if self.has(run) == (is_next or waits):
                self._take_out(rank)
                if is_next or waits:
                    self._let_go_ahead(rank)
                else:
                    insort(self._waiting, rank)
                self._to_tell.add(run)
        self._moved.clear()
        free = max(self._free(), 0) if self._next or self._waiting else 0
        while len(self._next) > free or (self._next and self._waiting and self._waiting[0] < self._next[-1]):
            rank = self._next[-1]
            self._take_out(rank)
            insort(self._waiting, rank)
            self._to_tell.add(rank.run)
        while self._waiting and len(self._next) < free:
            rank = self._waiting.pop(0)
            insort(self._next, rank)
            self._let_go_ahead(rank)
            self._to_tell.add(rank.run)

    def tell(self) -> None:
        """Says who waits since it was last said, and who does not any more but has no room yet."""
        if not self._to_tell:
            return
        for run in sorted(run for run in self._to_tell if run in self._ranks):
            waits = _is_in(self._waiting, self._ranks[run])
            if waits and run not in self._told:
                self._told.add(run)
                self.on_change(run, True)
            elif not waits and run in self._told:
                self._told.discard(run)
                self.on_change(run, False)
        self._to_tell.clear()

    # ── What is known ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def running(self) -> frozenset[str]:
        """Runs that have a slot, or one that is kept for them; not told where there is any number."""
        return self._held() | self._begun | {rank.run for rank in self._next}

    @property
    def queued(self) -> list[str]:
        """Runs that wait for a slot, in the order in which they get one."""
        return [rank.run for rank in self._waiting]

    @property
    def waiting(self) -> int:
        """How many do."""
        return len(self._waiting)

    def position(self, run: str) -> int | None:
        """Which of those who wait for a slot it is, from 1; None where it is none of them."""
        rank = self._ranks.get(run)
        if rank is None or not _is_in(self._waiting, rank):
            return None
        return bisect_left(self._waiting, rank) + 1

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _held(self) -> frozenset[str]:
        if self.most is None:
            return frozenset()
        if self._holding is None:
            self._holding = frozenset([attempt.partition(".")[0] for attempt in self._holders()])
        return self._holding

    def _free(self) -> int:
        """Slots that no run has; fewer than none where there are more runs than slots."""
        assert self.most is not None
        held = self._held()
        return self.most - len(self._begun) - sum(run not in self._begun for run in held)

    def _let_go_ahead(self, rank: Rank) -> None:
        self._turns.setdefault(rank.after, OrderedDict())[rank.run] = None

    def _take_out(self, rank: Rank) -> None:
        """Out of wherever the run is."""
        for those in (self._next, self._waiting):
            if _is_in(those, rank):
                del those[bisect_left(those, rank)]
        if (turns := self._turns.get(rank.after)) is not None and rank.run in turns:
            del turns[rank.run]
            if not turns:
                del self._turns[rank.after]


def _is_in(those: list[Rank], rank: Rank) -> bool:
    place = bisect_left(those, rank)
    return place < len(those) and those[place] == rank


def _nobody(run: str, waits: bool) -> None:
    """Before anybody wants to know."""
