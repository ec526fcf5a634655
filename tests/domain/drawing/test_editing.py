"""A drawing is changed piece by piece, and stays one that can be read."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload import errors
from pupload.domain.drawing import editing
from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode
from tests.builders import NOON

LATER = NOON.replace(hour=23)


def a_node(node_id: str = "a", **facts: Any) -> DrawnNode:
    return DrawnNode(node_id=node_id, **{"component": "switch", "updated_at": NOON, **facts})


def a_drawing(*nodes: str, edges: tuple[tuple[str, str], ...] = ()) -> Drawing:
    return Drawing(
        slug="d",
        name="D",
        nodes=tuple(a_node(node) for node in nodes),
        edges=tuple(DrawnEdge(id=place, source=a, target=b) for place, (a, b) in enumerate(edges, start=1)),
        created_at=NOON,
        updated_at=NOON,
    )


@pytest.mark.parametrize("slug", ["a", "Greet-2", "a.b_c", "x" * 128])
def test_a_slug_is_a_name(slug: str) -> None:
    assert not editing.slug_objection(slug)


@pytest.mark.parametrize("slug", ["", "-a", ".a", "a b", "a/b", "é", "x" * 129, "a\n"])
def test_what_is_no_slug_is_told_so(slug: str) -> None:
    assert editing.slug_objection(slug)
    with pytest.raises(errors.Malformed):
        editing.checked(replace(a_drawing(), slug=slug))


@pytest.mark.parametrize("node_id", ["", "a.b", "a b", "-a", "_a", "é", "a" * 65, "a/b", "a\n"])
def test_what_is_no_name_of_a_node_is_refused(node_id: str) -> None:
    with pytest.raises(errors.Malformed):
        editing.with_node(a_drawing(), a_node(node_id))


def test_there_are_so_many_nodes_and_edges_at_most() -> None:
    full = replace(a_drawing(), nodes=tuple(a_node(f"n{place}") for place in range(editing.MOST_NODES)))
    with pytest.raises(errors.Malformed, match="1000 nodes"):
        editing.with_node(full, a_node())
    edge = DrawnEdge(source="a", target="b")
    with pytest.raises(errors.Malformed, match="2000 edges"):
        editing.with_edge(replace(a_drawing("a", "b"), edges=(edge,) * editing.MOST_EDGES), edge)


def test_all_nodes_together_are_set_to_so_much_at_most() -> None:
    drawing = a_drawing()
    large = {"extra_config": {"text": "x" * (editing.MOST_CONFIG_BYTES - 100)}}
    for place in range(editing.MOST_BYTES // editing.MOST_CONFIG_BYTES):
        drawing = editing.with_node(drawing, a_node(f"n{place}", config=large))
    with pytest.raises(errors.Malformed, match=str(editing.MOST_BYTES)):
        editing.with_node(drawing, a_node("more", config=large))


def test_a_node_is_changed_in_its_place() -> None:
    drawing = a_drawing("a", "b", "c", edges=(("a", "b"), ("b", "c")))
    changed = editing.with_changed_node(drawing, "b", {"node_id": "z", "x": 3}, at=LATER)
    assert changed.nodes[1] == a_node("z", x=3, updated_at=LATER)
    assert [(edge.source, edge.target) for edge in changed.edges] == [("a", "z"), ("z", "c")]
    assert changed.nodes[::2] == drawing.nodes[::2]
    with pytest.raises(errors.DrawnNodeTaken):
        editing.with_changed_node(drawing, "b", {"node_id": "c"}, at=LATER)
    with pytest.raises(errors.UnknownDrawnNode):
        editing.with_changed_node(drawing, "z", {}, at=LATER)


def test_what_it_is_set_to_is_said_key_by_key() -> None:
    drawing = editing.with_node(a_drawing(), a_node(config={"extra_config": {"a": 1}, "priority": 1}))
    changed = editing.with_changed_node(
        drawing, "a", {"config": {"extra_config": {"b": 2}, "priority": None}}, at=LATER
    )
    assert changed.nodes[0].config == {"extra_config": {"b": 2}}


def test_a_person_is_asked_before() -> None:
    drawing = editing.with_node(a_drawing(), a_node(component="human_confirmation"))
    assert drawing.nodes[0].interrupt_before
    changed = editing.with_changed_node(drawing, "a", {"interrupt_before": False}, at=LATER)
    assert changed.nodes[0].interrupt_before


names = st.sampled_from("abcde")


@given(st.lists(st.tuples(names, names), max_size=8), names)
def test_no_edge_is_left_of_a_node_that_goes_and_all_others_stay(pairs: list[tuple[str, str]], gone: str) -> None:
    drawing = a_drawing(*"abcde", edges=tuple(pairs))
    after = editing.without_node(drawing, gone)
    assert after.edges == tuple(edge for edge in drawing.edges if gone not in (edge.source, edge.target))
    assert after.node(gone) is None
    assert len(after.nodes) == 4


def test_an_edge_is_known_by_its_number() -> None:
    drawing = a_drawing("a", "b", edges=(("a", "b"), ("b", "a")))
    changed = editing.with_changed_edge(drawing, replace(drawing.edges[1], priority=7))
    assert [edge.priority for edge in changed.edges] == [0, 7]
    assert editing.without_edge(changed, 1).edges == changed.edges[1:]
    with pytest.raises(errors.UnknownDrawnEdge):
        editing.without_edge(drawing, 9)
