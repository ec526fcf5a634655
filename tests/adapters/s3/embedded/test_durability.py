"""
What was answered with 200 is there, whatever happens to the process afterwards; and nothing else is.
"""

import json
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPException
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pupload.adapters.s3.embedded import rows
from tests.adapters.s3.embedded.conftest import Start
from tests.adapters.s3.embedded.process import BUCKET, MODULE, Server

OLD, NEW = b"old" * 30_000, b"new" * 40_000
PATH = f"/{BUCKET}/key"


def test_everything_is_there_after_a_restart(start: Start) -> None:
    first = start()
    client = first.boto()
    client.put_object(Bucket=BUCKET, Key="small/é\x01", Body=b"s", ContentType="a/b", Metadata={"m": "1"})
    client.put_object(Bucket=BUCKET, Key="large", Body=OLD, ContentType="c/d")
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="parts", ContentType="e/f")["UploadId"]
    part = client.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=1, Body=NEW)
    stats = first.control("GET", "/stats")[1]
    client.close()
    assert first.stop() == 0

    second = start()
    assert second.credentials == first.credentials
    client = second.boto()
    got = client.get_object(Bucket=BUCKET, Key="small/é\x01")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"s", "a/b", {"m": "1"})
    got = client.get_object(Bucket=BUCKET, Key="large")
    assert (got["Body"].read(), got["ContentType"]) == (OLD, "c/d")
    client.complete_multipart_upload(
        Bucket=BUCKET,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert client.get_object(Bucket=BUCKET, Key="parts")["Body"].read() == NEW
    client.close()
    now = second.control("GET", "/stats")[1]
    assert (now["objects"], now["bytes"]) == (stats["objects"] + 1, stats["bytes"])


# ── Killed at every step ─────────────────────────────────────────────────────────────────────────────────────────

Act = Callable[[], int]
"""What is killed at every step; its status where it got that far."""


def putting(server: Server, folder: Path) -> Act:
    return lambda: server.call("PUT", PATH, body=NEW).status


def deleting(server: Server, folder: Path) -> Act:
    return lambda: server.call("DELETE", PATH).status


def copying(server: Server, folder: Path) -> Act:
    server.call("PUT", f"{PATH}-source", body=NEW)
    return lambda: server.call("PUT", PATH, headers={"x-amz-copy-source": f"{PATH}-source"}).status


def completing(server: Server, folder: Path) -> Act:
    begun = server.call("POST", PATH, query=[("uploads", "")])
    upload = ET.fromstring(begun.body).findtext("{*}UploadId", "")
    etag = server.call("PUT", PATH, query=[("partNumber", "1"), ("uploadId", upload)], body=NEW).headers["ETag"]
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    return lambda: server.call("POST", PATH, query=[("uploadId", upload)], body=body).status


def adopting(server: Server, folder: Path) -> Act:
    (folder / "file").write_bytes(NEW)
    order = {"bucket": BUCKET, "key": "key", "path": str(folder / "file"), "content_type": "a/b"}
    return lambda: server.control("POST", "/adopt", order)[0]


def sealing(server: Server, folder: Path) -> Act:
    server.call("PUT", f"{PATH}-source", body=NEW)
    order = {"bucket": BUCKET, "key": "key-source", "target": "key", "head_bytes": "0", "most_bytes": "100000000"}
    return lambda: server.control("POST", "/seal", order)[0]


def has_only_what_it_knows(server: Server) -> bool:
    with closing(sqlite3.connect(server.data / "index.sqlite")) as db:
        return {path.name for path in server.blobs()} == rows.blobs_in_use(db)


@pytest.mark.parametrize(
    ("prepare", "after"),
    [(putting, NEW), (deleting, None), (copying, NEW), (sealing, NEW), (completing, NEW), (adopting, NEW)],
)
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    start: Start, tmp_path: Path, prepare: Callable[[Server, Path], Act], after: bytes | None
) -> None:
    flag, died = tmp_path / "flag", True
    server = start(command=(str(Path(__file__).with_name("dying.py")), str(flag)))
    seen = set()
    while died:
        server.call("PUT", PATH, body=OLD)
        act = prepare(server, tmp_path)
        flag.touch()
        try:
            died = act() not in (200, 204)
            # It may still die when it unlinks what nobody needs any more, and then it does not answer this.
            server.until(lambda: has_only_what_it_knows(server))
        except (OSError, HTTPException):
            died = True
        flag.unlink()
        if died:
            server.hear_ready()
            assert has_only_what_it_knows(server)
        reply = server.call("GET", PATH)
        found = reply.body if reply.status == 200 else None
        seen.add((found, died))
        assert found in (OLD, after)
        if prepare is adopting:
            # The file is still there unless the object is, so adopting can be tried again.
            assert not (tmp_path / "file").exists() or act() == 200
            assert not (tmp_path / "file").exists()
            assert server.call("GET", PATH).body == NEW
    # It died before the commit and behind it, and once it did not.
    assert seen == {(OLD, True), (after, True), (after, False)}


