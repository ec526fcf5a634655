"""What becomes of runs: files through graphs, failures, stops, and all of it told as it happens."""

import asyncio
from typing import Any

import pytest

from pupload import errors
from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]


def state(run: Json, node: str = "step") -> Json:
    found: Json = run["NodeState"][node]
    return found


# ── Graphs ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_diamond_whose_two_uploads_land_at_once(server: Server, client: Client) -> None:
    join = 'cat "$INPUT_A" "$INPUT_B" > "$OUTPUT_OUT"'
    nodes = [
        flows.a_node("top", "join", inputs={"a": "left", "b": "right"}, outputs={"out": "both"}),
        flows.a_node("one", "copy", inputs={"in": "both"}, outputs={"out": "first"}),
        flows.a_node("two", "copy", inputs={"in": "both"}, outputs={"out": "second"}),
        flows.a_node("end", "join", inputs={"a": "first", "b": "second"}, outputs={"out": "all"}),
    ]
    definitions = [flows.a_script("join", join), flows.a_script("copy", flows.COPY)]
    run = await client.start(flows.an_order(nodes, definitions))
    assert {each["Artifact"]["EdgeName"] for each in run["WaitingURLs"]} == {"left", "right"}
    landed = await asyncio.gather(flows.put(run, "left", b"l"), flows.put(run, "right", b"r"))
    assert list(landed) == [200, 200]
    done = await client.wait(run["ID"])
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await flows.get(done, "all") == b"lrlr"
    assert {state["Attempt"] for state in done["NodeState"].values()} == {1}
    order = [event.data["Data"]["Node"] async for event in client.events(run["ID"]) if event.kind == "node.succeeded"]
    assert (order[0], order[-1], set(order[1:3])) == ("top", "end", {"one", "two"})


async def test_thirty_nodes_take_one_upload(client: Client) -> None:
    nodes = [
        flows.a_node(f"n{n}", "tag", inputs={"in": "there"}, outputs={"out": f"e{n}"}, flags={"n": n})
        for n in range(30)
    ]
    tag = flows.a_script("tag", '{ cat "$INPUT_IN"; echo "$FLAG_N"; } > "$OUTPUT_OUT"')
    done = await flows.finish(client, flows.an_order(nodes, [tag]), there=b"x")
    assert done["Status"] == "COMPLETE", done["Error"]
    found = await asyncio.gather(*(flows.get(done, f"e{n}") for n in range(30)))
    assert found == [f"x{n}\n".encode() for n in range(30)]


async def test_a_run_waits_until_its_last_upload_and_what_can_start_does(client: Client) -> None:
    nodes = [
        flows.a_node("early", "copy", inputs={"in": "one"}, outputs={"out": "first"}),
        flows.a_node("late", "copy", inputs={"in": "two"}, outputs={"out": "second"}),
    ]
    run = await client.start(flows.an_order(nodes, [flows.a_script("copy", flows.COPY)]))
    assert await flows.put(run, "one", b"1") == 200
    await flows.until_event(client, run, "node.succeeded", lambda facts: facts["Node"] == "early")
    await flows.until_event(client, run, "run.waiting", lambda facts: facts["Edges"] == ["two"])
    between = await client.status(run["ID"])
    assert between["Status"] == "WAITING"
    assert (state(between, "early")["Status"], state(between, "late")["Status"]) == ("COMPLETE", "IDLE")
    assert await flows.put(between, "two", b"2") == 200
    assert (await client.wait(run["ID"]))["Status"] == "COMPLETE"


async def test_what_is_put_after_the_seal_changes_nothing(server: Server, client: Client) -> None:
    """F31: other bytes to the same URL, while the node is at work and afterwards."""
    run = await client.start(flows.copying(flows.HOLD + flows.COPY))
    assert await flows.put(run, "there", b"sealed") == 200
    await flows.until_line(client, run, "held")
    assert await flows.put(run, "there", b"too late") == 200
    await flows.let_go(server, run)
    done = await client.wait(run["ID"])
    assert [await flows.get(done, edge) for edge in ("there", "here")] == [b"sealed", b"sealed"]


