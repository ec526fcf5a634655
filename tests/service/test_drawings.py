"""Drawings: kept and changed piece by piece by whom they belong to, and run by whoever sees them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.domain.access import Caller, Role
from pupload.domain.account import User
from pupload.domain.drawing.model import Drawing, EdgeType
from pupload.domain.run import Status
from pupload.service.asking import asked_by
from pupload.service.drawing_news import Kind, News
from pupload.service.drawings import Drawings
from pupload.service.drawn_runs import MOST_OTHERS, DrawnRuns
from pupload.service.flows import Flows
from pupload.service.hub import MOST_WAITING
from pupload.service.inputs import Inputs
from pupload.service.results import Results
from pupload.service.views import RunView
from tests.api.house import SHOUT, Shouting, shout
from tests.bench import Bench, a_bench


def a_caller(number: int, role: Role = Role.EDITOR) -> Caller:
    return Caller(user=number, name=f"user {number}", role=role)


ANN, BOB, ADMIN = a_caller(1), a_caller(2), a_caller(3, Role.ADMIN)


@dataclass
class Desk:
    """What is needed to draw, and to see what comes of it."""

    bench: Bench
    drawings: Drawings
    runs: DrawnRuns
    flows: Flows
    results: Results

    async def draw(self, slug: str = "greet", **said: Any) -> Drawing:
        """A drawing that makes loud what somebody writes."""
        await self.drawings.create({"slug": slug, "name": slug.title(), **said})
        await self.drawings.add_node(slug, {"node_id": "ask", "component": "trigger_chat"})
        await self.drawings.add_node(slug, {"node_id": "say", "component": "acme/shout"})
        await self.drawings.add_edge(slug, {"source": "ask", "target": "say"})
        return await self.drawings.find(slug)

    async def ended(self, view: RunView) -> str:
        """What came of the run."""
        run = await self.bench.ended(view.run)
        assert run.status is Status.COMPLETE, run.error
        return str((await self.results.of(run.id)).value)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    catalogue = Shouting()
    async with a_bench(tmp_path, catalogue=catalogue) as bench:
        bench.image(SHOUT, shout)
        for caller in (ANN, BOB, ADMIN):
            await _let_in(bench, caller)
        flows = Flows(engine=bench.engine, runs=bench.runs)
        drawings = Drawings(engine=bench.engine, catalogue=catalogue)
        inputs = Inputs(engine=bench.engine, runs=bench.runs, uploads=bench.uploads)
        runs = DrawnRuns(engine=bench.engine, drawings=drawings, flows=flows, inputs=inputs)
        yield Desk(bench, drawings, runs, flows, Results(engine=bench.engine, runs=bench.runs))


async def _let_in(bench: Bench, caller: Caller) -> None:
    assert bench.world.accounts is not None
    user = User(name=caller.name, role=caller.role, created_at=bench.clock.now())
    assert (await bench.world.accounts.create(user)).id == caller.user


# ── Keeping ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_drawing_is_its_owners_and_is_not_there_for_others(desk: Desk) -> None:
    with asked_by(ANN):
        mine = await desk.draw()
        assert mine.account == 1
    with asked_by(BOB):
        for asked in (
            desk.drawings.find("greet"),
            desk.drawings.get(mine.id),
            desk.runs.change("greet", {"name": "Mine"}),
            desk.runs.remove("greet"),
            desk.drawings.add_node("greet", {"component": "switch"}),
            desk.drawings.change_node("greet", "say", {"x": 1}),
            desk.drawings.remove_node("greet", "say"),
            desk.drawings.add_edge("greet", {"source": "ask", "target": "say"}),
            desk.drawings.change_edge("greet", mine.edges[0].id, {"priority": 1}),
            desk.drawings.remove_edge("greet", mine.edges[0].id),
            desk.runs.validate("greet"),
            desk.runs.execute("greet"),
        ):
            with pytest.raises(errors.UnknownDrawing):
                await asked
        assert (await desk.drawings.list()).total == 0
        own = await desk.draw()  # the same slug is free for everybody
    assert (await desk.drawings.get(mine.id)) == mine
    assert own.id != mine.id
    with asked_by(ADMIN):
        assert (await desk.drawings.list()).total == 2
        await desk.runs.change("greet", {"description": "seen to"})
    assert (await desk.drawings.get(mine.id)).description == "seen to"


async def test_a_public_drawing_is_looked_at_and_run_by_others_and_changed_by_none_of_them(desk: Desk) -> None:
    with asked_by(ANN):
        mine = await desk.draw(public=True)
    with asked_by(BOB):
        assert await desk.drawings.find("greet") == mine
        assert [line.drawing.slug for line in (await desk.drawings.list()).drawings] == ["greet"]
        for asked in (
            desk.runs.change("greet", {"name": "Mine"}),
            desk.runs.remove("greet"),
            desk.drawings.add_node("greet", {"component": "switch"}),
            desk.drawings.change_node("greet", "say", {"x": 1}),
            desk.drawings.remove_edge("greet", mine.edges[0].id),
        ):
            with pytest.raises(errors.Forbidden, match="somebody else's"):
                await asked
        view = await desk.runs.execute("greet", value="hello")
        assert view.run.plan.account == 2
        assert await desk.ended(view) == "HELLO!"
    with asked_by(ANN):
        assert (await desk.flows.find("drawn/greet/ask")).account == 1
        with pytest.raises(errors.UnknownRun):
            await desk.results.of(view.run.id)


async def test_what_cannot_be_is_refused_and_nothing_is_kept(desk: Desk) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"slug": "a b", "name": "x"}, "slug"),
        ({"slug": "a/b", "name": "x"}, "slash"),
        ({"slug": "", "name": "x"}, "slug"),
        ({"slug": "a", "name": " "}, "name"),
        ({"slug": "a", "name": "x" * 257}, "256 letters"),
        ({"slug": "a", "name": "x", "description": "y" * 4097}, "4096"),
        ({"slug": "a", "name": "x", "tags": ("t",) * 65}, "64 tags"),
        ({"slug": "a", "name": "x", "max_seconds": 0}, "may take"),
        ({"slug": "a", "name": "x", "error_handler": 77}, "no drawing of the number 77"),
        ({"slug": "a", "name": "x", "input_schema": {"big": "y" * 300_000}}, "bytes"),
    ]
    for said, words in refused:
        with pytest.raises(errors.Malformed, match=words):
            await desk.drawings.create(said)
    assert (await desk.drawings.list()).total == 0
    drawing = await desk.draw()
    with pytest.raises(errors.DrawingTaken):
        await desk.drawings.create({"slug": "greet", "name": "Again"})
    nodes: list[tuple[dict[str, Any], type[errors.PuploadError]]] = [
        ({"node_id": "say", "component": "switch"}, errors.DrawnNodeTaken),
        ({"node_id": "a.b", "component": "switch"}, errors.Malformed),
        ({"node_id": "x" * 65, "component": "switch"}, errors.Malformed),
        ({"component": "no_such_thing"}, errors.Malformed),
        ({"component": "workflow", "subdrawing": 77}, errors.Malformed),
        ({"component": "switch", "label": "x" * 257}, errors.Malformed),
        ({"component": "switch", "config": {"extra_config": {"big": "y" * 300_000}}}, errors.Malformed),
    ]
    for said, kind in nodes:
        with pytest.raises(kind):
            await desk.drawings.add_node("greet", said)
    with pytest.raises(errors.DrawnNodeTaken):
        await desk.drawings.change_node("greet", "ask", {"node_id": "say"})
    with pytest.raises(errors.Malformed):
        await desk.runs.change("greet", {"error_handler": drawing.id})
    assert await desk.drawings.find("greet") == drawing


async def test_a_node_takes_its_edges_along_when_it_is_called_otherwise_or_goes(desk: Desk) -> None:
    before = await desk.draw()
    renamed = await desk.drawings.change_node("greet", "say", {"node_id": "shout", "x": 7})
    after = await desk.drawings.find("greet")
    assert (renamed.id, renamed.node_id, renamed.x) == (before.nodes[1].id, "shout", 7)
    assert [(edge.id, edge.source, edge.target) for edge in after.edges] == [(before.edges[0].id, "ask", "shout")]
    assert not await desk.runs.validate("greet")
    await desk.drawings.remove_node("greet", "shout")
    left = await desk.drawings.find("greet")
    assert ([node.node_id for node in left.nodes], left.edges) == (["ask"], ())
    for gone in (
        desk.drawings.remove_node("greet", "shout"),
        desk.drawings.change_node("greet", "shout", {"x": 1}),
        desk.drawings.change_node("greet", "shout", {}),
    ):
        with pytest.raises(errors.UnknownDrawnNode):
            await gone
    with pytest.raises(errors.UnknownDrawnEdge):
        await desk.drawings.remove_edge("greet", before.edges[0].id)


async def test_what_a_node_is_set_to_is_said_key_by_key(desk: Desk) -> None:
    await desk.draw()
    await desk.drawings.change_node("greet", "say", {"config": {"extra_config": {"a": 1}, "priority": 2}})
    changed = await desk.drawings.change_node("greet", "say", {"config": {"extra_config": {"b": 2}}})
    assert changed.config == {"extra_config": {"b": 2}, "priority": 2}
    changed = await desk.drawings.change_node("greet", "say", {"config": {"priority": None}})
    assert changed.config == {"extra_config": {"b": 2}}


async def test_a_node_without_a_name_is_given_one_and_a_person_is_asked_before(desk: Desk) -> None:
    await desk.draw()
    made = await desk.drawings.add_node("greet", {"component": "acme/shout"})
    other = await desk.drawings.add_node("greet", {"component": "human_confirmation"})
    assert made.node_id.startswith("shout_")
    assert len(made.node_id) == len("shout_") + 8
    assert other.interrupt_before


async def test_an_edge_is_judged_when_it_is_drawn_and_when_it_is_changed(desk: Desk) -> None:
    drawing = await desk.draw()
    await desk.drawings.add_node("greet", {"node_id": "agent", "component": "agent"})
    mismatch = "Source type 'trigger_chat' output 'text' is not compatible with target input 'model'"
    with pytest.raises(errors.UnfitEdge, match=mismatch):
        await desk.drawings.add_edge("greet", {"source": "ask", "target": "agent", "label": "llm"})
    with pytest.raises(errors.UnknownDrawnNode):
        await desk.drawings.add_edge("greet", {"source": "ask", "target": "nobody"})
    with pytest.raises(errors.DrawnEdgeTaken):
        await desk.drawings.add_edge("greet", {"source": "ask", "target": "say"})
    edge = drawing.edges[0]
    with pytest.raises(errors.UnfitEdge, match=mismatch):
        await desk.drawings.change_edge("greet", edge.id, {"target": "agent", "label": "llm"})
    with pytest.raises(errors.UnfitEdge, match="switch"):
        await desk.drawings.change_edge("greet", edge.id, {"type": EdgeType.CONDITIONAL, "condition": "yes"})
    with pytest.raises(errors.UnknownDrawnEdge):
        await desk.drawings.change_edge("greet", 77, {"priority": 1})
    assert (await desk.drawings.find("greet")).edges == drawing.edges
    changed = await desk.drawings.change_edge("greet", edge.id, {"priority": 4})
    assert (changed.id, changed.priority) == (edge.id, 4)


async def test_of_many_changes_at_once_all_are_kept(desk: Desk) -> None:
    await desk.draw()
    added = (desk.drawings.add_node("greet", {"node_id": f"n{number}", "component": "switch"}) for number in range(50))
    await asyncio.gather(*added, desk.runs.change("greet", {"description": "busy"}))
    after = await desk.drawings.find("greet")
    assert {f"n{number}" for number in range(50)} < {node.node_id for node in after.nodes}
    assert after.description == "busy"


async def test_of_changes_that_servers_make_at_once_all_are_kept(desk: Desk) -> None:
    await desk.draw()
    servers = [Drawings(engine=desk.bench.engine, catalogue=Shouting()) for _ in range(3)]
    changes = (
        server.add_node("greet", {"node_id": f"n{place}-{number}", "component": "switch"})
        for place, server in enumerate(servers)
        for number in range(4)
    )
    await asyncio.gather(*changes)
    assert len((await desk.drawings.find("greet")).nodes) == 2 + 12


async def test_changes_are_told_to_those_who_follow(desk: Desk) -> None:
    await desk.draw()
    with desk.drawings.news.follow() as follower:
        node = await desk.drawings.add_node("greet", {"node_id": "more", "component": "acme/shout"})
        await desk.drawings.change_node("greet", "more", {"x": 1})
        await desk.drawings.change_node("greet", "more", {})
        edge = await desk.drawings.add_edge("greet", {"source": "say", "target": "more"})
        await desk.drawings.change_edge("greet", edge.id, {"priority": 1})
        await desk.drawings.change_edge("greet", edge.id, {"priority": 1})
        await desk.drawings.remove_edge("greet", edge.id)
        await desk.drawings.remove_node("greet", "more")
        await desk.runs.change("greet", {"slug": "salute"})
        await desk.runs.change("salute", {"slug": "salute"})
        await desk.runs.change("salute", {})
        told = [await follower.next() for _ in range(7)]
    assert [news.kind.value for news in told] == [
        *("node_created", "node_updated", "edge_created", "edge_updated", "edge_deleted", "node_deleted"),
        "workflow_updated",
    ]
    assert {news.slug for news in told} == {"greet"}
    assert told[-1].drawing.slug == "salute"
    assert told[0].node == node
    assert [news.edge.id for news in told if news.edge is not None] == [edge.id] * 3
    assert told[5].node is not None
    assert told[5].node.node_id == "more"


async def test_who_leaves_too_much_lying_is_told_so(desk: Desk) -> None:
    drawing = await desk.draw()
    with desk.drawings.news.follow() as follower:
        for _ in range(MOST_WAITING + 1):
            desk.drawings.news.tell(News(kind=Kind.CHANGED, slug="greet", drawing=drawing))
        with pytest.raises(errors.FellBehind):
            await follower.next()
    desk.drawings.news.tell(News(kind=Kind.CHANGED, slug="greet", drawing=drawing))  # nobody is there any more


# ── Running ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_drawing_runs_as_it_is_when_it_is_started(desk: Desk) -> None:
    await desk.draw()
    first = await desk.runs.execute("greet", value="hello")
    assert first.run.plan.labels == {"drawing": "greet", "trigger": "ask", "kind": "chat"}
    await desk.drawings.add_node("greet", {"node_id": "again", "component": "acme/shout"})
    await desk.drawings.add_edge("greet", {"source": "say", "target": "again"})
    assert await desk.ended(first) == "HELLO!"
    second = await desk.runs.execute("greet", trigger="ask", value={"text": "you"}, labels={"by": "me"})
    assert await desk.ended(second) == "YOU!!"
    assert second.run.plan.labels["by"] == "me"
    flow = await desk.flows.find("drawn/greet/ask")
    assert (flow.version, flow.source, flow.enabled) == (2, "drawing", True)
    assert flow.drawing == (await desk.drawings.find("greet")).id
    await desk.ended(await desk.runs.execute("greet", value="x"))
    assert (await desk.flows.find("drawn/greet/ask")).version == 2


async def test_whoever_starts_its_flow_runs_what_is_drawn_by_now(desk: Desk) -> None:
    await desk.draw()
    flow = (await desk.runs.flow("greet", "ask")).flow
    await desk.drawings.add_node("greet", {"node_id": "again", "component": "acme/shout"})
    await desk.drawings.add_edge("greet", {"source": "say", "target": "again"})
    run = (await desk.flows.start(flow.id)).run
    assert set(run.plan.nodes) == {"say", "again"}
    assert run.plan.provenance is not None
    assert run.plan.provenance.version == 2
    assert (await desk.flows.to_run(flow.id)).version.number == 2
    old = (await desk.flows.start(flow.id, version=1)).run
    assert set(old.plan.nodes) == {"say"}


async def test_each_trigger_begins_a_flow_of_its_own(desk: Desk) -> None:
    await desk.draw()
    await desk.drawings.add_node("greet", {"node_id": "press", "component": "trigger_manual"})
    await desk.drawings.add_node("greet", {"node_id": "call", "component": "acme/shout"})
    await desk.drawings.add_edge("greet", {"source": "press", "target": "call"})
    by_hand = await desk.runs.execute("greet", value="a")
    assert set(by_hand.run.plan.nodes) == {"call"}
    said = await desk.runs.execute("greet", trigger="ask", value="b")
    assert set(said.run.plan.nodes) == {"say"}
    await desk.runs.execute("greet", value="a")
    flows = (await desk.flows.list(namespace="drawn/greet")).flows
    assert [(flow.name, flow.version) for flow in flows] == [("ask", 1), ("press", 1)]


async def test_what_cannot_run_is_told_whole_and_nothing_begins(desk: Desk) -> None:
    await desk.draw()
    with pytest.raises(errors.UnknownDrawnNode):
        await desk.runs.execute("greet", trigger="nobody")
    with pytest.raises(errors.UnfitDrawing, match="no trigger"):
        await desk.runs.execute("greet", trigger="say")
    with pytest.raises(errors.TooLarge):
        await desk.runs.execute("greet", value="x" * (1 << 21))
    await desk.drawings.add_node("greet", {"node_id": "bot", "component": "agent"})
    await desk.drawings.add_edge("greet", {"source": "say", "target": "bot"})
    found = await desk.runs.validate("greet")
    assert "Node 'bot' is missing required 'model' connection" in found
    with pytest.raises(errors.UnfitDrawing) as refused:
        await desk.runs.execute("greet", value="x")
    assert "Node 'bot' is missing required 'model' connection" in refused.value.sentences
    await desk.runs.change("greet", {"active": False})
    with pytest.raises(errors.Malformed, match="not active"):
        await desk.runs.execute("greet", value="x")
    assert (await desk.bench.runs.list()).total == 0


async def test_its_flows_go_as_the_drawing_goes(desk: Desk) -> None:
    with asked_by(ANN):
        await desk.draw()
        view = await desk.runs.execute("greet", value="hello")
        before = await desk.flows.find("drawn/greet/ask")
        await desk.runs.change("greet", {"slug": "salute", "active": False, "public": True})
        after = await desk.flows.find("drawn/salute/ask")
        assert (after.id, after.enabled, after.public) == (before.id, False, True)
        with pytest.raises(errors.Conflict, match="change that"):
            await desk.flows.enable(after.id)
        with pytest.raises(errors.Conflict, match="change that"):
            await desk.flows.remove(after.id)
        with pytest.raises(errors.Conflict, match="not active"):
            await desk.flows.start(after.id)
        await desk.runs.remove("salute")
        with pytest.raises(errors.UnknownSavedFlow):
            await desk.flows.get(before.id)
        assert await desk.ended(view) == "HELLO!"


async def test_a_drawing_that_cannot_run_any_more_can_still_be_shut(desk: Desk) -> None:
    with asked_by(ANN):
        await desk.draw(public=True)
        flow = (await desk.runs.flow("greet", "ask")).flow
        await desk.drawings.change_node("greet", "say", {"component": "agent"})
        with pytest.raises(errors.UnfitDrawing):
            await desk.flows.start(flow.id)
        await desk.runs.change("greet", {"active": False, "public": False})
        shut = await desk.flows.find(flow.id)
        assert (shut.enabled, shut.public, shut.version) == (False, False, 1)
        with pytest.raises(errors.Conflict, match="not active"):
            await desk.flows.start(flow.id)
    with asked_by(BOB), pytest.raises(errors.UnknownSavedFlow):
        await desk.flows.find(flow.id)


async def test_a_name_that_a_flow_was_left_behind_under_is_no_obstacle(desk: Desk) -> None:
    gone = await desk.draw("salute")
    left = (await desk.runs.flow("salute", "ask")).flow
    await desk.drawings.remove("salute")  # as if the server had died before its flows went, too
    await desk.draw("greet")
    old = (await desk.runs.flow("greet", "ask")).flow
    renamed = await desk.runs.change("greet", {"slug": "salute"})
    view = await desk.runs.execute("salute", value="hello")
    assert await desk.ended(view) == "HELLO!"
    taken = await desk.flows.find("drawn/salute/ask")
    assert (taken.id, taken.drawing) == (left.id, renamed.id)
    assert renamed.id != gone.id
    run = (await desk.flows.start(old.id)).run  # what was named before means the drawing still
    assert run.plan.provenance is not None
    assert run.plan.provenance.flow == left.id


async def test_drawings_run_each_other_but_not_in_a_circle(desk: Desk) -> None:
    inner = await desk.draw("inner")
    await desk.drawings.create({"slug": "outer", "name": "Outer", "error_handler": inner.id})
    await desk.drawings.add_node("outer", {"node_id": "ask", "component": "trigger_chat"})
    await desk.drawings.add_node("outer", {"node_id": "sub", "component": "workflow", "subdrawing": inner.id})
    await desk.drawings.add_node("outer", {"node_id": "say", "component": "acme/shout"})
    await desk.drawings.add_edge("outer", {"source": "ask", "target": "sub"})
    await desk.drawings.add_edge("outer", {"source": "sub", "target": "say"})
    assert not await desk.runs.validate("outer")
    view = await desk.runs.execute("outer", value="hello")
    flow = await desk.flows.find("drawn/inner/ask")
    assert view.run.plan.flow.on_error == flow.id
    assert {edge.flow for edge in view.run.plan.edges.values()} >= {flow.id}
    outer = await desk.drawings.find("outer")
    await desk.drawings.add_node("inner", {"node_id": "back", "component": "workflow", "subdrawing": outer.id})
    await desk.drawings.add_edge("inner", {"source": "say", "target": "back"})
    with pytest.raises(errors.UnfitDrawing, match="outer → inner → outer"):
        await desk.runs.execute("outer", value="hello")


async def test_a_drawing_needs_so_many_others_at_most(desk: Desk) -> None:
    await desk.draw()
    for number in range(MOST_OTHERS + 1):
        inner = await desk.runs.put(f"inner{number}", {"name": "Inner"}, NODES, EDGES)
        await desk.drawings.add_node("greet", {"component": "workflow", "subdrawing": inner.id})
    with pytest.raises(errors.UnfitDrawing, match="more than 32 others"):
        await desk.runs.execute("greet", value="hello")


async def test_who_is_asked_twice_with_one_key_runs_once(desk: Desk) -> None:
    await desk.draw()
    first = await desk.runs.execute("greet", value="hello", idempotency_key="k")
    again = await desk.runs.execute("greet", value="hello", idempotency_key="k")
    assert first.run.id == again.run.id
    assert await desk.ended(again) == "HELLO!"


async def test_what_it_is_given_is_what_it_says(desk: Desk) -> None:
    schema = {"type": "object", "required": ["text"], "properties": {"text": {"maxLength": 5}}}
    await desk.draw(input_schema=schema)
    assert await desk.ended(await desk.runs.execute("greet", value="hello")) == "HELLO!"
    assert await desk.ended(await desk.runs.execute("greet", value={"text": "you", "more": 1})) == "YOU!"
    with pytest.raises(errors.UnfitInput, match=r"\$\.text has more than 5 letters"):
        await desk.runs.execute("greet", value="too long")
    with pytest.raises(errors.UnfitInput, match=r"\$\.text is required"):
        await desk.runs.execute("greet", value={"more": 1})
    await desk.runs.change("greet", {"input_schema": {"type": "string", "minLength": 2}})
    with pytest.raises(errors.UnfitInput, match="less than 2 letters"):
        await desk.runs.execute("greet", value="a")
    assert (await desk.bench.runs.list()).total == 2


# ── As a whole ───────────────────────────────────────────────────────────────────────────────────────────────────

NODES = ({"node_id": "ask", "component": "trigger_chat"}, {"node_id": "say", "component": "acme/shout"})
EDGES = ({"source": "ask", "target": "say"},)


async def test_a_drawing_is_put_as_a_whole_and_what_is_as_it_was_keeps_its_number(desk: Desk) -> None:
    with asked_by(ANN):
        first = await desk.runs.put("greet", {"name": "Greet"}, NODES, EDGES)
        assert first.revision == 1
        assert await desk.runs.put("greet", {"name": "Greet"}, NODES, EDGES) == first
        with desk.drawings.news.follow() as follower:
            more = ({"node_id": "more", "component": "acme/shout"}, *NODES)
            second = await desk.runs.put(
                "greet", {"name": "Greet"}, more, ({"source": "say", "target": "more"}, *EDGES)
            )
            assert (await follower.next()).drawing == second
        assert [node.id for node in second.nodes] == [3, first.nodes[0].id, first.nodes[1].id]
        assert [edge.id for edge in second.edges] == [2, first.edges[0].id]
        assert second.nodes[1:] == first.nodes
        for wrong, kind in (
            ({"if_revision": 1}, errors.Conflict),
            ({"nodes": (*NODES, NODES[0])}, errors.DrawnNodeTaken),
            ({"edges": ({"source": "ask", "target": "no"},)}, errors.UnknownDrawnNode),
            ({"edges": (*EDGES, *EDGES)}, errors.DrawnEdgeTaken),
            ({"edges": ({"source": "say", "target": "ask"},)}, errors.UnfitEdge),
            ({"said": {"name": ""}}, errors.Malformed),
            ({"said": {"name": "x", "error_handler": 77}}, errors.Malformed),
        ):
            asked: dict[str, Any] = {"said": {"name": "Greet"}, "nodes": NODES, "edges": EDGES, **wrong}
            with pytest.raises(kind):
                await desk.runs.put("greet", **asked)
        assert await desk.drawings.find("greet") == second


async def test_putting_a_drawing_never_changes_somebody_elses(desk: Desk) -> None:
    with asked_by(ANN):
        hers = await desk.runs.put("greet", {"name": "Hers", "public": True}, NODES, EDGES)
    for other in (BOB, ADMIN):
        with asked_by(other):
            own = await desk.runs.put("greet", {"name": "Mine"}, (), ())
            assert own.account == other.user
            assert await desk.drawings.find("greet") == own
    assert await desk.drawings.get(hers.id) == hers
    assert (await desk.drawings.list()).total == 3
    nobodys = await desk.runs.put("greet", {"name": "Nobody's"}, (), ())
    with asked_by(ADMIN):
        await desk.drawings.create({"slug": "other", "name": "Other"})
        await desk.runs.remove("greet")
        changed = await desk.runs.put("greet", {"name": "Seen to"}, (), ())
    assert (changed.id, changed.account) == (nobodys.id, None)


async def test_an_administrator_removes_what_is_somebody_elses_with_its_flows(desk: Desk) -> None:
    with asked_by(ANN):
        await desk.draw()
        view = await desk.runs.execute("greet", value="hello")
        flow = await desk.flows.find("drawn/greet/ask")
    with asked_by(ADMIN):
        await desk.runs.change("greet", {"slug": "salute"})
        assert (await desk.flows.get(flow.id)).flow.full_name == "drawn/salute/ask"
        await desk.runs.remove("salute")
        with pytest.raises(errors.UnknownSavedFlow):
            await desk.flows.get(flow.id)
    with asked_by(ANN):
        assert await desk.ended(view) == "HELLO!"
