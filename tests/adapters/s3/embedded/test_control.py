"""
The engine's door: arrivals, seals, links, adoption.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pupload.adapters.s3.embedded import arrivals, rows
from pupload.adapters.s3.embedded.conditions import Conditions
from pupload.adapters.s3.embedded.index import Index
from tests.adapters.s3.embedded.conftest import Start
from tests.adapters.s3.embedded.process import BUCKET, Server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@pytest.fixture
def folder(server: Server) -> Iterator[Path]:
    """On the store's own file system."""
    made = Path(tempfile.mkdtemp(dir=server.data.parent))
    yield made
    shutil.rmtree(made)


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


# ── Arrivals ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_arrivals_come_as_they_are_committed(server: Server, s3: "S3Client", key: str) -> None:
    name = f"{key}/ü\x01\n"
    with server.arrivals() as lines:
        now = next(lines)
        assert now.keys() == {"seq"}
        server.call("PUT", f"/{BUCKET}/{name}", body=b"arrived")
        line = next(lines)
        assert line == {
            "seq": now["seq"] + 1,
            "bucket": BUCKET,
            "key": name,
            "size": 7,
            "etag": hashlib.md5(b"arrived").hexdigest(),
            "sha256": sha256(b"arrived"),
        }
        s3.copy_object(Bucket=BUCKET, Key=f"{key}/copy", CopySource={"Bucket": BUCKET, "Key": name})
        assert next(lines)["key"] == f"{key}/copy"
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key=f"{key}/parts")["UploadId"]
        etag = s3.upload_part(Bucket=BUCKET, Key=f"{key}/parts", UploadId=upload, PartNumber=1, Body=b"p")["ETag"]
        parts = [{"PartNumber": 1, "ETag": etag}]
        s3.complete_multipart_upload(
            Bucket=BUCKET,
            Key=f"{key}/parts",
            UploadId=upload,
            MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
        )
        assert next(lines)["key"] == f"{key}/parts"


def test_arrivals_are_replayed_after_a_restart_of_either(start: Start) -> None:
    server = start()
    with server.arrivals("?after=0") as lines:
        server.call("PUT", f"/{BUCKET}/first", body=b"1")
        seen = next(lines)["seq"]
    # The reader is away.
    server.call("PUT", f"/{BUCKET}/second", body=b"2")
    server.kill()
    server = start()
    server.call("PUT", f"/{BUCKET}/third", body=b"3")
    with server.arrivals(f"?after={seen}") as lines:
        assert [(line["seq"], line["key"]) for line in (next(lines), next(lines))] == [
            (seen + 1, "second"),
            (seen + 2, "third"),
        ]


def test_who_knows_more_than_there_is_must_look_at_everything(server: Server, key: str) -> None:
    with server.arrivals("?after=1000000") as lines:
        assert next(lines)["reset"] is True
        server.call("PUT", f"/{BUCKET}/{key}", body=b"")
        assert next(lines)["key"] == key


def test_arrivals_want_a_number(server: Server) -> None:
    for after in ("x", "-1", "9" * 30):
        assert server.control("GET", f"/arrivals?after={after}")[0] == 400


async def test_the_history_is_bounded_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ARRIVALS_KEPT", 3)
    bell = arrivals.Bell()
    index = Index(tmp_path / "index.sqlite", settle=lambda change: bell.ring())
    try:
        await index.write(lambda change: rows.add_bucket(change, "b", now_ms=0))
        for number in range(5):
            new = rows.StoredObject(
                bucket="b", key=str(number), size=0, etag="", modified_ms=0, sha256=None, headers={}, data=b""
            )
            await index.write(lambda change, new=new: rows.put(change, new, Conditions()))  # type: ignore[misc]

        async def first(after: int | None) -> list[dict[str, Any]]:
            following = arrivals.follow(index, bell, after, heartbeat_seconds=0.01)
            try:
                return await anext(following)
            finally:
                await following.aclose()

        assert [line["seq"] for line in await first(2)] == [3, 4, 5]
        assert await first(1) == [{"reset": True, "seq": 5}]
        assert await first(None) == [{"seq": 5}]
        # Nothing happens: a sign of life.
        assert await first(5) == [{}]
    finally:
        await index.close()


