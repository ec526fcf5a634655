"""`pup credential`: values come from a file, stdin or a prompt, and are never printed."""

import asyncio
import builtins
import getpass
import json
import sys
from pathlib import Path

import pytest

from tests.api.house import a_house
from tests.cli.test_pup import Pup, pup
from tests.cli.test_secrets import Stdin, pipe

__all__ = ["pup"]

KEY = "sk-0123456789abcdef"
DETAIL = {"api_key": KEY, "organization_id": "org"}


async def test_a_credential_is_kept_changed_shown_and_removed(
    pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_house(tmp_path) as house:
        at = ("--url", house.url)
        pipe(monkeypatch, json.dumps(DETAIL).encode())
        assert await asyncio.to_thread(pup, "credential", "add", "openai", "--type", "llm", *at) == 0
        assert "sk-0****cdef" in pup.said
        assert await house.bench.world.secrets.reveal("api_key@openai") == KEY
        change = tmp_path / "change.json"
        change.write_text('{"organization_id": "new", "api_key": "sk-0****cdef"}')
        words = ("credential", "change", "openai", "--name", "provider", "--detail", str(change), "--json")
        assert await asyncio.to_thread(pup, *words, *at) == 0
        assert (pup.json["Name"], pup.json["Detail"]["organization_id"]) == ("provider", "new")
        assert await house.bench.world.secrets.reveal("api_key@provider") == KEY
        assert await asyncio.to_thread(pup, "credential", "list", *at) == 0
        assert "provider" in pup.said
        assert await asyncio.to_thread(pup, "credential", "show", "1", "--json", *at) == 0
        assert pup.json["ID"] == 1
        assert await asyncio.to_thread(pup, "credential", "test", "provider", *at) == 1
        assert "opens nothing: it cannot be connected to" in pup.said
        assert await asyncio.to_thread(pup, "credential", "remove", "provider", *at) == 0
        assert await asyncio.to_thread(pup, "credential", "show", "provider", *at) == 1
        assert "credential provider does not exist" in pup.complaint


async def test_at_a_terminal_each_value_is_asked_for_and_the_key_without_an_echo(
    pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    hidden: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return ""

    def ask_hidden(prompt: str) -> str:
        hidden.append(prompt)
        return KEY

    monkeypatch.setattr(sys, "stdin", Stdin(b"", terminal=True))
    monkeypatch.setattr(builtins, "input", ask)
    monkeypatch.setattr(getpass, "getpass", ask_hidden)
    async with a_house(tmp_path) as house:
        words = ("credential", "add", "openai", "--type", "llm", "--json", "--url", house.url)
        assert await asyncio.to_thread(pup, *words) == 0
        assert pup.json["Detail"]["provider_type"] == "openai_compatible"
        assert KEY not in pup.said
        assert asked == ["provider_type [openai_compatible]: ", "base_url: ", "organization_id: "]
        assert hidden == ["api_key: "]


@pytest.mark.parametrize("data", [b"no json", b"[1]", b"\xff", b"x" * (1 << 21)])
def test_what_is_no_object_is_refused_before_anything_is_sent(
    pup: Pup, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    pipe(monkeypatch, data)
    assert pup("credential", "add", "x", "--type", "llm", "--url", "http://127.0.0.1:9") == 2
    assert "stdin" in pup.complaint


def test_a_type_that_there_is_not_and_a_file_that_is_not_there_are_told(pup: Pup, tmp_path: Path) -> None:
    nowhere = ("--url", "http://127.0.0.1:9")
    assert pup("credential", "add", "x", "--type", "smtp", *nowhere) == 2
    assert "llm, telegram, gateway, git, tool, login" in pup.complaint
    assert pup("credential", "add", "x", "--detail", str(tmp_path / "absent"), *nowhere) == 2
    assert "cannot be read" in pup.complaint
