"""The keys a store signs with: given once, named as secrets, or found by somebody who knows how (`admin.ChainKeys`)."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from pupload import errors, ports
from pupload.adapters.s3 import signing
from pupload.domain import secret

_FRESH_SECONDS = 5.0
"""How soon a secret that was changed is noticed."""


Reveal = Callable[[str], Awaitable[str | None]]
"""The value of a secret; None where it is not set."""


class Keys(Protocol):
    """Gives credentials that are valid now."""

    def current(self) -> signing.Credentials:
        """At once, as far as that can be. Raises `errors.Misconfigured` where there are none."""

    async def ready(self) -> None:
        """Afterwards `current` does not have to wait for anybody."""

    async def renewed(self, refused: signing.Credentials) -> bool:
        """Looks again, for the store takes these no more; whether `current` gives others now."""


class FixedKeys:
    """Keys that never change."""

    def __init__(self, credentials: signing.Credentials) -> None:
        self._credentials = credentials

    def current(self) -> signing.Credentials:
        return self._credentials

    async def ready(self) -> None:
        return

    async def renewed(self, refused: signing.Credentials) -> bool:
        return self._credentials != refused


class SecretKeys:
    """Keys that are named `${secret.NAME}`: looked up when they are needed, and again now and then."""

    def __init__(
        self, store: str, endpoint: str, names: signing.Credentials, reveal: Reveal, clock: ports.Clock
    ) -> None:
        """`names` are the keys as the flow gives them; some may be values after all. `reveal` gives secrets."""
        self._store = store
        self._endpoint = endpoint
        self._names = names
        self._reveal = reveal
        self._clock = clock
        self._known: signing.Credentials | None = None
        self._trouble = "its keys were not looked up yet"
        self._looked_at = float("-inf")

    def current(self) -> signing.Credentials:
        """As last looked up. Raises `errors.StoreUnavailable` where a secret is not set: setting it mends that."""
        if self._known is None:
            raise errors.StoreUnavailable(store=self._store, endpoint=self._endpoint, reason=self._trouble)
        return self._known

    async def ready(self) -> None:
        """Raises `errors.DatabaseUnavailable` where nothing is known yet."""
        now = self._clock.monotonic()
        if self._known is not None and now - self._looked_at < _FRESH_SECONDS:
            return
        try:
            access_key = await self._value(self._names.access_key)
            secret_key = await self._value(self._names.secret_key)
            token = await self._value(self._names.session_token or "")
        except errors.TryLater:
            if self._known is None:
                raise
            return  # what was known is used on
        except _NotSet as missing:
            self._known, self._trouble = None, f"secret {missing}, one of its keys, is not set"
            return
        self._looked_at = now
        usable = all(map(_is_key, (access_key, secret_key, token or "none")))
        self._known = signing.Credentials(access_key, secret_key, token or None) if usable else None
        self._trouble = "its keys are secrets that no keys can be"

    async def renewed(self, refused: signing.Credentials) -> bool:
        self._looked_at = float("-inf")
        await self.ready()
        return self._known not in (None, refused)

    async def _value(self, given: str) -> str:
        name = secret.named(given)
        if name is None:
            return given
        value = await self._reveal(name)
        if value is None:
            raise _NotSet(name)
        return value.strip()


class _NotSet(Exception):
    """A secret of this name is not there."""


def _is_key(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable()
