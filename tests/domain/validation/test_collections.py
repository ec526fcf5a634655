"""Rules about collections, and nodes that run once for each item."""

from dataclasses import replace
from typing import Any

import pytest

from pupload.domain.flow import Flow, ForEach
from pupload.domain.validation import Limits, validate
from tests.builders import a_definition, a_flow, a_node, a_port, definitions_for

UNPACK = a_definition("pupload/unpack", outputs=[a_port("files", many=True), a_port("list")])
PACK = a_definition("pupload/pack", inputs=[a_port("files", many=True)])
KNOWN = (UNPACK, PACK)


def judge(flow: Flow) -> list[tuple[str, str]]:
    """Codes and places of what is wrong."""
    known = {definition.uses for definition in KNOWN}
    others = [one for one in definitions_for(flow) if one.uses not in known]
    found = validate(flow, (*KNOWN, *others), limits=Limits(max_items=100))
    return [(one.code, one.path) for one in found if one.code != "NODE_028"]


def a_packing_flow(**shrink: Any) -> Flow:
    """An archive is unpacked, each picture made smaller, and the small ones are packed."""
    usual = {"inputs": {"image": "photos", "mark": "logo"}, "outputs": {"small": "small"}, "for_each": "image"}
    return a_flow(
        a_node("unpack", uses="pupload/unpack", inputs={"archive": "upload"}, outputs={"files": "photos"}),
        a_node("shrink", **usual | shrink),
        a_node("pack", uses="pupload/pack", inputs={"files": "small"}, outputs={"archive": "archive"}),
    )


def test_a_collection_is_taken_one_by_one_and_whole() -> None:
    assert judge(a_packing_flow()) == []
    settings = ForEach(input="image", concurrency=3, max_items=100, partial_failure="Keep")
    assert judge(a_packing_flow(for_each=settings)) == []


def test_what_is_no_collection_is_taken_one_by_one_and_whole_too() -> None:
    assert judge(a_flow(a_node(for_each="image"))) == []
    assert judge(a_flow(a_node(uses="pupload/pack", inputs={"files": "upload"}))) == []


@pytest.mark.parametrize("asked", [ForEach(input="picture"), ForEach(concurrency=2), ForEach(input="small")])
def test_items_are_taken_by_an_input_that_is_bound(asked: ForEach) -> None:
    assert ("NODE_029", "/Flow/Nodes/1/ForEach") in judge(a_packing_flow(for_each=asked))


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        ("Concurrency", {"concurrency": -1}),
        ("MaxItems", {"max_items": 0}),
        ("MaxItems", {"max_items": 101}),
        ("PartialFailure", {"partial_failure": "keep"}),
    ],
)
def test_what_is_said_about_items_can_be_so(field: str, setting: dict[str, Any]) -> None:
    asked = ForEach(input="image", **setting)
    assert judge(a_packing_flow(for_each=asked)) == [("NODE_030", f"/Flow/Nodes/1/{field}")]


def test_there_are_no_collections_of_collections() -> None:
    node = a_node(uses="pupload/unpack", inputs={"archive": "in"}, outputs={"list": "l"}, for_each="archive")
    assert judge(a_flow(node)) == []
    node = replace(node, outputs=(*node.outputs, replace(node.outputs[0], name="files", edge="f")))
    assert judge(a_flow(node)) == [("NODE_031", "/Flow/Nodes/0/Outputs/1")]


def test_a_collection_does_not_go_where_one_file_is_taken() -> None:
    assert judge(a_packing_flow(for_each=None)) == [
        ("EDGE_007", "/Flow/Nodes/1/Inputs/0/Edge"),
    ]
    both = {"image": "photos", "mark": "photos"}
    assert judge(a_packing_flow(inputs=both)) == [("EDGE_007", "/Flow/Nodes/1/Inputs/1/Edge")]


def test_nothing_is_called_as_an_item() -> None:
    flow = a_packing_flow(inputs={"image": "photos", "mark": "small.3"})
    another = a_node("shrink.0", inputs={"image": "photos.x"}, outputs={"resized": "photos.10"})
    assert judge(replace(flow, nodes=(*flow.nodes, another))) == [
        ("EDGE_008", "/Flow/Nodes/1/Inputs/1/Edge"),
        ("EDGE_008", "/Flow/Nodes/3/ID"),
        ("EDGE_008", "/Flow/Nodes/3/Outputs/0/Edge"),
    ]


def test_others_may_be_called_so() -> None:
    assert judge(a_flow(a_node("n.0", inputs={"image": "e.0"}), a_node("n", inputs={"image": "e"}))) == []
