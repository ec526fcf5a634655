"""Requests that mean harm are refused soon, with a reason, and nobody else waits for them."""

import asyncio
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from pupload.api import documents, web
from pupload.api.flow import reading, wire
from pupload.domain import validation
from tests.api.house import EXAMPLE, House, a_house

VALIDATE = "/api/v1/flow/validate"

SOON_SECONDS = 1.0


def nodes(count: int, **more: Any) -> dict[str, Any]:
    """An order with so many nodes in a row."""
    row = [
        {
            "ID": f"n{number}",
            "Uses": "pupload/resize",
            "Inputs": [{"Name": "image", "Edge": f"e{number}"}],
            "Outputs": [{"Name": "resized", "Edge": f"e{number + 1}"}],
            **more,
        }
        for number in range(count)
    ]
    return {**EXAMPLE, "Flow": {"Name": "row", "Nodes": row}}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param(b'{"Flow":{"Nodes":[' + b",".join([b"{}"] * 1_000_000) + b"]}}", "1000000 values", id="nodes"),
        pytest.param(b'{"Flow":{"Nodes":[' + b",".join([b"1"] * 100_001) + b"]}}", "100001 entries", id="entries"),
        pytest.param(b'{"Flow":{"Nodes":[' + b",".join([b"1"] * 90_000) + b"]}}", "was not read", id="wrong nodes"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested too deeply", id="nesting"),
        pytest.param(b'{"Flow":{"Timeout":' + b"7" * 1_000_000 + b"}}", "is too large", id="digits"),
        pytest.param(
            b"{" + b",".join(b'"k%d":1' % number for number in range(100_000)) + b',"k99999":1}',
            "twice",
            id="key twice",
        ),
        pytest.param(b'{"Flow":{"Name":"' + b"x" * 4_000_000 + b'\\ud800"}}', "surrogate", id="half a character"),
    ],
)
async def test_a_monster_is_refused_soon(tmp_path: Path, body: bytes, sentence: str) -> None:
    async with a_house(tmp_path) as house:
        await house.call("POST", VALIDATE, json=EXAMPLE)  # what is made once is made
        began = time.process_time()  # ours alone: others use this machine too
        status, said = await house.call("POST", VALIDATE, data=io.BytesIO(body))
        assert time.process_time() - began < SOON_SECONDS
        assert (status, sentence in said["error"]) == (400, True), said["error"][:200]
        assert len(said["error"]) < 10_000


@pytest.mark.parametrize("edge", ["e0", "e1", "e2"], ids=["a cycle", "a cycle and two producers", "an edge to itself"])
async def test_a_flow_that_bites_its_tail_is_refused(tmp_path: Path, edge: str) -> None:
    order = nodes(3)
    order["Flow"]["Nodes"][2]["Outputs"][0]["Edge"] = edge
    async with a_house(tmp_path) as house:
        status, said = await house.call("POST", "/api/v1/flow/test", json=order)
        assert (status, said["error"]) == (400, "invalid flow")
        assert any("cycle" in finding["Description"].lower() for finding in said["Findings"])


async def test_of_a_million_faults_a_thousand_are_told_and_the_others_counted(tmp_path: Path) -> None:
    order = {**EXAMPLE, "Flow": {"Name": "empty", "Nodes": [{}] * 3000}}
    async with a_house(tmp_path) as house:
        status, said = await house.call("POST", VALIDATE, json=order)
        assert (status, said["Valid"], len(said["Findings"])) == (200, False, wire.MAX_FINDINGS)
        assert said["MoreFindings"] >= 3000
        status, refused = await house.call("POST", "/api/v1/flow/test", json=order)
        assert (status, refused["Findings"], refused["MoreFindings"]) == (400, said["Findings"], said["MoreFindings"])


def test_the_search_for_faults_ends() -> None:
    order = wire.read_order({"Flow": {"Nodes": [{}] * 20_000}})
    found = validation.validate(order.flow, order.definitions)
    assert sum(each.is_error for each in found) == validation.MOST_FINDINGS


