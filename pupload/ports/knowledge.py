"""Where known facts are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pupload.domain.knowledge import Fact, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class FactPage:
    """Some of the facts that match, the last said first."""

    facts: Sequence[Fact]
    total: int
    """Of all that match, not of this page."""


class Knowledge(Protocol):
    """
    Known facts, durably; in a place (`Fact.place`) there is one of each key.

    Those of a run go with it.
    """

    async def say(self, facts: Sequence[Fact]) -> None:
        """Saves them in one commit; what was known of a key is said again (`domain.knowledge.said_again`)."""

    async def known(self, places: Sequence[str], *, count: bool = False) -> Sequence[Fact]:
        """All in these places; where it is to `count`, each was given once more from now on."""

    async def get(self, fact_id: str) -> Fact:
        """Raises `errors.UnknownFact`, `errors.Damaged`."""

    async def list(
        self,
        *,
        account: int | None = None,
        scope: Scope | None = None,
        kind: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> FactPage:
        """The last said first; where an `account` is said, only its own."""

    async def remove(self, fact_ids: Sequence[str]) -> None:
        """They are forgotten; those that are not there are passed over."""
