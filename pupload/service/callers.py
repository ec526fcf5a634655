"""
Who calls: accounts set up, logged in to, and known again by their keys.

A token is shown once, when it is made, and kept nowhere. Who guesses learns nothing: a name that is not there, a wrong
password, a locked second factor and one try too many all are answered alike, and take as long.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pupload import errors
from pupload.domain import access, account, ids, totp
from pupload.domain.access import Caller, Permission, Role
from pupload.domain.account import Key, SecondFactor, Told, User
from pupload.ports import Accounts, Clock, Ids, Passwords

KEY_PREFIX = "key_"

GUESSES_A_MINUTE = 10
"""Wrong passwords for one name from one address; a right one is not taken then, either."""
_GUESSERS = 10_000
"""Names with addresses that are remembered: older ones are forgotten first."""

_TRIES = 8
"""How often a change of an account is begun anew when somebody else was quicker."""

UNASKED_SECONDS = 1.0
"""For so long it is believed that there are no accounts."""

LOOKED_SECONDS = 10.0
"""How often it is looked whether what goes on for somebody still may."""

_NOTED = timedelta(minutes=1)
"""How exactly it is known when a key was last shown: not every request is to be a commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What came of a name and a password."""

    token: str = field(default="", repr=False)
    """Empty where a code is due first."""
    needs_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A key that was made, with what opens it: it is shown this once."""

    key: Key
    token: str = field(repr=False)


