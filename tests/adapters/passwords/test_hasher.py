"""Passwords' hashes: salted, slow enough, and beside the event loop."""

import asyncio
from collections.abc import AsyncIterator

import argon2
import pytest

from pupload import errors
from pupload.adapters.passwords.hasher import Argon2


@pytest.fixture
async def passwords() -> AsyncIterator[Argon2]:
    found = Argon2()
    yield found
    await found.close()


async def test_a_password_is_known_by_its_hash_and_not_in_it(passwords: Argon2) -> None:
    first, second = await passwords.hash("päss wörd"), await passwords.hash("päss wörd")
    assert first != second
    assert "päss" not in first
    assert await passwords.verify(first, "päss wörd")
    assert await passwords.verify(second, "päss wörd")
    assert not await passwords.verify(first, "pass word")
    assert not await passwords.verify(first, "")


async def test_it_costs_what_rfc_9106_says(passwords: Argon2) -> None:
    found = argon2.extract_parameters(await passwords.hash("x"))
    assert (found.type, found.memory_cost, found.time_cost) == (argon2.Type.ID, 64 * 1024, 3)
    assert not passwords.is_outdated(await passwords.hash("x"))
    assert passwords.is_outdated(argon2.PasswordHasher(time_cost=1, memory_cost=1024).hash("x"))


async def test_every_letter_of_a_long_password_counts(passwords: Argon2) -> None:
    hashed = await passwords.hash("a" * 200)
    assert await passwords.verify(hashed, "a" * 200)
    assert not await passwords.verify(hashed, "a" * 199 + "b")


async def test_nobody_has_no_password_and_takes_the_same_work(passwords: Argon2) -> None:
    worked: list[int] = []

    def work(hashed: str, password: str) -> bool:
        worked.append(argon2.extract_parameters(hashed).memory_cost)
        return True

    passwords._is_of = work  # type: ignore[method-assign]
    for guess in ("", "not ", "x"):
        assert not await passwords.verify("", guess)
    assert worked == [64 * 1024] * 3


async def test_nobodys_password_is_none_whatever_it_is(passwords: Argon2) -> None:
    assert not await passwords.verify("", "")
    assert not await passwords.verify("", "not ")


async def test_the_event_loop_goes_on_meanwhile(passwords: Argon2) -> None:
    working = [asyncio.ensure_future(passwords.hash("x")) for _ in range(4)]
    turns = 0
    while not all(each.done() for each in working):
        turns += 1
        await asyncio.sleep(0)
    assert turns > 100


async def test_what_is_no_hash_is_damaged(passwords: Argon2) -> None:
    with pytest.raises(errors.Damaged):
        await passwords.verify("no hash", "x")
