"""
What users of the torture want: flows drawn from a seed, and what must come of them.

A node's output is a hash of its name, its port and its inputs, so what every edge must hold is known beforehand,
however often the node is interrupted. What a node says is known likewise.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tests import images
from tests.system import flows

Json = dict[str, Any]

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0"
"""How a picture begins: as much as it takes to be told for one."""

SLACK = 3
"""So many attempts more than it needs has a node whose containers may be killed from outside."""

TOLERANT = "t"
"""What the id of such a node begins with."""

FATAL = ("failing", "timeout", "oom", "wrong", "missing")
"""What a node does that never succeeds."""

LONGEST_SECONDS = 600
"""Of an attempt that is expected to end: a machine may be slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A node: what it takes, makes and does."""

    id: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    does: str = "work"
    """`work`, `spam`, `binary`, `stubborn` (it ignores TERM), or one of `FATAL`."""
    fails: int = 0
    """Of its first attempts."""
    lines: int = 0
    seconds: float = 0.0
    retry: bool = True

    def says(self, attempt: int) -> list[str] | None:
        """Every line of the container of this attempt, were it never interrupted; None: that is not looked at."""
        if self.does in ("spam", "binary"):
            return None
        begin = [f"begin {self.id} {attempt}", *(f"line {number}" for number in range(1, self.lines + 1))]
        if attempt <= self.fails or self.does in FATAL:
            return begin
        return [*begin, "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Bytes for an edge, and how they come."""

    edge: str
    data: bytes
    after: float = 0.0
    """Seconds from when the run was accepted."""
    tells: bool = False
    again: bytes | None = None
    """Put there once more, right behind."""
    parts: bool = False
    """A session for an upload in parts is begun before, and forgotten."""
    late: bool = False
    """Only when the run is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run, what its user does about it, and what must come of it."""

    number: int
    name: str
    order: Json
    steps: tuple[Step, ...]
    statuses: frozenset[str]
    """Those in which it may end."""
    puts: tuple[Put, ...] = ()
    twice: bool = False
    """The request is made twice, with one key."""
    cancel: tuple[float, str] | None = None
    """When, from when it was accepted, and how."""
    resumed: bool = False
    streams: bool = False
    """Its user follows the events rather than asking again and again."""
    waits: bool = False
    """It waits for an upload that never comes: nothing but a cancel ends it."""
    contents: tuple[Mapping[str, str], ...] = ()
    """The SHA-256 of every edge, for each of the ways in which the uploads may have come."""
    steady: bool = False
    """Whether the status of every node is known beforehand: they all succeed."""

    @property
    def key(self) -> str:
        """By which the server knows a request that is repeated."""
        return f"case {self.number}"


@dataclass(slots=True)
class _Drawn:
    steps: list[Step] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


SHAPES = ("single", "single", "single", "chain", "fan", "diamond", "random")


def draw(seed: int, number: int) -> Case:
    """The case of this number."""
    chance = random.Random(f"case {seed} {number}")
    kind = chance.choices(
        ("plain", "fatal", "cancelled", "refused", "twice", "late", "abandoned", "timed"),
        (58, 12, 10, 4, 5, 3, 3, 5),
    )[0]
    drawn = _graph(chance, uploads=kind in ("refused", "twice", "late", "abandoned"))
    if kind == "fatal":
        at = chance.randrange(len(drawn.steps))
        drawn.steps[at] = _fatal(chance, drawn.steps[at])
    if kind == "cancelled" and chance.random() < 0.5:
        drawn.steps[0] = _as(drawn.steps[0], does="stubborn", seconds=20.0)
    if kind == "timed":
        drawn.steps[-1] = _as(drawn.steps[-1], seconds=60.0)
    puts = [_put(chance, edge) for edge in drawn.outside]
    others: dict[str, bytes] = {}
    if kind == "twice":
        other = _data(chance) if chance.random() < 0.5 else puts[0].data
        puts[0] = _put(chance, puts[0].edge, data=puts[0].data, again=other)
        others = {puts[0].edge: other}
    if kind == "refused":
        puts[0] = _put(chance, puts[0].edge, data=b"no picture at all")
    if kind == "late":
        puts[0] = Put(edge=puts[0].edge, data=puts[0].data, late=True)
    if kind == "abandoned":
        puts = puts[1:]
    return Case(
        number=number,
        name=kind,
        order=_order(f"{kind}-{number}", drawn, kind),
        steps=tuple(drawn.steps),
        statuses=_statuses(kind),
        puts=tuple(puts),
        twice=chance.random() < 0.15,
        cancel=_cancel(chance, kind),
        resumed=kind in ("fatal", "cancelled") and chance.random() < 0.4,
        streams=chance.random() < 0.5,
        waits=kind == "abandoned",
        contents=tuple(_contents(drawn, way) for way in _ways(puts, others)),
        steady=kind in ("plain", "twice"),
    )


