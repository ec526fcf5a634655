"""
Objects: what goes in comes out, with everything that was said about it.
"""

import http.client
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pupload.adapters.s3 import signing
from tests.adapters.s3.embedded.process import BUCKET, Server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda key: len(key.encode()) <= 1024)
"""Any UTF-8: control characters, dots and slashes too."""
AWKWARD_KEYS = (
    "..",
    "../../etc/passwd",
    "/",
    "//a//",
    "a/../b",
    "\x00",
    "\n\t\x1f",
    "#?&=+% %2F",
    "ключ/😀",
    "k" * 1024,
)
SIZES = (0, 1, 32 * 1024, 32 * 1024 + 1, 3_000_000)
"""In the row and in a blob, and just at the border."""


def path_of(key: str) -> str:
    return f"/{BUCKET}/{key}"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS, body=st.binary(max_size=100), size=st.sampled_from((1, 1000)))
def test_any_key_and_any_body_come_back(server: Server, key: str, body: bytes, size: int) -> None:
    body *= size
    assert server.call("PUT", path_of(key), body=body).status == 200
    assert server.call("GET", path_of(key)).body == body
    assert server.call("DELETE", path_of(key)).status == 204
    assert server.call("GET", path_of(key)).code == "NoSuchKey"


@pytest.mark.parametrize("key", AWKWARD_KEYS)
def test_a_key_is_a_name_and_never_a_path(server: Server, key: str) -> None:
    assert server.call("PUT", path_of(key), body=key.encode()).status == 200
    assert server.raw("GET", server.presign("GET", key)).body == key.encode()
    listed = server.call("GET", f"/{BUCKET}", query=[("list-type", "2"), ("prefix", key), ("encoding-type", "url")])
    assert f"<Key>{signing.encode_path(key)}</Key>".encode() in listed.body
    assert server.call("DELETE", path_of(key)).status == 204


def test_a_key_has_at_most_1024_bytes_of_utf8(server: Server) -> None:
    assert server.call("PUT", path_of("ü" * 513), body=b"").code == "KeyTooLongError"
    target = f"/{BUCKET}/%ff"
    assert server.raw("PUT", target, headers=server.signed("PUT", "/x"), body=b"").code == "InvalidURI"


@pytest.mark.parametrize("size", SIZES)
def test_everything_said_about_an_object_is_said_with_it(s3: "S3Client", key: str, size: int) -> None:
    said = {
        "ContentType": "image/png",
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="a.png"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "Metadata": {"owner": "somebody", "odd-name": "a  b"},
    }
    body = bytes(range(256)) * (size // 256) + b"." * (size % 256)
    s3.put_object(Bucket=BUCKET, Key=key, Body=body, **said)  # type: ignore[arg-type]
    got = s3.get_object(Bucket=BUCKET, Key=key)
    assert got["Body"].read() == body
    head = s3.head_object(Bucket=BUCKET, Key=key)
    for answer in (got, head):
        assert {name: answer[name] for name in said} == said  # type: ignore[literal-required]
        assert answer["ContentLength"] == size


def test_a_type_nobody_named_is_bytes(server: Server, key: str) -> None:
    server.call("PUT", path_of(key), body=b"x")
    assert server.call("HEAD", path_of(key)).headers["Content-Type"] == "binary/octet-stream"


def test_responses_can_be_dressed_by_the_url(server: Server, key: str) -> None:
    server.call("PUT", path_of(key), body=b"<html>", headers={"content-type": "text/html"})
    query = [
        ("response-content-type", "text/plain"),
        ("response-content-disposition", 'attachment; filename="ü.txt"'),
        ("response-cache-control", "no-store"),
    ]
    reply = server.raw("GET", server.presign("GET", key, query=query))
    assert reply.headers["Content-Type"] == "text/plain"
    assert reply.headers["Cache-Control"] == "no-store"
    # http.client reads headers as Latin-1.
    assert reply.headers["Content-Disposition"].encode("latin-1").decode() == 'attachment; filename="ü.txt"'
    split = server.presign("GET", key, query=[("response-content-type", "a\r\nSet-Cookie: b")])
    assert server.raw("GET", split).code == "InvalidArgument"


def test_too_much_metadata_is_refused(server: Server, key: str) -> None:
    reply = server.call("PUT", path_of(key), body=b"", headers={"x-amz-meta-a": "x" * 3000})
    assert reply.code == "MetadataTooLarge"


# ── Ranges ───────────────────────────────────────────────────────────────────────────────────────────────────────

BODY = bytes(range(200)) * 500


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("bytes=0-0", BODY[:1]),
        ("bytes=10-19", BODY[10:20]),
        ("bytes=99990-", BODY[99990:]),
        ("bytes=99990-200000", BODY[99990:]),
        ("bytes=-7", BODY[-7:]),
        ("bytes=-200000", BODY),
    ],
)
@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_range_is_answered_with_206(server: Server, key: str, asked: str, wanted: bytes, size: int) -> None:
    if size == 1000:
        asked, wanted = "bytes=990-1003", BODY[990:1000]
    server.call("PUT", path_of(key), body=BODY[:size])
    reply = server.call("GET", path_of(key), headers={"Range": asked})
    assert (reply.status, reply.body) == (206, wanted)
    assert reply.headers["Content-Range"].endswith(f"/{size}")
    head = server.call("HEAD", path_of(key), headers={"Range": asked})
    assert (head.status, head.headers["Content-Length"]) == (206, str(len(wanted)))


