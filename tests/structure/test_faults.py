"""Every fault that docs/explanation/reliability.md lists has a test that injects it, and the page names where it is."""

import ast
import re
from collections.abc import Iterator

from tests.structure import tree

PAGE = tree.ROOT / "docs" / "explanation" / "reliability.md"

FAULTS = {f"F{number:02}" for number in range(1, 51)}

OPEN: set[str] = set()
"""Faults that no test says it injects. Whoever writes one takes its number out."""

_NAME = re.compile(r"test_f(\d\d)_")
_TOLD = re.compile(r"F\d\d(?:(?:, | and | to |-)F\d\d)*")
_ROW = re.compile(r"^\| (F\d\d) \|.*\|(.*)\|$", re.MULTILINE)


def _tests() -> Iterator[tuple[str, str]]:
    """Pairs of a fault and the file of a test whose name or docstring begins with its number."""
    for path in sorted((tree.ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for fault in _faults(node):
                    yield fault, path.relative_to(tree.ROOT).as_posix()


def _faults(test: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    named, told = _NAME.match(test.name), _TOLD.match(ast.get_docstring(test) or "")
    return ({f"F{named[1]}"} if named else set()) | set(re.findall(r"F\d\d", told[0]) if told else ())


def _rows() -> dict[str, str]:
    """What the page says of where each fault is shown."""
    return dict(_ROW.findall(PAGE.read_text(encoding="utf-8")))


def test_the_page_lists_every_fault_once() -> None:
    listed = [fault for fault, _ in _ROW.findall(PAGE.read_text(encoding="utf-8"))]
    assert listed == sorted(FAULTS)


def test_every_fault_has_a_test_but_those_that_are_known_to_lack_one() -> None:
    assert FAULTS - {fault for fault, _ in _tests()} == OPEN


def test_the_page_names_a_test_of_every_fault_that_has_one() -> None:
    files: dict[str, set[str]] = {}
    for fault, path in _tests():
        files.setdefault(fault, set()).add(path)
    rows = _rows()
    assert not {fault: found for fault, found in files.items() if not any(path in rows[fault] for path in found)}


def test_the_page_names_no_test_that_is_not_there() -> None:
    named = {path for cell in _rows().values() for path in re.findall(r"`(tests/[^`]+)`", cell)}
    assert not [path for path in sorted(named) if not (tree.ROOT / path).exists()]
