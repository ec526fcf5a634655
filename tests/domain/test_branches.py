"""Conditions in a run: what they are asked of, and what becomes of nodes whose condition is not met."""

from typing import Any

import pytest

from pupload.domain import events
from pupload.domain.decide import begin, decide
from pupload.domain.facts import Facts
from pupload.domain.flow import Node
from pupload.domain.nodedef import NodeDef
from pupload.domain.run import NodeStatus, Run, Status
from tests.builders import NOON, RUN_ID, a_definition, a_flag, a_flow, a_node, a_plan, a_port, an_artifact


def begun(*nodes: Node, definitions: tuple[NodeDef, ...] = (), **plan: Any) -> Run:
    return begin(RUN_ID, a_plan(a_flow(*nodes), definitions, **plan), now=NOON).run


def told(run: Run, *reports: events.Report) -> Run:
    for report in reports:
        run = decide(run, report, now=NOON).run
    return run


def given(run: Run, edge: str, **fields: Any) -> Run:
    return told(run, events.UploadSealed(edge=edge, artifact=an_artifact(edge, **fields)))


def done(run: Run, node: str, **fields: Any) -> Run:
    made = tuple(an_artifact(port.edge, node=node, attempt=1, **fields) for port in run.plan.nodes[node].outputs)
    succeeded = events.NodeSucceeded(node=node, attempt=1, exit_code=0, artifacts=made)
    return told(run, events.NodeAdmitted(node=node, attempt=1), succeeded)


def statuses(run: Run) -> dict[str, str]:
    return {name: node.status.value for name, node in run.nodes.items()}


OPTIONAL = a_definition("x/join", inputs=[a_port("a", required=False), a_port("b", required=False)])


def test_a_node_whose_condition_is_met_runs() -> None:
    run = given(begun(a_node(when="input.image.type startswith 'image/'")), "resize-in")
    assert statuses(run) == {"resize": "READY"}


def test_a_node_whose_condition_is_not_met_is_skipped_and_says_what_it_saw() -> None:
    run = given(begun(a_node(when="input.image.type startswith 'video/' or input.image.size > 1MB")), "resize-in")
    assert statuses(run) == {"resize": "SKIPPED"}
    assert run.nodes["resize"].error == (
        "its condition is not met: input.image.type startswith 'video/' or input.image.size > 1MB"
        ' (input.image.type is "image/png", input.image.size is 3)'
    )
    assert run.status is Status.COMPLETE
    assert run.error == ""


def test_what_needs_its_output_is_skipped_and_what_does_not_goes_on() -> None:
    run = begun(
        a_node("video", inputs={"in": "file"}, outputs={"out": "small"}, when="input.in.type startswith 'video/'"),
        a_node("image", inputs={"in": "file"}, outputs={"out": "thumb"}, when="input.in.type startswith 'image/'"),
        a_node("stamp", inputs={"in": "small"}, outputs={"out": "stamped"}),
        a_node("join", uses="x/join", inputs={"a": "stamped", "b": "thumb"}, outputs={"out": "joined"}),
        definitions=(OPTIONAL,),
    )
    run = given(run, "file")
    assert statuses(run) == {"video": "SKIPPED", "image": "READY", "stamp": "SKIPPED", "join": "IDLE"}
    assert run.nodes["stamp"].error == "needs the output of node video, which was skipped"
    run = done(run, "image")
    assert statuses(run)["join"] == "READY"
    run = done(run, "join")
    assert run.status is Status.COMPLETE
    assert "small" not in run.artifacts


def test_a_join_of_skipped_branches_only_runs_without_them() -> None:
    run = begun(
        a_node("one", inputs={"in": "file"}, outputs={"out": "a"}, when="input.in.size > 5"),
        a_node("two", inputs={"in": "file"}, outputs={"out": "b"}, when="input.in.size > 6"),
        a_node("join", uses="x/join", inputs={"a": "a", "b": "b"}, outputs={}),
        definitions=(OPTIONAL,),
    )
    assert statuses(given(run, "file")) == {"one": "SKIPPED", "two": "SKIPPED", "join": "READY"}