# ── Seal ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def seal(server: Server, key: str, target: str, **more: str) -> tuple[int, Any, bytes]:
    order = {"bucket": BUCKET, "key": key, "target": target, "head_bytes": "100", "most_bytes": "1000000", **more}
    with server.control_connection() as connection:
        connection.request("POST", "/seal", body=json.dumps(order))
        response = connection.getresponse()
        line, _, head = response.read().partition(b"\n")
        return response.status, json.loads(line), head


@pytest.mark.parametrize("size", [0, 7, 100_000])
def test_what_is_sealed_stays_as_it_was(server: Server, key: str, size: int) -> None:
    body = os.urandom(size)
    put = server.call("PUT", f"/{BUCKET}/{key}", body=body, headers={"content-type": "a/b"})
    status, told, head = seal(server, key, f"{key}-sealed")
    assert (status, told["key"], told["size"], told["sha256"]) == (200, f"{key}-sealed", size, sha256(body))
    assert (told["content_type"], f'"{told["etag"]}"') == ("a/b", put.headers["ETag"])
    assert head == body[:100]
    server.call("PUT", f"/{BUCKET}/{key}", body=b"another")
    assert server.call("GET", f"/{BUCKET}/{key}-sealed").body == body
    server.call("DELETE", f"/{BUCKET}/{key}")
    assert server.call("GET", f"/{BUCKET}/{key}-sealed").body == body


def test_sealing_again_takes_what_is_there_by_then(server: Server, key: str) -> None:
    for body in (b"one" * 50_000, b"two" * 50_000):
        server.call("PUT", f"/{BUCKET}/{key}", body=body)
        assert seal(server, key, f"{key}-sealed")[1]["sha256"] == sha256(body)
        assert server.call("GET", f"/{BUCKET}/{key}-sealed").body == body


def put_in_parts(s3: "S3Client", key: str) -> bytes:
    """An object of two parts; returns its bytes."""
    body = os.urandom(6 << 20)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    parts: list[Any] = []
    for number, piece in enumerate((body[: 5 << 20], body[5 << 20 :]), 1):
        done = s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=piece)
        parts.append({"PartNumber": number, "ETag": done["ETag"]})
    s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    return body


def test_what_came_in_parts_is_sealed_with_its_hash(server: Server, s3: "S3Client", key: str) -> None:
    body = put_in_parts(s3, key)
    status, told, head = seal(server, key, f"{key}-sealed", head_bytes=str(5_500_000), most_bytes=str(6 << 20))
    assert (status, told["sha256"], head) == (200, sha256(body), body[:5_500_000])
    assert server.call("GET", f"/{BUCKET}/{key}-sealed").body == body


def test_what_cannot_be_sealed_leaves_nothing(server: Server, key: str) -> None:
    assert seal(server, key, f"{key}-sealed")[:2] == (
        404,
        {"code": "NoSuchKey", "message": "The specified key does not exist."},
    )
    server.call("PUT", f"/{BUCKET}/{key}", body=b"x" * 100_000)
    blobs = len(list(server.blobs()))
    status, told, _ = seal(server, key, f"{key}-sealed", most_bytes="99999")
    assert (status, told["code"]) == (400, "EntityTooLarge")
    for wrong in ({"target": ""}, {"target": "k" * 1025}, {"head_bytes": "-1"}, {"most_bytes": "many"}):
        assert seal(server, key, **{"target": f"{key}-sealed", **wrong})[0] == 400, wrong
    assert server.call("HEAD", f"/{BUCKET}/{key}-sealed").status == 404
    assert len(list(server.blobs())) == blobs


# ── Link ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def link(server: Server, key: str, path: Path, **more: str) -> tuple[int, Any]:
    return server.control("POST", "/link", {"bucket": BUCKET, "key": key, "path": str(path), **more})


