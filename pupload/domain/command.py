"""
What a node's container is told to run, as arguments and never as a line for a shell.

A definition's `Exec` is split into arguments first, as a shell would without being one; only then is each `${Name}` (of
a flag, an input or an output) replaced inside its argument. A value can therefore never become two arguments, nor an
option of its own, whatever is in it.

* `$$` is a dollar sign. Other dollar signs are left alone, so that `sh -c 'echo $HOME'` means what it says.
* `[--width ${width}]` is left out as a whole when a variable in it has no value, and so are arguments outside such a
  group of which nothing but missing values is left; elsewhere a missing value is empty.
* A group begins at an argument's first character and ends at another's last (or its own), brackets in between in
  pairs, with a variable between them. All other brackets stand for themselves, such as those of `[0:v]scale=2[v]`;
  `$[` and `$]` are brackets that never make a group.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"\$(?:([$\[\]])|\{([^}]*)\})", re.DOTALL)
_BRACKET = re.compile(r"\$[$\[\]]|\$\{[^}]*\}|[\[\]]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Group:
    """Arguments that stand or fall together."""

    items: tuple["str | Group", ...]


def split(exec_: str | Sequence[str]) -> tuple[str, ...]:
    """
    The arguments of a definition's `Exec`: a line split by the rules of shell quoting, a list as it is.

    Raises ValueError with a sentence when a quote is not closed.
    """
    if not isinstance(exec_, str):
        return tuple(exec_)
    try:
        return tuple(shlex.split(exec_))
    except ValueError:
        raise ValueError("a quotation mark is opened but not closed, or a backslash ends the line") from None


def variables(command: Sequence[str]) -> tuple[str, ...]:
    """The names in the arguments, in order, each once."""
    return tuple(dict.fromkeys(name for argument in command for name in _names(argument)))


def arguments(command: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """
    What to run: the arguments of `split` with values put in.

    `values` are those of flags and the paths of inputs and outputs; who is not in it has no value.
    """
    return tuple(_write(_parse(command), values))


def environment_name(prefix: str, name: str) -> str:
    """The environment variable of a port or flag: `INPUT_`, `OUTPUT_` or `FLAG_` and the name in upper case."""
    return prefix + re.sub(r"[^A-Z0-9]", "_", name.upper())


def _names(argument: str) -> Iterator[str]:
    return (match.group(2) for match in _TOKEN.finditer(argument) if match.group(2) is not None)


def _parse(command: Sequence[str]) -> tuple[str | Group, ...]:
    """The arguments with their groups found."""
    items: list[str | Group] = []
    position = 0
    while position < len(command):
        end = _group_end(command, position)
        if end is None:
            items.append(command[position])
            position += 1
        else:
            items.append(Group(_parse(_inside(command[position : end + 1]))))
            position = end + 1
    return tuple(items)


def _group_end(command: Sequence[str], start: int) -> int | None:
    """Where the group that the argument begins has its last argument; None when it begins none."""
    if not command[start].startswith("["):
        return None
    depth = 0
    for position in range(start, len(command)):
        for match in _BRACKET.finditer(command[position]):
            depth += {"[": 1, "]": -1}.get(match.group(), 0)
            if depth == 0 and match.group() == "]":
                closes = match.end() == len(command[position])
                return position if closes and variables(command[start : position + 1]) else None
    return None


def _inside(group: Sequence[str]) -> tuple[str, ...]:
    """A group's arguments without its brackets; a bracket that stands alone was no argument."""
    inner = list(group)
    inner[0] = inner[0][1:]
    inner[-1] = inner[-1][:-1]
    if not inner[0]:
        del inner[0]
    if inner and not inner[-1]:
        del inner[-1]
    return tuple(inner)


def _write(items: Sequence[str | Group], values: Mapping[str, str]) -> Iterator[str]:
    for item in items:
        if isinstance(item, str):
            names = tuple(_names(item))
            written = _replaced(item, values)
            if written or not names or any(name in values for name in names):
                yield written
        elif all(name in values for inner in item.items if isinstance(inner, str) for name in _names(inner)):
            yield from _write(item.items, values)


def _replaced(argument: str, values: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        escaped: str | None = match.group(1)
        return escaped if escaped is not None else values.get(match.group(2), "")

    return _TOKEN.sub(replacement, argument)