def test_a_failed_branch_is_no_skipped_one() -> None:
    run = begun(
        a_node("one", inputs={"in": "file"}, outputs={"out": "a"}),
        a_node("join", uses="x/join", inputs={"a": "a", "b": "file"}, outputs={}),
        definitions=(OPTIONAL, a_definition("pupload/resize", max_attempts=1)),
    )
    failed = events.AttemptFailed(node="one", attempt=1, failure="exit", reason="broke", exit_code=1)
    run = told(given(run, "file"), events.NodeAdmitted(node="one", attempt=1), failed)
    assert statuses(run) == {"one": "ERROR", "join": "SKIPPED"}
    assert run.status is Status.ERROR


@pytest.mark.parametrize(
    ("when", "met"),
    [
        ("input.image.width == 4 and input.image.height == 3 and input.image.pixels == 12", True),
        ("input.image.duration > 1m and input.image.pages == 2 and input.image.name == 'cat.png'", True),
        ("input.image.ratio == 4", True),
        ("input.image.items == null and input.image.present", True),
        ("json(input.image).a.b[1] == 'x'", True),
        ("json(input.image).c == null", True),
        ("flag.width > 700 and flag.fast and flag.unset == null", True),
        ("param.limit < 100 and param.other == null", True),
        ("input.extra.present or input.extra.size > 1 or json(input.extra).a > 1", False),
    ],
)
def test_what_can_be_asked(when: str, met: bool) -> None:
    definition = a_definition(
        "pupload/resize",
        inputs=[a_port("image"), a_port("extra", required=False)],
        flags=[a_flag("width", default="800"), a_flag("fast", type="boolean", default="true"), a_flag("unset")],
    )
    run = begun(
        a_node("first", inputs={"in": "other"}, outputs={"out": "extra"}, when="input.in.size > 5"),
        a_node("last", inputs={"image": "photo", "extra": "extra"}, outputs={}, when=when),
        definitions=(definition, a_definition("x/none")),
        params={"limit": "50"},
    )
    run = told(run, events.UploadSealed(edge="other", artifact=an_artifact("other")))
    facts = Facts(width=4, height=3, pages=2, duration_seconds=90.0, unpacked_bytes=12)
    run = given(run, "photo", facts=facts, file_name="cat.png", value='{"a":{"b":[1,"x"]}}')
    assert run.nodes["last"].status is (NodeStatus.READY if met else NodeStatus.SKIPPED)


@pytest.mark.parametrize(("says", "met"), [("'yes", True), ('"yes"', True), ("'yes, sir", False), ("", False)])
def test_a_text_decides(says: str, met: bool) -> None:
    run = given(begun(a_node(when="text(input.image) == 'yes'")), "resize-in", value=says, size=len(says))
    assert run.nodes["resize"].status is (NodeStatus.READY if met else NodeStatus.SKIPPED)


def test_what_is_no_text_cannot_decide() -> None:
    run = given(begun(a_node(when="text(input.image) == 'yes'")), "resize-in", content_type="image/png")
    assert run.error.endswith("text(input.image) cannot be read: the file is no text (it is image/png)")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"content_type": "image/png"}, "the file is no JSON (it is image/png)"),
        ({"size": 70_000}, "the file has 70000 bytes, and a condition reads at most 65536"),
        ({"value": '{"a":"wide"}'}, '"wide" and 5 cannot be compared so'),
        ({"items": 3}, "there is a collection"),
    ],
)
def test_what_cannot_be_told_fails_the_node(fields: dict[str, Any], words: str) -> None:
    run = given(begun(a_node(when="json(input.image).a > 5")), "resize-in", **fields)
    assert run.nodes["resize"].status is NodeStatus.ERROR
    assert run.status is Status.ERROR
    assert run.error.startswith("node resize: it cannot be told whether its condition is met: ")
    assert words in run.error


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, "ERROR"), ({"content_type": "video/mp4"}, "ERROR"), ({"content_type": "video/mp4", "size": 1}, "SKIPPED")],
)
def test_what_a_node_takes_is_asked_when_its_condition_is_met(fields: dict[str, Any], status: str) -> None:
    definition = a_definition("pupload/resize", inputs=[a_port("image", "video/*", max_duration="10s")])
    run = begun(a_node(when="input.image.size > 1"), definitions=(definition,))
    node = given(run, "resize-in", **fields).nodes["resize"]
    assert node.status.value == status
    if not fields:
        assert node.error == "input image takes video/*, and there is image/png"
    elif status == "ERROR":
        assert node.error == "it cannot be told how long it plays, and input image takes at most 10s"
    well = given(run, "resize-in", content_type="video/mp4", facts=Facts(duration_seconds=9.0)).nodes["resize"]
    assert well.status is NodeStatus.READY