class Callers:
    """Accounts and their keys, for whoever asks."""

    def __init__(self, *, accounts: Accounts, passwords: Passwords, clock: Clock, ids: Ids) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._clock = clock
        self._ids = ids
        self._guesses = _Guesses()
        self._changed = asyncio.Event()
        self._set_up = False
        self._asked_until = -math.inf

    async def are_set_up(self) -> bool:
        """
        Whether there is any account; until then everybody is `access.ANYBODY`.

        That there is none is asked anew once in `UNASKED_SECONDS`: an account that this server makes counts at once,
        one that another makes so much later. That there is one is never otherwise again.
        """
        now = self._clock.monotonic()
        if not self._set_up and now >= self._asked_until:
            self._set_up, self._asked_until = await self._accounts.any(), now + UNASKED_SECONDS
        return self._set_up

    async def identify(self, token: str) -> Caller:
        """
        Whose token this is. Raises `errors.Unauthenticated` for one that opens nothing, or not any more.

        Asked anew each time: what was revoked, by whatever server, is so at once.
        """
        now = self._clock.now()
        found = await self._accounts.open(account.digest(token)) if token else None
        if found is None or not found[0].opens(now) or not found[1].active:
            raise errors.Unauthenticated
        key, user = found
        if key.used_at is None or now - key.used_at >= _NOTED:
            await self._accounts.used([key.id], now)
        return Caller(user=user.id, name=user.name, role=user.role, scopes=key.scopes, key=key.id)

    async def until_void(self, token: str, caller: Caller) -> None:
        """
        Returns when the token opens nothing any more, or something else than for this caller.

        For who has none that is when there are accounts. At once for what this server did, within `LOOKED_SECONDS` for
        what another one did.
        """
        while True:
            changed = self._changed
            if not await self._is_still(token, caller):
                return
            await _first(changed.wait(), self._clock.sleep(LOOKED_SECONDS))

    async def _is_still(self, token: str, caller: Caller) -> bool:
        try:
            if caller.user is None:
                return not await self.are_set_up()
            return await self.identify(token) == caller
        except errors.Unauthenticated:
            return False
        except errors.TryLater:
            return True  # nobody can tell just now

    def _tell(self) -> None:
        """Whoever waits for a change of what opens what looks again."""
        self._changed.set()
        self._changed = asyncio.Event()

    # ── Coming in ────────────────────────────────────────────────────────────────────────────────────────────────

    async def set_up(self, name: str, password: str) -> str:
        """
        The first account, an administrator's; returns its token.

        Raises `errors.AlreadySetUp` where there is any account, `errors.Malformed` for what is no name or password.
        """
        if await self.are_set_up():
            raise errors.AlreadySetUp
        user = await self._new(name, password, role=Role.ADMIN)
        made = self._key(0)
        await self._accounts.create(user, made.key, first=True)
        self._set_up = True
        self._tell()
        return made.token

    async def log_in(self, name: str, password: str, *, address: str) -> Login:
        """
        A token, which takes the place of the one of the login before; or that a code is due, from the same address.

        Raises `errors.WrongCredentials`.
        """
        now = self._clock.now()
        user = await self._accounts.find(name)
        known = user is not None and user.active
        fits = len(password) <= account.MOST_PASSWORD
        right = await self._passwords.verify(user.password if user and known else "", password if fits else "")
        if not right or not fits or user is None or self._guesses.too_many(name, address, now):
            self._guesses.note(name, address, now)
            raise errors.WrongCredentials
        if self._passwords.is_outdated(user.password):
            hashed = await self._passwords.hash(password)
            user = await self._change(user.id, lambda before: replace(before, password=hashed))
        if user.second.on:
            await self._change(
                user.id, lambda before: replace(before, second=account.with_password(before.second, address, now))
            )
            return Login(needs_code=True)
        return Login(token=await self._begin(user))

    async def give_code(self, name: str, code: str, *, address: str) -> str:
        """
        The token of a login that a password began a moment ago, from the same address.

        Raises `errors.WrongCredentials` where no code is due: there is no such account, it asks for none, or nobody
        gave its password from there. Else `errors.WrongCode`.
        """
        user = await self._accounts.find(name)
        now = self._clock.now()
        if user is None or not user.active or not account.is_due(user.second, address, now):
            raise errors.WrongCredentials
        told = await self._told(user.id, lambda second: account.at_login(second, code, address, now))
        if told is not Told.RIGHT:
            raise errors.WrongCode
        return await self._begin(user)

    async def _begin(self, user: User) -> str:
        made = self._key(user.id)
        await self._accounts.put_key(made.key)
        self._tell()
        return made.token

    # ── One's own account ────────────────────────────────────────────────────────────────────────────────────────

    async def me(self, caller: Caller) -> User:
        """The caller's account. Raises `errors.Unauthenticated` for who has none."""
        if caller.user is None:
            raise errors.Unauthenticated
        return await self._accounts.get(caller.user)

    async def propose_code(self, caller: Caller, *, issuer: str = "pupload") -> tuple[str, str]:
        """
        A new secret for an authenticator, and the URI that it reads; it counts once `enable_code` was given a code.

        Raises `errors.Malformed` where codes are asked for already.
        """
        _check_whole(caller)
        secret = bytes.fromhex(self._chance())[: totp.SECRET_BYTES]

        def propose(before: User) -> User:
            if before.second.on:
                raise errors.Malformed(reason="MFA is already enabled.")
            return replace(before, second=account.proposed(before.second, secret))

        user = await self._change((await self.me(caller)).id, propose)
        return totp.written(secret), totp.provisioning_uri(secret, issuer=issuer, account=user.name)

    async def enable_code(self, caller: Caller, code: str) -> None:
        """Codes are asked for from now on. Raises `errors.Malformed` with why not."""
        _check_whole(caller)
        user = await self.me(caller)
        if user.second.on:
            raise errors.Malformed(reason="MFA is already enabled.")
        if not user.second.candidate:
            raise errors.Malformed(reason="Call /mfa/setup/ first.")
        now = self._clock.now()
        told = await self._told(user.id, lambda second: account.enabled(second, code, now))
        if told is not Told.RIGHT:
            raise errors.Malformed(reason="Invalid TOTP code.")

    async def disable_code(self, caller: Caller, code: str) -> None:
        """No code is asked for any more, and its secret is forgotten. Raises `errors.Malformed` with why not."""
        _check_whole(caller)
        user = await self.me(caller)
        if not user.second.on:
            raise errors.Malformed(reason="MFA is not enabled.")
        now = self._clock.now()
        told = await self._told(user.id, lambda second: account.tried(second, second.secret, code, now))
        if told is not Told.RIGHT:
            raise errors.Malformed(reason="Invalid TOTP code.")
        await self.reset_code(caller)

    async def reset_code(self, caller: Caller, *, user_id: int | None = None) -> None:
        """
        No code is asked for any more: of another account, by an administrator, or of the caller's own.

        The latter is for who sits at the machine itself, which whoever calls this made sure of. Raises
        `errors.UnknownAccount`.
        """
        _check_whole(caller)
        user = await self._account_of(caller, user_id)
        await self._change(user.id, lambda before: replace(before, second=account.disabled()))

    async def reset_code_of(self, name: str) -> None:
        """The same of the account of this name, for who sits at the machine. Raises `errors.UnknownAccount`."""
        user = await self._accounts.find(name)
        if user is None:
            raise errors.UnknownAccount(name=name)
        await self._change(user.id, lambda before: replace(before, second=account.disabled()))

    async def change_password(self, caller: Caller, old: str, new: str) -> None:
        """All keys of logins are void. Raises `errors.WrongCredentials`, `errors.Malformed`."""
        _check_whole(caller)
        user = await self.me(caller)
        if not await self._passwords.verify(user.password, old):
            raise errors.WrongCredentials
        hashed = await self._hash(new)
        await self._change(user.id, lambda before: replace(before, password=hashed))
        now = self._clock.now()
        for key in await self._accounts.keys(user.id):
            if not key.name and key.revoked_at is None:
                await self._accounts.revoke(user.id, key.id, now)
        self._tell()

    # ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def make_key(
        self,
        caller: Caller,
        name: str,
        *,
        scopes: Collection[str] | None = None,
        expires_at: datetime | None = None,
        user_id: int | None = None,
    ) -> Made:
        """
        A named key of the caller's, or of another account's by an administrator.

        It may do what its scopes say, and never more than its owner, or than the key it was made with. Raises
        `errors.Malformed`, `errors.UnknownAccount`.
        """
        owner = await self._account_of(caller, user_id)
        if not name or len(name) > account.MOST_NAME:
            raise errors.Malformed(reason=f"a key's name has 1 to {account.MOST_NAME} letters")
        now = self._clock.now()
        if expires_at is not None and expires_at <= now:
            raise errors.Malformed(reason="a key cannot expire in the past")
        made = self._key(owner.id, name, scopes=_narrowed(caller, owner, scopes), expires_at=expires_at)
        await self._accounts.put_key(made.key)
        return made

    async def keys(self, caller: Caller, *, user_id: int | None = None) -> Sequence[Key]:
        """The caller's, or another's for an administrator; the latest first. Raises `errors.UnknownAccount`."""
        return await self._accounts.keys((await self._account_of(caller, user_id)).id)

    async def revoke_key(self, caller: Caller, key_id: str, *, user_id: int | None = None) -> None:
        """It opens nothing any more. Raises `errors.UnknownKey`, `errors.UnknownAccount`."""
        await self._accounts.revoke((await self._account_of(caller, user_id)).id, key_id, self._clock.now())
        self._tell()

    # ── Everybody's ──────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, name: str, password: str, *, role: Role, by: Caller) -> User:
        """A person's account, once pupload is set up. Raises `errors.AccountTaken`, `errors.Malformed`."""
        await self._check_set_up()
        return await self._accounts.create(await self._new(name, password, role=role, by=by))

    async def create_service(self, name: str, *, purpose: str = "", role: Role = Role.OPERATOR, by: Caller) -> Made:
        """
        An account that nobody logs in to, and its one key. Raises `errors.AccountTaken`, `errors.Malformed`.

        It may not do more than who made it.
        """
        await self._check_set_up()
        _check_whole(by)
        if objection := account.objection_to_name(name):
            raise errors.Malformed(reason=objection)
        allowed = by.permissions
        if not access.ALLOWED[role] <= allowed:
            raise errors.Malformed(reason=f"who is {by.role} cannot make an account that is {role}")
        user = User(name=name, role=role, purpose=purpose, made_by=by.user, created_at=self._clock.now())
        made = self._key(0, "service")
        new = await self._accounts.create(user, made.key)
        return replace(made, key=replace(made.key, user=new.id))

    async def keys_of(self, user_id: int) -> Sequence[Key]:
        """Those of an account, the latest first; for who may see the account, which whoever calls this made sure of."""
        return await self._accounts.keys(user_id)

    async def name_of(self, user_id: int | None) -> str | None:
        """What an account is called; None for nobody's."""
        return None if user_id is None else (await self._accounts.get(user_id)).name

    def now(self) -> datetime:
        """The time by which keys expire."""
        return self._clock.now()

    async def get(self, user_id: int) -> User:
        """Raises `errors.UnknownAccount`."""
        return await self._accounts.get(user_id)

    async def names(self, user_ids: Iterable[int]) -> Mapping[int, str]:
        """What those of these accounts are called that are there, by number."""
        found: dict[int, str] = {}
        for user_id in dict.fromkeys(user_ids):
            with suppress(errors.UnknownAccount):
                found[user_id] = (await self._accounts.get(user_id)).name
        return found

    async def list(
        self, *, service: bool | None = None, limit: int = 100, offset: int = 0
    ) -> tuple[Sequence[User], int]:
        """Accounts by number, and how many there are in all."""
        page = await self._accounts.list(service=service, limit=limit, offset=offset)
        return page.users, page.total

    async def services(self, by: Caller) -> Sequence[User]:
        """The open accounts of services that the caller made, or all of them for an administrator; the first first."""
        found = list[User]()
        offset = 0
        while page := (await self._accounts.list(service=True, limit=1000, offset=offset)).users:
            found += [user for user in page if user.active and (by.sees_all or user.made_by == by.user)]
            offset += len(page)
        return found

    async def close_service(self, user_id: int, *, by: Caller) -> None:
        """Nothing of it opens anything any more. Raises `errors.UnknownAccount` for what is not among `services`."""
        _check_whole(by)
        if user_id not in {user.id for user in await self.services(by)}:
            raise errors.UnknownAccount(name=user_id)
        await self.change(user_id, active=False)

    async def change(self, user_id: int, *, role: Role | None = None, active: bool | None = None) -> User:
        """
        The account with that role, or open or closed; nothing of a closed one opens anything.

        Raises `errors.UnknownAccount`, and `errors.Conflict` where no administrator would be left.
        """

        def change(before: User) -> User:
            return replace(
                before,
                role=before.role if role is None else role,
                active=before.active if active is None else active,
            )

        before = await self._accounts.get(user_id)
        after = change(before)
        if _administers(before) and not _administers(after) and not await self._another_administers(user_id):
            raise errors.Conflict(reason="somebody must be administrator")
        changed = await self._change(user_id, change)
        if not changed.active:
            await self._accounts.revoke_all(user_id, self._clock.now())
        self._tell()
        return changed

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _check_set_up(self) -> None:
        """Raises `errors.Conflict` while there is no administrator, who must be the first."""
        if not await self.are_set_up():
            raise errors.Conflict(reason="the first account is made by setting pupload up")

    async def _another_administers(self, user_id: int) -> bool:
        offset = 0
        while page := (await self._accounts.list(service=False, limit=1000, offset=offset)).users:
            if any(_administers(user) for user in page if user.id != user_id):
                return True
            offset += len(page)
        return False

    async def _account_of(self, caller: Caller, user_id: int | None) -> User:
        if user_id is None or user_id == caller.user:
            return await self.me(caller)
        if not caller.may(Permission.USERS_MANAGE):
            raise errors.UnknownAccount(name=user_id)
        return await self._accounts.get(user_id)

    async def _new(self, name: str, password: str, *, role: Role, by: Caller | None = None) -> User:
        if objection := account.objection_to_name(name):
            raise errors.Malformed(reason=objection)
        hashed = await self._hash(password)
        made_by = None if by is None else by.user
        return User(name=name, role=role, password=hashed, made_by=made_by, created_at=self._clock.now())

    async def _hash(self, password: str) -> str:
        if objection := account.objection_to_password(password):
            raise errors.Malformed(reason=objection)
        return await self._passwords.hash(password)

    def _chance(self) -> str:
        """256 unguessable bits, in hex."""
        return self._ids.token() + self._ids.token()

    async def _change(self, user_id: int, change: Callable[[User], User]) -> User:
        """The account as `change` makes it, whoever else changes it meanwhile. Raises what that raises."""
        for _ in range(_TRIES):
            before = await self._accounts.get(user_id)
            after = change(before)
            if after == before:
                return before
            with suppress(errors.AccountChanged):
                return await self._accounts.save(after)
        raise errors.AccountChanged(name=user_id)

    async def _told(self, user_id: int, attempt: Callable[[SecondFactor], tuple[SecondFactor, Told]]) -> Told:
        """What becomes of a code; that it was tried is saved before that is told."""
        told = [Told.WRONG]

        def change(before: User) -> User:
            second, told[0] = attempt(before.second)
            return replace(before, second=second)

        await self._change(user_id, change)
        return told[0]

    def _key(
        self,
        user_id: int,
        name: str = "",
        *,
        scopes: frozenset[Permission] | None = None,
        expires_at: datetime | None = None,
    ) -> Made:
        token = account.TOKEN_PREFIX + self._chance()
        key = Key(
            id=KEY_PREFIX + self._ids.new_run_id().removeprefix(ids.PREFIX),
            user=user_id,
            digest=account.digest(token),
            name=name,
            first=token[: account.SHOWN_FIRST],
            last=token[-account.SHOWN_LAST :],
            scopes=scopes,
            created_at=self._clock.now(),
            expires_at=expires_at,
        )
        return Made(key=key, token=token)


