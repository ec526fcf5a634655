"""The names that go over the wire about sources of saved flows; see `pupload.api.flow.models`."""

from datetime import datetime

from pupload.api.flow.models import Answer


class SourceProblem(Answer, frozen=True, kw_only=True):
    """What keeps a file of a source, or all below a folder of it, from being used. `Line` is 0 where none is known."""

    Path: str
    Line: int
    Problem: str


class FlowSource(Answer, frozen=True, kw_only=True):
    """
    A place that saved flows come from. `Type` is `fs`, `git`, or `api` for the API itself.

    `Path` is its folder or URL. From `Commit` on it says what this server found when it looked at it last, at
    `SyncedAt`; `Error` is why that was not possible when it was tried last. `Interval` is in seconds; 0: it is looked
    at when the server starts, and when somebody asks.
    """

    Name: str
    Type: str
    Path: str
    Ref: str
    Folder: str
    Namespace: str
    Interval: float
    Commit: str
    SyncedAt: datetime | None
    Flows: int
    Problems: list[SourceProblem]
    Error: str


class FlowSourceList(Answer, frozen=True, kw_only=True):
    """The API, then the sources in the order that the operator names them in."""

    Sources: list[FlowSource]


class SourceSync(Answer, frozen=True, kw_only=True):
    """
    What came of looking at a source: the names of flows that are new, have another version or are back (`Changed`), or
    are in it no more (`Gone`) and not enabled for that. `Flows` counts all that are in it.
    """

    Source: str
    Commit: str
    At: datetime
    Flows: int
    Created: list[str]
    Changed: list[str]
    Gone: list[str]
    Problems: list[SourceProblem]
    Warnings: list[SourceProblem]