async def test_the_same_idempotency_key_is_the_same_run(client: Client) -> None:
    order = flows.copying()
    runs = await asyncio.gather(*(client.start(order, idempotency_key="once-and-for-all") for _ in range(5)))
    assert len({run["ID"] for run in runs}) == 1
    assert (await client.start(order, idempotency_key="another"))["ID"] != runs[0]["ID"]
    for run in (runs[0], await client.start(order, idempotency_key="another")):
        await client.cancel(run["ID"])
        assert (await client.wait(run["ID"]))["Status"] == "STOPPED"


# ── Failures ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_exit_code_is_told_with_the_last_words(client: Client) -> None:
    done = await flows.finish(client, flows.one("echo out; echo bad flag >&2; exit 3"))
    assert done["Status"] == "ERROR"
    assert (state(done)["Status"], state(done)["ExitCode"], state(done)["Attempt"]) == ("ERROR", 3, 1)
    assert state(done)["Error"] == "exit code 3: bad flag"
    assert "step" in done["Error"]
    assert "exit code 3" in done["Error"]


async def test_a_node_out_of_memory_is_told_what_to_do(client: Client) -> None:
    done = await flows.finish(client, flows.one("dd if=/dev/zero of=/dev/null bs=2G count=1", MaxAttempts=3))
    assert done["Status"] == "ERROR"
    assert state(done)["Error"].startswith("killed: used ")
    assert "the limit of c-nano is 512 MiB; try c-micro" in state(done)["Error"]
    assert state(done)["Attempt"] == 1, "the same work under the same limit ends the same"


async def test_more_memory_is_tried_where_the_definition_says_so(client: Client) -> None:
    needs = "dd if=/dev/zero of=/dev/null bs=700M count=1; echo ran with enough"
    done = await flows.finish(
        client, flows.one(f"set -e; {needs}", MaxAttempts=3, Retry={"MoreMemory": True, "Delay": "10ms"})
    )
    assert done["Status"] == "COMPLETE", done["Error"]
    assert state(done)["Attempt"] == 2
    assert await flows.said(client, done) == ["ran with enough"]


async def test_a_time_out_kills(client: Client) -> None:
    done = await flows.finish(client, flows.one("trap '' TERM; echo deaf; while :; do :; done", Timeout="1s"))
    assert done["Status"] == "ERROR"
    assert "1 s" in state(done)["Error"] or "1s" in state(done)["Error"]
    assert await flows.said(client, done) == ["deaf"]


async def test_the_flows_time_out_ends_what_waits(client: Client) -> None:
    order = flows.copying()
    order["Flow"]["Timeout"] = "200ms"
    done = await flows.finish(client, order)
    assert done["Status"] == "ERROR"
    assert "200ms" in done["Error"] or "0.2" in done["Error"]


async def test_attempts_are_made_again_and_all_of_them_are_told(client: Client) -> None:
    script = "echo try $PUPLOAD_ATTEMPT; [ $PUPLOAD_ATTEMPT = 3 ]"
    done = await flows.finish(client, flows.one(script, MaxAttempts=3, Retry={"Delay": "10ms"}))
    assert done["Status"] == "COMPLETE"
    assert (state(done)["Attempt"], state(done)["MaxAttempts"], state(done)["Error"]) == (3, 3, "")
    assert await flows.said(client, done) == ["try 1", "try 2", "try 3"]
    kinds = [event.kind async for event in client.events(done["ID"])]
    assert kinds.count("node.retrying") == 2
    assert kinds.count("node.started") == 3
    only_second = await client.logs(done["ID"], attempt=2)
    assert [each["message"] for each in only_second["Logs"] if each["stream"] == "stdout"] == ["try 2"]


async def test_what_the_definition_calls_final_is_not_tried_again(client: Client) -> None:
    done = await flows.finish(client, flows.one("exit 64", MaxAttempts=3, Retry={"NeverOnExitCodes": [64]}))
    assert (done["Status"], state(done)["Attempt"]) == ("ERROR", 1)


async def test_an_image_that_is_nowhere_is_told_by_its_name(client: Client) -> None:
    done = await flows.finish(client, flows.one("true", Image="127.0.0.1:9/no/such:image", MaxAttempts=3))
    assert (done["Status"], state(done)["Attempt"]) == ("ERROR", 1)
    assert state(done)["Error"].startswith(
        "image 127.0.0.1:9/no/such:image is not on this machine and cannot be pulled"
    )


