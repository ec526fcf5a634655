# ruff: noqa: PLC0415 - what assembles a server is imported where it is needed: it is heavy, and most commands here are not
"""Commands on a project's folder: init, validate, push, controller."""

import asyncio
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pupload.api.flow import wire
from pupload.cli import failures, project, templates
from pupload.cli.failures import Usage
from pupload.cli.output import Output
from pupload.cli.project import Loaded, Project
from pupload.domain import flow, nodedef, params, validation
from pupload.domain.validation.findings import Finding

# ── init ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def init(out: Output, name: str | None, *, wanted: Sequence[str], start: Path) -> int:
    """Makes a project in a new folder, or in this one; asks for its templates where somebody is there to be asked."""
    if not wanted and out.live and sys.stdin.isatty():
        wanted = _asked(out)
    chosen = templates.chosen(wanted)
    folder = (start / name) if name else start
    title = folder.absolute().name
    contents = templates.files(title, chosen)
    there = [path for path in (project.FILE, *contents) if (folder / path).exists()]
    if there:
        raise Usage(reason=f"{folder / there[0]} is there already; nothing was changed")
    try:
        for path, text in contents.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        settings: dict[str, Any] = {"ProjectName": title, "ID": str(uuid.uuid4()), "Controllers": []}
        project.write_settings(folder, settings)
    except OSError as error:
        raise failures.Failed(reason=f"cannot make {folder}: {error.strerror}") from error
    if out.as_json:
        out.json({"project": str(folder.absolute()), "files": [project.FILE, *contents]})
    out.say(f"made the project {title} in {folder}")
    for path in (project.FILE, *contents):
        out.say(f"  {path}")
    go = f"cd {name} && " if name else ""
    out.say(f"next: {go}pup validate, then pup test {chosen[0].name} {chosen[0].tries} --output results")
    return failures.OK


def _asked(out: Output) -> Sequence[str]:
    """The names of templates that whoever is at the terminal wants."""
    rows = [(str(number), each.name, each.about) for number, each in enumerate(templates.TEMPLATES.values(), start=1)]
    out.table(("", "TEMPLATE", "WHAT IT DOES"), rows)
    usual = ", ".join(templates.USUAL)
    return templates.read_choice(out.console.input(f"Which flows to start from? Names or numbers ({usual}): "))


def list_templates(out: Output) -> int:
    """Lists what there is to start from."""
    known = templates.TEMPLATES.values()
    if out.as_json:
        out.json([{"Template": each.name, "About": each.about, "Uses": list(each.uses)} for each in known])
    out.table(("TEMPLATE", "WHAT IT DOES"), [(each.name, each.about) for each in known])
    return failures.OK


# ── validate ─────────────────────────────────────────────────────────────────────────────────────────────────────


def validate(out: Output, name: str | None, *, start: Path) -> int:
    """Says what is wrong with the project's flows."""
    loaded = project.load(start)
    flows = [loaded.find_flow(name)] if name else list(loaded.flows)
    if not flows:
        raise failures.Failed(reason=f"the project {loaded.root} has no flows")
    judged = [(each, *judge(loaded, each)) for each in flows]
    bad = sum(any(finding.is_error for finding in findings) for _, findings, _ in judged)
    if out.as_json:
        out.json([_as_json(each, findings, places) for each, findings, places in judged])
    for each, findings, places in judged:
        title = each.value.name or each.path.stem
        wrong = any(finding.is_error for finding in findings)
        mark, verdict, style = ("✗", "invalid", "red") if wrong else ("✓", "valid", "green")
        out.say(f"{mark} {title}: {verdict}", style=style)
        show_findings(out, findings, places)
        for sentence in each.warnings:
            out.say(f"  {each.document.name}: WARNING {sentence}")
    for definition in loaded.definitions:
        for sentence in definition.warnings:
            out.say(f"  {definition.document.name}: WARNING {sentence}")
    return failures.FAILED if bad else failures.OK


