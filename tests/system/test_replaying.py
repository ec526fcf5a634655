"""A flow of real node types, replayed with a change: only what it concerns runs, and old is told beside new."""

import asyncio
import json
import subprocess

import pytest

from pupload import offline
from pupload.cli import main
from tests.system.flows import Json
from tests.system.server import Server

NODES = offline.shipped_nodes() / "pupload"
USED = ("resize", "checksum", "exif", "compare")


def a_node(name: str, kind: str, inputs: Json, outputs: Json, **flags: str) -> Json:
    return {
        "ID": name,
        "Uses": f"pupload/{kind}",
        "Inputs": [{"Name": port, "Edge": edge} for port, edge in inputs.items()],
        "Outputs": [{"Name": port, "Edge": edge} for port, edge in outputs.items()],
        "Flags": [{"Name": flag, "Value": value} for flag, value in flags.items()],
    }


FLOW = {
    "Name": "photos",
    "Nodes": [
        a_node("large", "resize", {"image": "photo"}, {"resized": "large-photo"}, width="400"),
        a_node("small", "resize", {"image": "large-photo"}, {"resized": "small-photo"}, width="200"),
        a_node("sum", "checksum", {"file": "small-photo"}, {"sums": "sums"}),
        a_node("look", "exif", {"image": "small-photo"}, {"metadata": "about"}),
    ],
}


@pytest.fixture(autouse=True)
def _images() -> None:
    subprocess.run(["scripts/node-images", *USED], check=True, capture_output=True)


async def the_first_run(server: Server) -> str:
    async with server.client() as client:
        run = await client.start({"Flow": FLOW, "NodeDefs": []})
        await client.upload(run["ID"], "photo", NODES / "compare" / "sample" / "photo.jpg")
        run = await client.wait(run["ID"])
        assert run["Status"] == "COMPLETE", run["Error"]
        return str(run["ID"])


@pytest.mark.timeout(900)  # whoever comes first builds the images
def test_another_width_concerns_its_node_and_what_lies_behind(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    old = asyncio.run(the_first_run(server))
    assert main.run(["replay", old, "--flag", "small.width=100", "--json", "--url", server.url]) == 0
    told = json.loads(capsys.readouterr().out)
    states = told["Run"]["NodeState"]
    assert {node for node, state in states.items() if not state.get("Reused")} == {"small", "sum", "look"}
    assert (states["large"]["Reused"], states["large"]["Attempt"]) == (True, 0)
    found = {line["Edge"]: line for line in told["Artifacts"]}
    assert set(found) == {"small-photo", "sums", "about"}
    assert found["small-photo"]["New"]["Size"] < found["small-photo"]["Old"]["Size"]
    assert all(line[side]["Seconds"] > 0 for line in found.values() for side in ("Old", "New"))
    picture = found["small-photo"]["Difference"]
    assert (picture["Kind"], picture["Fitted"]) == ("picture", True), picture
    assert 0.5 < picture["SSIM"] < 1
    assert 15 < picture["PSNR"] < 60
    sums = found["sums"]["Difference"]
    assert (sums["Kind"], sums["Removed"], sums["Added"]) == ("text", 1, 1)
    about = {change["Path"]: (change["Old"], change["New"]) for change in found["about"]["Difference"]["Changes"]}
    assert about["/File/ImageWidth"] == ("200", "100")


@pytest.mark.timeout(900)
def test_what_comes_out_the_same_is_told_to_be(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    old = asyncio.run(the_first_run(server))
    assert main.run(["replay", old, "--from", "look", "--set", "sum.Tier=c-micro", "--url", server.url]) == 0
    rows = {line.split()[0]: line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert rows["sums"].endswith("none")
    assert "small-photo" not in rows
