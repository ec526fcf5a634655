"""
The cases of a node type: what it makes of its samples, as `sample/cases.yaml` says, and whether it did.

The format is told in docs/howto/write-a-node-type.md.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pupload import errors
from pupload.api import documents

FILE = Path("sample/cases.yaml")

DURATION_TOLERANCE_SECONDS = 0.2
"""Encoders pad the first and last frame."""

_OF_CASE = {"Name", "Inputs", "Flags", "Secrets", "Outputs", "Fails"}
_OF_OUTPUT = {"Type", "Facts", "Bytes", "File", "Contains", "JSON", "Items"}
_OF_FAILURE = {"ExitCode", "Says"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run of the node type on samples."""

    name: str
    inputs: Mapping[str, tuple[Path, ...]]
    """Files by port; several for a collection."""
    flags: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What is expected, by port."""
    fails: Mapping[str, Any] | None = None
    """How it is expected to fail; None: not at all."""


def read(folder: Path) -> Sequence[Case]:
    """The cases of the node type in the folder; none where it has no file of them. Raises `errors.Malformed`."""
    path = folder / FILE
    if not path.is_file():
        return ()
    document = documents.parse_yaml(path.read_text(encoding="utf-8"), name=str(path))
    known = document.value.get("Cases") if isinstance(document.value, dict) else None
    if not isinstance(known, list):
        raise errors.Malformed(reason=f"{path} has no list of Cases")
    found = []
    for number, one in enumerate(known):
        try:
            found.append(_read(one, path.parent))
        except ValueError as error:
            raise errors.Malformed(reason=f"{path}:{document.line(f'/Cases/{number}')}: {error}") from error
    return found


def _read(one: Any, samples: Path) -> Case:
    _only(one, _OF_CASE, "a case")
    if not one.get("Name"):
        raise ValueError("a case has no Name")
    if ("Outputs" in one) == ("Fails" in one):
        raise ValueError(f"case {one['Name']} needs Outputs or Fails, and not both")
    for expected in one.get("Outputs", {}).values():
        _only(expected, _OF_OUTPUT, "an output")
    if "Fails" in one:
        _only(one["Fails"], _OF_FAILURE, "Fails")
    inputs = {port: tuple(samples / name for name in _list(names)) for port, names in one.get("Inputs", {}).items()}
    for path in (path for paths in inputs.values() for path in paths):
        if not path.is_file():
            raise ValueError(f"there is no file {path.relative_to(samples)}")
    return Case(
        name=str(one["Name"]),
        inputs=inputs,
        flags={name: _text(value) for name, value in one.get("Flags", {}).items()},
        secrets={name: str(value) for name, value in one.get("Secrets", {}).items()},
        outputs={port: _with_file(expected, samples) for port, expected in one.get("Outputs", {}).items()},
        fails=one.get("Fails"),
    )


def _only(value: Any, known: set[str], what: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{what} should be a mapping")  # noqa: TRY004 - told with file and line, as all else
    if unknown := sorted(set(value) - known):
        raise ValueError(f"{what} has unknown {unknown[0]}; known: {', '.join(sorted(known))}")


def _list(names: Any) -> Sequence[str]:
    return names if isinstance(names, list) else [names]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with_file(expected: Mapping[str, Any], samples: Path) -> Mapping[str, Any]:
    return {**expected, "File": samples / expected["File"]} if "File" in expected else expected


# ── Judging ──────────────────────────────────────────────────────────────────────────────────────────────────────


def objections(expected: Mapping[str, Any], artifact: Mapping[str, Any], content: bytes) -> Iterator[str]:
    """
    What is not as expected, a sentence each.

    `artifact` is the artifact as the API tells it, `content` its bytes.
    """
    if "Type" in expected and artifact["ContentType"] != expected["Type"]:
        yield f"is {artifact['ContentType']}, not {expected['Type']}"
    known = artifact.get("Facts") or {}
    for name, value in (expected.get("Facts") or {}).items():
        bounds = (
            value
            if isinstance(value, dict)
            else _about(value, DURATION_TOLERANCE_SECONDS if name == "DurationSeconds" else 0)
        )
        if name not in known or not _within(known[name], bounds):
            yield f"{name} is {known.get(name, 'not told')}, not {_bounds(value) if value is bounds else value}"
    if "Bytes" in expected and not _within(len(content), expected["Bytes"]):
        yield f"has {len(content)} bytes, not {_bounds(expected['Bytes'])}"
    if "File" in expected and content != expected["File"].read_bytes():
        yield f"is not byte for byte {expected['File'].name}"
    text = content.decode("utf-8", "replace")
    for word in _list(expected.get("Contains") or []):
        if word not in text:
            yield f"does not contain {word!r}"
    if "JSON" in expected:
        yield from _json_objections(expected["JSON"], text)


def item_objections(expected: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    """What is not as expected of how many items there are, and what they are called."""
    if "Count" in expected and not _within(len(names), _exactly(expected["Count"])):
        yield f"has {len(names)} items, not {expected['Count']}"
    if "Names" in expected and list(names) != list(expected["Names"]):
        yield f"has {', '.join(names)}, not {', '.join(expected['Names'])}"


def _exactly(value: Any) -> Mapping[str, float]:
    return value if isinstance(value, dict) else _about(value, 0)


def _json_objections(expected: Mapping[str, Any], text: str) -> Iterator[str]:
    try:
        value = json.loads(text)
    except ValueError:
        yield "is no JSON"
        return
    for path, wanted in expected.items():
        try:
            found = _at(value, path)
        except (LookupError, TypeError, ValueError):
            if wanted is not None:
                yield f"has no {path}"
            continue
        if isinstance(wanted, dict):
            if not isinstance(found, int | float) or not _within(found, wanted):
                yield f"{path} is {found!r}, not {_bounds(wanted)}"
        elif found != wanted:
            yield f"{path} is {found!r}, not {wanted!r}"


def _at(value: Any, path: str) -> Any:
    """What stands at `a.0.b` of a JSON value."""
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _about(value: float, slack: float) -> Mapping[str, float]:
    return {"Min": value - slack, "Max": value + slack}


def _within(number: float, bounds: Mapping[str, float]) -> bool:
    return bounds.get("Min", number) <= number <= bounds.get("Max", number)


def _bounds(bounds: Mapping[str, float]) -> str:
    return f"{bounds.get('Min', 'anything')} to {bounds.get('Max', 'anything')}"


def failure_objections(expected: Mapping[str, Any], state: Mapping[str, Any], said: str) -> Iterator[str]:
    """
    What is not as expected of a failure: `state` is the node's as the API tells it, `said` what it wrote.

    What the gate refused before any container is refused all the better.
    """
    if state["StartedAt"] is None:
        return
    if "ExitCode" in expected and state.get("ExitCode") != expected["ExitCode"]:
        yield f"ended with {state.get('ExitCode')}, not {expected['ExitCode']}: {state.get('Error')}"
    if expected.get("Says", "") not in f"{state.get('Error')}\n{said}":
        yield f"does not say {expected['Says']!r} but: {state.get('Error')}"
