"""Nodes that run once for each item, one claim at a time."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from pupload.domain import commands, deadlines, events, foreach
from pupload.domain.artifact import Artifact
from pupload.domain.collection import item, whole
from pupload.domain.decide import begin, decide, outstanding
from pupload.domain.flow import ForEach
from pupload.domain.plan import Plan
from pupload.domain.run import Failure, Items, NodeRun, NodeStatus, Run, Status
from tests.builders import NOON, RUN_ID, a_definition, a_flow, a_node, a_plan, a_port

DEFINITIONS = (
    a_definition("pupload/split", outputs=[a_port("files", many=True)]),
    a_definition("pupload/shrink", outputs=[a_port("small"), a_port("log", required=False)]),
    a_definition("pupload/pack", inputs=[a_port("files", many=True)]),
)
COMPLETE, ERROR, SKIPPED = NodeStatus.COMPLETE, NodeStatus.ERROR, NodeStatus.SKIPPED
READY, RUNNING = NodeStatus.READY, NodeStatus.RUNNING


def a_packing_plan(*, log: str = "", **asked: Any) -> Plan:
    """`split` makes a collection, `shrink` runs for each item, `pack` takes what comes of that."""
    outputs = {"small": "small", **({"log": log} if log else {})}
    asked_for = ForEach(input="image", **asked)
    return a_plan(
        a_flow(
            a_node("split", uses="pupload/split", inputs={}, outputs={"files": "photos"}),
            a_node("shrink", uses="pupload/shrink", inputs={"image": "photos"}, outputs=outputs, for_each=asked_for),
            a_node("pack", uses="pupload/pack", inputs={"files": "small"}, outputs={"archive": "archive"}),
        ),
        DEFINITIONS,
    )


def an_artifact(edge: str, sha256: str = "ab", **fields: Any) -> Artifact:
    about: dict[str, Any] = {"store": "default", "key": f"{RUN_ID}/{edge}", "size": 3, "content_type": "image/png"}
    return Artifact(edge=edge, sha256=sha256, etag="e", created_at=NOON, **about | fields)


def items_of(edge: str, count: int, *, empty: tuple[int, ...] = ()) -> tuple[Artifact, ...]:
    """A collection and its items."""
    made = [an_artifact(item(edge, n), f"{n:02}", file_name=f"{n}.png") for n in range(count)]
    there = [None if place in empty else one for place, one in enumerate(made)]
    about = whole(there, edge=edge, store="default", key=f"{RUN_ID}/{edge}", created_at=NOON)
    return (about, *(one for one in there if one is not None))


class Told:
    """A run that is told one thing after the other."""

    def __init__(self, plan: Plan) -> None:
        self.now: datetime = NOON
        self.events: list[events.Event] = []
        self.orders: list[commands.Command] = []
        decision = begin(RUN_ID, plan, now=NOON)
        self.run: Run = decision.run
        self._take(decision)

    def tell(self, report: events.Report) -> "Told":
        self._take(decide(self.run, report, now=self.now))
        return self

    def _take(self, decision: Any) -> None:
        before, self.run = self.run, decision.run
        self.last, self.events, self.orders = decision, [*self.events, *decision.events], list(decision.commands)
        changed = {name for name, node in self.run.nodes.items() if before.nodes.get(name) != node}
        assert changed <= decision.changed_nodes or before is self.run
        check(self.run)

    def split_into(self, count: int, *, empty: tuple[int, ...] = ()) -> "Told":
        self.tell(events.NodeAdmitted(node="split", attempt=1))
        made = items_of("photos", count, empty=empty)
        return self.tell(events.NodeSucceeded(node="split", attempt=1, exit_code=0, artifacts=made))

    def begin(self, *places: int) -> "Told":
        for place in places:
            self.tell(events.NodeAdmitted(node=f"shrink.{place}", attempt=self.attempt(place)))
        return self

    def succeed(self, *places: int, edges: tuple[str, ...] = ("small",)) -> "Told":
        for place in places:
            self.begin(place)
            name = f"shrink.{place}"
            made = tuple(an_artifact(item(edge, place), f"{place:02}", file_name=f"{place}.webp") for edge in edges)
            number = self.attempt(place)
            self.tell(events.NodeSucceeded(node=name, attempt=number, exit_code=0, artifacts=made))
        return self

    def fail(self, *places: int, failure: Failure = Failure.WRONG_TYPE) -> "Told":
        for place in places:
            self.begin(place)
            number = self.attempt(place)
            failed = events.AttemptFailed(
                node=f"shrink.{place}", attempt=number, failure=failure, reason="it broke", exit_code=1
            )
            self.tell(failed)
        return self

    def attempt(self, place: int) -> int:
        return len(self.run.nodes[f"shrink.{place}"].attempts)

    @property
    def shrink(self) -> NodeRun:
        return self.run.nodes["shrink"]

    @property
    def items(self) -> Items:
        """How many there are of each kind; not when."""
        assert self.shrink.items is not None
        return replace(self.shrink.items, begun_at=None, ended_at=None)

    def statuses(self) -> dict[int, NodeStatus]:
        named = {name.removeprefix("shrink."): node.status for name, node in self.run.nodes.items()}
        return {int(name): status for name, status in named.items() if name.isdecimal()}

    def kinds(self) -> list[type]:
        return [type(event) for event in self.last.events]


def check(run: Run) -> None:
    """The indexes are right, and so are the counts."""
    assert run.active == {name for name, node in run.nodes.items() if node.status.active}
    assert run.unfinished == sum(not node.status.terminal for node in run.nodes.values())
    for name, node in run.nodes.items():
        if node.items is None:
            continue
        names = [item(name, place) for place in range(node.items.total)]
        found = [run.nodes[one].status for one in names if one in run.nodes]
        assert found.count(COMPLETE) == node.items.complete
        assert found.count(ERROR) == node.items.failed + node.items.cancelled
        assert sum(not one.terminal for one in found) == node.items.under_way
        assert node.items.ended <= node.items.begun <= node.items.total


# ── Expanding ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_node_whose_items_are_there_has_a_node_for_each() -> None:
    told = Told(a_packing_plan()).split_into(3)
    assert told.shrink.status is RUNNING
    assert told.shrink.attempts == ()
    assert told.statuses() == {0: READY, 1: READY, 2: READY}
    assert told.orders == [commands.StartNode(node=f"shrink.{place}", attempt=1) for place in range(3)]
    assert events.NodeExpanded(node="shrink", items=3) in told.last.events


def test_when_the_first_item_had_its_turn_and_the_last_was_over_is_known() -> None:
    told = Told(a_packing_plan(concurrency=1)).split_into(2)
    told.now += timedelta(seconds=5)
    told.succeed(0)
    assert told.shrink.items is not None
    assert (told.shrink.items.begun_at, told.shrink.items.ended_at) == (NOON, None)
    told.now += timedelta(seconds=5)
    told.succeed(1)
    assert told.shrink.items is not None
    assert (told.shrink.items.begun_at, told.shrink.items.ended_at) == (NOON, NOON + timedelta(seconds=10))


def test_so_many_run_at_once_as_it_says_in_their_order() -> None:
    told = Told(a_packing_plan(concurrency=2)).split_into(5)
    assert told.statuses() == {0: READY, 1: READY}
    told.succeed(1)
    assert told.statuses() == {0: READY, 1: COMPLETE, 2: READY}
    told.succeed(0, 2)
    assert told.statuses() == {0: COMPLETE, 1: COMPLETE, 2: COMPLETE, 3: READY, 4: READY}
    assert told.items == Items(total=5, begun=5, complete=3)


def test_of_many_items_no_more_are_begun_than_can_run() -> None:
    told = Told(a_packing_plan()).split_into(foreach.AT_ONCE + 100)
    assert len(told.statuses()) == foreach.AT_ONCE
    assert len(told.succeed(0).statuses()) == foreach.AT_ONCE + 1


def test_what_is_no_collection_is_the_only_item() -> None:
    plan = a_plan(a_flow(a_node("shrink", outputs={"small": "small"}, for_each="image")), DEFINITIONS)
    told = Told(plan).tell(events.UploadSealed(edge="shrink-in", artifact=an_artifact("shrink-in")))
    assert told.statuses() == {0: READY}
    told.succeed(0)
    assert told.run.status is Status.COMPLETE
    assert told.run.artifacts["small"].items == 1


def test_more_items_than_it_takes_are_refused() -> None:
    told = Told(a_packing_plan(max_items=2)).split_into(3)
    assert told.shrink.status is ERROR
    assert "3 items" in told.shrink.error
    assert told.run.status is Status.ERROR
    assert told.run.nodes["pack"].status is SKIPPED


def test_of_an_empty_collection_comes_an_empty_collection() -> None:
    told = Told(a_packing_plan()).split_into(0)
    assert told.shrink.status is COMPLETE
    assert told.run.artifacts["small"].items == 0
    assert told.run.nodes["pack"].status is READY


def test_one_node_for_each_item_leads_to_the_next_however_many_there_are() -> None:
    chain = [
        a_node(f"n{i}", inputs={"image": f"e{i}"}, outputs={"resized": f"e{i + 1}"}, for_each="image")
        for i in range(2000)
    ]
    flow = a_flow(a_node("split", uses="pupload/split", inputs={}, outputs={"files": "e0"}), *chain)
    told = Told(a_plan(flow, DEFINITIONS)).tell(events.NodeAdmitted(node="split", attempt=1))
    told.tell(events.NodeSucceeded(node="split", attempt=1, exit_code=0, artifacts=items_of("e0", 0)))
    assert told.run.status is Status.COMPLETE


def test_places_at_which_there_is_nothing_stay_empty() -> None:
    told = Told(a_packing_plan()).split_into(3, empty=(1,)).succeed(0, 2)
    assert told.statuses() == {0: COMPLETE, 2: COMPLETE}
    assert told.items == Items(total=3, begun=3, complete=2, empty=1)
    assert told.shrink.status is COMPLETE
    assert told.run.artifacts["small"].items == 3
    assert "small.1" not in told.run.artifacts


# ── Gathering ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_all_made_is_a_collection_in_the_order_of_the_items() -> None:
    told = Told(a_packing_plan()).split_into(3).succeed(2, 0, 1)
    small = told.run.artifacts["small"]
    assert told.shrink.status is COMPLETE
    assert (small.items, small.size, small.content_type, small.node) == (3, 9, "image/png", "shrink")
    there = [told.run.artifacts[f"small.{place}"] for place in range(3)]
    assert small.sha256 == whole(there, edge="", store="", key="", created_at=NOON).sha256
    assert told.run.nodes["pack"].status is READY
    assert told.last.changed_edges == {"small.1", "small"}


def test_what_waits_for_all_does_not_go_on_with_the_first() -> None:
    told = Told(a_packing_plan()).split_into(3).succeed(0, 1)
    assert told.run.nodes["pack"].status is NodeStatus.IDLE
    assert told.shrink.progress == pytest.approx(2 / 3)


def test_no_event_grows_with_the_collection() -> None:
    told = Told(a_packing_plan()).split_into(3).succeed(0, 1, 2)
    made = [event for event in told.events if isinstance(event, events.NodeSucceeded | events.NodeGathered)]
    assert all(len(event.artifacts) == 1 for event in made)
    assert isinstance(made[-1], events.NodeGathered)
    assert (made[-1].items, made[-1].complete, made[-1].failed) == (3, 3, 0)


def test_an_optional_output_that_an_item_did_not_write_leaves_its_place_empty() -> None:
    told = Told(a_packing_plan(log="log")).split_into(2).succeed(0).succeed(1, edges=("small", "log"))
    assert told.shrink.status is COMPLETE
    assert told.run.artifacts["log"].items == 2
    assert "log.0" not in told.run.artifacts
    assert not told.run.absent


# ── Failing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_item_that_fails_ends_the_rest() -> None:
    told = Told(a_packing_plan(concurrency=3)).split_into(9).begin(0).fail(1)
    assert told.statuses() == {0: RUNNING, 1: ERROR, 2: SKIPPED}
    assert told.run.nodes["shrink.0"].attempts[0].stopping == Failure.CANCELLED
    assert set(told.orders) == {
        commands.StopNode(node="shrink.0", attempt=1),
        commands.StopNode(node="shrink.2", attempt=1),
    }
    assert told.shrink.status is RUNNING
    assert told.items == Items(total=9, begun=9, failed=1, skipped=7, failure=Failure.WRONG_TYPE)
    told.tell(events.AttemptFailed(node="shrink.0", attempt=1, failure=Failure.EXIT, reason="143", exit_code=143))
    assert told.shrink.status is ERROR
    assert told.shrink.error == "item 1 (1.png): it broke"
    assert told.run.status is Status.ERROR
    assert told.run.error == "node shrink: item 1 (1.png): it broke"
    assert told.run.nodes["pack"].status is SKIPPED


def test_an_item_is_tried_again_like_any_node() -> None:
    told = Told(a_packing_plan()).split_into(2).fail(0, failure=Failure.EXIT)
    assert told.statuses() == {0: NodeStatus.RETRYING, 1: READY}
    told.now = told.run.nodes["shrink.0"].retry_at or NOON
    told.tell(events.TimePassed()).succeed(0, 1)
    assert told.shrink.status is COMPLETE


def test_what_ends_by_its_time_running_out_is_not_tried_again_where_another_failed() -> None:
    told = Told(a_packing_plan()).split_into(2).begin(0)
    told.tell(events.NodeStarted(node="shrink.0", attempt=1, image="sha256:1"))
    told.now += timedelta(days=1)
    told.tell(events.TimePassed())
    assert told.run.nodes["shrink.0"].attempts[0].stopping == Failure.TIMEOUT
    told.now = NOON
    told.fail(1).tell(events.AttemptFailed(node="shrink.0", attempt=1, failure=Failure.EXIT, reason="143"))
    assert told.statuses() == {0: ERROR, 1: ERROR}
    assert told.shrink.status is ERROR


def test_places_of_items_that_failed_stay_empty_where_that_is_wanted() -> None:
    told = Told(a_packing_plan(partial_failure="Keep")).split_into(3).fail(0).succeed(1, 2)
    assert told.shrink.status is COMPLETE
    assert told.shrink.error == ""
    assert told.shrink.warning == "1 of 3 items failed; the first was item 0 (0.png): it broke"
    assert told.run.artifacts["small"].items == 3
    assert "small.0" not in told.run.artifacts
    assert told.run.nodes["pack"].status is READY
    assert told.run.error == ""


def test_where_all_items_failed_so_has_the_node() -> None:
    told = Told(a_packing_plan(partial_failure="Keep")).split_into(2).fail(0, 1)
    assert told.shrink.status is ERROR
    assert told.shrink.error == "item 0 (0.png): it broke"


# ── Ending before its time ───────────────────────────────────────────────────────────────────────────────────────


def test_a_cancelled_run_begins_no_more_items_and_stops_those_that_run() -> None:
    told = Told(a_packing_plan(concurrency=2)).split_into(5).begin(0).tell(events.CancelRequested(mode="kill"))
    assert told.statuses() == {0: RUNNING, 1: SKIPPED}
    assert told.items == Items(total=5, begun=5, skipped=4)
    told.tell(events.AttemptFailed(node="shrink.0", attempt=1, failure=Failure.EXIT, reason="143", exit_code=143))
    assert told.shrink.status is ERROR
    assert told.shrink.error == "cancelled"
    assert told.run.status is Status.STOPPED


def test_a_run_that_is_drained_finishes_what_runs() -> None:
    told = Told(a_packing_plan(concurrency=1)).split_into(3).begin(0).tell(events.CancelRequested(mode="drain"))
    assert told.statuses() == {0: RUNNING}
    told.succeed(0)
    assert told.statuses() == {0: COMPLETE}
    assert (told.shrink.status, told.run.status) == (ERROR, Status.STOPPED)


def test_what_was_done_when_the_run_was_drained_is_done() -> None:
    told = Told(a_packing_plan()).split_into(1).begin(0).tell(events.CancelRequested(mode="drain")).succeed(0)
    assert told.shrink.status is COMPLETE


def test_a_cancel_makes_no_item_that_failed_an_empty_place() -> None:
    told = Told(a_packing_plan(partial_failure="Keep")).split_into(2).succeed(0).begin(1)
    told.tell(events.CancelRequested(mode="kill"))
    told.tell(events.AttemptFailed(node="shrink.1", attempt=1, failure=Failure.EXIT, reason="143", exit_code=143))
    assert (told.shrink.status, told.shrink.error) == (ERROR, "cancelled")


def test_a_flow_that_timed_out_ends_the_items() -> None:
    plan = replace(a_packing_plan(), timeout_seconds=60.0)
    told = Told(plan).split_into(3).begin(0, 1)
    told.now += timedelta(seconds=61)
    told.tell(events.TimePassed())
    assert told.statuses() == {0: RUNNING, 1: RUNNING, 2: SKIPPED}
    for place in (0, 1):
        told.tell(events.AttemptFailed(node=f"shrink.{place}", attempt=1, failure=Failure.EXIT, reason="143"))
    assert told.run.status is Status.ERROR
    assert "timed out" in told.shrink.error


# ── Crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_saved_run_implies_are_the_items_that_go_on() -> None:
    told = Told(a_packing_plan(concurrency=2)).split_into(4).begin(0)
    assert outstanding(told.run) == tuple(commands.StartNode(node=f"shrink.{n}", attempt=1) for n in (0, 1))


def test_the_deadline_of_a_run_is_that_of_its_items() -> None:
    told = Told(a_packing_plan()).split_into(2).begin(0)
    assert deadlines.due(told.run) == NOON + timedelta(seconds=deadlines.STAGING_SECONDS)
