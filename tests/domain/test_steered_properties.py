"""
Random flows with conditions and handlers: the promises of every flow hold, and handlers change nothing before them.
"""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from pupload.domain import events
from pupload.domain.decide import begin, decide
from pupload.domain.flow import Binding, Flow, Node
from pupload.domain.nodedef import NodeDef
from tests import builders, strategies
from tests.builders import NOON
from tests.domain.test_decide_properties import World, draw_report, drive_to_the_end

CONDITIONS = (
    "input.in0.size > 0",
    "input.in0.size > 5",
    "not input.in0.present",
    "input.in0.type == 'image/png' and input.in0.width == null",
    "json(input.in0).a == 1",
)


@st.composite
def steered(draw: st.DrawFn) -> tuple[Flow, tuple[NodeDef, ...]]:
    """A flow in which some nodes have conditions, and some handlers run behind the others."""
    flow, definitions = draw(strategies.flows())
    nodes = [_with_condition(draw, flow, node) for node in flow.nodes]
    edges = sorted({binding.edge for node in nodes for binding in (*node.inputs, *node.outputs)})
    nodes += [
        Node(
            id=f"h{number}",
            uses="pub/handler",
            inputs=tuple(Binding(name=f"in{place}", edge=edge) for place, edge in enumerate(_some(draw, edges))),
            outputs=(Binding(name="out0", edge=f"h{number}-out"),),
            runs=draw(st.sampled_from(["OnFailure", "Finally"])),
        )
        for number in range(draw(st.integers(0, 3)))
    ]
    more = builders.a_definition("pub/handler", max_attempts=2)
    return replace(flow, nodes=tuple(nodes)), (*definitions, more)


def _with_condition(draw: st.DrawFn, flow: Flow, node: Node) -> Node:
    if not node.inputs or draw(st.booleans()):
        return node
    about = [found.id for found in flow.nodes for port in found.outputs if port.edge == node.inputs[0].edge]
    asked = [f"node.{name}.status == 'COMPLETE'" for name in about]
    return replace(node, when=draw(st.sampled_from([*CONDITIONS, *asked])))


def _some(draw: st.DrawFn, edges: list[str]) -> list[str]:
    return draw(st.lists(st.sampled_from(edges), max_size=2)) if edges else []


@settings(deadline=None)
@given(flow=steered(), data=st.data())
def test_no_order_of_reports_breaks_a_promise(flow: tuple[Flow, tuple[NodeDef, ...]], data: st.DataObject) -> None:
    plan = replace(builders.a_plan(*flow), mishaps=3)
    world = World(begin(builders.RUN_ID, plan, now=NOON))
    for _ in range(data.draw(st.integers(0, 40))):
        world.report(draw_report(data, world))
    drive_to_the_end(world)
    world.check_together()


@settings(deadline=None)
@given(flow=steered(), data=st.data())
def test_handlers_change_nothing_before_them(flow: tuple[Flow, tuple[NodeDef, ...]], data: st.DataObject) -> None:
    whole, definitions = flow
    without = replace(whole, nodes=tuple(node for node in whole.nodes if not node.runs))
    world = World(begin(builders.RUN_ID, builders.a_plan(whole, definitions), now=NOON))
    alone = begin(builders.RUN_ID, builders.a_plan(without, definitions), now=NOON).run
    for _ in range(data.draw(st.integers(0, 40))):
        if alone.status.terminal:
            break
        report = draw_report(data, world)
        world.report(report)
        alone = decide(alone, report, now=world.now).run
        assert {name: world.run.nodes[name] for name in alone.nodes} == dict(alone.nodes)
    if alone.status.terminal and world.run.outcome is not None:
        assert world.run.outcome.status is alone.status
    assert alone.status.terminal == (world.run.outcome is not None or world.run.status.terminal)


@settings(deadline=None)
@given(flow=steered())
def test_whatever_comes_first_the_same_nodes_are_skipped(flow: tuple[Flow, tuple[NodeDef, ...]]) -> None:
    ends = []
    for place in (0, -1):
        world = World(begin(builders.RUN_ID, builders.a_plan(*flow), now=NOON))
        while possible := [one for one in world.possible() if not isinstance(one, events.NodeStarted)]:
            world.now += timedelta(milliseconds=1)
            world.report(possible[place])
        world.report(events.TimePassed())
        ends.append(world.run)
    first, last = ({name: node.status for name, node in run.nodes.items()} for run in ends)
    assert first == last