def test_a_kill_amid_many_writes_loses_nothing_that_was_answered(start: Start) -> None:
    server = start()
    answered = [0] * 8
    enough = threading.Event()

    def write(writer: int) -> None:
        with suppress(OSError, HTTPException):
            while True:
                version = answered[writer] + 1
                body = b"%d:" % version + b"." * (100 if writer % 2 else 50_000)
                if server.call("PUT", f"/{BUCKET}/{writer}", body=body).status == 200:
                    answered[writer] = version
                if min(answered) > 5:
                    enough.set()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(len(answered))]
    for thread in threads:
        thread.start()
    assert enough.wait(30)
    server.kill()
    for thread in threads:
        thread.join()

    server = start()
    for writer, version in enumerate(answered):
        body = server.call("GET", f"/{BUCKET}/{writer}").body
        found, _, rest = body.partition(b":")
        assert int(found) in (version, version + 1)
        assert len(rest) == (100 if writer % 2 else 50_000)
    assert len(server.blobs()) == len(answered) // 2


def test_an_upload_nobody_touched_for_a_week_is_swept_away(start: Start) -> None:
    server = start()
    client = server.boto()
    for key in ("old", "new"):
        upload = client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        client.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=OLD)
    client.close()
    server.stop()
    db = sqlite3.connect(server.data / "index.sqlite")
    week = 8 * 24 * 3600 * 1000
    db.execute("UPDATE uploads SET started_ms = started_ms - ?", (week,))
    old = "SELECT id FROM uploads WHERE key = ?"
    db.execute(f"UPDATE parts SET modified_ms = modified_ms - ? WHERE upload IN ({old})", (week, b"old"))
    db.commit()
    db.close()

    server = start()
    client = server.boto()
    assert [one["Key"] for one in client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == ["new"]
    client.close()
    assert len(server.blobs()) == 1
    assert server.control("GET", "/stats")[1]["bytes"] == len(OLD)


# ── The process ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_ends_with_whoever_holds_its_stdin(start: Start) -> None:
    server = start()
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.wait() == 0


def test_two_processes_never_share_a_folder(start: Start) -> None:
    first = start()
    second = subprocess.run(
        [sys.executable, "-m", MODULE, "--data", str(first.data), "--lock-wait", "0"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 1
    assert "another process uses" in second.stderr
    assert first.call("HEAD", f"/{BUCKET}").status == 200


def test_an_installation_has_keys_of_its_own_that_nobody_else_reads(start: Start, tmp_path: Path) -> None:
    first, second = start(), start(data=tmp_path / "other")
    assert first.credentials != second.credentials
    assert len(first.credentials.secret_key) >= 40
    for path in (first.data / "credentials.json", first.socket, first.data / "index.sqlite"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(first.data.stat().st_mode) == 0o700
    assert json.loads((first.data / "credentials.json").read_text()).keys() == {"access_key", "secret_key"}
