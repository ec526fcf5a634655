"""Commands that need no server do not wait for one to be imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from pupload.cli import main

HEAVY = ("sqlalchemy", "boto3", "botocore", "docker", "minio", "aiohttp", "pupload.engine", "pupload.wiring")

PROBE = """
import sys
from pupload.cli import main
main.run(sys.argv[1:])
sys.stderr.write(" ".join(sys.modules))
"""


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (["--help"], ()),
        (["validate"], ()),
        (["node", "list"], ()),
        (["controller", "list"], ()),
        (["status", "run_x", "--url", "http://127.0.0.1:9"], ("aiohttp",)),
    ],
    ids=lambda given: " ".join(given),
)
def test_a_light_command_imports_little(
    tmp_path: Path, command: list[str], allowed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(["init"]) == 0
    ended = subprocess.run([sys.executable, "-c", PROBE, *command], capture_output=True, text=True, check=True)
    imported = set(ended.stderr.splitlines()[-1].split())
    assert "pupload.cli.main" in imported
    assert not imported & set(HEAVY) - set(allowed)
