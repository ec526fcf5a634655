#!/usr/bin/python3
"""
Makes one list, text or figure of many things.

    INPUT_INPUT, INPUT_INPUT_2 …   any of them may be missing           OUTPUT_OUTPUT   what comes of all
    INPUT_ITEMS                    a collection, instead or besides
"""

import statistics
import sys
from typing import Any

import node
import passing

FIGURES = {
    "sum": sum,
    "min": min,
    "max": max,
    "average": statistics.fmean,
    "median": statistics.median,
}
MODES = ("list", "flat", "text", "count", *FIGURES)


def main() -> None:
    """Does what the flags say."""
    mode = node.choice("mode", "list", *MODES)
    separator = node.flag("separator", "\n")
    things = [passing.value(port) for port in passing.eight()]
    if passing.bound("items"):
        things += [passing.value_of(path, path.name) for path in node.sources("INPUT_ITEMS")]
    passing.write("output", gathered(mode, things, separator))
    node.say(f"{len(things)} things", 1)


def gathered(mode: str, things: list[Any], separator: str) -> Any:
    """What the flag asks for."""
    if mode == "list":
        return things
    flat = [each for thing in things for each in (thing if isinstance(thing, list) else [thing])]
    if mode == "flat":
        return flat
    if mode == "count":
        return len(flat)
    if mode == "text":
        return separator.join(map(passing.as_text, flat))
    numbers = [each for each in flat if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) < len(flat):
        node.die(node.WRONG_INPUT, f"{len(flat) - len(numbers)} of {len(flat)} things are no numbers")
    if not numbers:
        return 0 if mode == "sum" else None
    try:
        return FIGURES[mode](numbers)
    except OverflowError:
        node.die(node.WRONG_INPUT, "the numbers are too large")


if __name__ == "__main__":
    sys.exit(main())
