"""Known facts over a pupload in memory: given to runs, taken from nodes, shown to whose they are."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.adapters.memory import containers
from pupload.domain import flow as flows
from pupload.domain import knowledge
from pupload.domain.access import Caller, Role
from pupload.domain.knowledge import Saying, Scope
from pupload.domain.nodedef import NodeDef, Port
from pupload.domain.run import Run, Status
from pupload.service import flows as saving
from pupload.service.asking import asked_by
from pupload.service.flows import Flows
from pupload.service.handing import Hands
from pupload.service.knowledge import Knowledge
from tests.bench import Bench, a_bench, copies
from tests.builders import a_definition, a_flow, a_node, a_well

ANN, BOB = (Caller(user=number, name=name, role=Role.EDITOR) for number, name in ((1, "ann"), (2, "bob")))
ROOT = Caller(user=3, name="root", role=Role.ADMIN)

IMAGE = "pupload/resize:latest"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image(IMAGE, copies("image", "resized"))
        yield found


def started(bench: Bench) -> Knowledge:
    """What follows from runs is seen to from now on."""
    hands = Hands(engine=bench.engine, uploads=bench.uploads)
    found = Knowledge(engine=bench.engine, hands=hands)
    bench.engine.consequences.start([found])
    return found


def telling() -> Sequence[NodeDef]:
    """A node type that tells what it is given."""
    inputs, outputs = [Port(name="image", types=("*/*",))], [Port(name="resized", types=(knowledge.MEDIA,))]
    return [a_definition("pupload/resize", inputs=inputs, outputs=outputs)]


def tells() -> flows.Flow:
    return a_flow(a_node("tell", inputs={"image": "said"}, outputs={"resized": "told"}))


def asks() -> flows.Flow:
    well = a_well("known", source="facts")
    return a_flow(a_node("ask", inputs={"image": "known"}, outputs={"resized": "result"}), wells=[well])


async def told(bench: Bench, *said: dict[str, Any], saved: str = "") -> Run:
    """A run, over, of which a node told this; of the flow that is saved so, where it is."""
    if saved:
        flow = Flows(engine=bench.engine, runs=bench.runs)
        content = saving.Draft(content=flows_content())
        await flow.save(saved, content)
        run = (await flow.start(saved)).run
    else:
        run = await bench.start(tells(), telling())
    await bench.upload(run, "said", "\n".join(json.dumps(each) for each in said).encode())
    return await bench.ended(run)


def flows_content() -> Any:
    from pupload.domain.saved import Content

    return Content(flow=tells(), definitions=tuple(telling()))


async def known(bench: Bench) -> Any:
    """What a run is given that asks."""
    run = await bench.ended(await bench.start(asks()))
    assert run.status is Status.COMPLETE, run.error
    return json.loads(await bench.download(run, "result"))


async def test_a_run_is_given_what_an_earlier_one_told(bench: Bench) -> None:
    facts = started(bench)
    assert await known(bench) == {}
    run = await told(bench, {"key": "cursor", "value": [1, "two"], "scope": "user"}, {"key": "own", "value": 1})
    assert run.status is Status.COMPLETE
    assert await known(bench) == {"cursor": [1, "two"]}
    page = await facts.list()
    assert {(fact.key, fact.scope) for fact in page.facts} == {("cursor", Scope.USER), ("own", Scope.SESSION)}
    cursor = next(fact for fact in page.facts if fact.key == "cursor")
    assert (cursor.times_confirmed, cursor.access_count) == (1, 1)
    await told(bench, {"key": "cursor", "value": 3, "scope": "user"})
    assert await known(bench) == {"cursor": 3}
    assert (await facts.get(cursor.id)).times_confirmed == 2


async def test_each_account_has_its_own(bench: Bench) -> None:
    facts = started(bench)
    with asked_by(ANN):
        await told(
            bench, {"key": "mine", "value": "ann's", "scope": "user"}, {"key": "all", "value": 1, "scope": "global"}
        )
        assert await known(bench) == {"mine": "ann's", "all": 1}
        (mine,) = [fact for fact in (await facts.list()).facts if fact.key == "mine"]
    with asked_by(BOB):
        assert await known(bench) == {}
        assert (await facts.list()).total == 0
        with pytest.raises(errors.UnknownFact):
            await facts.get(mine.id)
        await facts.forget([mine.id])
        with pytest.raises(errors.Forbidden):
            await facts.say(Saying(key="all", written="2", scope=Scope.GLOBAL))
    with asked_by(ROOT):
        assert (await facts.get(mine.id)).value == "ann's"
        await facts.say(Saying(key="all", written="2", scope=Scope.GLOBAL))
    with asked_by(BOB):
        assert await known(bench) == {"all": 2}
    with asked_by(ANN):
        await facts.forget([mine.id])
        assert "mine" not in await known(bench)


async def test_a_flow_knows_what_its_own_runs_told(bench: Bench) -> None:
    facts = started(bench)
    run = await told(bench, {"key": "seen", "value": 7}, saved="watcher")
    (fact,) = (await facts.list()).facts
    assert (fact.scope, fact.flow, fact.value) == (Scope.AGENT, run.plan.flow_id, 7)
    assert await known(bench) == {}


async def test_a_node_that_fails_tells_nothing(bench: Bench) -> None:
    facts = started(bench)

    def fails(order: Any) -> containers.Outcome:
        return replace(copies("image", "resized")(order), code=1)

    bench.image(IMAGE, fails)
    definitions = [replace(each, max_attempts=1) for each in telling()]
    run = await bench.start(tells(), definitions)
    await bench.upload(run, "said", b'{"key":"a","value":1,"scope":"user"}')
    assert (await bench.ended(run)).status is Status.ERROR
    assert (await facts.list()).total == 0


async def test_what_cannot_be_understood_tells_nothing_and_fails_nobody(bench: Bench) -> None:
    facts = started(bench)
    run = await told(bench, {"key": "a", "value": 1, "scope": "user"}, {"no": "fact"})
    assert run.status is Status.COMPLETE
    assert (await facts.list()).total == 0


async def test_what_was_told_counts_once_however_often_it_is_looked_at(bench: Bench) -> None:
    facts = started(bench)
    run = await told(bench, {"key": "a", "value": 1, "scope": "user"})
    again = Knowledge(engine=bench.engine, hands=Hands(engine=bench.engine, uploads=bench.uploads))
    for each in (facts, again, again):
        await each.see_to(run)
    (fact,) = (await facts.list()).facts
    assert fact.times_confirmed == 1


async def test_a_fact_of_a_run_or_a_flow_is_no_persons_to_tell(bench: Bench) -> None:
    facts = started(bench)
    for scope in (Scope.SESSION, Scope.AGENT):
        with pytest.raises(errors.Malformed):
            await facts.say(Saying(key="a", written="1", scope=scope))
