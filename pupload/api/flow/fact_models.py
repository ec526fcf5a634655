"""The names that go over the wire about known facts; see `pupload.api.flow.models`."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from pydantic import Field

from pupload.api.flow.models import Answer, Request


class SayFact(Request):
    """What is known from now on: to the runs of the account (`user`), or to everybody's (`global`)."""

    Value: Any
    Scope: str = "user"
    Type: str = "world_knowledge"
    Confidence: Annotated[float, Field(ge=0, le=1, strict=False)] = 1.0


class Fact(Answer, frozen=True, kw_only=True):
    """
    What is known under a key. `Flow` is the saved flow and `Run` the run that alone knows it, where it is such a one.

    `TimesConfirmed` is how often it was said, `AccessCount` how many runs were given it.
    """

    ID: str
    Scope: str
    Key: str
    Value: msgspec.Raw
    Type: str
    Confidence: float
    TimesConfirmed: int
    AccessCount: int
    Account: int | None
    Flow: str | msgspec.UnsetType = msgspec.UNSET
    Run: str | msgspec.UnsetType = msgspec.UNSET
    CreatedAt: datetime
    UpdatedAt: datetime


class FactList(Answer, frozen=True, kw_only=True):
    """Facts, the last said first, and how many match in all."""

    Facts: list[Fact]
    Total: int
