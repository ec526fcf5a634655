"""The published contract's own example, letter for letter, as its readers will try it: with curl."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
PHOTO = REPOSITORY / "nodes" / "pupload" / "resize" / "sample" / "photo.jpg"

EXAMPLE = """{
    "Flow": {
      "Name": "image-resize",
      "Nodes": [
        {
          "ID": "resize-1",
          "Uses": "pupload/resize",
          "Inputs": [{"Name": "image", "Edge": "input-image"}],
          "Outputs": [{"Name": "resized", "Edge": "output-image"}],
          "Flags": [{"Name": "width", "Value": "800"}]
        }
      ]
    },
    "NodeDefs": [
      {
        "Publisher": "pupload",
        "Name": "resize",
        "Image": "pupload/resize:latest",
        "Tier": "c-small",
        "MaxAttempts": 3
      }
    ]
  }"""


def curl(*arguments: str) -> bytes:
    """What curl writes; it fails where the server says so."""
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "60", *arguments], check=True, capture_output=True
    ).stdout


def post(server: Server, body: str) -> Json:
    answer: Json = json.loads(
        curl("-X", "POST", f"{server.url}/api/v1/flow/test", "-H", "Content-Type: application/json", "-d", body)
    )
    return answer


async def test_the_example_makes_a_photograph_800_pixels_wide(server: Server, client: Client, tmp_path: Path) -> None:
    run = post(server, EXAMPLE)
    assert run["Status"] == "WAITING"
    assert run["Artifacts"] == {}
    assert list(run["NodeState"]) == ["resize-1"]
    (waiting,) = run["WaitingURLs"]
    assert waiting["Artifact"] == {
        "StoreName": "default",
        "ObjectName": waiting["Artifact"]["ObjectName"],
        "EdgeName": "input-image",
    }

    curl("--fail", "-T", str(PHOTO), waiting["PutURL"])
    await client.wait(run["ID"])
    done = json.loads(curl("--fail", f"{server.url}/api/v1/flow/status/{run['ID']}"))
    assert (done["Status"], done["Error"], done["WaitingURLs"]) == ("COMPLETE", "", [])
    state = done["NodeState"]["resize-1"]
    assert (state["Status"], state["Error"], state["Attempt"], state["MaxAttempts"]) == ("COMPLETE", "", 1, 3)
    assert any("resized successfully" in record["message"] for record in state["Logs"])
    assert all(record["timestamp"].endswith("Z") for record in state["Logs"])

    made = done["Artifacts"]["output-image"]
    assert (made["StoreName"], made["EdgeName"], made["ContentType"]) == ("default", "output-image", "image/jpeg")
    picture = tmp_path / "small.jpg"
    curl("--fail", "-o", str(picture), made["GetURL"])
    assert picture.stat().st_size == made["Size"]
    assert described(picture) == "800 x 450 pixels, image/jpeg"


def described(picture: Path) -> str:
    """What the demo says of the picture."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, picture; print(picture.read(open(sys.argv[1], 'rb').read()))",
            str(picture),
        ],
        cwd=REPOSITORY / "scripts",
        check=True,
        capture_output=True,
        text=True,
    )
    return told.stdout.strip()


async def test_the_answer_has_every_field_of_the_contract_in_its_type(server: Server, client: Client) -> None:
    run = post(server, EXAMPLE)
    kinds = {name: type(value).__name__ for name, value in run.items()}
    contract = {
        "ID": "str",
        "Status": "str",
        "NodeState": "dict",
        "Artifacts": "dict",
        "WaitingURLs": "list",
        "StartedAt": "str",
    }
    assert kinds.items() >= contract.items()
    assert run["ID"].startswith("run_")
    assert run["StartedAt"].endswith("Z")
    state = run["NodeState"]["resize-1"]
    assert state["Logs"] == []
    assert (state["Status"], state["Error"], state["MaxAttempts"]) == ("IDLE", "", 3)
    again = await client.status(run["ID"])
    fresh = {"WaitingURLs": again["WaitingURLs"]}  # signed anew each time
    assert again == run | fresh
    await client.cancel(run["ID"])
    assert (await client.wait(run["ID"]))["Status"] == "STOPPED"


@pytest.mark.parametrize(
    "run_id", ["run_abc123xyz", "run_01HZX3K9T8Q2B7M4N6P5R1S0VW", "nonsense", "%00", "..%2f..", "é"]
)
def test_an_unknown_run_is_a_400_with_the_contracts_sentence(server: Server, run_id: str) -> None:
    answer = curl("-w", "\n%{http_code}", f"{server.url}/api/v1/flow/status/{run_id}").decode()
    assert answer == "Flow run does not exist.\n400"


async def test_the_id_is_accepted_as_the_uuid_of_the_same_bits(client: Client) -> None:
    run = await client.start(flows.one("true"))
    number = 0
    for character in run["ID"].removeprefix("run_"):
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character.upper())
    digits = f"{number:032x}"
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    assert (await client.status(uuid))["ID"] == run["ID"]
    await client.wait(run["ID"])
