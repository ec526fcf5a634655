"""
Text with variables in it: `${NAME}` or `$NAME`, and `$$` for a dollar sign.

A dollar sign that begins no variable stands for itself. A `${` that nobody closed is a variable whose name is all
that follows, so that it is reported as unknown and never passes silently.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

KEY_VARIABLES = (
    "RUN_ID",
    "FLOW_NAME",
    "EDGE",
    "NODE_ID",
    "TIMESTAMP",
    "DATE",
    "YEAR",
    "MONTH",
    "DAY",
    "UUID",
)
"""What the key of a data well may name, beside `param.<name>`."""

PARAM = "param."
"""Begins the names of the parameters a run was started with."""

_VARIABLE = re.compile(r"\$(?:\$|\{([^}]*)(\}|\Z)|([A-Za-z_][A-Za-z0-9_]*))", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A template names variables that have no value."""

    names: tuple[str, ...]


def variables(template: str) -> tuple[str, ...]:
    """The names in the template, in order, each once."""
    return tuple(dict.fromkeys(name for name in map(_name, _VARIABLE.finditer(template)) if name is not None))


def literals(template: str) -> tuple[str, ...]:
    """What stands between the variables, `$$` read as a dollar sign."""
    found, text, at = [], "", 0
    for match in _VARIABLE.finditer(template):
        text += template[at : match.start()]
        at = match.end()
        if _name(match) is None:
            text += "$"
        else:
            found.append(text)
            text = ""
    return (*found, text + template[at:])


def expand(template: str, values: Mapping[str, str]) -> str | Unknown:
    """The text with every variable replaced by its value, in one pass; `Unknown` when one has none."""
    missing = tuple(name for name in variables(template) if name not in values)
    if missing:
        return Unknown(missing)
    return substitute(template, values.__getitem__)


def substitute(template: str, value: Callable[[str], str]) -> str:
    """The text with every variable replaced by what `value` says of its name. What is put in is not looked at again."""

    def replacement(match: re.Match[str]) -> str:
        name = _name(match)
        return "$" if name is None else value(name)

    return _VARIABLE.sub(replacement, template)


def known_in_key(name: str) -> bool:
    """Whether the key of a data well may name this variable."""
    return name in KEY_VARIABLES or (name.startswith(PARAM) and len(name) > len(PARAM))


def moment(now: datetime) -> dict[str, str]:
    """The variables of a moment, in UTC: `TIMESTAMP` (RFC 3339, to the second), `DATE`, `YEAR`, `MONTH`, `DAY`."""
    utc = now.astimezone(UTC)
    return {
        "TIMESTAMP": utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "DATE": utc.strftime("%Y-%m-%d"),
        "YEAR": utc.strftime("%Y"),
        "MONTH": utc.strftime("%m"),
        "DAY": utc.strftime("%d"),
    }


def _name(match: re.Match[str]) -> str | None:
    """The variable's name; None for `$$`."""
    bare: str | None = match.group(3)
    return bare if bare is not None else match.group(1)
