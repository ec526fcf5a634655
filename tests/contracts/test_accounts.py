"""What `ports.Accounts` promises."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from pupload import errors
from pupload.domain import account
from pupload.domain.access import Permission, Role
from pupload.domain.account import Key, SecondFactor, User
from tests.contracts.states import NOON, Bench, state

__all__ = ["state"]

LATER = NOON + timedelta(hours=1)

SECOND = SecondFactor(secret=b"secret", used_step=7, tries=(NOON,), wrong=2, pending_from="::1", pending_until=LATER)


def a_user(name: str = "ann", **others: object) -> User:
    return User(name=name, role=Role.EDITOR, password=f"hash of {name}", created_at=NOON, **others)  # type: ignore[arg-type]


def a_service(name: str) -> User:
    return User(name=name, role=Role.OPERATOR, purpose="CI", made_by=1, created_at=NOON)


def a_key(number: int, user: int = 1, **others: object) -> Key:
    token = f"token {number}"
    return Key(id=f"key_{number:026}", user=user, digest=account.digest(token), created_at=NOON, **others)  # type: ignore[arg-type]


async def test_an_account_reads_back_after_a_restart(state: Bench) -> None:
    assert not await state.accounts.any()
    made = await state.accounts.create(a_user(second=SECOND))
    assert made == a_user(id=1, second=SECOND)
    await state.again()
    assert await state.accounts.get(1) == made
    assert await state.accounts.find("ann") == made
    assert await state.accounts.find("Ann") is None
    assert await state.accounts.any()


async def test_a_name_is_given_once(state: Bench) -> None:
    await state.accounts.create(a_user())
    with pytest.raises(errors.AccountTaken):
        await state.accounts.create(replace(a_user(), password="another hash"))
    assert (await state.accounts.list()).total == 1


async def test_of_many_who_set_up_at_once_one_does(state: Bench) -> None:
    tries = [state.accounts.create(a_user(f"user {number}"), a_key(number), first=True) for number in range(8)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    made = [each for each in done if isinstance(each, User)]
    assert len(made) == 1
    assert sum(isinstance(each, errors.AlreadySetUp) for each in done) == 7
    assert (await state.accounts.list()).users == made
    assert len(await state.accounts.keys(made[0].id)) == 1
    with pytest.raises(errors.AlreadySetUp):
        await state.accounts.create(a_user("late"), first=True)


async def test_who_is_not_the_first_cannot_be(state: Bench) -> None:
    await state.accounts.create(a_user())
    with pytest.raises(errors.AlreadySetUp):
        await state.accounts.create(a_user("bob"), first=True)


async def test_a_change_counts_once(state: Bench) -> None:
    before = await state.accounts.create(a_user())
    after = await state.accounts.save(replace(before, active=False))
    assert (after.active, after.revision) == (False, 2)
    with pytest.raises(errors.AccountChanged):
        await state.accounts.save(replace(before, role=Role.ADMIN))
    await state.again()
    assert await state.accounts.get(1) == after
    with pytest.raises(errors.UnknownAccount):
        await state.accounts.save(replace(after, id=9))
    with pytest.raises(errors.UnknownAccount):
        await state.accounts.get(9)


async def test_lists_of_people_and_of_services(state: Bench) -> None:
    for made in (a_user("ann"), a_service("ci"), a_user("bob"), a_service("cd")):
        await state.accounts.create(made)

    async def names(**which: object) -> tuple[list[str], int]:
        page = await state.accounts.list(**which)  # type: ignore[arg-type]
        return [user.name for user in page.users], page.total

    assert await names() == (["ann", "ci", "bob", "cd"], 4)
    assert await names(service=True) == (["ci", "cd"], 2)
    assert await names(service=False, limit=1, offset=1) == (["bob"], 2)
    assert await names(offset=9) == ([], 4)
    assert await names(limit=0) == ([], 4)


async def test_a_key_opens_the_account_that_it_is_of(state: Bench) -> None:
    key = a_key(1, name="ci", first="pup_abcd", last="wxyz", scopes=frozenset({Permission.RUNS_VIEW}), expires_at=LATER)
    made = await state.accounts.create(a_user(), replace(key, user=0))
    await state.again()
    assert await state.accounts.open(key.digest) == (key, made)
    assert await state.accounts.open(account.digest("another")) is None
    with pytest.raises(errors.UnknownAccount):
        await state.accounts.put_key(a_key(2, user=9))


async def test_a_login_takes_the_place_of_the_one_before(state: Bench) -> None:
    await state.accounts.create(a_user())
    for key in (a_key(1), a_key(2, name="kept"), a_key(3)):
        await state.accounts.put_key(key)
    assert await state.accounts.open(a_key(1).digest) is None
    assert [key.id for key in await state.accounts.keys(1)] == [a_key(3).id, a_key(2).id]
    assert await state.accounts.keys(9) == []


async def test_what_was_revoked_says_since_when(state: Bench) -> None:
    await state.accounts.create(a_user())
    await state.accounts.create(a_user("bob"))
    for number in (1, 2):
        await state.accounts.put_key(a_key(number, name=f"key {number}"))
    await state.accounts.revoke(1, a_key(1).id, NOON)
    await state.accounts.revoke_all(1, LATER)
    await state.again()
    assert [key.revoked_at for key in await state.accounts.keys(1)] == [LATER, NOON]
    for user, key in ((2, a_key(1).id), (1, "key_none")):
        with pytest.raises(errors.UnknownKey):
            await state.accounts.revoke(user, key, LATER)


async def test_keys_say_when_they_were_shown(state: Bench) -> None:
    await state.accounts.create(a_user(), a_key(1, name="shown"))
    await state.accounts.used([a_key(1).id, "key_gone"], LATER)
    assert [key.used_at for key in await state.accounts.keys(1)] == [LATER]


async def test_numbers_are_never_given_twice(state: Bench) -> None:
    numbers = [(await state.accounts.create(a_user(name))).id for name in ("ann", "bob", "cyd")]
    await state.again()
    numbers.append((await state.accounts.create(a_user("dan"))).id)
    assert len(set(numbers)) == 4
    assert numbers == sorted(numbers)


async def test_a_new_key_of_the_database_changes_nothing_that_can_be_read(state: Bench) -> None:
    made = await state.accounts.create(a_user(second=SECOND))
    await state.secrets.reseal(new_key=True)
    await state.again()
    assert await state.accounts.get(1) == made
