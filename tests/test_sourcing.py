"""The operator's file of sources."""

from pathlib import Path
from typing import Any

import pytest

from pupload import errors, sourcing
from pupload.settings import Settings


def the_settings(**given: Any) -> Settings:
    """Theirs, and else the usual ones."""
    return Settings(**given)


def test_there_are_none_unless_somebody_says(tmp_path: Path) -> None:
    assert sourcing.known(the_settings()) == ()


def test_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    settings = the_settings(sources=path)
    path.write_text("Sources:\n  - Name: local\n    Type: fs\n    Path: /srv/flows\n    Interval: 60s\n")
    (found,) = sourcing.known(settings)
    assert (found.name, found.interval_seconds) == ("local", 60.0)
    for text, said in {
        "Sources:\n  - Name: local\n    Type: fs\n    Path: flows\n": f"{path}:4: Path must be an absolute path",
        "Sources: [\n": f"{path}:2: ",
        "\x00": f"{path}:1: ",
        "x" * (sourcing.MOST_BYTES + 1): "larger than",
    }.items():
        path.write_text(text)
        with pytest.raises(errors.Misconfigured) as caught:
            sourcing.known(settings)
        assert said in str(caught.value)
    path.write_bytes(b"\xff")
    with pytest.raises(errors.Misconfigured, match="cannot be read"):
        sourcing.known(settings)
    path.unlink()
    with pytest.raises(errors.Misconfigured, match="cannot be read"):
        sourcing.known(settings)


def test_the_doctor_is_told_whether_they_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sources.yaml"
    assert not sourcing.check(the_settings())
    (line,) = sourcing.check(the_settings(sources=path))
    assert not line.ok
    path.write_text("Sources:\n  - {Name: local, Type: fs, Path: /srv}\n")
    assert [(line.what, line.ok) for line in sourcing.check(the_settings(sources=path))] == [("sources", True)]
    path.write_text("Sources:\n  - {Name: team, Type: git, Path: /srv}\n")
    assert [(line.what, line.ok) for line in sourcing.check(the_settings(sources=path))] == [
        ("sources", True),
        ("git", True),
    ]
    monkeypatch.setenv("PATH", "/nowhere")
    assert [line.ok for line in sourcing.check(the_settings(sources=path))] == [True, False]