async def test_a_command_that_is_not_there_is_told_at_once(client: Client) -> None:
    done = await flows.finish(client, flows.one("", Command={"Exec": ["no-such-program"]}, MaxAttempts=3))
    assert (done["Status"], state(done)["Attempt"]) == ("ERROR", 1)
    assert "no-such-program" in state(done)["Error"]


async def test_an_output_that_was_not_written_is_told_by_its_path(client: Client) -> None:
    done = await flows.finish(client, flows.copying("true", MaxAttempts=3), there=b"x")
    assert done["Status"] == "ERROR"
    assert state(done)["Error"] == "the node ended well but did not write its output out to /pupload/out/out"
    assert "here" not in done["Artifacts"]


async def test_an_upload_of_the_wrong_type_is_refused_before_any_container(client: Client) -> None:
    ports: Json = {"Inputs": [{"Name": "in", "Type": ["image/*"]}], "Outputs": [{"Name": "out"}]}
    done = await flows.finish(client, flows.copying(**ports), there=b"%PDF-1.7 certainly no picture")
    assert done["Status"] == "ERROR"
    assert "application/pdf" in done["Error"]
    assert "image/*" in done["Error"]
    kinds = {event.kind async for event in client.events(done["ID"])}
    assert "node.started" not in kinds


async def test_an_output_of_the_wrong_type_is_refused(client: Client) -> None:
    ports: Json = {"Inputs": [{"Name": "in"}], "Outputs": [{"Name": "out", "Type": ["image/png"]}]}
    done = await flows.finish(client, flows.copying('cat "$INPUT_IN" > "$OUTPUT_OUT"', **ports), there=b"some text\n")
    assert done["Status"] == "ERROR"
    assert "text/plain" in state(done)["Error"]
    assert "image/png" in state(done)["Error"]


async def test_a_failure_ends_what_it_feeds_and_nothing_else(client: Client) -> None:
    nodes = [
        flows.a_node("bad", "fail", outputs={"out": "never"}),
        flows.a_node("after", "copy", inputs={"in": "never"}, outputs={"out": "nothing"}),
        flows.a_node("good", "make", outputs={"out": "made"}),
        flows.a_node("better", "copy", inputs={"in": "made"}, outputs={"out": "kept"}),
    ]
    definitions = [
        flows.a_script("fail", "exit 1"),
        flows.a_script("copy", flows.COPY),
        flows.a_script("make", 'echo well > "$OUTPUT_OUT"'),
    ]
    done = await flows.finish(client, flows.an_order(nodes, definitions))
    assert done["Status"] == "ERROR"
    assert {node: each["Status"] for node, each in done["NodeState"].items()} == {
        "bad": "ERROR",
        "after": "SKIPPED",
        "good": "COMPLETE",
        "better": "COMPLETE",
    }
    assert await flows.get(done, "kept") == b"well\n"


# ── Stopping and going on ────────────────────────────────────────────────────────────────────────────────────────


async def test_kill_stops_at_once(server: Server, client: Client) -> None:
    run = await client.start(flows.one("trap 'echo told; exit 9' TERM; echo held; while :; do sleep 0.05; done"))
    await flows.until_line(client, run, "held")
    await client.cancel(run["ID"])
    done = await client.wait(run["ID"])
    assert done["Status"] == "STOPPED"
    assert await flows.said(client, done) == ["held", "told"], "it was told before it was killed"
    assert (await client.cancel(run["ID"]))["Status"] == "STOPPED", "terminal states never change"


async def test_drain_lets_what_runs_finish_and_starts_nothing(server: Server, client: Client) -> None:
    nodes = [
        flows.a_node("first", "hold", inputs={"in": "there"}, outputs={"out": "middle"}),
        flows.a_node("second", "copy", inputs={"in": "middle"}, outputs={"out": "here"}),
    ]
    definitions = [flows.a_script("hold", flows.HOLD + flows.COPY), flows.a_script("copy", flows.COPY)]
    run = await client.start(flows.an_order(nodes, definitions))
    assert await flows.put(run, "there", b"x") == 200
    await flows.until_line(client, run, "held")
    await client.cancel(run["ID"], mode="drain")
    await flows.let_go(server, run, "first")
    done = await client.wait(run["ID"])
    assert done["Status"] == "STOPPED"
    assert (state(done, "first")["Status"], state(done, "second")["Attempt"]) == ("COMPLETE", 0)

    again = await client.resume(run["ID"])
    assert again["ID"] != run["ID"]
    ended = await client.wait(again["ID"])
    assert ended["Status"] == "COMPLETE", ended["Error"]
    assert await flows.get(ended, "here") == b"x"
    started = [e.data["Data"]["Node"] async for e in client.events(again["ID"]) if e.kind == "node.started"]
    assert started == ["second"], "what succeeded is not done again"


