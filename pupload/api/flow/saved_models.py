"""The names that go over the wire about saved flows; see `pupload.api.flow.models`."""

from datetime import datetime
from typing import Any

import msgspec
from pydantic import Field

from pupload.api.flow.models import Answer, AnyText, NodeDef, Request, TheFlow, ThePriority


class SaveFlow(Request):
    """
    A flow to save, with the node definitions it uses. What is left out stays as it was.

    `Label` is what the version is called, `Message` says what changed. With `IfVersion` nothing is saved where the
    latest version is another; 0: where there is any. Others see and run a flow that is `Public`.
    """

    Flow: TheFlow
    NodeDefs: list[NodeDef] = Field(default_factory=list)
    Description: str | None = None
    Tags: list[str] | None = None
    Enabled: bool | None = None
    Public: bool | None = None
    Label: str | None = None
    Message: str = ""
    IfVersion: int | None = Field(default=None, ge=0)


class StartFlow(Request):
    """
    Which version of a saved flow to run, else the latest, with what; `Labels` are for whoever looks for the run.

    With `Memoize` false every node does its work, whoever did the same before.
    """

    Params: dict[str, AnyText] = Field(default_factory=dict)
    Version: int | None = Field(default=None, ge=1)
    Labels: dict[str, AnyText] = Field(default_factory=dict)
    Priority: ThePriority | None = None
    Memoize: bool = True


class RollBack(Request):
    """The version whose content is to be the latest again, and why."""

    Version: int = Field(ge=1)
    Message: str = ""


class EnableFlow(Request):
    """Whether runs of the flow may be started."""

    Enabled: bool = True


class SavedFlowLine(Answer, frozen=True, kw_only=True):
    """
    A saved flow as lists show it. `Version` and `Label` are those of the latest version.

    One that is `Gone` is in its source no more: it is not enabled, until it is found there again, and may be removed.
    `Account` is the number of the account whose it is; null where it is nobody's. One that is `Public` is seen and run
    by others, and not changed.
    """

    ID: str
    Namespace: str
    Name: str
    Description: str
    Tags: list[str]
    Source: str
    Enabled: bool
    Gone: bool
    Public: bool
    Account: int | None
    Version: int
    Label: str
    CreatedAt: datetime
    UpdatedAt: datetime


class SavedFlowList(Answer, frozen=True, kw_only=True):
    """A page of saved flows, by namespace and name; `Total` counts all that match."""

    Flows: list[SavedFlowLine]
    Total: int
    Limit: int
    Offset: int


class FlowVersion(Answer, frozen=True, kw_only=True):
    """A version of a saved flow; `Origin` is where it was found, where its source is not the API."""

    Number: int
    Label: str
    At: datetime
    Message: str
    Origin: str


class FlowVersionList(Answer, frozen=True, kw_only=True):
    """The versions of a saved flow, the latest first."""

    Versions: list[FlowVersion]


TheVersion = FlowVersion


class SavedFlow(SavedFlowLine, frozen=True, kw_only=True):
    """
    A saved flow with one of its versions, which can be saved as it is; secrets read `***`.

    `Args` is what a run takes, as JSON Schema.
    """

    FlowVersion: TheVersion
    Args: dict[str, Any]
    Flow: dict[str, Any]
    NodeDefs: list[dict[str, Any]]
    Warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


class FlowChange(Answer, frozen=True, kw_only=True):
    """
    One thing that is otherwise: a `Kind` of part (`flow`, `node`, `definition`, `well`, `store`, `param`, `callback`)
    was `added`, `removed` or `changed`; if changed, in this field. What may be a secret reads `***`.
    """

    Kind: str
    Name: str
    How: str
    Field: str
    Was: str
    Now: str


class FlowDiff(Answer, frozen=True, kw_only=True):
    """What is otherwise in the version `To`."""

    From: int
    To: int
    Changes: list[FlowChange]
