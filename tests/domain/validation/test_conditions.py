"""Rules about conditions."""

from typing import Any

import pytest

from pupload.domain.flow import Flow, Node
from pupload.domain.validation import Limits, validate
from pupload.domain.validation.findings import Finding
from tests.builders import a_definition, a_flag, a_flow, a_node, a_port, definitions_for

TYPED = a_definition(
    "x/typed",
    inputs=[a_port("image"), a_port("extra")],
    flags=[a_flag("width", type="integer"), a_flag("fast", type="boolean"), a_flag("key", type="secret")],
)


def judge(flow: Flow, **options: Any) -> list[Finding]:
    others = [one for one in definitions_for(flow) if one.uses != TYPED.uses]
    return list(validate(flow, (TYPED, *others), limits=Limits(secrets=frozenset({"TOKEN"})), **options))


def a_typed(when: str) -> Node:
    return a_node("typed", uses="x/typed", inputs={"image": "photo"}, flags={"width": "800"}, when=when)


def test_a_condition_that_can_be_worked_out_is_fine() -> None:
    flow = a_flow(
        a_node("probe", inputs={"in": "photo"}, outputs={"out": "facts"}),
        a_node(
            "typed",
            uses="x/typed",
            inputs={"image": "photo", "extra": "facts"},
            flags={"width": "800"},
            when="input.image.width > flag.width and json(input.extra).a and flag.fast and node.probe.exit_code == 0",
        ),
        params=(a_flag("limit", type="integer"),),
    )
    assert judge(flow) == []


@pytest.mark.parametrize(
    ("when", "code", "words"),
    [
        ("", "WHEN_001", "at character 1: a name or a value is expected here, not the end"),
        ("input.image.size > 10XB", "WHEN_001", "at character 22: 'XB' is no unit"),
        ("input.photo.size > 1", "WHEN_002", "input.photo.size, at character 1, which there is not: the node binds"),
        ("input.extra.size > 1", "WHEN_002", "the node binds inputs image"),
        ("true and json(input.extra).a", "WHEN_002", "json(input.extra).a, at character 10"),
        ("input.image.hight > 1", "WHEN_002", "of an input there are type, size"),
        ("flag.height > 1", "WHEN_002", "the node has flags width, key, fast"),
        ("flag.key == 'x'", "WHEN_002", "it is a secret"),
        ("param.limit > 1", "WHEN_002", "the flow has parameters other"),
        ("node.nobody.status == 'x'", "WHEN_002", "the flow has no such node"),
        ("node.beside.status == 'x'", "WHEN_002", "not upstream of this one"),
        ("node.typed.status == 'x'", "WHEN_002", "not upstream of this one"),
        ("node.beside.name == 'x'", "WHEN_002", "of a node there are status, exit_code"),
        ("input.image.type > 5", "WHEN_003", "at character 1: one side of > is a text and the other is a number"),
        ("flag.fast == 5", "WHEN_003", "one side of == is true or false"),
        ("param.other == 5", "WHEN_003", "one side of == is a text"),
        ("input.image.size", "WHEN_003", "is a number, where something true or false"),
    ],
)
def test_mistakes_are_found_with_their_places(when: str, code: str, words: str) -> None:
    flow = a_flow(a_typed(when), a_node("beside"), params=(a_flag("other"),))
    (found,) = judge(flow)
    assert (found.code, found.path) == (code, "/Flow/Nodes/0/When")
    assert words in found.description
    assert "typed" in found.description


def test_a_flag_that_names_a_secret_is_one() -> None:
    flow = a_flow(a_node(flags={"token": "${secret.TOKEN}"}, when="flag.token != 'x'"))
    assert [one.code for one in judge(flow)] == ["WHEN_002"]


def test_parameters_of_a_flow_that_declares_none_are_known_when_it_is_run() -> None:
    flow = a_flow(a_node(when="param.limit > 5"))
    assert judge(flow) == []
    assert judge(flow, given={"limit": "7"}) == []
    assert [one.code for one in judge(flow, given={})] == ["WHEN_002"]


def test_thousands_of_conditions_about_nodes_far_upstream_are_judged_in_time() -> None:
    chain = [
        a_node(
            f"n{i}", inputs={"in": f"e{i}"}, outputs={"out": f"e{i + 1}"}, when="node.n0.status == 'x'" if i else None
        )
        for i in range(3000)
    ]
    assert judge(a_flow(*chain)) == []