async def test_many_unknown_fields_are_told_in_a_few_words(tmp_path: Path) -> None:
    odd = {**EXAMPLE, **{f"odd{number}": number for number in range(10_000)}}
    async with a_house(tmp_path) as house:
        _, said = await house.call("POST", VALIDATE, json=odd)
        assert len(said["Warnings"]) == reading.MAX_TOLD + 1
        assert said["Warnings"][-1] == f"and {10_000 - reading.MAX_TOLD} more unknown fields"


async def test_a_wrong_place_far_down_a_long_list_is_named(tmp_path: Path) -> None:
    order = nodes(1001)
    order["Flow"]["Nodes"][777]["Inputs"][0]["Edge"] = 5
    async with a_house(tmp_path) as house:
        status, said = await house.call("POST", VALIDATE, json=order)
        assert (status, [each["Path"] for each in said["Problems"]]) == (400, ["/Flow/Nodes/777/Inputs/0/Edge"])


def test_a_long_list_means_what_a_short_one_does() -> None:
    order = nodes(reading._CHUNK * 2 + 1, Flags=[{"Name": "width", "Value": 1.50}])
    long = wire.read_order(documents.parse_json(json.dumps(order).encode())).flow.nodes
    for number in (0, reading._CHUNK, reading._CHUNK * 2):
        single = {**order, "Flow": {"Nodes": [order["Flow"]["Nodes"][number]]}}
        (short,) = wire.read_order(documents.parse_json(json.dumps(single).encode())).flow.nodes
        assert long[number] == short


async def test_others_are_answered_while_a_large_flow_is_read(tmp_path: Path) -> None:
    body = json.dumps(nodes(10_000)).encode()
    async with a_house(tmp_path) as house:
        large = asyncio.ensure_future(house.call("POST", VALIDATE, data=io.BytesIO(body)))
        answered = 0
        while not large.done():
            assert (await house.call("POST", VALIDATE, json=EXAMPLE))[0] == 200
            answered += 1
        status, said = await large
        assert (status, said["Valid"]) == (200, True)
        # Were it read on the event loop, there would be one before it and one behind.
        assert answered > 5


async def test_of_many_large_bodies_at_once_some_must_come_back(tmp_path: Path) -> None:
    head = b"POST /api/v1/flow/validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n"
    async with a_house(tmp_path) as house:
        held = [await _raw(house, head + b" " * (web.LARGE_BYTES + 1)) for _ in range(web.LARGE_AT_ONCE)]
        status = 0
        while status != 503:  # as soon as the server has read what the others sent
            status, _ = await house.call("POST", VALIDATE, data=b" " * (web.LARGE_BYTES + 1))
        assert (await house.call("POST", VALIDATE, json=EXAMPLE))[0] == 200
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        while status == 503:
            status, _ = await house.call("POST", VALIDATE, data=b" " * (web.LARGE_BYTES + 1))
        assert status == 400


async def _raw(house: House, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = house.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize(
    "head",
    [
        pytest.param("".join(f"X-{number}: 1\r\n" for number in range(10_000)), id="many headers"),
        pytest.param(f"X-Long: {'x' * 100_000}\r\n", id="a long header"),
        pytest.param("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", id="two lengths"),
        pytest.param("Content-Length: -1\r\n", id="a negative length"),
        pytest.param("X-Split\r\n: 1\r\n", id="half a header"),
    ],
)
async def test_a_head_that_is_none_is_refused(tmp_path: Path, head: str) -> None:
    async with a_house(tmp_path) as house:
        request = f"POST {VALIDATE} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n"
        reader, writer = await _raw(house, request.encode())
        assert (await reader.readline()).split()[1] == b"400"
        writer.close()
        assert (await house.call("GET", "/healthz"))[0] == 200


async def test_a_length_beyond_the_limit_is_refused_before_the_body_comes(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        head = f"POST {VALIDATE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n"
        reader, writer = await _raw(house, head.encode())
        assert (await reader.readline()).split()[1] == b"413"
        writer.close()
