"""Nodes that run once for each item, on the real engine: split, worked on item by item, packed again."""

from collections.abc import Callable
from typing import Any

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server
from tests.system.test_armed import armed, until

Json = dict[str, Any]

SPLIT = 'n=10; while read line; do echo "$line" > "$OUTPUT_FILES/line-$n"; n=$((n + 1)); done < "$INPUT_IN"'
UPPER = 'tr a-z A-Z < "$INPUT_LINE" > "$OUTPUT_OUT"; ! grep -q BAD "$OUTPUT_OUT" || exit 7'
PACK = 'cd "$INPUT_FILES" && cat * > "$OUTPUT_OUT"'
WORDS = ["one", "two", "bad", "four", "five", "six", "seven"]


def line_by_line(**asked: Any) -> Json:
    """A text is split into its lines, each is written large, and they are put together again."""
    nodes = [
        flows.a_node("split", inputs={"in": "text"}, outputs={"files": "lines"}),
        flows.a_node("upper", inputs={"line": "lines"}, outputs={"out": "large"}, ForEach="line", **asked),
        flows.a_node("pack", inputs={"files": "large"}, outputs={"out": "packed"}),
    ]
    definitions = [
        flows.a_script("split", SPLIT, Inputs=[{"Name": "in"}], Outputs=[{"Name": "files", "Many": True}]),
        flows.a_script("upper", UPPER, Inputs=[{"Name": "line"}], Outputs=[{"Name": "out"}], MaxAttempts=1),
        flows.a_script("pack", PACK, Inputs=[{"Name": "files", "Many": True}], Outputs=[{"Name": "out"}]),
    ]
    return flows.an_order(nodes, definitions)


async def test_a_collection_is_worked_on_item_by_item(client: Client) -> None:
    text = "".join(f"{word}\n" for word in WORDS).encode()
    run = await flows.finish(client, line_by_line(Concurrency=3, PartialFailure="Keep"), text=text)
    assert run["Status"] == "COMPLETE", run
    assert (await flows.get(run, "packed")).decode().split() == [word.upper() for word in WORDS if word != "bad"]
    items = run["NodeState"]["upper"]["Items"]
    assert (items["Total"], items["Complete"], items["Error"]) == (7, 6, 1)
    assert run["Artifacts"]["large"]["Items"] == 7
    assert "1 of 7 items failed" in run["Warnings"][-1]


async def test_an_item_that_fails_fails_the_run(client: Client) -> None:
    run = await flows.finish(client, line_by_line(Concurrency=1), text=b"one\nbad\nthree\n")
    assert run["Status"] == "ERROR"
    assert run["Error"].startswith("node upper: item 1 (line-11): exit code 7")
    assert run["NodeState"]["upper"]["Items"]["Skipped"] == 1
    assert run["NodeState"]["pack"]["Status"] == "SKIPPED"


async def test_a_server_killed_while_containers_wait_for_items_goes_on_and_leaves_none(
    own_server: Callable[..., Server],
) -> None:
    server = own_server()
    order = line_by_line(Concurrency=1)
    held = f'if grep -q one "$INPUT_LINE"; then {flows.HOLD} fi; '
    order["NodeDefs"][1] = flows.a_script(
        "upper", held + UPPER, Inputs=[{"Name": "line"}], Outputs=[{"Name": "out"}], MaxAttempts=1
    )
    async with server.client() as client:
        run = await client.start(order)
        await flows.put(run, "text", b"one\ntwo\nthree\nfour\nfive\nsix\n")
        await flows.until_line(client, run, "held", node="upper.0")
        await armed(server, 4)
        server.kill()
        server.start()
        await flows.let_go(server, run, "upper.0")
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        assert (await flows.get(done, "packed")).decode().split() == ["ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX"]
        state = done["NodeState"]["upper"]
        assert done["StartedAt"] < state["StartedAt"] < state["FinishedAt"] <= done["FinishedAt"]
        await client.purge(run["ID"])
        await until(lambda: server.left().keys() <= {"processes"}, "something is left")
