#!/usr/bin/python3
"""
Gives on whatever of its inputs there is, as one.

    INPUT_INPUT, INPUT_INPUT_2 …   any of them may be missing: branches that were not taken give nothing
    OUTPUT_OUTPUT                  the only one as it is; of several what flag mode says
"""

import sys
from typing import Any

import node
import passing

MODES = ("auto", "first", "last", "object", "list", "text")


def main() -> None:
    """Does what the flags say."""
    mode = node.choice("mode", "auto", *MODES)
    separator = node.flag("separator", "\n")
    ports = passing.eight()
    if not ports:
        node.die(node.WRONG_INPUT, "there is no input: nothing came by any of them")
    if mode in ("first", "last") or (mode == "auto" and len(ports) == 1):
        passing.hand_on(ports[-1 if mode == "last" else 0], "output")
        node.say(f"{ports[-1 if mode == 'last' else 0]} as it is", 1)
        return
    values = {port: passing.value(port) for port in ports}
    size = passing.write("output", merged(mode, values, separator))
    node.say(f"{len(ports)} inputs, {size} bytes", 1)


def merged(mode: str, values: dict[str, Any], separator: str) -> Any:
    """The values as one."""
    every = list(values.values())
    if mode == "object":
        return values
    if mode == "text" or (mode == "auto" and all(isinstance(value, str) for value in every)):
        return separator.join(map(passing.as_text, every))
    if mode == "auto" and all(isinstance(value, dict) for value in every):
        return {key: value for each in every for key, value in each.items()}
    if mode == "auto" and all(isinstance(value, list) for value in every):
        return [value for each in every for value in each]
    return every


if __name__ == "__main__":
    sys.exit(main())
