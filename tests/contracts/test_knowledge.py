"""What `ports.Knowledge` promises."""

from datetime import timedelta
from typing import Any

import pytest

from pupload import errors
from pupload.domain.knowledge import Fact, Scope
from tests.contracts.states import NOON, Bench, a_run, created, state

__all__ = ["state"]


def a_fact(number: int, key: str = "a", **others: Any) -> Fact:
    at = NOON + timedelta(minutes=number)
    said: dict[str, Any] = {"scope": Scope.USER, "account": 1, "written": f'{{"n":[{number},1e400]}}', **others}
    return Fact(id=f"fact-{number}", key=key, created_at=at, updated_at=at, **said)


async def test_what_is_known_reads_back_after_a_restart(state: Bench) -> None:
    mine, other = a_fact(1), a_fact(2, account=2)
    await state.knowledge.say([mine, other])
    await state.again()
    assert await state.knowledge.known([mine.place]) == [mine]
    assert await state.knowledge.get(other.id) == other
    with pytest.raises(errors.UnknownFact):
        await state.knowledge.get("fact-3")


async def test_a_key_is_known_once_in_its_place_and_confirmed(state: Bench) -> None:
    await state.knowledge.say([a_fact(1, said_by="run_1/facts"), a_fact(2, "b")])
    for _ in range(2):
        await state.knowledge.say([a_fact(3, said_by="run_2/facts", written='"new"', type="correction")])
    found = {fact.key: fact for fact in await state.knowledge.known([a_fact(1).place])}
    assert (found["a"].value, found["a"].times_confirmed, found["a"].id) == ("new", 2, "fact-1")
    assert found["b"].times_confirmed == 1
    assert (await state.knowledge.list(kind="correction")).total == 1


async def test_it_is_counted_who_is_given_it(state: Bench) -> None:
    mine, everybodys = a_fact(1), a_fact(2, scope=Scope.GLOBAL, account=None)
    await state.knowledge.say([mine, everybodys])
    given = await state.knowledge.known([mine.place, everybodys.place], count=True)
    assert [fact.id for fact in given] == [mine.id, everybodys.id]
    assert (await state.knowledge.get(mine.id)).access_count == 1
    await state.knowledge.say([a_fact(3, said_by="run_9/facts")])
    assert (await state.knowledge.get(mine.id)).access_count == 1


async def test_lists_are_of_an_account_a_scope_or_a_type(state: Bench) -> None:
    facts = [
        a_fact(1),
        a_fact(2, account=2),
        a_fact(3, scope=Scope.GLOBAL, account=None, type="correction"),
        a_fact(4, scope=Scope.AGENT, flow="flow_1"),
    ]
    await state.knowledge.say(facts)
    page = await state.knowledge.list()
    assert ([fact.id for fact in page.facts], page.total) == (["fact-4", "fact-3", "fact-2", "fact-1"], 4)
    assert [fact.id for fact in (await state.knowledge.list(account=1)).facts] == ["fact-4", "fact-1"]
    assert [fact.id for fact in (await state.knowledge.list(scope=Scope.GLOBAL)).facts] == ["fact-3"]
    assert [fact.id for fact in (await state.knowledge.list(limit=1, offset=1)).facts] == ["fact-3"]
    await state.knowledge.remove(["fact-1", "fact-9"])
    assert (await state.knowledge.list()).total == 3


async def test_what_one_run_knows_goes_with_it(state: Bench) -> None:
    run = await state.runs.create(created(a_run()))
    fact = a_fact(1, scope=Scope.SESSION, run=run.id)
    await state.knowledge.say([fact, a_fact(2)])
    assert await state.knowledge.known([fact.place]) == [fact]
    await state.runs.delete(run.id)
    assert (await state.knowledge.list()).total == 1