def made(number: int, steps: Sequence[Step], uploads: Mapping[str, bytes]) -> Case:
    """A case of these steps that completes, on these uploads, put at once."""
    drawn = _Drawn([*steps], [*uploads])
    return Case(
        number=number,
        name="made",
        order=_order(f"made-{number}", drawn, "made"),
        steps=tuple(steps),
        statuses=_statuses("made"),
        puts=tuple(Put(edge=edge, data=data) for edge, data in uploads.items()),
        contents=(_contents(drawn, uploads),),
        steady=True,
    )


def _statuses(kind: str) -> frozenset[str]:
    known = {
        "fatal": {"ERROR"},
        "refused": {"ERROR"},
        "timed": {"ERROR"},
        "cancelled": {"STOPPED", "COMPLETE"},
        "late": {"STOPPED"},
        "abandoned": {"STOPPED"},
    }
    return frozenset(known.get(kind, {"COMPLETE"}))


def _cancel(chance: random.Random, kind: str) -> tuple[float, str] | None:
    if kind == "late":
        return 1.0, "kill"
    if kind != "cancelled":
        return None
    return chance.choice((0.0, chance.uniform(0, 2), chance.uniform(0, 8))), chance.choice(("kill", "kill", "drain"))


# ── The graph ────────────────────────────────────────────────────────────────────────────────────────────────────


def _graph(chance: random.Random, *, uploads: bool) -> _Drawn:
    outside = ["up0"] if uploads or chance.random() < 0.5 else []
    if outside and chance.random() < 0.2:
        outside.append("up1")
    shape = chance.choice(SHAPES)
    links = {
        "single": [tuple(outside)],
        "chain": [tuple(outside), *((f"e{number}",) for number in range(chance.choice((1, 2, 3))))],
        "fan": [tuple(outside), *((("e0",),) * chance.choice((2, 3, 5)))],
        "diamond": [tuple(outside), ("e0",), ("e0",), ("e1", "e2")],
    }.get(shape) or _random_links(chance, outside)
    steps = [_step(chance, number, inputs, f"e{number}") for number, inputs in enumerate(links)]
    return _Drawn(steps, outside)


def _random_links(chance: random.Random, outside: Sequence[str]) -> list[tuple[str, ...]]:
    links = [tuple(outside)]
    for number in range(1, chance.choice((3, 4, 5, 6))):
        there = [f"e{earlier}" for earlier in range(number)]
        links.append(tuple(chance.sample(there, min(len(there), chance.choice((0, 1, 1, 2))))))
    return links


def _step(chance: random.Random, number: int, inputs: tuple[str, ...], output: str) -> Step:
    tolerant = chance.random() < 0.5
    return Step(
        id=f"{TOLERANT if tolerant else 'n'}{number}",
        inputs=inputs,
        outputs=(output,),
        does=chance.choices(("work", "spam", "binary"), (30, 1, 1))[0],
        fails=chance.choice((0, 0, 0, 0, 1, 2)),
        lines=chance.choice((0, 1, 3, 20, 200)),
        seconds=chance.choice((0.0, 0.0, 0.2, 1.0, 3.0, 8.0)),
    )


def _as(step: Step, **changed: Any) -> Step:
    known = {name: getattr(step, name) for name in Step.__dataclass_fields__}
    return Step(**(known | changed))


def _fatal(chance: random.Random, step: Step) -> Step:
    does = chance.choice(FATAL)
    return _as(step, id=f"x{step.id[1:]}", does=does, fails=0, retry=chance.random() < 0.5)


def _put(chance: random.Random, edge: str, *, data: bytes | None = None, again: bytes | None = None) -> Put:
    return Put(
        edge=edge,
        data=_data(chance) if data is None else data,
        after=chance.choice((0.0, 0.0, chance.uniform(0, 3), chance.uniform(0, 20))),
        tells=chance.random() < 0.4,
        again=again,
        parts=chance.random() < 0.15,
    )


def _data(chance: random.Random) -> bytes:
    size = chance.choice((8, 100, 10_000, 300_000))
    return PNG + chance.randbytes(size)


# ── What it is as a request ──────────────────────────────────────────────────────────────────────────────────────


def _order(name: str, drawn: _Drawn, kind: str) -> Json:
    more: Json = {"Timeout": "8s"} if kind == "timed" else {}
    nodes = [
        flows.a_node(
            step.id,
            inputs={f"in{number}": edge for number, edge in enumerate(step.inputs)},
            outputs={f"out{number}": edge for number, edge in enumerate(step.outputs)},
        )
        for step in drawn.steps
    ]
    return flows.an_order(nodes, [_definition(step) for step in drawn.steps], name=name, **more)


