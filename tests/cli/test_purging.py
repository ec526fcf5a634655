"""`pup purge`: runs by name and by age."""

import asyncio
from pathlib import Path

import pytest

from pupload.cli import purging
from tests.api.house import EXAMPLE, a_house
from tests.cli.test_pup import Pup, pup

__all__ = ["pup"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["run_x", "--older-than", "1d"],
        ["run_x", "--status", "ERROR"],
        ["--older-than", "soon"],
        ["--older-than", "1d", "--status", "RUNNING"],
    ],
)
def test_a_purge_must_say_what(pup: Pup, arguments: list[str]) -> None:
    assert pup("purge", *arguments) == 2
    assert pup.complaint.startswith("pup: ")


async def test_runs_are_purged_by_name_and_by_age(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        runs = [await client.start(EXAMPLE) for _ in range(4)]
        for run in runs[:3]:
            await client.cancel(run["ID"])
            await client.wait(run["ID"])

        async def purge(*arguments: str) -> int:
            return await asyncio.to_thread(pup, "purge", "--url", str(house.url), *arguments)

        assert await purge(runs[0]["ID"], runs[3]["ID"], "--json") == 1
        assert pup.json["Purged"] == [runs[0]["ID"]]
        assert "is WAITING" in pup.json["Failed"][runs[3]["ID"]]
        assert await purge("--older-than", "1ms", "--status", "error") == 0
        assert pup.said == "purged 0 runs\n"
        assert await purge("--older-than", "1ms", "--dry-run", "--json") == 0
        assert {run["ID"] for run in pup.json["Runs"]} == {runs[1]["ID"], runs[2]["ID"]}
        assert (await client.list())["Total"] == 3
        assert await purge("--older-than", "1ms", "--status", "STOPPED") == 0
        assert pup.said == "purged 2 runs\n"
        assert [run["ID"] for run in (await client.list())["Runs"]] == [runs[3]["ID"]]


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2592000.0), ("1d12h", 129600.0), ("90s", 90.0)])
def test_an_age_may_be_told_in_days(text: str, seconds: float) -> None:
    assert purging.seconds_of(text) == seconds
