#!/usr/bin/python3
"""
Keeps the items of a list for which a rule holds.

    INPUT_INPUT     a list, as JSON or as lines of text
    FLAG_FIELD      the path to what is compared, in each item     OUTPUT_OUTPUT   a list of those that are kept
"""

import sys
from typing import Any

import node
import passing


def main() -> None:
    """Does what the flags say."""
    operator = node.choice("operator", "exists", *passing.OPERATORS)
    field, wanted = node.flag("field"), compared(node.flag("value"))
    items = passing.value("input")
    if isinstance(items, str):
        items = items.splitlines()
    if not isinstance(items, list):
        node.die(node.WRONG_INPUT, "input is no list: give a list as JSON, or lines of text")
    kept = [each for each in items if passing.holds(operator, passing.at(each, field), wanted)]
    passing.write("output", kept)
    node.say(f"{len(kept)} of {len(items)} items", 1)


def compared(text: str) -> Any:
    """What items are compared with: a number, true, false or null is that, all else a text."""
    try:
        value = passing.parsed(text)
    except passing.Wrong:
        return text
    return text if isinstance(value, list | dict) else value


if __name__ == "__main__":
    sys.exit(main())