def _definition(step: Step) -> Json:
    slack = SLACK if step.id.startswith(TOLERANT) else 0
    attempts = step.fails + 1 + slack
    if step.does in FATAL:
        attempts = 2 if step.retry and step.does in ("failing", "timeout") else 1
    return {
        "Publisher": "test",
        "Name": step.id,
        "Image": images.BUSYBOX,
        "Tier": "c-nano",
        "MaxAttempts": attempts,
        "Timeout": "3s" if step.does == "timeout" else f"{LONGEST_SECONDS}s",
        "Retry": {"Delay": "200ms", "Max": "2s"},
        "Inputs": [
            {"Name": f"in{number}", "Type": ["image/png"] if edge.startswith("up") else ["*/*"], "Required": True}
            for number, edge in enumerate(step.inputs)
        ],
        "Outputs": [
            {"Name": f"out{number}", "Type": ["image/png"] if step.does == "wrong" else ["*/*"], "Required": True}
            for number in range(len(step.outputs))
        ],
        "Command": {"Exec": ["sh", "-c", _script(step)]},
    }


def _script(step: Step) -> str:
    lines = [f'echo "begin {step.id} $PUPLOAD_ATTEMPT"']
    if step.does == "stubborn":
        lines.append("trap '' TERM")
    if step.lines:
        lines.append(f'n=0; while [ $n -lt {step.lines} ]; do n=$((n+1)); echo "line $n"; done')
    lines += {
        "spam": ["yes 'a line that says nothing at all, again and again' | head -n 30000"],
        "binary": [r"printf '\000\377\376\n\033[31mred\n\303\050 no end'; echo"],
        "timeout": ["sleep 3000"],
        "oom": ["exec tail /dev/zero"],
        "failing": ["exit 7"],
        "missing": ["exit 0"],
    }.get(step.does, [])
    if step.seconds:
        lines.append(f"sleep {step.seconds:g}")
    if step.fails:
        lines.append(f'[ "$PUPLOAD_ATTEMPT" -gt {step.fails} ] || exit 3')
    inputs = " ".join(f'"$INPUT_IN{number}"' for number in range(len(step.inputs)))
    for number, edge in enumerate(step.outputs):
        cat = f"; cat {inputs}" if inputs else ""
        lines.append(f'{{ echo "{step.id} {edge}"{cat}; }} | sha256sum > "$OUTPUT_OUT{number}"')
    if step.does not in FATAL:
        lines.append("echo done")
    return "\n".join(lines)


# ── What must come of it ─────────────────────────────────────────────────────────────────────────────────────────


def _ways(puts: Iterable[Put], others: Mapping[str, bytes]) -> list[dict[str, bytes]]:
    """What may lie on the edges that come from outside."""
    first = {put.edge: put.data for put in puts}
    return [first, {**first, **others}] if others else [first]


def _contents(drawn: _Drawn, outside: Mapping[str, bytes]) -> dict[str, str]:
    known = dict(outside)
    for step in drawn.steps:
        if all(edge in known for edge in step.inputs) and step.does not in FATAL:
            for edge in step.outputs:
                given = f"{step.id} {edge}\n".encode() + b"".join(known[each] for each in step.inputs)
                known[edge] = f"{sha256(given).hexdigest()}  -\n".encode()
    return {edge: sha256(data).hexdigest() for edge, data in known.items()}


# ── What must be refused ─────────────────────────────────────────────────────────────────────────────────────────


def invalid(chance: random.Random) -> Json:
    """An order that breaks rules."""
    node = flows.a_node("a", inputs={"in": "x"}, outputs={"out": "y"})
    other = flows.a_node("b", inputs={"in": "y"}, outputs={"out": "x"})
    script = [flows.a_script("a", "true"), flows.a_script("b", "true")]
    return chance.choice(
        (
            flows.an_order([node, other], script),  # a circle
            flows.an_order([node, node], script),  # the same twice
            flows.an_order([flows.a_node("a", "unheard")], []),
            flows.an_order([node], [flows.a_script("a", "true", Tier="c-huge")]),
            flows.an_order([node], [flows.a_script("a", "true", Network="host")]),
            flows.an_order([], []),
        )
    )


def hostile(chance: random.Random) -> bytes:
    """A body that is no order."""
    return chance.choice(
        (
            b"",
            b"{",
            b"[" * 50_000,
            b'{"Flow": ' * 2_000,
            b"\xff\xfe\x00nothing",
            b'{"Flow": {"Name": 7, "Nodes": "all"}}',
            b'{"Flow": {"Name": "' + b"a" * 200_000 + b'", "Nodes": []}}',
            b'{"Flow": {"Name": "n", "Nodes": [' + b"{}," * 20_000 + b"{}]}}",
            b'{"n": 1' + b"0" * 50_000 + b"}",
        )
    )
