"""What a node's work is known by."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import memo, tiers
from pupload.domain.memo import component, differences, key, missed, objection
from pupload.domain.plan import NodePlan
from tests.builders import NOON, a_definition, a_flow, a_node, a_plan

TEXTS = st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
COMPONENTS = st.dictionaries(TEXTS, VALUES, min_size=1, max_size=8)


def components(named: dict[str, Any]) -> tuple[memo.Component, ...]:
    return tuple(component(name, value) for name, value in named.items())


@given(COMPONENTS, st.randoms())
def test_the_order_of_components_does_not_count(named: dict[str, Any], chance: random.Random) -> None:
    shuffled = list(components(named))
    chance.shuffle(shuffled)
    assert key(shuffled) == key(components(named))
    assert not differences(shuffled, components(named))


@given(COMPONENTS, VALUES, st.data())
def test_another_component_is_another_key(named: dict[str, Any], value: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(named)))
    changed = {**named, name: value}
    same = _written(value) == _written(named[name])
    assert (key(components(changed)) == key(components(named))) is same
    assert [one.component for one in differences(components(changed), components(named))] == ([] if same else [name])


def _written(value: Any) -> object:
    """Equal only where it is the same: 1 and True are not."""
    if isinstance(value, list):
        return [_written(one) for one in value]
    if isinstance(value, dict):
        return {name: _written(one) for name, one in value.items()}
    return type(value), value


@given(COMPONENTS, TEXTS, VALUES)
def test_one_more_is_another_key(named: dict[str, Any], name: str, value: Any) -> None:
    more = (*components(named), component(name, value))
    assert key(more) != key(components(named))
    assert [one.component for one in differences(more, components(named))] == [name]


@given(st.dictionaries(TEXTS, TEXTS, min_size=2, max_size=6), st.randoms())
def test_the_order_of_a_mapping_does_not_count(values: dict[str, str], chance: random.Random) -> None:
    names = list(values)
    chance.shuffle(names)
    assert component("environment", values) == component("environment", {name: values[name] for name in names})


@given(TEXTS, TEXTS)
def test_where_a_name_ends_counts(one: str, other: str) -> None:
    """No two lists of names and values run together into one."""
    if one and other:
        assert key([component(one, other)]) != key([component(one + other, "")])


def test_a_text_is_not_what_it_reads_like() -> None:
    assert component("x", "1").sha256 != component("x", 1).sha256
    assert component("x", '["a"]').sha256 != component("x", ["a"]).sha256


def test_a_long_component_is_shown_in_part_and_counts_in_full() -> None:
    one, other = component("flag text", "a" * 500 + "b"), component("flag text", "a" * 500 + "c")
    assert len(one.text) <= memo.SHOWN
    assert one.text == other.text
    assert key([one]) != key([other])


def test_what_differs_is_told_as_a_person_says_it() -> None:
    now = [component("flag width", "800"), component("flag new", "yes")]
    was = [component("flag width", "640"), component("flag old", "")]
    assert [str(one) for one in differences(now, was)] == [
        "flag new: yes, was not there",
        "flag old: gone",
        "flag width: 800, was 640",
    ]


def test_what_follows_from_another_is_not_told_beside_it() -> None:
    now = [component("flag width", "800"), component("argv", ["--width", "800"])]
    was = [component("flag width", "640"), component("argv", ["--width", "640"])]
    assert [one.component for one in differences(now, was)] == ["flag width"]
    assert [one.component for one in differences(now[1:], was[1:])] == ["argv"]


def an_entry(run: str, minutes: float = 0, **flags: str) -> memo.Entry:
    source = memo.Source(run=run, node="n", at=NOON + timedelta(minutes=minutes))
    parts = tuple(component(f"flag {name}", value) for name, value in flags.items())
    return memo.Entry(key=run, uses="a/b", run=run, source=source, components=parts, made=(), at=source.at)


def test_the_nearest_differs_in_the_fewest_components_and_is_the_latest_of_those() -> None:
    now = [component("flag a", "1"), component("flag b", "1")]
    kin = [an_entry("far", 9, a="2", b="2"), an_entry("late", 5, a="1", b="2"), an_entry("early", 1, a="2", b="1")]
    found = missed(now, kin)
    assert found.nearest == kin[1].source
    assert [str(one) for one in found.differences] == ["flag b: 1, was 2"]
    assert missed(now, []) == memo.Missed()


def test_of_very_many_differences_some_are_told() -> None:
    now = [component(f"flag {number}", "1") for number in range(40)]
    found = missed(now, [an_entry("other")])
    assert len(found.differences) == memo.MOST_TOLD
    assert found.more == 40 - memo.MOST_TOLD


def planned(**definition: Any) -> NodePlan:
    return a_plan(a_flow(), [a_definition(**definition)]).nodes["resize"]


def test_a_plain_node_may_be_spared() -> None:
    assert objection(planned()) == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"memoize": False}, "Memoize: false"),
        ({"network": "bridge"}, "network bridge"),
        ({"secrets": ("KEY",)}, "secrets"),
        ({"devices": ("/dev/fuse",)}, "devices"),
        ({"tier": replace(tiers.TABLE["c-small"], gpus=1)}, "devices"),
        ({"transfer": "urls"}, "Transfer: urls"),
        ({"outputs": ()}, "no outputs"),
    ],
)
def test_some_nodes_are_never_spared(fields: dict[str, Any], words: str) -> None:
    assert words in objection(replace(planned(), **fields))


def test_a_node_of_a_flow_may_say_so_for_itself() -> None:
    plan = a_plan(a_flow(a_node(memoize=False)), [a_definition()])
    assert not plan.nodes["resize"].memoize
    assert not a_plan(a_flow(a_node()), [a_definition(memoize=False)]).nodes["resize"].memoize
