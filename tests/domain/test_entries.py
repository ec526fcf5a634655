"""What a flow is given, and what it gives."""

from typing import Any

import pytest

from pupload.domain import entries
from pupload.domain.entries import End
from tests.builders import a_definition, a_flow, a_node, a_port, a_well


def test_what_nobody_makes_is_brought_and_what_nobody_takes_is_given() -> None:
    flow = a_flow(
        a_node("first", inputs={"image": "photo", "mark": "logo"}, outputs={"resized": "small"}),
        a_node("second", inputs={"image": "small"}, outputs={"resized": "grey", "more": "words"}),
        a_node("tidy", inputs={"image": "photo", "list": "todo"}, outputs={"resized": "done"}, runs="Finally"),
    )
    assert [end.edge for end in entries.entries(flow, ())] == ["photo", "logo"]
    assert [end.edge for end in entries.terminals(flow, ())] == ["grey", "words"]


def test_what_comes_otherwise_is_not_brought() -> None:
    node = a_node("all", inputs={name: name for name in ("upload", "static", "webhook", "approval", "plain")})
    wells = [a_well(name, source=name) for name in ("upload", "static", "webhook", "approval")]
    wells.append(a_well("plain", key="kept/here"))
    found = entries.entries(a_flow(node, wells=wells), ())
    assert [(end.edge, end.uploaded) for end in found] == [("upload", True), ("plain", False)]


def test_types_are_those_of_all_who_take_it() -> None:
    one = a_definition(
        "a/one", inputs=[a_port("image", "image/png", "image/jpeg")], outputs=[a_port("out", "text/csv")]
    )
    two = a_definition("a/two", inputs=[a_port("image", "image/png", "application/json")])
    flow = a_flow(
        a_node("one", uses="a/one", inputs={"image": "photo"}, outputs={"out": "table"}),
        a_node("two", uses="a/two", inputs={"image": "photo"}, outputs={}),
        a_node("three", uses="no/body", inputs={"image": "other"}, outputs={}),
    )
    assert entries.entries(flow, [one, two]) == [
        End(edge="photo", types=("image/png", "image/jpeg", "application/json")),
        End(edge="other"),
    ]
    assert entries.terminals(flow, [one, two]) == [End(edge="table", types=("text/csv",))]


@pytest.mark.parametrize(
    ("types", "uploaded", "takes"),
    [
        ((), False, True),
        ((), True, False),
        (("application/json",), True, True),
        (("*/*",), False, True),
        (("application/*",), False, True),
        (("text/plain",), False, False),
        (("application/octet-stream",), False, False),
        (("application/pdf",), False, False),
    ],
)
def test_json_is_for_who_takes_it_or_says_nothing(types: tuple[str, ...], uploaded: bool, takes: bool) -> None:
    assert End(edge="e", types=types, uploaded=uploaded).takes_json is takes


@pytest.mark.parametrize(
    ("types", "schema"),
    [
        ((), {}),
        (("application/json",), {}),
        (("text/plain",), {"type": "string", "contentMediaType": "text/plain"}),
        (("image/png",), {"contentMediaType": "image/png"}),
        (("image/png", "text/csv"), {"anyOf": [{"contentMediaType": "image/png"}, {"contentMediaType": "text/csv"}]}),
    ],
)
def test_the_schema_of_one_edge_is_its_own(types: tuple[str, ...], schema: dict[str, Any]) -> None:
    assert entries.schema([End(edge="e", types=types)]) == {"title": "e", **schema}


def test_the_schema_of_several_is_an_object_and_of_none_nothing() -> None:
    assert entries.schema([]) is None
    assert entries.schema([End(edge="a"), End(edge="b", types=("image/png",))]) == {
        "type": "object",
        "properties": {"a": {"title": "a"}, "b": {"title": "b", "contentMediaType": "image/png"}},
        "required": ["a", "b"],
    }
