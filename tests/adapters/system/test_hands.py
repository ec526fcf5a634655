"""Two threads do what may block, for everybody."""

import asyncio
import threading

import pytest

from pupload.adapters.system.hands import TOGETHER, TwoHands


async def test_everybody_gets_what_is_theirs() -> None:
    hand = TwoHands()
    try:
        found = await asyncio.gather(*(hand.do(divmod, number, 7) for number in range(10 * TOGETHER)))
        assert found == [divmod(number, 7) for number in range(10 * TOGETHER)]
    finally:
        await hand.close()


async def test_an_error_is_told_to_who_asked_alone() -> None:
    hand = TwoHands()
    try:
        found = await asyncio.gather(*(hand.do(divmod, 7, number) for number in (1, 0, 2)), return_exceptions=True)
        assert [type(one) for one in found] == [tuple, ZeroDivisionError, tuple]
    finally:
        await hand.close()


async def test_what_is_asked_for_together_is_done_by_one_thread_beside_the_loop() -> None:
    hand = TwoHands()
    try:
        found = await asyncio.gather(*(hand.do(threading.get_ident) for _ in range(5)))
        assert len(set(found)) == 1
        assert threading.get_ident() not in found
    finally:
        await hand.close()


async def test_what_nobody_wants_any_more_is_not_begun() -> None:
    hand, gate, done = TwoHands(), threading.Event(), list[str]()
    try:
        held = asyncio.ensure_future(hand.do(gate.wait))
        given_up = asyncio.ensure_future(hand.do(done.append, "given up"))
        wanted = asyncio.ensure_future(hand.do(done.append, "wanted"))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        gate.set()
        await asyncio.gather(held, wanted)
        assert done == ["wanted"]
    finally:
        gate.set()
        await hand.close()


async def test_closing_waits_for_what_was_asked_and_turns_nobody_away() -> None:
    hand, gate = TwoHands(), threading.Event()
    waiting = [asyncio.ensure_future(hand.do(gate.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(hand.close())
    await asyncio.sleep(0)
    assert await hand.do(divmod, 7, 2) == (3, 1)
    gate.set()
    assert await asyncio.gather(*waiting) == [True, True, True]
    await closing
    await hand.close()