async def _first(*waits: Coroutine[Any, Any, Any]) -> None:
    """Returns when one of them does; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _check_whole(caller: Caller) -> None:
    """Raises `errors.NotAllowed` for a key that is for some things only: it changes nothing about its account."""
    if caller.scopes is not None and Permission.OWN_ACCOUNT not in caller.scopes:
        raise errors.NotAllowed(permission=Permission.OWN_ACCOUNT)


def _administers(user: User) -> bool:
    return user.active and user.role is Role.ADMIN and not user.service


def _narrowed(caller: Caller, owner: User, names: Collection[str] | None) -> frozenset[Permission] | None:
    """What a new key may do. Raises `errors.Malformed` for what its owner, or the key that makes it, may not."""
    if names is None:
        return caller.scopes if caller.user == owner.id else None
    try:
        wanted = access.scopes(names)
    except ValueError as error:
        raise errors.Malformed(reason=f"there is no permission {str(error)[:64]!r}") from None
    beyond = access.beyond(owner.role, wanted)
    if caller.user == owner.id:
        beyond |= wanted - caller.permissions
    if beyond:
        raise errors.Malformed(reason=f"the key's owner may not do this: {', '.join(sorted(beyond))}")
    return wanted


class _Guesses:
    """Wrong passwords of the last minute, by name and address."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, str], list[datetime]] = OrderedDict()

    def note(self, name: str, address: str, now: datetime) -> None:
        """One more."""
        made = self._recent(name, address, now)
        guesser = name[: account.MOST_NAME], address
        self._made[guesser] = [*made, now][-GUESSES_A_MINUTE:]
        self._made.move_to_end(guesser)
        while len(self._made) > _GUESSERS:
            self._made.popitem(last=False)

    def too_many(self, name: str, address: str, now: datetime) -> bool:
        """Whether nothing is right for a while."""
        return len(self._recent(name, address, now)) >= GUESSES_A_MINUTE

    def _recent(self, name: str, address: str, now: datetime) -> list[datetime]:
        return [
            at for at in self._made.get((name[: account.MOST_NAME], address), ()) if now - at < timedelta(minutes=1)
        ]
