"""
Values as bytes and back.

A blob is one byte that names its shape, then MessagePack of the dataclass with its field names. A field added later
with a default reads from old blobs; a change that does not, gets the next shape byte. What does not read back is
`errors.Damaged`, which names the row and never guesses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_type_hints

import msgspec

from pupload import errors, ports
from pupload.domain import account, artifact, delivery, events, flow, memo, plan, run, saved, schedule, shares
from pupload.domain.batches import Batch, Task
from pupload.domain.credential import Credential
from pupload.domain.drawing import model as drawn
from pupload.domain.knowledge import Fact
from pupload.domain.namespace import Namespace

SHAPE = 1
"""Of every blob written now."""

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(when: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (when - _EPOCH) // _MICROSECOND


def maybe_micros(when: datetime | None) -> int | None:
    """`micros`, or None of None."""
    return None if when is None else micros(when)


def moment(microseconds: int) -> datetime:
    """The time `micros` was made of, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def maybe_moment(microseconds: int | None) -> datetime | None:
    """`moment`, or None of None."""
    return None if microseconds is None else moment(microseconds)


def _plain(value: Any) -> Any:
    """Mappings that are not dicts, such as read-only views, are written as dicts."""
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(type(value).__name__)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)


def pack(value: Any) -> bytes:
    """The value as MessagePack. Raises what `Record.encode` tells as `errors.Broken`."""
    return _ENCODER.encode(value)


class Record(Generic[T]):
    """How values of one type are written and read."""

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind)

    def encode(self, value: T) -> bytes:
        """The blob. Raises `errors.Broken` for values that have none, such as halves of surrogate pairs."""
        blob = bytearray((SHAPE,))
        try:
            self._put(value, blob)
        except (ValueError, OverflowError, NotImplementedError, RecursionError) as error:
            raise errors.Broken(reason=f"{type(value).__name__} cannot be written: {error}") from error
        return bytes(blob)

    def decode(self, blob: object, what: str) -> T:
        """The value. Raises `errors.Damaged` naming `what`."""
        if not isinstance(blob, bytes) or not blob:
            raise errors.Damaged(what=what, reason="it is empty or no bytes")
        if blob[0] != SHAPE:
            raise errors.Damaged(what=what, reason=f"it has shape {blob[0]}, this version reads {SHAPE}")
        try:
            return self._read(memoryview(blob)[1:])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise errors.Damaged(what=what, reason=str(error)) from error

    def _put(self, value: T, blob: bytearray) -> None:
        """The message behind the byte that is there."""
        _ENCODER.encode_into(value, blob, 1)

    def _read(self, message: memoryview) -> T:
        return self._decoder.decode(message)


NODE: Record[run.NodeRun] = Record(run.NodeRun)
ARTIFACT: Record[artifact.Artifact] = Record(artifact.Artifact)
LINES: Record[Sequence[ports.LogLine]] = Record(tuple[ports.LogLine, ...])
PROJECT: Record[ports.Project] = Record(ports.Project)
SAVED_FLOW: Record[saved.SavedFlow] = Record(saved.SavedFlow)
FLOW_VERSION: Record[saved.FlowVersion] = Record(saved.FlowVersion)
FLOW_CONTENT: Record[saved.Content] = Record(saved.Content)
DELIVERY: Record[delivery.Delivery] = Record(delivery.Delivery)
MEMO: Record[memo.Entry] = Record(memo.Entry)
SCHEDULE: Record[schedule.Schedule] = Record(schedule.Schedule)
NAMESPACE: Record[Namespace] = Record(Namespace)
TEXT: Record[str] = Record(str)
USER: Record[account.User] = Record(account.User)
KEY: Record[account.Key] = Record(account.Key)
BATCH: Record[Batch] = Record(Batch)
TASK: Record[Task] = Record(Task)
FACT: Record[Fact] = Record(Fact)
CREDENTIAL: Record[Credential] = Record(Credential)
DRAWING: Record[drawn.Drawing] = Record(drawn.Drawing)
PARTS: Record[tuple[tuple[drawn.DrawnNode, ...], tuple[drawn.DrawnEdge, ...]]] = Record(
    tuple[tuple[drawn.DrawnNode, ...], tuple[drawn.DrawnEdge, ...]]
)
"""Of a drawing."""

_EVENTS: Mapping[str, Record[events.Event]] = {name: Record(kind) for name, kind in events.KINDS.items()}


def encode_event(event: events.Event) -> tuple[str, bytes]:
    """The name of the event's kind, and its blob."""
    name = events.name_of(event)
    return name, _EVENTS[name].encode(event)


def decode_event(kind: str, blob: object, what: str) -> events.Event:
    """The event. Raises `errors.Damaged`."""
    try:
        record = _EVENTS[kind]
    except KeyError:
        raise errors.Damaged(what=what, reason=f"this version knows no event {kind!r}") from None
    return record.decode(blob, what)


