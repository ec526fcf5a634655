"""Known facts: how nodes say them, and which of them a run is given."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload import errors
from pupload.domain import knowledge
from pupload.domain.knowledge import Fact, Saying, Scope

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


def a_fact(key: str, value: Any, scope: Scope = Scope.USER, **others: Any) -> Fact:
    return Fact(
        id=f"{scope}-{key}",
        scope=scope,
        key=key,
        written=json.dumps(value),
        created_at=NOON,
        updated_at=NOON,
        **{"account": 7, "flow": "flow_1" if scope is Scope.AGENT else "", **others},
    )


def test_lines_say_facts_and_the_last_of_a_key_counts() -> None:
    text = '{"key":"a","value":1}\n\n{"key":"a","value":[null,2.50],"scope":"user","fact_type":"correction"}\n'
    text += '{"key":"a","value":"new","confidence":0.5}\n'
    assert knowledge.read(text) == [
        Saying(key="a", written='"new"', confidence=0.5),
        Saying(key="a", written="[null,2.5]", scope=Scope.USER, type="correction"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "[1]",
        '{"key":"a"}',
        '{"value":1}',
        '{"key":"","value":1}',
        '{"key":"' + "k" * 256 + '","value":1}',
        '{"key":1,"value":1}',
        '{"key":"a","value":NaN}',
        '{"key":"a","value":1e400}',
        '{"key":"a","value":1,"scope":"everybody"}',
        '{"key":"a","value":1,"scope":[]}',
        '{"key":"a","value":1,"fact_type":"gossip"}',
        '{"key":"a","value":1,"confidence":2}',
        '{"key":"a","value":1,"confidence":true}',
        '{"key":"a","value":"' + "v" * (64 * 1024) + '"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_fact_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(errors.Malformed) as refused:
        knowledge.read('{"key":"fine","value":1}\n' + line)
    assert refused.value.message.startswith("line 2 tells no fact")
    assert len(refused.value.message) < 200


def test_so_many_may_be_said_at_once() -> None:
    lines = [json.dumps({"key": str(number), "value": number}) for number in range(knowledge.MOST_AT_ONCE + 1)]
    assert len(knowledge.read("\n".join(lines[:-1]))) == knowledge.MOST_AT_ONCE
    with pytest.raises(errors.Malformed):
        knowledge.read("\n".join(lines))


def test_a_run_is_given_the_nearest() -> None:
    places = knowledge.places(account=7, flow="flow_1", run="run_1")
    facts = [
        a_fact("a", "everybody's", Scope.GLOBAL, account=None),
        a_fact("a", "the flow's", Scope.AGENT),
        a_fact("a", "the account's", Scope.USER),
        a_fact("b", "the flow's", Scope.AGENT),
        a_fact("b", "everybody's", Scope.GLOBAL, account=None),
        a_fact("c", "the run's", Scope.SESSION, run="run_1"),
        a_fact("c", "the account's", Scope.USER),
    ]
    found = {key: fact.value for key, fact in knowledge.nearest(reversed(facts), places).items()}
    assert found == {"a": "the account's", "b": "the flow's", "c": "the run's"}
    assert len(knowledge.places(account=None, flow="", run="run_1")) == 3


def test_who_says_the_same_once_more_confirms_it_and_the_same_artifact_does_not() -> None:
    before = a_fact("a", 1, said_by="run_1/facts")
    again = a_fact("a", 2, said_by="run_2/facts")
    after = knowledge.said_again(before, again)
    assert (after.value, after.times_confirmed, after.id, after.created_at) == (2, 2, before.id, before.created_at)
    assert knowledge.said_again(after, again) is after


@given(st.lists(st.tuples(st.sampled_from(list(Scope)), st.text(max_size=3), st.integers())))
def test_of_each_key_there_is_one_and_none_is_nearer(said: list[tuple[Scope, str, int]]) -> None:
    order = knowledge.places(account=7, flow="flow_1", run="run_1")
    facts = [a_fact(key, value, scope, run="run_1" if scope is Scope.SESSION else "") for scope, key, value in said]
    found = knowledge.nearest(facts, order)
    assert set(found) == {key for _, key, _ in said}
    for fact in facts:
        assert order.index(found[fact.key].place) <= order.index(fact.place)
