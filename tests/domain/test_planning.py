"""From a valid flow to a plan."""

import itertools
import uuid

import pytest
from hypothesis import given

from pupload.domain import command, facts, keys, nodedef, planning, tiers
from pupload.domain.flow import DataWell, Flow
from pupload.domain.nodedef import NodeDef, Retry
from pupload.domain.plan import Origin
from pupload.domain.validation import Limits, validate
from tests import strategies
from tests.builders import (
    NOON,
    RUN_ID,
    a_chain,
    a_definition,
    a_flag,
    a_flow,
    a_node,
    a_plan,
    a_port,
    a_store,
    a_well,
)

LAPTOP = tiers.Capacity(cpus=2, memory_bytes=4 << 30, storage_bytes=40 << 30)


def test_a_flag_chooses_the_image_of_its_node() -> None:
    kind = a_definition(image="${flag.image}", flags=[a_flag("image", default="acme/x:1"), a_flag("width")])
    nodes = [
        a_node("default", outputs={"o": "1"}),
        a_node("other", flags={"width": "1"}, outputs={"o": "2"}),
        a_node("own", flags={"image": "acme/y"}, outputs={"o": "3"}),
    ]
    plan = a_plan(a_flow(*nodes), [kind])
    assert [node.image for node in plan.nodes.values()] == ["acme/x:1", "acme/x:1", "acme/y"]
    assert plan.nodes["own"].flags == {"image": "acme/y"}


def test_an_entry_point_that_is_set_aside_is_so_in_the_plan() -> None:
    aside = nodedef.Command(exec=("sh", "-c", "${line}"), entrypoint=False)
    assert not a_plan(definitions=[a_definition(command=aside)]).nodes["resize"].entrypoint
    assert a_plan().nodes["resize"].entrypoint


def test_the_contracts_own_example() -> None:
    """No stores, no wells, a definition without ports, flags or command."""
    node = a_node(
        "resize-1", inputs={"image": "input-image"}, outputs={"resized": "output-image"}, flags={"width": "800"}
    )
    plan = a_plan(a_flow(node, name="image-resize"), [a_definition(image="pupload/resize:latest", max_attempts=3)])
    upload, result = plan.edges["input-image"], plan.edges["output-image"]
    assert (upload.origin, upload.store, upload.key) == (Origin.UPLOAD, "default", f"{RUN_ID}/input-image")
    assert upload.upload_key == f"uploads/{RUN_ID}/input-image/token1"
    assert upload.consumers == ("resize-1",)
    assert (result.origin, result.store, result.key) == (Origin.NODE, "default", f"{RUN_ID}/output-image")
    assert (result.producer, result.upload_key, result.intermediate) == ("resize-1", "", False)
    step = plan.nodes["resize-1"]
    assert (step.image, step.tier, step.command) == ("pupload/resize:latest", tiers.TABLE["c-small"], ())
    assert (step.flags, step.max_attempts, step.timeout_seconds) == ({"width": "800"}, 3, 3600)
    assert step.inputs[0].required
    assert (step.network, step.transfer, step.user) == ("none", "files", "")


def test_what_lies_between_nodes_is_intermediate() -> None:
    plan = a_plan(a_flow(*a_chain(2)))
    assert [edge.intermediate for edge in plan.edges.values()] == [False, True, False]


def test_a_well_makes_an_edge_a_result() -> None:
    edge = a_plan(a_flow(*a_chain(2), wells=[a_well("e1", lifetime="24h")])).edges["e1"]
    assert (edge.intermediate, edge.lifetime_seconds) == (False, 86400)


def test_wells_say_where_from_and_where_to() -> None:
    wells = [
        a_well("a", source="upload", store="bucket", key="in/${EDGE}/${RUN_ID}"),
        a_well("b", source="static", store="bucket", key="logo$.png"),
        a_well("c", source="webhook"),
        a_well("out", store="bucket", key="${FLOW_NAME}/$DATE/${NODE_ID}/${param.user}"),
    ]
    node = a_node("n", inputs={"1": "a", "2": "b", "3": "c"}, outputs={"o": "out"})
    plan = a_plan(a_flow(node, wells=wells, stores=[a_store()], name="my flow"), params={"user": "../me"})
    a, b, c, out = (plan.edges[name] for name in ("a", "b", "c", "out"))
    assert (a.key, a.upload_key) == (f"in/a/{RUN_ID}", f"uploads/{RUN_ID}/a/token1")
    assert (b.origin, b.key, b.upload_key) == (Origin.STATIC, "logo$.png", "")
    assert (c.origin, c.store, c.upload_key) == (Origin.WEBHOOK, "default", f"uploads/{RUN_ID}/c/token2")
    assert (out.store, out.key) == ("bucket", "my%20flow/2026-03-03/n/..%2Fme")
    assert set(plan.stores) == {"bucket"}


