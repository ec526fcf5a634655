"""The directions of import that pyproject.toml allows."""

import subprocess
import sys

from tests.structure import tree


def test_every_import_goes_in_an_allowed_direction() -> None:
    command = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"]
    checked = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
