"""Whatever the outcome of a node's work can depend on makes it other work: every field, also those to come."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pupload.domain import collection, memo
from pupload.domain.artifact import Artifact
from pupload.domain.facts import Limits
from pupload.domain.plan import EdgePlan, NodePlan, Nodes, Origin, Plan, PortPlan
from pupload.domain.run import AttemptRef, Run, Status
from pupload.engine import orders
from pupload.engine.memory import ELSEWHERE, Memory
from pupload.ports import ContainerOrder
from tests.bench import LIMITS, a_bench
from tests.builders import NOON, a_definition, a_flag, a_flow, a_node, a_plan, a_port, a_store, a_well

IMAGE = "sha256:" + "1" * 64
REF = AttemptRef(run="run_1", node="resize", number=1)

NOT_OF_THE_WORK = {"image", "timeout_seconds", "memoize", "when"}
"""Fields of a node's plan that do not count: the image's id does, not its name; when, and whether, it runs."""


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    async with a_bench(tmp_path, memoize=True) as bench:
        yield bench.engine.memory


def an_artifact(edge: str, **other: Any) -> Artifact:
    usual = {"key": f"run_1/{edge}", "size": 3, "content_type": "image/png", "sha256": "ab" * 32, "etag": "e"}
    return Artifact(**{"edge": edge, "store": "default", "created_at": NOON, **usual, **other})


def a_run(node: Mapping[str, Any] | None = None, given: Mapping[str, Artifact] | None = None) -> Run:
    """A run of one node with an input, flags and an output that somebody takes."""
    flow = a_flow(
        a_node(flags={"width": "640", "mode": "fit"}, **(node or {})),
        a_node("next", uses="pupload/next", inputs={"image": "resize-out"}, outputs={"done": "done"}),
    )
    definition = a_definition(
        inputs=[a_port("image", "image/*")],
        outputs=[a_port("resized", "image/*")],
        flags=[a_flag("width"), a_flag("mode")],
    )
    plan = a_plan(flow, [definition, a_definition("pupload/next")])
    found = {"resize-in": an_artifact("resize-in"), **(given or {})}
    return Run(id="run_1", plan=plan, status=Status.RUNNING, created_at=NOON, artifacts=found)


def key_of(memory: Memory, run: Run, *, ref: AttemptRef = REF, image: str = IMAGE) -> str:
    return memo.key(memory.components(run, run.plan.nodes[ref.node], ref, image=image))


def with_plan(run: Run, *, node: NodePlan | None = None, edge: EdgePlan | None = None, **other: Any) -> Run:
    plan: Plan = run.plan
    nodes = Nodes(plan.nodes | ({node.id: node} if node else {}))  # type: ignore[operator]
    edges = dict(plan.edges) | ({edge.name: edge} if edge else {})
    return replace(run, plan=replace(plan, nodes=nodes, edges=edges, **other))


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    if is_dataclass(value) and not isinstance(value, type):
        first = next(each for each in fields(value) if isinstance(getattr(value, each.name), int | float | str))
        return replace(value, **{first.name: changed(getattr(value, first.name))})
    match value:
        case None:
            return Limits(max_bytes=7)
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case Path():
            return value / "x"
        case tuple():
            return (*value, "x")
        case _:
            return {**value, "more": "x"}


async def test_the_same_work_has_the_same_key_wherever_it_is_done(memory: Memory) -> None:
    """Neither the run, nor the attempt, nor where its objects are kept makes it another."""
    run = a_run()
    elsewhere = replace(
        a_run(given={"resize-in": an_artifact("resize-in", key="run_2/x", etag="f", file_name="other name.png")}),
        id="run_2",
        fence=7,
    )
    assert key_of(memory, elsewhere, ref=replace(REF, run="run_2", number=3)) == key_of(memory, run)


async def test_the_order_of_flags_and_ports_does_not_count(memory: Memory) -> None:
    run = a_run()
    node = run.plan.nodes["resize"]
    turned = replace(node, flags=dict(reversed(list(node.flags.items()))))
    assert key_of(memory, with_plan(run, node=turned)) == key_of(memory, run)


@pytest.mark.parametrize("name", [each.name for each in fields(NodePlan) if each.name != "each"])
async def test_every_field_of_a_node_counts_or_is_said_not_to(memory: Memory, name: str) -> None:
    run = a_run()
    node = run.plan.nodes["resize"]
    if name in {"inputs", "outputs"}:
        port = replace(getattr(node, name)[0], port="other")
        bound: Any = {name: (port,)}
        other = replace(node, **bound)
    elif name == "user":
        other = replace(node, user="7:7")
    elif name == "id":
        renamed = a_run({"id": "renamed", "inputs": {"image": "resize-in"}, "outputs": {"resized": "resize-out"}})
        assert key_of(memory, renamed, ref=replace(REF, node="renamed")) != key_of(memory, run)
        return
    else:
        other = replace(node, **{name: changed(getattr(node, name))})
    same = key_of(memory, with_plan(run, node=other)) == key_of(memory, run)
    assert same is (name in NOT_OF_THE_WORK)


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize("name", [each.name for each in fields(PortPlan) if each.name != "edge"])
async def test_every_field_of_a_port_counts(memory: Memory, side: str, name: str) -> None:
    run = a_run()
    node = run.plan.nodes["resize"]
    port = getattr(node, side)[0]
    bound: Any = {side: (replace(port, **{name: changed(getattr(port, name))}),)}
    other = replace(node, **bound)
    matters = not (side == "inputs" and name in {"types", "limits", "required"})
    assert (key_of(memory, with_plan(run, node=other)) != key_of(memory, run)) is matters


@pytest.mark.parametrize("name", [each.name for each in fields(ContainerOrder)])
async def test_every_field_of_an_order_counts_or_names_a_place(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A field that the container's order gets one day counts from then on."""
    run, whole = a_run(), orders.container
    before = key_of(memory, run)

    def other(*given: Any, **named: Any) -> Any:
        order: Any = whole(*given, **named)
        value = getattr(order, name)
        return replace(order, **{name: f"{value}x" if isinstance(value, AttemptRef) else changed(value or "")})

    monkeypatch.setattr(orders, "container", other)
    assert (key_of(memory, run) == before) is (name in ELSEWHERE)


