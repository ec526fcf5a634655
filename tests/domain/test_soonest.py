"""Which nodes are needed soonest."""

from dataclasses import replace

from pupload.domain import artifact, events
from pupload.domain.decide import begin, decide
from pupload.domain.flow import ForEach, Node
from pupload.domain.run import Run
from pupload.domain.soonest import LOOK_AHEAD, MANY, TURNS, from_outside, soonest
from tests.builders import NOON, a_chain, a_definition, a_flow, a_node, a_plan, a_port


def a_run(*nodes: Node) -> Run:
    return begin("run_1", a_plan(a_flow(*nodes)), now=NOON).run


def found(run: Run) -> list[str]:
    return soonest(run, from_outside(run.plan))


def a_step(node: str, inputs: str, output: str) -> Node:
    """A node that takes edges (named in one word each) and gives one."""
    taken = {f"in{number}": edge for number, edge in enumerate(inputs.split())}
    return a_node(node, inputs=taken, outputs={"out": output})


def an_artifact(edge: str) -> artifact.Artifact:
    return artifact.Artifact(
        edge=edge, store="default", key=edge, size=1, content_type="image/png", sha256="0", etag="", created_at=NOON
    )


def test_behind_an_upload_the_nodes_come_in_their_order() -> None:
    assert found(a_run(*reversed(a_chain(4)))) == ["n0", "n1", "n2", "n3"]


def test_what_follows_on_what_runs_comes_before_what_waits_for_somebody() -> None:
    run = a_run(
        a_step("late", "upload", "x"), a_step("later", "x", "y"), a_step("first", "", "a"), a_step("b", "a", "b")
    )
    assert run.active == {"first"}
    assert found(run) == ["b", "late", "later"]


def test_what_was_begun_is_not_among_them() -> None:
    run = decide(a_run(*a_chain(3)), events.UploadSealed(edge="e0", artifact=an_artifact("e0")), now=NOON).run
    assert found(run) == ["n1", "n2"]


def test_a_node_comes_behind_all_that_it_needs_and_not_behind_the_first_of_it() -> None:
    run = a_run(
        a_step("join", "short end", "whole"),
        a_step("start", "", "short"),
        a_step("one", "short", "long"),
        a_step("two", "long", "end"),
    )
    assert found(run) == ["one", "two", "join"]


def test_a_node_that_needs_an_upload_besides_waits_for_that() -> None:
    run = a_run(a_step("join", "a upload", "whole"), a_step("start", "", "a"), a_step("b", "a", "b"))
    assert found(run) == ["b", "join"]


def test_of_a_large_run_only_the_nearest_are_found_and_only_they_are_looked_at() -> None:
    run = a_run(*a_chain(10 * LOOK_AHEAD))
    seen: list[str] = []

    class Watched(dict[str, object]):
        def __getitem__(self, node: str) -> object:
            seen.append(node)
            return super().__getitem__(node)

    awaited = from_outside(run.plan)
    watched = replace(run, nodes=Watched(run.nodes))  # type: ignore[arg-type]
    assert soonest(watched, awaited) == [f"n{number}" for number in range(LOOK_AHEAD)]
    assert len(seen) < 2 * LOOK_AHEAD


def test_a_run_with_very_many_nodes_under_way_needs_nothing_soon() -> None:
    run = a_run(*(a_step(f"n{number}", "", f"e{number}") for number in range(MANY + 1)), a_step("next", "e0", "end"))
    assert len(run.active) == MANY + 1
    assert found(run) == []


def test_an_edge_with_thousands_of_consumers_is_not_followed_to_its_end() -> None:
    run = a_run(a_step("first", "", "a"), *(a_step(f"n{number}", "a", f"e{number}") for number in range(5000)))
    assert len(found(run)) == LOOK_AHEAD


def test_uploads_that_came_are_not_looked_at_again() -> None:
    run = a_run(a_step("n", "one two three", "end"))
    awaited = from_outside(run.plan)
    run = replace(run, artifacts={"one": an_artifact("one"), "two": an_artifact("two")})
    assert soonest(run, awaited) == ["n"]
    assert list(awaited) == ["three"]


def test_nobody_is_near_who_waits_for_items_that_had_no_turn() -> None:
    definitions = [a_definition("p/split", outputs=[a_port("out", many=True)])]
    each = ForEach(input="image", concurrency=1)
    flow = a_flow(
        a_node("split", uses="p/split", inputs={}, outputs={"out": "photos"}),
        a_node("shrink", inputs={"image": "photos"}, outputs={"resized": "small"}, for_each=each),
        a_node("pack", inputs={"image": "small"}, outputs={}),
    )
    run = begin("run_1", a_plan(flow, definitions), now=NOON).run
    assert found(run) == []
    made = (replace(an_artifact("photos"), items=2), an_artifact("photos.0"), an_artifact("photos.1"))
    for report in (
        events.NodeAdmitted(node="split", attempt=1),
        events.NodeSucceeded(node="split", attempt=1, exit_code=0, artifacts=made),
    ):
        run = decide(run, report, now=NOON).run
    assert found(run) == []
    for report in (
        events.NodeAdmitted(node="shrink.0", attempt=1),
        events.NodeSucceeded(node="shrink.0", attempt=1, exit_code=0, artifacts=(an_artifact("small.0"),)),
    ):
        run = decide(run, report, now=NOON).run
    assert found(run) == ["pack"]


def fanned_out(total: int, *, concurrency: int) -> Run:
    """The items of a node have begun to have their turn, and none of them runs yet."""
    definitions = [a_definition("p/split", outputs=[a_port("out", many=True)])]
    flow = a_flow(
        a_node("split", uses="p/split", inputs={}, outputs={"out": "photos"}),
        a_node(
            "shrink",
            inputs={"image": "photos"},
            outputs={"resized": "small"},
            for_each=ForEach(input="image", concurrency=concurrency),
        ),
    )
    run = begin("run_1", a_plan(flow, definitions), now=NOON).run
    made = (replace(an_artifact("photos"), items=total), *(an_artifact(f"photos.{place}") for place in range(total)))
    for report in (
        events.NodeAdmitted(node="split", attempt=1),
        events.NodeSucceeded(node="split", attempt=1, exit_code=0, artifacts=made),
        events.NodeAdmitted(node="shrink.0", attempt=1),
    ):
        run = decide(run, report, now=NOON).run
    return run


def started(run: Run) -> Run:
    """The first of them runs."""
    return decide(run, events.NodeStarted(node="shrink.0", attempt=1, image="sha256:1"), now=NOON).run


def test_of_items_those_that_have_their_turn_next_come_first_once_one_runs() -> None:
    run = fanned_out(9, concurrency=1)
    assert found(run) == [], "what was done before needs no container"
    assert found(started(run)) == [f"shrink.{place}" for place in range(1, 1 + TURNS)]


def test_places_where_nothing_lies_have_no_turn() -> None:
    run = started(fanned_out(4, concurrency=1))
    there = {edge: made for edge, made in run.artifacts.items() if edge != "photos.2"}
    assert found(replace(run, artifacts=there)) == ["shrink.1", "shrink.3"]


def test_with_many_items_under_way_the_next_have_time() -> None:
    assert found(started(fanned_out(9, concurrency=TURNS - 1))) == [f"shrink.{place}" for place in range(3, 7)]
    assert found(started(fanned_out(9, concurrency=TURNS))) == []
