"""Accounts: set up once, logged in to, known again by keys; who guesses learns nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import profiles

from pupload import errors
from pupload.adapters.memory.accounts import Accounts
from pupload.adapters.memory.clock import VirtualClock
from pupload.adapters.memory.ids import SeededIds
from pupload.adapters.passwords.hasher import Argon2
from pupload.domain import access, totp
from pupload.domain.access import Caller, Permission, Role
from pupload.service.callers import GUESSES_A_MINUTE, Callers, Login

HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"


@dataclass
class Door:
    """Callers, with what they stand on."""

    callers: Callers
    accounts: Accounts
    clock: VirtualClock
    passwords: Argon2

    async def caller(self, token: str) -> Caller:
        return await self.callers.identify(token)

    async def admin(self) -> Caller:
        return await self.caller(await self.callers.set_up("root", "root's"))

    def shown(self, secret: str) -> str:
        """What an authenticator shows now."""
        return totp.code(totp.read(secret), totp.step_at(self.clock.now()))

    def pass_(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def with_code(self, caller: Caller) -> str:
        """Switches the second factor on; returns the authenticator's secret."""
        secret, _ = await self.callers.propose_code(caller)
        await self.callers.enable_code(caller, self.shown(secret))
        self.pass_(60)
        return secret


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    clock, accounts, passwords = VirtualClock(datetime(2026, 3, 3, tzinfo=UTC)), Accounts(), Argon2(profiles.CHEAPEST)
    callers = Callers(accounts=accounts, passwords=passwords, clock=clock, ids=SeededIds(1))
    yield Door(callers, accounts, clock, passwords)
    await passwords.close()


async def test_of_many_who_set_up_at_once_one_does(door: Door) -> None:
    assert not await door.callers.are_set_up()
    tries = [door.callers.set_up(f"user {number}", "x") for number in range(4)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    tokens = [each for each in done if isinstance(each, str)]
    assert len(tokens) == 1
    assert all(isinstance(each, str | errors.AlreadySetUp) for each in done)
    assert (await door.caller(tokens[0])).role is Role.ADMIN
    assert await door.callers.are_set_up()
    with pytest.raises(errors.AlreadySetUp):
        await door.callers.set_up("late", "x")


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("a/b", "x"), ("ann", ""), ("ann", "x" * 1025)])
async def test_what_is_no_name_or_password_sets_nothing_up(door: Door, name: str, password: str) -> None:
    with pytest.raises(errors.Malformed):
        await door.callers.set_up(name, password)
    assert not await door.callers.are_set_up()


async def test_each_login_takes_the_place_of_the_one_before(door: Door) -> None:
    first = await door.callers.set_up("ann", "pass")
    login = await door.callers.log_in("ann", "pass", address=HERE)
    assert not login.needs_code
    assert (await door.caller(login.token)).name == "ann"
    with pytest.raises(errors.Unauthenticated):
        await door.caller(first)


async def test_tokens_are_kept_nowhere(door: Door) -> None:
    token = await door.callers.set_up("ann", "pass")
    assert len(token) == len("pup_") + 64
    kept = repr(vars(door.accounts))
    assert token not in kept
    assert "pass'" not in kept
    assert token not in repr(Login(token=token))


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("bob", "pass"), ("Ann", "pass"), ("ann", "")])
async def test_whoever_guesses_is_told_the_same(door: Door, name: str, password: str) -> None:
    await door.callers.set_up("ann", "pass")
    with pytest.raises(errors.WrongCredentials, match=r"^Invalid credentials\.$"):
        await door.callers.log_in(name, password, address=HERE)


async def test_after_ten_guesses_nothing_is_right_for_a_minute_from_there(door: Door) -> None:
    await door.callers.set_up("ann", "pass")
    for _ in range(GUESSES_A_MINUTE):
        with pytest.raises(errors.WrongCredentials):
            await door.callers.log_in("ann", "wrong", address=HERE)
    with pytest.raises(errors.WrongCredentials):
        await door.callers.log_in("ann", "pass", address=HERE)
    assert (await door.callers.log_in("ann", "pass", address=ELSEWHERE)).token
    door.pass_(61)
    assert (await door.callers.log_in("ann", "pass", address=HERE)).token


@pytest.mark.parametrize("token", ["", "pup_", "pup_" + "0" * 64, "\ud800"])
async def test_what_is_no_token_opens_nothing(door: Door, token: str) -> None:
    await door.callers.set_up("ann", "pass")
    with pytest.raises(errors.Unauthenticated):
        await door.caller(token)


