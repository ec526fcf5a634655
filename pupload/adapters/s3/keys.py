"""The keys a store signs with: given once, or refreshed by somebody who knows how (`admin.ChainKeys`)."""

from typing import Protocol

from pupload.adapters.s3 import signing


class Keys(Protocol):
    """Gives credentials that are valid now."""

    def current(self) -> signing.Credentials:
        """At once, as far as that can be. Raises `errors.Misconfigured` where there are none."""

    async def ready(self) -> None:
        """Afterwards `current` does not have to wait for anybody."""


class FixedKeys:
    """Keys that never change."""

    def __init__(self, credentials: signing.Credentials) -> None:
        self._credentials = credentials

    def current(self) -> signing.Credentials:
        return self._credentials

    async def ready(self) -> None:
        return
