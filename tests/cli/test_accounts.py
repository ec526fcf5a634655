"""`pup login` and what goes with it: who one is, on which server, and what is kept of it."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from pupload import wiring
from pupload.cli import logins
from pupload.cli.serving import settings
from pupload.domain import totp
from tests.api.house import House, a_house
from tests.cli.test_pup import Pup, pup
from tests.cli.test_secrets import pipe

__all__ = ["pup"]

ACCOUNTS = {"root": "admin", "ed": "editor"}


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PUPLOAD_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)


class At:
    """Runs commands against a house; the lines of stdin come with them."""

    def __init__(self, pup: Pup, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pup, self._house, self._patch = pup, house, monkeypatch

    async def __call__(self, *arguments: str, stdin: str = "") -> int:
        pipe(self._patch, stdin.encode())
        return await asyncio.to_thread(self._pup, *arguments, "--url", self._house.url)


@pytest.fixture
def at(pup: Pup, monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda house: At(pup, house, monkeypatch)


async def test_from_the_first_account_to_the_last_word(at: Any, pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = at(house)
        assert await run("list") == 0, "nobody is asked yet"
        assert await run("account", "setup", "root", stdin="root's\n") == 0
        assert "root is logged in" in pup.said
        kept = logins.place()
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
        token = json.loads(kept.read_text())[house.url]
        assert token not in pup.said + pup.complaint
        assert await run("list") == 0
        assert await run("account", "show") == 0
        assert "root, admin, account 1" in pup.said
        assert await run("account", "add", "ed", "--role", "editor", stdin="ed's\n") == 0
        assert "ed is editor" in pup.said
        assert await run("account", "add-service", "ci", "--purpose", "builds") == 0
        assert pup.said.startswith("pup_")
        assert await run("account", "list", "--services") == 0
        assert "builds" in pup.said
        assert "editor" not in pup.said
        assert await run("account", "change", "ci", "--close") == 0
        assert "closed" in pup.said
        assert await run("account", "change", "nobody", "--open") == 1
        assert "account nobody does not exist" in pup.complaint
        assert await run("account", "change", "ci") == 2
        assert await run("logout") == 0
        assert json.loads(kept.read_text()) == {}
        assert await run("list") == 1
        assert "Not authenticated; `pup login` lets you in" in pup.complaint


async def test_keys_are_made_listed_and_revoked(at: Any, pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        run = at(house)
        assert await run("login", "root", stdin="root's password\n") == 0
        assert await run("key", "add", "page", "--may", "runs.view", "--expires", "2999-01-01T00:00:00Z") == 0
        token = pup.said.strip()
        assert token.startswith("pup_")
        assert "shown once" in pup.complaint
        assert await run("key", "list") == 0
        assert token not in pup.said
        assert "runs.view" in pup.said
        assert await run("key", "list", "--json") == 0
        key = next(each["ID"] for each in pup.json["Keys"] if each["Name"] == "page")
        assert await run("key", "revoke", key) == 0
        assert await run("key", "add", "theirs", "--account", "ed", "--json") == 0
        assert await run("key", "revoke", pup.json["Key"]["ID"], "--account", "2") == 0
        assert await run("key", "list", "--account", "ed") == 0
        assert "revoked" in pup.said


async def test_a_code_is_asked_for_after_the_password(at: Any, pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        run, ed = at(house), await house.callers.identify(house.tokens["ed"])
        secret, _ = await house.callers.propose_code(ed)
        now = house.bench.clock.now

        def shown() -> str:
            return totp.code(totp.read(secret), totp.step_at(now()))

        await house.callers.enable_code(ed, shown())
        house.bench.clock.advance(90)
        assert await run("login", "ed", stdin=f"ed's password\n{shown()}\n") == 0
        house.bench.clock.advance(90)
        assert await run("account", "codes", "--off", stdin=f"{shown()}\n") == 0
        assert await run("account", "password", stdin="ed's password\nnext\n") == 0
        assert await run("account", "show") == 1
        assert await run("login", "ed", stdin="ed's password\n") == 1
        assert "Invalid credentials." in pup.complaint
        assert await run("login", stdin="ed\nnext\n") == 0
        assert await run("login", "root", stdin="root's password\n") == 0
        assert await run("account", "reset-code", "ed") == 0


async def test_a_token_is_shown_to_its_own_server_only(
    at: Any, pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_house(tmp_path / "a", accounts=ACCOUNTS) as house, a_house(tmp_path / "b", accounts=ACCOUNTS) as other:
        assert await at(house)("login", "ed", stdin="ed's password\n") == 0
        assert await at(house)("list") == 0
        assert await at(other)("list") == 1
        assert await at(other)("login", "ed", stdin="ed's password\n") == 0
        assert await at(other)("list") == 0
        assert await at(house)("list") == 0
        assert len(json.loads(logins.place().read_text())) == 2
        monkeypatch.setenv("PUPLOAD_TOKEN", "pup_0000")
        assert await at(house)("list") == 1
        assert "Invalid or missing API key" in pup.complaint


async def test_a_token_may_come_from_the_environment_or_a_file(
    at: Any, pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        file = tmp_path / "token"
        file.write_text(f"{house.tokens['ed']}\n")
        for words, code in ((("--token-file", str(file)), 0), (("--token-file", str(tmp_path)), 2)):
            assert await asyncio.to_thread(_alone, pup, *words, "list", "--url", house.url) == code
        file.write_text("two words")
        assert await asyncio.to_thread(_alone, pup, "--token-file", str(file), "list", "--url", house.url) == 2
        assert "holds no token" in pup.complaint
        monkeypatch.setenv("PUPLOAD_TOKEN", house.tokens["ed"])
        assert await at(house)("list") == 0


def _alone(pup: Pup, *arguments: str) -> int:
    """As a process of its own would: what it was told does not stay."""
    before = logins.TOKEN_FILE.set(None)
    try:
        return pup(*arguments)
    finally:
        logins.TOKEN_FILE.reset(before)


async def test_the_first_account_is_made_on_the_machine_itself_without_a_server(
    pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, b"root's\n")
    data = str(tmp_path / "data")
    assert await asyncio.to_thread(pup, "account", "setup", "root", "--data", data) == 0
    pipe(monkeypatch, b"root's\n")
    assert await asyncio.to_thread(pup, "account", "setup", "more", "--data", data) == 1
    assert "Setup already completed." in pup.complaint
    assert await asyncio.to_thread(pup, "account", "reset-code", "root", "--data", data) == 0
    assert await asyncio.to_thread(pup, "account", "reset-code", "nobody", "--data", data) == 1
    async with wiring.callers_here(settings(data=tmp_path / "data")) as callers:
        assert (await callers.log_in("root", "root's", address="")).token


async def test_nobody_is_asked_twice_for_nothing(at: Any, pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        assert await at(house)("login", "ed", stdin="") == 2
        assert "no password was given" in pup.complaint
