#!/usr/bin/python3
"""
Tells, shifts and formats a moment.

    INPUT_INPUT   the moment, as ISO 8601 or in seconds since 1970; now, where nothing is bound or it is empty
    OUTPUT_OUTPUT the moment as flag format has it
"""

import re
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import node
import passing

NAMED = {
    "iso": lambda moment: moment.isoformat(timespec="seconds"),
    "date": lambda moment: moment.date().isoformat(),
    "time": lambda moment: moment.time().isoformat(timespec="seconds"),
    "unix": lambda moment: str(int(moment.timestamp())),
    "weekday": lambda moment: moment.strftime("%A"),
}
_SHIFT = re.compile(r"([+-]?)((?:[0-9]{1,6}(?:w|d|h|m|s))+)")
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def main() -> None:
    """Does what the flags say."""
    place = zone(node.flag("timezone", "UTC"))
    shift = shifted(node.flag("add"))
    form = node.flag("format", "iso")
    if len(form) > 200:
        node.die(node.WRONG_FLAG, "flag format is longer than 200 characters")
    try:
        moment = (given() + shift).astimezone(place)
    except OverflowError:
        node.die(node.WRONG_INPUT, "the moment is before the year 1 or behind the year 9999")
    try:
        text = NAMED[form](moment) if form in NAMED else moment.strftime(form)
    except (ValueError, UnicodeError):
        node.die(node.WRONG_FLAG, f"flag format must be one of {', '.join(NAMED)}, or as strftime has it")
    passing.write("output", text)
    node.say(text, 1)


def zone(name: str) -> tzinfo:
    """The time zone of this name; ends the node where there is none."""
    if name in ("UTC", "Z"):
        return UTC
    refusal = f"flag timezone must be the name of a time zone such as Europe/Berlin, not '{name}'"
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}", name):
        node.die(node.WRONG_FLAG, refusal)
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        node.die(node.WRONG_FLAG, refusal)


def shifted(text: str) -> timedelta:
    """How much is added; ends the node where the flag says none."""
    if not text:
        return timedelta()
    match = _SHIFT.fullmatch(text.replace(" ", ""))
    if match is None:
        node.die(node.WRONG_FLAG, f"flag add must be a time such as 1d12h or -30m, not '{text}'")
    parts = dict.fromkeys(_UNITS.values(), 0)
    for amount, unit in re.findall(r"([0-9]+)([wdhms])", match[2]):
        parts[_UNITS[unit]] += int(amount)
    whole = timedelta(**parts)
    return -whole if match[1] == "-" else whole


def given() -> datetime:
    """The moment on the input, or now."""
    said = passing.value("input") if passing.bound("input") else ""
    if said in ("", None):
        return datetime.now(UTC)
    try:
        if isinstance(said, int | float) and not isinstance(said, bool):
            return datetime.fromtimestamp(said, UTC)
        found = datetime.fromisoformat(str(said).strip())
    except (ValueError, OverflowError, OSError):
        node.die(
            node.WRONG_INPUT, "input is no moment: give ISO 8601, such as 2026-03-03T12:00:00Z, or seconds since 1970"
        )
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
