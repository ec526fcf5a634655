"""What is said of tests that run side by side is about tests that there are."""

from pathlib import Path

import pytest

from tests import scheduling


@pytest.mark.parametrize("named", [*scheduling.ALONE, *scheduling.LONG])
def test_what_is_told_apart_is_there(named: str) -> None:
    path, _, test = named.partition("::")
    assert Path(path).exists()
    assert not test or f"def {test}(" in Path(path).read_text()
