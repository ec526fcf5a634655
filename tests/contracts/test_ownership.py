"""What `ports.Ownership` promises, and `ports.RunStore` of whose runs are whose."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pupload import errors, ports
from pupload.adapters.db.database import Database
from pupload.domain import events, run
from tests.contracts import fleets
from tests.contracts.fleets import LEASE_SECONDS, Fleet, Member
from tests.contracts.states import NOON, Bench, a_run, arrived, created, ended, moved, state

__all__ = ["state"]

ME = ports.Controller(id="ctl_1", name="here", engine="engine", store="store")
WHOLE = ports.Share(memory_bytes=1000, cpus=8.0, gpus=2, attempts=10)
NONE = ports.Share()


@pytest.fixture(params=list(fleets.KINDS))
async def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleets.KINDS[request.param](tmp_path) as found:
        yield found


async def sign_in(state: Bench, who: ports.Controller = ME) -> None:
    await state.ownership.sign_in(who, lease_seconds=LEASE_SECONDS)


async def begin(store: ports.RunStore, *names: str) -> list[run.Run]:
    """Runs of these ids, each a minute younger than the one before."""
    return [
        await store.create(created(a_run(name, created_at=NOON + timedelta(minutes=minute))))
        for minute, name in enumerate(names)
    ]


# ── Whose a run is ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_store_where_nobody_signed_in_keeps_its_runs_to_itself(state: Bench) -> None:
    (first,) = await begin(state.runs, "run_a")
    assert (first.owner, first.fence) == ("", 1)
    await state.again()
    second = await state.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    assert (second.owner, second.fence) == ("", 1)
    assert await state.ownership.owned() == ["run_a"]


async def test_a_new_run_belongs_to_who_made_it(state: Bench) -> None:
    await sign_in(state)
    (first,) = await begin(state.runs, "run_a")
    assert (first.owner, first.fence, first.version) == ("ctl_1", 1, 1)
    second = await state.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    assert (second.owner, second.fence, second.version) == ("ctl_1", 1, 2)
    await state.again()
    assert await state.runs.load("run_a") == second


async def test_a_save_with_another_token_is_fenced_and_changes_nothing(state: Bench) -> None:
    await sign_in(state)
    (first,) = await begin(state.runs, "run_a")
    for token in (0, 2):
        for version in (0, 1, 2):
            decision = moved(replace(first, fence=token), "resize", run.NodeStatus.READY)
            with pytest.raises(errors.Fenced):
                await state.runs.save(decision, if_version=version)
    with pytest.raises(errors.Stale):
        await state.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=2)
    with pytest.raises(errors.UnknownRun):
        await state.runs.save(created(replace(first, id="run_none")), if_version=1)
    assert await state.runs.load("run_a") == first
    assert len(await state.journal.read("run_a")) == 2


async def test_owned_are_those_that_are_not_closed_oldest_first(state: Bench) -> None:
    await sign_in(state)
    made = await begin(state.runs, "run_d", "run_c", "run_b", "run_a")
    await state.runs.save(ended(made[1]), if_version=1)
    await state.runs.save(ended(made[2]), if_version=1)
    await state.runs.close("run_b")
    assert await state.ownership.owned() == ["run_d", "run_c", "run_a"]


async def test_only_a_run_that_is_over_is_closed(state: Bench) -> None:
    await sign_in(state)
    (first,) = await begin(state.runs, "run_a")
    await state.runs.close("run_a")
    await state.runs.close("run_none")
    assert await state.ownership.owned() == ["run_a"]
    second = await state.runs.save(ended(first), if_version=1)
    await state.runs.close("run_a")
    await state.runs.close("run_a")
    assert await state.ownership.owned() == []
    assert await state.runs.load("run_a") == second


async def test_a_condemned_run_is_taken_up_by_nobody(state: Bench) -> None:
    await sign_in(state)
    await begin(state.runs, "run_a", "run_b")
    await state.runs.condemn("run_a", "internal: unreadable", NOON)
    assert await state.ownership.owned() == ["run_b"]
    found = await state.runs.load("run_a")
    assert (found.status, found.error, found.finished_at) == (run.Status.ERROR, "internal: unreadable", NOON)
    await sign_in(state)
    assert await state.ownership.take_over() == ["run_b"]


async def test_a_doomed_run_is_taken_up_by_nobody(state: Bench) -> None:
    await sign_in(state)
    made = await begin(state.runs, "run_a", "run_b")
    number = await state.ownership.post("run_a", ports.Nudge(edge="photo"))
    await state.runs.save(ended(made[0]), if_version=1)
    await state.runs.doom("run_a", NOON)
    assert await state.ownership.owned() == ["run_b"]
    assert await state.ownership.is_taken(number)
    assert await state.ownership.is_taken(await state.ownership.post("run_a", ports.Nudge(edge="photo")))
    await sign_in(state)
    assert await state.ownership.take_over() == ["run_b"]


# ── Coming back ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_comes_back_has_its_runs_at_once_under_new_tokens(state: Bench) -> None:
    await sign_in(state)
    made = await begin(state.runs, "run_b", "run_a", "run_closed")
    over = await state.runs.save(ended(made[1]), if_version=1)
    await state.runs.save(ended(made[2]), if_version=1)
    await state.runs.close("run_closed")
    await state.again()
    await sign_in(state)
    for old in (made[0], over):
        with pytest.raises(errors.Fenced):
            await state.runs.save(moved(old, "resize", run.NodeStatus.READY), if_version=old.version)
    assert await state.ownership.owned() == []
    assert await state.ownership.take_over() == ["run_b", "run_a"]
    assert await state.ownership.take_over() == []
    assert await state.ownership.owned() == ["run_b", "run_a"]
    found = await state.runs.load("run_b")
    assert found == replace(made[0], version=2, fence=2)
    assert (await state.runs.load("run_a")).fence == 2
    third = await state.runs.save(moved(found, "resize", run.NodeStatus.READY), if_version=2)
    assert (third.owner, third.fence, third.version) == ("ctl_1", 2, 3)


async def test_many_runs_are_taken_over_by_and_by(state: Bench) -> None:
    names = [f"run_{number}" for number in range(5)]
    await begin(state.runs, *names)
    await sign_in(state)
    assert await state.ownership.take_over(limit=2) == names[:2]
    assert await state.ownership.take_over(limit=0) == []
    assert await state.ownership.take_over(limit=2) == names[2:4]
    assert await state.ownership.take_over(limit=2) == names[4:]
    assert await state.ownership.take_over(limit=2) == []


async def test_who_never_signed_in_cannot_ask_for_runs_or_room(state: Bench) -> None:
    with pytest.raises(errors.Broken, match="sign in"):
        await state.ownership.renew()
    with pytest.raises(errors.Broken, match="sign in"):
        await state.ownership.take_over()
    with pytest.raises(errors.Broken, match="sign in"):
        await state.ownership.claim(WHOLE, held=NONE, hungry=True, of=WHOLE)
    await state.ownership.sign_out()


async def test_who_signed_out_gets_nothing_more(state: Bench) -> None:
    await begin(state.runs, "run_a")
    await sign_in(state)
    await state.ownership.sign_out()
    await state.ownership.sign_out()
    assert await state.ownership.renew() == []
    assert await state.ownership.take_over() == []
    assert await state.ownership.claim(WHOLE, held=NONE, hungry=True, of=WHOLE) == NONE
    await sign_in(state)
    assert await state.ownership.take_over() == ["run_a"]


async def test_in_a_file_whoever_comes_is_the_only_one(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "pupload.db")
    await database.ownership.sign_in(ME, lease_seconds=LEASE_SECONDS)
    await begin(database.runs, "run_a")
    await database.close()
    database = await Database.open(tmp_path / "pupload.db")
    await database.ownership.sign_in(replace(ME, id="ctl_2", store="another"), lease_seconds=LEASE_SECONDS)
    assert await database.ownership.renew() == []
    assert await database.ownership.take_over() == ["run_a"]
    assert (await database.runs.load("run_a")).owner == "ctl_2"
    await database.close()


# ── Several ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_sees_the_others_that_live(fleet: Fleet) -> None:
    one, two, three = await fleet.signed_in("one", "two", "three")
    assert set(await one.ownership.renew()) == {two.as_controller(), three.as_controller()}
    await fleet.expire("two")
    assert await one.ownership.renew() == [three.as_controller()]
    await three.ownership.sign_out()
    assert await one.ownership.renew() == []
    await two.ownership.renew()
    assert await one.ownership.renew() == [two.as_controller()]


async def test_runs_of_the_living_are_theirs(fleet: Fleet) -> None:
    one, two = await fleet.signed_in("one", "two")
    (first,) = await begin(one.runs, "run_a")
    assert await two.ownership.take_over() == []
    with pytest.raises(errors.Fenced):
        await two.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
    await two.runs.save(arrived((await begin(two.runs, "run_b"))[0]), if_version=1)
    await two.runs.condemn("run_a", "not mine", NOON)
    second = await one.runs.save(ended(first), if_version=1)
    await two.runs.close("run_a")
    assert await one.ownership.owned() == ["run_a"]
    assert await two.runs.load("run_a") == second


@pytest.mark.parametrize("how", ["expired", "signed out"])
async def test_runs_of_the_gone_are_taken_over(fleet: Fleet, how: str) -> None:
    one, two = await fleet.signed_in("one", "two")
    made = await begin(one.runs, "run_b", "run_a")
    await one.runs.save(ended(made[0]), if_version=1)
    await (fleet.expire("one") if how == "expired" else one.ownership.sign_out())
    assert await two.ownership.take_over() == ["run_b", "run_a"]
    found = await two.runs.load("run_a")
    assert found == replace(made[1], owner="two", fence=2, version=2)
    await two.runs.save(moved(found, "resize", run.NodeStatus.READY), if_version=2)


async def test_who_was_frozen_cannot_write_over_its_successor(fleet: Fleet) -> None:
    one, two = await fleet.signed_in("one", "two")
    (first,) = await begin(one.runs, "run_a")
    await fleet.expire("one")
    await two.ownership.take_over()
    for _ in range(2):
        with pytest.raises(errors.Fenced):
            await one.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)
        await one.ownership.renew()
    found = await one.runs.load("run_a")
    assert found.owner == "two"
    with pytest.raises(errors.Fenced):
        await one.runs.save(moved(found, "resize", run.NodeStatus.READY), if_version=found.version)
    assert await one.ownership.owned() == []
    assert await one.ownership.take_over() == []


async def test_the_token_grows_with_every_change_of_hands(fleet: Fleet) -> None:
    one, two = await fleet.signed_in("one", "two")
    await begin(one.runs, "run_a")
    for token in range(2, 8):
        old, new = (one, two) if token % 2 == 0 else (two, one)
        await fleet.expire(old.id)
        assert await new.ownership.take_over() == ["run_a"]
        assert (await new.runs.load("run_a")).fence == token
        await old.ownership.renew()


async def test_a_lease_that_ran_out_and_was_renewed_in_time_loses_nothing(fleet: Fleet) -> None:
    one, two = await fleet.signed_in("one", "two")
    (first,) = await begin(one.runs, "run_a")
    await fleet.expire("one")
    await one.ownership.renew()
    assert await two.ownership.take_over() == []
    await one.runs.save(moved(first, "resize", run.NodeStatus.READY), if_version=1)


async def test_two_never_take_the_same(fleet: Fleet) -> None:
    dead, *heirs = await fleet.signed_in("dead", "one", "two", "three")
    names = [f"run_{number:03}" for number in range(60)]
    await begin(dead.runs, *names)
    await dead.ownership.sign_out()

    async def inherit(heir: Member) -> list[str]:
        found: list[str] = []
        while taken := await heir.ownership.take_over(limit=7):
            found += taken
        return found

    shares = await asyncio.gather(*(inherit(heir) for heir in heirs))
    left = [name for heir in heirs for name in await heir.ownership.take_over()]
    assert sorted(name for share in (*shares, left) for name in share) == names
    for heir in heirs:
        for name in await heir.ownership.owned():
            found = await heir.runs.load(name)
            assert (found.owner, found.fence) == (heir.id, 2)


async def test_all_must_have_the_same_store(fleet: Fleet) -> None:
    one, two = await fleet.member("one"), await fleet.member("two")
    await one.sign_in(store="http://here bucket")
    with pytest.raises(errors.AnotherStore, match=r"http://here bucket.*http://there bucket.*same default store"):
        await two.sign_in(store="http://there bucket")
    await one.sign_in(store="http://there bucket")  # it may move by itself
    await two.sign_in(store="http://there bucket")
    await fleet.expire("two")
    await one.sign_in(store="http://here bucket")


async def test_a_key_is_good_for_one_run_whoever_asks(fleet: Fleet) -> None:
    one, two = await fleet.signed_in("one", "two")
    first = await one.runs.create(created(a_run("run_a")), idempotency_key="k")
    assert await two.runs.create(created(a_run("run_b")), idempotency_key="k") == first
    assert await two.ownership.owned() == []


# ── Room ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_only_one_on_an_engine_has_all_of_it(fleet: Fleet) -> None:
    one, two = await fleet.member("one"), await fleet.member("two")
    await one.sign_in(engine="an engine")
    await two.sign_in(engine="another engine")
    for member in (one, two):
        assert await member.ownership.claim(NONE, held=NONE, hungry=False, of=WHOLE) == WHOLE


async def test_who_comes_later_gets_what_others_let_go(fleet: Fleet) -> None:
    (one,) = await fleet.signed_in("one")
    held = ports.Share(memory_bytes=700, cpus=2.0, attempts=3)
    assert await one.ownership.claim(WHOLE, held=held, hungry=True, of=WHOLE) == WHOLE
    (two,) = await fleet.signed_in("two")
    assert await two.ownership.claim(WHOLE, held=NONE, hungry=True, of=WHOLE) == NONE
    kept = ports.Share(memory_bytes=700, cpus=4.0, gpus=1, attempts=5)
    assert await one.ownership.claim(WHOLE, held=held, hungry=True, of=WHOLE) == kept
    rest = ports.Share(memory_bytes=300, cpus=4.0, gpus=1, attempts=5)
    assert await two.ownership.claim(WHOLE, held=NONE, hungry=True, of=WHOLE) == rest
    assert await one.ownership.claim(NONE, held=NONE, hungry=False, of=WHOLE) == NONE
    assert await two.ownership.claim(WHOLE, held=NONE, hungry=True, of=WHOLE) == WHOLE
    assert await fleet.claims() == {"one": NONE, "two": WHOLE}


@pytest.mark.parametrize("how", ["expired", "signed out"])
async def test_a_claim_ends_with_its_lease(fleet: Fleet, how: str) -> None:
    one, two = await fleet.signed_in("one", "two")
    await one.ownership.claim(WHOLE, held=NONE, hungry=False, of=WHOLE)
    assert await two.ownership.claim(WHOLE, held=NONE, hungry=True, of=WHOLE) == NONE
    await (fleet.expire("one") if how == "expired" else one.ownership.sign_out())
    assert await one.ownership.claim(WHOLE, held=NONE, hungry=True, of=WHOLE) == NONE
    assert await two.ownership.claim(WHOLE, held=NONE, hungry=True, of=WHOLE) == WHOLE
    if how == "expired":
        await one.ownership.renew()
        assert await fleet.claims() == {"one": NONE, "two": WHOLE}
    assert await one.ownership.claim(WHOLE, held=NONE, hungry=True, of=WHOLE) == NONE


@pytest.mark.parametrize("how", ["expired", "signed out", "killed"])
async def test_what_attempts_of_an_earlier_self_may_hold_is_left_alone(fleet: Fleet, how: str) -> None:
    one, two = await fleet.signed_in("one", "two")
    held = ports.Share(memory_bytes=600, cpus=5.0, attempts=4)
    await one.ownership.claim(held, held=held, hungry=False, of=WHOLE)
    if how != "killed":
        await (fleet.expire("one") if how == "expired" else one.ownership.sign_out())
    await (one.ownership.renew() if how == "expired" else one.sign_in())
    rest = ports.Share(memory_bytes=400, cpus=3.0, gpus=2, attempts=6)
    assert await two.ownership.claim(WHOLE, held=NONE, hungry=False, of=WHOLE) == rest
    assert await one.ownership.claim(NONE, held=NONE, hungry=False, of=WHOLE) == NONE
    assert await two.ownership.claim(WHOLE, held=NONE, hungry=False, of=WHOLE) == WHOLE
    assert await one.ownership.claim(held, held=held, hungry=False, of=WHOLE) == NONE, "more is held than was claimed"
    assert await two.ownership.claim(WHOLE, held=NONE, hungry=False, of=WHOLE) == rest, "it counts all the same"


# ── Letters ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_letter_waits_until_it_is_taken(state: Bench) -> None:
    await sign_in(state)
    await begin(state.runs, "run_a", "run_b")
    sent: list[ports.Letter] = [events.CancelRequested(mode="drain"), ports.Nudge(edge="photo"), events.TimePassed()]
    ids = [await state.ownership.post("run_a", letter) for letter in sent]
    await state.again()
    await sign_in(state)
    await state.ownership.take_over()
    found = await state.ownership.letters()
    assert found == [ports.Posted(id=i, run="run_a", letter=one) for i, one in zip(ids, sent, strict=True)]
    await state.ownership.take_letters(ids[1:])
    await state.ownership.take_letters([])
    assert [await state.ownership.is_taken(number) for number in ids] == [False, True, True]
    assert await state.ownership.letters() == found[:1]
    assert await state.ownership.post("run_b", ports.Nudge(edge="photo")) > ids[-1]


async def test_a_letter_that_nobody_needs_any_more_is_taken(state: Bench) -> None:
    await sign_in(state)
    made = await begin(state.runs, "run_closed", "run_deleted", "run_condemned")
    ids = [await state.ownership.post(old.id, ports.Nudge(edge="photo")) for old in made]
    await state.runs.save(ended(made[0]), if_version=1)
    assert len(await state.ownership.letters()) == 3
    await state.runs.close("run_closed")
    await state.runs.delete("run_deleted")
    await state.runs.condemn("run_condemned", "internal", NOON)
    ids += [await state.ownership.post(name, ports.Nudge(edge="photo")) for name in ("run_closed", "run_none")]
    assert all([await state.ownership.is_taken(number) for number in ids])
    assert await state.ownership.letters() == []


async def test_letters_are_for_the_owner_and_wait_for_the_next(fleet: Fleet) -> None:
    one, two, three = await fleet.signed_in("one", "two", "three")
    await begin(one.runs, "run_a")
    number = await two.ownership.post("run_a", events.CancelRequested(mode="kill"))
    assert await two.ownership.letters() == await three.ownership.letters() == []
    assert [letter.id for letter in await one.ownership.letters()] == [number]
    await one.ownership.sign_out()
    await three.ownership.take_over()
    assert await one.ownership.letters() == []
    (letter,) = await three.ownership.letters()
    assert (letter.run, letter.letter) == ("run_a", events.CancelRequested(mode="kill"))
    assert not await two.ownership.is_taken(number)
    await three.ownership.take_letters([number])
    assert await two.ownership.is_taken(number)


async def test_news_wake_whoever_waits(fleet: Fleet) -> None:
    one, two = await fleet.signed_in("one", "two")
    await begin(one.runs, "run_a")
    async with asyncio.timeout(30):
        with one.ownership.news() as news:
            number = await two.ownership.post("run_a", ports.Nudge(edge="photo"))
            await news.wait()
        with two.ownership.news() as news:
            await one.ownership.take_letters([number])
            await news.wait()
            await one.ownership.sign_out()
            await news.wait()
