"""Plans: what is derived for the items of collections."""

from dataclasses import replace

import pytest

from pupload.adapters.db import plans
from pupload.domain import keys
from pupload.domain.plan import Each, Plan
from tests.builders import RUN_ID, a_flow, a_node, a_plan


def a_plan_for_each() -> Plan:
    """`split` makes a collection, `shrink` runs for each of its items, `pack` takes what comes of that."""
    plan = a_plan(
        a_flow(
            a_node("split", inputs={"archive": "upload"}, outputs={"files": "photos"}),
            a_node("shrink", inputs={"image": "photos", "mark": "logo"}, outputs={"small": "small"}),
            a_node("pack", inputs={"files": "small"}, outputs={"archive": "archive"}),
        )
    )
    each = Each(port="image", edge="photos", collection=True)
    return replace(
        plan,
        nodes={**plan.nodes, "shrink": replace(plan.nodes["shrink"], each=each)},
        edges={name: replace(edge, collection=name in ("photos", "small")) for name, edge in plan.edges.items()},
    )


def test_a_node_for_an_item_takes_that_and_makes_what_lies_at_the_same_place() -> None:
    node = a_plan_for_each().nodes["shrink.7"]
    assert node.id == "shrink.7"
    assert [(port.port, port.edge) for port in node.inputs] == [("image", "photos.7"), ("mark", "logo")]
    assert [port.edge for port in node.outputs] == ["small.7"]
    assert node.each is None


def test_the_only_item_of_what_is_no_collection_is_that_itself() -> None:
    plan = a_plan_for_each()
    each = Each(port="image", edge="photos", collection=False)
    node = replace(plan, nodes={**plan.nodes, "shrink": replace(plan.nodes["shrink"], each=each)}).nodes["shrink.0"]
    assert node.inputs[0].edge == "photos"


def test_the_edge_of_an_item_leads_from_and_to_the_nodes_of_its_place() -> None:
    edges = a_plan_for_each().edges
    assert (edges["photos.7"].producer, edges["photos.7"].consumers) == ("split", ("shrink.7",))
    assert (edges["small.7"].producer, edges["small.7"].consumers) == ("shrink.7", ("pack",))
    assert edges["small.7"].key == f"{RUN_ID}/small/000007"
    assert edges["small.7"].place == 7
    assert not edges["small.7"].collection


def test_no_two_attempts_write_to_the_object_of_an_item() -> None:
    edge = a_plan_for_each().edges["small.7"]
    assert keys.of_attempt(RUN_ID, edge, 2) == f"{RUN_ID}/small/000007@2"
    chosen = replace(edge, key="results/000007")
    assert keys.of_attempt(RUN_ID, chosen, 2) == "results/000007"


@pytest.mark.parametrize("name", ["split.0", "shrink.", "shrink.x", "shrink.01", "shrink.1.1", "nobody.0", "nobody"])
def test_nobody_else_has_items(name: str) -> None:
    plan = a_plan_for_each()
    with pytest.raises(KeyError):
        plan.nodes[name]
    with pytest.raises(KeyError):
        plan.edges[name.replace("split", "upload").replace("shrink", "small")]


def test_items_are_not_gone_through() -> None:
    plan = a_plan_for_each()
    assert plan.nodes["shrink.0"].id == "shrink.0"
    assert plan.edges["photos.0"].name == "photos.0"
    assert list(plan.nodes) == ["split", "shrink", "pack"]
    assert "shrink.0" not in plan.nodes
    assert "photos.0" not in plan.edges


@pytest.mark.parametrize("pieces", [False, True])
def test_a_plan_that_was_saved_has_items_too(pieces: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if pieces:
        monkeypatch.setattr(plans, "LARGE_NODES", 1)
        monkeypatch.setattr(plans, "LARGE_BYTES", 1)
    plan = a_plan_for_each()
    found = plans.PLAN.decode(plans.PLAN.encode(plan), "the plan")
    assert found == plan
    assert found.nodes["shrink.7"] == plan.nodes["shrink.7"]
    assert found.edges["small.7"] == plan.edges["small.7"]