async def test_resuming_what_went_well_or_still_goes_is_refused(client: Client) -> None:
    done = await flows.finish(client, flows.one("true"))
    with pytest.raises(errors.Conflict):
        await client.resume(done["ID"])
    waiting = await client.start(flows.copying())
    with pytest.raises(errors.Conflict):
        await client.resume(waiting["ID"])
    await client.cancel(waiting["ID"])
    await client.wait(waiting["ID"])


# ── Telling ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_lines_are_told_while_the_node_runs_and_completely_afterwards(server: Server, client: Client) -> None:
    script = 'echo first; echo to-stderr >&2; echo \'{"level":"WARN","message":"read","progress":0.5}\';' + (
        flows.HOLD + "for n in $(seq 1 3000); do echo $n; done; printf 'no newline'"
    )
    run = await client.start(flows.one(script))
    await flows.until_line(client, run, "held")
    now = await client.status(run["ID"])
    assert now["Status"] == "RUNNING"
    assert {"first", "to-stderr", "read", "held"} <= {each["message"] for each in state(now)["Logs"]}
    assert state(now)["Progress"] == 0.5
    await flows.let_go(server, run)
    done = await client.wait(run["ID"])
    lines = await flows.said(client, done)
    assert [line for line in lines if line not in ("first", "held", "read")] == [
        *map(str, range(1, 3001)),
        "no newline",
    ]
    assert await flows.said(client, done, stream="stderr") == ["to-stderr"]
    assert len(state(done)["Logs"]) == 100
    assert [each["message"] for each in state(done)["Logs"]][-1] == "no newline"
    (read,) = [each for each in (await client.logs(run["ID"]))["Logs"] if each["message"] == "read"]
    assert read["level"] == "WARN"


async def test_events_go_on_after_any_of_them_without_gap_or_duplicate(client: Client) -> None:
    done = await flows.finish(client, flows.copying("sleep 0.1; " + flows.COPY), there=b"x")
    whole = [(event.cursor, event.kind) async for event in client.events(done["ID"])]
    assert [cursor for cursor, _ in whole] == list(range(1, len(whole) + 1))
    assert [kind for _, kind in whole] == [
        "run.created",
        "run.waiting",
        "upload.sealed",
        "node.ready",
        "run.running",
        "node.admitted",
        "node.started",
        "node.succeeded",
        "run.completed",
    ]
    for after in range(len(whole) + 1):
        rest = [(event.cursor, event.kind) async for event in client.events(done["ID"], after=after)]
        assert rest == whole[after:]


async def test_many_listeners_hear_the_same(server: Server, client: Client) -> None:
    run = await client.start(flows.one(flows.HOLD + "for n in $(seq 1 500); do echo $n; done"))

    async def listen() -> list[str]:
        async with server.client() as own:
            return [event.data["message"] async for event in own.follow_logs(run["ID"])]

    listening = [asyncio.create_task(listen()) for _ in range(20)]
    await flows.until_line(client, run, "held")
    await flows.let_go(server, run)
    heard = await asyncio.gather(*listening)
    assert all(each == heard[0] for each in heard)
    assert heard[0] == ["held", *map(str, range(1, 501))]


async def test_the_list_has_runs_newest_first_and_by_name_and_status(client: Client) -> None:
    made = []
    for script in ("true", "exit 1", "true"):
        order = flows.one(script)
        order["Flow"]["Name"] = "listed flow"
        made.append(await flows.finish(client, order))
    page = await client.list(flow="listed flow")
    assert page["Total"] == 3
    assert [line["ID"] for line in page["Runs"]] == [run["ID"] for run in reversed(made)]
    assert [line["ID"] for line in (await client.list(flow="listed flow", status="ERROR"))["Runs"]] == [made[1]["ID"]]
    second = await client.list(flow="listed flow", limit=1, offset=1)
    assert ([line["ID"] for line in second["Runs"]], second["Total"]) == ([made[1]["ID"]], 3)
