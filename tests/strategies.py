"""
Random values for property tests (hypothesis).

`flows()` draws a valid flow with its definitions: a random graph without cycles, with uploads, static objects,
webhooks, results in stores, fan-out and nodes that need nothing.
"""

from collections.abc import Callable

from hypothesis import strategies as st

from pupload.domain.flow import Binding, DataWell, FlagValue, Flow, Node
from pupload.domain.nodedef import Command, FlagDef, NodeDef, Port, Retry
from pupload.domain.tiers import TABLE
from tests.builders import a_store

STORE = "bucket"

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}", fullmatch=True)
"""Ids of nodes, and names of ports."""

printable = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=20)

values = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=40)
"""Values of flags: anything that can be an argument."""

media_types = st.sampled_from(
    ["image/png", "image/jpeg", "image/*", "video/mp4", "text/csv", "application/json", "application/pdf", "*/*"]
)

commands = st.sampled_from(
    [
        Command(),
        *(
            Command(exec=each, entrypoint=aside)
            for each in ("run [--width ${width}]", ("run", "-v"))
            for aside in (True, False)
        ),
    ]
)

retries = st.builds(
    Retry,
    delay=st.sampled_from([None, "1s", "250ms"]),
    max=st.sampled_from([None, "10s", "2m"]),
    on_exit_codes=st.lists(st.integers(1, 100), max_size=2).map(tuple),
    never_on_exit_codes=st.lists(st.integers(101, 255), max_size=2).map(tuple),
    more_memory=st.booleans(),
)


@st.composite
def definitions(draw: st.DrawFn, uses: str, *, inputs: int, outputs: int) -> NodeDef:
    """A definition with ports `in0`… and `out0`…: bare, or declared with types that fit each other."""
    publisher, _, name = uses.partition("/")
    bare = draw(st.booleans())
    width = FlagDef(name="width", type="integer", default=draw(st.sampled_from([None, "800"])), minimum=1)
    return NodeDef(
        publisher=publisher,
        name=name,
        image=f"{uses}:latest",
        inputs=() if bare else tuple(_port(draw, f"in{i}", [None, False, True]) for i in range(inputs)),
        outputs=() if bare else tuple(_port(draw, f"out{i}", [None, True]) for i in range(outputs)),
        flags=() if bare else (width,),
        command=draw(commands),
        tier=draw(st.sampled_from(["", "c-nano", *(name for name in TABLE if name.startswith(("c-", "m-")))])),
        max_attempts=draw(st.integers(0, 4)),
        retry=draw(retries),
        timeout=draw(st.sampled_from([None, "30s", "2h"])),
    )


def _port(draw: st.DrawFn, name: str, required: list[bool | None]) -> Port:
    """A port that takes or gives pictures, or anything."""
    types = draw(st.sampled_from([(), ("image/*",), ("image/png", "image/jpeg"), ("*/*",), ("image/png",)]))
    return Port(name=name, types=tuple(types), required=draw(st.sampled_from(required)))


@st.composite
def flows(
    draw: st.DrawFn, *, max_nodes: int = 8, wells: bool = True, timeouts: bool = True
) -> tuple[Flow, tuple[NodeDef, ...]]:
    """A valid flow and its definitions."""
    nodes: list[Node] = []
    needed: dict[str, NodeDef] = {}
    produced: list[str] = []
    uploads = [f"up{i}" for i in range(draw(st.integers(0, 3)))]
    taken: dict[str, None] = {}
    for position in range(draw(st.integers(1, max_nodes))):
        edges = draw(st.lists(st.sampled_from(produced + uploads), max_size=3)) if produced + uploads else []
        outputs = [f"e{position}-{i}" for i in range(draw(st.integers(0, 2)))]
        uses = f"pub/t{len(edges)}-{len(outputs)}-{draw(st.integers(0, 1))}"
        if uses not in needed:
            needed[uses] = draw(definitions(uses, inputs=len(edges), outputs=len(outputs)))
        nodes.append(
            Node(
                id=f"n{position}",
                uses=uses,
                inputs=tuple(Binding(name=f"in{i}", edge=edge) for i, edge in enumerate(edges)),
                outputs=tuple(Binding(name=f"out{i}", edge=edge) for i, edge in enumerate(outputs)),
                flags=draw(st.sampled_from([(), (FlagValue(name="width", value="640"),)])),
                timeout=draw(st.sampled_from([None, "1m"])) if timeouts else None,
                max_attempts=draw(st.integers(0, 3)),
            )
        )
        produced.extend(outputs)
        taken.update(dict.fromkeys(edges))
    described: tuple[DataWell, ...] = ()
    if wells:
        described = tuple(_wells(draw, [name for name in uploads if name in taken], produced))
    flow = Flow(
        name=draw(st.sampled_from(["", "photos", "a/b c"])),
        nodes=tuple(draw(st.permutations(nodes))),
        stores=(a_store(STORE),),
        wells=described,
        default_well=draw(st.sampled_from([None, DataWell(store=STORE), DataWell(store=STORE, lifetime="24h")]))
        if wells
        else None,
        timeout=draw(st.sampled_from([None, "10m"])) if timeouts else None,
    )
    return flow, tuple(needed.values())


def _wells(draw: st.DrawFn, uploads: list[str], produced: list[str]) -> list[DataWell]:
    """Wells for some of the edges."""
    stores = st.sampled_from(["default", STORE])
    keys = st.sampled_from([None, "${RUN_ID}/${EDGE}", "$YEAR/${EDGE}-${UUID}", "${RUN_ID}/$NODE_ID/${EDGE}"])
    lifetimes = st.sampled_from([None, "24h"])
    makers: dict[str, Callable[[str], DataWell]] = {
        "upload": lambda edge: DataWell(edge=edge, store=draw(stores), source="upload", key=draw(keys)),
        "webhook": lambda edge: DataWell(edge=edge, store=draw(stores), source="webhook", key=draw(keys)),
        "static": lambda edge: DataWell(edge=edge, store=draw(stores), source="static", key=f"fixed/{edge}"),
    }
    found = [
        makers[source](edge)
        for edge in uploads
        if (source := draw(st.sampled_from(["", *makers]))) and source in makers
    ]
    found += [
        DataWell(edge=edge, store=draw(stores), key=draw(keys), lifetime=draw(lifetimes))
        for edge in produced
        if draw(st.booleans())
    ]
    return found
