"""What `ports.Threads` promises."""

from datetime import timedelta

from pupload.domain.thread import Message, Role
from tests.contracts.states import NOON, Bench, state

__all__ = ["state"]

SECOND = timedelta(seconds=1)


def a_message(number: int, *, role: Role = Role.USER, account: int | None = 7, flow: str = "flow_a") -> Message:
    text, at = f"said {number} ü", NOON + number * SECOND
    return Message(account=account, flow=flow, run=f"run_{number}", role=role, text=text, at=at)


def texts(messages: object) -> list[str]:
    return [one.text.split()[1] for one in messages]  # type: ignore[attr-defined]


async def test_what_was_said_is_read_in_its_order(state: Bench) -> None:
    for number in (3, 1, 2):
        await state.threads.say(a_message(number))
        await state.threads.say(a_message(number, role=Role.ASSISTANT))
    await state.threads.say(a_message(9, account=8))
    await state.threads.say(a_message(8, account=None))
    await state.threads.say(a_message(7, flow="flow_b"))
    await state.again()
    said = await state.threads.read(7, "flow_a")
    assert texts(said.messages) == ["1", "1", "2", "2", "3", "3"]
    assert [one.role for one in said.messages][:2] == [Role.USER, Role.ASSISTANT]
    assert not said.more
    assert len({one.id for one in said.messages}) == 6
    last = await state.threads.read(7, "flow_a", limit=3)
    assert (texts(last.messages), last.more) == (["2", "3", "3"], True)
    before = await state.threads.read(7, "flow_a", before=NOON + 2 * SECOND, limit=2)
    assert (texts(before.messages), before.more) == (["1", "1"], False)
    assert texts((await state.threads.read(None, "flow_a")).messages) == ["8"]
    assert (await state.threads.read(7, "flow_a", limit=0)).messages == []


async def test_a_run_says_something_once(state: Bench) -> None:
    await state.threads.say(a_message(1))
    await state.threads.say(a_message(1, flow="flow_b"))
    await state.threads.say(a_message(1, role=Role.ASSISTANT))
    said = await state.threads.said_in("run_1")
    assert [(one.role, one.flow) for one in said] == [(Role.USER, "flow_a"), (Role.ASSISTANT, "flow_a")]
    assert await state.threads.said_in("run_2") == []


async def test_a_thread_that_is_cleared_is_empty_and_others_are_not(state: Bench) -> None:
    await state.threads.say(a_message(1))
    await state.threads.say(a_message(2, account=8))
    await state.threads.clear(7, "flow_a")
    await state.threads.clear(9, "flow_a")
    assert (await state.threads.read(7, "flow_a")).messages == []
    assert texts((await state.threads.read(8, "flow_a")).messages) == ["2"]


async def test_a_message_that_is_forgotten_was_not_said(state: Bench) -> None:
    for number in (1, 2):
        await state.threads.say(a_message(number))
    await state.threads.say(a_message(3, account=8))
    said = [*(await state.threads.read(7, "flow_a")).messages, *(await state.threads.read(8, "flow_a")).messages]
    await state.threads.forget([said[0].id, said[2].id, 99], account=7)
    assert texts((await state.threads.read(7, "flow_a")).messages) == ["2"]
    assert texts((await state.threads.read(8, "flow_a")).messages) == ["3"]
    await state.threads.forget([said[2].id])
    assert (await state.threads.read(8, "flow_a")).messages == []


async def test_threads_are_listed_with_what_there_is_of_them(state: Bench) -> None:
    await state.threads.say(a_message(1))
    await state.threads.say(a_message(1, role=Role.ASSISTANT))
    await state.threads.say(a_message(3))
    await state.threads.say(a_message(2, flow="flow_b"))
    await state.threads.say(a_message(5, account=None))
    page = await state.threads.list()
    assert ([(one.account, one.flow) for one in page.threads], page.total) == (
        [(None, "flow_a"), (7, "flow_a"), (7, "flow_b")],
        3,
    )
    first = page.threads[1]
    assert (first.messages, first.turns, first.size) == (3, 2, 3 * len("said 1 ü".encode()))
    assert (first.first_at, first.last_at) == (NOON + SECOND, NOON + 3 * SECOND)
    ones = await state.threads.list(account=7, limit=1, offset=1)
    assert ([one.flow for one in ones.threads], ones.total) == (["flow_b"], 2)
    assert (await state.threads.list(account=9)).total == 0