# ── Letters and claims ───────────────────────────────────────────────────────────────────────────────────────────

CLAIM: Record[shares.Claim] = Record(shares.Claim)

_KINDS: Mapping[str, type] = {
    **{events.NAMES.get(kind, "time.passed"): kind for kind in get_args(events.Report)},
    "nudge": ports.Nudge,
}
_NAMES: Mapping[type, str] = {kind: name for name, kind in _KINDS.items()}
_LETTERS: Mapping[str, Record[ports.Letter]] = {name: Record(kind) for name, kind in _KINDS.items()}
_ENVELOPE: Record[tuple[str, bytes]] = Record(tuple[str, bytes])


def encode_letter(letter: ports.Letter) -> bytes:
    """The letter's kind and its fields. Raises `errors.Broken`."""
    name = _NAMES[type(letter)]
    return _ENVELOPE.encode((name, _LETTERS[name].encode(letter)))


def decode_letter(blob: object, what: str) -> ports.Letter:
    """The letter. Raises `errors.Damaged`."""
    name, inner = _ENVELOPE.decode(blob, what)
    if name not in _LETTERS:
        raise errors.Damaged(what=what, reason=f"this version knows no letter {name!r}")
    return _LETTERS[name].decode(inner, what)


# ── The head of a run: all of it that has no table of its own ────────────────────────────────────────────────────

_ELSEWHERE = frozenset({"plan", "nodes", "artifacts", "gone"})
"""Fields that have tables."""
_COLUMNS = frozenset({"id", "status", "created_at", "version", "owner", "fence", "finished_at", "error"})
"""Fields that the run's row tells."""
_COUNTED = frozenset({"active", "unfinished"})
"""Indexes into the nodes, made again on loading: written out they would grow with the flow at every save."""


def _head_fields() -> list[Any]:
    hints = get_type_hints(run.Run)
    found: list[Any] = []
    for one in fields(run.Run):
        if one.name in _ELSEWHERE | _COLUMNS | _COUNTED:
            continue
        if one.default is not MISSING:
            found.append((one.name, hints[one.name], one.default))
        elif one.default_factory is not MISSING:
            found.append((one.name, hints[one.name], msgspec.field(default_factory=one.default_factory)))
        else:
            found.append((one.name, hints[one.name]))
    return found


_HEAD_FIELDS = _head_fields()
_HEAD_NAMES = tuple(one[0] for one in _HEAD_FIELDS)
_head_values = attrgetter(*_HEAD_NAMES)
_Head = msgspec.defstruct("Head", _HEAD_FIELDS, frozen=True, kw_only=True)
_HEAD: Record[msgspec.Struct] = Record(_Head)
_USUAL = _head_values(
    run.Run(
        id="", plan=plan.Plan(flow=flow.Flow(name=""), nodes={}, edges={}), status=run.Status.WAITING, created_at=_EPOCH
    )
)
_USUAL_HEAD = _HEAD.encode(_Head(**dict(zip(_HEAD_NAMES, _USUAL, strict=True))))
"""Of nearly all runs: nothing is absent, and none of them is to end before its time."""


def encode_head(whole: run.Run) -> bytes:
    """What of the run has no column and no table."""
    values = _head_values(whole)
    return _USUAL_HEAD if values == _USUAL else _HEAD.encode(_Head(**dict(zip(_HEAD_NAMES, values, strict=True))))


def decode_head(blob: object, what: str) -> Mapping[str, Any]:
    """The fields that `encode_head` wrote, by name. Raises `errors.Damaged`."""
    return msgspec.structs.asdict(_HEAD.decode(blob, what))


class RunRow(NamedTuple):
    """What `statements.HEAD` finds."""

    head: object
    flow: str
    status: str
    version: int
    owner: str
    fence: int
    created_at: int
    finished_at: int | None
    error: str


def run_of(
    run_id: str,
    row: RunRow,
    rest: Mapping[str, Any],
    *,
    plan: plan.Plan,
    nodes: Mapping[str, run.NodeRun],
    artifacts: Mapping[str, artifact.Artifact],
    gone: Mapping[str, datetime],
) -> run.Run:
    """The run put together again; `rest` is of `decode_head`."""
    return run.Run(
        id=run_id,
        plan=plan,
        status=run.Status(row.status),
        version=row.version,
        owner=row.owner,
        fence=row.fence,
        created_at=moment(row.created_at),
        finished_at=maybe_moment(row.finished_at),
        error=row.error,
        nodes=nodes,
        artifacts=artifacts,
        gone=gone,
        active=frozenset(node.id for node in nodes.values() if node.status.active),
        unfinished=sum(not node.status.terminal for node in nodes.values()),
        **rest,
    )
