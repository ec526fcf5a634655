"""
What will run: a valid flow with every name looked up, every default filled in and every key written out.

A plan is made once, when a run is accepted (`pupload.domain.planning`), saved with the run and never changed: a run
keeps the flow it was started with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pupload.domain import collection, values
from pupload.domain.facts import Limits
from pupload.domain.flow import Flow, Store
from pupload.domain.nodedef import NodeDef
from pupload.domain.tiers import Tier


class Origin(StrEnum):
    """Where the object on an edge comes from."""

    NODE = "node"
    UPLOAD = "upload"
    STATIC = "static"
    WEBHOOK = "webhook"
    APPROVAL = "approval"
    RUN = "run"
    FACTS = "facts"


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class PortPlan:
    """A bound port of a node."""

    port: str
    edge: str
    types: tuple[str, ...] = ()
    """Media types that are accepted (an input) or promised (an output); empty: any."""
    required: bool = True
    many: bool = False
    extension: str = ""
    """Of the file in the container, with its dot; empty where the type is not known beforehand."""
    limits: Limits | None = None
    """What the file may hold at most; None: anything."""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class EdgePlan:
    """An edge: where its object comes from, and where it is kept."""

    name: str
    origin: Origin
    store: str
    key: str
    """Where the sealed object is kept."""
    upload_key: str = ""
    """Where an upload is put before it is sealed; no name anybody can guess."""
    producer: str | None = None
    consumers: tuple[str, ...] = ()
    """Ids of the nodes that take it, in the flow's order; handlers are none of them."""
    lifetime_seconds: float | None = None
    """How long the object is kept after the run has ended; None: until the run is purged."""
    intermediate: bool = False
    """Whether it only passes between nodes, so that it goes when nobody needs it any more."""
    secret: str = field(default="", repr=False)
    """The HMAC secret of a webhook, or a reference to one."""
    collection: bool = False
    """Whether a collection lies on it, each of whose items has an edge of its own."""
    place: int | None = None
    """The item's, where the edge is that of an item of a collection."""
    valued: bool = False
    """Whether a condition asks for what is in its object: the artifact then carries that."""
    flow: str = ""
    """The saved flow whose run's result it is to be."""
    given: str = ""
    """The edge whose object that run is given; empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan:
    """How a failed attempt is tried again."""

    delay_seconds: float = 1.0
    max_seconds: float = 60.0
    on_exit_codes: tuple[int, ...] = ()
    never_on_exit_codes: tuple[int, ...] = ()
    more_memory: tuple[Tier, ...] = ()
    """The tiers to climb after running out of memory, smallest first; empty: none."""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Each:
    """How a node runs once for each item of a collection, by nodes of its own for each."""

    port: str
    """The input that takes the items."""
    edge: str
    """What is bound to it."""
    collection: bool
    """Whether a collection lies there; what is none is the only item of its own."""
    concurrency: int = 0
    """How many run at the same time; 0: as many as there is room for."""
    max_items: int = 10_000
    keep: bool = False
    """Whether items that failed leave their places empty, instead of failing the node."""


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """A node with its definition worked in."""

    id: str
    uses: str
    image: str
    """The reference that the definition names or a flag chooses; an attempt records the immutable id it ran."""
    tier: Tier
    inputs: tuple[PortPlan, ...] = ()
    outputs: tuple[PortPlan, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    """Values by name, defaults filled in; unset optional flags are absent."""
    command: tuple[str, ...] = ()
    """The definition's arguments with variables still in them (`pupload.domain.command`); empty: the image's own."""
    entrypoint: bool = True
    """Whether the image's entry point runs it; if not, the first of its arguments is the program."""
    max_attempts: int = 3
    retry: RetryPlan = RetryPlan()
    timeout_seconds: float = 3600.0
    user: str = ""
    network: str = "none"
    capabilities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    transfer: str = "files"
    progress: str = ""
    secrets: tuple[str, ...] = ()
    """Names of secrets that the node gets; where a flag named one, its value is the path of the file."""
    memoize: bool = True
    """Whether work that was done before may be used again."""
    each: Each | None = None
    """None: it runs once."""
    when: str = ""
    """The condition on which it runs (`pupload.domain.condition`); empty: in any case."""
    runs: str = ""
    """When a handler runs (`pupload.domain.flow.HANDLERS`); empty: it is no handler."""


class Nodes(dict[str, NodePlan]):
    """
    The flow's own nodes, by id. Those for each item of a collection are made of theirs when they are looked up.

    They are not counted and not gone through: how many there are, only a run can tell.
    """

    def __missing__(self, name: str) -> NodePlan:
        whole, place = collection.part_of(name) or ("", 0)
        node = self.get(whole)
        if node is None or node.each is None:
            raise KeyError(name)
        return _of_item(node, node.each, name, place)


