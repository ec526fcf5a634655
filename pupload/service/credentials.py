"""
Credentials: kept for those whose it is, shown with masks, tried out. Nobody is given back what opens something.

Whose one is, is who made it. Others do not find it; administrators find all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pupload import errors
from pupload.domain import credential, llm
from pupload.domain.credential import Credential
from pupload.engine.engine import Engine
from pupload.ports import CredentialPage
from pupload.service import owned

ASK_SECONDS = 10.0
"""In so long a provider must have answered."""

ANSWER_BYTES = 1 << 20
"""So much of its answer is read."""

PATIENCE = 10
"""How often a change is made again when somebody else changes the credential meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of trying a credential out."""

    error: str = ""
    """Why it does not open what it is for; empty where it does."""
    models: Sequence[llm.Model] = ()


class Credentials:
    """What can be asked about credentials."""

    def __init__(self, *, engine: Engine) -> None:
        world = engine.world
        assert world.credentials is not None, "a server keeps credentials"
        self._credentials = world.credentials
        self._clock = world.clock
        self._ids = world.ids
        self._fetcher = world.fetcher

    async def list(self, *, type_: str | None = None, limit: int = 50, offset: int = 0) -> CredentialPage:
        """The caller's own, an administrator's everybody's, by number."""
        return await self._credentials.list(account=owned.shown(), type_=type_, limit=limit, offset=offset)

    async def get(self, credential_id: int) -> Credential:
        """Raises `errors.UnknownCredential`, also where it is somebody else's."""
        found = await self._credentials.get(credential_id)
        if not owned.sees(found):
            raise errors.UnknownCredential(name=credential_id)
        return found

    async def find(self, named: str) -> Credential:
        """
        By its number, or the caller's oldest of the name; an administrator finds nobody's, too.

        Raises `errors.UnknownCredential`.
        """
        number = credential.number(named)
        if number is not None:
            return await self.get(number)
        for account in dict.fromkeys((owned.mine(), None)):
            found = await self._credentials.find(named, account=account)
            if found is not None and owned.sees(found):
                return found
        raise errors.UnknownCredential(name=named[:64])

    async def create(self, name: str, type_: str, detail: Mapping[str, Any]) -> Credential:
        """A new one, the caller's. Raises `errors.Malformed`, which never tells a value."""
        _check(name, type_, detail)
        now = self._clock.now()
        new = Credential(
            key=f"cred_{self._ids.token()}",
            name=name,
            type=type_,
            detail=credential.complete(type_, detail),
            account=owned.mine(),
            created_at=now,
            updated_at=now,
        )
        return await self._credentials.add(new)

    async def change(
        self, credential_id: int, *, name: str | None = None, detail: Mapping[str, Any] | None = None
    ) -> Credential:
        """
        The credential with another name, with these keys of its detail in place of what they were, or both.

        A value that is the mask of the one before stays as it was. Raises `errors.UnknownCredential`,
        `errors.Malformed`, `errors.CredentialChanged` where others change it all the time.
        """
        for _ in range(PATIENCE):
            before = await self.get(credential_id)
            after = credential.renewed(before, self._clock.now(), name=name, detail=detail)
            _check(after.name, after.type, after.detail)
            if (after.name, after.detail) == (before.name, before.detail):
                return before
            try:
                return await self._credentials.save(after)
            except errors.CredentialChanged:
                continue
        raise errors.CredentialChanged(name=credential_id)

    async def remove(self, credential_id: int) -> None:
        """Nodes that name it are not given it any more. Raises `errors.UnknownCredential`."""
        await self.get(credential_id)
        await self._credentials.remove([credential_id])

    async def remove_all(self, credential_ids: Sequence[int]) -> None:
        """As `remove`, of those that the caller finds; others are passed over."""
        found = []
        for credential_id in dict.fromkeys(credential_ids):
            try:
                found.append((await self.get(credential_id)).id)
            except errors.UnknownCredential:
                continue
        await self._credentials.remove(found)

    async def try_out(self, credential_id: int) -> Trial:
        """
        Asks the provider of a language model what models it has: one GET, that goes where callbacks may go.

        Raises `errors.UnknownLLM` where it is no such credential, as where it is none at all.
        """
        try:
            this = await self.get(credential_id)
        except errors.UnknownCredential:
            raise errors.UnknownLLM(name=credential_id) from None
        if this.type != credential.LLM:
            raise errors.UnknownLLM(name=credential_id)
        try:
            url, headers = llm.request(this)
        except ValueError as error:
            return Trial(error=str(error))
        if self._fetcher is None:
            return Trial(error="this server cannot ask anybody")
        answer = await self._fetcher.fetch(url, headers=headers, timeout_seconds=ASK_SECONDS, most_bytes=ANSWER_BYTES)
        return _judged(answer.status, answer.body, answer.error)


def _judged(status: int, body: bytes, error: str) -> Trial:
    if error:
        return Trial(error=error)
    if status in (401, 403):
        return Trial(error=f"its provider does not take the key: HTTP {status}")
    found = llm.models(body) if status == 200 else None
    if found is None:
        return Trial(error=f"its provider answered with no list of models: HTTP {status}")
    return Trial(models=found)


def _check(name: str, type_: str, detail: Mapping[str, Any]) -> None:
    objections = tuple(credential.objections(name, type_, detail))
    if objections:
        raise errors.Malformed(reason="; ".join(objections), objections=objections)
