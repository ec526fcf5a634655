"""`ports.Credentials` in memory."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pupload import errors, ports
from pupload.domain.credential import Credential


class Credentials:
    """Lasts as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[int, Credential] = {}
        self._last = 0

    async def add(self, this: Credential) -> Credential:
        """See `ports.Credentials`."""
        await asyncio.sleep(0)
        for each in self._kept.values():
            if each.key == this.key:
                return each
        self._last += 1
        new = self._kept[self._last] = replace(this, id=self._last, revision=1)
        return new

    async def save(self, this: Credential) -> Credential:
        """See `ports.Credentials`."""
        await asyncio.sleep(0)
        before = self._kept.get(this.id)
        if before is None:
            raise errors.UnknownCredential(name=this.id)
        if before.revision != this.revision:
            raise errors.CredentialChanged(name=this.id)
        after = self._kept[this.id] = replace(this, revision=this.revision + 1)
        return after

    async def get(self, credential_id: int) -> Credential:
        """See `ports.Credentials`."""
        await asyncio.sleep(0)
        if credential_id not in self._kept:
            raise errors.UnknownCredential(name=credential_id)
        return self._kept[credential_id]

    async def list(
        self, *, account: int | None = None, type_: str | None = None, limit: int = 50, offset: int = 0
    ) -> ports.CredentialPage:
        """See `ports.Credentials`."""
        await asyncio.sleep(0)
        found = [this for this in self._kept.values() if account in (None, this.account) and type_ in (None, this.type)]
        return ports.CredentialPage(credentials=found[offset : offset + limit], total=len(found))

    async def owned(self, account: int | None) -> Sequence[Credential]:
        """See `ports.Credentials`."""
        await asyncio.sleep(0)
        return [this for this in self._kept.values() if this.account == account]

    async def find(self, name: str, *, account: int | None) -> Credential | None:
        """See `ports.Credentials`."""
        return next((this for this in await self.owned(account) if this.name == name), None)

    async def remove(self, credential_ids: Sequence[int]) -> None:
        """See `ports.Credentials`."""
        await asyncio.sleep(0)
        for credential_id in credential_ids:
            self._kept.pop(credential_id, None)


@dataclass(slots=True)
class MemoryFetcher:
    """`ports.Fetcher` of whom there is in memory."""

    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    """URLs and headers."""
    answers: list[ports.Fetched] = field(default_factory=list)
    """What is answered next, the first first; then nobody is there."""

    async def fetch(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_seconds: float,  # noqa: ARG002 - the port's name; here answers come at once
        most_bytes: int,  # noqa: ARG002 - likewise: they are as long as they are
    ) -> ports.Fetched:
        """See `ports.Fetcher.fetch`."""
        await asyncio.sleep(0)
        self.asked.append((url, headers))
        return self.answers.pop(0) if self.answers else ports.Fetched(error="it cannot be connected to")
