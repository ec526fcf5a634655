"""What `ports.Credentials` promises."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pupload import errors
from pupload.domain.credential import Credential
from tests.contracts.states import NOON, Bench, state

__all__ = ["state"]

LATER = NOON + timedelta(hours=1)


def a_credential(name: str = "openai", **others: object) -> Credential:
    detail = {"api_key": "sk-0123456789abcdef", "custom_headers": {"X-Org": "päss"}, "deep": [1, None, {"a": True}]}
    made = {"key": f"cred_{name}", "type": "llm", "detail": detail, "created_at": NOON, "updated_at": NOON}
    return Credential(name=name, **{**made, **others})  # type: ignore[arg-type]


async def test_a_credential_reads_back_after_a_restart(state: Bench) -> None:
    made = await state.credentials.add(a_credential(account=7))
    assert made == a_credential(account=7, id=made.id, revision=1)
    await state.again()
    assert await state.credentials.get(made.id) == made
    assert await state.credentials.find("openai", account=7) == made


async def test_one_that_is_added_twice_is_there_once(state: Bench) -> None:
    first = await state.credentials.add(a_credential())
    assert await state.credentials.add(a_credential(name="renamed", key="cred_openai")) == first
    assert (await state.credentials.list()).total == 1


async def test_a_change_takes_the_place_of_the_revision_before(state: Bench) -> None:
    made = await state.credentials.add(a_credential())
    after = await state.credentials.save(replace(made, name="other", detail={"api_key": "new"}, updated_at=LATER))
    assert (after.revision, after.name) == (2, "other")
    await state.again()
    assert await state.credentials.get(made.id) == after
    assert await state.credentials.find("openai", account=None) is None
    with pytest.raises(errors.CredentialChanged):
        await state.credentials.save(replace(made, name="third"))


async def test_one_that_is_not_there_is_unknown(state: Bench) -> None:
    for absent in (1, 2**70, -1, 0):
        with pytest.raises(errors.UnknownCredential):
            await state.credentials.get(absent)
    with pytest.raises(errors.UnknownCredential):
        await state.credentials.save(a_credential(id=7, revision=1))


async def test_lists_are_pages_by_number_of_an_account_or_a_type(state: Bench) -> None:
    ann = [await state.credentials.add(a_credential(f"c{number}", account=1)) for number in range(3)]
    ben = await state.credentials.add(a_credential("git", type="git", account=2))
    nobodys = await state.credentials.add(a_credential("old"))
    everybodys = await state.credentials.list(limit=2, offset=1)
    assert (everybodys.credentials, everybodys.total) == (ann[1:], 5)
    anns = await state.credentials.list(account=1, limit=2)
    assert (anns.credentials, anns.total) == (ann[:2], 3)
    gits = await state.credentials.list(type_="git")
    assert (gits.credentials, gits.total) == ([ben], 1)
    assert (await state.credentials.list(account=1, type_="git")).total == 0
    assert (await state.credentials.list(limit=0)).total == 5
    assert await state.credentials.owned(None) == [nobodys]
    assert await state.credentials.owned(1) == ann


async def test_of_those_that_are_called_the_same_the_oldest_is_meant_and_only_the_owners(state: Bench) -> None:
    nobodys = await state.credentials.add(a_credential(key="a"))
    anns = await state.credentials.add(a_credential(key="b", account=1))
    await state.credentials.add(a_credential(key="c", account=1))
    assert await state.credentials.find("openai", account=1) == anns
    assert await state.credentials.find("openai", account=None) == nobodys
    assert await state.credentials.find("openai", account=2) is None
    assert await state.credentials.find("OpenAI", account=1) is None


async def test_what_is_removed_is_gone_and_its_number_is_not_given_again(state: Bench) -> None:
    first = await state.credentials.add(a_credential(key="a"))
    last = await state.credentials.add(a_credential(key="b"))
    await state.credentials.remove([last.id, 4711, 2**70])
    await state.again()
    assert (await state.credentials.list()).credentials == [first]
    assert (await state.credentials.add(a_credential(key="c"))).id > last.id


async def test_a_new_key_changes_nothing_that_can_be_read(state: Bench) -> None:
    made = [await state.credentials.add(a_credential(key=f"cred_{number}")) for number in range(250)]
    await state.secrets.reseal(new_key=True)
    await state.again()
    assert await state.credentials.owned(None) == made
