"""
Measures pupload beside what the machine does without it, and prints a table: `scripts/bench`.

Progress goes to stderr, the table to stdout. Ends with an error where a promise was broken on the way.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.benchmarks import bare, house, latency, others, peering, planes, recovery, report, runs, volumes
from tests.benchmarks.figures import Figure
from tests.benchmarks.lab import REPEAT, Lab, Part

PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "P1": runs.chain_behind_upload,
        "P1b": runs.chain_at_once,
        "P2": runs.fan_at_once,
        "P3": latency.after_upload,
        "P4": latency.handing_on,
        "P5": planes.answers,
        "P6": planes.transitions,
        "P7": volumes.handed_over,
        "P8": planes.large_flows,
        "P9": planes.idle,
        "P10": recovery.recovered,
        "CPU": runs.processor,
        "MEM": planes.memory,
        "SHAPES": others.shaped,
        "P11": peering.beside_peers,
    }
)
"""By the name of the measure, in the order in which they are measured."""


USUAL = tuple(name for name in PARTS if name != "P11")
"""Those that need nothing to be installed that pupload does not need."""

BASELINES: Mapping[str, Part] = MappingProxyType(
    {"P1": runs.loop_alone, "P2": runs.best_alone, "P7": volumes.alone},
)
"""What the machine does without pupload, by the measure that it is the baseline of."""


def arguments() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    given = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    given.add_argument("--only", type=_chosen, metavar="P1,P4", help="these measures alone")
    given.add_argument("--repeat", type=_count, default=REPEAT, metavar="N", help=f"rounds of each ({REPEAT})")
    given.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    given.add_argument("--docs", type=Path, metavar="PAGE", help="write the table into the page, between its marks")
    given.add_argument("--baseline-only", action="store_true", help="what the machine does without pupload, alone")
    given.add_argument("--peers", action="store_true", help="the same flows on other runners, which are installed")
    return given


def _chosen(text: str) -> list[str]:
    known = {name.lower(): name for name in PARTS}
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"no measure is named {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return [name for name in PARTS if name.lower() in names]


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("a number from 1 on")
    return int(text)


def say(text: str) -> None:
    """How far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def chosen(said: argparse.Namespace) -> Mapping[str, Part]:
    """What is to be measured, in its order."""
    if said.baseline_only:
        return {name: part for name, part in BASELINES.items() if name in (said.only or USUAL)}
    names = {*(said.only or USUAL), *(["P11"] if said.peers else [])}
    return {name: part for name, part in PARTS.items() if name in names}


async def measure(parts: Mapping[str, Part], lab: Lab) -> tuple[list[Figure], bool]:
    """The rows of these measures, and whether all of them could be measured and every promise was kept."""
    found: list[Figure] = []
    clean = True
    for name, part in parts.items():
        began = time.monotonic()
        try:
            found += await part(lab)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others can be measured
            clean = False
            kind = "a promise was broken" if isinstance(error, house.Broken) else type(error).__name__
            say(f"{name}: {kind}: {error}")
            note = f"{kind}: {str(error).strip().splitlines()[-1] if str(error).strip() else 'no word'}"
            found.append(Figure(key=name, what="could not be measured", unit="", value=None, note=note))
        say(f"{name} took {time.monotonic() - began:.0f} s")
    return found, clean


async def _until_signal(parts: Mapping[str, Part], lab: Lab) -> tuple[list[Figure], bool]:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await measure(parts, lab)


def main(words: Sequence[str] | None = None) -> int:
    """0 where everything could be measured and no promise was broken, whatever the figures are."""
    said = arguments().parse_args(words)
    lab = Lab(say=say, repeat=said.repeat)
    for name in [name for name in os.environ if name.startswith("PUPLOAD_")]:
        del os.environ[name]  # what is measured are the default settings
    about = house.machine()
    bare.sweep()
    try:
        figures, clean = asyncio.run(_until_signal(chosen(said), lab))
    except asyncio.CancelledError:
        say("interrupted; everything is stopped")
        return 130
    finally:
        bare.sweep()
    print(report.table(figures), flush=True)
    if said.json:
        said.json.write_text(report.as_json(figures, about), encoding="utf-8")
    if said.docs:
        report.put_into(said.docs, report.markdown(figures, about))
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