def judge(loaded: Project, asked: Loaded[flow.Flow]) -> tuple[Sequence[Finding], Sequence[str]]:
    """What is wrong with the flow, and the file and line of each."""
    from pupload import offline
    from pupload.cli import serving

    settings = serving.settings()
    own = loaded.used_by(asked.value)
    shipped = _shipped(asked.value, {each.value.uses for each in own})
    filled = params.filled(asked.value, params.values(asked.value, {}))
    findings = validation.validate(filled, [*(each.value for each in own), *shipped], limits=offline.limits(settings))
    return findings, [project.place(finding, asked, own) for finding in findings]


def _shipped(asked: flow.Flow, known: set[str]) -> Sequence[nodedef.NodeDef]:
    """The definitions that every server has, of those that the flow uses and the project does not define."""
    from pupload import offline
    from pupload.cli import serving

    catalogue = asyncio.run(offline.make_catalogue(serving.settings()).all())
    used = {node.uses for node in asked.nodes} - known
    return [definition for definition in catalogue if definition.uses in used]


def show_findings(out: Output, findings: Sequence[Finding], places: Sequence[str]) -> None:
    """A line for each finding."""
    for finding, where in zip(findings, places, strict=True):
        kind = "ERROR" if finding.is_error else "WARNING"
        style = "red" if finding.is_error else "yellow"
        out.say(f"  {where}: {kind} [{finding.code}] {finding.name}: {finding.description}", style=style)


def _as_json(asked: Loaded[flow.Flow], findings: Sequence[Finding], places: Sequence[str]) -> dict[str, Any]:
    return {
        "Flow": asked.value.name,
        "File": str(asked.path),
        "Valid": not any(finding.is_error for finding in findings),
        "Findings": [
            {
                "Type": str(finding.type),
                "Code": finding.code,
                "Name": finding.name,
                "Description": finding.description,
                "Path": finding.path,
                "Place": where,
            }
            for finding, where in zip(findings, places, strict=True)
        ],
        "Warnings": list(asked.warnings),
    }


# ── push and controllers ─────────────────────────────────────────────────────────────────────────────────────────


def push(out: Output, url: str, *, start: Path) -> int:
    """Stores the project on a server."""
    from pupload.cli import logins

    loaded = project.load(start)
    if not loaded.id:
        raise Usage(reason=f"{project.FILE} has no ID; put a UUID there, such as {uuid.uuid4()}")
    body = {
        "ID": loaded.id,
        "ProjectName": loaded.name,
        "Flows": [wire.write_flow(each.value) for each in loaded.flows],
        "NodeDefs": [wire.write_definition(each.value) for each in loaded.definitions],
        "GlobalStores": loaded.settings.get("GlobalStores") or [],
    }

    async def work() -> None:
        async with logins.client(url) as client:
            await client.push(loaded.id, body)

    asyncio.run(work())
    if out.as_json:
        out.json({"project": loaded.id, "url": url, "flows": [each.value.name for each in loaded.flows]})
    out.say(f"pushed {len(loaded.flows)} flows and {len(loaded.definitions)} node definitions to {url}")
    return failures.OK


def add_controller(out: Output, name: str, url: str, *, start: Path) -> int:
    """Makes a server known to the project."""
    from pupload.client import Client

    Client(url)  # refuses what is no address
    folder = project.root(start)
    known = project.controllers(folder)
    if any(controller.name == name for controller in known):
        raise Usage(reason=f"there is a controller {name} already")
    project.write_controllers(folder, (*known, project.Controller(name=name, url=url.rstrip("/"))))
    return list_controllers(out, start=start)


def remove_controller(out: Output, name: str, *, start: Path) -> int:
    """Makes the project forget a server."""
    folder = project.root(start)
    known = project.controllers(folder)
    kept = tuple(controller for controller in known if controller.name != name)
    if len(kept) == len(known):
        raise Usage(reason=f"there is no controller {name}")
    project.write_controllers(folder, kept)
    return list_controllers(out, start=start)


def list_controllers(out: Output, *, start: Path) -> int:
    """Lists the servers the project knows; the first is the default."""
    known = project.controllers(project.root(start))
    if out.as_json:
        out.json([{"Name": each.name, "URL": each.url} for each in known])
    elif known:
        out.table(("NAME", "URL"), [(each.name, each.url) for each in known])
    else:
        out.say("No controllers configured.")
    return failures.OK
