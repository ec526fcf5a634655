"""
Each node type does with its samples what `sample/cases.yaml` in its folder says, and its folder is whole.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pupload.domain import references, validation
from pupload.domain.flow import Binding, Flow, Node
from tests.nodes import house

Case = Mapping[str, Any]

KEYS = {"Name", "Inputs", "Flags", "Secrets", "Outputs", "Fails"}
OF_OUTPUTS = {"Type", "Facts", "Bytes", "File", "Contains", "JSON", "Items"}
OF_FACTS = {"Width", "Height", "Pages", "DurationSeconds", "Entries"}

DURATION_TOLERANCE = 0.2

FUNCTIONS = "COPY --from=base /usr/local/lib/pupload/ /usr/local/lib/pupload/\n"


def _sample(name: str) -> Path:
    return house.FOLDERS / name / "sample"


def _cases(name: str) -> list[Case]:
    path = _sample(name) / "cases.yaml"
    return yaml.safe_load(path.read_text())["Cases"] if path.exists() else []


def _is_tried_here(name: str, case: Case) -> bool:
    """
    Whether it goes without a server: collections, and what has to fail, most of which inspection would refuse first.

    All others go through real runs, see tests/system/test_node_types.py.
    """
    collects = any(port.many for port in house.definition(name).outputs)
    return "Fails" in case or collects or any(isinstance(given, list) for given in case["Inputs"].values())


HERE = [
    pytest.param(name, case, id=f"{name}-{case['Name']}")
    for name in house.names()
    for case in _cases(name)
    if _is_tried_here(name, case)
]


@pytest.mark.engine
@pytest.mark.timeout(900)  # whoever comes first builds the image
@pytest.mark.parametrize(("name", "case"), HERE)
def test_a_sample_becomes_what_its_case_says(name: str, case: Case, tmp_path: Path) -> None:
    outcome = house.run(
        name,
        tmp_path,
        {port: _source(name, given) for port, given in case["Inputs"].items()},
        flags={flag: str(value) for flag, value in case.get("Flags", {}).items()},
        secrets=case.get("Secrets"),
    )
    if "Fails" in case:
        expected = case["Fails"]
        assert outcome.exit_code == expected["ExitCode"], outcome.complaint
        assert expected.get("Says", "") in "\n".join([*(line.message for line in outcome.said), outcome.complaint])
        return
    assert outcome.exit_code == 0, outcome.complaint
    for port, wanted in case["Outputs"].items():
        if "Items" in wanted:
            _hold_items(outcome.many(port), wanted["Items"])
        for data in list(outcome.many(port).values()) if "Items" in wanted else [outcome.file(port)]:
            _hold(data, wanted, name, tmp_path)


def _source(name: str, given: Any) -> house.Source:
    if isinstance(given, list):
        return {Path(each).name: _sample(name) / each for each in given}
    return _sample(name) / str(given)


def _hold_items(items: Mapping[str, bytes], wanted: Case) -> None:
    if "Count" in wanted:
        assert _within(len(items), wanted["Count"]), list(items)
    if "Names" in wanted:
        assert list(items) == wanted["Names"]


def _hold(data: bytes, wanted: Case, name: str, scratch: Path) -> None:
    if "Type" in wanted:
        assert house.media_type(data) == wanted["Type"]
    for fact, value in wanted.get("Facts", {}).items():
        _hold_fact(data, fact, value, scratch)
    if "Bytes" in wanted:
        assert _within(len(data), wanted["Bytes"]), len(data)
    if "File" in wanted:
        assert data == (_sample(name) / wanted["File"]).read_bytes()
    for text in wanted.get("Contains", ()):
        assert text in data.decode()
    for path, value in wanted.get("JSON", {}).items():
        found = _found(json.loads(data), path)
        assert _within(found, value), f"{path} is {found!r}"


def _hold_fact(data: bytes, fact: str, value: Any, scratch: Path) -> None:
    if fact in ("Width", "Height"):
        seen = house.picture(data)
        assert seen is not None
        assert _within(getattr(seen, fact.lower()), value), seen
    elif fact == "Pages":
        assert _within(house.pages(data), value)
    elif fact == "Entries":
        assert _within(len(house.entries(data)), value), house.entries(data)
    else:
        assert house.duration(data, scratch) == pytest.approx(value, abs=DURATION_TOLERANCE)


def _within(found: Any, wanted: Any) -> bool:
    """Whether it is this value, or within these bounds."""
    if isinstance(wanted, Mapping) and wanted.keys() <= {"Min", "Max"}:
        number = float(found)
        return bool(wanted.get("Min", number) <= number <= wanted.get("Max", number))
    return bool(found == wanted)


def _found(document: Any, path: str) -> Any:
    """What a dotted path leads to; None where there is nothing. Numbers are places in lists."""
    for step in path.split("."):
        if isinstance(document, list):
            document = document[int(step)] if step.isdigit() and int(step) < len(document) else None
        else:
            document = document.get(step) if isinstance(document, Mapping) else None
    return document


# ── The folders ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", house.names())
def test_a_folder_is_whole(name: str) -> None:
    folder = house.FOLDERS / name
    assert {"node.yaml", "Dockerfile", "README.md", "sample"} <= {path.name for path in folder.iterdir()}
    readme = (folder / "README.md").read_text()
    kind = house.definition(name)
    assert readme.startswith(f"# pupload/{name}\n")
    parts = [(each.name, each.description) for each in (*kind.inputs, *kind.outputs)]
    for part, description in (*parts, *((each.name, each.description) for each in kind.flags)):
        assert f"`{part}`" in readme, f"the README does not tell of {part}"
        assert description, f"{part} has no description"
    dockerfile = (folder / "Dockerfile").read_text()
    assert "ARG SYSTEM=pupload/system:bookworm\n" in dockerfile
    # Functions that entry points share come last, so that an edit of one costs no packages.
    packages, _, rest = dockerfile.rpartition("\nFROM ${SYSTEM}\n")[2].partition(FUNCTIONS)
    assert not re.search(r"^(FROM|RUN|COPY|ADD)", rest, re.MULTILINE)
    assert "FROM ${BASE} AS base\n" in dockerfile or not rest
    assert "/usr/local/lib/pupload/node." not in packages
    assert re.search(r"^USER 65534:65534$", dockerfile, re.MULTILINE)


def _functions(paths: Iterable[Path]) -> set[tuple[str, str]]:
    """What files in shell, Python and Perl define at their outermost level, by language."""
    found = re.compile(r"^(?:def (\w+)\(|sub (\w+) \{|(\w+)\(\) \{)", re.MULTILINE)
    texts = [(path.suffix, path.read_text()) for path in paths if path.suffix in (".py", ".sh", ".pl")]
    return {(language, name) for language, text in texts for names in found.findall(text) for name in names if name}


def test_no_node_type_defines_anew_what_all_of_them_share() -> None:
    shared = _functions(Path("nodes/base").glob("*.*"))
    assert {(".sh", "die"), (".py", "die"), (".py", "passphrase"), (".sh", "pdf_pages"), (".pl", "lean")} <= shared
    for name in house.names():
        assert _functions((house.FOLDERS / name).glob("*.*")) & shared == set(), name


@pytest.mark.parametrize("name", house.names())
def test_a_definition_is_valid_and_tells_what_must_not_be_tried_again(name: str) -> None:
    kind = house.definition(name)
    assert references.default_of(kind) == f"pupload/{name}:latest"
    assert {64, 65} <= set(kind.retry.never_on_exit_codes)
    flow = Flow(
        name="all-of-it",
        nodes=(
            Node(
                id="node",
                uses=kind.uses,
                inputs=tuple(Binding(name=port.name, edge=f"in-{port.name}") for port in kind.inputs),
                outputs=tuple(Binding(name=port.name, edge=f"out-{port.name}") for port in kind.outputs),
            ),
        ),
    )
    wrong = {each.code for each in validation.validate(flow, [kind])}
    assert wrong <= {"NODE_005"}  # no flag is given here


@pytest.mark.parametrize("name", house.names())
def test_the_cases_name_what_there_is(name: str) -> None:
    cases, kind = _cases(name), house.definition(name)
    assert 2 <= len(cases) <= 8
    assert len({case["Name"] for case in cases}) == len(cases)
    for case in cases:
        assert case.keys() <= KEYS
        assert ("Outputs" in case) != ("Fails" in case)
        assert not kind.inputs or case["Inputs"].keys() <= {port.name for port in kind.inputs}
        assert not kind.flags or case.get("Flags", {}).keys() <= {flag.name for flag in kind.flags}
        assert not kind.outputs or case.get("Outputs", {}).keys() <= {port.name for port in kind.outputs}
        for wanted in case.get("Outputs", {}).values():
            assert wanted.keys() <= OF_OUTPUTS
            assert wanted.get("Facts", {}).keys() <= OF_FACTS
        for given in case["Inputs"].values():
            for file in given if isinstance(given, list) else [given]:
                assert (_sample(name) / file).is_file()
