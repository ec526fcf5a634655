"""
What the user wrote: a flow, its nodes, wells and stores.

These values hold the user's words as they are, so that validation can point at each one; `pupload.domain.plan` turns
a valid flow into what runs. Names are those of docs/reference/flow-format.md in the style of Python.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pupload.domain import values
from pupload.domain.nodedef import FlagDef

DEFAULT_STORE = "default"
"""The server's own store: every flow may name it, none may define it."""

SOURCES = ("upload", "static", "webhook", "approval", "run", "facts")
"""
Where a well's object comes from; without a source the well says where a produced edge is kept.

An approval is what a person said, yes or no; a run is another flow's, whose result it is; facts are what is remembered.
"""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A port of a node's definition, bound to an edge of the flow."""

    name: str
    edge: str


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class FlagValue:
    """A value for a flag of the node's definition; numbers and booleans come as their JSON text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForEach:
    """That a node runs once for each item of a collection."""

    input: str = ""
    """The name of the input that takes the items."""
    concurrency: int = 0
    """How many run at the same time; 0: as many as there is room for."""
    max_items: int | None = None
    """None: as many as the server takes."""
    partial_failure: str = ""
    """One of `PARTIAL_FAILURES`; empty: the first of them."""


PARTIAL_FAILURES = ("AllMustSucceed", "Keep")
"""What becomes of the node when an item fails: it fails too, or the item's place stays empty."""


ON_FAILURE, FINALLY = "OnFailure", "Finally"
HANDLERS = (ON_FAILURE, FINALLY)
"""When a node runs that is a handler: after the flow where that failed, or in any case and after those."""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One step of a flow."""

    id: str
    uses: str
    """`Publisher/Name` of a node definition."""
    inputs: tuple[Binding, ...] = ()
    outputs: tuple[Binding, ...] = ()
    flags: tuple[FlagValue, ...] = ()
    timeout: str | None = None
    """A duration such as `90s` or `1h30m`; shorter than the definition's, it wins."""
    max_attempts: int = 0
    """Starts in all, for failures of the node; zero or less: the definition's."""
    memoize: bool = True
    """Whether work that was done before may be used again, where the definition allows it."""
    for_each: ForEach | None = None
    """None: it runs once."""
    when: str | None = None
    """A condition on which it runs (`pupload.domain.condition`); None: in any case."""
    runs: str = ""
    """One of `HANDLERS`; empty: in the flow, as soon as its inputs are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An object store that a flow brings along."""

    name: str
    type: str
    """`s3` or `local`."""
    params: Mapping[str, str | bool] = field(default_factory=dict, repr=False)
    """Keys as in docs/reference/flow-format.md, such as `Endpoint`; not shown, for they hold secrets."""
    account: int | None = None
    """Whose secrets its keys may be; a plan says it, and nobody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWell:
    """Where the object of an edge lives and where it comes from."""

    edge: str = ""
    store: str = DEFAULT_STORE
    source: str | None = None
    key: str | None = None
    """A template, see `pupload.domain.template`."""
    lifetime: str | None = None
    """A duration: the object is deleted that long after the run has ended."""
    secret: str | None = field(default=None, repr=False)
    """For a webhook: its bodies must be signed with it (HMAC-SHA256)."""
    flow: str = ""
    """For a run: the saved flow that it is of."""
    given: str = ""
    """For a run: the edge whose object it is given; empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """Whom to tell when a run of the flow is over."""

    url: str = field(default="", repr=False)
    """Takes a POST. Not shown: its query may let in whoever has it."""
    on: tuple[str, ...] = ()
    """How a run must have ended: `complete`, `error`, `stopped`; empty: in whatever way."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Messages are signed with each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A graph of nodes that meet on named edges."""

    name: str = ""
    nodes: tuple[Node, ...] = ()
    stores: tuple[Store, ...] = ()
    wells: tuple[DataWell, ...] = ()
    default_well: DataWell | None = None
    timeout: str | None = None
    callbacks: tuple[Callback, ...] = ()
    params: tuple[FlagDef, ...] = ()
    """What a run is given, declared like flags; see `pupload.domain.params`."""
    priority: int = 0
    """Of its runs that were ordered with none."""
    on_error: str = ""
    """The saved flow of which a run is started when one of this flow has ended in an error."""


def with_stores(flow: Flow, stores: Sequence[Store]) -> Flow:
    """The flow with those of the stores that its wells name and it does not bring along itself."""
    own = {store.name for store in flow.stores}
    named = {well.store for well in (*flow.wells, *filter(None, [flow.default_well]))}
    return replace(flow, stores=(*flow.stores, *(store for store in stores if store.name in named - own)))
