"""
What users, and those who are none, put to the URLs they were given: half of it, too much, something else, a bomb.

That a later PUT changes nothing is in tests/system/test_runs.py, what is no output of a node in
tests/system/test_containers.py.
"""

import asyncio
import gzip
import io
import json
import os
import socket
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from pupload.client import Client
from tests.adapters.s3.embedded import process
from tests.faults import store_proxy
from tests.faults.in_parts import PART_BYTES
from tests.faults.test_store import ended_well, kept_far
from tests.system import flows
from tests.system.conftest import only_here
from tests.system.server import Server
from tests.system.test_stores import BUCKET, boto

Json = dict[str, Any]

LIMIT = 1000


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes uploads of up to `LIMIT` bytes."""
    with only_here(tmp_path_factory.mktemp("narrow"), PUPLOAD_MAX_UPLOAD_BYTES=str(LIMIT)) as made:
        yield made


def url_of(run: Json) -> str:
    """Where its only upload is put."""
    url: str = run["WaitingURLs"][0]["PutURL"]
    return url


def begin_put(url: str, sent: bytes, *headers: str) -> socket.socket:
    """A connection on which a PUT with these headers was begun."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
    lines = [f"PUT {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode() + sent)
    return connection


def answer_of(connection: socket.socket) -> str:
    """The first line of the answer; empty where there is none."""
    with closing(connection), connection.makefile("rb") as answer:
        return answer.readline().decode().strip()


def uploads_in(server: Server) -> list[str]:
    """The keys under which something was put and is there."""
    return [each["Key"] for each in boto(server).list_objects_v2(Bucket=BUCKET, Prefix="uploads/").get("Contents", [])]


async def kinds(client: Client, run: Json) -> set[str]:
    """Of all events of the run."""
    return {event.kind async for event in client.events(run["ID"])}


# ── F32: half of it ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_f32_half_an_upload_when_the_server_dies(own_server: Callable[..., Server]) -> None:
    """F32: the PUT fails wholly; the same URL works after the restart, and nothing is half there."""
    server = own_server()
    async with server.client() as client:
        run = await client.start(flows.copying())
    connection = await asyncio.to_thread(begin_put, url_of(run), b"x" * 300_000, "Content-Length: 600000")
    server.kill()
    assert await asyncio.to_thread(_is_cut, connection)
    await asyncio.to_thread(server.start)
    async with server.client() as client:
        assert (await client.status(run["ID"]))["Status"] == "WAITING"
        assert uploads_in(server) == []
        assert await flows.put(run, "there", b"y" * 600_000) == 200
        assert await flows.get(await ended_well(client, run), "here") == b"y" * 600_000
    assert not [
        path for path in (server.data / "store").rglob("*") if path.is_file() and path.stat().st_size == 300_000
    ]


def _is_cut(connection: socket.socket) -> bool:
    with closing(connection):
        try:
            return connection.recv(4096) == b""
        except ConnectionResetError:
            return True


async def test_f32_parts_go_on_after_a_restart(own_server: Callable[..., Server]) -> None:
    """F32: some parts, the server dies, single parts get new URLs: what is there is not sent again."""
    server = own_server()
    server.stop()
    server.program = (str(Path(__file__).with_name("in_parts.py")),)
    await asyncio.to_thread(server.start)
    content = os.urandom(2 * PART_BYTES + 1000)
    async with server.client() as client:
        run = await client.start(flows.copying())
        plan = await _plan(server, run, len(content))
        assert [part["Size"] for part in plan["Parts"]] == [PART_BYTES, PART_BYTES, 1000]
        await _put_part(plan, 2, content)
    server.kill()
    await asyncio.to_thread(server.start)
    async with server.client() as client:
        again = await _plan(server, run, len(content))
        assert (again["UploadID"], [part["Number"] for part in again["Received"]]) == (plan["UploadID"], [2])
        for number in (1, 3):
            await _put_part(again, number, content)
        place = f"{server.url}/api/v1/upload/{run['ID']}/there/complete"
        joined = {"UploadID": again["UploadID"]}
        async with aiohttp.ClientSession() as session, session.post(place, json=joined) as answer:
            assert answer.status == 200, await answer.text()
        assert await flows.get(await ended_well(client, run), "here") == content
    assert not boto(server).list_multipart_uploads(Bucket=BUCKET).get("Uploads")


async def _plan(server: Server, run: Json, size: int) -> Json:
    place = f"{server.url}/api/v1/upload/{run['ID']}/there"
    async with aiohttp.ClientSession() as session, session.post(place, json={"Size": size}) as answer:
        found: Json = json.loads(await answer.text())
        return found


async def _put_part(plan: Json, number: int, content: bytes) -> None:
    start = (number - 1) * plan["PartSize"]
    (part,) = [each for each in plan["Parts"] if each["Number"] == number]
    body = io.BytesIO(content[start : start + part["Size"]])
    async with aiohttp.ClientSession() as session, session.put(part["PutURL"], data=body) as answer:
        assert answer.status == 200, await answer.text()


@pytest.mark.parametrize("broken", [False, True])
async def test_f32_a_nodes_output_goes_in_parts(own_server: Callable[..., Server], broken: bool) -> None:
    """F32: above what one PUT takes a result goes to its store in parts; where that breaks off, none are left."""
    server = own_server()
    server.stop()
    server.program = (str(Path(__file__).with_name("in_parts.py")),)
    await asyncio.to_thread(server.start)
    size = 2 * PART_BYTES + 1000
    script = f'head -c {size} /dev/urandom > "$OUTPUT_OUT"'
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        far = await asyncio.to_thread(process.Server, Path(folder) / "data", Path(folder) / "control")
        with store_proxy.opened(far.address) as proxy:
            if broken:
                proxy.now(store_proxy.refuses_part(2))
            order = kept_far(
                flows.an_order([flows.a_node("step", outputs={"out": "here"})], [flows.a_script("step", script)]),
                proxy,
                far,
                "here",
            )
            async with server.client() as client:
                run = await client.start(order)
                if broken:
                    await flows.until_event(client, run, "attempt.failed")
                    await client.cancel(run["ID"])
                    await client.wait(run["ID"])
                else:
                    done = await ended_well(client, run)
                    assert done["Artifacts"]["here"]["Size"] == size
            parts = [path for method, path, _ in proxy.asked if method == "PUT" and path.endswith("/here")]
            assert len(parts) == 3 or broken
        s3 = far.boto()
        assert not s3.list_multipart_uploads(Bucket=process.BUCKET).get("Uploads")
        assert s3.list_objects_v2(Bucket=process.BUCKET)["KeyCount"] == (0 if broken else 1)
        s3.close()
        assert await asyncio.to_thread(far.stop) == 0


# ── F33: URLs ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_f33_a_url_serves_one_end(server: Server, client: Client) -> None:
    """F33: a URL to put gets nothing, one to get puts nothing, a run's is no other's; refusals tell no secret."""
    one, other = await client.start(flows.copying()), await client.start(flows.copying())
    url = url_of(one)
    assert await flows.put(one, "there", b"mine") == 200
    done = await client.wait(one["ID"])
    get = done["Artifacts"]["here"]["GetURL"]
    bad = [
        ("GET", url, "SignatureDoesNotMatch"),
        ("HEAD", url, ""),
        ("DELETE", url, "SignatureDoesNotMatch"),
        ("PUT", get, "SignatureDoesNotMatch"),
        ("PUT", url.replace(one["ID"], other["ID"]), "SignatureDoesNotMatch"),
        ("PUT", url.replace("X-Amz-Expires=", "X-Amz-Expires=1"), "SignatureDoesNotMatch"),
        ("PUT", url.partition("?")[0], "AccessDenied"),
    ]
    async with aiohttp.ClientSession() as session:
        for method, target, code in bad:
            async with session.request(method, target, data=b"evil" if method == "PUT" else None) as answer:
                said = await answer.text()
            assert (answer.status, code in said) == (403, True), (method, target, said)
            assert server.credentials["secret_key"] not in said
            assert "X-Amz-Signature=" not in said
    assert (await client.status(other["ID"]))["Status"] == "WAITING"
    assert await flows.get(done, "here") == b"mine"
    await client.cancel(other["ID"])
    await client.wait(other["ID"])


# ── F34: sizes ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, LIMIT])
async def test_f34_up_to_the_limit_it_is_taken(narrow: Server, size: int) -> None:
    """F34: no bytes are an upload as well."""
    async with narrow.client() as client:
        done = await flows.finish(client, flows.copying(), there=b"x" * size)
        assert (done["Status"], await flows.get(done, "here")) == ("COMPLETE", b"x" * size)


async def test_f34_one_byte_more_is_refused_before_any_container(narrow: Server) -> None:
    """F34: the run says why, and what was put is gone."""
    async with narrow.client() as client:
        done = await flows.finish(client, flows.copying(), there=b"x" * (LIMIT + 1))
        assert done["Status"] == "ERROR"
        assert f"larger than the limit of {LIMIT}" in done["Error"]
        assert "node.started" not in await kinds(client, done)
        run = await client.start(flows.copying())
        place = f"{narrow.url}/api/v1/upload/{run['ID']}/there"
        async with aiohttp.ClientSession() as session, session.post(place, json={"Size": LIMIT + 1}) as answer:
            assert answer.status == 413
        await client.cancel(run["ID"])
        await client.wait(run["ID"])


@pytest.mark.parametrize(
    ("headers", "sent", "status"),
    [
        (["Content-Length: 500"], b"x" * 100, ""),
        (["Content-Length: 100"], b"x" * 500, "400"),
        (["Content-Length: -1"], b"x", "400"),
        (["Content-Length: 5", "Content-Length: 6"], b"xxxxx", "400"),
        (["Content-Length: 99999999999999"], b"x", "4"),
        ([], b"", "411"),
        (["Transfer-Encoding: chunked"], b"3\r\nabc\r\n0\r\n\r\n", "411"),
    ],
)
async def test_f34_a_length_that_lies(
    server: Server, client: Client, headers: list[str], sent: bytes, status: str
) -> None:
    """F34: whatever is not as long as it says is refused, and nothing of it is there."""
    run = await client.start(flows.copying())
    connection = await asyncio.to_thread(begin_put, url_of(run), sent, *headers)
    if not status:
        connection.shutdown(socket.SHUT_WR)
    line = await asyncio.to_thread(answer_of, connection)
    assert line.partition(" ")[2].startswith(status or ("400" if line else "")), line
    assert (await client.status(run["ID"]))["Status"] == "WAITING"
    assert not [key for key in uploads_in(server) if run["ID"] in key]
    await client.cancel(run["ID"])
    await client.wait(run["ID"])


# ── F35: something else ──────────────────────────────────────────────────────────────────────────────────────────


def a_zip(content: bytes = b"words") -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", content)
    return held.getvalue()


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

WRONG = {
    "a page by the name of a picture": (b"<!DOCTYPE html><html><script>alert(1)</script></html>", "image/jpeg"),
    "a script": (b"#!/bin/sh\nrm -rf /\n", "image/*"),
    "a picture with a script": (SVG, "image/png"),
    "a GIF that is a script": (b"GIF89a/*" + b"\0" * 40 + b"*/=1;alert(1)", "image/png"),
    "a PDF with a zip behind it": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + a_zip(), "application/zip"),
    "a zip with a PDF in it": (a_zip(b"%PDF-1.7"), "application/pdf"),
    "a program": (b"\x7fELF\x02\x01\x01" + b"\0" * 57, "video/*"),
    "nothing": (b"", "image/*"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_f35_what_is_not_of_its_type_meets_no_container(client: Client, case: str) -> None:
    """F35: the first bytes decide, whatever a name or a header says, and one file has one type."""
    content, wanted = WRONG[case]
    ports: Json = {"Inputs": [{"Name": "in", "Type": [wanted]}], "Outputs": [{"Name": "out"}]}
    done = await flows.finish(client, flows.copying(**ports), there=content)
    assert done["Status"] == "ERROR"
    assert wanted in done["Error"]
    assert not {"node.started", "node.admitted"} & await kinds(client, done)


async def test_f35_no_artifact_is_shown_as_a_page(client: Client) -> None:
    """F35: what scripts it may hold run nowhere: browsers save it, guess no type, and are told to run nothing."""
    done = await flows.finish(client, flows.copying(), there=SVG)
    for edge in ("there", "here"):
        async with aiohttp.ClientSession() as session, session.get(done["Artifacts"][edge]["GetURL"]) as answer:
            assert await answer.read() == SVG
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "script-src 'none'" in answer.headers["Content-Security-Policy"]


# ── F36: bombs ───────────────────────────────────────────────────────────────────────────────────────────────────


def a_png_bomb(side: int = 65_535) -> bytes:
    """A picture of four thousand million pixels, in little."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + b"\x01\0\0\0\0"
    rows = zlib.compress(b"\0" * 1_000_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(12))
    + b']><svg xmlns="http://www.w3.org/2000/svg"><text>&m;</text></svg>'
)

BOMBS = {
    "gzip": gzip.compress(b"\0" * 50_000_000),
    "gzip in gzip": gzip.compress(gzip.compress(b"\0" * 50_000_000)),
    "zip": a_zip(b"\0" * 50_000_000),
    "zip in zip": a_zip(a_zip(b"\0" * 50_000_000)),
    "picture": a_png_bomb(),
    "billion laughs": LAUGHS,
}

TOLD = {"gzip": "unpacks to", "zip": "unpacks to", "picture": "(max_pixels)"}
"""Those that are told by what they say of themselves, and how."""


@pytest.mark.parametrize("bomb", BOMBS)
async def test_f36_the_server_unpacks_nothing(server: Server, client: Client, bomb: str) -> None:
    """F36: what it would become costs the server nothing; what can be told to be a bomb goes no further than that."""
    before = peak_bytes(server)
    done = await flows.finish(client, flows.copying(), there=BOMBS[bomb])
    if bomb in TOLD:
        assert (done["Status"], done["NodeState"]["step"]["StartedAt"]) == ("ERROR", None)
        assert TOLD[bomb] in done["Error"]
    else:
        assert (done["Status"], await flows.get(done, "here")) == ("COMPLETE", BOMBS[bomb])
    assert peak_bytes(server) - before < 25_000_000


def peak_bytes(server: Server) -> int:
    """The most memory that the server or its store ever had."""
    assert server.process is not None
    fields = [Path(f"/proc/{pid}/status").read_text() for pid in (server.process.pid, *server.store_pids())]
    return max(int(each.partition("VmHWM:")[2].split()[0]) * 1024 for each in fields)


async def test_f36_a_node_that_unpacks_one_meets_its_limits(client: Client) -> None:
    """F36: its own memory ends it, and nobody else notices. That its storage has an end is shown in test_greed.py."""
    order = flows.copying('set -e; exec > /tmp/unpacked; while true; do gunzip -c < "$INPUT_IN"; done')
    other = await client.start(flows.copying(flows.COPY))
    done = await flows.finish(client, order, there=BOMBS["gzip"])
    assert done["Status"] == "ERROR"
    assert await flows.put(other, "there", b"unharmed") == 200
    assert await flows.get(await ended_well(client, other), "here") == b"unharmed"


# ── F37: archives ────────────────────────────────────────────────────────────────────────────────────────────────


def an_evil_tar(outside: Path) -> bytes:
    """Everything that ever got out of an archive's folder."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:

        def add(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> None:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, link, mode
            content = b"evil" if kind == tarfile.REGTYPE else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

        add("../" * 12 + str(outside / "by dots").lstrip("/"))
        add(str(outside / "by root"))
        add("way", tarfile.SYMTYPE, str(outside))
        add("way/by link")
        add("up", tarfile.SYMTYPE, "../../../..")
        add("up/by link upwards")
        add("passwd", tarfile.LNKTYPE, "/etc/passwd")
        add("device", tarfile.CHRTYPE)
        add("pipe", tarfile.FIFOTYPE)
        add("root", mode=0o4755)
        add("CASE")
        add("case")
        add("ends")
    return held.getvalue()


async def test_f37_an_archive_that_reaches_out_touches_nothing(server: Server, client: Client, tmp_path: Path) -> None:
    """F37: a node unpacks it wherever it wants: all of it stays inside, and goes with the attempt."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    script = """
        for d in /pupload/out /tmp; do
            cd $d
            tar -xf "$INPUT_IN" -C $d || echo stopped
            for name in $(tar -tf "$INPUT_IN"); do tar -xf "$INPUT_IN" -C $d "$name" 2>/dev/null; done
        done
        cat "$INPUT_IN" > "$OUTPUT_OUT"
    """
    archive = an_evil_tar(outside)
    done = await flows.finish(client, flows.copying(script), there=archive)
    assert done["Status"] == "COMPLETE", done["Error"]
    assert await flows.get(done, "here") == archive
    assert list(outside.iterdir()) == []
    for _ in range(600):
        if not list((server.data / "attempts").glob(f"{done['ID']}*")):
            break
        await asyncio.sleep(0.05)  # nobody is told of it
    assert not list((server.data / "attempts").glob(f"{done['ID']}*"))