# ── The second factor ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_login_with_a_code(door: Door) -> None:
    ann = await door.admin()
    secret = await door.with_code(ann)
    login = await door.callers.log_in("root", "root's", address=HERE)
    assert login == Login(needs_code=True)
    token = await door.callers.give_code("root", door.shown(secret), address=HERE)
    assert (await door.caller(token)).name == "root"


async def test_a_code_alone_opens_nothing(door: Door) -> None:
    secret = await door.with_code(await door.admin())
    with pytest.raises(errors.WrongCredentials):
        await door.callers.give_code("root", door.shown(secret), address=HERE)
    await door.callers.log_in("root", "root's", address=HERE)
    with pytest.raises(errors.WrongCredentials):
        await door.callers.give_code("root", door.shown(secret), address=ELSEWHERE)


async def test_who_does_not_know_the_password_locks_nobody_out(door: Door) -> None:
    secret = await door.with_code(await door.admin())
    for _ in range(30):
        with pytest.raises(errors.WrongCredentials):
            await door.callers.give_code("root", "000000", address=ELSEWHERE)
    await door.callers.log_in("root", "root's", address=HERE)
    assert await door.callers.give_code("root", door.shown(secret), address=HERE)


async def test_ten_wrong_codes_lock_and_a_quarter_of_an_hour_unlocks(door: Door) -> None:
    secret = await door.with_code(await door.admin())
    for _ in range(10):
        door.pass_(13)
        await door.callers.log_in("root", "root's", address=HERE)
        with pytest.raises(errors.WrongCode):
            await door.callers.give_code("root", "wrong", address=HERE)
    await door.callers.log_in("root", "root's", address=HERE)
    with pytest.raises(errors.WrongCode):
        await door.callers.give_code("root", door.shown(secret), address=HERE)
    door.pass_(15 * 60)
    await door.callers.log_in("root", "root's", address=HERE)
    assert await door.callers.give_code("root", door.shown(secret), address=HERE)


