"""Drawings that are written down as steps."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain.drawing import compiling, steps
from pupload.domain.drawing.steps import Read
from tests.builders import NOON
from tests.domain.drawing.drawings import SHIPPED


def read(**document: Any) -> Read:
    return steps.read({"name": "My flow", **document}, SHIPPED, now=NOON)


def edges(this: Read) -> list[str]:
    assert this.drawing is not None
    return [f"{each.source} -{each.condition or each.label}-> {each.target}" for each in this.drawing.edges]


def test_steps_follow_each_other_behind_the_trigger() -> None:
    found = read(trigger="chat", steps=[{"id": "a", "type": "code", "code": "x"}, {"type": "merge"}])
    assert (found.errors, found.counts) == ((), (3, 2))
    assert edges(found) == ["trigger_chat --> a", "a --> step_2"]
    assert found.drawing is not None
    assert found.drawing.slug == "my-flow"
    assert found.drawing.nodes[1].config == {"extra_config": {"code": "x"}}
    assert not compiling.compile_drawing(found.drawing, SHIPPED).findings


def test_a_model_is_lent_to_whoever_needs_one() -> None:
    found = read(
        trigger={"type": "chat"},
        model={"credential_id": 3, "name": "large"},
        steps=[{"id": "a", "type": "agent", "prompt": "Be kind."}, {"id": "b", "type": "agent", "model": "small"}],
    )
    assert found.errors == ()
    assert edges(found) == ["model -llm-> a", "trigger_chat --> a", "b_model -llm-> b", "a --> b"]
    assert found.drawing is not None
    lent = {node.node_id: dict(node.config) for node in found.drawing.nodes if node.component == "ai_model"}
    assert lent == {"model": {"llm_credential_id": 3, "model_name": "large"}, "b_model": {"model_name": "small"}}


def test_a_switch_leads_by_its_routes() -> None:
    found = read(
        trigger="chat",
        steps=[
            {"id": "s", "type": "switch", "routes": {"yes": "a", "no": "b"}},
            {"id": "a", "type": "code"},
            {"id": "b", "type": "code"},
            {"id": "m", "type": "merge", "after": ["a", "b"]},
        ],
    )
    assert found.errors == ()
    assert edges(found) == ["trigger_chat --> s", "s -yes-> a", "s -no-> b", "a --> m", "b --> m"]


def test_nodes_and_edges_may_be_listed() -> None:
    found = read(
        nodes=[{"id": "t", "type": "trigger_chat"}, {"node_id": "c", "component_type": "code"}],
        edges=[{"from": "t", "to": "c"}],
    )
    assert (found.errors, edges(found)) == ((), ["t --> c"])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"steps": []}, "steps: a list with at least one step is required"),
        ({}, "steps: a list"),
        ({"name": "", "steps": [{"type": "code"}]}, "name: a text is required"),
        ({"trigger": "carrier pigeon", "steps": [{"type": "code"}]}, "trigger: one of chat, telegram"),
        ({"steps": [{"id": "x"}]}, "steps[0]: type is required"),
        ({"steps": ["code"]}, "steps[0]: a mapping"),
        ({"steps": [{"type": "magic"}]}, "step 'step_1': unknown type 'magic'"),
        ({"steps": [{"id": "a", "type": "code"}, {"id": "a", "type": "code"}]}, "the id 'a' is given twice"),
        ({"trigger": "chat", "steps": [{"type": "filter"}]}, "Source type 'trigger_chat' output 'text' is not"),
        ({"steps": [{"id": "a b", "type": "code"}]}, "node_id: a letter or digit"),
        ({"nodes": [{"type": "code"}], "edges": [{"from": "x"}]}, "target_node_id: must not be empty"),
        ({"based_on": "other"}, "patches: a list"),
        ({"based_on": "other", "patches": [{"action": "dance"}]}, "patches[0]: action: one of add_step"),
    ],
)
def test_what_is_wrong_is_told(document: dict[str, Any], words: str) -> None:
    found = read(**document)
    assert any(words in each for each in found.errors), found.errors


def test_patches_of_another_drawing_are_looked_at() -> None:
    assert read(based_on="other", patches=[{"action": "remove_step", "step_id": "a"}]) == Read()


def a_flow(**node: Any) -> dict[str, Any]:
    bound = {"Inputs": [{"Name": "image", "Edge": "photo"}], "outputs": [{"name": "resized", "edge": "small"}]}
    return {"Name": "Shrink", "Nodes": [{"ID": "shrink", "Uses": "pupload/resize", **bound, **node}]}


def test_a_flow_is_judged_as_flows_are() -> None:
    good = steps.read(a_flow(Flags=[{"Name": "width", "Value": 800}]), SHIPPED, now=NOON)
    assert (good.errors, good.counts) == ((), (1, 2))
    wrong = steps.read({"Flow": a_flow(Uses="acme/none"), "NodeDefs": []}, SHIPPED, now=NOON)
    assert wrong.errors == ("Definition acme/none not found (node shrink)",)
    own = [{"Publisher": "acme", "Name": "none", "Image": "acme/none"}]
    assert steps.read({"Flow": a_flow(Uses="acme/none"), "NodeDefs": own}, SHIPPED, now=NOON).errors == ()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["code", "chat", "switch"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "steps",
                    "nodes",
                    "edges",
                    "trigger",
                    "id",
                    "type",
                    "model",
                    "after",
                    "routes",
                    "config",
                    "Flow",
                    "Nodes",
                    "Uses",
                    "Inputs",
                    "Edge",
                    "DataWells",
                    "When",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(ANYTHING)
def test_whatever_is_written_is_read_or_refused_in_words(document: Any) -> None:
    found = steps.read(document, SHIPPED, now=NOON)
    assert found.drawing or found.flow or found.errors or "based_on" in document
    assert all(found.errors)
