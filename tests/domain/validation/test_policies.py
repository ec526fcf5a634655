"""What a flow's author is told of the operator's policy, and where."""

from typing import Any

import pytest

from pupload.domain import policyfile, validation
from pupload.domain.flow import DataWell, Node, Store
from pupload.domain.nodedef import NodeDef
from pupload.domain.policy import Policy
from pupload.domain.validation.findings import Finding
from pupload.domain.validation.limits import Limits
from tests.builders import a_definition, a_flag, a_flow, a_node


def judged(definition: NodeDef, document: Any = None, *nodes: Node, **flow: Any) -> list[Finding]:
    limits = Limits(policy=policyfile.read(document, Policy()))
    found = validation.validate(a_flow(*nodes, **flow), [definition], limits=limits)
    return [each for each in found if each.is_error]


@pytest.mark.parametrize(
    ("fields", "document", "code", "place", "allowed"),
    [
        ({"image": "acme/x"}, {"Images": {"Allow": ["pupload/*"]}}, "POLICY_001", "Image", "pupload/*"),
        ({"network": "bridge"}, {}, "POLICY_002", "Network", "none"),
        ({"network": "proxied"}, {"Networks": ["bridge"]}, "POLICY_002", "Network", "none, bridge"),
        ({"network": "bridge", "transfer": "urls"}, {"Networks": ["bridge"]}, "POLICY_003", "Transfer", "files"),
        ({"user": "0"}, {}, "POLICY_004", "User", "1-4294967294"),
        ({"user": "1000:0"}, {}, "POLICY_004", "User", "1-4294967294"),
        ({"tier": "c-large"}, {"Tiers": {"MaxCPUs": 4}}, "POLICY_005", "Tier", "4 CPUs"),
        ({"tier": ""}, {"Tiers": {"Allow": ["c-nano"]}}, "POLICY_005", "Tier", "c-nano"),
        ({"timeout": "2h"}, {"Timeouts": {"Node": "90m"}}, "POLICY_006", "Timeout", "1h30m"),
        ({"capabilities": ("NET_RAW",)}, {}, "POLICY_007", "Capabilities/0", "none"),
        ({"devices": ("/dev/fuse",)}, {"Devices": ["/dev/dri/card0"]}, "POLICY_008", "Devices/0", "/dev/dri/card0"),
    ],
)
def test_a_definition_is_held_to_the_policy(
    fields: dict[str, Any], document: Any, code: str, place: str, allowed: str
) -> None:
    (found,) = judged(a_definition(**fields), document)
    assert (found.code, found.path) == (code, f"/NodeDefs/0/{place}")
    assert "operator's policy" in found.description
    assert allowed in found.description


def test_nodes_and_flows_are_held_to_it() -> None:
    document = {"Timeouts": {"Node": "1m", "Flow": "1h"}}
    found = judged(a_definition(), document, a_node(timeout="2m"), timeout="2h")
    assert {(each.code, each.path) for each in found} == {
        ("POLICY_006", "/Flow/Timeout"),
        ("POLICY_006", "/Flow/Nodes/0/Timeout"),
    }


def test_types_are_held_to_it_where_they_are_used() -> None:
    nodes = [a_node("a", uses="pupload/run"), a_node("b"), a_node("c", uses="pupload/run")]
    found = judged(a_definition(), {}, *nodes)
    assert [(each.code, each.path) for each in found if each.code != "NODE_001"] == [
        ("POLICY_010", "/Flow/Nodes/0/Uses"),
        ("POLICY_010", "/Flow/Nodes/2/Uses"),
    ]
    said = "Node a uses pupload/run, which the operator's policy does not allow: it denies this type"
    assert said in [each.description for each in found]
    own = a_definition("pupload/run")  # a definition that comes along is not another type
    assert [each.code for each in judged(own, {}, nodes[0])] == ["POLICY_010"]
    assert judged(own, {"Types": {"Deny": []}}, nodes[0]) == []


def test_an_image_that_a_node_chooses_is_held_to_it_where_it_is_chosen() -> None:
    chooses = a_definition(image="${flag.image}", flags=[a_flag("image", default="acme/x:1")])
    nodes = [
        a_node("fine", flags={"image": "acme/y"}, outputs={"o": "1"}),
        a_node("named", flags={"image": "evil/x"}, outputs={"o": "2"}),
        a_node("default", outputs={"o": "3"}),
        a_node("unknown", flags={"image": "${param.image}"}, outputs={"o": "4"}),
    ]
    found = judged(chooses, {"Images": {"Allow": ["acme/y"]}}, *nodes)
    assert [(each.code, each.path) for each in found] == [
        ("POLICY_001", "/Flow/Nodes/1/Flags/0/Value"),
        ("POLICY_001", "/Flow/Nodes/2/Uses"),
    ]
    assert found[0].description.startswith("Node named names image evil/x, which the operator's policy does not allow")
    found = judged(chooses, {"Images": {"RequireDigest": True}}, nodes[0])
    assert [each.path for each in found] == ["/Flow/Nodes/0/Flags/0/Value"]


def test_stores_are_held_to_it() -> None:
    store = Store(name="mine", type="s3", params={"endpoint": "https://evil.example", "BucketName": "x"})
    flow: dict[str, Any] = {"stores": (store,), "wells": (DataWell(edge="resize-in", store="mine", source="upload"),)}
    assert judged(a_definition(), {}, **flow) == []
    (found,) = judged(a_definition(), {"Stores": ["*.example.org"]}, **flow)
    assert (found.code, found.path) == ("POLICY_009", "/Flow/Stores/0/Params/endpoint")


def test_what_is_allowed_is_no_finding() -> None:
    document = {
        "Networks": ["proxied"],
        "Users": ["0-10"],
        "Capabilities": ["NET_RAW"],
        "Devices": ["/dev/fuse"],
        "Timeouts": {"Node": "1h"},
    }
    asked = {"network": "proxied", "user": "0:0", "capabilities": ("cap_net_raw",), "devices": ("/dev/fuse",)}
    assert judged(a_definition(timeout="1h", **asked), document) == []


def test_what_cannot_be_is_told_once() -> None:
    assert [found.code for found in judged(a_definition(network="host"))] == ["NODE_018"]
    assert [found.code for found in judged(a_definition(user="root"))] == ["NODE_026"]