@pytest.mark.parametrize(("size", "linked"), [(100, False), (100_000, True)])
def test_a_link_is_the_object_and_nobody_can_write_to_it(
    server: Server, key: str, folder: Path, size: int, linked: bool
) -> None:
    body = b"l" * size
    put = server.call("PUT", f"/{BUCKET}/{key}", body=body, headers={"content-type": "a/b"})
    status, told = link(server, key, folder / "link", if_etag=put.headers["ETag"])
    assert status == 200
    assert (told["size"], told["sha256"], told["content_type"], told["linked"]) == (size, sha256(body), "a/b", linked)
    assert f'"{told["etag"]}"' == put.headers["ETag"]
    assert (folder / "link").read_bytes() == body
    assert stat.S_IMODE((folder / "link").stat().st_mode) == 0o444
    # It stays what it was when the object changes.
    server.call("PUT", f"/{BUCKET}/{key}", body=b"changed" * 20_000)
    assert (folder / "link").read_bytes() == body


def test_an_object_in_parts_is_copied_and_hashed(server: Server, s3: "S3Client", key: str, folder: Path) -> None:
    body = put_in_parts(s3, key)
    status, told = link(server, key, folder / "whole")
    assert (status, told["linked"], told["sha256"]) == (200, False, sha256(body))
    assert (folder / "whole").read_bytes() == body


def test_a_link_across_file_systems_is_a_copy(server: Server, key: str) -> None:
    other = Path("/dev/shm")
    if not other.exists() or other.stat().st_dev == server.data.stat().st_dev:
        pytest.skip("there is no second file system here")
    server.call("PUT", f"/{BUCKET}/{key}", body=b"x" * 100_000)
    with tempfile.TemporaryDirectory(dir=other) as folder:
        status, told = link(server, key, Path(folder) / "copy")
        assert (status, told["linked"]) == (200, False)
        assert (Path(folder) / "copy").read_bytes() == b"x" * 100_000
        file = Path(folder) / "file"
        file.write_bytes(b"adopted")
        assert adopt(server, key, file)[1]["linked"] is False
        assert not file.exists()
    assert server.call("GET", f"/{BUCKET}/{key}").body == b"adopted"


def test_a_link_that_cannot_be_made_is_refused(server: Server, key: str, folder: Path) -> None:
    server.call("PUT", f"/{BUCKET}/{key}", body=b"x" * 100_000)
    (folder / "there").write_text("mine")
    for path in (folder / "there", folder / "no" / "where", Path("relative")):
        assert link(server, key, path)[0] == 400
    assert (folder / "there").read_text() == "mine"
    assert link(server, f"{key}-none", folder / "a") == (
        404,
        {"code": "NoSuchKey", "message": "The specified key does not exist."},
    )
    status, told = link(server, key, folder / "a", if_etag="other")
    assert (status, told["code"]) == (412, "PreconditionFailed")
    assert not (folder / "a").exists()


def test_orders_that_make_no_sense_are_refused(server: Server) -> None:
    for order in (
        {},
        {"bucket": BUCKET},
        {"bucket": BUCKET, "key": 1, "path": "/x"},
        {"bucket": BUCKET, "key": "\ud800", "path": "/x"},
    ):
        assert server.control("POST", "/link", order)[0] == 400


# ── Adopt ────────────────────────────────────────────────────────────────────────────────────────────────────────


def adopt(server: Server, key: str, path: Path, bucket: str = BUCKET) -> tuple[int, Any]:
    order = {"bucket": bucket, "key": key, "path": str(path), "content_type": "image/png"}
    return server.control("POST", "/adopt", order)


@pytest.mark.parametrize("body", [b"", b"small", b"large" * 100_000])
def test_an_adopted_file_is_the_object_without_being_copied(
    server: Server, key: str, folder: Path, body: bytes
) -> None:
    file = folder / "result"
    file.write_bytes(body)
    inode = file.stat().st_ino
    with server.arrivals() as lines:
        next(lines)
        status, told = adopt(server, key, file)
        assert (status, told["size"], told["sha256"], told["content_type"]) == (
            200,
            len(body),
            sha256(body),
            "image/png",
        )
        assert next(lines)["sha256"] == sha256(body)
    assert not file.exists()
    got = server.call("GET", f"/{BUCKET}/{key}")
    assert (got.body, got.headers["Content-Type"]) == (body, "image/png")
    assert got.headers["ETag"] == f'"{told["etag"]}"'
    blob = next(path for path in server.blobs() if path.stat().st_ino == inode)
    assert (stat.S_IMODE(blob.stat().st_mode), blob.stat().st_nlink) == (0o444, 1)


