"""What `namespace.Namespaces` promises."""

import asyncio
from dataclasses import replace

from pupload.domain.namespace import Namespace, Sketch
from tests.contracts.states import NOON, Bench, state

__all__ = ["state"]


def a_namespace(name: str = "shop", **more: object) -> Namespace:
    return Namespace(name=name, created_at=NOON, **more)  # type: ignore[arg-type]


async def put(state: Bench, this: Namespace) -> Namespace:
    saved = await state.namespaces.put(this)
    assert saved is not None
    return saved


async def test_a_namespace_reads_back_whole_after_a_restart(state: Bench) -> None:
    sketches = {"main": Sketch(version=3, graph='{"nodes": ["ä"]}')}
    saved = await put(state, a_namespace(account=7, description="Ours", running=True, sketches=sketches))
    assert saved.revision == 1
    await state.again()
    assert list(await state.namespaces.find("shop")) == [saved]


async def test_of_two_who_save_at_once_one_is_told(state: Bench) -> None:
    saved = await put(state, a_namespace())
    told = await asyncio.gather(*(state.namespaces.put(replace(saved, description=each)) for each in "ab"))
    (winner,) = [each for each in told if each is not None]
    assert list(await state.namespaces.find("shop")) == [winner]
    assert await state.namespaces.put(saved) is None


async def test_a_name_is_one_namespaces_of_an_account(state: Bench) -> None:
    nobodys = await put(state, a_namespace())
    assert await state.namespaces.put(a_namespace(description="another")) is None
    eighth, seventh = [await put(state, a_namespace(account=number)) for number in (8, 7)]
    assert list(await state.namespaces.find("shop")) == [nobodys, seventh, eighth]
    assert list(await state.namespaces.find("Shop")) == []
    await state.namespaces.remove(eighth)
    await state.namespaces.remove(eighth)
    assert list(await state.namespaces.find("shop")) == [nobodys, seventh]
    assert await state.namespaces.put(replace(eighth, description="gone")) is None


async def test_lists_are_by_name_and_of_one_account_where_that_is_asked(state: Bench) -> None:
    for name, account in (("b", None), ("a", 7), ("c", 7), ("b", 8)):
        await put(state, a_namespace(name, account=account))
    assert [(each.name, each.account) for each in await state.namespaces.list()] == [
        ("a", 7),
        ("b", None),
        ("b", 8),
        ("c", 7),
    ]
    assert [each.name for each in await state.namespaces.list(account=7)] == ["a", "c"]
    assert list(await state.namespaces.list(account=9)) == []
