"""`pup secret`: a value comes from stdin or a prompt, and is never printed."""

import asyncio
import getpass
import io
import sys
from pathlib import Path

import pytest

from tests.api.house import a_house
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]

VALUE = "hunter2 hunter2"


class Stdin(io.TextIOWrapper):
    """What was piped in, or a terminal."""

    def __init__(self, data: bytes, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(data))
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(data))


async def test_secrets_are_set_listed_and_removed(pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_house(tmp_path) as house:
        at = ("--url", house.url)
        pipe(monkeypatch, f"{VALUE}\n".encode())
        assert await asyncio.to_thread(pup, "secret", "set", "KEY", *at) == 0
        assert await house.bench.world.secrets.reveal("KEY") == VALUE
        assert VALUE not in pup.said + pup.complaint
        assert await asyncio.to_thread(pup, "secret", "list", *at) == 0
        assert "KEY" in pup.said
        assert await asyncio.to_thread(pup, "secret", "list", "--json", *at) == 0
        assert [line["Name"] for line in pup.json["Secrets"]] == ["KEY"]
        assert await asyncio.to_thread(pup, "secret", "rotate", *at) == 0
        assert "key 2" in pup.said
        assert await asyncio.to_thread(pup, "secret", "rotate", "--keep-key", "--json", *at) == 0
        assert pup.json == {"KeyID": "2"}
        assert await asyncio.to_thread(pup, "secret", "remove", "KEY", *at) == 0
        assert await asyncio.to_thread(pup, "secret", "remove", "KEY", *at) == 1
        assert "secret KEY does not exist" in pup.complaint


async def test_a_value_of_several_lines_is_kept_as_it_is(
    pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_house(tmp_path) as house:
        pipe(monkeypatch, b"-----BEGIN-----\r\nabc\n\n-----END-----\n\n")
        assert await asyncio.to_thread(pup, "secret", "set", "KEY", "--url", house.url) == 0
        assert await house.bench.world.secrets.reveal("KEY") == "-----BEGIN-----\r\nabc\n\n-----END-----\n"


async def test_at_a_terminal_it_is_asked_for_without_an_echo(
    pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys, "stdin", Stdin(b"", terminal=True))

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return VALUE

    monkeypatch.setattr(getpass, "getpass", ask)
    async with a_house(tmp_path) as house:
        assert await asyncio.to_thread(pup, "secret", "set", "KEY", "--url", house.url) == 0
        assert await house.bench.world.secrets.reveal("KEY") == VALUE
        assert asked == ["value of KEY: "]


@pytest.mark.parametrize(("data", "said"), [(b"\xff\xfe\x00", "UTF-8"), (b"x" * (1 << 21), "too long")])
def test_what_is_no_text_is_refused_before_anything_is_sent(
    pup: Pup, monkeypatch: pytest.MonkeyPatch, data: bytes, said: str
) -> None:
    pipe(monkeypatch, data)
    assert pup("secret", "set", "KEY", "--url", "http://127.0.0.1:9") == 2
    assert said in pup.complaint


async def test_what_the_server_refuses_is_told_without_the_value(
    pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_house(tmp_path) as house:
        pipe(monkeypatch, b"abc\n")
        assert await asyncio.to_thread(pup, "secret", "set", "KEY", "--url", house.url) == 1
        assert "fewer than 4 characters" in pup.complaint
        assert "abc" not in pup.complaint


def test_a_value_is_no_argument(pup: Pup) -> None:
    assert pup("secret", "set", "KEY", VALUE, "--url", "http://127.0.0.1:9") == 2