@pytest.mark.parametrize("asked", ["bytes=100000-", "bytes=100000-100001", "bytes=-0"])
def test_a_range_behind_the_end_is_416(server: Server, key: str, asked: str) -> None:
    server.call("PUT", path_of(key), body=BODY)
    reply = server.call("GET", path_of(key), headers={"Range": asked})
    assert (reply.status, reply.code, reply.headers["Content-Range"]) == (416, "InvalidRange", "bytes */100000")


@pytest.mark.parametrize("asked", ["bytes=5-4", "bytes=a-b", "chars=0-1", "bytes=0-1,3-4", "bytes=-"])
def test_a_range_nobody_can_read_is_left_aside(server: Server, key: str, asked: str) -> None:
    server.call("PUT", path_of(key), body=BODY)
    reply = server.call("GET", path_of(key), headers={"Range": asked})
    assert (reply.status, reply.body) == (200, BODY)


# ── Conditions ───────────────────────────────────────────────────────────────────────────────────────────────────

YESTERDAY = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
TOMORROW = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"If-Match": "ETAG"}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"another", ETAG'}, 200),
        ({"If-Match": '"another"'}, 412),
        ({"If-None-Match": "ETAG"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"another"'}, 200),
        ({"If-Modified-Since": YESTERDAY}, 200),
        ({"If-Modified-Since": TOMORROW}, 304),
        ({"If-Modified-Since": "rubbish"}, 200),
        ({"If-Unmodified-Since": YESTERDAY}, 412),
        ({"If-Unmodified-Since": TOMORROW}, 200),
        ({"If-Match": "ETAG", "If-Unmodified-Since": YESTERDAY}, 200),
        ({"If-None-Match": '"another"', "If-Modified-Since": TOMORROW}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_on_a_condition(
    server: Server, key: str, condition: Mapping[str, str], status: int, method: str
) -> None:
    etag = server.call("PUT", path_of(key), body=BODY).headers["ETag"]
    headers = {name: value.replace("ETAG", etag) for name, value in condition.items()}
    reply = server.call(method, path_of(key), headers=headers)
    assert reply.status == status
    if status == 304:
        assert (reply.headers["ETag"], reply.body) == (etag, b"")


def test_writing_on_a_condition(server: Server, key: str) -> None:
    def put(**condition: str) -> tuple[int, str]:
        headers = {name.replace("_", "-"): value for name, value in condition.items()}
        reply = server.call("PUT", path_of(key), body=b"x", headers=headers)
        return reply.status, reply.code

    assert put(if_match="*") == (404, "NoSuchKey")
    assert put(if_none_match="*") == (200, "")
    assert put(if_none_match="*") == (412, "PreconditionFailed")
    etag = server.call("HEAD", path_of(key)).headers["ETag"]
    assert put(if_match=etag) == (200, "")
    assert put(if_match='"other"') == (412, "PreconditionFailed")
    assert server.call("DELETE", path_of(key), headers={"If-Match": '"other"'}).status == 412
    assert server.call("DELETE", path_of(key), headers={"If-Match": etag}).status == 204


@pytest.mark.parametrize("size", [10, 40_000])
def test_of_many_who_create_at_once_exactly_one_wins(server: Server, key: str, size: int) -> None:
    bodies = [bytes([number]) * size for number in range(12)]
    replies: dict[int, int] = {}
    start = threading.Barrier(len(bodies))

    def create(number: int) -> None:
        start.wait()
        reply = server.call("PUT", path_of(key), body=bodies[number], headers={"If-None-Match": "*"})
        replies[number] = reply.status

    threads = [threading.Thread(target=create, args=(number,)) for number in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [number for number, status in replies.items() if status == 200]
    assert len(winners) == 1
    assert {status for number, status in replies.items() if number not in winners} == {412}
    assert server.call("GET", path_of(key)).body == bodies[winners[0]]


# ── Copy, delete ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_copy_outlives_its_source_and_shares_its_bytes(s3: "S3Client", key: str, size: int) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{key}/ü +", Body=b"c" * size, ContentType="a/b", Metadata={"m": "1"})
    s3.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": f"{key}/ü +"})
    s3.delete_object(Bucket=BUCKET, Key=f"{key}/ü +")
    got = s3.get_object(Bucket=BUCKET, Key=key)
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"c" * size, "a/b", {"m": "1"})
    s3.copy_object(
        Bucket=BUCKET,
        Key=key,
        CopySource=f"{BUCKET}/{key}",
        MetadataDirective="REPLACE",
        ContentType="c/d",
    )
    got = s3.get_object(Bucket=BUCKET, Key=key)
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"c" * size, "c/d", {})


def test_a_copy_may_be_bound_to_a_version_of_its_source(s3: "S3Client", server: Server, key: str) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")["ETag"]
    source = f"{BUCKET}/{key}"
    s3.copy_object(Bucket=BUCKET, Key=f"{key}-2", CopySource=source, CopySourceIfMatch=etag)
    for condition in ({"CopySourceIfMatch": '"other"'}, {"CopySourceIfNoneMatch": etag}):
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.copy_object(Bucket=BUCKET, Key=f"{key}-3", CopySource=source, **condition)  # type: ignore[arg-type]
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.copy_object(Bucket=BUCKET, Key=key, CopySource=f"{BUCKET}/{key}-3")
    with pytest.raises(ClientError, match="InvalidRequest"):
        s3.copy_object(Bucket=BUCKET, Key=key, CopySource=source)
    headers = {"x-amz-copy-source": f"{source}?versionId=1"}
    assert server.call("PUT", path_of(key), headers=headers).code == "NotImplemented"


def test_many_are_deleted_at_once_and_each_answers(s3: "S3Client", key: str) -> None:
    names = [f"{key}/{number}" for number in range(3)]
    for name in names:
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"x")
    # Only one of them under a condition that does not hold.
    objects = [{"Key": names[0]}, {"Key": names[1], "ETag": '"other"'}, {"Key": f"{key}/none"}]
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": objects})  # type: ignore[typeddict-item]
    assert [one["Key"] for one in answer["Deleted"]] == [names[0], f"{key}/none"]
    assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [(names[1], "PreconditionFailed")]
    left = s3.list_objects_v2(Bucket=BUCKET, Prefix=key)["Contents"]
    assert [one["Key"] for one in left] == names[1:]
    quiet = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": name} for name in names], "Quiet": True})
    assert "Deleted" not in quiet


def test_a_missing_bucket_is_not_a_missing_object(server: Server, key: str) -> None:
    assert server.call("GET", f"/{BUCKET}/{key}").code == "NoSuchKey"
    for method in ("GET", "PUT", "DELETE"):
        assert server.call(method, f"/no-such-bucket/{key}", body=b"").code == "NoSuchBucket"


def test_who_reads_goes_on_reading_what_is_replaced_and_deleted(server: Server, key: str) -> None:
    """Larger than all socket buffers, so that most of it is still to be read when the object changes."""
    body = b"0123456789abcdef" * (1 << 20)
    server.call("PUT", path_of(key), body=body)
    connection = http.client.HTTPConnection(server.address, timeout=30)
    connection.request("GET", server.presign("GET", key).removeprefix(server.url))
    with connection.getresponse() as response:
        first = response.read(10)
        server.call("PUT", path_of(key), body=b"new")
        server.call("DELETE", path_of(key))
        assert first + response.read() == body
    connection.close()
