"""What is told to others when something happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pupload.domain import delivery


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