@pytest.mark.parametrize(("said", "planned"), [(0, 4), (-1, 4), (1, 1), (9, 9)])
def test_a_node_may_say_how_often_it_is_started(said: int, planned: int) -> None:
    definition = a_definition(max_attempts=4)
    assert a_plan(a_flow(a_node(max_attempts=said)), [definition]).nodes["resize"].max_attempts == planned


def test_uuids_are_fresh_with_every_edge() -> None:
    wells = [a_well("x", key="${UUID}"), a_well("y", key="${UUID}")]
    plan = a_plan(a_flow(a_node(outputs={"1": "x", "2": "y"}), wells=wells))
    made = [uuid.UUID(plan.edges[name].key) for name in ("x", "y")]
    assert [key.version for key in made] == [4, 4]
    assert made[0] != made[1]


def test_the_default_well_is_for_what_nodes_produce() -> None:
    flow = a_flow(*a_chain(2), stores=[a_store()], default_well=DataWell(store="bucket", lifetime="1h"))
    edges = a_plan(flow).edges
    assert [edges[name].store for name in ("e0", "e1", "e2")] == ["default", "bucket", "bucket"]
    assert [edges[name].lifetime_seconds for name in ("e0", "e1", "e2")] == [None, None, 3600]


@pytest.mark.parametrize(("key", "expected"), [("all/${EDGE}/${RUN_ID}", f"all/e1/{RUN_ID}"), ("same", f"{RUN_ID}/e1")])
def test_the_default_wells_key_counts_when_it_tells_edges_apart(key: str, expected: str) -> None:
    assert a_plan(a_flow(*a_chain(1), default_well=DataWell(key=key))).edges["e1"].key == expected


@pytest.mark.parametrize(
    ("name", "segment"),
    [("plain-1", "plain-1"), ("a b", "a%20b"), ("größe", "gr%C3%B6%C3%9Fe"), ("50%", "50%25"), ("..", "%2E%2E")],
)
def test_edge_names_are_made_safe_for_keys(name: str, segment: str) -> None:
    assert keys.safe(name) == segment
    assert a_plan(a_flow(a_node(inputs={"i": name}))).edges[name].key == f"{RUN_ID}/{segment}"


def test_declared_ports_bring_their_types() -> None:
    definition = a_definition(
        inputs=[a_port("image", "image/*", required=True), a_port("mask", "image/png", required=False)],
        outputs=[
            a_port("resized", "image/jpg"),
            a_port("pages", "image/png", many=True),
            a_port("log", required=False),
        ],
    )
    node = a_node(inputs={"image": "a", "mask": "b"}, outputs={"resized": "c", "pages": "d", "log": "e"})
    step = a_plan(a_flow(node), [definition]).nodes["resize"]
    assert [(port.required, port.extension) for port in step.inputs] == [(True, ""), (False, ".png")]
    assert [(port.required, port.extension, port.many) for port in step.outputs] == [
        (True, ".jpg", False),
        (True, "", True),
        (False, "", False),
    ]
    assert [port.edge for port in step.outputs] == ["c", "d", "e"]


def test_declared_ports_bring_their_limits() -> None:
    definition = a_definition(
        inputs=[a_port("image", max_pixels=5, max_duration="1m30s", max_ratio=2.5, max_pages=3, max_bytes=9)],
        outputs=[a_port("resized")],
    )
    node = a_plan(a_flow(), [definition]).nodes["resize"]
    assert node.inputs[0].limits == facts.Limits(
        max_bytes=9, max_pixels=5, max_media_seconds=90.0, max_ratio=2.5, max_pages=3
    )
    assert node.outputs[0].limits is None


def test_a_flag_that_names_a_secret_becomes_the_path_of_its_file() -> None:
    flags = [a_flag("token"), a_flag("more", default="${secret.B}"), a_flag("plain", default="x")]
    definition = a_definition(flags=flags, secrets=("C", "A"))
    step = a_plan(a_flow(a_node(flags={"token": "${secret.A}"})), [definition]).nodes["resize"]
    assert step.flags == {"token": "/run/secrets/A", "more": "/run/secrets/B", "plain": "x"}
    assert step.secrets == ("C", "A", "B")


