"""
`ports.Passwords` with Argon2id, by argon2-cffi.

The cost is the second recommended choice of RFC 9106, section 4, for machines that have other things to do with their
memory: 64 MiB, three passes. A few are worked out at a time, in threads of their own (the library lets go of the
interpreter): a hundred who log in at once wait for each other, and nobody else for them.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from argon2 import Parameters, PasswordHasher, profiles
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from pupload import errors

T = TypeVar("T")

AT_ONCE = 2
"""64 MiB each."""


class Argon2:
    """May be used from one event loop; `close` gives its threads up."""

    def __init__(self, cost: Parameters = profiles.RFC_9106_LOW_MEMORY) -> None:
        self._hasher = PasswordHasher.from_parameters(cost)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pupload-password")
        self._nobodys = ""

    async def close(self) -> None:
        """Waits for what is under way."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """See `ports.Passwords`."""
        return await self._do(partial(self._hasher.hash, password))

    async def verify(self, hashed: str, password: str) -> bool:
        """See `ports.Passwords`. Raises `errors.Damaged` for what is no hash."""
        if not hashed:
            self._nobodys = self._nobodys or await self.hash("")
            await self._do(partial(self._is_of, self._nobodys, f"not {password}"))
            return False
        return await self._do(partial(self._is_of, hashed, password))

    def is_outdated(self, hashed: str) -> bool:
        """See `ports.Passwords`."""
        return self._hasher.check_needs_rehash(hashed)

    def _is_of(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError) as error:
            raise errors.Damaged(what="a password's hash", reason="it cannot be read") from error

    async def _do(self, work: "partial[T]") -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)
