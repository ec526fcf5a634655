"""The Studio surface over real sockets: values and files in, values out, what is waited for, GraphQL, graphs live."""

import asyncio
import copy
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, FormData, WSCloseCode, WSMsgType

from pupload import errors, ports
from pupload.adapters.memory import containers
from pupload.api import sockets
from pupload.api.studio import questions, routes
from pupload.domain import ids
from pupload.domain.sources import Kind, Source
from tests.api.house import EXAMPLE, IMAGE, House, a_house
from tests.bench import PNG, copies

BASE = "/api/projects/my-project"


def writes(data: bytes, **outcome: Any) -> containers.Script:
    """A node that writes it."""

    def run(order: ports.ContainerOrder) -> containers.Outcome:
        (order.outputs / "resized").write_bytes(data)
        return containers.Outcome(**outcome)

    return run


def a_job(
    *,
    types: Sequence[str] = (),
    entries: Sequence[str] = ("document",),
    terminal: str = "kind",
    wells: Sequence[dict[str, Any]] = (),
    node: str = "classify",
) -> dict[str, Any]:
    """A flow of one node, which takes these entries by its ports `image` and `other`."""
    ports_ = ["image", "other"][: len(entries)]
    definition = {**EXAMPLE["NodeDefs"][0], "MaxAttempts": 1}
    if types:
        definition["Inputs"] = [{"Name": port, "Type": list(types)} for port in ports_]
    step = {
        "ID": node,
        "Uses": "pupload/resize",
        "Inputs": [{"Name": port, "Edge": edge} for port, edge in zip(ports_, entries, strict=True)],
        "Outputs": [{"Name": "resized", "Edge": terminal}],
    }
    return {"Flow": {"Name": "classify", "Nodes": [step], "DataWells": list(wells)}, "NodeDefs": [definition]}


async def save(house: House, name: str = "my-project", **job: Any) -> None:
    status, answer = await house.call("PUT", f"/api/v1/flow/saved/{name}", json=a_job(**job))
    assert status == 200, answer


async def over(house: House, execution: str, base: str = BASE) -> dict[str, Any]:
    """The run of the project, when it is over."""
    run_id = ids.canonical_run_id(execution)
    assert run_id is not None
    await house.bench.until(lambda: run_id not in house.bench.engine.driver.live)
    status, answer = await house.call("GET", f"{base}/runs/{execution}")
    assert status == 200, answer
    return dict(answer)


async def count(house: House) -> int:
    """How many runs there are."""
    return int((await house.call("GET", "/api/v1/flow/list"))[1]["Total"])


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_waits_is_told_the_end_however_long_that_takes(tmp_path: Path) -> None:
    async with a_house(tmp_path, request_seconds=0.2) as house:
        house.bench.image(IMAGE, copies("image", "resized", seconds=120))
        await save(house)
        status, answer = await house.call("POST", f"{BASE}/run", json={"input": "Classify this document"})
        assert (status, answer["result"]) == (200, "Classify this document")
        assert set(answer) == {"result", "execution_id", "duration_ms"}
        assert answer["duration_ms"] >= 120_000
        again = await over(house, answer["execution_id"])
        assert again == {**answer, "status": "completed"}
        for spelling in (ids.canonical_run_id(answer["execution_id"]), answer["execution_id"].upper()):
            assert (await house.call("GET", f"{BASE}/runs/{spelling}"))[1] == again


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b'{"n": 123456789012345678901234567890, "m": 1.10}', {"n": 123456789012345678901234567890, "m": 1.1}),
        (b"[]", []),
        (b"null", None),
        (b"words\n", "words"),
        (b"words\n\n", "words\n"),
        (b"", ""),
    ],
)
async def test_the_edge_named_result_is_the_result(tmp_path: Path, data: bytes, result: Any) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(data))
        await save(house, terminal="result")
        status, answer = await house.call("POST", f"{BASE}/run", json={})
        assert (status, answer["result"]) == (200, result)


async def test_what_is_no_text_is_told_where_it_is(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, writes(PNG))
        await save(house)
        _, answer = await house.call("POST", f"{BASE}/run", json={"input": "a"})
        result = answer["result"]
        assert (result["media_type"], result["size"], result["store"]) == ("image/png", len(PNG), "default")
        assert result["object"].endswith("/kind")
        async with house.http.get(result["url"]) as got:
            assert await got.read() == PNG


