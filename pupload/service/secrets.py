"""Secrets: set, listed, removed, sealed anew. Nobody is given a value back."""

from collections.abc import Sequence

from pupload import errors
from pupload.domain import secret
from pupload.ports import Clock, SecretInfo, SecretStore
from pupload.service import owned


class Secrets:
    """What can be asked about secrets."""

    def __init__(self, *, secrets: SecretStore, clock: Clock) -> None:
        self._secrets = owned.Secrets(secrets)
        self._clock = clock

    async def put(self, name: str, value: str) -> SecretInfo:
        """Saves it, in place of an earlier one of the name. Raises `errors.Malformed`, which never tells the value."""
        if not secret.is_name(name):
            reason = "a secret's name has 1 to 128 letters, digits and . _ -, and begins with a letter, a digit or _"
            raise errors.Malformed(reason=reason)
        if objection := secret.objection(value):
            raise errors.Malformed(reason=f"secret {name} cannot have this value: {objection}")
        at = self._clock.now()
        await self._secrets.put(name, value, at=at)
        return SecretInfo(name=name, changed_at=at, account=owned.mine())

    async def list(self) -> Sequence[SecretInfo]:
        """All of them, by name."""
        return await self._secrets.list()

    async def remove(self, name: str) -> None:
        """Raises `errors.UnknownSecret`."""
        if not secret.is_name(name):
            raise errors.UnknownSecret(name=name[:64])
        await self._secrets.remove(name)

    async def rotate(self, *, new_key: bool) -> str:
        """Seals everything anew, with a new key where one is wanted. Returns the id of the key that seals now."""
        return await self._secrets.reseal(new_key=new_key)
