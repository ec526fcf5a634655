"""Why a container ended, from what the engine says of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pupload import ports
from pupload.adapters.docker import ends

STARTED = datetime(2026, 3, 3, 12, tzinfo=UTC)
ENDED = STARTED + timedelta(minutes=5)


def ended(code: int = 137, *, sent: int | None = None, restarted: timedelta | None = None, **state: Any) -> ports.Exit:
    """An end five minutes after the start; the engine was started so long after that."""
    told = {"ExitCode": code, "StartedAt": STARTED.isoformat(), "FinishedAt": ENDED.isoformat(), **state}
    since = None if restarted is None else ENDED + restarted
    return ends.exit_of(told, oom=False, peak_memory_bytes=None, sent=sent, engine_since=since)


def event(action: str, **attributes: str) -> dict[str, Any]:
    return {"Action": action, "Actor": {"Attributes": attributes}}


def test_f15_an_end_just_before_the_engine_came_up_is_the_engines() -> None:
    """F15: by its times, whatever the code."""
    for code in (137, 143, 255, 5):
        assert ended(code, restarted=timedelta(seconds=3)).engine_restarted


def test_f15_an_end_that_the_engine_never_saw_is_the_engines() -> None:
    """F15: after a crash of the machine it has no time for it."""
    assert ended(255, restarted=timedelta(0), FinishedAt="0001-01-01T00:00:00Z").engine_restarted


@pytest.mark.parametrize(
    ("code", "restarted"),
    [
        (137, None),
        (137, timedelta(minutes=5)),  # long after
        (137, -timedelta(minutes=2)),  # long before: it was up all the time but for its live-restore
        (137, -timedelta(hours=1)),  # before the container was started
        (0, timedelta(seconds=3)),  # a good end
    ],
)
def test_f15_an_end_at_another_time_is_the_nodes_own(code: int, restarted: timedelta | None) -> None:
    """F15: 137 alone says nothing."""
    assert not ended(code, restarted=restarted).engine_restarted


@pytest.mark.parametrize(
    ("sent", "code", "told"),
    [(15, 5, "SIGTERM"), (15, 0, "SIGTERM"), (9, 137, "SIGKILL"), (10, 138, "SIGUSR1"), (10, 1, ""), (None, 137, "")],
)
def test_f17_a_signal_counts_when_it_wanted_an_end_or_was_one(sent: int | None, code: int, told: str) -> None:
    """F17: what a node does about other signals is its own affair."""
    assert ended(code, sent=sent).signalled == told


def test_f17_a_signal_from_before_the_last_start_is_forgotten() -> None:
    """F17: a container that was restarted by hand lives again."""
    assert ends.last_signal([event("start"), event("kill", signal="15")]) == 15
    assert ends.last_signal([event("kill", signal="15"), event("start")]) is None
    assert ends.last_signal([event("kill", signal="10"), event("kill", signal="9"), event("die", exitCode="137")]) == 9
    assert ends.last_signal([event("kill"), event("die")]) is None


def test_the_engine_is_as_old_as_its_default_bridge() -> None:
    made = {"Name": "bridge", "Created": "2026-03-03T12:00:00.123456789Z"}
    assert ends.since([{"Name": "bridge2"}, made]) == datetime(2026, 3, 3, 12, 0, 0, 123456, tzinfo=UTC)
    assert ends.since([{"Name": "none"}]) is None
