#!/usr/bin/python3
"""
Has a fact remembered.

    INPUT_INPUT    the value; without flag key, an object with key and value, or a list of such objects
    OUTPUT_FACTS   the facts, a line of JSON each, remembered when this node has succeeded     OUTPUT_OUTPUT   the value
"""

import json
import sys
from typing import Any

import node
import passing

SCOPES = ("session", "user", "agent", "global")
TYPES = ("user_preference", "world_knowledge", "self_knowledge", "correction", "relationship")
MOST_KEY, MOST_VALUE_BYTES, MOST_FACTS = 255, 64 * 1024, 1000


def main() -> None:
    """Does what the flags say."""
    scope = node.choice("scope", "user", *SCOPES)
    kind = node.choice("fact_type", "world_knowledge", *TYPES)
    key, text = node.flag("key"), node.flag("value")
    said = passing.value("input") if passing.bound("input") else None
    if said is None and not text:
        node.die(node.WRONG_INPUT, "there is nothing to remember: bind input, or set flag value")
    if key:
        value = text or said
        told = [{"key": key, "value": value}]
    else:
        value = said
        told = said if isinstance(said, list) else [said]
    if not 0 < len(told) <= MOST_FACTS:
        node.die(node.WRONG_INPUT, f"there are {len(told)} facts, and 1 to {MOST_FACTS} are remembered at once")
    lines = [line(each, scope, kind) for each in told]
    passing.write("facts", "".join(f"{each}\n" for each in lines))
    passing.write("output", value)
    node.say(f"{len(lines)} facts", 1)


def line(fact: Any, scope: str, kind: str) -> str:
    """The line of a fact; ends the node where it is none."""
    if not isinstance(fact, dict) or not isinstance(fact.get("key"), str) or "value" not in fact:
        node.die(node.WRONG_INPUT, "a fact is an object with key and value; or set flag key")
    if not 0 < len(fact["key"]) <= MOST_KEY:
        node.die(node.WRONG_INPUT, f"a key has 1 to {MOST_KEY} letters")
    if len(json.dumps(fact["value"])) > MOST_VALUE_BYTES:
        node.die(node.WRONG_INPUT, f"the value of {fact['key']} has more than {MOST_VALUE_BYTES} bytes")
    said = {"key": fact["key"], "value": fact["value"], "scope": fact.get("scope", scope)}
    if said["scope"] not in SCOPES or fact.get("fact_type", kind) not in TYPES:
        node.die(node.WRONG_INPUT, f"a scope is one of {', '.join(SCOPES)}, a fact_type one of {', '.join(TYPES)}")
    return json.dumps({**said, "fact_type": fact.get("fact_type", kind)})


if __name__ == "__main__":
    sys.exit(main())
