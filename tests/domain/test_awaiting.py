"""What a run waits for that is no file: approvals, and runs of other flows."""

from datetime import timedelta
from typing import Any

import pytest

from pupload.domain import awaiting, deadlines, events, graph, resuming, validation
from pupload.domain.decide import begin, decide
from pupload.domain.flow import DataWell, Flow, Node
from pupload.domain.plan import Origin, Parent
from pupload.domain.run import NodeStatus, Run, Status
from tests.builders import NOON, RUN_ID, a_definition, a_flow, a_node, a_plan, a_port, a_well, an_artifact

DAY = timedelta(days=1)
MAYBE = a_definition("x/maybe", inputs=[a_port("a", required=False)], outputs=[a_port("b", required=False)])


def of(inner: str, given: str, edge: str) -> DataWell:
    """The edge gets what a run of `inner` makes of `given`."""
    return a_well(edge, source="run", flow=inner, given=given)


def begun(*nodes: Node, wells: Any, definitions: Any = (), **plan: Any) -> Run:
    return begin(RUN_ID, a_plan(a_flow(*nodes, wells=wells), definitions, **plan), now=NOON).run


def told(run: Run, *reports: events.Report, at: Any = NOON) -> Run:
    for report in reports:
        run = decide(run, report, now=at).run
    return run


def there(run: Run, edge: str) -> Run:
    return told(run, events.UploadSealed(edge=edge, artifact=an_artifact(edge)))


def ended(run: Run, node: str, *, well: bool = True, empty: bool = False) -> Run:
    made = () if empty else tuple(an_artifact(port.edge, node=node) for port in run.plan.nodes[node].outputs)
    end: events.Report = events.NodeSucceeded(node=node, attempt=1, exit_code=0, artifacts=made)
    if not well:
        end = events.AttemptFailed(node=node, attempt=1, failure="not_startable", reason="no")
    return told(run, events.NodeAdmitted(node=node, attempt=1), end)


def a_middle(*wells: DataWell, **fields: Any) -> Run:
    """`first` makes `x` of `photo`; `last` takes `y`."""
    first = a_node("first", inputs={"image": "photo"}, outputs={"resized": "x"})
    last = a_node("last", inputs={"image": "y"}, outputs={"resized": "result"}, **fields)
    return begun(first, last, wells=wells)


def test_a_run_of_another_flow_is_wanted_once_there_is_what_it_is_given() -> None:
    run = a_middle(of("inner", "x", "y"))
    assert run.plan.followed
    assert run.plan.edges["y"].upload_key
    assert (run.plan.edges["y"].origin, run.plan.edges["y"].flow, run.plan.edges["y"].given) == (
        *(Origin.RUN, "inner", "x"),
    )
    assert deadlines.awaited(run) == ["photo", "y"]
    assert awaiting.runs(run) == []
    run = ended(there(run, "photo"), "first")
    assert [edge.name for edge in awaiting.runs(run)] == ["y"]
    assert run.status is Status.WAITING
    run = there(run, "y")
    assert awaiting.runs(run) == []
    assert run.nodes["last"].status is NodeStatus.READY


def test_what_is_given_is_no_result_and_is_no_upload_that_nobody_takes() -> None:
    last = a_node("last", inputs={"image": "z"}, outputs={"resized": "result"})
    run = begun(last, wells=[of("one", "text", "y"), of("two", "y", "z")])
    assert deadlines.awaited(run) == ["z", "y", "text"]
    assert [edge.name for edge in awaiting.runs(there(run, "text"))] == ["y"]
    assert [edge.name for edge in awaiting.runs(there(there(run, "text"), "y"))] == ["z"]
    assert all(run.plan.edges[edge].consumers == ("last",) for edge in ("text", "y", "z"))


def test_where_nothing_comes_to_be_given_nothing_is_waited_for() -> None:
    run = there(a_middle(of("inner", "x", "y")), "photo")
    run = ended(run, "first", well=False)
    assert run.nodes["last"].status is NodeStatus.SKIPPED
    assert run.status is Status.ERROR
    refused = told(a_middle(of("inner", "x", "y")), events.UploadRefused(edge="photo", reason="bad"))
    assert refused.status is Status.ERROR