class Edges(dict[str, EdgePlan]):
    """The flow's own edges, by name. Those of the items of collections are made of theirs likewise."""

    __slots__ = ("nodes",)

    def __init__(self, edges: Mapping[str, EdgePlan], nodes: Nodes) -> None:
        super().__init__(edges)
        self.nodes = nodes
        """Those that make and take what lies on the edges."""

    def __missing__(self, name: str) -> EdgePlan:
        whole, place = collection.part_of(name) or ("", 0)
        edge = self.get(whole)
        if edge is None or not edge.collection:
            raise KeyError(name)
        made_for_each = edge.producer is not None and self.nodes[edge.producer].each is not None
        return values.replace(
            edge,
            name=name,
            key=f"{edge.key}/{place:06}",
            producer=collection.item(edge.producer, place) if edge.producer and made_for_each else edge.producer,
            consumers=tuple(self._consumer(node, whole, place) for node in edge.consumers),
            collection=False,
            place=place,
        )

    def _consumer(self, node: str, edge: str, place: int) -> str:
        each = self.nodes[node].each
        return node if each is None or each.edge != edge else collection.item(node, place)


def _of_item(node: NodePlan, each: Each, name: str, place: int) -> NodePlan:
    """The node for the item at this place: it takes that alone, and makes what lies at the same place."""
    inputs = node.inputs
    if each.collection:
        taken = collection.item(each.edge, place)
        inputs = tuple([values.replace(one, edge=taken) if one.port == each.port else one for one in inputs])
    outputs = tuple([values.replace(one, edge=collection.item(one.edge, place)) for one in node.outputs])
    return values.replace(node, id=name, inputs=inputs, outputs=outputs, each=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The saved flow that a run is of."""

    flow: str
    """The id."""
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The run on whose behalf another was started: for its result, or because it failed."""

    run: str
    edge: str = ""
    """Where the result is awaited; empty: the run's failure is handled."""
    depth: int = 1
    """How many runs there are above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of a run that never changes."""

    flow: Flow
    nodes: Mapping[str, NodePlan]
    """By id; of items too (`Nodes`)."""
    edges: Mapping[str, EdgePlan]
    """By name; of items too (`Edges`)."""
    stores: Mapping[str, Store] = field(default_factory=dict)
    """Those the flow brings along, by name."""
    timeout_seconds: float | None = None
    """For the whole run."""
    upload_seconds: float = 86400.0
    """How long an upload is awaited."""
    queue_seconds: float = 86400.0
    """How long a node waits for room."""
    mishaps: int = 10
    """How often a node is started again for what it did not cause."""
    warnings: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    """What the run was given, and the defaults of what it was not."""
    definitions: tuple[NodeDef, ...] = ()
    """
    Those that the nodes use, without their descriptions: what a replay changes. Runs of versions that did not keep them
    have none.
    """
    replays: bool = False
    """Whether the run is a replay of the one that it resumes: some of it may be otherwise than it was there."""
    handlers: tuple[str, ...] = ()
    """Ids of the nodes that run when all others have ended; no edge names them among its consumers."""
    conditional: bool = False
    """Whether any node has a condition: some may be left out."""
    provenance: Provenance | None = None
    """None: it is of no saved flow."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What whoever started it wants to know it by."""
    ephemeral: bool = False
    """Whether it is a dry run: nobody is shown it, and nothing of it is kept."""
    priority: int = 0
    """Higher ones go first; `pupload.domain.priority`."""
    account: int | None = None
    """The number of the account whose it is; None: nobody's."""
    parent: Parent | None = None
    """None: it is on no other run's behalf."""
    followed: bool = False
    """Whether something may follow from what becomes of it (`pupload.engine.consequences`)."""

    @property
    def flow_id(self) -> str:
        """The id of the saved flow that it is of; empty where it is of none."""
        return "" if self.provenance is None else self.provenance.flow

    def __post_init__(self) -> None:
        nodes, edges = self.nodes, self.edges
        if not isinstance(nodes, Nodes):
            nodes = Nodes(nodes)
            object.__setattr__(self, "nodes", nodes)
        if not isinstance(edges, Edges) or edges.nodes is not nodes:
            object.__setattr__(self, "edges", Edges(edges, nodes))


def within(plan: Plan, seconds: float) -> Plan:
    """The plan of a run that takes no longer than this."""
    return replace(plan, timeout_seconds=min(seconds, plan.timeout_seconds or seconds))
