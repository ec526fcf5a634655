"""The names that go over the wire about accounts, their keys and how people come in."""

from typing import Annotated

import msgspec
from pydantic import Field

from pupload.api.pipelit.bodies import Body
from pupload.api.pipelit.models import Answer, Moment

SixDigits = Annotated[str, Field(pattern=r"^[0-9]{6}$")]


class Credentials(Body):
    """A name and its password."""

    username: str
    password: str


class TotpCode(Body):
    """What an authenticator shows."""

    code: SixDigits


class LoginCode(Body):
    """What the authenticator of this account shows, after its password."""

    username: str
    code: SixDigits


class NewUser(Body):
    """Somebody's account: `role` is `admin` or `normal`."""

    username: str
    password: str
    role: str = "normal"


class UserChange(Body):
    """What is to be otherwise of an account."""

    role: str | None = None
    is_active: bool | None = None


class MyChange(Body):
    """A password in place of the one so far."""

    password: str | None = None
    current_password: str = ""


class NewAgent(Body):
    """An account for a program: nobody logs in to it."""

    username: str
    purpose: Annotated[str, Field(max_length=1000)] = ""


class NewKey(Body):
    """A key beside that of the login: what it is called, and when it expires, a time in UTC or with its zone."""

    name: str
    expires_at: str | None = None


class Ids(Body):
    """Those to be removed."""

    ids: list[int]


class SetupStatus(Answer, frozen=True, kw_only=True):
    """Whether nobody has an account yet."""

    needs_setup: bool


class ApiKey(Answer, frozen=True, kw_only=True):
    """What opens the account from now on, shown this once; empty where a code is due first."""

    key: str
    requires_mfa: bool


class MfaStatus(Answer, frozen=True, kw_only=True):
    """Whether a code is asked for after the password."""

    mfa_enabled: bool


class Whoami(Answer, frozen=True, kw_only=True):
    """The account that asks."""

    username: str
    mfa_enabled: bool


class MfaSetup(Answer, frozen=True, kw_only=True):
    """What an authenticator is told: the secret, in base 32, and the URI with it."""

    secret: str
    provisioning_uri: str


class User(Answer, frozen=True, kw_only=True):
    """Somebody's account. `role` is `admin`, or `normal` for everybody else."""

    id: int
    username: str
    role: str
    is_active: bool
    mfa_enabled: bool
    created_at: Moment


class UserPage(Answer, frozen=True, kw_only=True):
    """Some of the accounts, by their numbers."""

    items: list[User]
    total: int


class Agent(Answer, frozen=True, kw_only=True):
    """A program's account. `key` is there once, when it is made; `created_by` is null where nobody is known to have."""

    id: int
    username: str
    purpose: str
    api_key_preview: str
    created_at: Moment
    created_by: str | None
    key: str | msgspec.UnsetType = msgspec.UNSET


class AgentPage(Answer, frozen=True, kw_only=True):
    """Some of the agents, the first made first."""

    items: list[Agent]
    total: int


class Key(Answer, frozen=True, kw_only=True):
    """A key beside that of the login. `key` is there once, when it is made."""

    id: str
    name: str
    prefix: str
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    is_active: bool
    key: str | msgspec.UnsetType = msgspec.UNSET


class KeyPage(Answer, frozen=True, kw_only=True):
    """The keys of an account, the latest first."""

    items: list[Key]
    total: int


class Health(Answer, frozen=True, kw_only=True):
    """Whether all that the server needs answers. `redis` is where events and the queue are kept: the database."""

    status: str
    version: str
    redis: str
    database: str
    store: str
    docker: str