def test_an_output_that_was_not_written_is_given_to_nobody() -> None:
    first = a_node("first", uses="x/maybe", inputs={"a": "photo"}, outputs={"b": "x"})
    last = a_node("last", inputs={"image": "y"}, outputs={"resized": "result"})
    run = begun(first, last, wells=[of("inner", "x", "y")], definitions=[MAYBE])
    run = ended(there(run, "photo"), "first", empty=True)
    assert run.nodes["last"].status is NodeStatus.SKIPPED
    able = a_node("last", uses="x/maybe", inputs={"a": "y"}, outputs={"b": "result"})
    run = begun(first, able, wells=[of("inner", "x", "y")], definitions=[MAYBE])
    run = ended(there(run, "photo"), "first", empty=True)
    assert run.nodes["last"].status is NodeStatus.READY


def test_what_a_condition_leaves_out_is_given_to_nobody() -> None:
    first = a_node("first", inputs={"image": "photo"}, outputs={"resized": "x"}, when="input.image.size > 1000000")
    last = a_node("last", inputs={"image": "y"}, outputs={"resized": "result"})
    run = there(begun(first, last, wells=[of("inner", "x", "y")]), "photo")
    assert run.status is Status.COMPLETE
    assert run.nodes["last"].unmet
    assert "the result of flow inner, which was skipped" in run.nodes["last"].error


def test_a_no_ends_what_waits_and_what_is_behind_it() -> None:
    run = told(ended(there(a_middle(a_well("y", source="approval")), "photo"), "first"))
    assert awaiting.approvals(run) == ["y"]
    run = told(run, events.UploadRefused(edge="y", reason="bob said no"))
    assert (run.status, run.error) == (Status.ERROR, "bob said no")


def test_somebody_is_asked_when_nothing_else_is_missing() -> None:
    last = a_node("last", inputs={"image": "x", "first": "go", "second": "sure"}, outputs={"resized": "result"})
    first = a_node("first", inputs={"image": "photo"}, outputs={"resized": "x"})
    run = begun(first, last, wells=[a_well("go", source="approval"), a_well("sure", source="approval")])
    assert awaiting.approvals(run) == []
    run = ended(there(run, "photo"), "first")
    assert awaiting.approvals(run) == ["go", "sure"]
    assert awaiting.approvals(there(run, "go")) == ["sure"]
    assert not run.plan.followed, "an answer comes by itself"


def test_a_condition_may_ask_what_was_said() -> None:
    last = a_node("last", inputs={"image": "x", "go": "go"}, outputs={"resized": "result"}, when="input.go.size > 0")
    first = a_node("first", inputs={"image": "photo"}, outputs={"resized": "x"})
    run = ended(there(begun(first, last, wells=[a_well("go", source="approval")]), "photo"), "first")
    assert awaiting.approvals(run) == ["go"]
    assert there(run, "go").nodes["last"].status is NodeStatus.READY


@pytest.mark.parametrize(
    ("well", "sentence"),
    [
        (a_well("y", source="approval"), "nobody said yes or no to edge y within 24h"),
        (of("inner", "x", "y"), "edge y had no result of flow inner within 24h"),
        (a_well("y", source="upload"), "upload of edge y did not arrive within 24h"),
    ],
)
def test_nothing_is_waited_for_longer_than_uploads(well: DataWell, sentence: str) -> None:
    run = ended(there(a_middle(well), "photo"), "first")
    assert told(run, events.TimePassed(), at=NOON + DAY).error == sentence


# ── Again ────────────────────────────────────────────────────────────────────────────────────────────────────────


def complete(run: Run) -> Run:
    return ended(there(ended(there(run, "photo"), "first"), "y"), "last")


def test_a_result_is_kept_unless_what_it_was_made_of_is_made_again() -> None:
    run = complete(a_middle(of("inner", "x", "y")))
    assert set(resuming.kept(run, from_nodes=["last"]).inputs) == {"photo", "y"}
    assert set(resuming.kept(run, from_nodes=["first"]).inputs) == {"photo"}
    assert set(resuming.kept(run, from_nodes=["first"]).left) == {"first", "last"}


