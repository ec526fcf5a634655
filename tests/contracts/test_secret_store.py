"""What `ports.SecretStore` promises."""

from datetime import timedelta

import pytest

from pupload import errors, ports
from tests.contracts.states import NOON, Bench, state

__all__ = ["state"]


async def test_a_secret_reads_back_after_a_restart(state: Bench) -> None:
    await state.secrets.put("KEY", "päss\nword\x00", at=NOON)
    await state.again()
    assert await state.secrets.reveal("KEY") == "päss\nword\x00"


async def test_a_secret_replaces_the_one_of_its_name(state: Bench) -> None:
    await state.secrets.put("KEY", "earlier", at=NOON)
    await state.secrets.put("KEY", "later", at=NOON + timedelta(seconds=1))
    assert await state.secrets.reveal("KEY") == "later"
    assert await state.secrets.list() == [ports.SecretInfo(name="KEY", changed_at=NOON + timedelta(seconds=1))]


async def test_the_list_has_names_and_times_in_order_and_no_values(state: Bench) -> None:
    assert await state.secrets.list() == []
    for name in ("b", "A", "c"):
        await state.secrets.put(name, "the value", at=NOON)
    found = await state.secrets.list()
    assert [info.name for info in found] == ["A", "b", "c"]
    assert "the value" not in repr(found)


async def test_a_secret_that_is_not_there_is_none(state: Bench) -> None:
    assert await state.secrets.reveal("KEY") is None


async def test_a_removed_secret_is_gone(state: Bench) -> None:
    await state.secrets.put("KEY", "value", at=NOON)
    await state.secrets.remove("KEY")
    await state.again()
    assert await state.secrets.reveal("KEY") is None
    with pytest.raises(errors.UnknownSecret):
        await state.secrets.remove("KEY")


async def test_a_new_key_changes_nothing_that_can_be_read(state: Bench) -> None:
    for number in range(450):  # more than are sealed anew at once
        await state.secrets.put(f"KEY{number:03}", f"value {number}", at=NOON)
    first = await state.secrets.reseal(new_key=False)
    second = await state.secrets.reseal(new_key=True)
    assert second != first
    await state.again()
    assert [await state.secrets.reveal(f"KEY{number:03}") for number in (0, 200, 449)] == [
        "value 0",
        "value 200",
        "value 449",
    ]
    assert len(await state.secrets.list()) == 450


async def test_secrets_of_one_name_are_each_their_accounts(state: Bench) -> None:
    for account in (10, None, 2):
        await state.secrets.put("KEY", f"of {account}", account=account, at=NOON)
    await state.secrets.reseal(new_key=True)
    await state.again()
    assert [await state.secrets.reveal("KEY", account=account) for account in (None, 2, 10, 1)] == [
        "of None",
        "of 2",
        "of 10",
        None,
    ]
    assert [info.account for info in await state.secrets.list()] == [None, 2, 10]
    await state.secrets.remove("KEY", account=2)
    assert await state.secrets.reveal("KEY", account=2) is None
    assert [info.account for info in await state.secrets.list()] == [None, 10]
    with pytest.raises(errors.UnknownSecret):
        await state.secrets.remove("KEY", account=2)
