#!/usr/bin/python3
"""
Reads something out of a text.

    INPUT_INPUT        a text, such as a model or a program gives         OUTPUT_OUTPUT   what is found
    FLAG_PARSER_TYPE   json, list, lines, regex, number or boolean        FLAG_PATTERN    of regex
"""

import json
import re
import signal
import sys
from typing import Any, NoReturn

import node
import passing

TYPES = ("json", "list", "lines", "regex", "number", "boolean")
SECONDS = 10
"""How long a pattern may search: there are some that never end."""

_FENCE = re.compile(r"```[A-Za-z]*\s*\n(.*?)```", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,300}(?:\.[0-9]{1,300})?|\.[0-9]{1,300})(?:[eE][-+]?[0-9]{1,3})?")
_BULLET = re.compile(r"^\s*(?:[-*•]|[0-9]{1,6}[.)])\s+")
MOST_TRIES = 1000


class Endless(Exception):
    """The pattern searches for too long."""


def main() -> None:
    """Does what the flags say."""
    kind = node.choice("parser_type", "json", *TYPES)
    path, pattern = node.flag("path"), node.flag("pattern")
    text = passing.text_of(passing.source("input"), "input")
    found = {
        "json": lambda: of_json(text),
        "list": lambda: of_list(text),
        "lines": lambda: [line for line in text.splitlines() if line.strip()],
        "regex": lambda: of_pattern(pattern, text),
        "number": lambda: of_number(text),
        "boolean": lambda: of_boolean(text),
    }[kind]()
    if path:
        found = passing.at(found, path)
        if found is None:
            node.die(node.WRONG_INPUT, f"there is nothing at {path} in what was read")
    passing.write("output", found)
    node.say(f"read as {kind}", 1)


def of_json(text: str) -> Any:  # noqa: RET503 (`die` does not come back)
    """The first JSON in the text: all of it, in a fence, or from the first bracket that begins some."""
    for candidate in (text, *_FENCE.findall(text)):
        try:
            return passing.parsed(candidate)
        except passing.Wrong:
            continue
    reader, tries = json.JSONDecoder(), 0
    for match in re.finditer(r"[\[{]", text):
        tries += 1
        if tries > MOST_TRIES:
            break
        try:
            return reader.raw_decode(text, match.start())[0]
        except (ValueError, RecursionError):
            continue
    node.die(node.WRONG_INPUT, "there is no JSON in the text")


def of_list(text: str) -> list[Any]:
    """A list of JSON, else of the lines without their bullets; of one line, what is between its commas."""
    try:
        found = passing.parsed(text)
        if isinstance(found, list):
            return found
    except passing.Wrong:
        pass
    lines = [_BULLET.sub("", line).strip() for line in text.splitlines() if line.strip()]
    return [part.strip() for part in lines[0].split(",")] if len(lines) == 1 else lines


def of_pattern(pattern: str, text: str) -> Any:
    """What the pattern finds first: its named groups, its groups, or all of it."""

    def endless(*_: object) -> NoReturn:
        raise Endless

    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        node.die(node.WRONG_FLAG, f"flag pattern is no regular expression: {error}")
    if not pattern:
        node.die(node.WRONG_FLAG, "flag pattern must be a regular expression")
    signal.signal(signal.SIGALRM, endless)
    signal.alarm(SECONDS)
    try:
        match = compiled.search(text)
    except Endless:
        node.die(node.WRONG_FLAG, f"flag pattern searches for longer than {SECONDS} s")
    finally:
        signal.alarm(0)
    if match is None:
        node.die(node.WRONG_INPUT, "the pattern is not in the text")
    if match.groupdict():
        return match.groupdict()
    groups = match.groups()
    return match[0] if not groups else groups[0] if len(groups) == 1 else list(groups)


def of_number(text: str) -> int | float:
    """The first number in the text."""
    match = _NUMBER.search(text)
    if match is None:
        node.die(node.WRONG_INPUT, "there is no number in the text")
    digits = match[0].lstrip("+")
    return int(digits) if re.fullmatch(r"-?[0-9]+", digits) else float(digits)


def of_boolean(text: str) -> bool:  # noqa: RET503 (`die` does not come back)
    """Whether the text says yes."""
    word = text.strip().strip(".!\"'").lower()
    if word in ("true", "yes", "y", "1", "on"):
        return True
    if word in ("false", "no", "n", "0", "off"):
        return False
    node.die(node.WRONG_INPUT, "the text says neither yes nor no")


if __name__ == "__main__":
    sys.exit(main())
