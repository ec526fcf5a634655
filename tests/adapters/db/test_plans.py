"""Plans in pieces are the bytes and the values that plans in one are."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from pupload import errors
from pupload.adapters.db import codec, plans
from pupload.domain import flow, nodedef, plan
from tests import strategies
from tests.builders import a_chain, a_definition, a_flag, a_flow, a_node, a_plan, a_port, a_store, a_well

WHOLE = codec.Record[plan.Plan](plan.Plan)


@pytest.fixture(params=[1, 3, 15, 16, 200])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Every plan counts as large."""
    monkeypatch.setattr(plans, "LARGE_NODES", 0)
    monkeypatch.setattr(plans, "LARGE_BYTES", 0)
    monkeypatch.setattr(plans, "AT_ONCE", request.param)
    return int(request.param)


def a_full_plan(nodes: int = 40) -> plan.Plan:
    """A plan in which most fields say something."""
    chain = a_chain(nodes)
    extra = a_node("extra", inputs={"image": "photo"}, outputs={"resized": "small"}, flags={"width": "3"}, timeout="2m")
    callback = flow.Callback(url="http://example.org/", on=("complete",), secrets=("${secret.one}",))
    well = a_well("photo", store="bucket", source="upload", key="a/${RUN_ID}/b", lifetime="1h")
    this = a_flow(*chain, extra, wells=[well], stores=[a_store()], timeout="1h", callbacks=(callback,))
    definition = a_definition(
        inputs=[a_port("image", "image/*")], outputs=[a_port("resized", "image/png")], flags=[a_flag(default="7")]
    )
    return a_plan(this, [definition], warnings=("watch out",))


def test_the_bytes_and_the_values_are_those_of_a_plan_in_one(at_once: int) -> None:
    for made in (a_full_plan(), a_plan(), a_plan(a_flow(*a_chain(at_once))), a_plan(a_flow(*a_chain(at_once + 1)))):
        blob = plans.PLAN.encode(made)
        assert blob == WHOLE.encode(made)
        assert plans.PLAN.decode(blob, "a plan") == made
        assert WHOLE.decode(blob, "a plan") == made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None)
@given(found=strategies.flows())
def test_so_it_is_for_whatever_flow(at_once: int, found: tuple[flow.Flow, tuple[nodedef.NodeDef, ...]]) -> None:
    made = a_plan(*found)
    assert plans.PLAN.encode(made) == WHOLE.encode(made)
    assert plans.PLAN.decode(WHOLE.encode(made), "a plan") == made


@pytest.mark.parametrize("nodes", [15, 16, 200, 201, 70_000])
def test_headers_are_those_of_every_size(nodes: int) -> None:
    steps = [flow.Node(id="n", uses="a/b")] * nodes
    blob = bytearray()
    plans._put_sequence(steps, blob)
    assert blob == codec.pack(steps)
    by_name, blob = {str(number): number for number in range(nodes)}, bytearray()
    plans._put_mapping(by_name, blob)
    assert blob == codec.pack(by_name)


def test_a_large_plan_goes_in_pieces_by_itself() -> None:
    made = a_plan(a_flow(*a_chain(plans.LARGE_NODES)))
    blob = plans.PLAN.encode(made)
    assert blob == WHOLE.encode(made)
    assert plans.PLAN.decode(blob, "a plan") == made


def test_what_an_earlier_version_did_not_write_is_as_it_is_by_default(at_once: int) -> None:
    old = {"flow": {"name": "old", "nodes": [{"id": "n", "uses": "a/b"}]}, "nodes": {}, "edges": {}, "later": 1}
    found = plans.PLAN.decode(bytes((codec.SHAPE,)) + codec.pack(old), "a plan")
    assert found == plan.Plan(flow=flow.Flow(name="old", nodes=(flow.Node(id="n", uses="a/b"),)), nodes={}, edges={})


@pytest.mark.parametrize("wrong", ["nodes", "edges", "flow"])
def test_what_cannot_be_read_is_damaged_and_named(at_once: int, wrong: str) -> None:
    blob = codec.pack({"flow": {}, "nodes": {}, "edges": {}, wrong: {"n": 3, "nodes": [3]}})
    with pytest.raises(errors.Damaged, match="this one"):
        plans.PLAN.decode(bytes((codec.SHAPE,)) + blob, "this one")
    whole = plans.PLAN.encode(a_full_plan())
    with pytest.raises(errors.Damaged, match="this one"):
        plans.PLAN.decode(whole[: len(whole) // 2], "this one")


def test_what_cannot_be_written_is_told_as_ever(at_once: int) -> None:
    with pytest.raises(errors.Broken, match="Plan cannot be written"):
        plans.PLAN.encode(a_plan(a_flow(name="\ud800")))


def forget(written: Any, name: str) -> Any:
    """Without the field, wherever it is."""
    for inner in list(written.values()) if isinstance(written, dict) else written if isinstance(written, list) else []:
        forget(inner, name)
    if isinstance(written, dict):
        written.pop(name, None)
    return written


def test_a_plan_of_before_there_were_conditions_and_handlers_has_none() -> None:
    made = a_full_plan()
    written = msgspec.msgpack.decode(codec.pack(made))
    for field in ("handlers", "conditional"):
        del written[field]
    for node in written["nodes"].values():
        del node["when"], node["runs"]
    for node in written["flow"]["nodes"]:
        del node["when"], node["runs"]
    for edge in written["edges"].values():
        del edge["valued"]
    assert b"entrypoint" not in msgspec.msgpack.encode(forget(written, "entrypoint"))
    old = bytes((codec.SHAPE,)) + msgspec.msgpack.encode(written)
    assert plans.PLAN.decode(old, "a plan") == made
