"""Bad input of every kind gets its sentence, and leaves nothing stored and nothing running."""

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from pupload.client import Client
from tests.system import flows
from tests.system.server import Server

Json = dict[str, Any]


@asynccontextmanager
async def nothing_comes_of_it(server: Server, client: Client) -> AsyncIterator[None]:
    """As many runs afterwards as before, and containers of no others (other tests' may come and go)."""
    before = await client.list(limit=1000)
    yield
    after = await client.list(limit=1000)
    assert after["Total"] == before["Total"]
    known = {each["ID"] for each in after["Runs"]}
    assert {each["Config"]["Labels"]["pupload.run"] for each in server.containers()} <= known


async def post(server: Server, body: bytes, path: str = "/api/v1/flow/test", **headers: str) -> tuple[int, Json]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(server.url + path, data=body, headers={"Content-Type": "application/json", **headers}) as response,
    ):
        return response.status, await response.json()


# ── What cannot be read ──────────────────────────────────────────────────────────────────────────────────────────

UNREADABLE = [
    (b"", "the body is not JSON: Expecting value (line 1, column 1)"),
    (b'{"Flow": ', "the body is not JSON: Expecting value (line 1, column 10)"),
    (b'{"Flow": {}} x', "the body is not JSON: Extra data (line 1, column 14)"),
    (b'{"Flow": "\xff"}', "the body is not UTF-8 (byte 11)"),
    (b'{"Flow": NaN}', "the body is not JSON: NaN is no number there"),
    (b'{"Flow": {"Name": 1, "Name": 2}}', "the key 'Name' is given twice in one object"),
    (b'{"Flow": {"Name": "x\\u0000"}}', "/Flow/Name has a NUL character in its text"),
    (b'{"Flow": {"Name": "\\ud800"}}', "/Flow/Name has half a character in its text (a lone surrogate)"),
    (b'{"Flow": ' + b"[" * 100 + b"]" * 100 + b"}", "the body is nested too deeply (64 levels at most)"),
    (b"[" * 200_000, "the body is nested too deeply"),
    (b'{"n": 1' + b"0" * 400 + b"}", "the number 1" + "0" * 78 + "… is too large"),
    (b'{"n": 1e999}', "the number 1e999 is too large"),
    (b"[]", "the document must be an object, not a list"),
    (b"null", "the document must be an object, not nothing"),
    (b"{}", "/Flow is required"),
    (b'{"Flow": []}', "/Flow must be an object, not a list"),
    (b'{"Flow": {"Nodes": {}}}', "/Flow/Nodes must be a list, not an object"),
    (b'{"Flow": {"Name": 7}}', "/Flow/Name must be a text, not a number"),
    (b'{"Flow": {"Nodes": [{"ID": ["a"]}]}}', "/Flow/Nodes/0/ID must be a text, not a list"),
    (b'{"Flow": {}, "NodeDefs": [{"MaxAttempts": "3"}]}', "/NodeDefs/0/MaxAttempts must be a whole number, not a text"),
]


@pytest.mark.parametrize(("body", "sentence"), UNREADABLE, ids=[sentence[:40] for _, sentence in UNREADABLE])
async def test_what_cannot_be_read_is_told_with_its_place(
    server: Server, client: Client, body: bytes, sentence: str
) -> None:
    async with nothing_comes_of_it(server, client):
        status, answer = await post(server, body)
    assert (status, answer["error"]) == (400, sentence)


async def test_all_wrong_types_are_told_at_once(server: Server, client: Client) -> None:
    body = b'{"Flow": {"Name": 1, "Nodes": [{"Flags": [{"Name": "f", "Value": {}}]}], "Timeout": false}}'
    async with nothing_comes_of_it(server, client):
        status, answer = await post(server, body)
    assert status == 400
    assert {each["Path"] for each in answer["Problems"]} == {
        "/Flow/Name",
        "/Flow/Nodes/0/Flags/0/Value",
        "/Flow/Timeout",
    }


async def test_a_body_over_the_limit_is_refused_before_it_is_read(own_server: Callable[..., Server]) -> None:
    server = own_server(PUPLOAD_BODY_LIMIT="100000")
    async with server.client() as client, nothing_comes_of_it(server, client):
        order = flows.one("true")
        order["Flow"]["Name"] = "x" * 100_000
        assert await post(server, json.dumps(order).encode()) == (
            413,
            {"error": "the body is larger than this server takes"},
        )
        # It says so even when nobody told the size.
        url = f"{server.url}/api/v1/flow/test"
        async with aiohttp.ClientSession() as session, session.post(url, data=_endless()) as response:
            assert response.status == 413


