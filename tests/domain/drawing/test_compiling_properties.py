"""Whatever is drawn compiles or says why it cannot; and what compiles is a flow without a fault that can be planned."""

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import planning, validation
from pupload.domain.drawing import compiling, components, joining, judging, reach
from pupload.domain.drawing.compiling import Compiled
from pupload.domain.drawing.model import LABELS, Drawing, DrawnEdge, DrawnNode, EdgeType
from pupload.domain.drawing.table import TABLE
from pupload.domain.plan import Origin
from tests.builders import NOON, RUN_ID
from tests.domain.drawing.drawings import SHIPPED

KNOWN = components.known(SHIPPED)
FLOWS: dict[int | str, str] = {7: "drawn/child"}
TYPES = [*(each.type for each in TABLE), "pupload/resize", "pupload/unpack", "acme/gone"]
RUNNING = [
    *(
        "code",
        "code",
        "merge",
        "switch",
        "switch",
        "human_confirmation",
        "workflow",
        "spawn_and_await",
        "loop",
        "filter",
    ),
    *("memory_read", "memory_write", "wait", "trigger_chat", "calculator"),
]

configs = st.fixed_dictionaries(
    {},
    optional={
        "extra_config": st.dictionaries(
            st.sampled_from(["code", "rules", "enable_fallback", "workflow_slug", "mode", "max_iterations", "odd"]),
            st.none() | st.integers(-1, 9) | st.text(max_size=6) | st.just([{"id": "go", "field": "a", "value": "b"}]),
            max_size=3,
        ),
        "timeout": st.sampled_from([1.5, 30, None, 600, 0.25]),
        "max_retries": st.integers(-2, 4),
    },
)


@st.composite
def nodes(draw: st.DrawFn, types: list[str], count: int) -> tuple[DrawnNode, ...]:
    return tuple(
        DrawnNode(
            id=place,
            node_id=f"n{place}",
            component=draw(st.sampled_from(types)),
            is_entry_point=draw(st.integers(0, 9)) == 0,
            interrupt_before=draw(st.integers(0, 5)) == 0,
            interrupt_after=draw(st.integers(0, 5)) == 0,
            subdrawing=draw(st.sampled_from([7, 7, None])),
            config=draw(configs),
            updated_at=NOON,
        )
        for place in range(1, count + 1)
    )


def _drawing(drawn: tuple[DrawnNode, ...], edges: list[DrawnEdge]) -> Drawing:
    return Drawing(slug="d", name="D", nodes=drawn, edges=tuple(edges), created_at=NOON, updated_at=NOON)


@st.composite
def scribbles(draw: st.DrawFn) -> Drawing:
    """Anything that can be kept: edges of all sorts, to nodes that are not there as well."""
    drawn = draw(nodes(TYPES, draw(st.integers(0, 7))))
    ends = st.sampled_from([*(node.node_id for node in drawn), "nobody"])
    edges = st.builds(
        DrawnEdge,
        id=st.integers(1, 50),
        source=ends,
        target=ends,
        type=st.sampled_from(EdgeType),
        label=st.sampled_from(["", "", "", *LABELS]),
        condition=st.sampled_from(["", "go", "it's"]),
        mapping=st.sampled_from([None, None, {"input": "input_2"}, {"output": "payload"}]),
    )
    return _drawing(drawn, draw(st.lists(edges, max_size=12)))


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    """What somebody draws edge by edge, each of which is let in; mostly of what runs, so that much of it compiles."""
    begin = DrawnNode(id=99, node_id="begin", component="trigger_manual", updated_at=NOON)
    drawing = _drawing((begin,), [])
    for node in draw(nodes(RUNNING, draw(st.integers(1, 7)))):
        config = {name: value for name, value in node.config.items() if name != "extra_config"}
        calm = replace(node, config=config, is_entry_point=False, subdrawing=7)
        before = [each.node_id for each in drawing.nodes]
        drawing = replace(drawing, nodes=(*drawing.nodes, calm))
        if calm.component == "loop":
            drawing = _looped(drawing, calm.node_id)
        many = 3 if calm.component == "merge" else 1
        for source in draw(st.lists(st.sampled_from(before), min_size=1, max_size=many, unique=True)):
            drawing = _joined(drawing, source, calm.node_id, draw(st.sampled_from(["go", "it's", ""])))
    return drawing


def _looped(drawing: Drawing, loop: str) -> Drawing:
    """With a body for the loop."""
    body = DrawnNode(node_id=f"{loop}-body", component="code", updated_at=NOON)
    drawing = replace(drawing, nodes=(*drawing.nodes, body))
    first = DrawnEdge(id=500 + len(drawing.edges), source=loop, target=body.node_id, label="loop_body")
    back = replace(first, id=first.id + 1, source=body.node_id, target=loop, label="loop_return")
    return replace(drawing, edges=(*drawing.edges, first, back))


def _joined(drawing: Drawing, source: str, target: str, value: str) -> Drawing:
    """With an edge between them, where one is let in; on a condition where it comes from a switch and has a value."""
    conditional = bool(value) and _type(drawing, source) == "switch"
    edge = DrawnEdge(
        id=len(drawing.edges) + 1,
        source=source,
        target=target,
        type=EdgeType.CONDITIONAL if conditional else EdgeType.DIRECT,
        condition=value if conditional else "",
    )
    return drawing if joining.objection(drawing, edge, KNOWN) else replace(drawing, edges=(*drawing.edges, edge))


def _type(drawing: Drawing, node_id: str) -> str:
    node = drawing.node(node_id)
    assert node is not None
    return node.component


def check(drawing: Drawing, found: Compiled) -> None:
    assert all(each.sentence for each in (*found.findings, *found.remarks))
    if found.findings:
        return
    flow = found.content.flow
    assert not [each for each in validation.validate(flow, SHIPPED) if each.is_error]
    tokens = map(str, itertools.count())
    plan = planning.make_plan(flow, SHIPPED, run_id=RUN_ID, now=NOON, tokens=lambda: next(tokens))
    awaited = {edge.name for edge in plan.edges.values() if edge.origin is Origin.UPLOAD}
    assert awaited == {edge for edges in found.entries.values() for edge in edges.values()}
    assert {node.id.partition(".")[0] for node in flow.nodes} <= {node.node_id for node in drawing.nodes}
    assert set(found.terminals) <= set(plan.edges)


@given(scribbles())
def test_whatever_is_drawn_compiles_or_says_why_it_cannot(drawing: Drawing) -> None:
    for trigger in (None, *reach.triggers(drawing, KNOWN)):
        check(drawing, compiling.compile_drawing(drawing, SHIPPED, trigger=trigger, flows=FLOWS))
    judging.judge(drawing, SHIPPED, flows=FLOWS)


@given(drawings())
def test_what_is_drawn_edge_by_edge_compiles_or_says_why_it_cannot(drawing: Drawing) -> None:
    for trigger in (None, "begin"):
        check(drawing, compiling.compile_drawing(drawing, SHIPPED, trigger=trigger, flows=FLOWS))


@given(drawings())
def test_what_is_judged_to_be_right_can_run_from_every_trigger(drawing: Drawing) -> None:
    if not judging.judge(drawing, SHIPPED, flows=FLOWS):
        for trigger in reach.triggers(drawing, KNOWN):
            assert not compiling.compile_drawing(drawing, SHIPPED, trigger=trigger, flows=FLOWS).findings


@given(drawings())
def test_compiling_twice_is_compiling_once(drawing: Drawing) -> None:
    once, twice = (compiling.compile_drawing(drawing, SHIPPED, flows=FLOWS) for _ in range(2))
    assert once == twice
