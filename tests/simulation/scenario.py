"""
What is played: flows, what their images do, and what users do, all from one seed.

An image's behaviour depends on what is saved of its node (how often it failed of itself, how often for other reasons),
never on how often it was started: so a crash that costs a start does not change what a run comes to.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from pupload.domain.flow import Binding, Callback, DataWell, Flow, ForEach, Node
from pupload.domain.nodedef import NodeDef, Port, Retry
from tests.simulation import steering

PNG = b"\x89PNG\r\n\x1a\n"
SECRET = "hush-hush-webhook-secret"
KEY, KEY_VALUE = "KEY", "a key that\nnodes are given"
"""A secret that some definitions name, and its value."""
MEMORY_BYTES = 4 << 30
"""Of the machine: two of the larger nodes at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What an image does."""

    seconds: float = 1.0
    lines: int = 0
    fails: int = 0
    """So many of its first attempts (those charged to it) end badly, in the way of `how`."""
    how: str = "exit"
    """`exit`, `hang`, `missing`, `type`, `half` (it writes some of its outputs and then exits badly)."""
    memory_bytes: int = 0
    """What it needs; with less it is killed."""
    vanishes: int = 0
    """So many of its first attempts are removed by somebody (those not charged to it)."""
    refused: bool = False
    ignores_term: bool = False
    pull: tuple[str, ...] = ()
    """What its registry answers, in turn: `ok`, `missing`, `limited`; empty: the image is there already."""
    pull_seconds: float = 0.0
    leaves_out: frozenset[str] = frozenset()
    """Optional outputs that it does not write."""
    items: int = 0
    """How many files it writes to an output that is a collection."""
    picky: bool = False
    """Where it runs for items, it is only every third that it fails for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Somebody puts bytes to an upload's URL."""

    edge: str
    at: float
    data: bytes
    tells: bool = False
    """Whether they say that it is there."""
    parts: bool = False
    """Begins a multipart upload before, and forgets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Somebody wants a run to stop."""

    at: float
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run and all that its user does about it."""

    name: str
    at: float
    flow: Flow
    definitions: tuple[NodeDef, ...]
    images: Mapping[str, Behaviour]
    puts: tuple[Put, ...] = ()
    statics: Mapping[str, bytes] = field(default_factory=dict)
    """Objects that lie in the store beforehand, by key."""
    cancel: Cancel | None = None
    resumed: bool = False
    """Whether somebody resumes it when it has not succeeded."""
    replayed: str = ""
    """The node from which somebody runs it again when it has ended, instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything but the faults."""

    cases: tuple[Case, ...]
    notifies: bool
    """Whether the store tells of arrivals."""
    moves: bool
    """Whether the store takes files away instead of copying them."""
    same: bool
    """Whether faults must not change what the runs come to: nobody cancels, nothing depends on who is first."""
    memoize: bool = False
    """Whether work that was done before is used again."""


def draw(chance: random.Random) -> Scenario:
    """A scenario."""
    same = chance.random() < 0.6
    cases = tuple(_case(chance, f"case{number}", same=same) for number in range(chance.choice((1, 1, 1, 2, 2, 3))))
    cases = tuple(_with_collections(random.Random(repr(case)), case) for case in cases)
    cases = tuple(_steered(random.Random(repr(case)), case) for case in cases)
    notifies, moves = chance.random() < 0.85, chance.random() < 0.6
    twins = tuple(_twin(chance, case) for case in cases if chance.random() < 0.5)
    return Scenario(
        cases=(*cases, *twins), notifies=notifies, moves=moves, same=same, memoize=bool(twins) or chance.random() < 0.3
    )


def _twin(chance: random.Random, case: Case) -> Case:
    """The same flow at another time, often with the same uploads: much of it need not be done twice."""
    puts = case.puts
    if chance.random() < 0.3:
        data = {put.edge: _data(chance) for put in puts}
        puts = tuple(replace(put, data=data[put.edge]) for put in puts)
    at = case.at + chance.choice((0.0, 1.0, 20.0, 120.0, 2000.0))
    return replace(case, name=f"{case.name} again", at=at, puts=puts)


def _case(chance: random.Random, name: str, *, same: bool) -> Case:
    edges, nodes, definitions, images = _graph(chance, name, same=same)
    wells, puts, statics = [], list[Put](), dict[str, bytes]()
    for edge in edges:
        source = chance.choices(("upload", "webhook", "static"), (8, 1, 2))[0]
        if source == "static":
            wells.append(DataWell(edge=edge, source="static", key=f"fixed/{name}/{edge}"))
            if chance.random() < 0.9:
                statics[f"fixed/{name}/{edge}"] = _data(chance)
        elif source == "webhook":
            wells.append(DataWell(edge=edge, source="webhook", secret=SECRET))
            puts.append(Put(edge=edge, at=_moment(chance), data=_data(chance)))
        else:
            puts.extend(_puts(chance, edge, same=same))
    flow = Flow(
        name="photos",
        nodes=tuple(nodes),
        wells=tuple(wells),
        timeout=None if same or chance.random() < 0.7 else chance.choice(("20s", "5m")),
        callbacks=_callbacks(chance),
    )
    return Case(
        name=name,
        at=chance.choice((0.0, 0.0, chance.uniform(0, 20))),
        flow=flow,
        definitions=tuple(definitions),
        images=images,
        puts=tuple(puts),
        statics=statics,
        cancel=None if same or chance.random() < 0.5 else Cancel(at=_moment(chance), mode=chance.choice(MODES)),
        resumed=not same and chance.random() < 0.6,
        replayed=_replayed(chance, nodes),
    )


def _replayed(chance: random.Random, nodes: Sequence[Node]) -> str:
    """Drawn beside everything else, which is as it was without."""
    beside = random.Random(hash(chance.getstate()[1]))  # of numbers alone: None is another in every process
    return beside.choice(nodes).id if beside.random() < 0.4 else ""


MODES = ("kill", "drain")


def _callbacks(chance: random.Random) -> tuple[Callback, ...]:
    """Whom the flow wants told, if anybody."""
    ends = ((), (), ("complete",), ("error", "stopped"))
    return tuple(
        Callback(url=f"https://hooks{number}.example/", on=chance.choice(ends), secrets=(SECRET,))
        for number in range(chance.choice((0, 0, 1, 2)))
    )


def _graph(
    chance: random.Random, name: str, *, same: bool
) -> tuple[list[str], list[Node], list[NodeDef], dict[str, Behaviour]]:
    """Uploads that are taken, nodes in any order, their definitions and what their images do."""
    nodes, definitions, images = list[Node](), list[NodeDef](), dict[str, Behaviour]()
    outside = [f"up{number}" for number in range(chance.choice((0, 1, 1, 1, 2, 3)))]
    made, taken = list[str](), dict[str, None]()
    for number in range(chance.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 12))):
        there = [*outside, *made]
        inputs = chance.sample(there, min(len(there), chance.choice((0, 1, 1, 1, 2, 2, 3))))
        outputs = [f"e{number}-{port}" for port in range(chance.choice((0, 1, 1, 1, 2, 3)))]
        uses, image = f"sim/{name}-{number}", f"sim/{name}-{number}:latest"
        optional = [f"out{port}" for port in range(len(outputs)) if chance.random() < 0.2]
        definitions.append(_definition(chance, uses, image, len(inputs), len(outputs), optional, same=same))
        images[image] = _behaviour(chance, optional)
        nodes.append(
            Node(
                id=f"n{number}",
                uses=uses,
                inputs=tuple(Binding(name=f"in{port}", edge=edge) for port, edge in enumerate(inputs)),
                outputs=tuple(Binding(name=f"out{port}", edge=edge) for port, edge in enumerate(outputs)),
            )
        )
        made.extend(outputs)
        taken.update(dict.fromkeys(inputs))
    chance.shuffle(nodes)
    return [edge for edge in outside if edge in taken], nodes, definitions, images


def _steered(chance: random.Random, case: Case) -> Case:
    """Some flows have conditions and handlers."""
    if chance.random() < 0.7:
        return case
    nodes, more = steering.steered(chance, case.name, case.flow.nodes, case.definitions)
    behaves = {one.image: Behaviour(seconds=chance.choice((0.0, 5.0)), fails=chance.choice((0, 0, 1))) for one in more}
    return replace(
        case,
        flow=replace(case.flow, nodes=nodes),
        definitions=(*case.definitions, *more),
        images={**case.images, **behaves},
    )


def _with_collections(chance: random.Random, case: Case) -> Case:
    """Some flows have nodes that make collections, and others that take them whole, or run for each item."""
    if chance.random() < 0.6:
        return case
    wanted = {port.edge for node in case.flow.nodes for port in node.inputs}
    definitions, images = {one.uses: one for one in case.definitions}, dict(case.images)
    nodes = {node.id: node for node in case.flow.nodes}
    many = set[str]()
    # An order in which they can run.
    for name in sorted(nodes, key=lambda name: (bool(nodes[name].runs), int(name[1:]))):
        node = nodes[name]
        definition, taken = definitions[node.uses], [port.name for port in node.inputs if port.edge in many]
        some = taken or [port.name for port in node.inputs if chance.random() < 0.1]
        if some and chance.random() < 0.75:
            asked = ForEach(
                input=chance.choice(some),
                concurrency=chance.choice((0, 0, 1, 2)),
                partial_failure=chance.choice(("AllMustSucceed", "Keep")),
            )
            nodes[name] = node = replace(node, for_each=asked)
            taken = [port for port in taken if port != asked.input]
            many.update(port.edge for port in node.outputs)
        elif outs := [port for port in node.outputs if port.edge in wanted and chance.random() < 0.7]:
            many.update(port.edge for port in outs)
            definition = replace(definition, outputs=_made_many(definition.outputs, [port.name for port in outs]))
        definitions[node.uses] = replace(definition, inputs=_made_many(definition.inputs, taken))
        images[definition.image] = replace(
            images[definition.image], items=chance.choice((0, 1, 2, 3, 5, 9)), picky=chance.random() < 0.8
        )
    flow = replace(case.flow, nodes=tuple(nodes[node.id] for node in case.flow.nodes))
    return replace(case, flow=flow, definitions=tuple(definitions.values()), images=images)


def _made_many(ports: tuple[Port, ...], names: list[str]) -> tuple[Port, ...]:
    return tuple(replace(port, many=True) if port.name in names else port for port in ports)


def _definition(
    chance: random.Random, uses: str, image: str, inputs: int, outputs: int, optional: list[str], *, same: bool
) -> NodeDef:
    publisher, _, name = uses.partition("/")
    types = ("image/png",) if chance.random() < 0.4 else ()
    return NodeDef(
        publisher=publisher,
        name=name,
        image=image,
        inputs=tuple(
            Port(name=f"in{port}", types=types if chance.random() < 0.3 else (), required=chance.random() < 0.7)
            for port in range(inputs)
        ),
        outputs=tuple(
            Port(name=f"out{port}", types=("image/png",) if types else (), required=f"out{port}" not in optional)
            for port in range(outputs)
        ),
        tier=chance.choice(("c-nano", "c-micro", "c-small", "m-small")),
        max_attempts=chance.choice((0, 1, 2, 3)),
        retry=Retry(more_memory=chance.random() < 0.5, never_on_exit_codes=chance.choice(((), (3,)))),
        timeout=chance.choice(("30m", "1h") if same else ("90s", "10m", "1h")),
        secrets=(KEY,) if inputs == 1 and outputs != 1 else (),
    )


def _behaviour(chance: random.Random, optional: list[str]) -> Behaviour:
    odd = chance.random() < 0.4
    return Behaviour(
        seconds=chance.choice((0.0, 0.0, 1.0, 5.0, 30.0, 60.0)),
        lines=chance.choice((0, 1, 3, 20)),
        fails=chance.choice((0, 1, 1, 2, 9)) if odd else 0,
        how=chance.choice(("exit", "exit", "hang", "missing", "type", "half")),
        memory_bytes=chance.choice((0, 1 << 30, 3 << 30)) if odd else 0,
        vanishes=chance.choice((0, 0, 1, 2)) if odd else 0,
        refused=odd and chance.random() < 0.05,
        ignores_term=chance.random() < 0.2,
        pull=chance.choice(((), (), ("ok",), ("limited", "ok"), ("limited", "limited", "ok"), ("missing",)))
        if odd
        else chance.choice(((), ("ok",))),
        pull_seconds=chance.choice((0.0, 2.0, 40.0)),
        leaves_out=frozenset(port for port in optional if chance.random() < 0.5),
    )


def _puts(chance: random.Random, edge: str, *, same: bool) -> list[Put]:
    if chance.random() < 0.03:
        return []  # nobody ever does
    at, data, tells = _moment(chance), _data(chance), chance.random() < 0.3
    puts = [Put(edge=edge, at=at, data=data, tells=tells, parts=chance.random() < 0.1)]
    if chance.random() < 0.2:
        later = at + chance.choice((0.0, 0.001, 1.0, 30.0))
        puts.append(Put(edge=edge, at=later, data=data if same else _data(chance), tells=chance.random() < 0.3))
    return puts


def _moment(chance: random.Random) -> float:
    return chance.choice((0.0, chance.uniform(0, 2), chance.uniform(0, 60)))


def _data(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.02:
        return b""
    said = f"{chance.getrandbits(64):x}".encode()
    return said if kind < 0.1 else PNG + said


def output(port: str, node: str, given: list[bytes], *, picture: bool) -> bytes:
    """What a node writes: the same for the same inputs."""
    digest = sha256(b"\0".join([node.encode(), port.encode(), *given])).hexdigest().encode()
    return PNG + digest if picture else digest
