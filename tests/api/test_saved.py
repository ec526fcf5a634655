"""Saved flows over the wire."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.house import EXAMPLE, House, a_house

SAVED = "/api/v1/flow/saved"


def example(width: str = "800", **more: Any) -> dict[str, Any]:
    """The contract's example, with another width."""
    (node,) = EXAMPLE["Flow"]["Nodes"]
    flow = {**EXAMPLE["Flow"], "Nodes": [{**node, "Flags": [{"Name": "width", "Value": width}]}]}
    return {**EXAMPLE, "Flow": {**flow, **more}}


async def test_a_flow_is_saved_listed_changed_compared_brought_back_and_removed(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        path = f"{SAVED}/pictures%2Fshrink"
        status, first = await house.call("PUT", path, json={**example(), "Description": "Smaller", "Tags": ["a"]})
        assert (status, first["Version"], first["Label"], first["Namespace"], first["Name"]) == (
            *(200, 1, "1.0.0"),
            *("pictures", "shrink"),
        )
        by_id = f"{SAVED}/{first['ID']}"
        assert await house.call("GET", by_id) == await house.call("GET", path) == (200, first)
        shown = {name: first[name] for name in ("Flow", "NodeDefs")}
        assert (await house.call("PUT", by_id, json=shown))[1] == first
        second = (await house.call("PUT", path, json={**example("100"), "Message": "less", "IfVersion": 1}))[1]
        assert (second["Version"], second["Label"], second["Description"]) == (2, "1.0.1", "Smaller")
        status, told = await house.call("PUT", path, json={**example("50"), "IfVersion": 1})
        assert status == 409
        assert "version 2, not 1" in told["error"]
        versions = (await house.call("GET", f"{path}/versions"))[1]["Versions"]
        assert [(each["Number"], each["Message"]) for each in versions] == [(2, "less"), (1, "")]
        change = {
            "Kind": "node",
            "Name": "resize-1",
            "How": "changed",
            "Field": "flags.width",
            "Was": "800",
            "Now": "100",
        }
        assert (await house.call("GET", f"{path}/diff"))[1] == {"From": 1, "To": 2, "Changes": [change]}
        assert (await house.call("GET", f"{path}/diff?from=2&to=2"))[1]["Changes"] == []
        assert (await house.call("GET", f"{path}?version=1"))[1]["Flow"] == first["Flow"]
        assert (await house.call("POST", f"{path}/rollback", json={"Version": 1}))[1]["Version"] == 3
        page = (await house.call("GET", f"{SAVED}?namespace=pictures&q=SMALL&enabled=true"))[1]
        assert ([each["ID"] for each in page["Flows"]], page["Total"]) == ([first["ID"]], 1)
        assert (await house.call("GET", f"{SAVED}?enabled=no"))[1]["Flows"] == []
        assert await house.call("DELETE", path) == (204, "")
        assert (await house.call("GET", path))[0] == 404


async def test_a_saved_flow_is_run_and_its_runs_are_listed(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        params = [{"Name": "width", "Type": "integer", "Description": "in pixels", "Default": "7"}]
        saved = (await house.call("PUT", f"{SAVED}/shrink", json=example("${param.width}", Params=params)))[1]
        assert saved["Args"]["properties"] == {"width": {"type": "integer", "description": "in pixels", "default": 7}}
        asked = {"Params": {"width": 100}, "Labels": {"tenant": "one"}}
        key = {"Idempotency-Key": "once"}
        status, run = await house.call("POST", f"{SAVED}/default%2Fshrink/run", json=asked, headers=key)
        assert (status, run["FlowID"], run["FlowVersion"], run["Labels"], run["Params"]) == (
            *(200, saved["ID"], 1),
            *({"tenant": "one"}, {"width": "100"}),
        )
        again = (await house.call("POST", f"{SAVED}/{saved['ID']}/run", json=asked, headers=key))[1]
        assert again["ID"] == run["ID"]
        anonymous = (await house.call("POST", "/api/v1/flow/test", json=EXAMPLE))[1]
        assert not {"FlowID", "FlowVersion", "Labels"} & anonymous.keys()
        for asked_for in (saved["ID"], "shrink", "default/shrink"):
            runs = (await house.call("GET", f"/api/v1/flow/list?saved={asked_for}"))[1]
            assert [(each["ID"], each["FlowID"]) for each in runs["Runs"]] == [(run["ID"], saved["ID"])]
        assert (await house.call("GET", "/api/v1/flow/list?saved=nothing"))[0] == 404
        everything = (await house.call("GET", "/api/v1/flow/list"))[1]["Runs"]
        assert {each["ID"]: each.get("FlowID") for each in everything} == {
            run["ID"]: saved["ID"],
            anonymous["ID"]: None,
        }
        status, told = await house.call("POST", f"{SAVED}/shrink/run", json={"Params": {"width": "wide"}})
        assert (status, "PARAM_005" in str(told)) == (400, True)
        assert (await house.call("POST", f"{SAVED}/shrink/enable", json={"Enabled": False}))[1]["Enabled"] is False
        assert (await house.call("POST", f"{SAVED}/shrink/run"))[0] == 409
        assert (await house.call("POST", f"{SAVED}/shrink/run?wait=long"))[0] == 400
        assert (await house.call("POST", f"{SAVED}/shrink/enable"))[1]["Enabled"] is True
        assert (await house.call("POST", f"{SAVED}/shrink/run", json={"Version": 2}))[0] == 404


async def test_who_would_rather_wait_is_answered_when_the_run_is_over(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        (node,) = example()["Flow"]["Nodes"]
        await house.call("PUT", f"{SAVED}/shrink", json={**EXAMPLE, "Flow": {"Nodes": [{**node, "Inputs": []}]}})
        _, run = await house.call("POST", f"{SAVED}/shrink/run?wait=30s")
        assert (run["Status"], run["FinishedAt"] is None) == ("ERROR", False)  # the image wants its input


async def test_secrets_of_a_saved_flow_are_not_given_back(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        wells = [{"Edge": "input-image", "Source": "webhook", "Secret": "hush hush"}]
        _, saved = await house.call("PUT", f"{SAVED}/shrink", json=example(DataWells=wells))
        assert saved["Flow"]["DataWells"][0]["Secret"] == "***"
        assert "hush" not in str(await house.call("GET", f"{SAVED}/shrink"))
        again = {name: saved[name] for name in ("Flow", "NodeDefs")}
        status, told = await house.call("PUT", f"{SAVED}/shrink", json=again)
        assert status == 400
        assert "/Flow/DataWells/0/Secret is masked" in told["error"]


@pytest.fixture
def refused() -> list[tuple[str, str, Any, int]]:
    return [
        ("PUT", f"{SAVED}/a b", EXAMPLE, 400),
        ("PUT", f"{SAVED}/..%2Fa", EXAMPLE, 400),
        ("PUT", f"{SAVED}/shrink", {}, 400),
        ("PUT", f"{SAVED}/shrink", {"Flow": {"Name": "x", "Nodes": [{"ID": "a", "Uses": "no/body"}]}}, 400),
        ("PUT", f"{SAVED}/flow_01JD0000000000000000000001", EXAMPLE, 404),
        ("PUT", f"{SAVED}/shrink", {**EXAMPLE, "IfVersion": -1}, 400),
        ("GET", f"{SAVED}/shrink", None, 404),
        ("GET", f"{SAVED}/shrink?version=x", None, 400),
        ("GET", f"{SAVED}/shrink/versions", None, 404),
        ("GET", f"{SAVED}/shrink/diff", None, 404),
        ("POST", f"{SAVED}/shrink/rollback", {"Version": 1}, 404),
        ("POST", f"{SAVED}/shrink/rollback", {}, 400),
        ("POST", f"{SAVED}/shrink/run", {}, 404),
        ("DELETE", f"{SAVED}/shrink", None, 404),
        ("GET", f"{SAVED}?limit=0", None, 400),
        ("GET", f"{SAVED}?enabled=perhaps", None, 400),
    ]


async def test_what_cannot_be_is_refused(tmp_path: Path, refused: list[tuple[str, str, Any, int]]) -> None:
    async with a_house(tmp_path) as house:
        for method, path, body, status in refused:
            assert (await house.call(method, path, json=body))[0] == status, (method, path)
        assert await _saved(house) == []


async def _saved(house: House) -> Any:
    return (await house.call("GET", SAVED))[1]["Flows"]