def test_a_run_that_is_resumed_is_on_nobodys_behalf() -> None:
    plan = a_plan(a_flow(a_node()), parent=Parent(run="run_other", edge="y", depth=3))
    assert plan.followed
    again = resuming.replanned(plan, old_run=RUN_ID, new_run="run_new", tokens=lambda: "token")
    assert again.parent is None


# ── The graph ────────────────────────────────────────────────────────────────────────────────────────────────────


def around() -> Flow:
    """`a` makes what `b` needs, by way of another flow, and the other way round."""
    a = a_node("a", inputs={"i": "ya"}, outputs={"o": "xa"})
    b = a_node("b", inputs={"i": "yb"}, outputs={"o": "xb"})
    return a_flow(a, b, wells=[of("f", "xa", "yb"), of("f", "xb", "ya")])


def test_a_cycle_by_way_of_other_flows_is_one() -> None:
    assert set(graph.order(around()).cycle) == {"a", "b"}
    codes = [found.code for found in validation.validate(around(), [a_definition("pupload/resize")])]
    assert "FLOW_001" in codes


def test_what_is_given_is_upstream() -> None:
    first = a_node("first", inputs={"image": "photo"}, outputs={"resized": "x"})
    flow = a_flow(a_node("last", inputs={"image": "y"}), first, wells=[of("inner", "x", "y")])
    assert graph.order(flow).nodes == ("first", "last")
    assert graph.downstream(flow, "first") == {"last"}


# ── Findings ─────────────────────────────────────────────────────────────────────────────────────────────────────


def findings(*wells: DataWell, node: Node | None = None, **fields: Any) -> list[tuple[str, str]]:
    flow = a_flow(node or a_node("last", inputs={"image": "y"}), wells=wells, **fields)
    found = validation.validate(flow, [a_definition("pupload/resize")])
    return [(each.code, each.path) for each in found]


def test_wells_that_wait_for_runs_and_approvals_can_be_right() -> None:
    assert findings(of("team/inner", "text", "y")) == []
    assert findings(of("flow_01HZX3K9T8Q2B7M4N6P5R1S0VW", "", "y")) == []
    assert findings(of("inner", "text", "z"), of("inner", "z", "y"), on_error="team/tell-us") == []
    assert findings(a_well("y", source="approval")) == []


@pytest.mark.parametrize(
    ("wells", "code", "path"),
    [
        ([of("", "text", "y")], "WELL_014", ""),
        ([of("no name", "text", "y")], "WELL_014", "/Flow"),
        ([a_well("y", source="upload", flow="inner")], "WELL_015", "/Flow"),
        ([a_well("y", source="approval", given="x")], "WELL_015", "/Input"),
        ([of("inner", "y", "y")], "WELL_016", "/Input"),
        ([of("inner", "a/b", "y")], "WELL_016", "/Input"),
        ([of("inner", "text", "y"), a_well("text")], "WELL_016", "/Input"),
    ],
)
def test_wells_that_cannot_be(wells: list[DataWell], code: str, path: str) -> None:
    assert (code, f"/Flow/DataWells/0{path}") in findings(*wells)


def test_flows_that_make_each_others_input_are_found() -> None:
    found = findings(of("inner", "z", "y"), of("inner", "y", "z"))
    assert [code for code, _ in found].count("WELL_016") == 2


def test_a_collection_is_given_to_no_run() -> None:
    each = a_node("first", inputs={"image": "photos"}, outputs={"resized": "x"}, for_each="image")
    flow = a_flow(each, a_node("last", inputs={"image": "y"}), wells=[of("inner", "x", "y")])
    found = validation.validate(flow, [a_definition("pupload/resize")])
    assert [each.code for each in found] == ["WELL_016"]


def test_what_is_run_after_an_error_is_called_as_flows_are() -> None:
    assert findings(a_well("y", source="approval"), on_error="no name") == [("FLOW_006", "/Flow/OnError")]
