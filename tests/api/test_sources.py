"""Sources of saved flows over the wire."""

import json
from pathlib import Path

from pupload.domain.sources import Kind, Source
from tests.api.house import a_house
from tests.api.test_saved import SAVED, example

SOURCES = "/api/v1/flow/sources"


def a_source(folder: Path, name: str = "local-fs") -> Source:
    return Source(name=name, type=Kind.FS, path=str(folder))


async def test_a_source_is_looked_at_when_somebody_asks(tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    (folder / "backup").mkdir(parents=True)
    (folder / "backup" / "daily.json").write_text(json.dumps(example()))
    (folder / "bad.yaml").write_text("Nodes:\n  - ID: {}\n")
    async with a_house(tmp_path, sources=[a_source(folder)]) as house:
        api, local = (await house.call("GET", SOURCES))[1]["Sources"]
        assert (api["Name"], api["Type"]) == ("api", "api")
        assert (local["Name"], local["Type"], local["Path"], local["SyncedAt"]) == ("local-fs", "fs", str(folder), None)
        status, report = await house.call("POST", f"{SOURCES}/local-fs/sync")
        assert (status, report["Created"], report["Flows"]) == (200, ["backup/daily"], 1)
        (problem,) = report["Problems"]
        assert (problem["Path"], problem["Line"]) == ("bad.yaml", 2)
        found = (await house.call("GET", f"{SOURCES}/local-fs"))[1]
        assert (found["Flows"], found["Problems"], found["SyncedAt"]) == (1, [problem], report["At"])
        flow = (await house.call("GET", f"{SAVED}/backup%2Fdaily"))[1]
        assert (flow["Source"], flow["FlowVersion"]["Origin"]) == ("local-fs", "backup/daily.json")
        path = f"{SAVED}/backup%2Fdaily"
        for method, where in (("PUT", path), ("DELETE", path), ("POST", f"{path}/enable")):
            status, told = await house.call(method, where, json=example() if method == "PUT" else {})
            assert status == 409
            assert "kept in source local-fs: change it there" in told["error"]
        assert (await house.call("POST", f"{path}/run"))[0] == 200
        (folder / "backup" / "daily.json").unlink()
        assert (await house.call("POST", f"{SOURCES}/local-fs/sync"))[1]["Gone"] == ["backup/daily"]
        flow = (await house.call("GET", path))[1]
        assert (flow["Gone"], flow["Enabled"]) == (True, False)
        assert (await house.call("DELETE", path))[0] == 204


async def test_what_cannot_be_read_may_be_read_later(tmp_path: Path) -> None:
    async with a_house(tmp_path, sources=[a_source(tmp_path / "none")]) as house:
        status, told = await house.call("POST", f"{SOURCES}/local-fs/sync")
        assert status == 503
        assert "Source local-fs cannot be read" in told["error"]
        assert "cannot be read" in (await house.call("GET", f"{SOURCES}/local-fs"))[1]["Error"]
        for method, path in (("GET", "other"), ("POST", "other/sync"), ("POST", "api/sync")):
            status, told = await house.call(method, f"{SOURCES}/{path}")
            assert (status, told["error"]) == (404, f"source {path.partition('/')[0]} does not exist")
