"""
Durations as people write them: `90s`, `1h30m`, `250ms`, `1.5h`.

The grammar is that of Go's `time.ParseDuration`, which the flow format has always used; days are not in it.
"""

import re

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Seconds by unit. Micro is written with either of Unicode's two signs for it."""

LONGEST_SECONDS = 290 * 365 * 24 * 3600.0
"""About what Go can hold; far beyond what a run can mean."""

_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_LONGEST_TEXT = 64


def seconds(text: str) -> float:
    """
    How many seconds the text means; negative with a leading minus.

    Raises ValueError with a sentence that fits behind "is not a valid duration: ".
    """
    digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if digits == "0":
        return 0.0
    if not digits:
        raise ValueError("it is empty; write a number and a unit, such as 90s or 1h30m")
    if len(digits) > _LONGEST_TEXT or not _WHOLE.fullmatch(digits):
        raise ValueError("write numbers with units (ms, s, m, h), such as 90s or 1h30m")
    total = sum(float(number) * UNITS[unit] for number, unit in _PART.findall(digits))
    if total > LONGEST_SECONDS:
        raise ValueError("it is longer than 290 years")
    return -total if text.startswith("-") else total


def positive(text: str) -> float:
    """How many seconds the text means. Raises ValueError, as `seconds` does, and when it is not above zero."""
    found = seconds(text)
    if found <= 0:
        raise ValueError("it must be longer than nothing")
    return found


def text(seconds: float) -> str:
    """The duration for a sentence, to the millisecond: `1h30m`, `2.5s`, `250ms`, `0s`."""
    milliseconds = round(abs(seconds) * 1000)
    if milliseconds == 0:
        return "0s"
    sign = "-" if seconds < 0 else ""
    if milliseconds < 1000:
        return f"{sign}{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{_number(rest)}s" if rest else ""]
    return sign + "".join(parts)


def _number(milliseconds: int) -> str:
    """Milliseconds as a number of seconds, without idle zeros."""
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".")
