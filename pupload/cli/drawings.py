"""Commands about drawings."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pupload import errors
from pupload.api import documents
from pupload.cli import failures, logins, runs, trial
from pupload.cli.output import Output
from pupload.cli.runs import moment
from pupload.client import Answer

_DRAWINGS = "/api/v1/flow/drawings"

_TOLD = ("ID", "Slug", "Account", "Revision", "NodeCount", "EdgeCount", "CreatedAt", "UpdatedAt", "Number")
"""What the server says of a drawing, a node or an edge, and nobody else."""

_USUAL = {"MaxSeconds": 600, "Active": True, "Type": "direct", "X": 0, "Y": 0, "Priority": 0}
"""What is so where nothing is said, and neither nothing nor false."""


def listing(out: Output, url: str, *, limit: int, offset: int) -> int:
    """Lists them."""
    answer = _ask(url, "GET", f"{_DRAWINGS}?limit={limit}&offset={offset}")
    if out.as_json:
        out.json(answer)
        return failures.OK
    rows = [
        (
            each["Slug"],
            each["Name"],
            str(each["NodeCount"]),
            str(each["EdgeCount"]),
            _state(each),
            moment(each["UpdatedAt"]),
        )
        for each in answer["Drawings"]
    ]
    out.table(("DRAWING", "NAME", "NODES", "EDGES", "STATE", "CHANGED"), rows)
    return failures.OK


def show(out: Output, url: str, drawing: str) -> int:
    """Shows one, as it can be saved again."""
    answer = _ask(url, "GET", _place(drawing))
    if out.as_json:
        out.json(answer)
    else:
        for line in documents.write_yaml(_writable(answer)).splitlines():
            out.say(line)
    return failures.OK


def save(out: Output, url: str, drawing: str, file: Path, *, if_revision: int | None) -> int:
    """Saves one from a file."""
    said = _read(file)
    body = said if if_revision is None else {**said, "IfRevision": if_revision}
    answer = _ask(url, "PUT", _place(drawing), body)
    if out.as_json:
        out.json(answer)
    else:
        many = f"{answer['NodeCount']} nodes and {answer['EdgeCount']} edges"
        out.say(f"drawing {answer['Slug']} is at revision {answer['Revision']}, with {many}")
    return failures.OK


def validate(out: Output, url: str, drawing: str) -> int:
    """Says whether one can run."""
    answer = _ask(url, "POST", f"{_place(drawing)}/validate")
    if out.as_json:
        out.json(answer)
    else:
        for problem in answer.get("Problems", ()):
            out.say(problem)
        if answer["Valid"]:
            out.say(f"drawing {drawing} can run")
    return failures.OK if answer["Valid"] else failures.FAILED


def run(
    out: Output, url: str, drawing: str, text: str, *, as_value: bool, trigger: str, labels: Sequence[str], key: str
) -> int:
    """Starts a run of one."""
    said = sys.stdin.read() if text == "-" else text
    body = {"Value": _value(said) if as_value else said, "Trigger": trigger}
    body |= {"Labels": trial.read_params(labels, "--label")}
    headers = {"Idempotency-Key": key} if key else {}
    runs.show(out, _ask(url, "POST", f"{_place(drawing)}/run", body, headers=headers))
    return failures.OK


def remove(out: Output, url: str, drawing: str) -> int:
    """Removes one."""
    _ask(url, "DELETE", _place(drawing))
    if out.as_json:
        out.json({"Slug": drawing})
    else:
        out.say(f"drawing {drawing} is removed")
    return failures.OK


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _state(this: Mapping[str, Any]) -> str:
    said = ("public" * this["Public"], "default" * this["Default"], "inactive" * (not this["Active"]))
    return ", ".join(filter(None, said))


def _writable(this: Mapping[str, Any]) -> dict[str, Any]:
    """What can be saved of what is shown, without what is as it is anyway."""
    found: dict[str, Any] = {}
    for name, value in this.items():
        said = [_writable(each) for each in value] if name in ("Nodes", "Edges") else value
        told = name in _TOLD and not (name == "ID" and "Component" in this)
        if not told and said != _USUAL.get(name, False) and said not in (None, "", [], {}):
            found[name] = said
    return found


def _read(file: Path) -> Mapping[str, Any]:
    """The mapping in a file of YAML, which JSON is. Raises `errors.Malformed`, `failures.Usage`."""
    name = "stdin" if str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if name == "stdin" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise failures.Usage(reason=f"{name} cannot be read: {error}") from None
    found = documents.plain(documents.parse_yaml(text, name=name).value)
    if not isinstance(found, dict):
        raise errors.Malformed(reason=f"{name}:1: a drawing is a mapping with Name, Nodes and Edges")
    return found


def _value(said: str) -> Any:
    try:
        return json.loads(said)
    except ValueError as error:
        raise errors.Malformed(reason=f"what it is given is no JSON: {error}") from None


def _ask(url: str, method: str, path: str, body: Mapping[str, Any] | None = None, **more: Any) -> Answer:
    async def main() -> Answer:
        async with logins.client(url) as client:
            return await client.ask(method, path, body, **more)

    return asyncio.run(main())


def _place(drawing: str) -> str:
    return f"{_DRAWINGS}/{quote(drawing, safe='')}"
