"""The command `pup dry-run`: what comes of a flow when it is tried out."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pupload import errors
from pupload.api.flow import wire
from pupload.cli import authoring, failures, logins, output, project, tables, trial, words
from pupload.cli.borrowing import a_server
from pupload.cli.failures import Usage
from pupload.cli.output import Output
from pupload.client import Answer
from pupload.domain.flow import with_stores

MOST_BYTES = 1 << 20
"""Of all files together: the server takes no more."""

PATIENCE_SECONDS = 3600.0
"""How long nothing may be heard from the server: it says nothing before all has ended."""

_ANYBODY = "00000000-0000-0000-0000-000000000000"
_STYLES = {"success": "green", "failed": "red", "skipped": "yellow"}


def run(
    out: Output,
    flow: str,
    *,
    inputs: Sequence[str],
    earlier: Sequence[str],
    params: Sequence[str],
    version: int,
    saved: bool,
    seconds: float,
    server: str,
) -> int:
    """Tries it out; fails unless every node that ran did well."""
    asked: dict[str, Any] = {"Params": trial.read_params(params), "Inputs": _inputs(inputs, earlier)}
    asked |= {"Seconds": seconds} if seconds else {}
    loaded = None if saved else _loaded(flow)
    if loaded is None:
        asked |= {"Version": version} if version else {}
        told = asyncio.run(_ask(words.url(server).url, f"/api/v1/flow/saved/{quote(flow, safe='')}/dry-run", asked))
    else:
        told = asyncio.run(_try(out, *loaded, asked, server))
    return _show(out, told)


def _loaded(flow: str) -> tuple[project.Project, Any] | None:
    """The project here and its flow of this name or in this file; None where there is none."""
    start = Path.cwd()
    if project.find_root(start) is None:
        return None
    found = project.load(start)
    try:
        return found, found.find_flow(Path(flow).name if flow.endswith((".yaml", ".yml")) else flow)
    except Usage:
        return None


async def _try(out: Output, loaded: project.Project, asked: Any, given: Mapping[str, Any], server: str) -> Answer:
    definitions = loaded.used_by(asked.value)
    shared = wire.read_project({"GlobalStores": loaded.settings.get("GlobalStores")}, project_id=_ANYBODY)
    body = {
        "Flow": wire.write_flow(with_stores(asked.value, shared.stores)),
        "NodeDefs": [wire.write_definition(each.value) for each in definitions],
        **given,
    }
    with suppress(RuntimeError):  # in a thread, where signals are another's
        trial.term_is_interrupt()
    async with a_server(out, words.url(server), project=loaded.root) as url:
        try:
            return await _ask(url, "/api/v1/flow/dry-run", body)
        except errors.Invalid as error:
            places = [project.place(finding, asked, definitions) for finding in error.findings]
            authoring.show_findings(out, error.findings, places)
            raise


async def _ask(url: str, path: str, body: Mapping[str, Any]) -> Answer:
    async with logins.client(url, silence_seconds=PATIENCE_SECONDS) as client:
        return await client.ask("POST", path, body)


def _inputs(files: Sequence[str], earlier: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    left = MOST_BYTES
    for text in files:
        edge, equals, path = text.partition("=")
        if not equals or not edge or not Path(path).expanduser().is_file():
            raise Usage(reason=f"--input {text} should read edge=path, and there must be such a file")
        data = Path(path).expanduser().read_bytes()
        left -= len(data)
        if left < 0:
            raise Usage(reason=f"a dry run takes {MOST_BYTES} bytes in all: give a part of {path}")
        found[edge] = {"Base64": base64.b64encode(data).decode(), "ContentType": _type_of(path)}
    for text in earlier:
        edge, equals, place = text.partition("=")
        run_id, colon, other = place.partition(":")
        if not (equals and colon and edge and other):
            raise Usage(reason=f"--from {text} should read edge=run:edge")
        found[edge] = {"Run": run_id, "Edge": other}
    return found


def _type_of(path: str) -> str:
    """What the name says, where bytes alone do not tell."""
    endings = {".csv": "text/csv", ".tsv": "text/tab-separated-values", ".jsonl": "application/x-ndjson"}
    return endings.get(Path(path).suffix.lower(), "")


def _show(out: Output, told: Answer) -> int:
    nodes: Sequence[Answer] = told["Nodes"]
    if out.as_json:
        out.json(told)
    else:
        for node in nodes:
            why = f": {output.one_line(node['Error'])}" if node["Error"] else ""
            out.say(f"{node['Node']}: {node['Status']}{why}", style=_STYLES.get(node["Status"]))
            if node["Columns"]:
                rows = [[tables.cell(row.get(name)) for name in node["Columns"]] for row in node["Rows"]]
                out.table([output.one_line(name) for name in node["Columns"]], rows)
                out.say()
    return failures.FAILED if any(node["Status"] == "failed" for node in nodes) else failures.OK
