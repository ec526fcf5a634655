"""What is somebody's is asked for in one place of the service, which knows who asks."""

import re
from pathlib import Path

import pytest

from tests.structure import tree

THEIRS = re.compile(r"\bworld\s*\.\s*(runs|saved|schedules|flows|feed)\b|\.driver\s*\.\s*(look|live)\b")
"""Stores that hold rows of accounts, and what an engine knows of runs. Secrets are told apart by their owners alone."""

MAY = {
    "owned.py": "it is that place",
    "health.py": "it asks whether the database answers, and counts; it tells of no run",
    "children.py": "a run's parent, which is of the same account",
    "counted.py": "whether the run before is over, for the schedule that started it",
    "dry_runs.py": "whoever began a dry run holds its id, and nobody else",
    "handing.py": "what is handed to a run by what follows from another of the same account",
    "schedules.py": "whether the run before is over, for the schedule that started it",
    "overview.py": "how many runs wait for a slot, of those that the caller sees",
    "queue.py": "it shows of the runs that go on those that the caller sees",
}


@pytest.mark.parametrize("path", sorted((tree.PACKAGE / "service").glob("*.py")), ids=lambda path: path.name)
def test_the_service_asks_for_what_is_somebodys_as_they_see_it(path: Path) -> None:
    found = THEIRS.findall(path.read_text(encoding="utf-8"))
    if path.name not in MAY:
        assert not found, f"{path.name} asks a store itself: ask `service.owned`, which knows who asks"


def test_the_pattern_finds_who_asks() -> None:
    owned = (tree.PACKAGE / "service" / "owned.py").read_text(encoding="utf-8")
    assert {found[0] for found in THEIRS.findall(owned)} >= {"runs", "saved", "schedules"}
