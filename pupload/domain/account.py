"""
Accounts: people and services that have one, their keys, and the second thing that they may be asked for.

A password is known by its hash and a key by its digest only. A second factor counts tries: so many a minute, and after
so many wrong ones in a row none for a while. They count from a right password on, so that nobody can lock out a
stranger; and a code opens one login, begun with the password a moment ago from the same address.
"""

import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from pupload.domain import totp
from pupload.domain.access import Permission, Role

MOST_NAME = 150
MOST_PASSWORD = 1024
"""Letters: a longer one would only keep the processor busy."""

TOKEN_PREFIX = "pup_"  # noqa: S105 - by which tokens are known, no token
"""Of keys, so that they are found where they should not be."""
SHOWN_FIRST, SHOWN_LAST = 8, 8
"""Letters of a key that are kept, by which its owner tells it from others: of 68."""

PENDING_SECONDS = 300.0
"""For so long after a right password the code may be given."""
TRIES_A_MINUTE = 5
WRONG_IN_A_ROW = 10
LOCKED_SECONDS = 900.0

_NAME = re.compile(r"[^\s/\\\x00-\x1f\x7f](?:[^\x00-\x1f\x7f/\\]*[^\s/\\\x00-\x1f\x7f])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactor:
    """What an authenticator was told, and what became of its codes."""

    secret: bytes = field(default=b"", repr=False)
    """Empty where there is none."""
    candidate: bytes = field(default=b"", repr=False)
    """What becomes it once its first code was right."""
    used_step: int = -1
    """The last step of which a code was taken."""
    tries: tuple[datetime, ...] = ()
    """When the last ones were, of this minute."""
    wrong: int = 0
    """In a row."""
    locked_until: datetime | None = None
    pending_from: str = ""
    """The address from which the password was right, and the code is due."""
    pending_until: datetime | None = None

    @property
    def on(self) -> bool:
        """Whether a code is asked for."""
        return bool(self.secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody, or a service, who has an account."""

    id: int = 0
    """Given by the database, from 1."""
    name: str
    role: Role
    password: str = field(default="", repr=False)
    """Its hash; empty for a service, which has keys alone."""
    purpose: str = ""
    """What a service is for."""
    made_by: int | None = None
    active: bool = True
    second: SecondFactor = SecondFactor()
    revision: int = 1
    """Grows with every change."""
    created_at: datetime

    @property
    def service(self) -> bool:
        """Whether nobody can log in with it."""
        return not self.password


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a token opens. The token itself is kept nowhere."""

    id: str
    """`key_` and a ULID."""
    user: int
    digest: str
    """SHA-256 of the token, in hex: it has 256 bits of chance, which nobody tries out."""
    name: str = ""
    """Empty for the one of a login, of which there is one at a time."""
    first: str = ""
    last: str = ""
    scopes: frozenset[Permission] | None = None
    created_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def opens(self, now: datetime) -> bool:
        """Whether it still does."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def digest(token: str) -> str:
    """By what a token is known."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def objection_to_name(name: str) -> str:
    """Why nobody can be called so; empty where somebody can."""
    if not name or len(name) > MOST_NAME:
        return f"a user's name has 1 to {MOST_NAME} letters"
    if not _NAME.fullmatch(name):
        return "a user's name has no slashes, no control characters, and no space at its ends"
    return ""


def objection_to_password(password: str) -> str:
    """Why that is no password; empty where it is one."""
    if not password or len(password) > MOST_PASSWORD:
        return f"a password has 1 to {MOST_PASSWORD} letters"
    return ""


# ── The second factor ────────────────────────────────────────────────────────────────────────────────────────────


class Told(Enum):
    """What becomes of a code."""

    RIGHT = auto()
    WRONG = auto()
    """Or too late, or one too many: who guesses is not told which."""


def with_password(second: SecondFactor, address: str, now: datetime) -> SecondFactor:
    """The password was right: the code is due from the same address."""
    return replace(second, pending_from=address, pending_until=now + timedelta(seconds=PENDING_SECONDS))


def is_due(second: SecondFactor, address: str, now: datetime) -> bool:
    """Whether a code is waited for from there: a right password came from it a moment ago."""
    begun = second.pending_until is not None and now < second.pending_until and second.pending_from == address
    return second.on and begun


def at_login(second: SecondFactor, text: str, address: str, now: datetime) -> tuple[SecondFactor, Told]:
    """
    What becomes of a code that is given to log in.

    Without a right password of a moment ago, from this address, nothing is counted: only who knows that may use up
    the owner's tries. What was begun is over once a code was right.
    """
    if not is_due(second, address, now):
        return second, Told.WRONG
    after, told = tried(second, second.secret, text, now)
    if told is Told.RIGHT:
        after = replace(after, pending_from="", pending_until=None)
    return after, told


def tried(second: SecondFactor, secret: bytes, text: str, now: datetime) -> tuple[SecondFactor, Told]:
    """What becomes of a code of that secret: tries are counted, and past a bound none is right."""
    if second.locked_until is not None and now < second.locked_until:
        return second, Told.WRONG
    tries = tuple(at for at in second.tries if now - at < timedelta(minutes=1))
    if len(tries) >= TRIES_A_MINUTE:
        return replace(second, tries=tries), Told.WRONG
    counted = replace(second, tries=(*tries, now), locked_until=None)
    step = totp.matching_step(secret, text, now, after=second.used_step)
    if step is not None:
        return replace(counted, wrong=0, used_step=step), Told.RIGHT
    wrong = second.wrong + 1
    if wrong < WRONG_IN_A_ROW:
        return replace(counted, wrong=wrong), Told.WRONG
    return replace(counted, wrong=0, locked_until=now + timedelta(seconds=LOCKED_SECONDS)), Told.WRONG


def proposed(second: SecondFactor, secret: bytes) -> SecondFactor:
    """An authenticator was told this secret; it counts once its first code came back."""
    return replace(second, candidate=secret)


def enabled(second: SecondFactor, text: str, now: datetime) -> tuple[SecondFactor, Told]:
    """What becomes of the first code of what was proposed: from then on codes are asked for."""
    after, told = tried(replace(second, used_step=-1), second.candidate, text, now)
    if told is Told.WRONG:
        return after, told
    return replace(after, secret=second.candidate, candidate=b""), told


def disabled() -> SecondFactor:
    """Nothing is left of it."""
    return SecondFactor()
