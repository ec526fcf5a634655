"""Work that was done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from pupload.domain import memo


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
