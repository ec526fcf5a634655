"""What nobody may learn who looks at the data folder, or listens to how long an answer takes."""

import base64
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from argon2 import Parameters, Type

from pupload import errors, wiring
from pupload.adapters.memory.accounts import Accounts
from pupload.adapters.memory.clock import VirtualClock
from pupload.adapters.memory.ids import SeededIds
from pupload.adapters.passwords.hasher import Argon2
from pupload.domain import totp
from pupload.domain.access import Role
from pupload.service.callers import GUESSES_A_MINUTE, Callers
from pupload.settings import Settings

HERE = "127.0.0.1"


def the_settings(data: Path) -> Settings:
    given: dict[str, Any] = {"data": data}
    return Settings(**given)


def _bytes_of(folder: Path) -> bytes:
    """Everything in the folder's files, key file and all."""
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_no_byte_of_the_data_folder_is_of_a_password_a_token_or_an_authenticators_secret(tmp_path: Path) -> None:
    password, data = "correct horse battery staple", tmp_path / "data"
    async with wiring.callers_here(the_settings(data)) as callers:
        tokens = [await callers.set_up("root", password)]
        root = await callers.identify(tokens[0])
        await callers.create("ed", password, role=Role.EDITOR, by=root)
        tokens.append((await callers.make_key(root, "a page's")).token)
        tokens.append((await callers.create_service("ci", by=root)).token)
        proposed, uri = await callers.propose_code(root)
        code = totp.code(totp.read(proposed), totp.step_at(callers.now()))
        await callers.enable_code(root, code)
        raw = totp.read(proposed)
        hidden = [password, proposed, uri, raw.hex(), base64.b64encode(raw).decode(), *tokens]
        hidden += [token.removeprefix("pup_") for token in tokens]
        kept = _bytes_of(data)
        assert raw not in kept
        assert not [text for text in hidden if text.encode() in kept], "while the server runs"
    kept = _bytes_of(data)
    assert len(kept) > 10_000, "the database is looked at"
    assert raw not in kept
    assert not [text for text in hidden if text.encode() in kept]


async def test_a_password_of_two_hundred_letters_is_one(tmp_path: Path) -> None:
    password = "é" * 200
    async with wiring.callers_here(the_settings(tmp_path / "data")) as callers:
        await callers.set_up("root", password)
        assert (await callers.log_in("root", password, address=HERE)).token
        for other in (password[:-1], password + "é", password[:72]):
            with pytest.raises(errors.WrongCredentials):
                await callers.log_in("root", other, address=HERE)


async def test_whether_a_name_is_there_cannot_be_heard() -> None:
    """Medians of interleaved logins; other work on the machine spoils a round, not three."""
    cost = Parameters(Type.ID, version=19, salt_len=16, hash_len=32, time_cost=3, memory_cost=4096, parallelism=1)
    clock, passwords = VirtualClock(), Argon2(cost)
    callers = Callers(accounts=Accounts(), passwords=passwords, clock=clock, ids=SeededIds(1))
    root = await callers.identify(await callers.set_up("root", "root's password"))
    await callers.create_service("ci", by=root)
    heard = []
    for _ in range(3):
        took: dict[str, list[float]] = {"root": [], "nobody": [], "ci": []}
        for number in range(3 * 50):
            name = ("root", "nobody", "ci")[number % 3]
            clock.advance(60 / GUESSES_A_MINUTE)
            began = time.perf_counter()
            with pytest.raises(errors.WrongCredentials):
                await callers.log_in(name, "a guess", address=HERE)
            took[name].append(time.perf_counter() - began)
        medians = sorted(statistics.median(each) for each in took.values())
        heard.append(medians[-1] / medians[0])
        if heard[-1] < 1.2:
            break
    await passwords.close()
    assert min(heard) < 1.2, heard
