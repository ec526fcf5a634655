"""How many files a process may open, in a process of its own."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
from pupload.adapters.system import files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(files.raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "said"), [(64, 200, "200 200 200"), (200, 200, "200 200 200")])
def test_a_process_takes_what_it_may_have(soft: int, hard: int, said: str) -> None:
    program = [sys.executable, "-c", SCRIPT.format(soft=soft, hard=hard)]
    ran = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == said