@pytest.mark.parametrize("name", ["sha256", "size", "content_type"])
async def test_the_bytes_that_go_in_count(memory: Memory, name: str) -> None:
    given = an_artifact("resize-in")
    other: Any = {name: "image/jpeg" if name == "content_type" else changed(getattr(given, name))}
    assert key_of(memory, a_run(given={"resize-in": replace(given, **other)})) != key_of(memory, a_run())


async def test_an_input_that_is_not_there_counts(memory: Memory) -> None:
    run = a_run()
    assert key_of(memory, replace(run, artifacts={})) != key_of(memory, run)


async def test_the_image_counts_by_its_id_and_not_by_its_name(memory: Memory) -> None:
    run = a_run()
    assert key_of(memory, run, image="sha256:" + "2" * 64) != key_of(memory, run)
    tagged = replace(run.plan.nodes["resize"], image="pupload/resize:newer")
    assert key_of(memory, with_plan(run, node=tagged)) == key_of(memory, run)


async def test_who_takes_the_output_counts(memory: Memory) -> None:
    run = a_run()
    taker = run.plan.nodes["next"]
    picky = replace(taker, inputs=tuple(replace(port, types=("image/gif",)) for port in taker.inputs))
    assert key_of(memory, with_plan(run, node=picky)) != key_of(memory, run)


