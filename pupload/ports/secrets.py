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


class SecretStore(Protocol):
    """Values that flows name and nobody reads, durably and sealed."""

    async def put(self, name: str, value: str, *, at: datetime) -> None:
        """Saves it, in place of an earlier one of the name. What it may be is told by `pupload.domain.secret`."""

    async def reveal(self, name: str) -> str | None:
        """The value; None when there is no such secret."""

    async def list(self) -> Sequence[SecretInfo]:
        """All of them, by name, without their values."""

    async def remove(self, name: str) -> None:
        """Raises `errors.UnknownSecret`."""

    async def reseal(self, *, new_key: bool) -> str:
        """
        Everything that the database keeps sealed, secrets and else, is sealed with the newest key afterwards.

        `new_key` and what is returned are those of `Sealer.renew`.
        """
