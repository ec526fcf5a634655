"""What must stay secret."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Sealer(Protocol):
    """Encrypts what a database keeps, with keys that are kept elsewhere. Quick: microseconds for kilobytes."""

    def seal(self, data: bytes, *, about: str) -> bytes:
        """The data, unreadable and unchangeable. `about` says what it is for: it opens for nothing else."""

    def open(self, sealed: bytes, *, about: str) -> bytes:
        """
        The data of `seal`.

        Raises `errors.Misconfigured` when it was sealed with a key that is not there, `errors.Damaged` when it was
        changed, or sealed for something else.
        """

    def renew(self, *, new_key: bool) -> str:
        """
        Looks at the keys again; with `new_key` there is one more, which seals from now on. All others still open.

        Returns the id of the key that seals. Raises `errors.Misconfigured`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretInfo:
    """What may be told of a secret."""

    name: str
    changed_at: datetime
    account: int | None = None
    """Whose it is; None: nobody's."""


class SecretStore(Protocol):
    """
    Values that flows name and nobody reads, durably and sealed.

    Each is an account's, or nobody's; what has the same name there is another secret.
    """

    async def put(self, name: str, value: str, *, account: int | None = None, at: datetime) -> None:
        """Saves it, in place of the owner's earlier one of the name. What it may be: `pupload.domain.secret`."""

    async def reveal(self, name: str, *, account: int | None = None) -> str | None:
        """The value of the account's own, or nobody's where none is given; None when there is no such secret."""

    async def list(self) -> Sequence[SecretInfo]:
        """Everybody's, by name, without their values; of one name nobody's first, then by their accounts' numbers."""

    async def remove(self, name: str, *, account: int | None = None) -> None:
        """Of the account, or of nobody. Raises `errors.UnknownSecret`."""

    async def reseal(self, *, new_key: bool) -> str:
        """
        Everything that the database keeps sealed, secrets and else, is sealed with the newest key afterwards.

        `new_key` and what is returned are those of `Sealer.renew`.
        """
