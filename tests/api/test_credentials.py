"""Credentials over the wire and through a whole run: shown masked, given to nodes, and found nowhere else."""

import asyncio
import json
from pathlib import Path

import pytest

from pupload import ports
from pupload.adapters.memory.credentials import MemoryFetcher
from tests.api.house import EXAMPLE, House, a_house

CREDENTIALS = "/api/v1/flow/credentials"
KEY = "sk-0123456789abcdef"


async def add(house: House, name: str = "openai", type_: str = "llm", **detail: object) -> dict[str, object]:
    body = {"Name": name, "Type": type_, "Detail": {"api_key": KEY, **detail} if type_ == "llm" else detail}
    status, made = await house.call("POST", CREDENTIALS, json=body)
    assert status == 200, made
    return dict(made)


async def test_no_answer_holds_a_value(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        made = await add(house, custom_headers={"X-Key": KEY}, base_url=f"https://ann:{KEY}@llm.example")
        answers = [made]
        for method, path, body in (
            ("GET", CREDENTIALS, None),
            ("GET", f"{CREDENTIALS}/openai", None),
            ("PATCH", f"{CREDENTIALS}/{made['ID']}", {"Name": "other"}),
            ("PATCH", f"{CREDENTIALS}/other", {"Detail": {"api_key": f"{KEY}{KEY}", "custom_headers": "no"}}),
            ("POST", f"{CREDENTIALS}/other/test", None),
        ):
            answers.append((await house.call(method, path, **({} if body is None else {"json": body})))[1])
        assert KEY not in json.dumps(answers)


async def test_a_mask_that_comes_back_changes_nothing(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        made = await add(house)
        detail = {**made["Detail"], "organization_id": "org"}  # type: ignore[dict-item]
        status, after = await house.call("PATCH", f"{CREDENTIALS}/openai", json={"Detail": detail})
        assert (status, after["Detail"]["organization_id"]) == (200, "org")
        assert await house.bench.world.secrets.reveal("api_key@openai") == KEY


async def test_of_many_changes_at_once_none_is_lost(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        made = await add(house)
        one = f"{CREDENTIALS}/{made['ID']}"
        changes = [house.call("PATCH", one, json={"Detail": {f"key{number}": number}}) for number in range(6)]
        assert {status for status, _ in await asyncio.gather(*changes)} == {200}
        _, after = await house.call("GET", one)
        assert {f"key{number}" for number in range(6)} <= after["Detail"].keys()
        assert await house.bench.world.secrets.reveal("api_key@openai") == KEY


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"Type": "llm"}, "name"),
        ({"Name": "a", "Type": "smtp"}, "type"),
        ({"Name": "a", "Type": "llm", "Detail": {"api_key": 7}}, "api_key"),
        ({"Name": "a", "Type": "llm", "Detail": [KEY]}, "Detail"),
    ],
)
async def test_what_can_be_no_credential_is_refused_whole(tmp_path: Path, body: dict[str, object], why: str) -> None:
    async with a_house(tmp_path) as house:
        status, answer = await house.call("POST", CREDENTIALS, json=body)
        assert status == 400
        assert why in json.dumps(answer)
        assert KEY not in json.dumps(answer)
        assert (await house.call("GET", CREDENTIALS))[1]["Total"] == 0


async def test_a_language_models_provider_is_asked_once_and_with_the_key(tmp_path: Path) -> None:
    models = {"data": [{"id": "m-1", "display_name": "Model one"}, {"id": "m-2"}, {"no": "id"}]}
    async with a_house(tmp_path) as house:
        fetcher = house.bench.world.fetcher
        assert isinstance(fetcher, MemoryFetcher)
        fetcher.answers = [
            ports.Fetched(status=200, body=json.dumps(models).encode()),
            ports.Fetched(status=401, body=b"no"),
            ports.Fetched(status=302),
        ]
        await add(house, base_url="https://llm.example/v1/", custom_headers={"X-Org": "ours"})
        _, taken = await house.call("POST", f"{CREDENTIALS}/openai/test")
        assert taken == {
            "OK": True,
            "Error": "",
            "Models": [{"ID": "m-1", "Name": "Model one"}, {"ID": "m-2", "Name": "m-2"}],
        }
        ((url, headers),) = fetcher.asked
        assert url == "https://llm.example/v1/models"
        assert (headers["Authorization"], headers["X-Org"]) == (f"Bearer {KEY}", "ours")
        for said in ("does not take the key: HTTP 401", "no list of models: HTTP 302", "cannot be connected to"):
            _, refused = await house.call("POST", f"{CREDENTIALS}/openai/test")
            assert not refused["OK"]
            assert said in refused["Error"]


