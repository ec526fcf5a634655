"""
Flows that are kept under a name, and every version they had.

A saved flow is `namespace/name` to people and an opaque id to programs. What runs is its content; a content that is
saved again is a version of its own, which never changes. To go back to an earlier one is to save that content again.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pupload.domain import ids, secret
from pupload.domain.flow import Callback, DataWell, Flow, Node, Store
from pupload.domain.nodedef import FlagDef, NodeDef

PREFIX = "flow_"
"""Of ids; a ULID follows."""
DEFAULT_NAMESPACE = "default"
API = "api"
"""The source of flows that were saved through the API."""
DRAWN = "drawing"
"""The source of flows that drawings come to."""
OWNED = (API, DRAWN)
"""Sources whose flows belong to whoever saves them; those of others are everybody's."""
FIRST_LABEL = "1.0.0"

MOST_SEGMENT = 128
MOST_NAME = 512
"""Letters of a segment, and of the namespace and name together."""

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_THREE = re.compile(r"(\d{1,9}\.\d{1,9}\.)(\d{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What runs: a flow with all that it brings along."""

    flow: Flow
    definitions: tuple[NodeDef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFlow:
    """A flow under its name, as it is now."""

    id: str
    namespace: str
    """Segments between slashes."""
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    source: str = API
    """The name of the place that it comes from and is changed in."""
    enabled: bool = True
    """Whether runs of it may be started."""
    gone: bool = False
    """Whether its source has it no more: it is not enabled then, and may be removed."""
    revision: int = 1
    """Grows with every change of it, be it of the content or not."""
    version: int = 1
    """The number of the latest version."""
    label: str = FIRST_LABEL
    """What that is called."""
    account: int | None = None
    """The number of the account whose it is; None: nobody's."""
    public: bool = False
    """Whether everybody may see and run it; only its owner changes it."""
    drawing: int | None = None
    """The drawing that it is what comes of."""
    created_at: datetime
    updated_at: datetime

    @property
    def full_name(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowVersion:
    """A version of a saved flow; it never changes."""

    flow: str
    """The id."""
    number: int
    """From 1, without gaps."""
    label: str
    at: datetime
    message: str = ""
    """What its author says of it."""
    origin: str = ""
    """Where in its source it was found, such as a path and a commit."""


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────


def new_id(run_id: str) -> str:
    """The flow's id of the same bits as this run's id."""
    return PREFIX + run_id.removeprefix(ids.PREFIX)


def canonical_id(text: str) -> str | None:
    """`text` as the id of a saved flow; None when it can be none."""
    run_id = ids.canonical_run_id(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else None
    return None if run_id is None else new_id(run_id)


def split(text: str) -> tuple[str, str]:
    """Namespace and name of `namespace/name`; a name alone is in the default namespace. Slashes around do not count."""
    namespace, _, name = text.strip("/").rpartition("/")
    return namespace or DEFAULT_NAMESPACE, name


def objection(namespace: str, name: str) -> str:
    """Why a flow cannot be called so; empty where it can."""
    whole = f"{namespace}/{name}"
    if len(whole) > MOST_NAME:
        return f"a namespace and a name have {MOST_NAME} letters at most"
    for segment in whole.split("/"):
        if not _SEGMENT.fullmatch(segment) or len(segment) > MOST_SEGMENT:
            return (
                f"{segment[:MOST_SEGMENT]!r} is no name: it begins with a letter or digit, which letters, digits, "
                f"'.', '_' and '-' follow, {MOST_SEGMENT} at most"
            )
    return f"{name} is how ids look" if canonical_id(name) else ""


def next_label(label: str) -> str:
    """What the version after the one of this label is called, unless somebody says: the last of three numbers grows."""
    three = _THREE.fullmatch(label)
    return f"{three[1]}{int(three[2]) + 1}" if three else label


def words(this: SavedFlow) -> str:
    """What a search looks in, without case."""
    return "\n".join((this.full_name, this.description, *this.tags)).casefold()


# ── Where they are kept ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the saved flows that match, by namespace and name."""

    flows: Sequence[SavedFlow]
    total: int
    """Of all that match, not of this page."""


class SavedFlows(Protocol):
    """Flows kept under a name with every version they had, durably."""

    async def put(self, this: SavedFlow, version: FlowVersion | None = None, content: Content | None = None) -> None:
        """
        Saves the flow: a new one where `revision` is 1, else in place of the one of the revision before. With it, in
        one commit, the version that it says is its latest, where there is a new one, and its content.

        Nothing is saved where it raises: `errors.NameTaken` when a new one's name is that of another of its account,
        `errors.FlowChanged` when somebody else changed it since, `errors.UnknownSavedFlow` when it is not there any
        more.
        """

    async def get(self, flow_id: str) -> SavedFlow:
        """Raises `errors.UnknownSavedFlow`."""

    async def called(self, namespace: str, name: str) -> Sequence[SavedFlow]:
        """All of this name, nobody's first, then by their accounts' numbers; one of an account at most."""

    async def list(
        self,
        *,
        namespace: str | None = None,
        source: str | None = None,
        text: str = "",
        enabled: bool | None = None,
        account: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Page:
        """
        By namespace and name, those that match all that is given.

        `text` must be in the name, the description or a tag, in whatever case. Where an `account` is given: those of it
        and public ones.
        """

    async def versions(self, flow_id: str, *, limit: int = 100, offset: int = 0) -> Sequence[FlowVersion]:
        """The latest first; empty for a flow that is not there."""

    async def version(self, flow_id: str, number: int) -> tuple[FlowVersion, Content]:
        """Raises `errors.UnknownVersion`, `errors.Damaged`."""

    async def revisions(self) -> Mapping[str, int]:
        """The revision of every flow, by id: who has seen some knows by it which are otherwise now."""

    async def latest(
        self, *, after: str = "", limit: int = 200
    ) -> Sequence[tuple[str, SavedFlow | None, Content | None]]:
        """Flows whose ids are behind `after`, by id, each with its latest content; None for what cannot be read."""

    async def remove(self, flow_id: str) -> None:
        """The flow and its versions are gone; its runs keep what they were started with. Raises as `get` does."""


# ── What is otherwise ────────────────────────────────────────────────────────────────────────────────────────────

HIDDEN = "***"
"""What is told of a value that is, or may be, a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not in two versions alike."""

    kind: str
    """`flow`, `node`, `definition`, `well`, `store`, `param` or `callback`."""
    name: str
    """Of the part; of the flow itself empty."""
    how: str
    """`added`, `removed` or `changed`."""
    field: str = ""
    """What of the part changed."""
    was: str = ""
    now: str = ""
    """Both empty where there was, or is, nothing."""


def diff(old: Content, new: Content) -> tuple[Change, ...]:
    """What is otherwise in `new`, part by part in the order of the flow; secrets are not told."""
    return tuple(_differences(dict(_parts(old)), dict(_parts(new))))


_Fields = dict[str, tuple[str, object]]
"""What is shown of a part's fields, and what is compared."""


def _differences(old: Mapping[tuple[str, str], _Fields], new: Mapping[tuple[str, str], _Fields]) -> Iterator[Change]:
    for kind, name in dict.fromkeys((*old, *new)):
        was, now = old.get((kind, name)), new.get((kind, name))
        if was is None or now is None:
            yield Change(kind=kind, name=name, how="added" if was is None else "removed")
            continue
        for field in dict.fromkeys((*was, *now)):
            before, after = was.get(field, _NOTHING), now.get(field, _NOTHING)
            if before[1] != after[1]:
                yield Change(kind=kind, name=name, how="changed", field=field, was=before[0], now=after[0])


_NOTHING = ("", None)


def _parts(content: Content) -> Iterator[tuple[tuple[str, str], _Fields]]:
    flow = content.flow
    yield ("flow", ""), {**_plain(flow, "name", "timeout", "on_error"), **_in_default(flow.default_well)}
    for param in flow.params:
        yield ("param", param.name), _flag(param)
    for node in flow.nodes:
        yield ("node", node.id), _node(node)
    for well in flow.wells:
        yield ("well", well.edge), _well(well)
    for store in flow.stores:
        yield ("store", store.name), _store(store)
    for position, callback in enumerate(flow.callbacks, start=1):
        yield ("callback", str(position)), _callback(callback)
    for definition in content.definitions:
        yield ("definition", definition.uses), _definition(definition)


def _plain(part: object, *names: str) -> _Fields:
    """These fields, where they say anything."""
    said = ((name, getattr(part, name)) for name in names)
    return {name: (_shown(value), value) for name, value in said if value not in (None, "", ())}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _hidden(value: object) -> tuple[str, object]:
    return (str(value) if secret.named(value) else HIDDEN), value


def _in_default(well: DataWell | None) -> _Fields:
    return {} if well is None else {f"default_well.{name}": value for name, value in _well(well).items()}


def _flag(flag: FlagDef) -> _Fields:
    return _plain(flag, "type", "description", "required", "default", "choices", "minimum", "maximum")


def _node(node: Node) -> _Fields:
    fields = _plain(node, "uses", "timeout", "max_attempts", "memoize", "when", "runs")
    if node.for_each is not None:
        each = node.for_each
        fields["for_each"] = (each.input, each)
    fields |= {f"inputs.{port.name}": (port.edge, port.edge) for port in node.inputs}
    fields |= {f"outputs.{port.name}": (port.edge, port.edge) for port in node.outputs}
    return fields | {f"flags.{flag.name}": (flag.value, flag.value) for flag in node.flags}


def _well(well: DataWell) -> _Fields:
    fields = _plain(well, "store", "source", "key", "lifetime", "flow", "given")
    return fields | ({"secret": _hidden(well.secret)} if well.secret else {})


def _store(store: Store) -> _Fields:
    return _plain(store, "type") | {f"params.{name}": _hidden(value) for name, value in store.params.items()}


def _callback(callback: Callback) -> _Fields:
    fields = {"url": (callback.url.partition("?")[0], callback.url), **_plain(callback, "on")}
    return fields | {f"secrets.{place}": _hidden(each) for place, each in enumerate(callback.secrets, start=1)}


def _definition(this: NodeDef) -> _Fields:
    fields = _plain(
        *(this, "description", "image", "tier", "max_attempts", "timeout", "user", "network", "capabilities"),
        *("devices", "transfer", "secrets", "progress", "memoize"),
    )
    line = this.command.exec
    fields["command"] = (line if isinstance(line, str) else " ".join(line), this.command)
    fields["retry"] = (this.retry.delay or "", this.retry)
    fields |= {f"inputs.{port.name}": (", ".join(port.types) or "any", port) for port in this.inputs}
    fields |= {f"outputs.{port.name}": (", ".join(port.types) or "any", port) for port in this.outputs}
    return fields | {f"flags.{flag.name}": (flag.type or "string", flag) for flag in this.flags}
