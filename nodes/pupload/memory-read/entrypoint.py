#!/usr/bin/python3
"""
Looks up what is remembered.

    INPUT_FACTS   what is known to this run, an object by key     OUTPUT_OUTPUT   the value of the key; without one, all
    INPUT_INPUT   the key, where no flag says it
"""

import sys

import node
import passing


def main() -> None:
    """Does what the flags say."""
    facts = passing.value("facts") if passing.bound("facts") else {}
    if not isinstance(facts, dict):
        node.die(node.WRONG_INPUT, "input facts is no object of JSON")
    key = node.flag("key")
    if not key and passing.bound("input"):
        said = passing.value("input")
        key = passing.as_text(said.get("key", "") if isinstance(said, dict) else said)
    if not key:
        passing.write("output", facts)
        node.say(f"{len(facts)} facts", 1)
        return
    if key in facts:
        passing.write("output", facts[key])
        node.say("1 fact", 1)
        return
    default = node.flag("default")
    try:
        passing.write("output", passing.parsed(default) if default else None)
    except passing.Wrong:
        passing.write("output", default)
    node.say("nothing is known under this key", 1)


if __name__ == "__main__":
    sys.exit(main())