def test_only_a_plain_file_of_one_name_is_adopted(server: Server, key: str, folder: Path) -> None:
    file = folder / "file"
    file.write_text("x")
    (folder / "symlink").symlink_to(file)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    two = folder / "two"
    two.write_text("y")
    (folder / "names").hardlink_to(two)
    for name in ("symlink", "folder", "fifo", "two", "absent"):
        assert adopt(server, key, folder / name)[0] == 400, name
    assert adopt(server, key, file, bucket="no-such-bucket")[0] == 404
    assert file.read_text() == "x"
    assert server.call("HEAD", f"/{BUCKET}/{key}").status == 404


def test_a_file_adopted_again_after_a_lost_answer(server: Server, key: str, folder: Path) -> None:
    """The crash came after the commit, before the file's own name was taken away."""
    file = folder / "file"
    file.write_bytes(b"once")
    first = adopt(server, key, file)[1]
    inode = first["sha256"]
    blob = next(path for path in server.blobs() if path.read_bytes() == b"once")
    file.hardlink_to(blob)
    status, second = adopt(server, key, file)
    assert (status, second["etag"], second["sha256"]) == (200, first["etag"], inode)
    assert not file.exists()


def test_many_files_are_adopted_at_once(server: Server, key: str, folder: Path) -> None:
    bodies = [b"", b"small", b"large" * 100_000, b"another"]
    files = []
    for number, body in enumerate(bodies):
        (folder / f"{number}").write_bytes(body)
        files.append({"key": f"{key}/{number}", "path": str(folder / f"{number}"), "content_type": "image/png"})
    status, told = server.control("POST", "/adopt-all", {"bucket": BUCKET, "files": files})
    assert status == 200
    assert [(one["key"], one["size"], one["sha256"], one["linked"]) for one in told["files"]] == [
        (f"{key}/{number}", len(body), sha256(body), number == 2) for number, body in enumerate(bodies)
    ]
    assert list(folder.iterdir()) == []
    for number, body in enumerate(bodies):
        got = server.call("GET", f"/{BUCKET}/{key}/{number}")
        assert (got.body, got.headers["ETag"]) == (body, f'"{told["files"][number]["etag"]}"')


def test_of_many_files_all_must_be_what_one_must_be(server: Server, key: str, folder: Path) -> None:
    (folder / "fine").write_bytes(b"x")
    (folder / "link").symlink_to(folder / "fine")
    files = [{"key": key, "path": str(folder / name), "content_type": "a/b"} for name in ("fine", "link")]
    assert server.control("POST", "/adopt-all", {"bucket": BUCKET, "files": files})[0] == 400
    assert (folder / "fine").read_bytes() == b"x"
    odd: list[Any] = [{"bucket": BUCKET}, {"bucket": BUCKET, "files": [{"key": key}]}, {"files": files[:1]}, []]
    for order in odd:
        assert server.control("POST", "/adopt-all", order)[0] == 400
    assert server.control("POST", "/adopt-all", {"bucket": "no-such-bucket", "files": files[:1]})[0] == 404
    assert (folder / "fine").exists()


def test_a_link_can_be_adopted_by_nobody(server: Server, key: str, folder: Path) -> None:
    """It shares its bytes with another object: two objects must not share a name of them."""
    server.call("PUT", f"/{BUCKET}/{key}", body=b"x" * 100_000)
    link(server, key, folder / "link")
    assert adopt(server, f"{key}-2", folder / "link")[0] == 400
    assert server.call("GET", f"/{BUCKET}/{key}").status == 200


def test_stats_count(server: Server, key: str) -> None:
    before = server.control("GET", "/stats")[1]
    server.call("PUT", f"/{BUCKET}/{key}", body=b"x" * 123_456)
    server.call("PUT", f"/{BUCKET}/{key}", body=b"x" * 23_456)
    after = server.control("GET", "/stats")[1]
    assert after["objects"] == before["objects"] + 1
    assert after["bytes"] == before["bytes"] + 23_456
    assert after["requests"] == before["requests"] + 2
    assert after["disk_free"] > 0
