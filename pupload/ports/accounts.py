"""Who has an account, and the keys to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pupload.domain.account import Key, User


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """Some of the accounts, by their numbers."""

    users: Sequence[User]
    total: int
    """Of all that match, not of this page."""


class Accounts(Protocol):
    """Accounts and their keys, durably. Names are told apart by every letter."""

    async def any(self) -> bool:
        """Whether there is any account: while there is none, whoever comes first sets pupload up."""

    async def create(self, user: User, key: Key | None = None, *, first: bool = False) -> User:
        """
        Saves a new account, its number given here, and with it, in one commit, its first key, made out to that number.

        Nothing is saved where it raises: `errors.AccountTaken` where the name is another's; `errors.AlreadySetUp`
        where it was to be the `first` and is not, whoever else tries at the same moment.
        """

    async def save(self, user: User) -> User:
        """
        Saves it in place of the revision before; returns it as it is now.

        Raises `errors.AccountChanged` when somebody else changed it since, `errors.UnknownAccount`.
        """

    async def get(self, user_id: int) -> User:
        """Raises `errors.UnknownAccount`."""

    async def find(self, name: str) -> User | None:
        """The account of exactly this name, None where there is none."""

    async def list(self, *, service: bool | None = None, limit: int = 100, offset: int = 0) -> UserPage:
        """By number; of services alone, or of people alone, where that is said."""

    # ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def put_key(self, key: Key) -> None:
        """
        Saves a new key. One without a name, as a login has, takes the place of the one before it in the same commit.

        Raises `errors.UnknownAccount`.
        """

    async def open(self, digest: str) -> tuple[Key, User] | None:
        """The key of this digest, revoked or not, and whose it is; None where there is none."""

    async def keys(self, user_id: int) -> Sequence[Key]:
        """Those of an account, the latest first, revoked ones included. Empty for an account that is not there."""

    async def revoke(self, user_id: int, key_id: str, at: datetime) -> None:
        """It opens nothing from now on; what was revoked stays so since then. Raises `errors.UnknownKey`."""

    async def revoke_all(self, user_id: int, at: datetime) -> None:
        """Nothing of the account's opens anything."""

    async def used(self, key_ids: Sequence[str], at: datetime) -> None:
        """These were shown. One that is gone is passed over."""


class Passwords(Protocol):
    """Hashes of passwords, slow on purpose, beside the event loop."""

    async def hash(self, password: str) -> str:
        """Another one each time, with its salt and what it cost."""

    async def verify(self, hashed: str, password: str) -> bool:
        """
        Whether it is the hash of this password. For an empty hash it is not, and takes as long to tell: who tries
        names must not hear which of them there are.
        """

    def is_outdated(self, hashed: str) -> bool:
        """Whether one made today would cost more."""
