"""Every line of the security page's table has its two tests, and each of them exists."""

import re

from tests.structure import tree

PAGE = tree.ROOT / "docs" / "explanation" / "security.md"
TESTS = tree.ROOT / "tests"


def rows() -> dict[str, list[str]]:
    """The tests that each line names, by what it is about."""
    text = PAGE.read_text(encoding="utf-8").partition("test_security.py -->")[2].partition("\n\n**")[0]
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    return {cells[0].strip(): re.findall(r"`(test_\w+\.py::[^`]+)`", "|".join(cells)) for cells in lines}


def test_every_line_has_a_test_inside_and_one_that_looks_it_up() -> None:
    assert len(rows()) > 20
    assert not [line for line, named in rows().items() if len(named) != 2]


def test_the_named_tests_exist() -> None:
    missing = [name for named in rows().values() for name in named if not _is_there(name)]
    assert not missing


def _is_there(name: str) -> bool:
    file, _, rest = name.partition("::")
    function, _, parameter = rest.rstrip("]").partition("[")
    for path in TESTS.rglob(file):
        text = path.read_text(encoding="utf-8")
        if f"def {function}(" in text and (not parameter or f'"{parameter}":' in text):
            return True
    return False
