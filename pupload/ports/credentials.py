"""What opens something elsewhere, kept for those whose it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pupload.domain.credential import Credential


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialPage:
    """Some of the credentials, by their numbers."""

    credentials: Sequence[Credential]
    total: int
    """Of all that match, not of this page."""


class Credentials(Protocol):
    """Credentials, durably and sealed. A number is never given twice."""

    async def add(self, this: Credential) -> Credential:
        """Saves a new one and returns it with its number; where one of its `key` is there, that one is returned."""

    async def save(self, this: Credential) -> Credential:
        """
        Saves it in place of the revision before; returns it as it is now.

        Raises `errors.CredentialChanged` when somebody else changed it since, `errors.UnknownCredential`.
        """

    async def get(self, credential_id: int) -> Credential:
        """Raises `errors.UnknownCredential`."""

    async def list(
        self, *, account: int | None = None, type_: str | None = None, limit: int = 50, offset: int = 0
    ) -> CredentialPage:
        """Everybody's, or those of an account, or of a type, by number."""

    async def owned(self, account: int | None) -> Sequence[Credential]:
        """All of the account, or nobody's where it is None, by number."""

    async def find(self, name: str, *, account: int | None) -> Credential | None:
        """The oldest of this name that is the account's, or nobody's where that is None; None where there is none."""

    async def remove(self, credential_ids: Sequence[int]) -> None:
        """They are gone afterwards; one that is gone already is passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came of asking somebody."""

    status: int = 0
    """Of HTTP; 0 where there was no answer."""
    body: bytes = b""
    error: str = ""
    """Why there was no answer that can be used; empty where there is one."""


class Fetcher(Protocol):
    """Asks whom a stranger may have named."""

    async def fetch(self, url: str, *, headers: Mapping[str, str], timeout_seconds: float, most_bytes: int) -> Fetched:
        """
        What a GET comes to within the time, or why to nothing: nothing of that is raised, and no error tells the URL.

        No redirect is followed. The address that is connected to is one that the operator lets callbacks reach, judged
        after the name was resolved. An answer longer than `most_bytes` is none.
        """
