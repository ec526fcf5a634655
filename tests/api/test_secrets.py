"""Secrets over HTTP: set, listed, removed, and never given back."""

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.api.house import EXAMPLE, House, a_house

VALUE = "hunter2-hunter2"


async def put(house: House, name: str = "KEY", value: object = VALUE) -> tuple[int, Any]:
    return await house.call("PUT", f"/api/v1/secret/{name}", json={"Value": value})


async def test_a_secret_is_set_listed_and_removed_and_its_value_is_never_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with a_house(tmp_path) as house:
        assert await house.call("GET", "/api/v1/secret/list") == (200, {"Secrets": []})
        status, line = await put(house)
        assert status == 200
        assert set(line) == {"Name", "ChangedAt"}
        assert line["Name"] == "KEY"
        assert await house.call("GET", "/api/v1/secret/list") == (200, {"Secrets": [line]})
        assert await house.bench.world.secrets.reveal("KEY") == VALUE
        status, _ = await house.call("DELETE", "/api/v1/secret/KEY")
        assert status == 204
        status, answer = await house.call("DELETE", "/api/v1/secret/KEY")
        assert (status, answer["error"]) == (404, "secret KEY does not exist")
        status, _ = await house.call("GET", "/api/v1/secret/KEY")
        assert status == 405
        assert VALUE not in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("KEY", "abc", "fewer than 4 characters"),
        ("KEY", "x" * 70_000, "longer than"),
        ("KEY", "    ", "blanks"),
        ("KEY", 12345678, "/Value"),
        ("-KEY", VALUE, "a secret's name"),
        ("a%20b", VALUE, "a secret's name"),
        ("..%2Fx", VALUE, "a secret's name"),
    ],
)
async def test_what_cannot_be_one_is_refused_without_repeating_it(
    tmp_path: Path, name: str, value: object, said: str
) -> None:
    async with a_house(tmp_path) as house:
        status, answer = await put(house, name, value)
        assert status == 400
        assert said in answer["error"]
        assert str(value) not in str(answer)
        assert await house.call("GET", "/api/v1/secret/list") == (200, {"Secrets": []})


async def test_a_body_that_is_no_json_is_refused_without_repeating_it(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        for body in (f'{{"Value": "{VALUE}', f'["{VALUE}"]', f'{{"Value": ["{VALUE}"]}}'):
            status, answer = await house.call("PUT", "/api/v1/secret/KEY", data=body)
            assert status == 400
            assert VALUE not in str(answer)


async def test_rotating_says_which_key_seals(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        first = await house.call("POST", "/api/v1/secret/rotate", json={"NewKey": False})
        assert await house.call("POST", "/api/v1/secret/rotate", json={"NewKey": False}) == first
        second = await house.call("POST", "/api/v1/secret/rotate")
        assert (first[0], second[0]) == (200, 200)
        assert second != first


async def test_a_name_may_be_one_of_the_routes_own_words(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        assert (await put(house, "list"))[0] == 200
        assert (await put(house, "rotate"))[0] == 200
        _, answer = await house.call("GET", "/api/v1/secret/list")
        assert [line["Name"] for line in answer["Secrets"]] == ["list", "rotate"]


async def test_a_flow_that_names_a_secret_that_is_not_there_is_refused_with_the_place(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        node = {**EXAMPLE["Flow"]["Nodes"][0], "Flags": [{"Name": "width", "Value": "${secret.KEY}"}]}
        order = {**EXAMPLE, "Flow": {**EXAMPLE["Flow"], "Nodes": [node]}}
        status, answer = await house.call("POST", "/api/v1/flow/test", json=order)
        (finding,) = answer["Findings"]
        assert (status, finding["Code"], finding["Path"]) == (400, "SECRET_001", "/Flow/Nodes/0/Flags/0/Value")
        await put(house)
        status, _ = await house.call("POST", "/api/v1/flow/test", json=order)
        assert status == 200


async def test_a_projects_references_are_shown_and_its_values_are_not(tmp_path: Path) -> None:
    flow = {
        "Name": "f",
        "Stores": [{"Name": "s", "Type": "s3", "Params": {"AccessKey": "${secret.A}", "SecretKey": VALUE}}],
        "DataWells": [
            {"Edge": "a", "Source": "webhook", "Secret": "${secret.B}"},
            {"Edge": "b", "Source": "webhook", "Secret": VALUE},
        ],
    }
    path = "/api/v1/project/01563e3a-b5d3-d676-4c61-efb99302bd5b"
    async with a_house(tmp_path) as house:
        status, _ = await house.call("POST", path, json={"ProjectName": "p", "Flows": [flow]})
        assert status == 200
        _, shown = await house.call("GET", path)
        (found,) = shown["Flows"]
        assert found["Stores"][0]["Params"] == {"AccessKey": "${secret.A}", "SecretKey": "***"}
        assert [well["Secret"] for well in found["DataWells"]] == ["${secret.B}", "***"]
