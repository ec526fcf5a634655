"""The names that go over the wire about all runs and flows at once; see `pupload.api.flow.models`."""

from datetime import datetime

import msgspec
from pydantic import Field

from pupload.api.flow.models import Answer, Request, RunLine, WorkSource
from pupload.service.overview import MOST_PURGE_DAYS


class PurgeOlder(Request):
    """How many days ago a run that is to go must have started, at least."""

    Days: int = Field(ge=1, le=MOST_PURGE_DAYS)


class Purged(Answer, frozen=True, kw_only=True):
    """How many runs do not exist any more that did before."""

    Purged: int
    Days: int


class Day(Answer, frozen=True, kw_only=True):
    """The runs that started on a day, in UTC, by what they have come to since; `Running` ones are not over."""

    Date: str
    Success: int
    Failed: int
    Cancelled: int
    Running: int
    Total: int


class Calendar(Answer, frozen=True, kw_only=True):
    """One entry for every day, today at the end."""

    Days: list[Day]


class FlowSize(Answer, frozen=True, kw_only=True):
    """A saved flow, and how large it is: `Edges` counts the pairs of nodes of which one takes what the other makes."""

    ID: str
    Namespace: str
    Name: str
    Description: str
    Enabled: bool
    Version: int
    Label: str
    Nodes: int
    Edges: int
    UpdatedAt: datetime


class FailingFlow(Answer, frozen=True, kw_only=True):
    """How many runs of a saved flow failed in seven days."""

    FlowID: str
    Name: str
    Failed: int


class LastDay(Answer, frozen=True, kw_only=True):
    """The runs that started in the last 24 hours."""

    Total: int
    Success: int
    Failed: int


TheLastDay = LastDay


class Dashboard(Answer, frozen=True, kw_only=True):
    """
    Everything at a glance. `Recent` are the newest runs, `Trends` the last seven days, `Failing` the flows that failed
    most often in them, `Running` the ids of runs that have started and are not over.
    """

    Flows: list[FlowSize]
    FlowsTotal: int
    Recent: list[RunLine]
    Trends: list[Day]
    Failing: list[FailingFlow]
    Running: list[str]
    RunsToday: int
    RunsYesterday: int
    LastDay: TheLastDay


class Hit(Answer, frozen=True, kw_only=True):
    """
    What was found: a `flow`, a `store` or a `variable` (`param.NAME`, `secret.NAME`, `credential.NAME.KEY`); `Flows`
    name it.
    """

    Kind: str
    ID: str
    Name: str
    Description: str
    Flows: list[str]


class Hits(Answer, frozen=True, kw_only=True):
    """Flows first, then stores, then variables."""

    Hits: list[Hit]


class System(Answer, frozen=True, kw_only=True):
    """How much there is. `ActiveRuns` have nodes under way, `QueuedRuns` wait for a slot."""

    Version: str
    DatabaseBytes: int
    Flows: int
    ActiveRuns: int
    QueuedRuns: int
    MaxConcurrentRuns: int


class Asset(Answer, frozen=True, kw_only=True):
    """
    A thing that data is in, goes through or depends on: an `object` (by the template of its key), a `connection` (a
    store), a `variable`, or a node (`processing`). `Flow` is the flow whose own it is.
    """

    ID: str
    Kind: str
    Name: str
    Flow: str | msgspec.UnsetType = msgspec.UNSET
    Store: str | msgspec.UnsetType = msgspec.UNSET
    Uses: str | msgspec.UnsetType = msgspec.UNSET


class Link(Answer, frozen=True, kw_only=True):
    """
    How data goes from `Source` to `Target`: a node `reads` or `writes` an object, `feeds` another node, or something is
    of use (`uses`) to it.
    """

    Source: str
    Target: str
    Kind: str
    Flow: str
    Edge: str | msgspec.UnsetType = msgspec.UNSET


class Lineage(Answer, frozen=True, kw_only=True):
    """What flows read, write and depend on; flows that touch the same object meet there."""

    Nodes: list[Asset]
    Edges: list[Link]


class Step(Answer, frozen=True, kw_only=True):
    """
    An edge, and how what lies on it came there: from a `node`, an `upload`, a `webhook`, or as it was (`static`).

    What tells of the object is left out where there is none; `Deleted` where there is none any more.
    """

    Edge: str
    Origin: str
    Store: str | msgspec.UnsetType = msgspec.UNSET
    Key: str | msgspec.UnsetType = msgspec.UNSET
    Size: int | msgspec.UnsetType = msgspec.UNSET
    ContentType: str | msgspec.UnsetType = msgspec.UNSET
    SHA256: str | msgspec.UnsetType = msgspec.UNSET
    CreatedAt: datetime | msgspec.UnsetType = msgspec.UNSET
    Deleted: bool = False
    Node: str | msgspec.UnsetType = msgspec.UNSET
    Uses: str | msgspec.UnsetType = msgspec.UNSET
    Status: str | msgspec.UnsetType = msgspec.UNSET
    Inputs: list[str]
    Source: WorkSource | msgspec.UnsetType = msgspec.UNSET


class Use(Answer, frozen=True, kw_only=True):
    """A node that took it, or something that was made of it (`Inputs`), and what it makes (`Outputs`)."""

    Node: str
    Uses: str
    Status: str
    Inputs: list[str]
    Outputs: list[str]


class Taker(Answer, frozen=True, kw_only=True):
    """Another run that has the very same object; `Replays` where it is a replay."""

    Run: str
    FlowID: str | msgspec.UnsetType = msgspec.UNSET
    ResumedFrom: str | msgspec.UnsetType = msgspec.UNSET
    Replays: bool


class Trace(Answer, frozen=True, kw_only=True):
    """
    The way of an artifact: `Upstream` is its own edge and what it goes back to, `Downstream` who took it or what was
    made of it, both nearest first; `Shared` are runs that took it over.
    """

    Run: str
    FlowID: str | msgspec.UnsetType = msgspec.UNSET
    ResumedFrom: str | msgspec.UnsetType = msgspec.UNSET
    Edge: str
    Upstream: list[Step]
    Downstream: list[Use]
    Shared: list[Taker]