async def _endless() -> AsyncIterator[bytes]:
    for _ in range(20):
        yield b" " * 65_536


async def test_a_packed_body_is_refused(server: Server, client: Client) -> None:
    async with nothing_comes_of_it(server, client):
        status, _ = await post(server, b"\x1f\x8b", **{"Content-Encoding": "gzip"})
    assert status in (400, 415)


# ── What breaks a rule ───────────────────────────────────────────────────────────────────────────────────────────


def contract() -> Json:
    """The contract's flow, with a definition that declares what it has."""
    declared = {
        "Publisher": "test",
        "Name": "resize",
        "Image": "pupload/resize:latest",
        "Inputs": [{"Name": "image", "Required": True, "Type": ["image/*"]}],
        "Outputs": [{"Name": "resized", "Type": ["image/jpeg"]}],
        "Flags": [{"Name": "width", "Type": "integer", "Required": True}],
    }
    node = flows.a_node("r", "resize", inputs={"image": "in"}, outputs={"resized": "out"}, flags={"width": "8"})
    return flows.an_order([node], [declared])


def _set(path: str, value: Any) -> Callable[[Json], None]:
    *steps, last = path.split("/")[1:]

    def change(order: Json) -> None:
        _at(order, steps)[last] = value

    return change


def _add(path: str, **item: Any) -> Callable[[Json], None]:
    return lambda order: _at(order, path.split("/")).append(item)


def _at(value: Any, steps: list[str]) -> Any:
    for step in steps:
        value = value[int(step) if isinstance(value, list) else step]
    return value


def _cycle(order: Json) -> None:
    node = order["Flow"]["Nodes"][0]
    node["Inputs"][0]["Edge"] = "out"
    order["NodeDefs"][0]["Outputs"][0]["Type"] = ["image/*"]


def _twice(order: Json) -> None:
    order["Flow"]["Nodes"].append(copy.deepcopy(order["Flow"]["Nodes"][0]))


def _two_producers(order: Json) -> None:
    _twice(order)
    order["Flow"]["Nodes"][1]["ID"] = "other"


def _two_definitions(order: Json) -> None:
    order["NodeDefs"].append(order["NodeDefs"][0])


def _well(**fields: Any) -> Callable[[Json], None]:
    return _wells(fields)


def _wells(*wells: Json) -> Callable[[Json], None]:
    return _set("/Flow/DataWells", list(wells))


def _store(**fields: Any) -> Callable[[Json], None]:
    return _set("/Flow/Stores", [fields])


