"""What runs made, as tables, over HTTP and on the command line."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tests.api.house import EXAMPLE, IMAGE, House, a_house
from tests.bench import PNG, copies
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]

DEFINITION = {
    **EXAMPLE["NodeDefs"][0],
    "Inputs": [{"Name": "image", "Type": "*/*"}],
    "Outputs": [{"Name": "resized", "Type": "text/csv"}],
}
ORDER = {
    **EXAMPLE,
    "Flow": {**EXAMPLE["Flow"], "Nodes": [{**EXAMPLE["Flow"]["Nodes"][0], "Flags": []}]},
    "NodeDefs": [DEFINITION],
}
NODE = "resize-1"


async def made(house: House, data: bytes) -> str:
    """A run that is over, and whose node made these bytes."""
    house.bench.image(IMAGE, copies("image", "resized.csv"))
    async with house.client() as client:
        run = await client.start(ORDER)
        (put,) = run["WaitingURLs"]
        async with house.http.put(put["PutURL"], data=data) as answer:
            assert answer.status == 200
        run = await client.wait(run["ID"])
        assert run["Status"] == "COMPLETE", run
        return str(run["ID"])


async def test_a_table_goes_over_the_wire(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await made(house, b"id,name\n1,\xc3\xa4\n2,b\n3,\n")
        status, found = await house.call("GET", f"/api/v1/flow/preview/{run}?node={NODE}&rows=2")
        assert (status, found) == (
            200,
            {
                "Kind": "csv",
                "Columns": ["id", "name"],
                "Rows": [{"id": "1", "name": "ä"}, {"id": "2", "name": "b"}],
                "Truncated": True,
            },
        )
        status, found = await house.call("GET", f"/api/v1/flow/profile/{run}?edge=output-image")
        assert status == 200
        assert found["Profile"].pop("ProfilingMs") >= 0
        assert found == {
            "Edge": "output-image",
            "Profile": {
                "Kind": "csv",
                "RowCount": 3,
                "ColumnCount": 2,
                "Columns": [
                    a_column("id", "number", ["1", "2", "3"], MinVal="1", MaxVal="3", MeanVal=2.0, IsNumeric=True),
                    a_column("name", "string", ["ä", "b"], MinVal="b", MaxVal="ä", NullCount=1, NullPct=33.33),
                ],
                "Sampled": False,
            },
            "Schema": {
                "Columns": [
                    {"Name": "id", "Type": "number", "NullPct": 0.0},
                    {"Name": "name", "Type": "string", "NullPct": 33.33},
                ]
            },
            "Drift": [],
            "ComparedWith": "",
        }


def a_column(name: str, kind: str, samples: list[str], **more: Any) -> dict[str, Any]:
    usual = {"NullCount": 0, "NullPct": 0.0, "UniqueCount": len(samples), "UniquePct": 100.0, "UniqueEstimated": False}
    return {"Name": name, "Type": kind, "IsNumeric": False, "SampleValues": samples, **usual, **more}


async def test_questions_that_cannot_be_answered(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await made(house, b"a,b\n1,2\n")
        for query, status in (("", 400), ("node=nobody", 400), (f"node={NODE}&rows=0", 400), ("edge=x", 400)):
            assert (await house.call("GET", f"/api/v1/flow/preview/{run}?{query}"))[0] == status
        async with house.client() as client:
            going = (await client.start(EXAMPLE))["ID"]
        for what in ("preview", "profile"):
            status, told = await house.call("GET", f"/api/v1/flow/{what}/{going}?node={NODE}")
            assert (status, told["error"]) == (
                404,
                f"no preview available: node {NODE} of run {going} has made nothing",
            )
            assert (await house.call("GET", f"/api/v1/flow/{what}/nobody?node={NODE}"))[0] == 400


async def test_wide_tables_are_written_whole(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        run = await made(house, b"\n".join(b",".join(b"%d" % number for number in range(2000)) for _ in range(9)))
        _, found = await house.call("GET", f"/api/v1/flow/preview/{run}?node={NODE}")
        assert (len(found["Columns"]), len(found["Rows"])) == (2000, 9)
        _, found = await house.call("GET", f"/api/v1/flow/profile/{run}?node={NODE}")
        assert found["Profile"]["ColumnCount"] == 2000


async def test_tables_are_shown_on_the_command_line(pup: Pup, tmp_path: Path) -> None:
    threads = ThreadPoolExecutor(1)
    async with a_house(tmp_path) as house:
        first = await made(house, b"id,name\n1,a\n2,b\n")
        second = await made(house, b'id,\x1b[31mred,"x\ny"\nx,,' + b"z" * 99 + b"\ny,,1\n")

        async def ask(*arguments: str) -> int:
            # In a thread of its own: the bench has one, which it needs itself.
            asked = partial(pup, *arguments, "--url", str(house.url))
            return await asyncio.get_running_loop().run_in_executor(threads, asked)

        assert await ask("preview", first, NODE, "-n", "1") == 0
        assert pup.said.split() == ["id", "name", "1", "a"]
        assert pup.complaint == "the first 1 row of csv; there are more\n"
        assert await ask("preview", first, "--edge", "output-image", "--json") == 0
        assert pup.json["Rows"][1] == {"id": "2", "name": "b"}
        assert await ask("profile", first, NODE) == 0
        assert "number" in pup.said
        assert pup.complaint == "2 rows, 2 columns in the file (csv)\n"
        assert await ask("profile", second, NODE) == 0
        assert f"otherwise than in {first}:" in pup.said
        assert "column_removed" in pup.said
        assert "\x1b" not in pup.said
        assert await ask("preview", second, NODE) == 0
        assert "z" * 59 + "…" in pup.said
        assert await ask("preview", first) == 1
        assert pup.complaint == "pup: name a node or an edge\n"


async def test_a_picture_is_no_table(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        run = await client.start(EXAMPLE)
        (put,) = run["WaitingURLs"]
        async with house.http.put(put["PutURL"], data=PNG):
            pass
        await client.wait(run["ID"])
        status, told = await house.call("GET", f"/api/v1/flow/preview/{run['ID']}?node={NODE}")
        assert status == 404
        assert told["error"].endswith("is image/png, which is no table")
