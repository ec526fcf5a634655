"""
A store that is full, slow or crowded says so, and what it has stays whole.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.adapters.s3.embedded.conftest import Start
from tests.adapters.s3.embedded.process import BUCKET, MODULE, Server

MIB = 1 << 20
PATH = f"/{BUCKET}/key"


def begin_put(server: Server, key: str, body: bytes, *, length: int) -> socket.socket:
    """A PUT whose body stalls after `body`."""
    host, port = server.address.split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    target = server.presign("PUT", key).removeprefix(server.url)
    head = f"PUT {target} HTTP/1.1\r\nHost: {server.address}\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


@pytest.fixture(scope="module")
def narrow() -> Iterator[Server]:
    """A store with hardly any room: one body at a time, a megabyte in all. Every test leaves it empty."""
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    sizes = ("--max-object", "800000", "--max-total", str(MIB))
    server = Server(folder / "data", folder / "control", *sizes, "--max-bodies", "1", "--wait", "0.3", "--stall", "2")
    yield server
    server.kill()
    shutil.rmtree(folder)


def test_an_object_above_the_limit_is_refused(narrow: Server) -> None:
    assert narrow.call("PUT", PATH, body=b"x" * 800_001).code == "EntityTooLarge"
    assert narrow.call("PUT", PATH, body=b"x" * 800_000).status == 200
    assert narrow.call("DELETE", PATH).status == 204


def test_all_together_stay_below_the_limit(narrow: Server, tmp_path: Path) -> None:
    server = narrow
    assert server.call("PUT", PATH, body=b"x" * 700_000).status == 200
    for path in (f"{PATH}-2", PATH):
        reply = server.call("PUT", path, body=b"y" * 400_000)
        assert (reply.status, reply.code) == (507, "InsufficientStorage")
    copied = server.call("PUT", f"{PATH}-2", headers={"x-amz-copy-source": PATH})
    assert copied.status == 507
    file = tmp_path / "file"
    file.write_bytes(b"z" * 400_000)
    order = {"bucket": BUCKET, "key": "z", "path": str(file), "content_type": "a/b"}
    assert server.control("POST", "/adopt", order)[0] == 507
    assert file.read_bytes() == b"z" * 400_000
    assert server.call("GET", PATH).body == b"x" * 700_000
    server.call("DELETE", PATH)
    assert server.call("PUT", PATH, body=b"y" * 400_000).status == 200
    assert server.control("POST", "/adopt", order)[0] == 200
    for path in (PATH, f"/{BUCKET}/z"):
        server.call("DELETE", path)


def test_some_of_the_disk_is_left_for_others(start: Start) -> None:
    server = start("--min-free", str(1 << 60))
    reply = server.call("PUT", PATH, body=b"x")
    assert (reply.status, reply.code) == (507, "InsufficientStorage")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("watermark", ["1000000", "-1000000000"], ids=["foreseen", "by the kernel"])
def test_a_full_disk_is_said_to_be_full_and_nothing_is_lost(start: Start, small_disk: Path, watermark: str) -> None:
    server = start(f"--min-free={watermark}", data=small_disk / "data")
    first, second = os.urandom(4 * MIB), os.urandom(4 * MIB)
    assert server.call("PUT", PATH, body=first).status == 200
    for path in (PATH, f"{PATH}-2"):
        reply = server.call("PUT", path, body=second)
        assert (reply.status, reply.code) == (507, "InsufficientStorage")
    assert len(server.blobs()) == 1
    assert server.call("GET", PATH).body == first
    assert server.call("DELETE", PATH).status == 204
    server.until(lambda: not server.blobs())
    assert server.call("PUT", f"{PATH}-2", body=second).status == 200


def test_an_index_that_cannot_grow_refuses_and_goes_on(start: Start, small_disk: Path) -> None:
    server = start("--min-free=-1000000000", data=small_disk / "data")
    assert server.call("PUT", PATH, body=b"kept").status == 200
    junk = small_disk / "junk"
    with junk.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    refused = 0
    for number in range(300):
        reply = server.call("PUT", f"{PATH}-{number}", body=b"y" * 30_000)
        if reply.status != 200:
            assert (reply.status, reply.code) == (507, "InsufficientStorage")
            refused += 1
            break
    assert refused
    assert server.call("GET", PATH).body == b"kept"
    junk.unlink()
    assert server.call("PUT", PATH, body=b"again").status == 200
    assert server.call("GET", PATH).body == b"again"


def test_a_body_that_stalls_is_cut_off(narrow: Server) -> None:
    with begin_put(narrow, "stalled", b"x" * 100, length=500_000) as connection:
        assert b"RequestTimeout" in connection.recv(4096)
    assert narrow.call("HEAD", f"/{BUCKET}/stalled").status == 404
    narrow.until(lambda: not narrow.blobs())


def test_a_client_that_goes_away_leaves_nothing(narrow: Server) -> None:
    begin_put(narrow, "gone", b"x" * 200_000, length=500_000).close()
    # There is one place: when this one has it, the other is gone.
    narrow.until(lambda: narrow.call("PUT", PATH, body=b"y" * 100_000).status == 200)
    assert narrow.call("HEAD", f"/{BUCKET}/gone").status == 404
    narrow.until(lambda: narrow.sizes() == [100_000])
    assert narrow.call("DELETE", PATH).status == 204


def test_too_many_bodies_at_once_are_told_to_slow_down(narrow: Server) -> None:
    narrow.until(lambda: not narrow.blobs())
    with begin_put(narrow, "first", b"x" * 100, length=500_000):
        # It holds the only place once it has its blob.
        narrow.until(lambda: bool(narrow.blobs()))
        reply = narrow.call("PUT", PATH, body=b"y" * 100_000)
        assert (reply.status, reply.code) == (503, "SlowDown")
        # What fits into a row needs no place.
        assert narrow.call("PUT", f"{PATH}-2", body=b"z").status == 200
    narrow.call("DELETE", f"{PATH}-2")


def test_memory_stays_flat(server: Server, key: str, tmp_path: Path) -> None:
    before = server.memory_bytes("VmRSS")
    # From here on the most so far is counted anew.
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(256 * MIB)
    subprocess.run(["curl", "-sSf", "-T", large, server.presign("PUT", key)], check=True, timeout=60)
    subprocess.run(["curl", "-sSf", "-o", "/dev/null", server.presign("GET", key)], check=True, timeout=60)
    assert server.memory_bytes("VmHWM") - before < 32 * MIB
    server.call("DELETE", f"/{BUCKET}/{key}")


FEW_FILES = (
    "import resource, runpy; "
    "resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160)); "
    f"runpy.run_module('{MODULE}', run_name='__main__')"
)


def test_a_crowd_of_connections_takes_no_file_that_is_needed(tmp_path: Path) -> None:
    """F45: a connection too many is turned away; what is there goes on being served."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(tmp_path / "data", Path(folder) / "control", start=("-c", FEW_FILES))
        host, port = server.address.split(":")
        first = socket.create_connection((host, int(port)), timeout=20)
        crowd = [socket.create_connection((host, int(port)), timeout=20) for _ in range(200)]
        try:
            first.sendall(f"GET / HTTP/1.1\r\nHost: {server.address}\r\n\r\n".encode())
            assert first.recv(64).startswith(b"HTTP/1.1 403 ")
            answered = b""
            with suppress(ConnectionError):
                while more := crowd[-1].recv(4096):
                    answered += more
            assert b"SlowDown" in answered
        finally:
            for connection in (first, *crowd):
                connection.close()
            server.stop()
        assert "Traceback" not in server.log()
