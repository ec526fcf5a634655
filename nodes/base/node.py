"""
What the entry points of node types in Python share: what node.sh is for those in shell.

Everything comes in by the environment, as the node contract has it, and every value is checked before it is used. What
a node has to say is one line of JSON each: errors on stderr, the rest on stdout. The exit codes are those of node.sh.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import NoReturn

WRONG_FLAG, WRONG_INPUT, FAILED, TOO_LARGE = 64, 65, 70, 71

_LONGEST = 300
_NO_LIMIT = 10**13


def plain(text: object) -> str:
    """One printable line of at most 300 characters; what cannot be shown is a question mark."""
    shown = "".join(char if char.isprintable() else "?" for char in str(text))
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def say(message: object, progress: float | None = None) -> None:
    """A line for people; progress is from 0 to 1."""
    record: dict[str, object] = {"level": "INFO", "message": plain(message)}
    if progress is not None:
        record["progress"] = round(min(max(progress, 0.0), 1.0), 3)
    print(json.dumps(record), flush=True)


def warn(message: object) -> None:
    """A line about something that need not stop anybody."""
    print(json.dumps({"level": "WARN", "message": plain(message)}), file=sys.stderr, flush=True)


def die(code: int, message: object) -> NoReturn:
    """Ends the node with a sentence that says what to do."""
    print(json.dumps({"level": "ERROR", "message": plain(message)}), file=sys.stderr, flush=True)
    sys.exit(code)


def flag(name: str, default: str = "") -> str:
    """The flag's value, the default where it is not set or empty."""
    return os.environ.get("FLAG_" + re.sub(r"[^A-Z0-9]", "_", name.upper())) or default


def number(name: str, default: int, least: int, most: int) -> int:
    """A flag that is a whole number within bounds."""
    value = flag(name, str(default))
    if not re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", value) or not least <= int(value) <= most:
        die(WRONG_FLAG, f"flag {name} must be a whole number from {least} to {most}, not '{value}'")
    return int(value)


def optional(name: str, least: int, most: int) -> int | None:
    """A flag that is a whole number within bounds, or not set."""
    return number(name, least, least, most) if flag(name) else None


def decimal(name: str, default: float, least: float, most: float) -> float:
    """A flag that is a number within bounds."""
    value = flag(name, str(default))
    if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", value) or not least <= float(value) <= most:
        die(WRONG_FLAG, f"flag {name} must be a number from {least:g} to {most:g}, not '{value}'")
    return float(value)


def boolean(name: str, *, default: bool = False) -> bool:
    """A flag that is true or false."""
    value = flag(name, str(default).lower())
    if value not in ("true", "false", "1", "0"):
        die(WRONG_FLAG, f"flag {name} must be true or false, not '{value}'")
    return value in ("true", "1")


def choice(name: str, default: str, *allowed: str) -> str:
    """A flag that is one of these."""
    value = flag(name, default)
    if value not in allowed:
        die(WRONG_FLAG, f"flag {name} must be one of {', '.join(allowed)}, not '{value}'")
    return value


def place(variable: str) -> Path:
    """The path that a variable such as `OUTPUT_RESULT` has."""
    value = os.environ.get(variable, "")
    if not value:
        die(WRONG_FLAG, f"{variable} is not set: this image runs as a node of a flow and expects the path there")
    if not re.fullmatch(r"/[A-Za-z0-9._/-]*", value):
        die(WRONG_FLAG, f"{variable} must be an absolute path of letters, digits, '.', '_', '-'")
    return Path(value)


def source(variable: str) -> Path:
    """The path of an input that is one file, which can be read."""
    path = place(variable)
    if not (path.is_file() and os.access(path, os.R_OK)):
        die(WRONG_INPUT, f"there is no readable file at {path}")
    return path


def sources(variable: str) -> list[Path]:
    """The files of an input that is a collection, in its order."""
    folder = place(variable)
    if not folder.is_dir():
        die(WRONG_INPUT, f"there is no readable folder at {folder}")
    return sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.name)


def memory_limit() -> int:
    """The bytes that this container may use (cgroup v2, then v1); 2 GiB where nobody says."""
    said = _read("/sys/fs/cgroup/memory.max") or _read("/sys/fs/cgroup/memory/memory.limit_in_bytes")
    return int(said) if said.isdecimal() and int(said) < _NO_LIMIT else 2 << 30


def processors() -> int:
    """How many the container may use, at least one (cgroup v2, then v1)."""
    quota, period = (*_read("/sys/fs/cgroup/cpu.max").split(), "", "")[:2]
    if not quota:
        quota, period = (_read(f"/sys/fs/cgroup/cpu/cpu.cfs_{each}_us") for each in ("quota", "period"))
    if quota.isdecimal() and period.isdecimal():
        return max(1, -(-int(quota) // int(period)))
    return os.cpu_count() or 1


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
