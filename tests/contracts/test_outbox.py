"""What `ports.Outbox` promises."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from pupload import errors, ports
from pupload.domain import delivery
from tests.contracts import states
from tests.contracts.states import NOON, Bench, state

__all__ = ["state"]


def a_delivery(name: str = "msg_a", *, host: str = "hooks.example", due: float = 0) -> delivery.Delivery:
    """Due so many seconds after noon."""
    return delivery.Delivery(
        id=name,
        run="run_a",
        kind="run.completed",
        url=f"https://{host}/in?key=1",
        body=b'{"type":"run.completed"}',
        place=0,
        created_at=NOON,
        due_at=NOON + timedelta(seconds=due),
    )


def ids(found: Iterable[delivery.Delivery]) -> list[str]:
    return [one.id for one in found]


async def test_a_delivery_reads_back_after_a_restart(state: Bench) -> None:
    await state.runs.create(states.created(states.a_run()))
    await state.outbox.add([a_delivery()])
    await state.again()
    assert await state.outbox.get("run_a", "msg_a") == a_delivery()


async def test_what_is_there_already_stays_as_it_is(state: Bench) -> None:
    await state.runs.create(states.created(states.a_run()))
    await state.outbox.add([a_delivery()])
    kept = await state.outbox.put(replace(a_delivery(), state=delivery.State.DELIVERED, due_at=None))
    await state.outbox.add([a_delivery(), a_delivery("msg_b")])
    assert await state.outbox.of_run("run_a") == [kept, a_delivery("msg_b")]


async def test_of_two_who_save_one_version_one_succeeds(state: Bench) -> None:
    await state.runs.create(states.created(states.a_run()))
    await state.outbox.add([a_delivery()])
    claims = [delivery.claimed(a_delivery(), now=NOON + timedelta(seconds=number)) for number in range(2)]
    saved = [one for one in await asyncio.gather(*map(state.outbox.put, claims)) if one is not None]
    assert len(saved) == 1
    assert saved[0].version == 2
    assert await state.outbox.get("run_a", "msg_a") == saved[0]


async def test_nothing_is_kept_for_a_run_that_is_not_there(state: Bench) -> None:
    await state.outbox.add([a_delivery()])
    assert await state.outbox.put(a_delivery()) is None
    assert await state.outbox.of_run("run_a") == []
    with pytest.raises(errors.UnknownDelivery):
        await state.outbox.get("run_a", "msg_a")


async def test_a_delivery_of_another_run_is_unknown(state: Bench) -> None:
    await state.runs.create(states.created(states.a_run()))
    await state.runs.create(states.created(states.a_run("run_b")))
    await state.outbox.add([a_delivery()])
    with pytest.raises(errors.UnknownDelivery):
        await state.outbox.get("run_b", "msg_a")


async def test_deliveries_go_with_their_run(state: Bench) -> None:
    await state.runs.create(states.created(states.a_run()))
    await state.outbox.add([a_delivery()])
    await state.runs.delete("run_a")
    assert await state.outbox.of_run("run_a") == []
    assert await state.outbox.due(NOON, per_host=9, limit=9) == []
    assert await state.outbox.outlook() == ports.Outlook(pending=0, due_at=None)


async def test_those_due_come_earliest_first(state: Bench) -> None:
    await state.runs.create(states.created(states.a_run()))
    await state.outbox.add([a_delivery("msg_a", due=2), a_delivery("msg_b", due=1), a_delivery("msg_c", due=3)])
    now = NOON + timedelta(seconds=2)
    assert ids(await state.outbox.due(now, per_host=9, limit=9)) == ["msg_b", "msg_a"]
    assert ids(await state.outbox.due(now, per_host=9, limit=1)) == ["msg_b"]


async def test_a_host_with_many_hides_nobody_else(state: Bench) -> None:
    await state.runs.create(states.created(states.a_run()))
    many = [a_delivery(f"msg_{number:03}", host="slow.example") for number in range(200)]
    await state.outbox.add([*many, a_delivery("msg_z", host="other.example", due=1)])
    found = await state.outbox.due(NOON + timedelta(seconds=2), per_host=2, limit=9)
    assert ids(found) == ["msg_000", "msg_001", "msg_z"]


async def test_what_is_over_is_not_due(state: Bench) -> None:
    await state.runs.create(states.created(states.a_run()))
    await state.outbox.add([a_delivery("msg_a"), a_delivery("msg_b", due=5)])
    assert await state.outbox.outlook() == ports.Outlook(pending=2, due_at=NOON)
    await state.outbox.put(replace(a_delivery("msg_a"), state=delivery.State.FAILED, due_at=None))
    assert await state.outbox.due(NOON, per_host=9, limit=9) == []
    assert await state.outbox.outlook() == ports.Outlook(pending=1, due_at=NOON + timedelta(seconds=5))
