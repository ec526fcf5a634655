"""Conditions and handlers on the real engine: one flow for whatever comes, and what is done in the end."""

from typing import Any

import pytest

from pupload.client import Client
from tests.adapters.content import files
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]

PROBE = """printf '{"streams": [{"height": 360}], "for": "%s"}' "$(head -c 4 "$INPUT_IN" | wc -c)" > "$OUTPUT_OUT" """
REPORT = 'echo "$PUPLOAD_RUN_STATUS|$PUPLOAD_RUN_ERROR|$INPUT_VIDEO|$INPUT_PICTURE" > "$OUTPUT_OUT"'
OPTIONAL = [{"Name": "video", "Required": False}, {"Name": "picture", "Required": False}]


def anything(then: str = flows.COPY) -> Json:
    """A video is transcoded where its facts say so, a picture made smaller, and a report written in any case."""
    nodes = [
        flows.a_node(
            "facts", inputs={"in": "file"}, outputs={"out": "facts"}, When="input.in.type startswith 'video/'"
        ),
        flows.a_node(
            "transcode",
            inputs={"in": "file", "facts": "facts"},
            outputs={"out": "video"},
            When="json(input.facts).streams[0].height < 720 and input.in.duration > 1m",
        ),
        flows.a_node(
            "shrink",
            inputs={"in": "file"},
            outputs={"out": "picture"},
            When="input.in.type startswith 'image/' and input.in.width in [2, 4]",
        ),
        flows.a_node(
            "report", inputs={"video": "video", "picture": "picture"}, outputs={"out": "report"}, Runs="Finally"
        ),
        flows.a_node("alarm", outputs={"out": "alarm"}, Runs="OnFailure"),
    ]
    definitions = [
        flows.a_script("facts", PROBE),
        flows.a_script("transcode", then, Inputs=[{"Name": "in", "Type": "video/*"}], Outputs=[{"Name": "out"}]),
        flows.a_script("shrink", then, Inputs=[{"Name": "in", "Type": "image/*"}], Outputs=[{"Name": "out"}]),
        flows.a_script("report", REPORT, Inputs=OPTIONAL, Outputs=[{"Name": "out"}]),
        flows.a_script("alarm", 'echo "$PUPLOAD_RUN_ERROR" > "$OUTPUT_OUT"'),
    ]
    return flows.an_order(nodes, definitions)


def statuses(run: Json) -> dict[str, str]:
    return {name: node["Status"] for name, node in run["NodeState"].items()}


@pytest.mark.parametrize(
    ("data", "done", "report"),
    [
        (files.mp4(90), {"facts", "transcode"}, "COMPLETE||/pupload/in/video.mp4|"),
        (files.png(2, 3), {"shrink"}, "COMPLETE|||/pupload/in/picture.png"),
        (b"plain words", set(), "COMPLETE|||"),
    ],
    ids=["a video", "a picture", "anything else"],
)
async def test_a_flow_goes_the_way_of_what_comes(client: Client, data: bytes, done: set[str], report: str) -> None:
    run = await flows.finish(client, anything(), file=data)
    assert run["Status"] == "COMPLETE", run
    assert {name for name, status in statuses(run).items() if status == "COMPLETE"} == done | {"report"}
    assert {status for name, status in statuses(run).items() if name not in done | {"report"}} == {"SKIPPED"}
    assert (await flows.get(run, "report")).decode().strip() == report
    assert "its condition is not met: " in run["NodeState"]["facts" if "facts" not in done else "shrink"]["Error"]


async def test_what_goes_wrong_is_handled(client: Client) -> None:
    run = await flows.finish(client, anything("echo no; exit 7"), file=files.png(4, 3))
    assert run["Status"] == "ERROR"
    assert run["Error"] == "node shrink: exit code 7: no"
    assert statuses(run) == {
        "facts": "SKIPPED",
        "transcode": "SKIPPED",
        "shrink": "ERROR",
        "report": "COMPLETE",
        "alarm": "COMPLETE",
    }
    assert (await flows.get(run, "alarm")).decode() == "node shrink: exit code 7: no\n"
    assert (await flows.get(run, "report")).decode() == "ERROR|node shrink: exit code 7: no||\n"


async def test_a_handler_is_told_of_a_cancel_and_outlives_a_crash(own_server: Any) -> None:
    server: Server = own_server()
    nodes = [
        flows.a_node("step", outputs={"out": "here"}),
        flows.a_node("last", outputs={"out": "report"}, Runs="Finally"),
    ]
    tell = f'{flows.HOLD} echo "$PUPLOAD_RUN_STATUS $PUPLOAD_RUN_ERROR" > "$OUTPUT_OUT"'
    order = flows.an_order(nodes, [flows.a_script("step", "sleep 600"), flows.a_script("last", tell)])
    async with server.client() as client:
        run = await client.start(order)
        await flows.until_event(client, run, "node.started")
        await client.cancel(run["ID"])
        await flows.until_line(client, run, "held", node="last")
        assert (await client.status(run["ID"]))["Status"] == "RUNNING"
    server.kill()
    server.start()
    async with server.client() as client:
        await flows.let_go(server, run, "last")
        done = await client.wait(run["ID"])
        assert done["Status"] == "STOPPED"
        assert (done["NodeState"]["last"]["Status"], done["NodeState"]["last"]["Attempt"]) == ("COMPLETE", 1)
        assert (await flows.get(done, "report")).decode() == "STOPPED cancelled\n"


async def test_mistakes_in_conditions_are_told_with_their_places(client: Client) -> None:
    order = anything()
    order["Flow"]["Nodes"][0]["When"] = "input.inn.size > 5XB"
    order["Flow"]["Nodes"][2]["When"] = "input.picture.size > 5MB"
    found = await client.validate(order)
    assert [(each["Code"], each["Path"]) for each in found["Findings"]] == [
        ("WHEN_001", "/Flow/Nodes/0/When"),
        ("WHEN_002", "/Flow/Nodes/2/When"),
    ]
