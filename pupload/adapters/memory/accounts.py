"""`ports.Accounts` in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pupload import errors, ports
from pupload.domain.account import Key, User


class Accounts:
    """Lasts as long as the process."""

    def __init__(self) -> None:
        self._users: dict[int, User] = {}
        self._keys: dict[str, Key] = {}

    async def any(self) -> bool:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        return bool(self._users)

    async def create(self, user: User, key: Key | None = None, *, first: bool = False) -> User:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        if first and self._users:
            raise errors.AlreadySetUp
        if any(each.name == user.name for each in self._users.values()):
            raise errors.AccountTaken(name=user.name)
        new = self._users[len(self._users) + 1] = replace(user, id=len(self._users) + 1)
        if key is not None:
            self._keys[key.id] = replace(key, user=new.id)
        return new

    async def save(self, user: User) -> User:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        before = self._user(user.id)
        if before.revision != user.revision:
            raise errors.AccountChanged(name=user.name)
        after = self._users[user.id] = replace(user, name=before.name, revision=user.revision + 1)
        return after

    async def get(self, user_id: int) -> User:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        return self._user(user_id)

    async def find(self, name: str) -> User | None:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        return next((each for each in self._users.values() if each.name == name), None)

    async def list(self, *, service: bool | None = None, limit: int = 100, offset: int = 0) -> ports.UserPage:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        found = [each for each in self._users.values() if service in (None, each.service)]
        return ports.UserPage(users=found[offset : offset + limit], total=len(found))

    async def put_key(self, key: Key) -> None:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        self._user(key.user)
        if not key.name:
            for old in [each.id for each in self._keys.values() if each.user == key.user and not each.name]:
                del self._keys[old]
        self._keys[key.id] = key

    async def open(self, digest: str) -> tuple[Key, User] | None:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        key = next((each for each in self._keys.values() if each.digest == digest), None)
        return None if key is None else (key, self._users[key.user])

    async def keys(self, user_id: int) -> Sequence[Key]:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        found = [each for each in self._keys.values() if each.user == user_id]
        return sorted(found, key=lambda key: key.id, reverse=True)

    async def revoke(self, user_id: int, key_id: str, at: datetime) -> None:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        key = self._keys.get(key_id)
        if key is None or key.user != user_id:
            raise errors.UnknownKey(key=key_id[:64])
        self._keys[key_id] = replace(key, revoked_at=key.revoked_at or at)

    async def revoke_all(self, user_id: int, at: datetime) -> None:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        for key in [each for each in self._keys.values() if each.user == user_id]:
            self._keys[key.id] = replace(key, revoked_at=key.revoked_at or at)

    async def used(self, key_ids: Sequence[str], at: datetime) -> None:
        """See `ports.Accounts`."""
        await asyncio.sleep(0)
        for key_id in key_ids:
            if key_id in self._keys:
                self._keys[key_id] = replace(self._keys[key_id], used_at=at)

    def _user(self, user_id: int) -> User:
        if user_id not in self._users:
            raise errors.UnknownAccount(name=user_id)
        return self._users[user_id]