async def test_an_input_for_several_edges_is_shared_out_and_one_that_does_not_fit_starts_nothing(
    tmp_path: Path,
) -> None:
    async with a_house(tmp_path) as house:
        await save(house, entries=("left", "right"))
        assert (await house.call("POST", f"{BASE}/run", json={"input": {"left": "a", "right": "b"}}))[0] == 200
        before = await count(house)
        for wrong in ("a", {"left": "a"}, {"left": "a", "right": "b", "more": "c"}, None):
            for path in ("run", "run/async"):
                status, answer = await house.call("POST", f"{BASE}/{path}", json={"input": wrong})
                assert (status, answer["detail"][0]["type"]) == (422, "value_error")
                assert "left, right" in answer["detail"][0]["msg"]
        large = json.dumps({"input": {"left": "a", "right": "x" * (1 << 20) + "x"}}).encode()
        assert (await house.call("POST", f"{BASE}/run", data=io.BytesIO(large)))[0] == 413
        await save(house, "none", entries=())
        house.bench.image(IMAGE, writes(b"1"))
        assert (await house.call("POST", "/api/projects/none/run", json={"input": "a"}))[0] == 422
        assert await count(house) == before
        assert (await house.call("POST", "/api/projects/none/run", json={}))[0] == 200


async def test_where_nothing_can_be_given_the_run_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_house(tmp_path) as house:
        await save(house)

        async def refuse(*_: Any, **__: Any) -> None:
            raise errors.StoreUnavailable(store="default", endpoint="here", reason="broken")

        monkeypatch.setattr(house.bench.store, "put_bytes", refuse)
        status, answer = await house.call("POST", f"{BASE}/run", json={"input": "a"})
        assert (status, "broken" in answer["detail"]) == (503, True)
        (line,) = (await house.call("GET", f"{BASE}/runtime/executions"))[1]["executions"]
        assert await over(house, line["execution_id"]) == {**line, "status": "failed", "result": "cancelled"} | {
            "duration_ms": (await over(house, line["execution_id"]))["duration_ms"]
        }


async def test_no_work_of_before_is_used_again(tmp_path: Path) -> None:
    async with a_house(tmp_path, memoize=True) as house:
        done: list[Path] = []

        def work(order: ports.ContainerOrder) -> containers.Outcome:
            done.append(order.outputs)
            return copies("image", "resized")(order)

        house.bench.image(IMAGE, work)
        await save(house)
        for _ in range(2):
            assert (await house.call("POST", f"{BASE}/run", json={"input": "same"}))[1]["result"] == "same"
        assert len(done) == 2


async def test_a_cancelled_run_and_one_that_fails_are_failed(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, copies("image", "resized", seconds=1e6))
        await save(house)
        _, started = await house.call("POST", f"{BASE}/run/async", json={"input": "a"})
        waiting = asyncio.ensure_future(house.call("POST", f"{BASE}/run", json={"input": "b"}))
        path = f"{BASE}/runs/{started['execution_id']}"
        assert (await house.call("GET", path))[1] == {**started, "result": None, "duration_ms": None}
        await house.bench.until(lambda: len(house.bench.engine.driver.live) == 2)
        for line in (await house.call("GET", f"{BASE}/runtime/executions"))[1]["executions"]:
            assert (line["status"], line["duration_ms"]) == ("running", None)
            await house.call("POST", f"/api/v1/flow/cancel/{line['execution_id']}")
        assert await waiting == (500, {"detail": "cancelled"})
        ended = await over(house, started["execution_id"])
        assert (ended["status"], ended["result"]) == ("failed", "cancelled")
        house.bench.image(IMAGE, containers_that_fail())
        status, answer = await house.call("POST", f"{BASE}/run", json={"input": "a"})
        assert status == 500
        assert answer["detail"].startswith("classify: ")
        last = (await house.call("GET", f"{BASE}/runtime/executions"))[1]["executions"][-1]
        assert await over(house, last["execution_id"]) == {**last, "result": answer["detail"]}


def containers_that_fail() -> containers.Script:
    """A node that ends badly."""
    return lambda order: containers.Outcome(code=3)


