#!/usr/bin/python3
"""
Deals a list out: each of its items is a file of a collection, for nodes that run once for each.

    INPUT_INPUT   a list, as JSON or as lines of text     OUTPUT_ITEMS   a file for each item, in its order
"""

import sys

import node
import passing


def main() -> None:
    """Does what the flags say."""
    most = node.number("max_items", 10_000, 1, 100_000)
    said = passing.at(passing.value("input"), node.flag("field"))
    if isinstance(said, str):
        said = said.splitlines()
    if not isinstance(said, list):
        node.die(node.WRONG_INPUT, "input is no list: give a list as JSON, or lines of text; or set flag field")
    if len(said) > most:
        node.die(node.WRONG_INPUT, f"the list has {len(said)} items, and {most} are dealt out at most")
    folder = node.place("OUTPUT_ITEMS")
    folder.mkdir(parents=True, exist_ok=True)
    for place, item in enumerate(said):
        passing.write_to(folder / f"{place:06}{'.txt' if isinstance(item, str) else '.json'}", item)
    node.say(f"{len(said)} items", 1)


if __name__ == "__main__":
    sys.exit(main())