def test_only_edges_that_a_condition_asks_for_carry_their_value() -> None:
    run = begun(
        a_node("one", inputs={"in": "a"}, outputs={"out": "b"}, when="input.in.size > 1"),
        a_node("two", inputs={"in": "b"}, outputs={}, when="json(input.in).x == 1"),
    )
    assert {name: edge.valued for name, edge in run.plan.edges.items()} == {"a": False, "b": True}


def test_a_node_hears_how_another_ended() -> None:
    nodes = (
        a_node("probe", inputs={"in": "file"}, outputs={"out": "a"}, when="input.in.size > 5"),
        a_node("yes", uses="x/join", inputs={"a": "a"}, outputs={}, when="node.probe.status == 'COMPLETE'"),
        a_node("no", uses="x/join", inputs={"a": "a"}, outputs={}, when="node.probe.exit_code == null"),
    )
    run = given(begun(*nodes, definitions=(OPTIONAL,)), "file")
    assert statuses(run) == {"probe": "SKIPPED", "yes": "SKIPPED", "no": "READY"}
    run = done(given(begun(*nodes, definitions=(OPTIONAL,)), "file", size=9), "probe")
    assert statuses(run) == {"probe": "COMPLETE", "yes": "READY", "no": "SKIPPED"}


def test_a_node_is_left_out_when_all_that_it_needs_of_other_nodes_is_settled() -> None:
    # Were `mid` left out at once, it would depend on who is first whether `last` runs when `slow` fails.
    nodes = (
        a_node("slow", inputs={"in": "file"}, outputs={"out": "a"}),
        a_node("never", inputs={"in": "file"}, outputs={"out": "b"}, when="input.in.size > 5"),
        a_node("mid", inputs={"x": "a", "y": "b"}, outputs={"out": "c"}),
        a_node("last", uses="x/join", inputs={"a": "c"}, outputs={}, when="node.slow.status == 'COMPLETE'"),
    )
    definitions = (OPTIONAL, a_definition("pupload/resize", max_attempts=1))
    run = given(begun(*nodes, definitions=definitions), "file")
    assert statuses(run) == {"slow": "READY", "never": "SKIPPED", "mid": "IDLE", "last": "IDLE"}
    ended = done(run, "slow")
    assert statuses(ended) == {"slow": "COMPLETE", "never": "SKIPPED", "mid": "SKIPPED", "last": "READY"}
    failed = events.AttemptFailed(node="slow", attempt=1, failure="exit", reason="broke", exit_code=1)
    ended = told(run, events.NodeAdmitted(node="slow", attempt=1), failed)
    assert statuses(ended) == {"slow": "ERROR", "never": "SKIPPED", "mid": "SKIPPED", "last": "SKIPPED"}


def test_nothing_is_awaited_for_a_node_that_will_be_left_out() -> None:
    run = begun(
        a_node("never", inputs={"in": "file"}, outputs={"out": "b"}, when="input.in.size > 5"),
        a_node("mid", inputs={"x": "other", "y": "b"}, outputs={"out": "c"}),
    )
    run = given(run, "file")
    assert statuses(run) == {"never": "SKIPPED", "mid": "SKIPPED"}
    assert run.status is Status.COMPLETE


def test_a_deep_chain_of_conditions_is_left_out_without_recursion() -> None:
    nodes = [
        a_node(f"n{i}", uses="x/join", inputs={"a": f"e{i}"}, outputs={"out": f"e{i + 1}"}, when="input.a.present")
        for i in range(3000)
    ]
    run = begun(*nodes, definitions=(OPTIONAL,), limits=None)
    run = told(run, events.UploadSealed(edge="e0", artifact=an_artifact("e0")))
    assert run.nodes["n0"].status is NodeStatus.READY
    first = a_node("first", inputs={"in": "file"}, outputs={"out": "e0"}, when="input.in.size > 5")
    run = given(begun(first, *nodes, definitions=(OPTIONAL,)), "file")
    assert run.status is Status.COMPLETE
    assert {node.status for node in run.nodes.values()} == {NodeStatus.SKIPPED}
