"""
Every script can be run, says what it is for, and is clean shell.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

COMMANDS = sorted(path for path in (*Path("scripts").iterdir(), Path(".ci/run")) if path.is_file() and not path.suffix)
SHELL = [
    *(path for path in COMMANDS if path.read_text().startswith(("#!/usr/bin/env bash", "#!/bin/sh"))),
    Path("scripts/lib.sh"),
    *sorted((*Path("nodes/base").glob("*.sh"), *Path("nodes").glob("*/*/*.sh"))),
]


def test_there_are_scripts() -> None:
    assert {"demo", "test", "check", "setup", "engine", "base-image", "node-images"} <= {path.name for path in COMMANDS}


@pytest.mark.parametrize("script", COMMANDS, ids=str)
def test_a_script_is_executable_and_explains_itself(script: Path, tmp_path: Path) -> None:
    assert os.access(script, os.X_OK)
    # From elsewhere, by its full path, and without doing anything.
    ended = subprocess.run([script.absolute(), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"usage: {script}" in ended.stdout


@pytest.mark.parametrize("script", [path for path in COMMANDS if path.name not in ("test", "run")], ids=str)
def test_a_script_refuses_what_it_does_not_know(script: Path) -> None:
    ended = subprocess.run([script.absolute(), "--nonsense"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "usage:" in ended.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_shell_is_clean() -> None:
    ended = subprocess.run(["shellcheck", "-x", *SHELL], capture_output=True, text=True, check=False)
    assert ended.stdout == ""


def test_the_locks_name_no_registry() -> None:
    for lock in Path("deploy").glob("*.lock"):
        assert "://" not in lock.read_text()
        assert "--hash=sha256:" in lock.read_text()
