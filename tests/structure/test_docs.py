"""The documentation says what is so: nothing is missing in it, its links lead somewhere, its examples are read."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote

import click
import pytest
import typer.main
import yaml

from pupload import offline
from pupload.api import documents, surfaces
from pupload.api.app import make_app
from pupload.api.flow import drawing_models, reading, saved_models, wire
from pupload.cli import serving
from pupload.cli.main import app as pup
from pupload.domain import events, run, sourcefile, validation
from pupload.domain.validation import findings
from pupload.settings import Settings
from tests.structure import tree

REFERENCE = tree.ROOT / "docs" / "reference"

ORDER = tree.ROOT / "nodes" / "pupload" / "resize" / "sample" / "order.json"
"""The contract's own example, letter for letter; scripts/demo posts it as well."""

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def page(name: str) -> str:
    """A page of the reference."""
    return (REFERENCE / name).read_text(encoding="utf-8")


# ── Nothing is missing ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_generated_parts_are_what_the_code_says() -> None:
    command = [sys.executable, str(tree.ROOT / "scripts" / "docs"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_setting_is_told() -> None:
    assert {f"### `{name}`" for name in Settings.model_fields} <= set(page("settings.md").splitlines())


def test_every_validation_code_is_told() -> None:
    told = re.findall(r"^#### ([A-Z]+_\d+) ", page("errors.md"), re.MULTILINE)
    assert told == list(findings.CODES)


def test_every_class_of_failure_has_a_section() -> None:
    sections = set(_HEADING.findall(page("errors.md")))
    assert {failure.value.replace("_", "-") for failure in run.Failure} <= sections


def test_every_kind_of_event_is_told() -> None:
    assert {f"`{name}`" for name in events.KINDS} <= set(_HEADING.findall(page("events.md")))


def test_every_route_is_told() -> None:
    services = cast(Any, SimpleNamespace(health=SimpleNamespace(counts=None)))
    paths = {resource.canonical.rstrip("/") for resource in make_app(services, version="0").router.resources()}
    told = {surface.name: {route.path for route in surface.routes} for surface in surfaces.OTHERS}
    told["flow"] = paths - {path for each in told.values() for path in each}
    pages = {name: page("api.md" if name == "flow" else f"{name}-api.md") for name in told}
    assert not [path for name, each in told.items() for path in sorted(each) if path not in pages[name]]


def _commands(group: click.Group, words: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(cast(click.Group, command), f"{words} {name}")
        else:
            yield f"{words} {name}"


def test_every_command_is_told() -> None:
    text = page("cli.md")
    assert not [
        words for words in _commands(cast(click.Group, typer.main.get_command(pup)), "pup") if words not in text
    ]


def test_every_status_of_a_run_is_told() -> None:
    section = page("errors.md").partition("## Why a run ended")[2].partition("\n## ")[0]
    assert not [status for status in run.Status if status.terminal and f"| {status} |" not in section]


# ── Nothing leads nowhere ────────────────────────────────────────────────────────────────────────────────────────


def _links(path: Path) -> Iterator[str]:
    prose = _FENCE.sub("", path.read_text(encoding="utf-8"))
    for found in _LINK.finditer(prose):
        link = found[1] or found[2]
        if not re.match(r"[a-z]+:", link):
            yield unquote(link)


def _anchors(path: Path) -> set[str]:
    """What headings are called in links: in small letters, blanks as dashes, nothing else but letters and digits."""
    titles = _HEADING.findall(_FENCE.sub("", path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", tree.pages(), ids=tree.name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in _links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            broken.append(link)
    assert not broken


def test_the_index_leads_to_every_page() -> None:
    index = tree.ROOT / "docs" / "index.md"
    decisions = tree.ROOT / "docs" / "decisions" / "README.md"
    led = {(one.parent / link.partition("#")[0]).resolve() for one in (index, decisions) for link in _links(one)}
    pages = {path for path in tree.pages() if path.is_relative_to(tree.ROOT / "docs")}
    assert not [tree.name(path) for path in sorted(pages - led - {index})]


def test_the_code_names_pages_that_are_there() -> None:
    named = {
        (name, tree.name(path))
        for path in tree.modules()
        for name in re.findall(r"docs/[a-z/-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert not [pair for pair in sorted(named) if not (tree.ROOT / pair[0]).exists()]


# ── Examples ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", tree.pages(), ids=tree.name)
def test_examples_can_be_read(path: Path) -> None:
    for _, language, text in _FENCE.findall(path.read_text(encoding="utf-8")):
        if language == "json":
            json.loads(text)
        elif language == "yaml":
            yaml.safe_load(text)


def test_the_first_curl_is_the_contracts_own_example() -> None:
    posted = re.search(r"-d '(\{.*?\n  \})'", (tree.ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert posted is not None
    first, *rest = ORDER.read_text(encoding="utf-8").splitlines()
    assert posted[1].splitlines() == [first, *(f"  {line}" for line in rest)]


def test_the_contracts_example_is_valid() -> None:
    order = wire.read_order(json.loads(ORDER.read_text(encoding="utf-8")))
    assert not order.warnings
    assert not validation.validate(order.flow, order.definitions)


def test_examples_of_flows_and_definitions_use_words_that_there_are() -> None:
    unknown: list[str] = []
    for path in tree.pages():
        for example in _yaml_in(path):
            if isinstance(example, list):
                example = {"Nodes": example}
            if "Sources" in example:
                assert sourcefile.read(example)
                continue
            if "Edges" in example:
                reading.read(drawing_models.SaveDrawing, example, warnings=unknown, yaml=True)
                continue
            if "Flow" in example:
                reading.read(saved_models.SaveFlow, example, warnings=unknown, yaml=True)
                continue
            read = wire.read_definition if "Publisher" in example else wire.read_flow
            if "Cases" not in example:
                read(example, warnings=unknown, yaml=True)
    assert not unknown


def _yaml_in(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    # Read as pupload does, for which `On` is a word and no truth.
    found = [example for _, language, example in _FENCE.findall(text) if language == "yaml"]
    return [documents.parse_yaml(example, name=path.name).value for example in found]


async def test_the_flows_of_the_tutorial_are_valid() -> None:
    read = _yaml_in(tree.ROOT / "docs" / "tutorial.md")
    definitions = [wire.read_definition(each, yaml=True) for each in read if "Publisher" in each]
    shipped = await offline.make_catalogue(serving.settings()).all()
    flows = [wire.read_flow(each, yaml=True) for each in read if "Nodes" in each]
    assert len(flows) == 2
    assert not [finding for flow in flows for finding in validation.validate(flow, [*definitions, *shipped])]
