"""
Plays schedules: `python -m tests.simulation --seeds 1000 --start 0`, or one with a trace: `--seed 1234 -v`.

Prints every seed that breaks a promise, with as few faults as that takes, and the line that plays it again. The order
of sets is part of a schedule, and another one for each `PYTHONHASHSEED`: 0 where none is set.
"""

import argparse
import gc
import os
import sys
import time

import pytest

from tests.checker import describe
from tests.simulation.bugs import BUGS
from tests.simulation.play import Played, play, shrunk


def main() -> int:
    """The number of seeds that broke a promise, at most 100."""
    bugs = {put.__name__: put for put in BUGS}
    given = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    given.add_argument("--seeds", type=int, default=1000, help="how many schedules are played")
    given.add_argument("--start", type=int, default=0, help="the first of them")
    given.add_argument("--seed", type=int, help="only this one")
    given.add_argument("--faults", help="only these of its faults, such as 0,2; none: -")
    given.add_argument("-v", "--verbose", action="store_true", help="every call, log line and fault")
    given.add_argument("--most", type=int, default=20, help="failing seeds after which it gives up")
    given.add_argument(
        "--bug", choices=sorted(bugs), metavar="BUG", help="put in on purpose: " + ", ".join(sorted(bugs))
    )
    said = given.parse_args()
    if said.bug:
        bugs[said.bug](pytest.MonkeyPatch())
    if said.seed is not None:
        only = None if said.faults is None else [int(one) for one in said.faults.split(",") if one.isdigit()]
        played = play(said.seed, verbose=said.verbose, only=only)
        tell(played)
        return int(bool(played.broken))
    return min(play_many(said.start, said.seeds, most=said.most), 100)


def play_many(start: int, count: int, *, most: int) -> int:
    """How many of the seeds broke a promise."""
    began, failed, faults, restarts = time.monotonic(), 0, 0, 0
    done = 0
    gc.disable()
    for seed in range(start, start + count):
        played = play(seed)
        done += 1
        if done % 20 == 0:
            gc.collect()  # what is left of a schedule hangs together in circles, and there is much of it
        if done % 1000 == 0:
            print(f"{done} of {count}, {failed} broke a promise", flush=True)
        faults += len(played.faults)
        restarts += max(played.starts - 1, 0)
        if played.broken:
            failed += 1
            tell(shrunk(played))
            if failed >= most:
                break
    seconds = time.monotonic() - began
    print(
        f"{done} schedules with {faults} faults and {restarts} restarts in {seconds:.1f} s "
        f"({done / seconds:.0f} a second): {failed} broke a promise"
    )
    return failed


def tell(played: Played) -> None:
    """What became of the schedule."""
    for fault in played.faults:
        print(f"  {fault}")
    print(f"seed {played.seed}: {describe(played.broken[:8])}")
    if played.broken:
        faults = ",".join(str(one) for one in played.chosen) or "-"
        order = os.environ.get("PYTHONHASHSEED", "0")
        again = f"python -m tests.simulation --seed {played.seed} --faults {faults} -v"
        print(f"  again: PYTHONHASHSEED={order} {again}\n", flush=True)


if __name__ == "__main__":
    if "PYTHONHASHSEED" not in os.environ:  # Python reads it when it starts
        again = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main())
