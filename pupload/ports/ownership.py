"""Who owns which runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pupload.domain import events, shares
from pupload.ports.runs import Subscription


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
