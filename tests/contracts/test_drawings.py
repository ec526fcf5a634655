"""What `ports.Drawings` promises."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pupload import errors
from pupload.domain.drawing.model import Drawing, DrawnEdge, DrawnNode, EdgeType
from tests.contracts.states import NOON, Bench, state

__all__ = ["state"]


def a_drawing(slug: str = "greet", **facts: Any) -> Drawing:
    """A drawing of two nodes and an edge, not saved yet."""
    nodes = (
        DrawnNode(node_id="ask", component="trigger_chat", updated_at=NOON),
        DrawnNode(
            node_id="say",
            component="code",
            label="Say it",
            interrupt_before=True,
            x=-3,
            y=40,
            config={"extra_config": {"greeting": "hello", "deep": [1, 2.5, None, {"a": True}]}},
            subdrawing=7,
            updated_at=NOON + timedelta(seconds=1),
        ),
    )
    edges = (
        DrawnEdge(source="ask", target="say"),
        DrawnEdge(
            source="say", target="ask", type=EdgeType.CONDITIONAL, condition="yes", mapping={"yes": "ask"}, priority=2
        ),
    )
    given: dict[str, Any] = {"nodes": nodes, "edges": edges, "name": "Greet", **facts}
    return Drawing(slug=slug, created_at=NOON, updated_at=NOON, **given)


async def test_a_drawing_reads_back_after_a_restart(state: Bench) -> None:
    facts: dict[str, Any] = {
        "description": "Greets whoever comes",
        "tags": ("friendly", "été"),
        "account": 3,
        "active": False,
        "public": True,
        "default": True,
        "error_handler": 9,
        "input_schema": {"type": "object", "required": ["text"]},
        "output_schema": {},
        "max_seconds": 5,
    }
    made = await state.drawings.create(a_drawing(**facts))
    await state.again()
    assert await state.drawings.get(made.id) == made
    assert await state.drawings.find("greet") == made
    expected = a_drawing(**facts)
    nodes = tuple(replace(node, id=given.id) for node, given in zip(expected.nodes, made.nodes, strict=True))
    edges = tuple(replace(edge, id=given.id) for edge, given in zip(expected.edges, made.edges, strict=True))
    assert made == replace(expected, id=made.id, nodes=nodes, edges=edges, revision=1)


async def test_numbers_are_given_once(state: Bench) -> None:
    first = await state.drawings.create(a_drawing("one"))
    second = await state.drawings.create(a_drawing("two"))
    await state.drawings.remove(second.id, at=NOON)
    fewer = await state.drawings.save(replace(first, nodes=first.nodes[:1], edges=()))
    await state.again()
    more = await state.drawings.save(replace(fewer, nodes=(*fewer.nodes, a_drawing().nodes[1]), edges=first.edges[:1]))
    third = await state.drawings.create(a_drawing("two"))
    assert [fewer.id, more.id] == [first.id, first.id]
    assert more.nodes[0].id == first.nodes[0].id
    assert more.edges[0].id == first.edges[0].id
    everything = [first, second, third]
    assert len({each.id for each in everything}) == 3
    nodes = [node.id for each in everything for node in each.nodes] + [more.nodes[1].id]
    edges = [edge.id for each in everything for edge in each.edges]
    assert len(set(nodes)) == 7
    assert len(set(edges)) == 6
    assert min(*nodes, *edges) > 0


async def test_what_is_not_there_is_told(state: Bench) -> None:
    with pytest.raises(errors.UnknownDrawing):
        await state.drawings.get(1)
    with pytest.raises(errors.UnknownDrawing):
        await state.drawings.find("greet")
    with pytest.raises(errors.UnknownDrawing):
        await state.drawings.save(replace(a_drawing(), id=1))
    with pytest.raises(errors.UnknownDrawing):
        await state.drawings.remove(1, at=NOON)
    assert (await state.drawings.list()).total == 0


async def test_a_slug_is_given_once_for_each_account(state: Bench) -> None:
    mine = await state.drawings.create(a_drawing(account=1))
    nobodys = await state.drawings.create(a_drawing())
    with pytest.raises(errors.DrawingTaken):
        await state.drawings.create(a_drawing(account=1))
    with pytest.raises(errors.DrawingTaken):
        await state.drawings.create(a_drawing())
    other = await state.drawings.create(a_drawing("other", account=1))
    with pytest.raises(errors.DrawingTaken):
        await state.drawings.save(replace(other, slug="greet"))
    assert await state.drawings.get(other.id) == other
    renamed = await state.drawings.save(replace(mine, slug="salute"))
    assert (await state.drawings.save(replace(other, slug="greet"))).slug == "greet"
    assert (await state.drawings.find("salute")).id == renamed.id
    assert (await state.drawings.find("greet")).id == nobodys.id


async def test_of_those_who_want_one_slug_at_once_one_gets_it(state: Bench) -> None:
    ends = await asyncio.gather(
        *(state.drawings.create(a_drawing(account=1)) for _ in range(4)), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["Drawing", *["DrawingTaken"] * 3]
    assert (await state.drawings.list()).total == 1


async def test_of_those_who_change_a_drawing_at_once_one_succeeds(state: Bench) -> None:
    made = await state.drawings.create(a_drawing())
    ends = await asyncio.gather(
        *(state.drawings.save(replace(made, description=str(one), nodes=())) for one in range(4)),
        return_exceptions=True,
    )
    assert [type(end) for end in ends if not isinstance(end, Drawing)] == [errors.DrawingChanged] * 3
    (winner,) = (end for end in ends if isinstance(end, Drawing))
    assert winner.revision == 2
    assert await state.drawings.get(made.id) == winner


async def test_one_drawing_of_an_account_is_the_default(state: Bench) -> None:
    first = await state.drawings.create(a_drawing("one", account=1, default=True))
    elses = await state.drawings.create(a_drawing("one", account=2, default=True))
    second = await state.drawings.create(a_drawing("two", account=1))
    await state.drawings.save(replace(second, default=True))
    assert not (await state.drawings.get(first.id)).default
    assert (await state.drawings.get(second.id)).default
    assert (await state.drawings.get(elses.id)).default
    # Who had read the first one before would make it the default again, unawares.
    with pytest.raises(errors.DrawingChanged):
        await state.drawings.save(first)
    page = await state.drawings.list(account=1)
    assert [line.drawing.default for line in page.drawings] == [False, True]


async def test_drawings_are_listed_by_number_as_far_as_they_are_seen(state: Bench) -> None:
    for slug, account, public in (("a", 1, False), ("b", 2, False), ("c", 2, True), ("d", None, False), ("e", 1, True)):
        await state.drawings.create(a_drawing(slug, account=account, public=public))

    async def listed(**asked: Any) -> tuple[list[str], int]:
        page = await state.drawings.list(**asked)
        return [line.drawing.slug for line in page.drawings], page.total

    assert await listed() == (["a", "b", "c", "d", "e"], 5)
    assert await listed(account=1) == (["a", "c", "e"], 3)
    assert await listed(account=2) == (["b", "c", "e"], 3)
    assert await listed(account=9) == (["c", "e"], 2)
    assert await listed(account=2, limit=1, offset=1) == (["c"], 3)
    assert await listed(limit=0) == ([], 5)
    assert await listed(offset=9) == ([], 5)
    (line,) = (await state.drawings.list(limit=1)).drawings
    assert (line.nodes, line.edges) == (2, 2)
    assert (line.drawing.nodes, line.drawing.edges) == ((), ())


async def test_ones_own_drawing_is_found_before_others(state: Bench) -> None:
    made = {
        (account, public): (await state.drawings.create(a_drawing(account=account, public=public))).id
        for account, public in ((1, False), (2, True), (3, True), (None, False))
    }

    async def found(**asked: Any) -> int:
        return (await state.drawings.find("greet", **asked)).id

    assert await found(account=1, first=1) == made[1, False]
    assert await found(account=3, first=3) == made[3, True]
    assert await found(account=9, first=9) == made[2, True]
    assert await found() == made[None, False]
    assert await found(first=9) == made[1, False]
    assert await found(first=3) == made[3, True]
    await state.drawings.create(a_drawing("private", account=1))
    with pytest.raises(errors.UnknownDrawing):
        await state.drawings.find("private", account=2, first=2)


async def test_what_is_removed_is_not_there_and_its_slug_is_free(state: Bench) -> None:
    made = await state.drawings.create(a_drawing(account=1, default=True))
    await state.drawings.remove(made.id, at=NOON)
    await state.again()
    for gone in (state.drawings.get(made.id), state.drawings.find("greet"), state.drawings.remove(made.id, at=NOON)):
        with pytest.raises(errors.UnknownDrawing):
            await gone
    with pytest.raises(errors.UnknownDrawing):
        await state.drawings.save(made)
    assert (await state.drawings.list()).total == 0
    again = await state.drawings.create(a_drawing(account=1))
    assert again.id != made.id
    assert (await state.drawings.list()).total == 1
