"""What runs that are over were, as far as they are remembered."""

from collections.abc import Sequence
from typing import Protocol

from pupload.ports.runs import RunPage


class Episodes(Protocol):
    """Runs that are over and not doomed, but for those that were forgotten: of which nothing else is changed."""

    async def list(
        self, *, account: int | None = None, flow_id: str | None = None, limit: int = 100, offset: int = 0
    ) -> RunPage:
        """The last created first; where an `account` is said, only its own."""

    async def forget(self, run_ids: Sequence[str], *, account: int | None = None) -> None:
        """
        They are not among them any more; those that are not there are passed over, and where an `account` is said,
        those that are not its own.
        """