async def test_a_server_that_goes_down_says_so_to_who_waits(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, copies("image", "resized", seconds=1e9))
        await save(house)
        waiting = asyncio.ensure_future(house.call("POST", f"{BASE}/run", json={"input": "b"}))
        await house.bench.until(lambda: bool(house.bench.engine.driver.live))
        house.closing.set()
        status, answer = await waiting
        assert (status, "goes on" in answer["detail"]) == (503, True)


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_form(data: bytes = PNG, *, name: str = "document.pdf", media: str = "application/pdf", **more: str) -> FormData:
    form = FormData(quote_fields=False)
    for field, value in more.items():
        form.add_field(field, value)
    form.add_field("file", io.BytesIO(data), filename=name, content_type=media)
    return form


async def test_a_file_is_told_of_in_four_fields(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await save(house, terminal="result")
        data = b"caf\xc3\xa9 \xff" * 3
        status, answer = await house.call("POST", f"{BASE}/upload", data=a_form(data, more="passed over"))
        assert status == 200
        assert answer["result"] == {
            "file_name": "document.pdf",
            "content_type": "application/pdf",
            "content": data.decode(errors="replace"),
            "size": len(data),
        }
        _, answer = await house.call("POST", f"{BASE}/upload", data=a_form(b"", name="../../etc/passwd", media=""))
        assert (answer["result"]["file_name"], answer["result"]["size"]) == ("passwd", 0)


@pytest.mark.parametrize("job", [{"types": ["image/*"]}, {"wells": [{"Edge": "document", "Source": "upload"}]}])
async def test_an_entry_that_takes_other_files_gets_the_file(tmp_path: Path, job: dict[str, Any]) -> None:
    data = PNG + bytes(range(256)) * 5000
    async with a_house(tmp_path) as house:
        await save(house, **job)
        _, answer = await house.call("POST", f"{BASE}/upload", data=a_form(data))
        async with house.http.get(answer["result"]["url"]) as got:
            assert await got.read() == data
        _, schema = await house.call("GET", f"{BASE}/schema")
        assert schema["trigger_type"] == ("file_upload" if "wells" in job else "http")
        assert not list((tmp_path / "incoming").iterdir())


async def test_a_flow_with_an_entry_for_each_gets_both(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        well = {"Edge": "file", "Source": "upload"}
        await save(house, entries=("told", "file"), wells=[well], terminal="result")
        status, answer = await house.call("POST", f"{BASE}/upload", data=a_form(b"abc"))
        assert (status, answer["result"]["content"]) == (200, "abc")
        run = await house.bench.runs.find(answer["execution_id"])
        assert run.artifacts["file"].size == 3


async def test_what_is_no_form_starts_nothing(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await save(house)
        await save(house, "two", entries=("left", "right"))
        other = FormData()
        other.add_field("document", b"x", filename="x")
        url = f"{BASE}/upload"
        assert (await house.call("POST", url, data=other))[1]["detail"][0]["loc"] == ["body", "file"]
        media = {"Content-Type": "multipart/form-data; boundary=b"}
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        odd, long = head.replace(b"file", b"\x17"), head.replace(b"file", b"x" * 100_000)
        parts = head.replace(b"file", b"other") + b"x\r\n"
        cut = (b"", b"nonsense", b"--b\r\n\r\n", head, head + b"cut off", head + b"cut off\r\n--")
        for body in (*cut, odd, long, parts * 100 + head + b"x\r\n--b--\r\n"):
            status, answer = await house.call("POST", url, data=body, headers=media)
            assert (status, answer["detail"][0]["msg"] != "") == (422, True), body[:100]
        assert (await house.call("POST", url, data=b"", headers={"Content-Type": "multipart/form-data"}))[0] == 422
        status, answer = await house.call("POST", "/api/projects/two/upload", data=a_form())
        assert (status, "left, right" in answer["detail"][0]["msg"]) == (422, True)
        assert await count(house) == 0
        assert not list((tmp_path / "incoming").glob("*"))


async def test_a_file_that_is_too_large_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pupload.service.uploads.MAX_WEBHOOK_BYTES", 1000)
    monkeypatch.setattr("pupload.service.launching.MOST_READ_BYTES", 500)
    async with a_house(tmp_path, body_limit=2000) as house:
        await save(house)
        for size, status in ((400, 200), (600, 413), (1001, 413), (5000, 413)):
            assert (await house.call("POST", f"{BASE}/upload", data=a_form(b"x" * size)))[0] == status
        assert await count(house) == 1
        assert not list((tmp_path / "incoming").iterdir())


# ── GraphQL ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def asked(house: House, query: str, **variables: Any) -> dict[str, Any]:
    """The answer, which is always 200."""
    status, answer = await house.call("POST", "/api/graphql", json={"query": query, "variables": variables})
    assert status == 200, answer
    return dict(answer)


RUN = 'mutation($input: String!) { runPipeline(project: "my-project", input: $input) { status result durationMs } }'


async def test_a_mutation_waits_for_the_end_and_tells_json_as_its_text(tmp_path: Path) -> None:
    async with a_house(tmp_path, request_seconds=0.2) as house:
        house.bench.image(IMAGE, writes(b'{"a": 1.50}', seconds=120))
        await save(house, terminal="result")
        answer = (await asked(house, RUN, input="x"))["data"]["runPipeline"]
        assert (answer["status"], answer["result"]) == ("completed", '{"a": 1.50}')
        assert answer["durationMs"] >= 120_000
        house.bench.image(IMAGE, writes(b"null"))
        assert (await asked(house, RUN, input="x"))["data"]["runPipeline"]["result"] is None
        house.bench.image(IMAGE, containers_that_fail())
        answer = (await asked(house, RUN, input="x"))["data"]["runPipeline"]
        assert (answer["status"], answer["result"].startswith("classify: ")) == ("failed", True)


async def test_what_a_clients_library_asks_first_is_answered(tmp_path: Path) -> None:
    from graphql import build_client_schema, get_introspection_query, print_schema

    async with a_house(tmp_path) as house:
        answer = await asked(house, get_introspection_query())
        told = print_schema(build_client_schema(answer["data"]))
    for line in (
        "createdAt: String!",
        "triggerType: String\n",
        "consumers: Int!",
        "schedulerActive: Boolean!",
        "executionId: String!",
        "durationMs: Float\n",
        "projects: [Project!]!",
        ") : Project\n".replace(") :", "):"),
        "): RuntimeStatus!",
        "): ExecutionResult!",
    ):
        assert line in told, told


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("{ " + " ".join(f"a{n}: projects {{ name }}" for n in range(questions.MOST_ALIASES + 1)) + " }", "aliases"),
        ("{ projects { name " + "name " * questions.MOST_TOKENS + "} }", "oken"),
        ("{ __schema { types " + "{ fields { type " * 20 + "{ name }" + " } }" * 20 + " } }", "ntrospection depth"),
        ("fragment F on Query { projects { name } ...F } { ...F }", "itself"),
        ("subscription { projects { name } }", "subscription"),
    ],
)
async def test_what_would_cost_too_much_is_not_begun(tmp_path: Path, query: str, word: str) -> None:
    async with a_house(tmp_path) as house:
        answer = await asked(house, query)
        assert answer["data"] is None
        assert word in answer["errors"][0]["message"]


async def test_a_bug_is_told_to_the_log_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_house(tmp_path) as house:

        async def broken(*_: Any) -> None:
            raise RuntimeError("insides")

        monkeypatch.setattr("pupload.service.namespaces.Namespaces.list", broken)
        answer = await asked(house, "{ projects { name } }")
        assert "insides" not in json.dumps(answer)
        assert "insides" in caplog.text


async def test_the_page_for_browsers_loads_nothing(tmp_path: Path) -> None:
    async with (
        a_house(tmp_path) as house,
        house.http.get(f"{house.url}/api/graphql", headers={"Accept": "text/html"}) as answer,
    ):
        page = await answer.text()
        assert "runPipeline" in page
        for word in ("http:", "https:", "//", "<script", "src="):
            assert word not in page
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


# ── The WebSocket ────────────────────────────────────────────────────────────────────────────────────────────────


def a_graph(*nodes: dict[str, Any], edges: Sequence[tuple[str, str]] = (), **metadata: Any) -> dict[str, Any]:
    """Edges are `node.handle`, or a node alone."""
    ends = [[*source.partition("."), *target.partition(".")] for source, target in edges]
    return {
        "nodes": list(nodes),
        "edges": [
            {"source": each[0], "source_handle": each[2] or None, "target": each[3], "target_handle": each[5] or None}
            for each in ends
        ],
        "metadata": metadata,
    }


def a_container(node: str, *, image: str = IMAGE, **data: Any) -> dict[str, Any]:
    return {"id": node, "type": "container", "data": {"image": image, "maxAttempts": 1, **data}}


CHAIN = a_graph(
    {"id": "in", "type": "input"},
    a_container("one"),
    a_container("two"),
    {"id": "out", "type": "output"},
    edges=[("in", "one.image"), ("one.resized", "two.image"), ("two.resized", "out")],
    name="chain",
)


async def frames(socket: ClientWebSocketResponse) -> list[dict[str, Any]]:
    """Those of one request."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] not in ("pipeline_result", "error"):
        said = await socket.receive(timeout=20)
        assert said.type is WSMsgType.TEXT, said
        found.append(json.loads(said.data))
    return found


async def run(socket: ClientWebSocketResponse, graph: Any, inputs: Any = "Hello world") -> list[dict[str, Any]]:
    await socket.send_str(json.dumps({"action": "run", "graph": graph, "inputs": inputs}))
    return await frames(socket)


def short(told: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["type"], each.get("node_id", "")) for each in told]


async def test_a_graph_is_told_frame_by_frame(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.http.ws_connect(f"{house.url}/ws/execution") as socket:
        house.bench.image(IMAGE, copies("image", "resized", seconds=2))
        told = await run(socket, CHAIN)
        assert short(told) == [
            *[(kind, node) for node in ("in", "one", "two", "out") for kind in ("node_start", "node_complete")],
            ("pipeline_complete", ""),
            ("pipeline_result", ""),
        ]
        assert told[2] == {"type": "node_start", "node_id": "one", "pipeline_name": "chain"}
        assert set(told[3]) == {"type", "node_id", "pipeline_name", "latency_ms"}
        assert told[3]["latency_ms"] >= 2000
        *_, complete, result = told
        assert complete == {
            "type": "pipeline_complete",
            "pipeline_name": "chain",
            "success": True,
            "duration_ms": complete["duration_ms"],
        }
        assert result == {**complete, "type": "pipeline_result", "output": "Hello world"}
        assert result["duration_ms"] >= 4000


async def test_what_fails_is_told_and_what_needs_it_is_skipped(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.http.ws_connect(f"{house.url}/ws/execution") as socket:
        house.bench.image(IMAGE, containers_that_fail())
        graph = copy.deepcopy({**CHAIN, "metadata": {}})
        told = await run(socket, graph)
        assert short(told)[2:] == [
            ("node_start", "one"),
            ("node_error", "one"),
            ("node_skip", "two"),
            ("pipeline_complete", ""),
            ("pipeline_result", ""),
        ]
        assert "3" in told[3]["error"]
        assert told[4]["reason"]
        assert (told[-1]["success"], told[-1]["output"], told[-1]["pipeline_name"]) == (False, None, "studio-pipeline")
        # Two attempts begin once, and fail once; one without a container begins all the same.
        graph["nodes"][1]["data"]["maxAttempts"] = 2
        assert short(await run(socket, graph))[2:4] == [("node_start", "one"), ("node_error", "one")]
        graph["nodes"][1]["data"]["image"] = "no/such:latest"
        assert short(await run(socket, graph))[2:4] == [("node_start", "one"), ("node_error", "one")]


async def test_without_boundaries_the_first_container_takes_the_input_and_the_last_gives_the_output(
    tmp_path: Path,
) -> None:
    async with a_house(tmp_path) as house, house.http.ws_connect(f"{house.url}/ws/execution") as socket:
        house.bench.image(IMAGE, copies("input", "output"))
        graph = a_graph(a_container("a"), a_container("b"), edges=[("a", "b")])
        assert (await run(socket, graph, {"q": [1, 2]}))[-1]["output"] == '{"q": [1, 2]}'
        house.bench.image(IMAGE, lambda order: containers.Outcome())
        told = await run(socket, a_graph(a_container("a")), None)
        assert (told[-1]["success"], told[-1]["output"]) == (True, None)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{", "Invalid JSON"),
        ("[]", "Input should be a valid dictionary"),
        (b"{}", "Invalid JSON"),
        ({}, "action: Field required"),
        ({"action": "debug"}, "Unknown action: debug"),
        ({"action": "run"}, "No graph provided"),
        ({"action": "run", "graph": {"nodes": 1}}, "graph.nodes: "),
        ({"action": "run", "graph": {}}, "The graph has no node that runs"),
        ({"action": "run", "graph": a_graph({"id": "a", "type": "llm"})}, "Unknown node type 'llm' of node 'a'"),
        ({"action": "run", "graph": a_graph(a_container("a"), a_container("a"))}, "Two nodes have the same id"),
        ({"action": "run", "graph": a_graph(a_container("a b"))}, "The id 'a b' is none"),
        ({"action": "run", "graph": a_graph(a_container("a"), edges=[("a", "b")])}, "names the node 'b'"),
        ({"action": "run", "graph": a_graph(a_container("a", image="", uses="no/such"))}, "'no/such'"),
        ({"action": "run", "graph": a_graph(a_container("a", command=7))}, "The command of node 'a'"),
        ({"action": "run", "graph": a_graph(a_container("a", flags={"x": []}))}, "Flag 'x' of node 'a'"),
        (
            {"action": "run", "graph": a_graph(a_container("a"), a_container("b"), edges=[("a", "b"), ("b", "a")])},
            "cycle",
        ),
        (
            {
                "action": "run",
                "graph": a_graph(
                    *[a_container(name) for name in "abc"], edges=[("a", "c"), ("b", "c"), ("a", "c.more")]
                ),
            },
            "Two edges lead to 'input' of node 'c'",
        ),
        (
            {
                "action": "run",
                "graph": a_graph({"id": "i", "type": "input"}, {"id": "j", "type": "input"}, a_container("a")),
            },
            "2 input nodes",
        ),
        (
            {
                "action": "run",
                "graph": a_graph({"id": "i", "type": "input", "data": {"trigger_type": "x"}}, a_container("a")),
            },
            "Unknown trigger type 'x'",
        ),
    ],
)
async def test_what_cannot_be_run_is_told_and_the_socket_goes_on(tmp_path: Path, said: Any, message: str) -> None:
    async with a_house(tmp_path) as house, house.http.ws_connect(f"{house.url}/ws/execution/") as socket:
        if isinstance(said, bytes):
            await socket.send_bytes(said)
        else:
            await socket.send_str(said if isinstance(said, str) else json.dumps(said))
        (told,) = await frames(socket)
        assert told["type"] == "error"
        assert message in told["message"]
        assert await count(house) == 0
        assert (await run(socket, CHAIN))[-1]["success"] is True


async def test_one_request_is_carried_out_after_the_other_and_too_many_are_not_kept(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.http.ws_connect(f"{house.url}/ws/execution") as socket:
        house.bench.image(IMAGE, copies("image", "resized", seconds=5))
        for word in ("one", "two"):
            await socket.send_str(json.dumps({"action": "run", "graph": CHAIN, "inputs": word}))
        assert [(await frames(socket))[-1]["output"] for _ in range(2)] == ["one", "two"]
        house.bench.image(IMAGE, copies("image", "resized", seconds=1e9))
        for _ in range(sockets.MOST_WAITING + 4):
            await socket.send_str(json.dumps({"action": "run", "graph": CHAIN, "inputs": "x"}))
        while (said := await socket.receive(timeout=20)).type is WSMsgType.TEXT:
            pass
        assert socket.close_code == WSCloseCode.TRY_AGAIN_LATER, said


async def test_a_run_goes_on_when_its_client_or_the_server_does_not(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, copies("image", "resized", seconds=60))
        async with house.http.ws_connect(f"{house.url}/ws/execution") as socket:
            await socket.send_str(json.dumps({"action": "run", "graph": CHAIN, "inputs": "x"}))
            await socket.receive(timeout=20)
        await house.bench.until(lambda: not house.bench.engine.driver.live, step=1)
        (line,) = (await house.call("GET", "/api/v1/flow/list"))[1]["Runs"]
        assert line["Status"] == "COMPLETE"
        async with house.http.ws_connect(f"{house.url}/ws/execution") as socket:
            house.closing.set()
            await socket.receive(timeout=20)
            assert socket.close_code == WSCloseCode.GOING_AWAY


# ── Projects ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_graphs_schedule_is_started_and_stopped_with_its_project(tmp_path: Path) -> None:
    config: dict[str, Any] = {"cron_expression": "0 6 * * *", "timezone": "Europe/Berlin", "payload": {"day": "today"}}
    first: dict[str, Any] = {
        "id": "in",
        "type": "input",
        "data": {"trigger_type": "schedule", "schedule_config": config},
    }
    graph = {"graph": a_graph(first, a_container("a"), edges=[("in", "a")])}
    save = "/api/projects/p/pipelines/main"

    async def listed(house: House) -> list[tuple[str, str, bool, Any]]:
        found = (await house.call("GET", "/api/v1/flow/schedules?flow=p/main"))[1]["Schedules"]
        return [(each["Cron"], each["Timezone"], each["Enabled"], each["Input"]) for each in found]

    async with a_house(tmp_path) as house:
        assert (await house.call("POST", "/api/projects", json={"name": "p"}))[0] == 200
        for _ in range(2):
            assert (await house.call("POST", save, json=graph))[0] == 200
            assert await listed(house) == [("0 6 * * *", "Europe/Berlin", False, {"day": "today"})]
        assert (await house.call("GET", "/api/projects/p/runtime/status"))[1]["status"] == "stopped"
        await house.call("POST", "/api/projects/p/runtime/start")
        _, told = await house.call("GET", "/api/projects/p/runtime/status")
        assert (told["status"], told["trigger_type"], told["scheduler_active"]) == ("running", "schedule", True)
        config |= {"cron_expression": "30 7 * * *", "payload": None}
        await house.call("POST", save, json=graph)
        assert await listed(house) == [("30 7 * * *", "Europe/Berlin", True, {})]
        await house.call("POST", "/api/projects/p/runtime/stop")
        assert await listed(house) == [("30 7 * * *", "Europe/Berlin", False, {})]
        first["data"] = {"trigger_type": "manual"}
        await house.call("POST", save, json=graph)
        assert await listed(house) == []


async def test_a_scheduled_run_is_given_its_payload(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.bench.image(IMAGE, copies("image", "resized"))
        await save(house)
        asked = {"Flow": "my-project", "Interval": "240h", "Input": {"day": "today"}}
        status, told = await house.call("POST", "/api/v1/flow/schedules", json=asked)
        assert (status, told["Input"]) == (200, {"day": "today"})
        path = f"{BASE}/runtime/executions"
        house.bench.clock.advance(864_000)
        while not (found := (await house.call("GET", path))[1]["executions"]):
            pass  # every call is a turn of the loop, in which time passes
        assert (await over(house, found[0]["execution_id"]))["result"] == '{"day": "today"}'
        # What does not fit starts none, and says so.
        await save(house, entries=("left", "right"))
        house.bench.clock.advance(864_000)
        while not (told := (await house.call("GET", f"/api/v1/flow/schedules/{told['ID']}"))[1])["LastError"]:
            pass
        assert "left, right" in told["LastError"]
        assert len((await house.call("GET", path))[1]["executions"]) == 1


async def test_more_graphs_than_are_kept_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pupload.domain.namespace.MOST_SKETCHES", 2)
    monkeypatch.setattr("pupload.domain.namespace.MOST_BYTES", 2000)
    async with a_house(tmp_path) as house:
        await house.call("POST", "/api/projects", json={"name": "p"})
        for name, label, status in (
            ("a", "", 200),
            ("b", "", 200),
            ("c", "", 413),
            ("a", "x", 200),
            ("a", "x" * 2000, 413),
        ):
            graph = a_graph({**a_container("n"), "label": label})
            answer = await house.call("POST", f"/api/projects/p/pipelines/{name}", json={"graph": graph})
            assert answer[0] == status, answer
        assert (await house.call("GET", "/api/v1/flow/saved/p%2Fc"))[0] == 404
        assert (await house.call("GET", "/api/projects/p/pipelines/a"))[1]["nodes"][0]["label"] == "x"


async def test_a_flow_of_a_source_is_neither_renamed_nor_deleted_here(tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    (folder / "team").mkdir(parents=True)
    (folder / "team" / "daily.json").write_text(json.dumps(a_job()))
    async with a_house(tmp_path, sources=[Source(name="local", type=Kind.FS, path=str(folder))]) as house:
        await house.call("POST", "/api/v1/flow/sources/local/sync")
        (project,) = listed = (await house.call("GET", "/api/projects"))[1]
        assert project["name"] == "team"
        assert (await house.call("POST", "/api/projects/team/run", json={"input": "a"}))[1]["result"] == "a"
        for method, more in (("PATCH", {"json": {"new_name": "mine"}}), ("DELETE", {})):
            status, told = await house.call(method, "/api/projects/team", **more)
            assert (status, "source local" in told["detail"]) == (409, True)
        graph = {"graph": a_graph(a_container("a"))}
        assert (await house.call("POST", "/api/projects/team/pipelines/daily", json=graph))[0] == 409
        assert (await house.call("GET", "/api/projects"))[1] == listed


# ── Whose it is ──────────────────────────────────────────────────────────────────────────────────────────────────

BODIES: dict[str, Any] = {
    "run": {"input": "x"},
    "async": {"input": "x"},
    "{name}": {"description": "mine"},
    "{pipeline}": {"graph": a_graph(a_container("a"))},
}
"""By the last step of the path."""


async def test_a_project_of_another_is_answered_for_as_one_that_never_was(tmp_path: Path) -> None:
    accounts = {"root": "admin", "anna": "editor", "ben": "editor"}
    async with a_house(tmp_path, accounts=accounts) as house:
        anna, ben = house.shown("anna"), house.shown("ben")
        graph = {"graph": a_graph({"id": "in", "type": "input"}, a_container("a"), edges=[("in", "a.image")])}
        await house.call("POST", "/api/projects", json={"name": "annas"}, headers=anna)
        saved = await house.call("POST", "/api/projects/annas/pipelines/main", json=graph, headers=anna)
        assert saved == (200, {"status": "saved"})
        house.bench.image(IMAGE, lambda order: containers.Outcome())
        _, ran = await house.call("POST", "/api/projects/annas/run", json={"input": "x"}, headers=anna)
        tried = 0
        for route in sorted(routes.ROUTES, key=lambda route: route.method == "DELETE"):
            if "{name}" not in route.path:
                continue
            asked: dict[str, Any] = {}
            if route.method in ("POST", "PATCH"):
                asked = {"json": BODIES.get(route.path.rpartition("/")[2], {})}
            answers = []
            for project, who in (("annas", ben), ("nobody", ben), ("annas", anna)):
                path = route.path.format(name=project, execution_id=ran["execution_id"], pipeline="main")
                status, told = await house.call(route.method, path, headers=who, **asked)
                answers.append((status, str(told).replace(project, "PROJECT")))
            assert answers[0] == answers[1], route.path
            assert answers[0][0] == 404
            assert answers[2][0] != 404, (route.path, answers)
            tried += 1
        assert tried > 10


async def test_no_list_tells_of_another_s_project(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts={"root": "admin", "anna": "editor", "ben": "editor"}) as house:
        anna, ben, root = (house.shown(name) for name in ("anna", "ben", "root"))
        for name, headers in (("annas", anna), ("own", anna), ("own", ben)):
            await house.call("PUT", f"/api/v1/flow/saved/{name}", json=a_job(), headers=headers)
        query = '{ projects { name } project(name: "annas") { name } runtimeStatus(project: "annas") { status } }'
        for headers, names in ((anna, ["annas", "own"]), (ben, ["own"]), (root, ["annas", "own"])):
            listed = (await house.call("GET", "/api/projects", headers=headers))[1]
            assert [each["name"] for each in listed] == names
            told = (await house.call("POST", "/api/graphql", json={"query": query}, headers=headers))[1]["data"]
            assert [each["name"] for each in told["projects"]] == names
            assert (told["project"] is not None) is ("annas" in names)
        run = 'mutation { runPipeline(project: "annas", input: "x") { status result } }'
        told = (await house.call("POST", "/api/graphql", json={"query": run}, headers=ben))[1]["data"]["runPipeline"]
        assert told == {"status": "error", "result": "Pipeline 'main' not found in project 'annas'"}
