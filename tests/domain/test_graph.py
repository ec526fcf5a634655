"""How nodes hang together: order, cycles, what lies downstream."""

from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import graph
from pupload.domain.flow import Flow
from tests import strategies
from tests.builders import a_chain, a_flow, a_node


def a_graph(**nodes: tuple[str, str]) -> Flow:
    """A flow of nodes, each with its input edges and its output edges, a letter each."""
    return a_flow(
        *(
            a_node(
                name,
                inputs={f"i{edge}": edge for edge in inputs},
                outputs={f"o{edge}": edge for edge in outputs},
            )
            for name, (inputs, outputs) in nodes.items()
        )
    )


def test_producers_and_consumers_by_edge() -> None:
    flow = a_graph(a=("x", "y"), b=("yy", "z"), c=("y", ""))
    assert graph.producers(flow) == {"y": ("a",), "z": ("b",)}
    assert graph.consumers(flow) == {"x": ("a",), "y": ("b", "c")}


def test_a_node_comes_behind_what_it_needs() -> None:
    assert graph.order(a_graph(c=("z", ""), b=("y", "z"), a=("x", "y"))).nodes == ("a", "b", "c")


def test_one_cycle_is_named_and_nothing_behind_it() -> None:
    found = graph.order(a_graph(before=("u", "s"), a=("sx", "y"), b=("y", "z"), c=("z", "x"), behind=("z", "w")))
    assert found.cycle == ("a", "b", "c")
    assert found.nodes == ("before",)


def test_a_node_that_needs_itself_is_a_cycle() -> None:
    assert graph.order(a_graph(a=("x", "x"))).cycle == ("a",)


def test_edges_without_a_name_bind_nobody() -> None:
    flow = a_flow(a_node("a", outputs={"o": ""}), a_node("b", inputs={"i": ""}, outputs={"o": ""}))
    assert graph.order(flow).cycle == ()
    assert graph.producers(flow) == {}


def test_downstream_is_everything_that_needs_it() -> None:
    flow = a_graph(a=("x", "y"), b=("y", "z"), c=("z", ""), d=("x", "v"))
    assert graph.downstream(flow, "a") == {"b", "c"}
    assert graph.downstream(flow, "c") == frozenset()
    assert graph.downstream(flow, "nobody") == frozenset()


def test_downstream_ends_in_a_cycle() -> None:
    assert graph.downstream(a_graph(a=("x", "y"), b=("y", "x")), "a") == {"a", "b"}


def test_one_edge_of_very_many_nodes_is_not_multiplied() -> None:
    """Every one of 20 000 nodes makes and takes one edge: quadratic work would not end within the time limit."""
    flow = a_flow(*(a_node(f"n{i}", inputs={"i": "e"}, outputs={"o": "e"}) for i in range(20_000)))
    assert graph.order(flow).cycle == ("n0",)


def test_a_long_chain_is_ordered() -> None:
    chain = a_chain(50_000)
    assert graph.order(a_flow(*reversed(chain))).nodes == tuple(node.id for node in chain)


@given(strategies.flows())
def test_valid_flows_have_an_order_of_all_their_nodes(drawn: tuple[Flow, object]) -> None:
    flow, _ = drawn
    order = graph.order(flow)
    assert order.cycle == ()
    assert sorted(order.nodes) == sorted(node.id for node in flow.nodes)
    place = {node: position for position, node in enumerate(order.nodes)}
    for node in flow.nodes:
        assert all(place[node.id] < place[later] for later in graph.downstream(flow, node.id))


@given(st.lists(st.tuples(st.text("abcd", max_size=3), st.text("abcd", max_size=3)), max_size=6))
def test_either_every_node_has_its_place_or_there_is_a_real_cycle(drawn: list[tuple[str, str]]) -> None:
    flow = a_graph(**{f"n{i}": (inputs, outputs) for i, (inputs, outputs) in enumerate(drawn)}) if drawn else Flow()
    order = graph.order(flow)
    assert bool(order.cycle) == (len(order.nodes) < len(flow.nodes))
    made = {node.id: {binding.edge for binding in node.outputs} for node in flow.nodes}
    taken = {node.id: {binding.edge for binding in node.inputs} for node in flow.nodes}
    for one, following in zip(order.cycle, order.cycle[1:] + order.cycle[:1], strict=True):
        assert made[one] & taken[following]
