"""
What is named as a secret, whether it is one or a credential's value: looked up when it is needed.

Both are their owner's: a run finds those of the account whose it is, and one that is nobody's finds nobody's.
"""

from collections.abc import Sequence
from datetime import datetime

from pupload import errors
from pupload.domain import credential, secret
from pupload.ports import Credentials, SecretInfo, SecretStore


class Revealing:
    """`ports.SecretStore` whose `reveal` knows values of credentials, too (`secret.of_credential`)."""

    def __init__(self, secrets: SecretStore, credentials: Credentials) -> None:
        self._secrets = secrets
        self._credentials = credentials

    async def reveal(self, name: str, *, account: int | None = None) -> str | None:
        """See `ports.SecretStore`."""
        of = secret.credential_of(name)
        if of is None:
            return await self._secrets.reveal(name, account=account)
        found = await self._find(of[0], account)
        return None if found is None else credential.given(found, of[1])

    async def _find(self, called: str, account: int | None) -> credential.Credential | None:
        number = credential.number(called)
        if number is None:
            return await self._credentials.find(called, account=account)
        try:
            found = await self._credentials.get(number)
        except errors.UnknownCredential:
            return None
        return found if found.account == account else None

    async def put(self, name: str, value: str, *, account: int | None = None, at: datetime) -> None:
        """See `ports.SecretStore`."""
        await self._secrets.put(name, value, account=account, at=at)

    async def list(self) -> Sequence[SecretInfo]:
        """See `ports.SecretStore`: secrets alone."""
        return await self._secrets.list()

    async def remove(self, name: str, *, account: int | None = None) -> None:
        """See `ports.SecretStore`."""
        await self._secrets.remove(name, account=account)

    async def reseal(self, *, new_key: bool) -> str:
        """See `ports.SecretStore`."""
        return await self._secrets.reseal(new_key=new_key)
