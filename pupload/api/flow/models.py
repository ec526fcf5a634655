"""
Every name that goes over the wire.

The first half is what requests hold, as pydantic models: types are held to strictly, nothing is guessed. The second
half is what answers hold, as msgspec structs, because a status is asked for often. Names are the contract's, letter
for letter; `wire.py` turns both into the domain's values and back, and `openapi.py` describes both.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from pupload.api import documents
from pupload.domain import priority

# ── What requests hold ───────────────────────────────────────────────────────────────────────────────────────────


class Request(BaseModel):
    """Read case-insensitively, null counts as not given, unknown fields are warned of (`wire.py` sees to all three)."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra={"additionalProperties": True})


def _value(given: Any) -> str:
    text = given if isinstance(given, str) else documents.spelling(given)
    if text is None:
        raise PydanticCustomError("flag_value", "must be a text, a number, true or false")
    return text


def _exec(given: Any) -> str | tuple[str, ...]:
    if isinstance(given, str):
        return given
    if isinstance(given, list) and all(isinstance(argument, str) for argument in given):
        return tuple(given)
    raise PydanticCustomError("exec", "must be a text or a list of texts")


def _lifetime(given: Any) -> Any:
    return None if given == {} else given


def _types(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


def _param(given: Any) -> str | bool:
    if isinstance(given, str | bool):
        return given
    raise PydanticCustomError("param", "must be a text, true or false")


AnyText = Annotated[str, PlainValidator(_value, json_schema_input_type=str | bool | float)]
Line = Annotated[str | tuple[str, ...], PlainValidator(_exec, json_schema_input_type=str | list[str])]
Duration = Annotated[str | None, BeforeValidator(_lifetime)]
ThePriority = Annotated[int, Field(ge=priority.LEAST, le=priority.MOST)]
MediaTypes = Annotated[list[str], BeforeValidator(_types, json_schema_input_type=list[str] | str)]
Param = Annotated[str | bool, PlainValidator(_param, json_schema_input_type=str | bool)]


class Binding(Request):
    """A port of a node's definition, bound to an edge of the flow."""

    Name: str = ""
    Edge: str = ""


class FlagValue(Request):
    """A value for a flag; numbers and booleans are taken as the text JSON writes for them."""

    Name: str = ""
    Value: AnyText = ""


class Node(Request):
    """One step of a flow. `Uses` names a node definition as `Publisher/Name`."""

    ID: str = ""
    Uses: str = ""
    Inputs: list[Binding] = []
    Outputs: list[Binding] = []
    Flags: list[FlagValue] = []
    Timeout: str | None = None
    MaxAttempts: int = 0
    Memoize: bool = True
    ForEach: str = ""
    Concurrency: int = 0
    MaxItems: int | None = None
    PartialFailure: str = ""
    When: str | None = None
    Runs: str = ""


class Store(Request):
    """An object store that a flow brings along."""

    Name: str = ""
    Type: str = ""
    Params: dict[str, Param] = {}


class DataWell(Request):
    """
    Where the object of an edge lives and where it comes from.

    `Flow` and `Input` are for the source `run`: the saved flow whose result it is, and the edge that is given to it.
    """

    Edge: str = ""
    Store: str = ""
    Source: str | None = None
    Key: str | None = None
    Lifetime: Duration = None
    Secret: str | None = None
    Flow: str = ""
    Input: str = ""


class Callback(Request):
    """Whom to tell when a run of the flow is over, and how it must have ended: `complete`, `error`, `stopped`."""

    URL: str = ""
    On: list[str] = []
    Secrets: list[str] = []


class FlagDef(Request):
    """A setting of a node definition, or a parameter of a flow. `Type` is string, integer, number or boolean."""

    Name: str = ""
    Description: str = ""
    Required: bool = False
    Type: str = ""
    Default: Annotated[str | None, BeforeValidator(_value, json_schema_input_type=str | bool | float | None)] = None
    Choices: list[AnyText] = []
    Min: float | None = None
    Max: float | None = None


class Flow(Request):
    """A graph of nodes that meet on named edges."""

    Name: str = ""
    Nodes: list[Node] = []
    Stores: list[Store] = []
    DataWells: list[DataWell] = []
    DefaultDataWell: DataWell | None = None
    Timeout: str | None = None
    Callbacks: list[Callback] = []
    Params: list[FlagDef] = []
    Priority: ThePriority = 0
    OnError: str = ""


class Port(Request):
    """
    An input or output of a node definition. `Type` lists media types, wildcards allowed.

    The limits are for files on that port: bytes, pixels of a picture or a video's frames, how long it plays, how many
    times its size it unpacks to, pages. A file of which it cannot be told is refused where a limit depends on it.
    """

    Name: str = ""
    Description: str = ""
    Type: MediaTypes = []
    Required: bool | None = None
    Many: bool = False
    MaxBytes: int | None = None
    MaxPixels: int | None = None
    MaxDuration: str | None = None
    MaxRatio: float | None = None
    MaxPages: int | None = None


class Command(Request):
    """
    What runs in the container: `Exec` is a line or its arguments; without it the image's own command. With
    `Entrypoint: false` the image's entry point does not run it: the first of the arguments is the program.
    """

    Name: str = ""
    Description: str = ""
    Exec: Line = ""
    Entrypoint: bool = True


class Retry(Request):
    """How a failed attempt is tried again."""

    Delay: str | None = None
    Max: str | None = None
    OnExitCodes: list[int] = []
    NeverOnExitCodes: list[int] = []
    MoreMemory: bool = False


# A field cannot have its type's own name where both are looked up in the class.
TheFlow = Flow
TheCommand = Command
TheRetry = Retry


class NodeDef(Request):
    """What a node type takes, gives and runs."""

    Publisher: str = ""
    Name: str = ""
    Image: str = ""
    Description: str = ""
    Inputs: list[Port] = []
    Outputs: list[Port] = []
    Flags: list[FlagDef] = []
    Command: TheCommand = Field(default_factory=TheCommand)
    Tier: str = ""
    MaxAttempts: int = 0
    Retry: TheRetry = Field(default_factory=TheRetry)
    Timeout: str | None = None
    User: str = ""
    Network: str = ""
    Capabilities: list[str] = []
    Devices: list[str] = []
    Transfer: str = ""
    Secrets: list[str] = []
    Progress: str = ""
    Memoize: bool = True


class TestFlow(Request):
    """
    A flow to run, the node definitions it uses (beside those the server knows), and its parameters' values.

    Of runs that wait, those of a higher `Priority` go first: -100 to 100; else it is the flow's own, which is 0.
    With `Memoize` false every node does its work, whoever did the same before.
    """

    Flow: TheFlow
    NodeDefs: list[NodeDef] = []
    Params: dict[str, AnyText] = {}
    Priority: ThePriority | None = None
    Memoize: bool = True


class RunParams(Request):
    """Values of the flow's parameters; numbers and booleans are taken as the text JSON writes for them."""

    Params: dict[str, AnyText] = {}


class SecretValue(Request):
    """What a secret is to be."""

    Value: str = ""


class Rotation(Request):
    """`NewKey`: whether a new key is made; with false the first of the key file is taken."""

    NewKey: bool = True


class Cancel(Request):
    """`kill`: at once (TERM, grace, KILL); `drain`: what runs may finish, nothing starts."""

    Mode: str = Field(default="kill", json_schema_extra={"enum": ["kill", "drain"]})


class Resume(Request):
    """Without `FromNode` everything that did not succeed runs again; with it, that node and all behind it."""

    FromNode: str | None = None


class ReplayFlag(Request):
    """A flag of a node that is to have another value."""

    Node: str
    Name: str
    Value: AnyText = ""


class ReplayPart(Request):
    """
    A part of a definition that is to be otherwise, for all nodes that use it.

    `Node` is such a node, or `Publisher/Name`; `Key` is Image, Command (as a line), Tier, Timeout, MaxAttempts, User,
    Network, Transfer or Progress.
    """

    Node: str
    Key: str
    Value: AnyText = ""


class Replay(Request):
    """What is to be otherwise, and nodes that are to run again in any case; all behind them runs again as well."""

    From: list[str] = []
    Flags: list[ReplayFlag] = []
    Set: list[ReplayPart] = []


class UploadRequest(Request):
    """`Size` in bytes: above the store's limit for one PUT the answer is a plan for several parts."""

    Size: Annotated[int, Field(ge=0)] | None = None


class UploadComplete(Request):
    """`UploadID` of a multipart upload whose parts are all there; nothing after a single PUT."""

    UploadID: str | None = None


class UploadAbort(Request):
    """The multipart upload to give up."""

    UploadID: str


class Project(Request):
    """Flows and node definitions that belong together. `ID` is the UUID of the path."""

    ID: str = ""
    ProjectName: str = ""
    Flows: list[Flow] = []
    NodeDefs: list[NodeDef] = []
    GlobalStores: list[Store] = []


ALIASES: Mapping[type[Request], Mapping[str, str]] = {
    Flow: {"Steps": "Nodes"},
    TestFlow: {"Tasks": "NodeDefs"},
    Project: {"Tasks": "NodeDefs"},
    FlagDef: {"Minimum": "Min", "Maximum": "Max"},
}
"""Other words read as ours: those of the newer original, and the long ones for bounds."""

UNUSED: Mapping[type[Request], frozenset[str]] = {
    Node: frozenset({"command"}),
    NodeDef: frozenset({"id"}),
    Project: frozenset({"tenantid", "version"}),
}
"""Fields that the original has and never reads, in small letters."""

STORE_PARAMS = (
    "Endpoint",
    "BucketName",
    "Location",
    "Region",
    "AccessKey",
    "SecretKey",
    "SessionToken",
    "Secure",
    "PathStyle",
    "PublicEndpoint",
    "Secret",
)
"""Spelled so wherever a flow's store is read; validation says which a type takes."""

SECRET_PARAMS = frozenset({"AccessKey", "SecretKey", "SessionToken", "Secret"})
"""Never shown to anybody."""

MASK = "***"


# ── What answers hold ────────────────────────────────────────────────────────────────────────────────────────────


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Lists are never null; times are RFC 3339 in UTC."""


class LogRecord(Answer, frozen=True, kw_only=True):
    """A line that a node wrote, or that pupload says about it (`stream` is then `pupload`)."""

    timestamp: datetime
    level: str
    message: str
    stream: str


class PlacedLogRecord(LogRecord, frozen=True, kw_only=True):
    """A log line with its node and attempt; `cursor` is what `since` takes."""

    node: str
    attempt: int
    cursor: int


class WorkSource(Answer, frozen=True, kw_only=True):
    """Where a node's work was done, and when: its log is there."""

    Run: str
    Node: str
    At: datetime


class Items(Answer, frozen=True, kw_only=True):
    """
    How far a node is that runs once for each item. `Waiting` had no turn yet, `Running` also wait for room or are tried
    again, `Empty` are places at which there was nothing.
    """

    Total: int
    Waiting: int
    Running: int
    Complete: int
    Error: int
    Skipped: int
    Empty: int


TheItems = Items


class NodeState(Answer, frozen=True, kw_only=True):
    """
    A node of the run. `Attempt` counts from 1 when the node is ready; 0 before.

    `Reused` is there and true where the node did not run: what it made was taken over from the run that this one
    resumes or replays.
    """

    Status: str
    Logs: list[LogRecord]
    Error: str
    Attempt: int
    MaxAttempts: int
    StartedAt: datetime | None
    FinishedAt: datetime | None
    ExitCode: int | None
    Progress: float | None
    Items: TheItems | msgspec.UnsetType = msgspec.UNSET
    Reused: bool | msgspec.UnsetType = msgspec.UNSET
    ReusedFrom: WorkSource | msgspec.UnsetType = msgspec.UNSET


TheNodeState = NodeState


class Place(Answer, frozen=True, kw_only=True):
    """Where an edge's object is or will be."""

    StoreName: str
    ObjectName: str
    EdgeName: str


class FileFacts(Answer, frozen=True, kw_only=True):
    """What the headers of a file say; what they do not say is left out."""

    Width: int | msgspec.UnsetType = msgspec.UNSET
    Height: int | msgspec.UnsetType = msgspec.UNSET
    Pages: int | msgspec.UnsetType = msgspec.UNSET
    DurationSeconds: float | msgspec.UnsetType = msgspec.UNSET
    Entries: int | msgspec.UnsetType = msgspec.UNSET
    UnpackedBytes: int | msgspec.UnsetType = msgspec.UNSET


class Artifact(Answer, frozen=True, kw_only=True):
    """
    An object that was made or came in; `GetURL` gives it for an hour, without any further leave.

    One that is not kept any more has no `GetURL`, and says in `DeletedAt` since when. `Facts` are what its headers
    say, and are left out where they say nothing. `Node` made it; what came in has none. A collection has `Items`, the
    number of its places, and no `GetURL`: each of its items has one.
    """

    StoreName: str
    ObjectName: str
    EdgeName: str
    Size: int
    ContentType: str
    SHA256: str
    GetURL: str
    DeletedAt: datetime | msgspec.UnsetType = msgspec.UNSET
    Facts: FileFacts | msgspec.UnsetType = msgspec.UNSET
    FileName: str | msgspec.UnsetType = msgspec.UNSET
    Items: int | msgspec.UnsetType = msgspec.UNSET
    Node: str | msgspec.UnsetType = msgspec.UNSET


class WaitingURL(Answer, frozen=True, kw_only=True):
    """
    An edge that waits: PUT the bytes to `PutURL` before the time `TTL` (POST where `Method` says so).

    The URL is empty for who may not bring files to runs.
    """

    Artifact: Place
    PutURL: str
    TTL: datetime
    Method: str | msgspec.UnsetType = msgspec.UNSET


class AwaitedApproval(Answer, frozen=True, kw_only=True):
    """An edge on which somebody is asked to say yes or no, the nodes that wait for it, and until when."""

    Edge: str
    Nodes: list[str]
    Deadline: datetime


class AwaitedRun(Answer, frozen=True, kw_only=True):
    """An edge that waits until then for the result of a run of the saved flow; `ID` is there once it was started."""

    Edge: str
    Flow: str
    Deadline: datetime
    ID: str | msgspec.UnsetType = msgspec.UNSET


class Page(Answer, frozen=True, kw_only=True):
    """Which of how many there are."""

    Total: int
    Offset: int
    Limit: int


ThePage = Page


class Queued(Answer, frozen=True, kw_only=True):
    """A run waits for a slot since then. `Position` is its place among those that do, where that is known here."""

    Since: datetime
    Position: int | None


TheQueued = Queued


class FlowRun(Answer, frozen=True, kw_only=True):
    """
    A run as it stands. `ResumedFrom` is the run that it goes on with, `ReplayOf` the one that it replays.

    Where the items of a node or an edge were asked for there is a `Page`, and `NodeState` and `Artifacts` have those
    on it alone. `FlowID` and `FlowVersion` are of the saved flow that it is a run of. `Priority` is 0 where it is not
    told; `Queued` is there while the run waits for a slot. `AwaitedApprovals` are edges on which somebody is asked to
    say yes or no, `AwaitedRuns` those that wait for runs of other flows; `Parent` is the run on whose behalf it is.
    """

    ID: str
    Status: str
    NodeState: dict[str, TheNodeState]
    Artifacts: dict[str, Artifact]
    WaitingURLs: list[WaitingURL]
    StartedAt: datetime
    FinishedAt: datetime | None
    Error: str
    Warnings: list[str]
    Params: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    Page: ThePage | msgspec.UnsetType = msgspec.UNSET
    FlowID: str | msgspec.UnsetType = msgspec.UNSET
    FlowVersion: int | msgspec.UnsetType = msgspec.UNSET
    Labels: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    ResumedFrom: str | msgspec.UnsetType = msgspec.UNSET
    ReplayOf: str | msgspec.UnsetType = msgspec.UNSET
    Priority: int | msgspec.UnsetType = msgspec.UNSET
    Queued: TheQueued | msgspec.UnsetType = msgspec.UNSET
    AwaitedApprovals: list[AwaitedApproval] | msgspec.UnsetType = msgspec.UNSET
    AwaitedRuns: list[AwaitedRun] | msgspec.UnsetType = msgspec.UNSET
    Parent: str | msgspec.UnsetType = msgspec.UNSET


class WorkDifference(Answer, frozen=True, kw_only=True):
    """What is not as it was: `Now` is empty where there is none now, `Was` where there was none."""

    Component: str
    Now: str
    Was: str


class Why(Answer, frozen=True, kw_only=True):
    """
    Why a node ran, or did not: whether its work was done before.

    `Outcome` is `reused` (it did not run), or `different` (`From` is what came nearest), `gone` (what the same work had
    made is), `first` (nothing of its type was done before), `never` (such work is never used again), `off` (nobody
    asked), `items` (each item has its own answer) or `open` (it has not come to that).
    """

    Run: str
    Node: str
    Outcome: str
    Sentence: str
    From: WorkSource | msgspec.UnsetType = msgspec.UNSET
    Differences: list[WorkDifference]
    MoreDifferences: int


class Finding(Answer, frozen=True, kw_only=True):
    """One thing that is wrong (`ValidationError`) or looks wrong (`ValidationWarning`), and where: a JSON pointer."""

    Type: str
    Code: str
    Name: str
    Description: str
    Path: str


class Validation(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the flow would be run, and everything found in it: the first 1000, and how many more were found."""

    Valid: bool
    Findings: list[Finding]
    Warnings: list[str]
    MoreFindings: int = 0


class RunLine(Answer, frozen=True, kw_only=True):
    """A run as the list shows it; `FlowID` is the saved flow's, where it is a run of one."""

    ID: str
    Flow: str
    Status: str
    StartedAt: datetime
    FinishedAt: datetime | None
    Error: str
    FlowID: str | msgspec.UnsetType = msgspec.UNSET


class RunList(Answer, frozen=True, kw_only=True):
    """A page of runs, newest first; `Total` counts all that match."""

    Runs: list[RunLine]
    Total: int
    Limit: int
    Offset: int


class LogPage(Answer, frozen=True, kw_only=True):
    """Lines in order; `Next` is the `since` that asks for what comes after."""

    Logs: list[PlacedLogRecord]
    Next: int


class UploadPart(Answer, frozen=True, kw_only=True):
    """PUT the bytes from `Offset`, `Size` of them, to `PutURL`."""

    Number: int
    Offset: int
    Size: int
    PutURL: str


class ReceivedPart(Answer, frozen=True, kw_only=True):
    """A part that the store has already."""

    Number: int
    Size: int
    ETag: str


class Upload(Answer, frozen=True, kw_only=True):
    """Leave to upload an edge's object: one PUT to `PutURL`; or, with an `UploadID`, each of `Parts`, then complete."""

    Artifact: Place
    PutURL: str
    TTL: datetime
    Method: str | msgspec.UnsetType = msgspec.UNSET
    UploadID: str | None = None
    PartSize: int | None = None
    Parts: list[UploadPart] = []
    Received: list[ReceivedPart] = []


class JournalEntry(Answer, frozen=True, kw_only=True):
    """Something that happened; `Kind` is its name for ever, `Data` holds its facts."""

    Seq: int
    At: datetime
    Kind: str
    Data: dict[str, Any]


class FeedEntry(JournalEntry, frozen=True, kw_only=True):
    """Something that happened in some run; `FlowID` is empty where its flow was not saved."""

    Run: str
    Flow: str
    FlowID: str


class FeedLine(PlacedLogRecord, frozen=True, kw_only=True):
    """A log line of some run."""

    Run: str
    Flow: str
    FlowID: str


class CallbackTry(Answer, frozen=True, kw_only=True):
    """One POST of a callback; `Status` is null where no answer came, `Error` empty where the receiver took it."""

    At: datetime
    Status: int | None
    Error: str


class Delivery(Answer, frozen=True, kw_only=True):
    """A callback of a run. `ID` is its `webhook-id`; `State` is PENDING, DELIVERED or FAILED; the URL without query."""

    ID: str
    URL: str
    Type: str
    State: str
    CreatedAt: datetime
    NextTryAt: datetime | None
    Tries: list[CallbackTry]


class DeliveryList(Answer, frozen=True, kw_only=True):
    """The callbacks of a run."""

    Deliveries: list[Delivery]


class StreamEnd(Answer, frozen=True, kw_only=True):
    """
    The last event of a stream: the run has ended, and everything was told.

    `Status` is the run's, or `PURGED` where the run was purged meanwhile.
    """

    Status: str


class SecretLine(Answer, frozen=True, kw_only=True):
    """A secret, without its value."""

    Name: str
    ChangedAt: datetime


class SecretList(Answer, frozen=True, kw_only=True):
    """The secrets that flows may name, by name."""

    Secrets: list[SecretLine]


class Rotated(Answer, frozen=True, kw_only=True):
    """The key that everything secret is encrypted with now, by its id."""

    KeyID: str


class WrongPlace(Answer, frozen=True, kw_only=True):
    """What cannot be read in a request, and where: a JSON pointer."""

    Path: str
    Description: str


class Problem(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """
    Why not. `Findings` for a flow that breaks rules, `Problems` for a request that cannot be read.

    Of findings there are the first 1000, and in `MoreFindings` how many more were found.
    """

    error: str
    Findings: list[Finding] = []
    MoreFindings: int = 0
    Problems: list[WrongPlace] = []
    RequestID: str = ""


class HealthLine(Answer, frozen=True, kw_only=True):
    """One thing the server needs, and whether it answers."""

    name: str
    ok: bool
    detail: str


class Health(Answer, frozen=True, kw_only=True):
    """`status` is `ok` when every line is."""

    status: str
    version: str
    lines: list[HealthLine]


class ProjectAnswer(Answer, frozen=True, kw_only=True):
    """A stored project, in the form in which it is pushed; secrets read `***`."""

    ID: str
    ProjectName: str
    Flows: list[dict[str, Any]]
    NodeDefs: list[dict[str, Any]]
    GlobalStores: list[dict[str, Any]]


class NodeDefList(Answer, frozen=True, kw_only=True):
    """The node definitions that every flow may use."""

    NodeDefs: list[dict[str, Any]]