async def test_only_a_language_models_credential_can_be_tried_out(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await add(house, "repo", "git", access_token=KEY)
        status, answer = await house.call("POST", f"{CREDENTIALS}/repo/test")
        assert status == 404
        assert "LLM credential" in str(answer)


# ── Whose they are ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_credential_is_there_for_its_owner_and_administrators_alone(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await house.let_in({"root": "admin", "ann": "editor", "ben": "editor"})
        body = {"Name": "openai", "Type": "llm", "Detail": {"api_key": KEY}}
        status, made = await house.call("POST", CREDENTIALS, json=body, headers=house.shown("ann"))
        assert status == 200
        one = f"{CREDENTIALS}/{made['ID']}"
        for asked in ({"method": "GET"}, {"method": "PATCH", "json": {}}, {"method": "DELETE"}):
            method = str(asked.pop("method"))
            status, answer = await house.call(method, one, **asked, headers=house.shown("ben"))
            assert status == 404, method
            assert "does not exist" in str(answer)
        assert (await house.call("POST", f"{one}/test", headers=house.shown("ben")))[0] == 404
        assert (await house.call("GET", f"{CREDENTIALS}/openai", headers=house.shown("ben")))[0] == 404
        for who, total in (("ann", 1), ("ben", 0), ("root", 1)):
            assert (await house.call("GET", CREDENTIALS, headers=house.shown(who)))[1]["Total"] == total
        assert (await house.call("GET", one, headers=house.shown("root")))[1]["Account"] == made["Account"]


async def test_a_flow_that_names_anothers_credential_is_refused(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await house.let_in({"root": "admin", "ann": "editor", "ben": "editor"})
        body = {"Name": "openai", "Type": "llm", "Detail": {"api_key": KEY}}
        _, made = await house.call("POST", CREDENTIALS, json=body, headers=house.shown("ann"))
        for named in ("openai", made["ID"]):
            order = an_order(f"${{credential.{named}.api_key}}")
            status, answer = await house.call("POST", "/api/v1/flow/test", json=order, headers=house.shown("ben"))
            (finding,) = answer["Errors"] if "Errors" in answer else answer["Findings"]
            assert (status, finding["Code"]) == (400, "SECRET_003")
            assert (await house.call("POST", "/api/v1/flow/test", json=order, headers=house.shown("ann")))[0] == 200


# ── Through a run ────────────────────────────────────────────────────────────────────────────────────────────────


def an_order(value: str) -> dict[str, object]:
    order = json.loads(json.dumps(EXAMPLE))
    order["Flow"]["Nodes"][0]["Flags"] = [{"Name": "key", "Value": value}]
    order["NodeDefs"][0]["Flags"] = [{"Name": "key"}]
    order["NodeDefs"][0]["Command"] = {"Exec": ["resize", "--key", "${key}"]}
    return dict(order)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("${credential.openai.api_key}", "SECRET_003"),
        ("${credential.12.api_key}", "SECRET_003"),
        ("${credential.openai}", "SECRET_002"),
        ("Bearer ${credential.openai.api_key}", "SECRET_002"),
    ],
)
async def test_a_credential_that_is_not_there_or_named_wrongly_is_a_finding(
    tmp_path: Path, value: str, code: str
) -> None:
    async with a_house(tmp_path) as house:
        status, answer = await house.call("POST", "/api/v1/flow/test", json=an_order(value))
        findings = answer["Errors"] if "Errors" in answer else answer["Findings"]
        assert status == 400
        assert [each["Code"] for each in findings] == [code]
