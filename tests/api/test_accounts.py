"""Coming in: what cannot be recorded in conversations, for it takes an authenticator or two addresses."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pupload.api import access, limiting
from pupload.domain import totp
from pupload.service.callers import GUESSES_A_MINUTE
from tests.api.house import House, a_house

ACCOUNTS = {"root": "admin", "ed": "editor"}
FLOW = "/api/v1/flow"


async def post(house: House, path: str, **more: Any) -> tuple[int, Any]:
    return await house.call("POST", f"{FLOW}/{path}", **more)


def shown(house: House, secret: str) -> str:
    """What an authenticator shows now."""
    return totp.code(totp.read(secret), totp.step_at(house.bench.clock.now()))


async def test_a_second_factor_from_its_proposal_to_its_end(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        ed = house.shown("ed")
        _, proposed = await post(house, "me/code", headers=ed)
        code = {"Code": shown(house, proposed["Secret"])}
        assert (await post(house, "me/code/enable", headers=ed, json=code))[0] == 204
        status, me = await house.call("GET", f"{FLOW}/me", headers=ed)
        assert (status, me["Account"]["AsksCode"]) == (200, True), "the key that is shown stays as it is"
        password = {"Name": "ed", "Password": "ed's password"}
        assert await post(house, "login", json=password) == (200, {"Token": "", "NeedsCode": True})
        house.bench.clock.advance(60)
        code = {"Name": "ed", "Code": shown(house, proposed["Secret"])}
        status, login = await post(house, "login/code", json=code)
        assert (status, set(login)) == (200, {"Token"})
        assert (await house.call("GET", f"{FLOW}/me", headers=ed))[0] == 401, "the login before is over"
        assert (await post(house, "login/code", json=code))[0] == 401, "a code opens once"
        house.bench.clock.advance(60)
        new = {"Authorization": f"Bearer {login['Token']}"}
        code = {"Code": shown(house, proposed["Secret"])}
        assert (await post(house, "me/code/disable", headers=new, json=code))[0] == 204
        assert (await post(house, "login", json=password))[1]["NeedsCode"] is False


async def test_the_first_account_is_made_from_elsewhere_with_the_token_that_the_server_told(tmp_path: Path) -> None:
    async with a_house(tmp_path, local_resets=False, setup_token="told-once") as house:
        wanted = {"Name": "root", "Password": "root's password"}
        for token in ("", "told", "told-once-not", "told-öncé"):
            headers = {access.SETUP_HEADER: token}
            assert (await post(house, "setup", json=wanted, headers=headers))[0] == 403
        status, _ = await post(house, "setup", json=wanted, headers={access.SETUP_HEADER: "told-once"})
        assert status == 200


async def test_without_such_a_token_none_is_right(tmp_path: Path) -> None:
    async with a_house(tmp_path, local_resets=False) as house:
        wanted = {"Name": "root", "Password": "root's password"}
        assert (await post(house, "setup", json=wanted, headers={access.SETUP_HEADER: ""}))[0] == 403


async def test_of_many_who_set_up_at_once_one_does(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        tries = [post(house, "setup", json={"Name": f"root{i}", "Password": "x"}) for i in range(8)]
        statuses = [status for status, _ in await asyncio.gather(*tries)]
        assert sorted(statuses) == [200, *[409] * 7]


async def test_who_guesses_behind_a_proxy_is_counted_apart_from_others_behind_it(tmp_path: Path) -> None:
    proxies = ("127.0.0.0/8",)
    async with a_house(tmp_path, accounts=ACCOUNTS, proxies=limiting.networks(proxies)) as house:
        guesser, other = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
        for _ in range(GUESSES_A_MINUTE):
            await post(house, "login", json={"Name": "ed", "Password": "guess"}, headers=guesser)
        right = {"Name": "ed", "Password": "ed's password"}
        assert (await post(house, "login", json=right, headers=guesser))[0] == 401
        assert (await post(house, "login", json=right, headers=other))[0] == 200


async def test_a_password_is_told_to_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        for body in ({"Name": ["x"], "Password": "hunter2hunter2"}, {"Password": "hunter2hunter2"}):
            status, answer = await post(house, "login", json=body)
            assert (status, "hunter2" in str(answer)) == (400, False)
    assert "hunter2" not in caplog.text