RULES: list[tuple[str, str, Callable[[Json], None]]] = [
    ("FLOW_002", "Flow has no nodes, nothing to execute", _set("/Flow/Nodes", [])),
    ("FLOW_001", "Flow has a cycle, which would cause infinite execution", _cycle),
    ("FLOW_003", 'Flow timeout "soon" is not a valid duration', _set("/Flow/Timeout", "soon")),
    ("NODE_001", "Definition test/nothing not found (node r)", _set("/Flow/Nodes/0/Uses", "test/nothing")),
    ("NODE_002", "Node r missing required input image", _set("/Flow/Nodes/0/Inputs", [])),
    ("NODE_004", "Node r uses invalid tier c-huge", _set("/NodeDefs/0/Tier", "c-huge")),
    ("NODE_005", "Node r missing required flag width", _set("/Flow/Nodes/0/Flags", [])),
    ("NODE_006", "Node r has unknown flag depth", _add("Flow/Nodes/0/Flags", Name="depth", Value="1")),
    ("NODE_007", "Node ID r is used more than once", _twice),
    ("NODE_008", "Node missing ID", _set("/Flow/Nodes/0/ID", "")),
    ("NODE_009", "Node r has unknown input mask", _add("Flow/Nodes/0/Inputs", Name="mask", Edge="m")),
    ("NODE_010", "Node r has unknown output log", _add("Flow/Nodes/0/Outputs", Name="log", Edge="l")),
    ("NODE_011", "Node ID ../r cannot be used", _set("/Flow/Nodes/0/ID", "../r")),
    ("NODE_012", "Definition test/resize is given more than once", _two_definitions),
    ("NODE_013", "Definition test/resize has invalid image --privileged", _set("/NodeDefs/0/Image", "--privileged")),
    ("NODE_014", "Node r can never run here: tier gn-small needs", _set("/NodeDefs/0/Tier", "gn-small")),
    ("NODE_015", "Flag width of node r has invalid value wide", _set("/Flow/Nodes/0/Flags/0/Value", "wide")),
    ("NODE_016", 'Node r timeout "-1s" is not a valid duration', _set("/Flow/Nodes/0/Timeout", "-1s")),
    ("NODE_017", "Definition test/resize has invalid retry", _set("/NodeDefs/0/Retry", {"OnExitCodes": [256]})),
    ("NODE_018", "Definition test/resize has invalid network host", _set("/NodeDefs/0/Network", "host")),
    ("POLICY_002", "Definition test/resize asks for network bridge", _set("/NodeDefs/0/Network", "bridge")),
    ("NODE_019", "Definition test/resize has invalid transfer pigeon", _set("/NodeDefs/0/Transfer", "pigeon")),
    ("NODE_020", "Definition test/resize has an invalid command", _set("/NodeDefs/0/Command", {"Exec": "a 'b"})),
    ("NODE_021", "names unknown variable ${depth}", _set("/NodeDefs/0/Command", {"Exec": "a ${depth}"})),
    ("NODE_022", "Node r sets flag width more than once", _add("Flow/Nodes/0/Flags", Name="width", Value="9")),
    ("NODE_023", "invalid name a/b", _add("NodeDefs/0/Flags", Name="a/b")),
    ("NODE_024", "Flag n of definition test/resize", _add("NodeDefs/0/Flags", Name="n", Type="integer", Default="x")),
    ("NODE_025", "which cannot be told apart", _add("NodeDefs/0/Flags", Name="WIDTH")),
    ("NODE_026", "Definition test/resize has invalid user root", _set("/NodeDefs/0/User", "root")),
    ("EDGE_001", "Edge in not bound to any output", _well(Edge="in", Store="default")),
    ("EDGE_005", "Edge name ../x cannot be used", _set("/Flow/Nodes/0/Inputs/0/Edge", "../x")),
    ("EDGE_006", "Edge out has more than one producer", _two_producers),
    ("TYPE_001", "nonsense", _set("/NodeDefs/0/Inputs/0/Type", ["nonsense"])),
    ("WELL_001", "Source ftp is not a valid datawell source (datawell with edge in)", _well(Edge="in", Source="ftp")),
    ("WELL_002", "datawell has edge else, but edge is not used in nodes", _well(Edge="else", Source="upload")),
    ("WELL_003", "Datawell edge in is used more than once", _wells({"Edge": "in", "Source": "upload"}, {"Edge": "in"})),
    ("WELL_004", "Datawell references nonexistant store attic", _well(Edge="in", Source="upload", Store="attic")),
    ("WELL_005", "Unknown variable ${NOW} in key template", _well(Edge="in", Source="upload", Key="${NOW}")),
    ("WELL_006", "Datawell on edge in set to static, but no key is provided", _well(Edge="in", Source="static")),
    ("WELL_007", "uses key variable RUN_ID", _well(Edge="in", Source="static", Key="a-${RUN_ID}")),
    ("WELL_008", 'has static key "a"', _well(Edge="in", Source="upload", Key="a")),
    ("STORE_002", "Store s has invalid type", _store(Name="s", Type="ftp")),
    ("STORE_003", "Store s has invalid params", _store(Name="s", Type="s3", Params={"Hurry": True})),
    ("STORE_006", "Store name default cannot be used", _store(Name="default", Type="local")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "sentence", "change"), RULES, ids=[f"{rule[0]} {rule[1][:30]}" for rule in RULES])
async def test_a_flow_that_breaks_a_rule_is_refused_with_its_finding(
    server: Server, client: Client, code: str, sentence: str, change: Callable[[Json], None]
) -> None:
    order = contract()
    change(order)
    async with nothing_comes_of_it(server, client):
        status, answer = await post(server, json.dumps(order).encode())
        checked = await client.validate(order)
    assert (status, answer["error"]) == (400, "invalid flow")
    found = [each for each in answer["Findings"] if each["Code"] == code and sentence in each["Description"]]
    assert found, answer["Findings"]
    assert all(each["Path"].startswith(("/Flow", "/NodeDefs")) for each in found)
    assert (checked["Valid"], checked["Findings"]) == (False, answer["Findings"])


