"""The names that go over the wire about accounts, their keys and how people come in; see `pupload.api.flow.models`."""

from datetime import datetime

import msgspec
from pydantic import Field

from pupload.api.flow.models import Answer, Request


class Credentials(Request):
    """A name and its password."""

    Name: str
    Password: str


class Code(Request):
    """What an authenticator shows."""

    Code: str


class LoginCode(Request):
    """What the authenticator of this account shows, after its password."""

    Name: str
    Code: str


class ChangePassword(Request):
    """The password so far, and the one from now on."""

    Old: str
    New: str


class MakeKey(Request):
    """
    A key: what it is called, the permissions that it is narrowed to, and when it expires, a time with its zone.

    Without `Scopes` it may do all that its owner may.
    """

    Name: str
    Scopes: list[str] | None = None
    ExpiresAt: str = ""


class MakeAccount(Request):
    """Somebody's account: `Role` is `admin`, `editor`, `operator` or `viewer`."""

    Name: str
    Password: str
    Role: str = "operator"


class MakeService(Request):
    """An account that nobody logs in to, with one key; `Purpose` says what it is for."""

    Name: str
    Purpose: str = Field(default="", max_length=1000)
    Role: str = "operator"


class ChangeAccount(Request):
    """What is to be otherwise: the role, or whether anything of the account still opens anything."""

    Role: str | None = None
    Active: bool | None = None


class SetupStatus(Answer, frozen=True, kw_only=True):
    """Whether nobody has an account yet, and whether who asks may make the first without the set-up token."""

    NeedsSetup: bool
    Local: bool


class Token(Answer, frozen=True, kw_only=True):
    """What opens the account from now on: it is shown this once."""

    Token: str


class Login(Answer, frozen=True, kw_only=True):
    """As `Token`, which is empty where a code is due first."""

    Token: str
    NeedsCode: bool


class Account(Answer, frozen=True, kw_only=True):
    """An account. `Service`: nobody logs in to it; `AsksCode`: a second factor is on."""

    ID: int
    Name: str
    Role: str
    Service: bool
    Purpose: str
    Active: bool
    AsksCode: bool
    CreatedAt: datetime


class Me(Answer, frozen=True, kw_only=True):
    """The account that asks, and what the key that was shown may do."""

    Account: Account
    Permissions: list[str]


class AccountList(Answer, frozen=True, kw_only=True):
    """Accounts by number; `Total` of all, not of this page."""

    Accounts: list[Account]
    Total: int


class Proposal(Answer, frozen=True, kw_only=True):
    """What an authenticator is told: the secret, in base 32, and the URI with it."""

    Secret: str
    URI: str


class Key(Answer, frozen=True, kw_only=True):
    """A key, by its first and last letters; without a `Name` it is that of the last login."""

    ID: str
    Name: str
    First: str
    Last: str
    Scopes: list[str] | msgspec.UnsetType = msgspec.UNSET
    CreatedAt: datetime
    ExpiresAt: datetime | msgspec.UnsetType = msgspec.UNSET
    UsedAt: datetime | msgspec.UnsetType = msgspec.UNSET
    RevokedAt: datetime | msgspec.UnsetType = msgspec.UNSET


class KeyList(Answer, frozen=True, kw_only=True):
    """The keys of an account, the latest first."""

    Keys: list[Key]


class NewKey(Answer, frozen=True, kw_only=True):
    """A key that was made, and the token that it is shown by, this once."""

    Key: Key
    Token: str


class NewService(Answer, frozen=True, kw_only=True):
    """A service's account, and the token of its one key, shown this once."""

    Account: Account
    Token: str
