"""The flows that `pup init` offers: each of them is valid as it is, and told of."""

import io
import re
from pathlib import Path

import pytest

from pupload import offline
from pupload.cli import authoring, project, templates
from pupload.cli.failures import Usage
from pupload.cli.output import Output
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", templates.TEMPLATES)
def test_what_is_made_of_a_template_is_valid_and_says_what_to_run(
    pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert pup("init", "demo", "--template", name) == 0
    assert f"pup test {name} --input " in pup.said
    monkeypatch.chdir(tmp_path / "demo")
    assert pup("validate") == 0
    assert pup.said == f"✓ {name}: valid\n", "not even a warning"
    readme = Path("README.md").read_text()
    template = templates.TEMPLATES[name]
    assert f"pup test {name} {template.tries} --output results" in readme
    assert f"pup node build {' '.join(template.uses)}" in readme
    (flow,) = project.load(tmp_path / "demo").flows
    assert {uses for node in flow.value.nodes if (uses := node.uses).startswith("pupload/")} == {
        f"pupload/{each}" for each in template.uses
    }
    assert all((offline.shipped_nodes() / "pupload" / each / "Dockerfile").is_file() for each in template.uses)
    taken = template.tries.split()[1].partition("=")[0]
    assert any(port.edge == taken for node in flow.value.nodes for port in node.inputs)


def test_several_templates_make_one_project(pup: Pup, tmp_path: Path) -> None:
    assert pup("init", "demo", "-t", "ocr", "-t", "resize", "-t", "ocr", "--json") == 0
    flows = [path for path in pup.json["files"] if path.startswith("flows/")]
    assert flows == ["flows/ocr.yaml", "flows/resize.yaml"]
    assert "pup node build ocr resize" in (tmp_path / "demo" / "README.md").read_text()


def test_templates_are_listed_and_nothing_is_made(pup: Pup, tmp_path: Path) -> None:
    assert pup("init", "--list") == 0
    assert [line.split()[0] for line in pup.said.splitlines()[1:]] == list(templates.TEMPLATES)
    assert pup("init", "--list", "--json") == 0
    assert [each["Template"] for each in pup.json] == list(templates.TEMPLATES)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_template_is_told_and_nothing_is_made(pup: Pup, tmp_path: Path) -> None:
    assert pup("init", "demo", "-t", "resize", "-t", "resise") == 2
    assert pup.complaint.startswith("pup: there is no template resise; there is: resize, sort, ")
    assert list(tmp_path.iterdir()) == []


def test_a_choice_is_names_and_numbers() -> None:
    assert templates.read_choice("2, ocr 1") == ["sort", "ocr", "resize"]
    assert templates.read_choice(" ") == []
    for wrong in ("0", "99", "x"):
        with pytest.raises(Usage):
            templates.chosen(templates.read_choice(wrong))


class Terminal(Output):
    """As if somebody sat there."""

    live = True


class Typed(io.StringIO):
    """What they type."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "made"), [("\n", ["resize", "sort"]), ("6 3\n", ["ocr", "web-pictures"])])
def test_at_a_terminal_it_is_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    made: list[str],
) -> None:
    monkeypatch.setattr("sys.stdin", Typed(typed))
    assert authoring.init(Terminal(), "demo", wanted=[], start=tmp_path) == 0
    assert re.search(r"\n6 +ocr ", capsys.readouterr().out)
    assert [each.value.name for each in project.load(tmp_path / "demo").flows] == made
