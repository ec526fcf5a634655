"""Coming in: what cannot be recorded in conversations, for it takes an authenticator or two addresses."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pupload.api import access, limiting
from pupload.api.web import Entry
from pupload.domain import totp
from pupload.service.callers import GUESSES_A_MINUTE
from tests.api.house import House, a_house

ACCOUNTS = {"root": "admin", "ed": "editor"}
FLOW = "/api/v1/flow"
BEHIND = Entry(proxies=limiting.networks(("127.0.0.0/8",)))


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
    async with a_house(tmp_path, entry=Entry(local_resets=False, setup_token="told-once")) as house:
        wanted = {"Name": "root", "Password": "root's password"}
        for token in ("", "told", "told-once-not", "told-öncé"):
            headers = {access.SETUP_HEADER: token}
            assert (await post(house, "setup", json=wanted, headers=headers))[0] == 403
        status, _ = await post(house, "setup", json=wanted, headers={access.SETUP_HEADER: "told-once"})
        assert status == 200


async def test_without_such_a_token_none_is_right(tmp_path: Path) -> None:
    async with a_house(tmp_path, entry=Entry(local_resets=False)) as house:
        wanted = {"Name": "root", "Password": "root's password"}
        assert (await post(house, "setup", json=wanted, headers={access.SETUP_HEADER: ""}))[0] == 403


async def test_of_many_who_set_up_at_once_one_does(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        tries = [post(house, "setup", json={"Name": f"root{i}", "Password": "x"}) for i in range(8)]
        statuses = [status for status, _ in await asyncio.gather(*tries)]
        assert sorted(statuses) == [200, *[409] * 7]


async def test_who_guesses_behind_a_proxy_is_counted_apart_from_others_behind_it(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS, entry=BEHIND) as house:
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


# ── As Pipelit has it ────────────────────────────────────────────────────────────────────────────────────────────

AUTH = "/api/v1/auth"


async def _with_code(house: House, name: str) -> str:
    """Has codes asked for of the account, over HTTP; returns the authenticator's secret."""
    headers = house.shown(name)
    status, proposed = await house.call("POST", f"{AUTH}/mfa/setup/", headers=headers)
    assert (status, set(proposed)) == (200, {"secret", "provisioning_uri"})
    code = {"code": shown(house, proposed["secret"])}
    enabled = await house.call("POST", f"{AUTH}/mfa/verify/", headers=headers, json=code)
    assert enabled == (200, {"mfa_enabled": True})
    house.bench.clock.advance(60)
    secret: str = proposed["secret"]
    return secret


async def _log_in(house: House, name: str, **headers: str) -> None:
    password = {"username": name, "password": f"{name}'s password"}
    answer = await house.call("POST", f"{AUTH}/token/", json=password, headers=headers)
    assert answer == (200, {"key": "", "requires_mfa": True})


async def _give(house: House, name: str, code: str, **headers: str) -> tuple[int, Any]:
    asked = {"username": name, "code": code}
    return await house.call("POST", f"{AUTH}/mfa/login-verify/", json=asked, headers=headers)


async def test_a_login_with_a_code_over_http(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        secret = await _with_code(house, "ed")
        again = await house.call("POST", f"{AUTH}/mfa/setup/", headers=house.shown("ed"))
        assert again == (400, {"detail": "MFA is already enabled."})
        await _log_in(house, "ed")
        code = shown(house, secret)
        status, answer = await _give(house, "ed", code)
        assert (status, answer["requires_mfa"]) == (200, False)
        assert (await _give(house, "ed", code))[0] == 401, "no code opens twice"
        headers = {"Authorization": f"Bearer {answer['key']}"}
        found = await house.call("GET", f"{AUTH}/me/", headers=headers)
        assert found == (200, {"username": "ed", "mfa_enabled": True})
        house.bench.clock.advance(60)
        off = await house.call("POST", f"{AUTH}/mfa/disable/", headers=headers, json={"code": shown(house, secret)})
        assert off == (200, {"mfa_enabled": False})


async def test_a_code_without_its_password_opens_nothing(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS, entry=BEHIND) as house:
        secret = await _with_code(house, "ed")
        assert await _give(house, "ed", shown(house, secret)) == (401, {"detail": "Invalid credentials."})
        await _log_in(house, "ed", **{"X-Forwarded-For": "192.0.2.1"})
        assert (await _give(house, "ed", shown(house, secret), **{"X-Forwarded-For": "192.0.2.2"}))[0] == 401
        house.bench.clock.advance(301)
        assert (await _give(house, "ed", shown(house, secret), **{"X-Forwarded-For": "192.0.2.1"}))[0] == 401
        await _log_in(house, "ed", **{"X-Forwarded-For": "192.0.2.1"})
        assert (await _give(house, "ed", shown(house, secret), **{"X-Forwarded-For": "192.0.2.1"}))[0] == 200


async def test_ten_wrong_codes_lock_the_right_one_out_for_a_quarter_of_an_hour(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        secret, wrong = await _with_code(house, "ed"), (401, {"detail": "Invalid TOTP code."})
        for _ in range(10):
            house.bench.clock.advance(15)
            await _log_in(house, "ed")
            assert await _give(house, "ed", "000000") == wrong
        for _ in range(4):
            house.bench.clock.advance(180)
            await _log_in(house, "ed")
            assert await _give(house, "ed", shown(house, secret)) == wrong
        house.bench.clock.advance(200)
        await _log_in(house, "ed")
        assert (await _give(house, "ed", shown(house, secret)))[0] == 200


async def test_who_does_not_know_the_password_locks_nobody_out(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        secret = await _with_code(house, "ed")
        for _ in range(40):
            assert await _give(house, "ed", "000000") == (401, {"detail": "Invalid credentials."})
        await _log_in(house, "ed")
        assert (await _give(house, "ed", shown(house, secret)))[0] == 200


async def test_five_codes_a_minute_are_looked_at(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        secret = await _with_code(house, "ed")
        await _log_in(house, "ed")
        for _ in range(5):
            await _give(house, "ed", "000000")
        assert (await _give(house, "ed", shown(house, secret)))[0] == 401
        house.bench.clock.advance(61)
        assert (await _give(house, "ed", shown(house, secret)))[0] == 200


async def test_twenty_wrong_passwords_keep_the_right_one_out_for_a_minute(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        for _ in range(20):
            asked = {"username": "ed", "password": "guess"}
            assert (await house.call("POST", f"{AUTH}/token/", json=asked))[0] == 401
        right = {"username": "ed", "password": "ed's password"}
        assert await house.call("POST", f"{AUTH}/token/", json=right) == (401, {"detail": "Invalid credentials."})
        house.bench.clock.advance(61)
        assert (await house.call("POST", f"{AUTH}/token/", json=right))[0] == 200