async def test_many_tries_at_once_count_each(door: Door) -> None:
    await door.with_code(await door.admin())
    await door.callers.log_in("root", "root's", address=HERE)
    tries = [door.callers.give_code("root", "wrong", address=HERE) for _ in range(5)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert all(isinstance(each, errors.WrongCode | errors.AccountChanged) for each in done)
    user = await door.accounts.find("root")
    assert user is not None
    assert user.second.wrong == sum(isinstance(each, errors.WrongCode) for each in done)


async def test_what_may_be_said_about_codes(door: Door) -> None:
    ann = await door.admin()
    with pytest.raises(errors.Malformed, match="not enabled"):
        await door.callers.disable_code(ann, "000000")
    with pytest.raises(errors.Malformed, match="first"):
        await door.callers.enable_code(ann, "000000")
    secret = await door.with_code(ann)
    with pytest.raises(errors.Malformed, match="already"):
        await door.callers.propose_code(ann)
    with pytest.raises(errors.Malformed, match="already"):
        await door.callers.enable_code(ann, "0")
    with pytest.raises(errors.Malformed, match="Invalid"):
        await door.callers.disable_code(ann, "0")
    await door.callers.disable_code(ann, door.shown(secret))
    assert not (await door.callers.me(ann)).second.on
    assert (await door.callers.log_in("root", "root's", address=HERE)).token


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_named_key_lives_until_it_expires_or_is_revoked(door: Door) -> None:
    ann = await door.admin()
    made = await door.callers.make_key(ann, "ci", expires_at=door.clock.now() + timedelta(hours=1))
    await door.callers.log_in("root", "root's", address=HERE)
    assert (await door.caller(made.token)).key == made.key.id
    door.pass_(3600)
    with pytest.raises(errors.Unauthenticated):
        await door.caller(made.token)
    other = await door.callers.make_key(ann, "other")
    await door.callers.revoke_key(ann, other.key.id)
    with pytest.raises(errors.Unauthenticated):
        await door.caller(other.token)
    assert made.token.startswith(made.key.first)
    assert made.token.endswith(made.key.last)


async def test_a_key_makes_no_key_that_may_do_more(door: Door) -> None:
    ann = await door.admin()
    narrow = await door.caller((await door.callers.make_key(ann, "narrow", scopes=["runs.view"])).token)
    assert narrow.permissions == {Permission.RUNS_VIEW, Permission.OWN_ACCOUNT}
    with pytest.raises(errors.Malformed, match=r"flows\.edit"):
        await door.callers.make_key(narrow, "wider", scopes=["runs.view", "flows.edit"])
    same = await door.caller((await door.callers.make_key(narrow, "same")).token)
    assert same.permissions == narrow.permissions
    with pytest.raises(errors.Malformed, match=r"runs\.all"):
        await door.callers.make_key(ann, "unknown", scopes=["runs.all"])


async def test_it_is_known_when_a_key_was_shown_to_the_minute(door: Door) -> None:
    ann = await door.admin()
    made = await door.callers.make_key(ann, "ci")
    first = door.clock.now()
    for seconds in (0, 30, 29):
        door.pass_(seconds)
        await door.caller(made.token)
    used = {key.name: key.used_at for key in await door.callers.keys(ann)}
    assert used["ci"] == first
    door.pass_(1)
    await door.caller(made.token)
    assert {key.name: key.used_at for key in await door.callers.keys(ann)}["ci"] == first + timedelta(seconds=60)


# ── Everybody's ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_others_accounts_are_there_for_administrators_alone(door: Door) -> None:
    admin = await door.admin()
    bob = await door.callers.create("bob", "pass", role=Role.EDITOR, by=admin)
    token = (await door.callers.log_in("bob", "pass", address=HERE)).token
    caller = await door.caller(token)
    with pytest.raises(errors.UnknownAccount):
        await door.callers.keys(caller, user_id=admin.user)
    assert len(await door.callers.keys(admin, user_id=bob.id)) == 1
    with pytest.raises(errors.AccountTaken):
        await door.callers.create("bob", "other", role=Role.VIEWER, by=admin)


async def test_a_closed_account_opens_nothing(door: Door) -> None:
    admin = await door.admin()
    bob = await door.callers.create("bob", "pass", role=Role.EDITOR, by=admin)
    token = (await door.callers.log_in("bob", "pass", address=HERE)).token
    await door.callers.change(bob.id, active=False)
    with pytest.raises(errors.Unauthenticated):
        await door.caller(token)
    with pytest.raises(errors.WrongCredentials):
        await door.callers.log_in("bob", "pass", address=HERE)
    # Opened again, its old keys stay void.
    await door.callers.change(bob.id, active=True)
    with pytest.raises(errors.Unauthenticated):
        await door.caller(token)


async def test_somebody_stays_administrator(door: Door) -> None:
    admin = await door.admin()
    assert admin.user is not None
    for change in ({"role": Role.EDITOR}, {"active": False}):
        with pytest.raises(errors.Conflict):
            await door.callers.change(admin.user, **change)
    await door.callers.create("second", "pass", role=Role.ADMIN, by=admin)
    assert (await door.callers.change(admin.user, role=Role.EDITOR)).role is Role.EDITOR


async def test_a_service_has_a_key_and_no_password(door: Door) -> None:
    admin = await door.admin()
    made = await door.callers.create_service("ci", purpose="builds", by=admin)
    caller = await door.caller(made.token)
    assert (caller.name, caller.role) == ("ci", Role.OPERATOR)
    for password in ("", "x"):
        with pytest.raises(errors.WrongCredentials):
            await door.callers.log_in("ci", password, address=HERE)
    with pytest.raises(errors.Malformed):
        await door.callers.create_service("more", role=Role.ADMIN, by=caller)
    users, total = await door.callers.list(service=True)
    assert [(user.name, user.purpose, user.made_by) for user in users] == [("ci", "builds", admin.user)]
    assert total == 1


async def test_a_new_password_voids_logins_and_no_named_keys(door: Door) -> None:
    admin = await door.admin()
    named = await door.callers.make_key(admin, "ci")
    login = (await door.callers.log_in("root", "root's", address=HERE)).token
    with pytest.raises(errors.WrongCredentials):
        await door.callers.change_password(admin, "wrong", "new")
    await door.callers.change_password(admin, "root's", "new")
    with pytest.raises(errors.Unauthenticated):
        await door.caller(login)
    assert (await door.caller(named.token)).user == admin.user
    assert (await door.callers.log_in("root", "new", address=HERE)).token


async def test_who_has_no_account_has_none_to_ask_for(door: Door) -> None:
    with pytest.raises(errors.Unauthenticated):
        await door.callers.me(access.ANYBODY)
