"""The time that runs are told, while somebody sets the wall clock."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pupload.adapters.system.clock import SystemClock
from pupload.adapters.system.steady import SteadyClock
from pupload.domain import skew

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


class Machine:
    """Whose clocks are turned by hand."""

    def __init__(self) -> None:
        self.wall = NOON.timestamp()
        self.up = 1000.0
        self.boot = "first"

    def clock(self, kept: Path | None = None) -> SteadyClock:
        return SteadyClock(kept, wall=lambda: self.wall, passed=lambda: self.up, boot=self.boot)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.up += seconds


@pytest.mark.parametrize("set_by", [3600.0, -3600.0])
def test_f06_a_wall_clock_that_is_set_moves_nothing_at_once(set_by: float) -> None:
    """F06: an hour either way."""
    machine = Machine()
    clock = machine.clock()
    machine.wall += set_by
    assert clock.now() == NOON
    assert clock.skew() == timedelta(seconds=set_by)


@pytest.mark.parametrize("set_by", [3600.0, -3600.0])
def test_f06_a_duration_is_off_by_a_twentieth_at_most(set_by: float) -> None:
    """F06: however often the time is asked for."""
    machine = Machine()
    clock = machine.clock()
    machine.wall += set_by
    seen = [clock.now()]
    for _ in range(600):
        machine.passes(0.1)
        seen.append(clock.now())
    assert seen == sorted(seen)
    assert abs((seen[-1] - seen[0]).total_seconds() - 60) == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("set_by", [60.0, -60.0])
def test_f06_it_comes_to_agree_with_the_wall_clock(set_by: float) -> None:
    """F06: a correction that was right is taken in, in twenty times its length."""
    machine = Machine()
    clock = machine.clock()
    machine.wall += set_by
    for _ in range(20):
        machine.passes(61)
        clock.now()
    assert abs(clock.skew()) < timedelta(milliseconds=1)
    assert skew.complaint(clock.skew()) == ""


def test_f06_a_restart_goes_on_where_the_clock_was(tmp_path: Path) -> None:
    """F06: deadlines do not pass between two starts either."""
    machine, kept = Machine(), tmp_path / "clock.json"
    clock = machine.clock(kept)
    machine.wall += 3600
    clock.save()
    machine.passes(10)
    again = machine.clock(kept).now()
    assert timedelta(seconds=10) <= again - NOON <= timedelta(seconds=10.5)


def test_f06_another_boot_begins_with_the_wall_clock(tmp_path: Path) -> None:
    """F06: nothing tells how long the machine was off."""
    machine, kept = Machine(), tmp_path / "clock.json"
    clock = machine.clock(kept)
    machine.wall += 3600
    clock.save()
    machine.boot, machine.up = "second", 5.0
    assert machine.clock(kept).now() == NOON + timedelta(hours=1)


def test_f06_a_wall_clock_that_was_off_by_days_is_believed_at_the_next_start(tmp_path: Path) -> None:
    """F06: following would take months."""
    machine, kept = Machine(), tmp_path / "clock.json"
    machine.clock(kept).save()
    machine.wall += 5 * 86_400
    assert machine.clock(kept).now() == NOON + timedelta(days=5)


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"boot": "first", "offset": "much"}), "{}"])
def test_f06_a_file_that_is_damaged_costs_continuity_and_nothing_else(tmp_path: Path, content: str) -> None:
    """F06: as does none."""
    kept = tmp_path / "clock.json"
    kept.write_text(content)
    assert Machine().clock(kept).now() == NOON


async def test_it_sleeps_by_its_own_time() -> None:
    clock = SteadyClock()
    when = clock.now() + timedelta(milliseconds=5)
    await clock.sleep_until(when)
    assert clock.now() >= when
    assert abs(clock.now() - SystemClock().now()) < timedelta(seconds=1)


def test_a_small_difference_is_not_worth_a_word() -> None:
    assert skew.complaint(timedelta(seconds=-5)) == ""
    assert "3600 s ahead of" in skew.complaint(timedelta(hours=1))
    assert "3600 s behind" in skew.complaint(timedelta(hours=-1))
