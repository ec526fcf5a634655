"""An event loop that stands still, for real."""

import logging
import time

import pytest

from pupload.adapters.system import watchdog
from pupload.adapters.system.watchdog import Watchdog


def keeps_everybody(seconds: float) -> None:
    """What must not be done in a loop."""
    time.sleep(seconds)


async def test_f10_a_loop_that_stands_still_is_told_of_with_its_place(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F10: while it does, by name; afterwards it is counted, and a complaint for a while."""
    monkeypatch.setattr(watchdog, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(watchdog, "BLOCKED_SECONDS", 0.2)
    dog = Watchdog()
    dog.start()
    with caplog.at_level(logging.WARNING):
        keeps_everybody(0.5)
        (record,) = caplog.records
        assert record.message.startswith("the event loop stands still")
        assert "keeps_everybody" in caplog.text
        dog._beat()
    assert dog.standstills == 1
    assert dog.seconds >= 0.4
    assert "stood still for 0." in dog.complaint()
    monkeypatch.setattr(watchdog, "REMEMBERED_SECONDS", 0.0)
    assert dog.complaint() == ""
    await dog.close()


async def test_f10_a_loop_that_takes_its_turns_is_not_complained_of(caplog: pytest.LogCaptureFixture) -> None:
    """F10: nothing is said that is not so."""
    dog = Watchdog()
    dog.start()
    await dog.close()
    assert (dog.standstills, dog.complaint(), caplog.text) == (0, "", "")
