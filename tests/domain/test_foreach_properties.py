"""
Random flows with collections, and nodes that run once for each item: the promises of every flow hold, and counts are
exact.
"""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pupload.domain import foreach
from pupload.domain.collection import item
from pupload.domain.decide import begin
from pupload.domain.flow import Binding, Flow, ForEach, Node
from pupload.domain.nodedef import NodeDef, Port
from pupload.domain.run import NodeStatus, Run
from pupload.domain.validation import validate
from tests import builders
from tests.builders import NOON
from tests.domain.test_decide_properties import World, draw_report, drive_to_the_end

SPLIT = builders.a_definition("pub/split", outputs=[Port(name="out", many=True)], max_attempts=2)
PLAIN = builders.a_definition("pub/plain", outputs=[Port(name="out")], max_attempts=2)
MAYBE = builders.a_definition("pub/maybe", outputs=[Port(name="out", required=False)], max_attempts=2)
PACK = builders.a_definition("pub/pack", inputs=[Port(name="in", many=True)], max_attempts=2)

asked = st.builds(
    ForEach,
    input=st.just("in"),
    concurrency=st.integers(0, 3),
    max_items=st.sampled_from([None, None, None, 2]),
    partial_failure=st.sampled_from(["", "AllMustSucceed", "Keep"]),
)


@st.composite
def spreading(draw: st.DrawFn) -> tuple[Flow, tuple[NodeDef, ...]]:
    """A flow in which collections are made, worked on item by item, and packed."""
    nodes: list[Node] = []
    single, many = ["up"], list[str]()
    for number in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["split", "each", "each", "pack", "plain"]))
        source = draw(st.sampled_from(many if kind == "pack" and many else [*many, *many, *single]))
        for_each = None
        if kind == "each" or (kind != "pack" and source in many):
            for_each, kind = draw(asked), draw(st.sampled_from(["plain", "maybe"]))
        inputs = [Binding(name="in", edge=source)]
        if kind != "pack" and draw(st.booleans()):
            inputs.append(Binding(name="other", edge=draw(st.sampled_from(single))))
        edge = f"e{number}"
        outputs = (Binding(name="out", edge=edge),)
        nodes.append(
            Node(id=f"n{number}", uses=f"pub/{kind}", inputs=tuple(inputs), outputs=outputs, for_each=for_each)
        )
        (many if for_each is not None or kind == "split" else single).append(edge)
    return builders.a_flow(*draw(st.permutations(nodes))), (SPLIT, PLAIN, MAYBE, PACK)


@settings(deadline=None)
@given(flow=spreading())
def test_flows_with_collections_are_valid(flow: tuple[Flow, tuple[NodeDef, ...]]) -> None:
    assert [one for one in validate(*flow) if one.is_error] == []


@settings(deadline=None)
@given(flow=spreading(), items=st.integers(0, 5), data=st.data())
def test_no_order_of_reports_breaks_a_promise(
    flow: tuple[Flow, tuple[NodeDef, ...]], items: int, data: st.DataObject
) -> None:
    plan = replace(builders.a_plan(*flow), mishaps=3)
    world = World(begin(builders.RUN_ID, plan, now=NOON), items=items)
    for _ in range(data.draw(st.integers(0, 60))):
        world.report(draw_report(data, world))
        counts_are_exact(world.run)
    drive_to_the_end(world)
    counts_are_exact(world.run)
    world.check_together()


def counts_are_exact(run: Run) -> None:
    """What a node counts of its items is what there is of them."""
    for name, node in run.nodes.items():
        if (each := run.plan.nodes[name].each) is None or node.items is None:
            assert node.items is None
            continue
        items = node.items
        found = [run.nodes[one].status for one in (item(name, n) for n in range(items.total)) if one in run.nodes]
        assert found.count(NodeStatus.COMPLETE) == items.complete
        assert found.count(NodeStatus.ERROR) == items.failed + items.cancelled
        under_way = sum(not one.terminal for one in found)
        assert under_way == items.under_way <= (each.concurrency or foreach.AT_ONCE)
        assert (items.ended == items.total) == node.status.terminal
        assert items.begun <= items.total
        if node.status is NodeStatus.COMPLETE:
            assert items.complete or not items.failed
            assert each.keep or not items.failed
            for port in run.plan.nodes[name].outputs:
                there = [place for place in range(items.total) if item(port.edge, place) in run.artifacts]
                assert run.artifacts[port.edge].items == items.total
                assert len(there) == items.complete or not port.required
