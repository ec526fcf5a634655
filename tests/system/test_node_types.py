"""Each node type's samples go through real runs, and what `pup node test` says of them is so."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pupload import offline
from pupload.cli import cases, main
from tests.system.conftest import only_here
from tests.system.server import Server

NAMES = sorted(path.parents[1].name for path in offline.shipped_nodes().glob("pupload/*/sample/cases.yaml"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose nodes may have the network, for those that need it, and be of every type."""
    folder = tmp_path_factory.mktemp("server")
    (policy := folder / "policy.yaml").write_text("Types: {Deny: []}\n")
    with only_here(folder, PUPLOAD_NETWORKS='["bridge"]', PUPLOAD_POLICY=str(policy)) as found:
        yield found


@pytest.mark.timeout(900)  # whoever comes first builds the image
@pytest.mark.parametrize("name", NAMES)
def test_its_samples_become_what_its_cases_say(name: str, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["scripts/node-images", name], check=True, capture_output=True)
    code = main.run(["node", "test", name, "--json", "--url", server.url])
    told = json.loads(capsys.readouterr().out)
    assert code == 0, [each for each in told if each["Objections"]]
    folder = offline.shipped_nodes() / "pupload" / name
    assert [each["Case"] for each in told] == [each.name for each in cases.read(folder)]


def test_what_is_not_as_expected_is_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "nodes/my/copy"
    (folder / "sample").mkdir(parents=True)
    (tmp_path / "pup.yaml").write_text("ProjectName: copies\nID: 0d0e2ee4-54a6-4ed7-a0f6-5c5b2f8a36ab\n")
    (folder / "node.yaml").write_text(
        "Publisher: my\nName: copy\nImage: pupload/base:bookworm\nInputs: [{Name: from}]\nOutputs: [{Name: to}]\n"
        "MaxAttempts: 1\nCommand: {Exec: 'cp ${from} ${to}'}\n"
    )
    (folder / "sample/words.txt").write_text("some words")
    (folder / "sample/cases.yaml").write_text(
        "Cases:\n"
        "  - {Name: fine, Inputs: {from: words.txt}, Outputs: {to: {File: words.txt, Type: text/plain}}}\n"
        "  - {Name: other, Inputs: {from: words.txt}, Outputs: {to: {Contains: others}}}\n"
        "  - {Name: fails, Inputs: {from: words.txt}, Fails: {ExitCode: 3}}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main.run(["node", "test", "my/copy", "--json", "--url", server.url]) == 1
    fine, other, fails = json.loads(capsys.readouterr().out)
    assert (fine["Objections"], other["Objections"]) == ([], ["to does not contain 'others'"])
    assert fails["Objections"] == ["ended with 0, not 3: "]
    assert main.run(["node", "test", "my/copies", "--url", server.url]) == 2
    assert main.run(["node", "test", "--url", server.url]) == 2