async def test_the_flow_that_all_these_change_is_valid(client: Client) -> None:
    assert await client.validate(contract()) == {"Valid": True, "Findings": [], "Warnings": []}


async def test_every_fault_is_told_at_once(server: Server, client: Client) -> None:
    order = contract()
    for change in (_two_producers, _set("/NodeDefs/0/Tier", "c-huge"), _well(Edge="in", Source="ftp")):
        change(order)
    async with nothing_comes_of_it(server, client):
        _, answer = await post(server, json.dumps(order).encode())
    assert {each["Code"] for each in answer["Findings"]} >= {"EDGE_006", "NODE_004", "WELL_001"}


async def test_an_unknown_field_is_a_warning_and_never_dropped_in_silence(client: Client) -> None:
    order = flows.one("true", Priviledged=True)
    order["Flow"]["Colour"] = "red"
    run = await flows.finish(client, order)
    assert run["Status"] == "COMPLETE"
    assert run["Warnings"] == ["unknown field /Flow/Colour", "unknown field /NodeDefs/0/Priviledged"]


# ── Other routes ─────────────────────────────────────────────────────────────────────────────────────────────────

NO_RUN = "run_01HZX3K9T8Q2B7M4N6P5R1S0VW"


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nothing", 404, "there is nothing here"),
        ("GET", "/api/v1/flow/test", 405, "does not take that method"),
        ("DELETE", f"/api/v1/flow/status/{NO_RUN}", 405, "does not take that method"),
        ("POST", f"/api/v1/flow/cancel/{NO_RUN}", 400, "Flow run does not exist."),
        ("POST", f"/api/v1/flow/resume/{NO_RUN}", 400, "Flow run does not exist."),
        ("GET", f"/api/v1/flow/logs/{NO_RUN}", 400, "Flow run does not exist."),
        ("GET", f"/api/v1/flow/events/{NO_RUN}", 400, "Flow run does not exist."),
        ("POST", f"/api/v1/upload/{NO_RUN}/in", 400, "Flow run does not exist."),
        ("POST", f"/api/v1/upload/{NO_RUN}/in/complete", 400, "Flow run does not exist."),
        ("GET", "/api/v1/flow/list?status=HAPPY", 400, "status must be one of"),
        ("GET", "/api/v1/flow/list?limit=0", 400, "limit"),
        ("GET", "/api/v1/flow/list?limit=many", 400, "limit"),
        ("GET", "/api/v1/flow/list?offset=-1", 400, "offset"),
        ("GET", "/api/v1/project/nonsense", 400, "invalid project id"),
        ("GET", "/api/v1/project/0190a5a0-0000-7000-8000-000000000000", 404, "does not exist"),
    ],
)
async def test_other_routes_say_no_in_words(server: Server, method: str, path: str, status: int, words: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, server.url + path, allow_redirects=False) as response,
    ):
        assert (response.status, words in await response.text()) == (status, True), await response.text()


async def test_an_upload_for_an_edge_that_does_not_wait_is_refused(server: Server, client: Client) -> None:
    run = await client.start(flows.copying())
    status, answer = await post(server, b"{}", f"/api/v1/upload/{run['ID']}/here")
    assert (status, answer["error"].startswith(f"Edge here of run {run['ID']} does not wait for an upload")) == (
        409,
        True,
    )
    status, answer = await post(server, b'{"Size": -1}', f"/api/v1/upload/{run['ID']}/there")
    assert status == 400
    await client.cancel(run["ID"])
    await client.wait(run["ID"])
    status, answer = await post(server, b"{}", f"/api/v1/upload/{run['ID']}/there")
    assert status == 409


async def test_slow_and_broken_requests_do_not_keep_others_waiting(server: Server, client: Client) -> None:
    head = (
        b"POST /api/v1/flow/test HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    lines = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(50)]
    for _, writer in lines:
        writer.write(head)
        await writer.drain()
    async with nothing_comes_of_it(server, client):
        assert (await client.health())["status"] == "ok"
        for _, writer in lines:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize(
    "bytes_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00" + bytes(200),
        b"GET /?token=" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost",
        b"GET * HTTP/1.1\r\nHost: localhost",
        b"POST /api/v1/flow/test HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"\r\n".join(b"X-%d: y" % n for n in range(5000)),
    ],
    ids=["TLS", "a long URL", "no URL", "two lengths", "many headers"],
)
async def test_what_is_no_http_is_a_400_and_leaves_no_trace_in_the_log(server: Server, bytes_: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(bytes_ + b"\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"400"
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
