"""`pup drawing`: graphs that are drawn, judged and run."""

import asyncio
import io
from pathlib import Path

import pytest

from tests.api.house import a_house
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]

DRAWING = """\
Name: Greet
Tags:
- friendly
Active: false
Nodes:
- ID: ask
  Component: trigger_chat
- ID: say
  Component: acme/shout
  X: 40
  Settings:
    extra_config:
      mark: '?'
Edges:
- Source: ask
  Target: say
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PUPLOAD_URL", raising=False)


async def test_a_drawing_is_saved_shown_judged_run_and_removed(
    pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_house(tmp_path, shouts=True) as house:

        async def say(*words: str) -> int:
            return await asyncio.to_thread(pup, "drawing", *words, "--url", house.url)

        file = tmp_path / "greet.yaml"
        file.write_text(DRAWING)
        assert await say("save", "greet", str(file)) == 0
        assert "drawing greet is at revision 1, with 2 nodes and 1 edges" in pup.said
        assert await say("show", "greet") == 0
        assert pup.said == DRAWING
        assert await say("list") == 0
        assert "greet" in pup.said
        assert "inactive" in pup.said
        assert await say("run", "greet", "hello") == 1
        assert "not active" in pup.complaint
        file.write_text(DRAWING.replace("Active: false\n", ""))
        assert await say("save", "greet", str(file), "--if-revision", "7") == 1
        assert "revision 1, not 7" in pup.complaint
        assert await say("save", "greet", str(file), "--if-revision", "1", "--json") == 0
        assert (pup.json["Revision"], pup.json["Active"]) == (2, True)
        assert await say("validate", "greet") == 0
        assert "drawing greet can run" in pup.said
        assert await say("run", "greet", "hello", "--label", "by=me", "--json") == 0
        first = pup.json
        assert first["Labels"] == {"drawing": "greet", "trigger": "ask", "kind": "chat", "by": "me"}
        monkeypatch.setattr("sys.stdin", io.StringIO('{"text": "you"}'))
        assert await say("run", "greet", "-", "--value", "--trigger", "ask", "--key", "k", "--json") == 0
        assert pup.json["ID"] != first["ID"]
        file.write_text(DRAWING.replace("acme/shout", "agent").replace("Active: false\n", ""))
        assert await say("save", "greet", str(file)) == 0
        assert await say("validate", "greet") == 1
        assert "Node 'say' is missing required 'model' connection" in pup.said
        assert await say("remove", "greet") == 0
        assert await say("show", "greet") == 1
        assert "drawing greet does not exist" in pup.complaint


@pytest.mark.parametrize(
    ("text", "words"),
    [("- a\n", "is a mapping"), ("Name: [", "greet.yaml:"), ("Name: Greet\nName: Again\n", "given twice")],
)
def test_what_is_no_drawing_is_refused_before_anything_is_sent(pup: Pup, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "greet.yaml").write_text(text)
    assert pup("drawing", "save", "greet", "greet.yaml", "--url", "http://127.0.0.1:9") == 1
    assert words in pup.complaint


def test_a_file_that_is_not_there_is_told(pup: Pup) -> None:
    assert pup("drawing", "save", "greet", "none.yaml", "--url", "http://127.0.0.1:9") == 2
    assert "none.yaml cannot be read" in pup.complaint
    assert pup("drawing", "run", "greet", "{", "--value", "--url", "http://127.0.0.1:9") == 1
    assert "no JSON" in pup.complaint
