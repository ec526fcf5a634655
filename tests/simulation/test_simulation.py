"""
Schedules of faults that pupload must live through; `PUPLOAD_SIMULATION_SEEDS=20000` plays more of them.

And bugs that it must not: each is put in on purpose, and the simulation has to notice. Each test plays in a process of
its own, for the order of sets is part of a schedule and told when Python starts.
"""

import os
import subprocess
import sys

import pytest

from tests.simulation.bugs import BUGS, Put
from tests.simulation.play import play

SEEDS = int(os.environ.get("PUPLOAD_SIMULATION_SEEDS", "120"))
GROUP = max(SEEDS // 8, 1)
SECONDS_PER_SEED = 3


def played(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `python -m tests.simulation` says, with schedules that are the same every time."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(120 + SECONDS_PER_SEED * GROUP)
@pytest.mark.parametrize("start", range(0, SEEDS, GROUP))
def test_every_promise_is_kept_whatever_goes_wrong(start: int) -> None:
    told = played("--start", str(start), "--seeds", str(min(GROUP, SEEDS - start)), "--most", "1")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "0 broke a promise" in told.stdout


def test_a_seed_repeats_itself(capsys: pytest.CaptureFixture[str]) -> None:
    def told() -> list[str]:
        play(11, verbose=True)
        return [
            line.split("/attempts/")[0].rpartition("pupload-simulation-")[0]
            for line in capsys.readouterr().out.splitlines()
        ]

    assert told() == told()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_bug_is_noticed(bug: Put) -> None:
    told = played("--bug", bug.__name__, "--start", str(BUGS[bug]), "--seeds", "200", "--most", "1")
    assert told.returncode == 1, f"{bug.__doc__}\n{told.stdout}{told.stderr}"
    assert "again: PYTHONHASHSEED=0" in told.stdout
    assert "TypeError" not in told.stdout, f"it is put in where things are otherwise by now\n{told.stdout}"