def test_flags_have_their_defaults_and_nothing_more() -> None:
    flags = [a_flag("width", default="800"), a_flag("height"), a_flag("quality", default="80")]
    step = a_plan(a_flow(a_node(flags={"quality": "95"})), [a_definition(flags=flags)]).nodes["resize"]
    assert step.flags == {"width": "800", "quality": "95"}


@pytest.mark.parametrize(
    ("definition", "node", "seconds"),
    [(None, None, 3600), ("90s", None, 90), (None, "2h", 7200), ("90s", "2h", 90), ("2h", "90s", 90)],
)
def test_the_shorter_timeout_wins(definition: str | None, node: str | None, seconds: float) -> None:
    plan = a_plan(a_flow(a_node(timeout=node)), [a_definition(timeout=definition)])
    assert plan.nodes["resize"].timeout_seconds == seconds


def test_retries_in_seconds() -> None:
    retry = Retry(delay="250ms", max="2m", on_exit_codes=(1,), never_on_exit_codes=(2,))
    made = a_plan(None, [a_definition(retry=retry, max_attempts=-1)]).nodes["resize"]
    assert (made.retry.delay_seconds, made.retry.max_seconds) == (0.25, 120)
    assert (made.retry.on_exit_codes, made.retry.never_on_exit_codes) == ((1,), (2,))
    assert (made.retry.more_memory, made.max_attempts) == ((), 3)


def test_more_memory_climbs_as_far_as_the_machine_goes() -> None:
    definition = a_definition(tier="c-nano", retry=Retry(more_memory=True))

    def ladder(limits: Limits) -> list[tuple[str, int]]:
        steps = a_plan(None, [definition], limits=limits).nodes["resize"].retry.more_memory
        return [(step.name, step.memory_bytes >> 20) for step in steps]

    assert len(ladder(Limits())) == 7
    assert ladder(Limits(capacity=LAPTOP)) == [("c-micro", 1024), ("c-small", 2048)]
    assert ladder(Limits(capacity=LAPTOP, clamp=True)) == [("c-micro", 1024), ("c-small", 2048), ("c-medium", 4096)]


def test_clamping_makes_a_tier_fit_the_machine() -> None:
    plan = a_plan(None, [a_definition(tier="c-large")], limits=Limits(capacity=LAPTOP, clamp=True))
    tier = plan.nodes["resize"].tier
    assert (tier.name, tier.cpus, tier.memory_bytes) == ("c-large", 2, 4 << 30)


def test_warnings_are_kept_with_the_plan() -> None:
    assert a_plan(warnings=["mind the gap"]).warnings == ("mind the gap",)


def test_the_first_of_two_is_taken() -> None:
    wells = [a_well("resize-in", key="${UUID}/1", source="static"), a_well("resize-in", key="2", source="static")]
    plan = a_plan(a_flow(wells=wells), [a_definition(image="one"), a_definition(image="two")])
    assert plan.nodes["resize"].image == "one"
    assert plan.edges["resize-in"].key == "${UUID}/1"


def test_the_same_arguments_make_the_same_plan() -> None:
    assert a_plan(a_flow(*a_chain(3))) == a_plan(a_flow(*a_chain(3)))


@given(strategies.flows())
def test_every_valid_flow_has_a_whole_plan(drawn: tuple[Flow, tuple[NodeDef, ...]]) -> None:
    flow, definitions = drawn
    assert [finding for finding in validate(flow, definitions) if finding.is_error] == []
    tokens = (f"secret{number}" for number in itertools.count())
    plan = planning.make_plan(flow, definitions, run_id=RUN_ID, now=NOON, tokens=lambda: next(tokens))
    assert list(plan.nodes) == [node.id for node in flow.nodes]
    for node in plan.nodes.values():
        for port in node.inputs:
            assert node.id in plan.edges[port.edge].consumers
        for port in node.outputs:
            assert plan.edges[port.edge].producer == node.id
        assert "${" not in "".join(command.arguments(node.command, node.flags))
    kept = [(edge.store, edge.key) for edge in plan.edges.values()]
    assert len(set(kept)) == len(kept)
    for edge in plan.edges.values():
        assert edge.store in ("default", *plan.stores)
        assert bool(edge.upload_key) == (edge.origin in (Origin.UPLOAD, Origin.WEBHOOK))
        assert (edge.origin is Origin.NODE) == (edge.producer is not None)
        assert "secret" in edge.upload_key or not edge.upload_key
        assert "$" not in edge.key
        assert not edge.key.startswith("/")
        assert not edge.intermediate or edge.consumers
