"""
Containers, as the engine has them: the calls that each of them costs.
"""

from collections.abc import Mapping
from typing import Any

from pupload.adapters.docker import asking, calls

NOT_FOUND, CONFLICT = 404, 409

_ENDED = frozenset({"exited", "dead"})
_STARTED = frozenset({"running", "paused", "restarting"}) | _ENDED

Inspected = dict[str, Any]
"""As the engine describes a container."""


class Containers:
    """Makes, starts, inspects and removes them, by name or id. All raise what `asking.Asking` raises."""

    def __init__(self, ask: asking.Asking) -> None:
        self._ask = ask

    async def create(self, name: str, settings: Mapping[str, Any]) -> None:
        """Makes one."""
        await self._ask.slow("POST", "/containers/create", query={"name": name}, body=settings)

    async def start(self, name: str) -> None:
        """Has it run; nothing happens where it does already."""
        await self._ask.start(f"/containers/{name}/start")

    async def inspect(self, name: str) -> Inspected | None:
        """The container as it is now; None when there is none, or it is just going away."""
        try:
            found = await self._ask.quick("GET", f"/containers/{name}/json", into=dict[str, Any])
        except calls.Refusal as refusal:
            if refusal.status == NOT_FOUND:
                return None
            raise
        return None if status(found) == "removing" else found

    async def remove(self, name: str, *, force: bool) -> None:
        """Removes it with its volumes; `force`: also when it runs."""
        query = {"v": "1", "force": "1"} if force else {"v": "1"}
        await self._ask.slow("DELETE", f"/containers/{name}", query=query)


def status(found: Inspected) -> str:
    """In the engine's word."""
    return str(found["State"]["Status"])


def has_ended(found: Inspected) -> bool:
    """Whether it ran and does no more, or could not be started at all."""
    return status(found) in _ENDED or (status(found) == "created" and bool(found["State"].get("Error")))


def was_started(found: Inspected) -> bool:
    """Whether it ever ran."""
    return status(found) in _STARTED
