"""The names that go over the wire about credentials; see `pupload.api.flow.models`."""

from datetime import datetime
from typing import Any

from pydantic import Field

from pupload.api.flow.models import Answer, Request


class AddCredential(Request):
    """
    What opens something elsewhere. `Type` is `llm`, `telegram`, `gateway`, `git`, `tool` or `login`.

    `Detail` has what the type knows, and whatever else is wanted; what it does not say has the type's default.
    """

    Name: str = ""
    Type: str = ""
    Detail: dict[str, Any] = Field(default_factory=dict)


class ChangeCredential(Request):
    """
    What is to be otherwise. Of `Detail` the keys that are given take the place of what they were.

    A value that is the mask which was shown stays what it was.
    """

    Name: str | None = None
    Detail: dict[str, Any] | None = None


class Credential(Answer, frozen=True, kw_only=True):
    """
    A credential, masked: of what opens something the ends are shown where it is long.

    Flows name a value of it `${credential.NAME.KEY}`, or with `ID` in place of the name; `Account` is whose it is.
    """

    ID: int
    Name: str
    Type: str
    Detail: dict[str, Any]
    Account: int | None
    CreatedAt: datetime
    UpdatedAt: datetime


class CredentialList(Answer, frozen=True, kw_only=True):
    """Credentials by number; `Total` is of all that match."""

    Credentials: list[Credential]
    Total: int


class Model(Answer, frozen=True, kw_only=True):
    """A language model that a provider has."""

    ID: str
    Name: str


class CredentialTrial(Answer, frozen=True, kw_only=True):
    """Whether a credential opens what it is for, and why not (`Error`); of an `llm` the models that there are."""

    OK: bool
    Error: str
    Models: list[Model]