async def test_the_store_that_keeps_the_output_counts_and_its_keys_do_not(memory: Memory) -> None:
    run = a_run()
    edge = replace(run.plan.edges["resize-out"], store="bucket")

    def kept_in(**params: str) -> str:
        return key_of(memory, with_plan(run, edge=edge, stores={"bucket": a_store(**params)}))

    assert kept_in() != key_of(memory, run)
    assert kept_in(BucketName="other") != kept_in()
    assert kept_in(AccessKey="a", SecretKey="b") == kept_in()


async def test_what_is_read_out_of_the_output_counts(memory: Memory) -> None:
    run = a_run()
    edge = run.plan.edges["resize-out"]
    assert key_of(memory, with_plan(run, edge=replace(edge, valued=not edge.valued))) != key_of(memory, run)


async def test_what_the_server_allows_counts(tmp_path: Path, memory: Memory) -> None:
    async with a_bench(tmp_path / "other", memoize=True, limits=replace(LIMITS, output_files=7)) as other:
        assert key_of(other.engine.memory, a_run()) != key_of(memory, a_run())


# ── Collections ──────────────────────────────────────────────────────────────────────────────────────────────────


def a_run_of_many(*names: str, sha256: str = "ab" * 32) -> Run:
    items = [an_artifact(f"resize-in.{place}", file_name=name, sha256=sha256) for place, name in enumerate(names)]
    whole = collection.whole(items, edge="resize-in", store="default", key="run_1/resize-in", created_at=NOON)
    run = a_run(given={"resize-in": whole, **{one.edge: one for one in items}})
    node = run.plan.nodes["resize"]
    many = replace(node, inputs=tuple(replace(port, many=True) for port in node.inputs))
    edge = EdgePlan(name="resize-in", origin=Origin.UPLOAD, store="default", key="k", collection=True)
    return with_plan(run, node=many, edge=replace(edge, consumers=("resize",)))


async def test_the_names_and_the_order_of_items_count(memory: Memory) -> None:
    run = a_run_of_many("a.png", "b.png")
    assert key_of(memory, a_run_of_many("a.png", "b.png")) == key_of(memory, run)
    others = [
        a_run_of_many("b.png", "a.png"),
        a_run_of_many("a.png"),
        a_run_of_many("a.png", "c.png"),
        a_run_of_many("a.png", "b.png", sha256="cd" * 32),
    ]
    assert len({key_of(memory, one) for one in [run, *others]}) == 5


async def test_the_name_that_a_nameless_item_gets_counts(memory: Memory) -> None:
    """It is called after its edge then, which the node sees."""
    run = a_run_of_many("")
    node = run.plan.nodes["resize"]
    moved = replace(node, inputs=tuple(replace(port, edge="elsewhere") for port in node.inputs))
    (item,) = (one for one in run.artifacts.values() if one.items is None)
    other = replace(run, artifacts={"elsewhere": replace(item, edge="elsewhere")})
    here = replace(run, artifacts={"resize-in": replace(item, edge="resize-in")})
    assert key_of(memory, with_plan(other, node=moved)) != key_of(memory, here)


async def test_an_item_is_the_same_work_at_whatever_place(memory: Memory) -> None:
    flow = a_flow(
        a_node("list", uses="pupload/list", inputs={"zip": "zip"}, outputs={"files": "files"}),
        a_node("resize", inputs={"image": "files"}, outputs={"resized": "small"}, for_each="image"),
        wells=[a_well("zip")],
    )
    definitions = [
        a_definition("pupload/list", inputs=[a_port("zip")], outputs=[a_port("files", many=True)]),
        a_definition(inputs=[a_port("image")], outputs=[a_port("resized")]),
    ]
    plan = a_plan(flow, definitions)
    items = {f"files.{place}": an_artifact(f"files.{place}", file_name=f"{place}.png") for place in range(2)}
    run = Run(id="run_1", plan=plan, status=Status.RUNNING, created_at=NOON, artifacts=items)
    keys = {key_of(memory, run, ref=replace(REF, node=f"resize.{place}")) for place in range(2)}
    assert len(keys) == 1
